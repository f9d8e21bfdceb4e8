//! The engine with the Kafka sink on librdkafka's mock cluster: several batches in flight, whatever
//! the brokers answer.

use crate::config::settings::Concurrency;
use std::time::Duration;

use rdkafka::types::RDKafkaRespErr as E;
use tokio::sync::watch;

use super::simulation::dice::Dice;
use super::{NAME, Setup, all, now, open};
use crate::deliver::{Control, Delivered, Line};
use crate::sink::kafka::KafkaSink;
use crate::sink::kafka::testing::{Mock, account, each_in_a_runtime};

/// Errors that are over by themselves or with a new producer.
const PASSING: [E; 12] = [
    E::RD_KAFKA_RESP_ERR__TRANSPORT,
    E::RD_KAFKA_RESP_ERR_UNKNOWN,
    E::RD_KAFKA_RESP_ERR_INVALID_MSG,
    E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
];

/// Delivers `count` numbered events to the mock cluster.
async fn deliver(mock: &Mock, count: u64, batch_events_max: usize) -> Delivered {
    let mut setup = Setup::new(count);
    setup.settings.batch_events_max = batch_events_max;
    setup.settings.concurrency = Concurrency::Fixed(4);
    setup.settings.retry_initial = Duration::from_millis(10);
    setup.settings.retry_max = Duration::from_millis(20);
    let (writer, spool) = open(setup.directory.path());
    writer.close(now()).unwrap();
    let (reader, cursor) = spool.cursor(NAME).unwrap();
    let sink = KafkaSink::new(&mock.settings(), &setup.settings).unwrap();
    let line = Line {
        name: NAME.to_owned(),
        sink: Box::new(sink),
        reader,
        cursor,
        replay: None,
        quarantine: spool.quarantine(NAME, setup.settings.quarantine_bytes_max).unwrap(),
        settings: setup.settings,
        status_dir: None,
    };
    let (_control, watched) = watch::channel(Control::default());
    line.run(watched).await
}

/// Scripts of errors.
const SEEDS: usize = 100;

#[test]
fn whatever_the_brokers_answer_nothing_is_lost_and_the_order_is_kept() {
    match std::env::var("SHIPPER_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SHIPPER_SEED: a number");
            each_in_a_runtime(1, async |_| simulate(seed).await);
        }
        Err(_) => each_in_a_runtime(SEEDS, async |seed| simulate(seed as u64).await),
    }
}

async fn simulate(seed: u64) {
    let mut dice = Dice::new(seed);
    let mock = Mock::start();
    let count = dice.within(20..=220);
    let batch_events_max = dice.within(1..=30) as usize;
    let errors: Vec<E> = (0..dice.below(12))
        .map(|_| match dice.below(3) {
            // Some requests succeed in between.
            0 => E::RD_KAFKA_RESP_ERR_NO_ERROR,
            _ => dice.pick(&PASSING),
        })
        .collect();
    mock.fail_produce(&errors);
    if dice.percent(50) {
        // So that of a batch a part has failed while the rest is under way.
        let slow = Duration::from_millis(dice.within(20..=200));
        mock.cluster.broker_round_trip_time(2, slow).unwrap();
    }
    let delivered = deliver(&mock, count, batch_events_max).await;
    let case = format!("SHIPPER_SEED={seed}: {count} by {batch_events_max}, {errors:?}");
    assert!(delivered.complete, "{case}");
    assert_eq!(delivered.quarantined, 0, "{case}");
    let account = account(&mock.log());
    let (numbers, _) = account.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(numbers, all(1..=count), "{case}");
}
