//! The Kafka sink as it is written in the configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::config::model::Delivery;
use crate::config::model::{SINK_NAME_FORMAT, SINK_NAME_PATTERN};
use crate::config::secret::Secret;
use crate::config::tls::TlsSettings;

/// Value of `format` in the schema by which the check knows a broker.
pub const BROKER_FORMAT: &str = "host-port";

/// Value of `format` in the schema by which the check knows the topic.
pub const TOPIC_FORMAT: &str = "kafka-topic";

/// Value of `format` in the schema by which the check knows the URL of tokens.
pub const TOKEN_URL_FORMAT: &str = "token-url";

/// Value of `format` in the schema by which the check knows text on one line.
pub const LINE_FORMAT: &str = "line";

/// Value of `format` in the schema by which the check knows the value of a property.
pub const OPTION_FORMAT: &str = "librdkafka-value";

/// Most brokers to begin with: the first that answers tells of all others.
const BROKERS_MAX: usize = 32;

/// A topic of Apache Kafka.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KafkaSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// Brokers to begin with, 1 to 32, each `host:port`. The first that answers tells of all others.
    #[schemars(length(min = 1, max = BROKERS_MAX))]
    pub brokers: Vec<Broker>,
    /// The topic. It may hold fields of the event in braces, such as `audit.{event.action}`:
    /// event.action, event.kind, host.name, host.id, user.id.
    #[schemars(extend("format" = TOPIC_FORMAT, "pattern" = "^([A-Za-z0-9._-]|\\{[a-z.]+\\})+$"))]
    pub topic: String,
    /// What puts events into one partition, in order.
    #[serde(default)]
    pub key: KafkaKey,
    /// Compression of the batches.
    #[serde(default)]
    pub compression: KafkaCompression,
    /// The time of a record in Kafka.
    #[serde(default)]
    pub timestamp: KafkaTimestamp,
    /// What is around each event.
    #[serde(default)]
    pub envelope: Envelope,
    /// Where Splunk puts the events: headers that kafka-connect-splunk reads, or fields of the
    /// envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SplunkSettings")]
    pub splunk: Option<SplunkSettings>,
    /// Encryption. `tls: {}` trusts the authorities that the system trusts. Left out, all is sent as
    /// plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TlsSettings")]
    pub tls: Option<TlsSettings>,
    /// Authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Sasl")]
    pub sasl: Option<Sasl>,
    /// Properties of librdkafka by their names, for what the settings above do not cover.
    #[serde(default)]
    #[schemars(extend("x-holds-secrets" = true))]
    pub options: BTreeMap<String, OptionValue>,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// `host:port`, with an IPv6 address in brackets.
#[derive(Clone, Debug, Deserialize)]
pub struct Broker(pub String);

impl JsonSchema for Broker {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Broker".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": BROKER_FORMAT,
            "pattern": r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
            "examples": ["kafka1:9093", "[2001:db8::1]:9093"],
        })
    }
}

/// What puts events into one partition, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KafkaKey {
    /// The host: all of its events are in order, a parent before its children.
    #[default]
    Host,
    /// The event: spread evenly, in no order. A compacted topic keeps each once.
    EventId,
    /// The process: its events are in order.
    EntityId,
    /// No key: spread evenly, in no order.
    None,
}

/// Compression of what is sent to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KafkaCompression {
    /// As they are.
    None,
    /// Known to every client.
    Gzip,
    /// Fast.
    Snappy,
    /// Faster, and smaller.
    Lz4,
    /// Smallest; needs Kafka 2.1 and consumers that know it.
    #[default]
    Zstd,
}

/// The time of a record in Kafka, by which a topic is kept and searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KafkaTimestamp {
    /// When it happened. After a long outage, a topic with a short retention may drop it at once.
    #[default]
    Event,
    /// When it was sent.
    Ship,
}

/// What is around each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Nothing: the value is the event.
    #[default]
    None,
    /// What Splunk's HTTP event collector takes, for `splunk.hec.json.event.formatted=true`.
    SplunkHec,
}

/// Where Splunk puts the events. What is left out, Splunk decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplunkSettings {
    /// The index.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub index: Option<String>,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub source: Option<String>,
    /// The source type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub sourcetype: Option<String>,
}

/// Authentication by SASL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "mechanism")]
#[schemars(extend("x-holds-secrets" = true))]
pub enum Sasl {
    /// Name and password as they are; only with `tls`.
    #[serde(rename = "PLAIN")]
    Plain(Password),
    /// The password is proven, not sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256(Password),
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512(Password),
    /// A token of an OpenID provider; only with `tls`.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer(OAuthBearer),
}

/// A name and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The name.
    #[schemars(extend("format" = LINE_FORMAT))]
    pub username: String,
    /// The password: `{ env: NAME }` or `{ file: PATH }`.
    pub password: Secret,
}

/// The credentials of a client with an OpenID provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuthBearer {
    /// Where tokens are had: https, or http to this machine itself.
    #[schemars(extend("format" = TOKEN_URL_FORMAT, "pattern" = "^https?://"))]
    pub token_url: String,
    /// The client.
    #[schemars(extend("format" = LINE_FORMAT))]
    pub client_id: String,
    /// Its secret: `{ env: NAME }` or `{ file: PATH }`.
    pub client_secret: Secret,
    /// The scope asked for, when the provider wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub scope: Option<String>,
}

/// The value of a property of librdkafka: text, a number, or `true` or `false`, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionValue(pub String);

impl OptionValue {
    /// `None` for what has parts, and for nothing.
    pub(in crate::config) fn of(value: &Json) -> Option<OptionValue> {
        match value {
            Json::String(text) => Some(OptionValue(text.clone())),
            Json::Bool(_) | Json::Number(_) => Some(OptionValue(value.to_string())),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for OptionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        // Not what it is: it may be a secret.
        OptionValue::of(&value).ok_or_else(|| D::Error::custom("not the value of a property"))
    }
}

impl JsonSchema for OptionValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OptionValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "format": OPTION_FORMAT })
    }
}
