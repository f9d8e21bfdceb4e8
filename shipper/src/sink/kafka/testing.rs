//! librdkafka's mock cluster, for what a real broker does not do on demand, and its log.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::config::settings::{
    Envelope, KafkaCompression, KafkaKey, KafkaSettings, KafkaTimestamp,
};
use crate::format::Format;

/// The topic that is there.
pub const TOPIC: &str = "audit";

/// Partitions of the topic.
pub const PARTITIONS: i32 = 2;

/// Brokers that do as they are told.
pub struct Mock {
    /// To be told more than the functions below do.
    pub cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Mock {
    /// Two brokers, each the leader of one partition of the topic.
    pub fn start() -> Mock {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 2).unwrap();
        for partition in 0..PARTITIONS {
            cluster.partition_leader(TOPIC, partition, Some(partition + 1)).unwrap();
        }
        Mock { cluster }
    }

    /// Of a sink that delivers here.
    pub fn settings(&self) -> KafkaSettings {
        settings(&self.cluster.bootstrap_servers())
    }

    /// The next requests to produce are answered with these errors, one each.
    pub fn fail_produce(&self, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }

    /// The numbers of the events in each partition of the topic.
    pub fn log(&self) -> Vec<Vec<u64>> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers());
        config.set("group.id", "none").set("enable.partition.eof", "true");
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer<DefaultConsumerContext> = config.create().unwrap();
        let mut from = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            from.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&from).unwrap();
        let mut log = vec![Vec::new(); PARTITIONS as usize];
        let mut ends = 0;
        while ends < PARTITIONS {
            match consumer.poll(Duration::from_secs(30)).expect("messages or the end") {
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
                Ok(message) => {
                    let id = message.headers().unwrap().get(0);
                    assert_eq!(id.key, "event-id");
                    let id = std::str::from_utf8(id.value.unwrap()).unwrap();
                    let number = u64::from_str_radix(id, 16).unwrap();
                    log[message.partition() as usize].push(number);
                }
            }
        }
        log
    }
}

/// Of a sink that delivers there, quick to try again.
pub fn settings(brokers: &str) -> KafkaSettings {
    let options = [
        ("retry.backoff.ms", "5"),
        ("retry.backoff.max.ms", "20"),
        ("reconnect.backoff.ms", "10"),
        ("reconnect.backoff.max.ms", "50"),
        ("topic.metadata.propagation.max.ms", "500"),
        ("topic.metadata.refresh.fast.interval.ms", "20"),
        ("statistics.interval.ms", "100"),
    ];
    KafkaSettings {
        brokers: brokers.split(',').map(str::to_owned).collect(),
        topic: TOPIC.to_owned(),
        key: KafkaKey::EventId,
        compression: KafkaCompression::None,
        timestamp: KafkaTimestamp::Event,
        format: Format::Ecs,
        envelope: Envelope::None,
        splunk: None,
        tls: None,
        sasl: None,
        options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

/// Does something with each number below this, several at once: they wait for brokers most of the
/// time.
pub fn each_in_a_runtime(count: usize, each: impl AsyncFn(usize) + Sync) {
    const THREADS: usize = 10;
    let each = &each;
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_time()
                    .build()
                    .unwrap();
                for number in (first..count).step_by(THREADS) {
                    runtime.block_on(each(number));
                }
            });
        }
    });
}

/// Each number once, sorted, and how many came again; an error where first occurrences are not in
/// order.
pub fn account(log: &[Vec<u64>]) -> Result<(Vec<u64>, usize), String> {
    let mut all = std::collections::BTreeSet::new();
    let mut doubled = 0;
    for partition in log {
        let mut newest = None;
        for &number in partition {
            if !all.insert(number) {
                doubled += 1;
                continue;
            }
            if newest > Some(number) {
                return Err(format!("{number} comes after {newest:?}: {log:?}"));
            }
            newest = Some(number);
        }
    }
    Ok((all.into_iter().collect(), doubled))
}
