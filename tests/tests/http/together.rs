//! A file, Kafka and a collector at once: one that is away holds up none of the others.

use std::collections::HashMap;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Plan};
use shipper_tests::daemon::read_events;
use shipper_tests::process::{LOOK_INTERVAL, until};
use shipper_tests::site;

use super::HELPER;

/// Reads a topic of one partition as it grows.
struct Topic {
    consumer: BaseConsumer,
    /// How often each event is there.
    events: HashMap<String, usize>,
}

impl Topic {
    fn new(brokers: &str, name: &str) -> anyhow::Result<Topic> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "test");
        let consumer: BaseConsumer = config.create()?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(name, 0, Offset::Beginning)?;
        consumer.assign(&partitions)?;
        Ok(Topic { consumer, events: HashMap::new() })
    }

    /// Reads what there is more.
    fn read(&mut self) -> anyhow::Result<()> {
        while let Some(message) = self.consumer.poll(LOOK_INTERVAL) {
            let message = message?;
            let event: serde_json::Value =
                serde_json::from_slice(message.payload().context("a value")?)?;
            let id = event["event"]["id"].as_str().context("an id")?.to_owned();
            *self.events.entry(id).or_default() += 1;
        }
        Ok(())
    }
}

#[test]
fn a_collector_that_is_away_holds_up_neither_file_nor_kafka() -> anyhow::Result<()> {
    let kafka = MockCluster::new(1)?;
    let brokers = kafka.bootstrap_servers();
    kafka.create_topic("audit", 1, 1)?;
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    collector.die();
    let more = format!(
        "  - name: stream\n    type: kafka\n    brokers: [\"{brokers}\"]\n    topic: audit\n"
    );
    let plan = site::Plan { more, ..site::Plan::default() };
    let sink = http_sink(&collector.url(), "");
    let Some(mut work) = Work::begin_with(HELPER, "together", &sink, plan, |_| {})? else {
        return Ok(());
    };
    let mut topic = Topic::new(&brokers, "audit")?;
    work.process.await_log("cannot connect: Connection refused")?;
    for _ in 0..3 {
        // What comes from here on comes to both while the collector is still away.
        let number = work.stream.await_more(50)?;
        work.delivery.site.await_event(|event| work.delivery.site.number(event) >= Some(number))?;
        let events = read_events(&work.delivery.site.events_path())?;
        let ids: Vec<&str> =
            events.iter().filter_map(|event| event["event"]["id"].as_str()).collect();
        until("Kafka has what the file has", || {
            topic.read()?;
            Ok(ids.iter().all(|id| topic.events.contains_key(*id)))
        })?;
        assert_eq!(work.delivery.status()?["state"], "retrying");
        assert_eq!(collector.account().requests, 0);
    }
    collector.revive()?;
    let (balance, ..) = work.end(&[&collector])?;
    balance.assert_exact();
    until("Kafka has everything", || {
        topic.read()?;
        Ok(topic.events.len() >= balance.events)
    })?;
    assert!(topic.events.values().all(|times| *times == 1), "Kafka has an event twice");
    assert_eq!(topic.events.len(), balance.events);
    Ok(())
}
