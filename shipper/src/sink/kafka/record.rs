//! One event as a record of Kafka: topic, key, headers, time, value. `encode` writes all that is
//! the event's own into the buffer of the batch, since nothing else of the event reaches `send`.
//!
//! In the buffer: time in milliseconds (8 bytes), length of the topic (2), length of the key (2),
//! topic, key, value to the end. The topic is there only where it differs from event to event.

use rdkafka::message::{Header, OwnedHeaders};

use crate::config::settings::{Envelope, KafkaKey, KafkaSettings, KafkaTimestamp, SplunkSettings};
use crate::event::{Event, Id};
use crate::format::hec::{self, Metadata};
use crate::format::template::{Template, TemplateError};
use crate::format::{self, Format};

/// Longest name of a topic (`org.apache.kafka.common.internals.Topic`).
pub const TOPIC_BYTES_MAX: usize = 249;

/// Bytes before topic, key and value.
const HEAD_BYTES: usize = 12;

/// More than a record has beside its value: head, topic, key, headers, framing.
pub const OVERHEAD_BYTES: usize = 1024;

/// Makes records of events.
pub struct Layout {
    topic: Topic,
    key: KafkaKey,
    timestamp: KafkaTimestamp,
    format: Format,
    /// What the value is wrapped in.
    envelope: Option<Metadata>,
    /// The headers that every record has.
    headers: Vec<(&'static str, String)>,
}

enum Topic {
    Fixed(String),
    Fields(Template),
}

/// A record in the buffer of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What partition it is in, and how it is compacted.
    pub key: Option<&'a [u8]>,
    /// Milliseconds since the epoch; `None` is the time of sending.
    pub timestamp_ms: Option<i64>,
    /// One JSON object.
    pub value: &'a [u8],
}

impl Layout {
    /// # Errors
    /// When the topic is no template.
    pub fn new(settings: &KafkaSettings) -> Result<Layout, TemplateError> {
        let topic = if settings.topic.contains(['{', '}']) {
            Topic::Fields(Template::parse(&settings.topic)?)
        } else {
            Topic::Fixed(settings.topic.clone())
        };
        let mut headers = vec![
            ("schema", settings.format.schema()),
            ("content-type", "application/json".to_owned()),
        ];
        let mut envelope = None;
        match settings.envelope {
            Envelope::SplunkHec => envelope = Some(hec_metadata(settings)),
            Envelope::None => {
                headers.extend(settings.splunk.iter().flat_map(splunk_headers));
            }
        }
        let KafkaSettings { key, timestamp, format, .. } = *settings;
        Ok(Layout { topic, key, timestamp, format, envelope, headers })
    }

    /// Appends the event as it lies in the buffer of a batch.
    pub fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let host = event.host();
        let time_ms = i64::try_from(event.time().0 / 1_000_000).unwrap_or_default();
        out.extend_from_slice(&time_ms.to_le_bytes());
        let lengths = out.len();
        out.extend_from_slice(&[0; 4]);

        if let Topic::Fields(template) = &self.topic {
            let mut name = String::new();
            template.render(event, &mut name);
            out.extend(name.bytes().take(TOPIC_BYTES_MAX).map(topic_byte));
        }
        let topic_end = out.len();
        let host_key = if host.id.is_empty() { &host.name } else { &host.id };
        match (self.key, event) {
            (KafkaKey::None, _) => {}
            (KafkaKey::EventId, _) => out.extend_from_slice(&event.id().hex()),
            (KafkaKey::EntityId, Event::Exec(exec)) => {
                out.extend_from_slice(&exec.process.entity_id.hex());
            }
            // The same as of its executions, so that they come in order.
            (KafkaKey::EntityId, Event::Exit(exit)) => {
                out.extend_from_slice(&exit.process.entity_id.hex());
            }
            (KafkaKey::Host, _) | (KafkaKey::EntityId, Event::Loss(_)) => {
                let bytes = host_key.as_bytes();
                out.extend_from_slice(&bytes[..bytes.len().min(usize::from(u16::MAX))]);
            }
        }
        let key_end = out.len();
        let topic_bytes = topic_end - lengths - 4;
        for (at, bytes) in [(lengths, topic_bytes), (lengths + 2, key_end - topic_end)] {
            let bytes = u16::try_from(bytes).expect("topic and key are cut to what fits");
            out[at..at + 2].copy_from_slice(&bytes.to_le_bytes());
        }

