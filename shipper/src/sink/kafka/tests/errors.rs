//! What each error means, and that after it everything is in the log, once and in order.

use rdkafka::types::RDKafkaApiKey::{InitProducerId, Metadata, Produce};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as E};

use super::{events, insist, sink};
use crate::sink::Outcome;
use crate::sink::kafka::testing::{Mock, account, each_in_a_runtime};
use crate::sink::testing::Encoded;

/// What comes of an error before all is sent.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// librdkafka sends again by itself.
    Sent,
    /// The batch comes again, with this in the cause.
    Retry(&'static str),
    /// Somebody has to mend something, with this in the cause.
    Blocked(&'static str),
    /// It is the event's fault, with this in the cause.
    Refused(&'static str),
}

const CASES: &[(RDKafkaApiKey, E, Then)] = &[
    (Produce, E::RD_KAFKA_RESP_ERR__TRANSPORT, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_INVALID_MSG, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, Then::Sent),
    (InitProducerId, E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, Then::Sent),
    (InitProducerId, E::RD_KAFKA_RESP_ERR_UNKNOWN, Then::Sent),
    (Metadata, E::RD_KAFKA_RESP_ERR_UNKNOWN, Then::Sent),
    (Produce, E::RD_KAFKA_RESP_ERR_UNKNOWN, Then::Retry("Unknown broker error")),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        Then::Retry("the brokers lost track of what was sent to topic audit"),
    ),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        Then::Retry("the brokers lost track of what was sent to topic audit"),
    ),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
        Then::Retry("Throttling quota has been exceeded"),
    ),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        Then::Retry("topic audit takes less at once than was sent (max.message.bytes)"),
    ),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        Then::Blocked("may not write to topic audit: grant it the operation Write"),
    ),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        Then::Blocked("IdempotentWrite on the cluster"),
    ),
    (
        InitProducerId,
        E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        Then::Blocked("IdempotentWrite on the cluster"),
    ),
    (Produce, E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Then::Blocked("a policy of the brokers")),
    (
        Produce,
        E::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
        Then::Blocked("choose another (`compression:`)"),
    ),
    (Produce, E::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, Then::Blocked("acks=all")),
    (Produce, E::RD_KAFKA_RESP_ERR_INVALID_RECORD, Then::Refused("takes none without a key")),
    (Produce, E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Then::Refused("`timestamp: ship`")),
];

#[test]
fn each_error_is_classified_and_after_it_everything_is_in_the_log_once_and_in_order() {
    each_in_a_runtime(CASES.len(), async |at| {
        let (request, error, then) = CASES[at];
        let case = format!("{request:?} {error:?} {then:?}");
        let mock = Mock::start();
        let sink = sink(&mock.settings());
        let batch = Encoded::of(&sink, &events(20));
        mock.cluster.request_errors(request, &[error]);
        let answers = insist(&sink, &batch, 5).await;
        match (then, answers.first()) {
            (Then::Sent, None) => {}
            (Then::Retry(words), Some(Outcome::Retry { cause, .. }))
            | (Then::Blocked(words), Some(Outcome::Blocked { cause }))
            | (Then::Refused(words), Some(Outcome::Refused { cause })) => {
                assert!(cause.contains(words), "{case}: {cause}");
            }
            _ => panic!("{case}: {answers:?}"),
        }
        let all = (1..=20).collect();
        assert_eq!(account(&mock.log()), Ok((all, 0)), "{case}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_calls_a_repeat_is_there() {
    let mock = Mock::start();
    let sink = sink(&mock.settings());
    let batch = Encoded::of(&sink, &events(20));
    mock.fail_produce(&[E::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER; 2]);
    let answers = insist(&sink, &batch, 1).await;
    assert_eq!(answers, []);
}
