//! Whether the brokers can be reached, know the topic, and would take what is sent: what
//! `shipper validate --connect` says. Nothing is written and no topic is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::client::{Context, Shared, Trouble};
use super::properties::{self, ClientError};
use super::record::OVERHEAD_BYTES;
use super::topic::{self, Limits, Topic};
use super::verdict::{self, Class};
use super::{KafkaSinkError, Layout};
use crate::config::settings::{KafkaSettings, SaslSettings};
use crate::sink::Finding;

/// How long the brokers may take for each question.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a connection failed another broker may answer.
const TROUBLE_PATIENCE: Duration = Duration::from_secs(3);

/// Below this most events do not fit, whatever is cut: an ECS object without arguments and with a few
/// ancestors has some 4 KB.
const EVENT_BYTES_MIN: usize = 8 << 10;

/// A client that asks, and what it hears of its connection.
pub struct Asker {
    config: ClientConfig,
    /// A producer, since that serves the errors of its connection by itself.
    client: ThreadedProducer<Context>,
    shared: Arc<Shared>,
}

impl Asker {
    /// # Errors
    /// As for a producer.
    pub fn new(settings: &KafkaSettings) -> Result<Asker, ClientError> {
        let (config, _) = properties::config(settings)?;
        let shared = Arc::new(Shared::new());
        let client =
            config.create_with_context(Context(shared.clone())).map_err(properties::refused)?;
        Ok(Asker { config, client, shared })
    }

    /// As [`topic::describe`]; comes back early when a login is refused, or when a connection fails
    /// and no other broker answers in time.
    ///
    /// # Errors
    /// The code, or what is wrong with the connection.
    pub fn describe(
        &self,
        topic: &str,
        patience: Duration,
        trouble_patience: Duration,
    ) -> Result<Topic, Unknown> {
        let begun = Instant::now();
        let is_hopeless = || {
            let trouble = self.shared.trouble();
            trouble.is_some_and(|trouble| trouble.is_blocked || begun.elapsed() >= trouble_patience)
        };
        let described = topic::describe(self.client.client(), topic, patience, is_hopeless);
        described.map_err(|code| match (self.shared.trouble(), verdict::class(code)) {
            (Some(trouble), Class::Again) => Unknown::Unreachable(trouble),
            _ => Unknown::Said(code),
        })
    }

    /// As [`topic::limits`].
    ///
    /// # Errors
    /// The code.
    pub async fn limits(&self, topic: &str, patience: Duration) -> Result<Limits, Code> {
        topic::limits(&self.config, topic, patience).await
    }
}

/// Why nothing is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No broker answers, for this reason.
    Unreachable(Trouble),
    /// The brokers say so.
    Said(Code),
}

/// Asks the brokers. Takes half a minute at most.
pub async fn check(settings: &KafkaSettings) -> Vec<Finding> {
    match try_check(settings).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::bad(error.to_string())],
    }
}

async fn try_check(settings: &KafkaSettings) -> Result<Vec<Finding>, KafkaSinkError> {
    let layout = Layout::new(settings)?;
    let asker = tokio::task::block_in_place(|| Asker::new(settings))?;
    // A topic that cannot be told before there is an event: any name shows whether they answer.
    let name = layout.fixed_topic().unwrap_or("shipper");
    let described =
        tokio::task::block_in_place(|| asker.describe(name, PATIENCE, TROUBLE_PATIENCE));
    let brokers = settings.brokers.join(", ");
    let connected = Finding::good(format!("connected to {brokers}, {}", security(settings)));
    let topic = match (described, layout.fixed_topic()) {
        (Err(Unknown::Unreachable(Trouble { cause, .. })), _) => {
            return Ok(vec![Finding::bad(format!("cannot connect to {brokers}: {cause}"))]);
        }
        (Err(Unknown::Said(Code::OperationTimedOut)), _) => {
            // As a web server does, or a port that wants TLS and hears none.
            let kind = if settings.tls.is_some() { "with" } else { "without" };
            return Ok(vec![Finding::bad(format!(
                "{brokers}: no answer within {PATIENCE:?}; is it the port of a Kafka broker, and \
                 one {kind} TLS (`tls:`)?"
            ))]);
        }
        (_, None) => {
            let note = format!(
                "the topic depends on the event ({}): whether it is there is seen when one is sent",
                settings.topic
            );
            return Ok(vec![connected, Finding::note(note)]);
        }
        (Err(Unknown::Said(code)), Some(name)) => {
            return Ok(vec![connected, Finding::bad(verdict::words(code, name))]);
        }
        (Ok(topic), Some(_)) => topic,
    };
    let limits = asker.limits(name, PATIENCE).await;
    let mut findings = vec![connected];
    partitions(name, &topic, limits.ok(), &mut findings);
    findings.push(match topic.may_write {
        Some(true) => Finding::good(format!("may write to {name}")),
        Some(false) => Finding::bad(verdict::words(Code::TopicAuthorizationFailed, name)),
        None => Finding::note("the brokers do not tell whether this user may write".to_owned()),
    });
    findings.push(sizes(name, limits, properties::message_bytes_max(settings)));
    Ok(findings)
}

