//! The Kafka sink as the daemon uses it. How it is written is in `model`, what must hold of it in
//! `check`.

pub(super) mod check;
pub mod model;

use super::secret::Secret;
use super::tls::TlsSettings;
use crate::format::Format;
pub use model::{Envelope, KafkaCompression, KafkaKey, KafkaTimestamp, SplunkSettings};
use model::{KafkaSink, Password, Sasl};

/// A topic of Apache Kafka, and how events go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Where to begin: 1 to 32, each `host:port`.
    pub brokers: Vec<String>,
    /// The topic, a [`Template`](crate::format::template::Template) that parses. Its plain parts
    /// are `[A-Za-z0-9._-]`.
    pub topic: String,
    /// What puts events into one partition, in order.
    pub key: KafkaKey,
    /// Compression of the batches.
    pub compression: KafkaCompression,
    /// The time of a record.
    pub timestamp: KafkaTimestamp,
    /// How events are written.
    pub format: Format,
    /// What is around each event.
    pub envelope: Envelope,
    /// Where Splunk puts the events.
    pub splunk: Option<SplunkSettings>,
    /// Encryption; `None` sends as plain text.
    pub tls: Option<TlsSettings>,
    /// Authentication by SASL.
    pub sasl: Option<SaslSettings>,
    /// Properties of librdkafka, by name; each passed `sink::kafka::check_option`.
    pub options: Vec<(String, String)>,
}

/// How the daemon proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslSettings {
    /// By name and password.
    Password {
        /// How the password is shown to the broker.
        mechanism: SaslMechanism,
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// By a token of an OpenID provider, fetched with the credentials of a client.
    OAuthBearer {
        /// Where tokens are had: https, or http to this machine itself; without user or password.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// The scope asked for.
        scope: Option<String>,
    },
}

/// Mechanisms with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The broker is told the password.
    Plain,
    /// The broker is shown that the password is known.
    ScramSha256,
    /// The same with a longer hash.
    ScramSha512,
}

impl SaslMechanism {
    /// The name the protocol has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl From<KafkaSink> for KafkaSettings {
    fn from(sink: KafkaSink) -> Self {
        KafkaSettings {
            brokers: sink.brokers.into_iter().map(|broker| broker.0).collect(),
            topic: sink.topic,
            key: sink.key,
            compression: sink.compression,
            timestamp: sink.timestamp,
            format: sink.delivery.format,
            envelope: sink.envelope,
            splunk: sink.splunk,
            tls: sink.tls,
            sasl: sink.sasl.map(SaslSettings::from),
            options: sink.options.into_iter().map(|(name, value)| (name, value.0)).collect(),
        }
    }
}

impl From<Sasl> for SaslSettings {
    fn from(sasl: Sasl) -> Self {
        let (mechanism, Password { username, password }) = match sasl {
            Sasl::Plain(login) => (SaslMechanism::Plain, login),
            Sasl::ScramSha256(login) => (SaslMechanism::ScramSha256, login),
            Sasl::ScramSha512(login) => (SaslMechanism::ScramSha512, login),
            Sasl::OAuthBearer(client) => {
                return SaslSettings::OAuthBearer {
                    token_url: client.token_url,
                    client_id: client.client_id,
                    client_secret: client.client_secret,
                    scope: client.scope,
                };
            }
        };
        SaslSettings::Password { mechanism, username, password }
    }
}
