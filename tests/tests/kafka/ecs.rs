//! Real executions, through Kafka, into Kafka's own consumer: every value is an event of the Elastic
//! Common Schema.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shipper_tests::ecs::{faults, official};
use shipper_tests::kafka::Listener;
use shipper_tests::kafka::Topic;
use shipper_tests::kafka::delivery::Delivery;

use super::{HELPER, topics};

#[test]
fn every_value_that_a_consumer_reads_is_an_event_of_the_elastic_common_schema() -> anyhow::Result<()>
{
    let Some(official) = official()? else { return Ok(()) };
    let Some(cluster) = topics::shared() else { return Ok(()) };
    cluster.admin().create_topic(&Topic::new("ecs").partitions(3))?;
    let delivery = Delivery::new("ecs", cluster, Listener::Plaintext, "ecs", "")?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(process) = delivery.start_or_skip()? else { return Ok(()) };
    let mut stream = delivery.stream(HELPER)?;
    stream.await_more(100)?;
    let count = stream.end()?;
    delivery.settle(process, count, cluster)?.assert_exact();
    let messages = cluster.consume("ecs")?;
    ensure!(messages.len() as u64 >= count);
    for message in messages {
        let value = message.value.as_deref().context("a value")?;
        ensure!(value.first() == Some(&b'{') && value.last() == Some(&b'}'), "not one object");
        let event: Value = serde_json::from_slice(value)?;
        let faults = faults(&event, &official);
        ensure!(faults.is_empty(), "offset {}: {faults:?}", message.offset);
        ensure!(event["ecs"]["version"] == "9.4.0");
    }
    Ok(())
}