fn security(settings: &KafkaSettings) -> String {
    let transport = match &settings.tls {
        None => "not encrypted",
        Some(tls) if tls.cert_file.is_some() => "TLS with a client certificate",
        Some(_) => "TLS",
    };
    match &settings.sasl {
        None => transport.to_owned(),
        Some(SaslSettings::Password { mechanism, username, .. }) => {
            format!("{transport}, as {username} ({})", mechanism.as_str())
        }
        Some(SaslSettings::OAuthBearer { client_id, .. }) => {
            format!("{transport}, as {client_id} (OAUTHBEARER)")
        }
    }
}

fn partitions(name: &str, topic: &Topic, limits: Option<Limits>, findings: &mut Vec<Finding>) {
    let count = topic.partitions.len();
    let replicas = topic.partitions.iter().map(|partition| partition.replicas).min().unwrap_or(0);
    let leaderless = topic.partitions.iter().filter(|partition| !partition.has_leader).count();
    let plural = if count == 1 { "partition" } else { "partitions" };
    findings.push(if leaderless == 0 {
        Finding::good(format!("topic {name}: {count} {plural}, replicated {replicas} times"))
    } else {
        Finding::bad(format!("topic {name}: {leaderless} of {count} {plural} have no leader"))
    });
    let Some(limits) = limits else { return };
    let lacking =
        topic.partitions.iter().filter(|partition| partition.in_sync < limits.in_sync_min).count();
    if lacking > 0 {
        findings.push(Finding::bad(verdict::too_few_in_sync(name, lacking, limits.in_sync_min)));
    } else if limits.in_sync_min < 2 {
        findings.push(Finding::note(format!(
            "topic {name}: min.insync.replicas is {}: an event may count as delivered when one \
             broker has it, and go with that broker",
            limits.in_sync_min
        )));
    }
}

fn sizes(name: &str, limits: Result<Limits, Code>, message_bytes_max: usize) -> Finding {
    match limits {
        Err(code) => Finding::note(format!(
            "how large a record may be is not told to this user ({code}): grant it the operation \
             DescribeConfigs on topic {name} to see it here"
        )),
        Ok(limits) => {
            let most = limits.message_bytes_max.min(message_bytes_max);
            let most = most.saturating_sub(OVERHEAD_BYTES);
            let said = format!(
                "topic {name} takes {} bytes at once; of an event larger than {most} bytes, \
                 arguments are cut",
                limits.message_bytes_max
            );
            if most < EVENT_BYTES_MIN {
                return Finding::bad(format!(
                    "topic {name} takes {} bytes at once, which is less than most events have with \
                     all their arguments cut: raise its max.message.bytes, to 1048588 for instance",
                    limits.message_bytes_max
                ));
            }
            // The longest argv that is kept, as JSON, with those of the ancestors.
            if limits.message_bytes_max < 256 << 10 {
                Finding::note(said)
            } else {
                Finding::good(said)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Grade;

    #[test]
    fn a_topic_that_takes_too_little_is_told_before_events_are_put_aside() {
        let grade = |message_bytes_max| {
            let limits = Limits { message_bytes_max, in_sync_min: 1 };
            sizes("audit", Ok(limits), 1_000_000).grade
        };
        assert_eq!(grade(0), Grade::Bad);
        assert_eq!(grade(2_200), Grade::Bad);
        assert_eq!(grade(100_000), Grade::Note);
        assert_eq!(grade(1_048_588), Grade::Good);
    }
}
