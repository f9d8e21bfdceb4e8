//! What an error of librdkafka or of a broker means for the events it met, in the operator's words.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::client::Trouble;
use super::connect::Unknown;
use super::topic::{Limits, Partition, Topic};
use crate::sink::Outcome;

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Send again.
    Again,
    /// The event, or the broker thinks so.
    Refused,
    /// The event is larger than the topic takes, or the batch librdkafka put it in.
    TooLarge,
    /// Somebody has to mend something.
    Blocked,
}

/// Of an event that was reported as not delivered. Whatever is not known is tried again: nothing is
/// put aside for a reason that is not the event's.
#[must_use]
pub fn class(code: Code) -> Class {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Class::TooLarge,
        Code::InvalidRecord | Code::InvalidTimestamp => Class::Refused,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::Authentication
        | Code::SSL
        | Code::SecurityDisabled
        | Code::PolicyViolation
        | Code::InvalidRequiredAcks
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::UnsupportedCompressionType => Class::Blocked,
        _ => Class::Again,
    }
}

/// Whether a broker said it, rather than librdkafka, which often only says what follows for others.
#[must_use]
pub fn is_said(code: Code) -> bool {
    code as i32 >= Code::Unknown as i32
}

/// What is wrong and what to do, for an error that came with events of this topic.
#[must_use]
pub fn words(code: Code, topic: &str) -> String {
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => format!(
            "there is no topic {topic}, or this user may not see it: create it, or grant the \
             operation Describe on it"
        ),
        Code::UnknownPartition => {
            format!("topic {topic} has fewer partitions than before: was it made anew?")
        }
        Code::InvalidTopic => format!("the brokers do not take {topic} as the name of a topic"),
        Code::TopicAuthorizationFailed => format!(
            "this user may not write to topic {topic}: grant it the operation Write on the topic"
        ),
        Code::ClusterAuthorizationFailed => format!(
            "this user may not write idempotently: grant it the operation Write on topic {topic}, \
             or IdempotentWrite on the cluster where the brokers are older than 2.8"
        ),
        Code::PolicyViolation => {
            format!("a policy of the brokers refuses records for topic {topic}")
        }
        Code::InvalidRecord => format!(
            "topic {topic} refuses the record as invalid; a compacted topic takes none without a \
             key (`key:`)"
        ),
        Code::InvalidTimestamp => format!(
            "the time of the event is out of what topic {topic} takes \
             (message.timestamp.before.max.ms, message.timestamp.after.max.ms); `timestamp: ship` \
             sends the time of sending"
        ),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            format!("larger than topic {topic} takes (max.message.bytes)")
        }
        Code::UnsupportedCompressionType | Code::UnsupportedForMessageFormat => {
            "the brokers do not know this compression: choose another (`compression:`)".to_owned()
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "the brokers do not accept these credentials (`sasl:`)".to_owned()
        }
        Code::UnsupportedSASLMechanism => {
            "the brokers do not know this SASL mechanism on this port (`sasl.mechanism`)".to_owned()
        }
        Code::OutOfOrderSequenceNumber | Code::UnknownProducerId | Code::InvalidProducerEpoch => {
            format!(
                "the brokers lost track of what was sent to topic {topic}, as when it was made \
                 anew ({code}): a new producer sends it again"
            )
        }
        Code::InvalidRequiredAcks => {
            format!("topic {topic} does not take what waits for all replicas (acks=all)")
        }
        Code::PurgeQueue | Code::PurgeInflight | Code::Fatal | Code::GaplessGuarantee => {
            "events before these were not delivered; all of them are sent again, in order"
                .to_owned()
        }
        // What librdkafka says of the others is said to whoever looks deeper.
        code => format!("topic {topic}: {code}"),
    }
}

