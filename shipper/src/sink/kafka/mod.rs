//! The Kafka sink: each event one record, acknowledged when all in-sync replicas have it.
//!
//! - `options`, `properties`: what librdkafka is told
//! - `client`: the producer, and what it calls back
//! - `record`: topic, key, headers and value of an event
//! - `ledger`: where each event is: with librdkafka, acknowledged, failed
//! - `verdict`: what an error means
//! - `topic`: what the brokers say about a topic
//! - `connect`: `shipper validate --connect`
//!
//! Order: within a partition the log has the events in the order of the spool. librdkafka keeps the
//! order of what it was handed and repeats without doubling; it ends with a fatal error rather than
//! leave a gap. So with the first event that fails the producer is spent: what is under way is
//! waited for, a new one is made, and everything that is not acknowledged is handed to it again, in
//! order: an event before which another one has failed is not taken, and only for the oldest event
//! a new one is made. An event whose fate was not known then may be there twice, with the same event
//! id.
//!
//! A batch that comes to no end in time (the brokers are away) is given back, but stays with
//! librdkafka, which goes on trying; when the batch comes again it is only waited for.

mod client;
mod connect;
mod ledger;
mod options;
mod properties;
mod record;
mod statistics;
mod topic;
mod verdict;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::client::{Client, Shared, Trouble};
use self::connect::{Asker, Unknown};
use self::ledger::Waiter;
use self::record::{Layout, OVERHEAD_BYTES, Record};
use self::verdict::Class;
use super::{Batch, Outcome, Sink};
use crate::config::settings::{DeliverySettings, KafkaSettings};
use crate::event::Event;

pub use self::connect::check as check_connection;
pub use self::options::check as check_option;

/// How often a call that waits looks at what it is not told of.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long nothing may be acknowledged after a refused login or a failed handshake, before that is
/// told: another broker may be well.
const BLOCKED_PATIENCE: Duration = Duration::from_secs(1);

/// The same after a lost connection: librdkafka connects again at once, and then more slowly.
const TROUBLE_PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing may be acknowledged with nothing known to be wrong.
const STALL_PATIENCE: Duration = Duration::from_secs(15);

/// How long a producer that is given up may wait for the answer to what it has sent.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// How long the brokers may take to say what they know of a topic.
const ASK_PATIENCE: Duration = Duration::from_secs(5);

/// How long another one may take when a connection fails meanwhile.
const TROUBLE_ASK_PATIENCE: Duration = Duration::from_secs(1);

