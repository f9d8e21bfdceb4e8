//! The envelope of Splunk's HTTP Event Collector around an event: `time`, `host`, `source`,
//! `sourcetype`, `index`, and the event itself (Splunk, "Format events for HTTP Event Collector").

use serde::Serialize;

use super::Format;
use crate::event::{Event, WallTime};

/// What an event is filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Index; `None` leaves it to the collector.
    pub index: Option<String>,
    /// Where it came from.
    pub source: String,
    /// How it is read.
    pub sourcetype: String,
}

impl Metadata {
    /// What is taken where nothing is configured.
    #[must_use]
    pub fn of(format: Format) -> Metadata {
        Metadata {
            index: None,
            source: "shipper".to_owned(),
            sourcetype: format.sourcetype().to_owned(),
        }
    }
}

#[derive(Serialize)]
struct Head<'a> {
    time: Seconds,
    host: &'a str,
    source: &'a str,
    sourcetype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
}

/// Seconds since the epoch with six digits after the point, as a number.
struct Seconds(WallTime);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = self.0.0 / 1_000;
        // Splunk takes a number or text; text keeps every digit.
        serializer.collect_str(&format_args!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
    }
}

/// Appends the event in its envelope as one JSON object.
pub fn encode(format: Format, event: &Event, metadata: &Metadata, out: &mut Vec<u8>) {
    let head = Head {
        time: Seconds(event.time()),
        host: &event.host().name,
        source: &metadata.source,
        sourcetype: &metadata.sourcetype,
        index: metadata.index.as_deref(),
    };
    let written = serde_json::to_writer(&mut *out, &head);
    // Memory does not fail, and no map here has a key that is not a string.
    debug_assert!(written.is_ok(), "{written:?}");
    // The object is opened again for one more member.
    out.pop();
    out.extend_from_slice(b",\"event\":");
    super::encode(format, event, out);
    out.pop();
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::testing;

    fn encoded(format: Format, event: &Event, metadata: &Metadata) -> Value {
        let mut bytes = b"before".to_vec();
        encode(format, event, metadata, &mut bytes);
        serde_json::from_slice(bytes.strip_prefix(b"before").expect("what was there"))
            .expect("JSON")
    }

    #[test]
    fn the_event_is_in_its_envelope_as_its_format_has_it() {
        let events = [testing::exec(), testing::exit(), testing::loss()];
        let all = events.iter().flat_map(|event| Format::ALL.map(|format| (format, event)));
        for (format, event) in all {
            let mut inner = Vec::new();
            crate::format::encode(format, event, &mut inner);
            let inner: Value = serde_json::from_slice(&inner).expect("JSON");
            let micros = event.time().0 / 1_000;
            let time = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            let host = &event.host().name;
            let expected = json!({
                "time": time, "host": host, "source": "shipper", "sourcetype": format.sourcetype(),
                "event": inner,
            });
            assert_eq!(encoded(format, event, &Metadata::of(format)), expected);
        }
    }

    #[test]
    fn the_index_is_there_when_it_is_given_and_the_time_has_six_digits() {
        let Event::Loss(mut loss) = testing::loss() else { unreachable!("a loss") };
        loss.time = WallTime(1_700_000_000_000_042_999);
        let index = Some("audit\"".to_owned());
        let envelope = encoded(
            Format::Ecs,
            &Event::Loss(loss),
            &Metadata { index, ..Metadata::of(Format::Ecs) },
        );
        assert_eq!(envelope["index"], "audit\"");
        assert_eq!(envelope["time"], "1700000000.000042");
    }
}