        match &self.envelope {
            None => format::encode(self.format, event, out),
            Some(metadata) => hec::encode(self.format, event, metadata, out),
        }
        // A record ends where its length says; a newline would be part of the value.
        if out.last() == Some(&b'\n') {
            out.pop();
        }
    }

    /// Reads what [`Layout::encode`] wrote.
    #[must_use]
    pub fn decode<'a>(&'a self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let time_ms = i64::from_le_bytes(head[..8].try_into().ok()?);
        let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (topic, rest) = rest.split_at_checked(length(8))?;
        let (key, value) = rest.split_at_checked(length(10))?;
        Some(Record {
            topic: match &self.topic {
                Topic::Fixed(topic) => topic,
                Topic::Fields(_) => std::str::from_utf8(topic).ok()?,
            },
            key: (!key.is_empty()).then_some(key),
            timestamp_ms: (self.timestamp == KafkaTimestamp::Event).then_some(time_ms),
            value,
        })
    }

    /// The headers of a record.
    #[must_use]
    pub fn headers(&self, id: Id) -> OwnedHeaders {
        let event_id = Header { key: "event-id", value: Some(&id.hex()) };
        let first = OwnedHeaders::new_with_capacity(self.headers.len() + 1).insert(event_id);
        self.headers
            .iter()
            .fold(first, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
    }

    /// The topic, where all events go to one.
    #[must_use]
    pub fn fixed_topic(&self) -> Option<&str> {
        match &self.topic {
            Topic::Fixed(topic) => Some(topic),
            Topic::Fields(_) => None,
        }
    }
}

/// What a name of a topic may not hold becomes `_`.
fn topic_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) { byte } else { b'_' }
}

fn hec_metadata(settings: &KafkaSettings) -> Metadata {
    let mut metadata = Metadata::of(settings.format);
    if let Some(SplunkSettings { index, source, sourcetype }) = &settings.splunk {
        metadata.index.clone_from(index);
        if let Some(source) = source {
            metadata.source.clone_from(source);
        }
        if let Some(sourcetype) = sourcetype {
            metadata.sourcetype.clone_from(sourcetype);
        }
    }
    metadata
}

