//! A message as a consumer read it.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A message of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Partition, from 0.
    pub partition: i32,
    /// Its place in the partition, from 0.
    pub offset: i64,
    /// None where it has no key.
    pub key: Option<Vec<u8>>,
    /// None for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Names and values, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970, as the producer set it or, by the topic's setting, the broker.
    pub timestamp_ms: i64,
}

impl Message {
    /// The value as text; empty for a tombstone.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, _)| found == name)?.1.as_deref()
    }

    /// From a line of `Admin.java`.
    pub(super) fn from_json(line: &Value) -> anyhow::Result<Message> {
        let headers = line["headers"].as_array().context("headers")?;
        Ok(Message {
            partition: i32::try_from(line["partition"].as_i64().context("partition")?)?,
            offset: line["offset"].as_i64().context("offset")?,
            key: bytes(&line["key"])?,
            value: bytes(&line["value"])?,
            headers: headers
                .iter()
                .map(|pair| Ok((pair[0].as_str().context("name")?.into(), bytes(&pair[1])?)))
                .collect::<anyhow::Result<_>>()?,
            timestamp_ms: line["timestamp_ms"].as_i64().context("timestamp_ms")?,
        })
    }
}

fn bytes(value: &Value) -> anyhow::Result<Option<Vec<u8>>> {
    match value.as_str() {
        Some(text) => Ok(Some(STANDARD.decode(text)?)),
        None => Ok(None),
    }
}
