//! The Kafka sink.

use super::{Batch, Outcome, Sink};
use crate::event::Event;

/// Checks a property of librdkafka and its value.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_option(_name: &str, _value: &str) -> Result<(), String> {
    Ok(())
}

/// Delivers to Kafka.
pub struct KafkaSink;

#[async_trait::async_trait]
impl Sink for KafkaSink {
    fn encode(&self, _event: &Event, _out: &mut Vec<u8>) {}

    async fn send(&self, _batch: Batch<'_>) -> Outcome {
        Outcome::Blocked { cause: "not built".to_owned() }
    }
}