/// The headers that kafka-connect-splunk reads with `splunk.header.support=true`. The host is a
/// field of the event.
fn splunk_headers(splunk: &SplunkSettings) -> Vec<(&'static str, String)> {
    let SplunkSettings { index, source, sourcetype } = splunk;
    [
        ("splunk.header.index", index),
        ("splunk.header.source", source),
        ("splunk.header.sourcetype", sourcetype),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.clone()?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Host, testing};
    use crate::sink::kafka::testing::settings;

    const KEYS: [KafkaKey; 4] =
        [KafkaKey::Host, KafkaKey::EventId, KafkaKey::EntityId, KafkaKey::None];

    fn layout(change: impl FnOnce(&mut KafkaSettings)) -> Layout {
        let mut settings = settings("127.0.0.1:9092");
        change(&mut settings);
        Layout::new(&settings).expect("a topic")
    }

    fn encoded(layout: &Layout, event: &Event) -> Vec<u8> {
        let mut bytes = Vec::new();
        layout.encode(event, &mut bytes);
        bytes
    }

    fn key(key: KafkaKey, event: &Event) -> Option<Vec<u8>> {
        let layout = layout(|settings| settings.key = key);
        layout.decode(&encoded(&layout, event)).expect("a record").key.map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_encoded_is_decoded_for_every_key_time_and_envelope() {
        for event in [testing::exec(), testing::loss()] {
            let mut ecs = Vec::new();
            format::encode(Format::Ecs, &event, &mut ecs);
            for (key, timestamp, envelope) in KEYS.into_iter().flat_map(|key| {
                [
                    (KafkaTimestamp::Event, Envelope::None),
                    (KafkaTimestamp::Ship, Envelope::SplunkHec),
                ]
                .map(|(timestamp, envelope)| (key, timestamp, envelope))
            }) {
                let layout = layout(|settings| {
                    (settings.key, settings.timestamp, settings.envelope) =
                        (key, timestamp, envelope);
                });
                let bytes = encoded(&layout, &event);
                let record = layout.decode(&bytes).expect("a record");
                assert_eq!(record.topic, "audit");
                assert_eq!(record.key.is_none(), key == KafkaKey::None);
                let time_ms = i64::try_from(event.time().0 / 1_000_000).unwrap();
                let expected = (timestamp == KafkaTimestamp::Event).then_some(time_ms);
                assert_eq!(record.timestamp_ms, expected);
                let value: serde_json::Value = serde_json::from_slice(record.value).unwrap();
                match envelope {
                    Envelope::None => assert_eq!(record.value, ecs.trim_ascii_end()),
                    Envelope::SplunkHec => assert!(value["event"].is_object()),
                }
            }
        }
    }

    #[test]
    fn the_key_is_the_host_the_event_or_the_process() {
        let (exec, loss) = (testing::exec(), testing::loss());
        let Event::Exec(inner) = &exec else { unreachable!("an exec") };
        let host = Some(exec.host().id.clone().into_bytes());
        let entity = Some(inner.process.entity_id.hex().to_vec());
        assert_eq!(key(KafkaKey::Host, &exec), host);
        assert_eq!(key(KafkaKey::EventId, &exec), Some(exec.id().hex().to_vec()));
        assert_eq!(key(KafkaKey::EntityId, &exec), entity);
        assert_eq!(key(KafkaKey::EntityId, &testing::exit()), entity, "its end follows it");
        assert_eq!(key(KafkaKey::EntityId, &loss), Some(loss.host().id.clone().into_bytes()));
        assert_eq!(key(KafkaKey::None, &exec), None);

        let Event::Loss(mut nameless) = loss else { unreachable!("a loss") };
        nameless.host = Host { name: "web-1".to_owned(), ..Host::default() }.into();
        assert_eq!(key(KafkaKey::Host, &Event::Loss(nameless)), Some(b"web-1".to_vec()));
    }

    #[test]
    fn a_topic_of_fields_is_a_name_that_kafka_takes() {
        let layout = layout(|settings| settings.topic = "a.{event.action}.{host.name}".to_owned());
        assert_eq!(layout.fixed_topic(), None);
        let topic = |event: &Event| {
            let bytes = encoded(&layout, event);
            layout.decode(&bytes).expect("a record").topic.to_owned()
        };
        assert_eq!(topic(&testing::loss()), "a.events-lost.host-1");
        let Event::Loss(mut odd) = testing::loss() else { unreachable!("a loss") };
        odd.host = Host { name: "w/ \u{fc}:1".to_owned(), ..Host::default() }.into();
        assert_eq!(topic(&Event::Loss(odd.clone())), "a.events-lost.w____:1".replace(':', "_"));
        odd.host = Host { name: "\u{fc}".repeat(300), ..Host::default() }.into();
        let longest = topic(&Event::Loss(odd));
        assert_eq!(longest.len(), TOPIC_BYTES_MAX);
        assert!(longest.ends_with("__"));
    }

    #[test]
    fn bytes_that_are_no_record_are_not_read() {
        let layout = layout(|_| {});
        let bytes = encoded(&layout, &testing::exec());
        assert_eq!(layout.decode(&bytes[..HEAD_BYTES - 1]), None);
        let mut lengths = bytes[..HEAD_BYTES].to_vec();
        lengths[10..].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(layout.decode(&lengths), None);
    }

    #[test]
    fn the_value_is_in_the_format_of_the_sink_and_a_header_says_which() {
        use rdkafka::message::Headers as _;
        for format in Format::ALL {
            let layout = layout(|settings| settings.format = format);
            let event = testing::exec();
            let mut line = Vec::new();
            format::encode(format, &event, &mut line);
            let bytes = encoded(&layout, &event);
            assert_eq!(layout.decode(&bytes).expect("a record").value, line.trim_ascii_end());
            let headers = layout.headers(event.id());
            assert_eq!(headers.get(1).value, Some(format.schema().as_bytes()));
        }
    }

    #[test]
    fn headers_of_splunk_are_those_that_are_given_and_none_beside_an_envelope() {
        use rdkafka::message::Headers as _;
        let splunk =
            SplunkSettings { index: Some("audit".to_owned()), source: None, sourcetype: None };
        for (envelope, expected) in [(Envelope::None, 4), (Envelope::SplunkHec, 3)] {
            let layout = layout(|settings| {
                (settings.envelope, settings.splunk) = (envelope, Some(splunk.clone()));
            });
            let headers = layout.headers(testing::loss().id());
            assert_eq!(headers.count(), expected);
            assert_eq!(headers.get(1).value, Some(&b"ecs/9.4.0"[..]));
        }
    }
}
