//! Several batches at once, and brokers that are slow, away, back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::types::RDKafkaRespErr as E;

use super::{events, insist, sink};
use crate::sink::kafka::testing::{Mock, account};
use crate::sink::testing::Encoded;
use crate::sink::{Outcome, Sink as _};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_a_batch_of_which_a_part_has_failed_while_the_rest_is_under_way() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let all = Encoded::of(&sink, &events(40));
    insist(&sink, &Encoded::of(&sink, &events(1)), 1).await;
    // The answer of the second broker comes late enough for the failure to be looked at.
    mock.cluster.broker_round_trip_time(2, Duration::from_secs(2)).unwrap();
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let later = async {
        while !sink.shared.is_spent.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sink.send(all.part(20..40)).await
    };
    let (first, second) = tokio::join!(sink.send(all.part(1..20)), later);
    assert!(matches!(first, Outcome::Blocked { .. }), "{first:?}");
    assert!(matches!(second, Outcome::Blocked { .. }), "{second:?}");
    mock.cluster.broker_round_trip_time(2, Duration::ZERO).unwrap();
    for places in [1..20, 20..40] {
        let sent = sink.send(all.part(places)).await;
        assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    }
    let (numbers, _) = account(&mock.log()).unwrap();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_an_event_while_it_is_asked_how_much_the_topic_takes() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let all = Encoded::of(&sink, &events(3));
    insist(&sink, &Encoded::of(&sink, &events(1)), 1).await;
    // How much the topic takes is answered late enough for the other one to come meanwhile.
    for id in [1, 2] {
        mock.cluster.broker_round_trip_time(id, Duration::from_millis(500)).unwrap();
    }
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let later = async {
        while !sink.shared.is_spent.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        sink.send(all.part(2..3)).await
    };
    let (first, second) = tokio::join!(sink.send(all.part(1..2)), later);
    // These brokers do not tell, so less is tried first.
    assert!(matches!(first, Outcome::Retry { .. }), "{first:?}");
    assert!(matches!(second, Outcome::Retry { .. }), "{second:?}");
    for places in [1..2, 2..3] {
        let sent = sink.send(all.part(places)).await;
        assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    }
    assert_eq!(account(&mock.log()), Ok((vec![1, 2, 3], 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_come_shortened_is_not_overtaken_and_is_waited_for_until_it_is_put_aside() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let all = Encoded::of(&sink, &events(5));
    insist(&sink, &Encoded::of(&sink, &events(1)), 1).await;
    sink.batch_bytes_max.store(super::super::BATCH_BYTES_MIN, Ordering::Relaxed);
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let first = sink.send(all.part(1..2)).await;
    assert!(matches!(first, Outcome::TooLarge { bytes_max: Some(_), .. }), "{first:?}");
    let second = sink.send(all.part(2..3)).await;
    assert!(matches!(second, Outcome::Retry { .. }), "{second:?}");
    for places in [1..2, 2..3] {
        let sent = sink.send(all.part(places)).await;
        assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    }
    assert_eq!(account(&mock.log()), Ok((vec![1, 2, 3], 0)));

    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let fourth = sink.send(all.part(3..4)).await;
    assert!(matches!(fourth, Outcome::TooLarge { .. }), "{fourth:?}");
    all.part(3..4).numbers().for_each(|number| sink.put_aside(number));
    let fifth = sink.send(all.part(4..5)).await;
    assert!(matches!(fifth, Outcome::Sent { .. }), "{fifth:?}");
    assert_eq!(account(&mock.log()), Ok((vec![1, 2, 3, 5], 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_put_aside_is_not_waited_for() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let all = Encoded::of(&sink, &events(2));
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let refused = sink.send(all.part(0..1)).await;
    assert!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    let sent = sink.send(all.part(1..2)).await;
    assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    assert_eq!(account(&mock.log()), Ok((vec![2], 0)));
    assert_eq!(sink.shared.ledger.outstanding(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_and_come_back_get_everything_once() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    insist(&sink, &Encoded::of(&sink, &events(1)), 1).await;
    for id in [1, 2] {
        mock.cluster.broker_down(id).unwrap();
    }
    let all = Encoded::of(&sink, &events(40));
    let away = sink.send(all.part(1..40)).await;
    let Outcome::Retry { cause, .. } = away else { panic!("{away:?}") };
    assert!(cause.contains("onnect"), "{cause}");
    for id in [1, 2] {
        mock.cluster.broker_up(id).unwrap();
    }
    let sent = sink.send(all.part(1..40)).await;
    assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    assert_eq!(account(&mock.log()), Ok(((1..=40).collect(), 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_is_waited_for_and_its_figures_are_told() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    mock.cluster.broker_round_trip_time(1, Duration::from_millis(400)).unwrap();
    let all = Encoded::of(&sink, &events(100));
    let figure = |wanted: &str| {
        sink.figures().into_iter().find(|(name, _)| *name == wanted).map_or(0, |(_, value)| value)
    };
    // The statistics of librdkafka come by its own clock.
    let mut slowest_us = 0;
    let look = async {
        for _ in 0..30_000 {
            slowest_us = slowest_us.max(figure("round_trip_p99_us"));
            if figure("sent_messages") == 100 && slowest_us >= 400_000 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (sent, ()) = tokio::join!(sink.send(all.batch()), look);
    assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    assert_eq!(account(&mock.log()), Ok(((1..=100).collect(), 0)));
    assert!(slowest_us >= 400_000);
    assert_eq!(figure("sent_messages"), 100);
    assert_eq!(figure("brokers"), 2);
    assert_eq!(figure("brokers_up"), 2);
    assert_eq!(figure("queue_messages"), 0);
    assert!(figure("sent_bytes") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_refused_is_not_taken_for_sent_when_it_takes_what_comes_next() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let all = Encoded::of(&sink, &events(40));
    // Connected to both of them.
    let sent = sink.send(all.part(0..10)).await;
    assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    // Long enough for both batches to be under way if librdkafka sends the second one.
    for id in [1, 2] {
        mock.cluster.broker_round_trip_time(id, Duration::from_millis(300)).unwrap();
    }
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 2]);
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sink.send(all.part(20..40)).await
    };
    let (first, second) = tokio::join!(sink.send(all.part(10..20)), later);
    for sent in [first, second] {
        assert!(matches!(sent, Outcome::Sent { .. }), "{sent:?}");
    }
    assert_eq!(account(&mock.log()), Ok(((1..=40).collect(), 0)));
}