/// Of an error that librdkafka tells of a connection: whether somebody has to mend something, and
/// what is wrong, followed by what librdkafka says.
#[must_use]
pub fn trouble(code: Code, said: &str) -> (bool, String) {
    const TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token: ";
    const NO_PRODUCER_ID: &str = "Broker: Cluster authorization failed";
    let is_refused_certificate = said.contains("SSL alert number") && said.contains("certificate");
    let what = match code {
        Code::Authentication | Code::SaslAuthenticationFailed => match said.strip_prefix(TOKEN) {
            Some(said) => {
                let advice = "see `sasl.token_url`, `sasl.client_id` and `sasl.client_secret`";
                return (true, format!("no token can be had ({advice}): {said}"));
            }
            None => "the brokers do not accept these credentials (`sasl:`)",
        },
        // Codes do not tell whose certificate it is; a refusal of ours comes as a lost connection.
        _ if is_refused_certificate => {
            "the broker does not accept the certificate of this client, or wants one \
             (`tls.cert_file`)"
        }
        Code::SSL if said.contains("certificate verify failed") => {
            "the broker's certificate is not accepted: it has expired, or is for another host than \
             `brokers` say, or its authority is not in `tls.ca_file`"
        }
        Code::SSL if said.contains("wrong version number") => {
            "no TLS connection (`tls:`); what answers on this port speaks something else"
        }
        Code::SSL => "no TLS connection (`tls:`)",
        // The end of the producer: the code of its cause is in the words alone.
        Code::Fatal if said.ends_with(NO_PRODUCER_ID) => {
            "this user may not write to any topic: grant it the operation Write on the topic, or \
             IdempotentWrite on the cluster where the brokers are older than 2.8"
        }
        _ => return (false, said.to_owned()),
    };
    (true, format!("{what}: {said}"))
}

/// Why nothing is acknowledged, by what the brokers say of the topic; where they say nothing that
/// explains it, by the `trouble` of a connection.
#[must_use]
pub fn stall(
    topic: &str,
    described: Result<Topic, Unknown>,
    limits: Option<Limits>,
    throttled_ms: u64,
    trouble: Option<String>,
) -> Outcome {
    let retry = |cause| Outcome::Retry { cause, after: None };
    let known = match described {
        Ok(known) => known,
        Err(Unknown::Unreachable(Trouble { is_blocked: true, cause, .. })) => {
            return Outcome::Blocked { cause };
        }
        Err(Unknown::Unreachable(Trouble { cause, .. })) => return retry(cause),
        Err(Unknown::Said(code)) => {
            // Asked anew, on a connection of its own.
            let cause = match code {
                Code::OperationTimedOut | Code::RequestTimedOut => trouble.unwrap_or_else(|| {
                    "the brokers do not answer: they hang, or the network swallows what is sent"
                        .to_owned()
                }),
                code => words(code, topic),
            };
            return match class(code) {
                Class::Blocked => Outcome::Blocked { cause },
                _ => retry(cause),
            };
        }
    };
    if known.may_write == Some(false) {
        return Outcome::Blocked { cause: words(Code::TopicAuthorizationFailed, topic) };
    }
    let count = |is: &dyn Fn(&Partition) -> bool| {
        known.partitions.iter().filter(|partition| is(partition)).count()
    };
    let leaderless = count(&|partition| !partition.has_leader);
    if leaderless > 0 {
        let all = known.partitions.len();
        return retry(format!("topic {topic}: {leaderless} of {all} partitions have no leader"));
    }
    if let Some(Limits { in_sync_min, .. }) = limits {
        let lacking = count(&|partition| partition.in_sync < in_sync_min);
        if lacking > 0 {
            return retry(too_few_in_sync(topic, lacking, in_sync_min));
        }
    }
    if throttled_ms > 0 {
        return retry(format!(
            "the brokers hold shipper back by a quota, by up to {throttled_ms} ms a request"
        ));
    }
    retry(trouble.unwrap_or_else(|| {
        format!(
            "topic {topic}: the brokers answer but acknowledge nothing; too few may be up to agree \
             with each other, see their logs"
        )
    }))
}

