//! What librdkafka counts (its STATISTICS.md), as far as it helps an operator.

use std::collections::HashMap;

use serde::Deserialize;

/// Of one interval of `statistics.interval.ms`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Messages in its queues.
    msg_cnt: u64,
    /// Bytes of them.
    msg_size: u64,
    /// Messages sent since it was made, repeats included.
    txmsgs: u64,
    /// Bytes of them.
    txmsg_bytes: u64,
    brokers: HashMap<String, Broker>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Broker {
    nodeid: i64,
    state: String,
    txerrs: u64,
    txretries: u64,
    req_timeouts: u64,
    disconnects: u64,
    rtt: Window,
    throttle: Window,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    p99: u64,
    max: u64,
}

impl Statistics {
    /// Names end in their units.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        // A broker that was named in the configuration is there a second time until it is asked.
        let known: Vec<&Broker> =
            self.brokers.values().filter(|broker| broker.nodeid >= 0).collect();
        let sum = |of: fn(&Broker) -> u64| known.iter().map(|broker| of(broker)).sum();
        let max = |of: fn(&Broker) -> u64| known.iter().map(|broker| of(broker)).max().unwrap_or(0);
        vec![
            ("queue_messages", self.msg_cnt),
            ("queue_bytes", self.msg_size),
            ("sent_messages", self.txmsgs),
            ("sent_bytes", self.txmsg_bytes),
            ("brokers_up", known.iter().filter(|broker| broker.state == "UP").count() as u64),
            ("brokers", known.len() as u64),
            ("send_errors", sum(|broker| broker.txerrs)),
            ("send_retries", sum(|broker| broker.txretries)),
            ("request_timeouts", sum(|broker| broker.req_timeouts)),
            ("disconnects", sum(|broker| broker.disconnects)),
            ("round_trip_p99_us", max(|broker| broker.rtt.p99)),
            ("throttled_max_ms", max(|broker| broker.throttle.max)),
        ]
    }

    /// Longest pause that a quota of the brokers asked for in the interval, in milliseconds.
    #[must_use]
    pub fn throttled_max_ms(&self) -> u64 {
        self.brokers.values().map(|broker| broker.throttle.max).max().unwrap_or(0)
    }
}
