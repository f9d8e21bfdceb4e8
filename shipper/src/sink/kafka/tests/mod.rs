//! The sink on librdkafka's mock cluster, which answers what a real broker does not on demand.

#![allow(clippy::unwrap_used, clippy::panic)]

mod errors;
mod order;

use std::time::Duration;

use super::KafkaSink;
use crate::config::settings::{Concurrency, DeliverySettings, KafkaSettings, RateLimit};
use crate::event::Event;
use crate::sink::testing::Encoded;
use crate::sink::{Outcome, Sink as _};

/// Numbered from 1 on, as their records are.
fn events(count: u64) -> Vec<Event> {
    crate::sink::testing::events(1..count + 1, "web-1")
}

fn delivery() -> DeliverySettings {
    DeliverySettings {
        batch_events_max: 1_000,
        batch_bytes_max: 1 << 20,
        linger: Duration::from_millis(50),
        retry_initial: Duration::from_millis(10),
        retry_max: Duration::from_millis(20),
        concurrency: Concurrency::Fixed(4),
        rate_limit: RateLimit::default(),
        when: None,
        quarantine_bytes_max: 1 << 20,
    }
}

fn sink(settings: &KafkaSettings) -> KafkaSink {
    KafkaSink::new(settings, &delivery()).unwrap()
}

/// Sends a batch until it is sent, at most so often; the answers before that.
async fn insist(sink: &KafkaSink, batch: &Encoded, times_max: usize) -> Vec<Outcome> {
    let mut answers = Vec::new();
    for _ in 0..times_max {
        match sink.send(batch.batch()).await {
            Outcome::Sent { .. } => return answers,
            outcome => answers.push(outcome),
        }
    }
    panic!("it is not sent: {answers:?}")
}