/// Least bytes of a set of messages when the limit of the topic cannot be had and is searched.
const BATCH_BYTES_MIN: usize = 16 << 10;

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum KafkaSinkError {
    /// librdkafka does not take the settings.
    #[error(transparent)]
    Client(#[from] properties::ClientError),
    /// `topic` is no template.
    #[error(transparent)]
    Topic(#[from] crate::format::template::TemplateError),
}

/// Delivers to Kafka.
pub struct KafkaSink {
    settings: KafkaSettings,
    delivery: DeliverySettings,
    layout: Layout,
    shared: Arc<Shared>,
    /// Held while events are handed over, so that they are in order.
    client: Mutex<Option<Client>>,
    /// Largest record that librdkafka takes, in bytes.
    message_bytes_max: usize,
    /// Most bytes of a set of messages, once a topic refused one; 0 is librdkafka's own limit.
    batch_bytes_max: AtomicUsize,
}

impl KafkaSink {
    /// A sink that connects with its first batch.
    ///
    /// # Errors
    /// What librdkafka says against the settings. Secrets and files are read later, when they are
    /// needed: while one cannot be read the sink is held, and capture goes on.
    pub fn new(
        settings: &KafkaSettings,
        delivery: &DeliverySettings,
    ) -> Result<KafkaSink, KafkaSinkError> {
        properties::check(settings, delivery)?;
        Ok(KafkaSink {
            layout: Layout::new(settings)?,
            settings: settings.clone(),
            delivery: delivery.clone(),
            shared: Arc::new(Shared::new()),
            client: Mutex::new(None),
            message_bytes_max: properties::message_bytes_max(settings),
            batch_bytes_max: AtomicUsize::new(0),
        })
    }

    /// A producer that may be handed events from this number on, made anew where the last one is
    /// spent or has outdated credentials.
    async fn ready<'a>(
        &self,
        held: &'a mut Option<Client>,
        first: u64,
        topic: &str,
    ) -> Result<&'a Client, Outcome> {
        if let Some(client) = held
            && (self.shared.is_spent.load(Ordering::Acquire) || self.is_outdated(client))
        {
            // All before it must go to the new one first, and what of them failed is known only at
            // the end of the old one.
            if self.shared.ledger.is_open_before(first) {
                return Err(self.again(Some(client), Code::PurgeQueue, topic));
            }
            if let Some(client) = held.take() {
                tokio::task::block_in_place(|| client.end(DRAIN_PATIENCE));
            }
            // Those never answered for may be in the log, or not.
            self.shared.ledger.give_up(Code::PurgeInflight);
        }
        if held.is_none() {
            self.shared.is_spent.store(false, Ordering::Release);
            self.shared.clear_trouble();
            let bytes_max = match self.batch_bytes_max.load(Ordering::Relaxed) {
                0 => None,
                bytes_max => Some(bytes_max),
            };
            let made = tokio::task::block_in_place(|| {
                Client::new(&self.settings, &self.delivery, bytes_max, &self.shared)
            });
            match made {
                Ok(client) => *held = Some(client),
                Err(error) => return Err(Outcome::Blocked { cause: error.to_string() }),
            }
        }
        Ok(held.as_ref().expect("it was just made, if it was not there"))
    }

    /// Events that failed with this code, which is not theirs to mend, or come after such.
    fn again(&self, client: Option<&Client>, code: Code, topic: &str) -> Outcome {
        let fatal = client.and_then(|client| client.producer.client().fatal_error());
        let fatal = fatal.map(|(code, _)| code);
        let said = [Some(code), fatal].into_iter().flatten().find(|code| verdict::is_said(*code));
        let cause = match (said, self.shared.trouble()) {
            (Some(code), _) if verdict::class(code) == Class::Blocked => {
                return Outcome::Blocked { cause: verdict::words(code, topic) };
            }
            (Some(code), _) => verdict::words(code, topic),
            (None, Some(Trouble { is_blocked: true, cause, .. })) => {
                return Outcome::Blocked { cause };
            }
            (None, Some(trouble)) => trouble.cause,
            (None, None) => verdict::words(code, topic),
        };
        Outcome::Retry { cause, after: None }
    }

    /// Whether the connection fails, and the secrets or certificates are others by now. A certificate
    /// that a broker refuses may look like any lost connection.
    fn is_outdated(&self, client: &Client) -> bool {
        self.shared.trouble().is_some()
            && properties::config(&self.settings)
                .is_ok_and(|(_, fingerprint)| fingerprint != client.fingerprint)
    }

    /// Most bytes of a set of messages.
    fn at_once(&self) -> usize {
        match self.batch_bytes_max.load(Ordering::Relaxed) {
            0 => self.message_bytes_max,
            bytes_max => bytes_max,
        }
    }

    /// An event that librdkafka would not take, or that should be in a set of messages by itself.
    fn too_large(&self, batch: Batch<'_>) -> Option<Outcome> {
        let largest = batch.events().map(|(_, bytes)| bytes.len()).max()? + OVERHEAD_BYTES;
        let at_once = self.at_once();
        let cause = || format!("an event of {largest} bytes with its headers");
        if largest > self.message_bytes_max {
            let bytes_max = self.message_bytes_max.saturating_sub(OVERHEAD_BYTES);
            let bytes_max = (batch.len() == 1).then_some(bytes_max);
            let cause =
                format!("{} is larger than message.max.bytes, {}", cause(), self.message_bytes_max);
            return Some(Outcome::TooLarge { cause, bytes_max });
        }
        // Alone it may be taken, since the limit is for what is compressed.
        (largest > at_once && batch.len() > 1)
            .then(|| Outcome::TooLarge { cause: cause(), bytes_max: None })
    }

    /// Where the first event of the batch goes, to be named for all of them.
    fn first_topic<'a>(&'a self, batch: Batch<'a>) -> &'a str {
        let (_, bytes) = batch.events().next().expect("a batch is never empty");
        self.layout.decode(bytes).expect("`encode` wrote it").topic
    }

    /// Hands over what of the batch is not with librdkafka already.
    async fn hand_over(&self, batch: Batch<'_>) -> Result<Arc<Waiter>, Outcome> {
        let mut held = self.client.lock().await;
        let first = batch.numbers().next().unwrap_or(0);
        if let Some(code) = self.shared.ledger.failed_before(first) {
            return Err(self.again(held.as_ref(), code, self.first_topic(batch)));
        }
        let client = self.ready(&mut held, first, self.first_topic(batch)).await?;
        let (waiter, places) = self.shared.ledger.expect(batch.numbers());
        let mut places = places.into_iter().peekable();
        for (place, (item, bytes)) in batch.events().enumerate() {
            if places.next_if_eq(&place).is_none() {
                continue;
            }
            let report = if self.shared.is_spent.load(Ordering::Acquire) {
                // An earlier one failed meanwhile: this one must not be before it.
                Some(Code::PurgeQueue)
            } else {
                let record = self.layout.decode(bytes).expect("`encode` wrote it");
                self.produce(client, item.id, item.number, &record).await
            };
            if let Some(code) = report {
                self.shared.is_spent.store(true, Ordering::Release);
                self.shared.ledger.report(item.number, Err(code));
            }
        }
        Ok(waiter)
    }

    /// Puts a record into librdkafka's queue. Returns why it could not.
    async fn produce(
        &self,
        client: &Client,
        id: crate::event::Id,
        number: u64,
        record: &Record<'_>,
    ) -> Option<Code> {
        let Record { topic, key, timestamp_ms, value } = *record;
        loop {
            let number = usize::try_from(number).expect("usize has 64 bits where shipper runs");
            let mut message: BaseRecord<'_, [u8], [u8], usize> =
                BaseRecord::with_opaque_to(topic, number)
                    .payload(value)
                    .headers(self.layout.headers(id));
            message.key = key;
            message.timestamp = timestamp_ms;
            let Err((error, _)) = client.producer.send(message) else { return None };
            match error.rdkafka_error_code() {
                // The queue has room for all batches there can be, so this does not last.
                Some(Code::QueueFull) => tokio::time::sleep(Duration::from_millis(5)).await,
                code => return Some(code.unwrap_or(Code::Unknown)),
            }
        }
    }

    /// Waits for the end of every event, or until something is wrong for too long.
    async fn wait(&self, batch: Batch<'_>, waiter: &Waiter) -> Option<Outcome> {
        let begun = Instant::now();
        self.shared.clear_old_trouble();
        while !waiter.is_done() {
            let _ = tokio::time::timeout(LOOK_INTERVAL, waiter.changed()).await;
            let quiet = self.shared.ledger.progress().max(begun).elapsed();
            match self.shared.trouble() {
                Some(trouble) if trouble.is_blocked && quiet >= BLOCKED_PATIENCE => {
                    return Some(Outcome::Blocked { cause: trouble.cause });
                }
                Some(trouble) if quiet >= TROUBLE_PATIENCE => {
                    return Some(self.explain_stall(batch, Some(trouble.cause)).await);
                }
                _ if quiet >= STALL_PATIENCE => return Some(self.explain_stall(batch, None).await),
                _ => {}
            }
        }
        None
    }

    /// Every event is reported on.
    async fn settle(&self, batch: Batch<'_>) -> Outcome {
        let reports = self.shared.ledger.reports(batch.numbers());
        let failed = reports.iter().zip(batch.events()).filter_map(|(report, (item, bytes))| {
            let code = (*report)?.err()?;
            Some((verdict::class(code), code, item, bytes))
        });
        let worst = failed.max_by_key(|(class, code, ..)| (*class, verdict::is_said(*code)));
        let Some((class, code, _, bytes)) = worst else {
            self.shared.ledger.forget(batch.numbers());
            return Outcome::Sent { position: Vec::new() };
        };
        let topic = self.layout.decode(bytes).map_or("", |record| record.topic);
        let cause = verdict::words(code, topic);
        let outcome = match class {
            Class::Again => self.again(self.client.lock().await.as_ref(), code, topic),
            Class::Blocked => Outcome::Blocked { cause },
            Class::Refused => Outcome::Refused { cause },
            Class::TooLarge => self.settle_too_large(batch, topic, cause).await,
        };
        if matches!(outcome, Outcome::Refused { .. }) && batch.len() == 1 {
            // It is put aside and never comes again; nothing must wait for it. What is too large comes
            // shortened, and before all later ones.
            self.shared.ledger.forget(batch.numbers());
        }
        outcome
    }

    /// A topic refused a set of messages for its size: either the set can be smaller, or the one
    /// event in it is too large.
    async fn settle_too_large(&self, batch: Batch<'_>, topic: &str, cause: String) -> Outcome {
        let largest = batch.events().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        let used = self.at_once();
        let limit = match tokio::task::block_in_place(|| Asker::new(&self.settings)) {
            Ok(asker) => asker.limits(topic, ASK_PATIENCE).await.ok(),
            Err(_) => None,
        };
        let limit = match limit {
            Some(limits) => limits.message_bytes_max,
            None => (used / 2).max(BATCH_BYTES_MIN),
        };
        // Other batches may have found it meanwhile.
        if limit < self.at_once() {
            tracing::info!(topic, bytes_max = limit, "the topic takes less at once than was sent");
            self.batch_bytes_max.store(limit, Ordering::Relaxed);
        }
        if limit < used && largest + OVERHEAD_BYTES <= limit {
            let cause = format!(
                "topic {topic} takes less at once than was sent (max.message.bytes): no more than \
                 {limit} bytes are sent at once from now on"
            );
            return Outcome::Retry { cause, after: None };
        }
        let bytes_max = limit.min(largest).saturating_sub(OVERHEAD_BYTES);
        Outcome::TooLarge { cause, bytes_max: (batch.len() == 1).then_some(bytes_max) }
    }

    /// Nothing is acknowledged, and librdkafka says at most that one connection failed: the brokers
    /// that are up may say why.
    async fn explain_stall(&self, batch: Batch<'_>, trouble: Option<String>) -> Outcome {
        let topic = self.first_topic(batch);
        let asker = match tokio::task::block_in_place(|| Asker::new(&self.settings)) {
            Ok(asker) => asker,
            // A file that is just being replaced.
            Err(error) => {
                let cause = trouble.unwrap_or_else(|| error.to_string());
                return Outcome::Retry { cause, after: None };
            }
        };
        let said = tokio::task::block_in_place(|| {
            asker.describe(topic, ASK_PATIENCE, TROUBLE_ASK_PATIENCE)
        });
        let limits = match said {
            Ok(_) => asker.limits(topic, ASK_PATIENCE).await.ok(),
            Err(_) => None,
        };
        if let Err(Unknown::Unreachable(trouble)) = &said {
            // What the producer was told once it is not told again, such as that there is no token.
            self.shared.note(Code::NoError, trouble.clone());
        }
        let throttled_ms = self.shared.throttled_max_ms();
        verdict::stall(topic, said, limits, throttled_ms, trouble)
    }
}

#[async_trait::async_trait]
impl Sink for KafkaSink {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        self.layout.encode(event, out);
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        if let Some(too_large) = self.too_large(batch) {
            return too_large;
        }
        let waiter = match self.hand_over(batch).await {
            Ok(waiter) => waiter,
            Err(outcome) => return outcome,
        };
        match self.wait(batch, &waiter).await {
            Some(outcome) => outcome,
            None => self.settle(batch).await,
        }
    }

    fn put_aside(&self, number: u64) {
        self.shared.ledger.forget(std::iter::once(number));
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        self.shared.figures()
    }

    async fn close(&self) -> Result<(), std::io::Error> {
        if let Some(client) = self.client.lock().await.take() {
            tokio::task::block_in_place(|| client.end(Duration::ZERO));
        }
        Ok(())
    }
}
