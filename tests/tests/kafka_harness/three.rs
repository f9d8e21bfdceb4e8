//! Three brokers: leaders move, by order and by death.

use shipper_tests::kafka::{Cluster, Listener, Plan, Topic};
use shipper_tests::process::until;

use crate::{eventually, produce};

#[test]
fn three_brokers_carry_on_as_two() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start(Plan::new(3))? else { return Ok(()) };
    let admin = cluster.admin();
    assert_eq!(admin.brokers()?.len(), 3);
    let topic = Topic::new("t").partitions(2).replication(3).config("min.insync.replicas", "2");
    admin.create_topic(&topic)?;
    let brokers = cluster.bootstrap(Listener::Plaintext);
    produce(&brokers, "t", &[], "three\n")?;

    for leader in [1, 2] {
        admin.move_leader("t", 0, leader)?;
        assert_eq!(admin.describe_topic("t")?[0].leader, Some(leader));
    }
    cluster.broker(2).kill()?;
    until("the others to lead, in sync", || {
        let partitions = admin.describe_topic("t")?;
        Ok(partitions.iter().all(|it| it.leader != Some(2) && it.in_sync.len() == 2))
    })?;
    eventually(|| produce(&brokers, "t", &[], "two\n"))?;
    assert_eq!(cluster.consume("t")?.len(), 2);
    assert_eq!(cluster.consume_with_kcat("t")?.len(), 2);

    cluster.start_broker(2)?;
    until("all in sync", || Ok(admin.describe_topic("t")?.iter().all(|it| it.in_sync.len() == 3)))?;
    assert_eq!(cluster.consume("t")?.len(), 2);
    Ok(())
}
