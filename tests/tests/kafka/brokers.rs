//! Brokers that are killed, cut off, away.

use shipper_tests::kafka::delivery::Delivery;
use shipper_tests::kafka::{Cluster, Listener, Plan, Topic};

use super::HELPER;

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(Plan::new(3).listener(Listener::Plaintext))? else {
        return Ok(());
    };
    let topic =
        Topic::new("killed").partitions(3).replication(3).config("min.insync.replicas", "2");
    cluster.admin().create_topic(&topic)?;
    let delivery =
        Delivery::new("killed", &cluster, Listener::Plaintext, "killed", "    key: event_id\n")?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(process) = delivery.start_or_skip()? else { return Ok(()) };
    let mut stream = delivery.stream(HELPER)?;
    for id in [1, 2, 3] {
        stream.await_more(200)?;
        cluster.broker(id).kill()?;
        stream.await_more(200)?;
        cluster.start_broker(id)?;
    }
    let count = stream.end()?;
    let account = delivery.settle(process, count, &cluster)?;
    account.assert_exact();
    Ok(())
}
