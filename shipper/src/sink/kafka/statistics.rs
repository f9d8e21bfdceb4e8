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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a producer of librdkafka 2.12, shortened.
    const JSON: &str = r#"{
        "name": "shipper#producer-2", "client_id": "shipper", "type": "producer", "ts": 24938172,
        "age": 100345, "replyq": 0, "msg_cnt": 3, "msg_size": 1200, "msg_max": 5000,
        "tx": 12, "tx_bytes": 9000, "rx": 11, "rx_bytes": 800, "txmsgs": 40, "txmsg_bytes": 16000,
        "brokers": {
            "127.0.0.1:9092/bootstrap": {"name": "127.0.0.1:9092/bootstrap", "nodeid": -1,
                "state": "UP", "txerrs": 9, "disconnects": 9},
            "127.0.0.1:9092/1": {"name": "127.0.0.1:9092/1", "nodeid": 1, "source": "learned",
                "state": "UP", "txerrs": 1, "txretries": 2, "req_timeouts": 3, "disconnects": 4,
                "rtt": {"min": 100, "max": 900, "avg": 300, "p99": 800, "cnt": 5},
                "throttle": {"min": 0, "max": 0, "avg": 0, "p99": 0, "cnt": 5}},
            "127.0.0.1:9093/2": {"name": "127.0.0.1:9093/2", "nodeid": 2, "source": "learned",
                "state": "TRY_CONNECT", "txerrs": 10, "txretries": 20, "req_timeouts": 30,
                "disconnects": 40, "rtt": {"p99": 700}, "throttle": {"max": 150}}
        },
        "topics": {"audit": {"topic": "audit", "partitions": {}}},
        "eos": {"idemp_state": "Assigned", "producer_id": 1}
    }"#;

    #[test]
    fn what_an_operator_is_told_is_summed_over_the_brokers_that_are_known() {
        let statistics: Statistics = serde_json::from_str(JSON).expect("it is read");
        assert_eq!(
            statistics.figures(),
            [
                ("queue_messages", 3),
                ("queue_bytes", 1_200),
                ("sent_messages", 40),
                ("sent_bytes", 16_000),
                ("brokers_up", 1),
                ("brokers", 2),
                ("send_errors", 11),
                ("send_retries", 22),
                ("request_timeouts", 33),
                ("disconnects", 44),
                ("round_trip_p99_us", 800),
                ("throttled_max_ms", 150),
            ]
        );
        assert_eq!(statistics.throttled_max_ms(), 150);
        assert_eq!(Statistics::default().throttled_max_ms(), 0);
    }
}
