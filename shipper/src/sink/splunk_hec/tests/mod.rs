//! What the sink makes of answers, and how it keeps apart who waits for what.

mod channels;
mod outcomes;

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::config::settings::{HttpCompression, ProxySettings, TransportSettings};
use crate::sink::testing::{Encoded, events};

fn settings() -> SplunkHecSettings {
    SplunkHecSettings {
        transport: TransportSettings {
            urls: vec!["https://hec.example:8088".to_owned()],
            auth: None,
            compression: HttpCompression::Gzip,
            tls: None,
            proxy: ProxySettings::None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(90),
        },
        index: Some("linux".to_owned()),
        source: "audit".to_owned(),
        format: Format::Ecs,
        sourcetype: "shipper:exec".to_owned(),
        acknowledgement: false,
    }
}

#[test]
fn a_batch_is_envelopes_one_after_the_other() {
    let sink = SplunkHecSink::new(&settings()).unwrap();
    let events = events(0..3, "hel\"sinki");
    let encoded = Encoded::of(&sink, &events);
    let stream = serde_json::Deserializer::from_slice(encoded.batch().bytes()).into_iter::<Value>();
    let envelopes: Vec<Value> = stream.map(|envelope| envelope.unwrap()).collect();
    assert_eq!(envelopes.len(), 3);
    for envelope in envelopes {
        assert_eq!(envelope["index"], "linux");
        assert_eq!(envelope["source"], "audit");
        assert_eq!(envelope["sourcetype"], "shipper:exec");
        assert_eq!(envelope["host"], "hel\"sinki");
        assert!(envelope["event"]["event"]["id"].is_string(), "{envelope}");
    }
}