/// A topic that takes nothing since replicas are missing.
#[must_use]
pub fn too_few_in_sync(topic: &str, partitions: usize, in_sync_min: usize) -> String {
    format!(
        "topic {topic}: {partitions} partitions have fewer than {in_sync_min} replicas in sync \
         (min.insync.replicas) and take nothing until more brokers are back"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Partition = Partition { has_leader: true, in_sync: 2, replicas: 2 };

    fn told(known: Topic, in_sync_min: usize, throttled_ms: u64) -> Outcome {
        let limits = Limits { message_bytes_max: 1_000_000, in_sync_min };
        stall("audit", Ok(known), Some(limits), throttled_ms, None)
    }

    fn cause(outcome: Outcome) -> String {
        match outcome {
            Outcome::Retry { cause, after: None } => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_known_is_tried_again_and_only_an_event_at_fault_is_refused() {
        for code in -1..200 {
            let Ok(code) = rdkafka::types::RDKafkaRespErr::try_from(code) else { continue };
            let code = Code::from(code);
            let refused = matches!(code, Code::InvalidRecord | Code::InvalidTimestamp);
            assert_eq!(class(code) == Class::Refused, refused, "{code:?}");
        }
        assert_eq!(class(Code::Unknown), Class::Again);
        assert!(is_said(Code::Unknown) && is_said(Code::RequestTimedOut));
        assert!(!is_said(Code::PurgeQueue) && !is_said(Code::Fatal));
    }

    #[test]
    fn all_that_is_blocked_has_words_of_its_own() {
        for code in [
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::UnknownPartition,
            Code::InvalidTopic,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::SaslAuthenticationFailed,
            Code::UnsupportedSASLMechanism,
            Code::PolicyViolation,
            Code::InvalidRequiredAcks,
            Code::UnsupportedCompressionType,
        ] {
            assert_eq!(class(code), Class::Blocked, "{code:?}");
            assert!(!words(code, "audit").contains(&format!("{code:?}")), "{code:?}");
        }
    }

    #[test]
    fn a_stall_is_explained_by_the_first_thing_that_is_wrong() {
        let topic = |partition| Topic { partitions: vec![WELL, partition], may_write: Some(true) };
        let leaderless = topic(Partition { has_leader: false, in_sync: 0, ..WELL });
        assert_eq!(cause(told(leaderless, 2, 9)), "topic audit: 1 of 2 partitions have no leader");
        let lacking = topic(Partition { in_sync: 1, ..WELL });
        assert!(cause(told(lacking.clone(), 2, 9)).contains("fewer than 2 replicas in sync"));
        assert!(cause(told(lacking.clone(), 1, 9)).contains("by a quota, by up to 9 ms"));
        assert!(cause(told(lacking, 1, 0)).contains("acknowledge nothing"));
        let forbidden = Topic { may_write: Some(false), ..topic(WELL) };
        let Outcome::Blocked { cause: words } = told(forbidden, 1, 0) else { panic!("a right") };
        assert!(words.contains("grant it the operation Write"));
    }

    #[test]
    fn a_stall_without_an_answer_is_what_is_wrong_with_the_connection() {
        let unreachable = Unknown::Unreachable(Trouble {
            is_blocked: false,
            cause: "refused".to_owned(),
            told: std::time::Instant::now(),
        });
        assert_eq!(cause(stall("audit", Err(unreachable), None, 0, None)), "refused");
        let unknown = Unknown::Said(Code::UnknownTopicOrPartition);
        let outcome = stall("audit", Err(unknown), None, 0, None);
        assert!(matches!(outcome, Outcome::Blocked { .. }), "{outcome:?}");
    }

    #[test]
    fn what_somebody_has_to_mend_is_told_from_a_connection_that_was_lost() {
        let verify =
            "b: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed";
        let alert = "b: Receive failed: error:0A000416:SSL routines::sslv3 alert certificate \
                     unknown: SSL alert number 46";
        let no_id = "Failed to acquire idempotence PID from broker b: Broker: Cluster \
                     authorization failed";
        let token = "Failed to acquire SASL OAUTHBEARER token: no route";
        for (code, said, words) in [
            (Code::Authentication, "b: invalid", "(`sasl:`): b: invalid"),
            (Code::Authentication, token, "`sasl.client_secret`): no route"),
            (Code::SSL, verify, "it has expired"),
            (Code::SSL, "b: Disconnected", "no TLS connection"),
            (Code::SSL, "b: SSL routines::wrong version number", "speaks something else"),
            (Code::BrokerTransportFailure, alert, "`tls.cert_file`"),
            (Code::Fatal, no_id, "grant it the operation Write"),
        ] {
            let (is_blocked, cause) = trouble(code, said);
            assert!(is_blocked && cause.contains(words), "{cause}");
        }
        for code in [Code::BrokerTransportFailure, Code::AllBrokersDown, Code::Fatal] {
            assert_eq!(trouble(code, "b: gone"), (false, "b: gone".to_owned()));
        }
    }
}
