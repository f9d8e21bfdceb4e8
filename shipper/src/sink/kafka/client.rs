//! The producer of librdkafka: made from the settings, and what it calls back.
//!
//! Idempotent, with acks of all in-sync replicas, and with a fatal error instead of a gap: so within
//! a partition events are in the log in the order of the spool, once, for as long as one producer
//! lives. Messages never time out in it; how long is too long is decided by whoever waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::ledger::Ledger;
use super::properties::{self, ClientError, Fingerprint};
use super::statistics::Statistics;
use super::verdict;
use crate::config::settings::{DeliverySettings, KafkaSettings};

/// How long what is wrong counts as wrong after librdkafka told it: it repeats itself every thirty
/// seconds, however often it tries.
const TROUBLE_MEMORY: Duration = Duration::from_secs(35);

/// What is wrong with the connection, as far as librdkafka tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Somebody has to mend something: credentials, certificates.
    pub is_blocked: bool,
    /// What is wrong, in the operator's words, and what librdkafka said.
    pub cause: String,
    /// When it was told last.
    pub told: Instant,
}

/// What the callbacks leave for the calls that wait.
pub struct Shared {
    /// Where each event is.
    pub ledger: Ledger,
    /// An event was not delivered, or the producer is at its end: nothing more may be handed to it,
    /// or what was not delivered would come after what was.
    pub is_spent: AtomicBool,
    /// The last thing that went wrong since something was acknowledged.
    trouble: Mutex<Option<Trouble>>,
    /// Of the last interval.
    statistics: Mutex<Statistics>,
}

impl Shared {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Shared {
        Shared {
            ledger: Ledger::new(),
            is_spent: AtomicBool::new(false),
            trouble: Mutex::new(None),
            statistics: Mutex::default(),
        }
    }

    /// What is wrong, if anything is.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What librdkafka counted last; names end in their units.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).figures()
    }

    /// Longest pause that a quota asked for lately, in milliseconds.
    #[must_use]
    pub fn throttled_max_ms(&self) -> u64 {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).throttled_max_ms()
    }

    /// Forgets what was wrong.
    pub fn clear_trouble(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Forgets what librdkafka would have told again by now.
    pub fn clear_old_trouble(&self) {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|held| held.told.elapsed() >= TROUBLE_MEMORY);
    }

    /// Takes note of something wrong, unless something is known already that says more.
    pub fn note(&self, code: Code, trouble: Trouble) {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down says less than why one is, and that a connection was lost less
        // than why a login was refused.
        let says_less = code == Code::AllBrokersDown
            || held.as_ref().is_some_and(|held| held.is_blocked && !trouble.is_blocked);
        if held.is_none() || !says_less {
            *held = Some(trouble);
        }
    }
}

/// Called by librdkafka's threads.
pub struct Context(pub Arc<Shared>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn stats_raw(&self, json: &[u8]) {
        match serde_json::from_slice(json) {
            Ok(statistics) => {
                let mut held = self.0.statistics.lock().unwrap_or_else(PoisonError::into_inner);
                *held = statistics;
            }
            Err(error) => tracing::debug!(%error, "statistics of librdkafka cannot be read"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        tracing::debug!(%error, reason, "librdkafka reports an error");
        if code == Code::Fatal {
            self.0.is_spent.store(true, Ordering::Release);
        }
        let (is_blocked, cause) = verdict::trouble(code, plain(reason));
        self.0.note(code, Trouble { is_blocked, cause, told: Instant::now() });
    }
}

/// Without what librdkafka appends about itself: `(after 0ms in state CONNECT)`.
fn plain(reason: &str) -> &str {
    reason.split_once(" (after ").map_or(reason, |(plain, _)| plain)
}

impl ProducerContext for Context {
    /// Number of the record.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let report = match result {
            Ok(_) => {
                self.0.clear_trouble();
                Ok(())
            }
            Err((error, _)) => {
                self.0.is_spent.store(true, Ordering::Release);
                Err(error.rdkafka_error_code().unwrap_or(Code::Unknown))
            }
        };
        self.0.ledger.report(number as u64, report);
    }
}

/// A producer, and what it was made from.
pub struct Client {
    /// The producer.
    pub producer: ThreadedProducer<Context>,
    /// Of the secrets and files it was made with.
    pub fingerprint: Fingerprint,
}

impl Client {
    /// A producer that begins to connect. `batch_bytes_max` bounds what is sent as one set of
    /// messages.
    ///
    /// # Errors
    /// When a file or secret cannot be read or librdkafka refuses the settings.
    pub fn new(
        settings: &KafkaSettings,
        delivery: &DeliverySettings,
        batch_bytes_max: Option<usize>,
        shared: &Arc<Shared>,
    ) -> Result<Client, ClientError> {
        let (mut config, fingerprint) = properties::config(settings)?;
        properties::bound_queue(&mut config, settings, delivery);
        if let Some(bytes_max) = batch_bytes_max {
            config.set("batch.size", bytes_max.to_string());
        }
        let producer =
            config.create_with_context(Context(shared.clone())).map_err(properties::refused)?;
        Ok(Client { producer, fingerprint })
    }

    /// Ends it. What is still in its queues is reported as not delivered; what was sent has
    /// `patience` to be answered.
    pub fn end(self, patience: Duration) {
        self.producer.purge(PurgeConfig::default().queue());
        if let Err(error) = self.producer.flush(patience) {
            tracing::debug!(%error, "the brokers did not answer for all that was sent");
        }
        // Dropping it purges what is in flight too.
    }
}
