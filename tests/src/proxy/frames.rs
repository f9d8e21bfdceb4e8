//! Kafka's framing.
