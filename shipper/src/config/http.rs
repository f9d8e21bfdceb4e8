//! The sinks over HTTP as the daemon uses them: what they have in common, and each of the three. How
//! they are written is in `model`, what must hold of them in `check`, of their texts in `text`.

pub(super) mod check;
pub mod model;
pub(super) mod text;

use std::time::Duration;

use super::model::Delivery;
use super::secret::Secret;
use super::settings::{Concurrency, DeliverySettings, RateLimit};
use crate::format::Format;
use model::{
    ElasticsearchAuth, ElasticsearchSink, GzipCompression, HttpAuth, HttpSink, Login, Proxy,
    SplunkHecSink, Transport,
};
pub use model::{HttpCompression, HttpEncoding, HttpTlsSettings};

/// What Splunk Cloud takes at once is 1 MB; the envelopes and what may be added on the way need room.
const HEC_BATCH_BYTES: usize = 900_000;

/// Requests in flight unless the configuration says otherwise: enough to keep a collector busy while
/// others travel.
const CONCURRENCY: u32 = 4;

/// The same where each also waits for an indexer, which takes seconds.
const CONCURRENCY_ACKNOWLEDGED: u32 = 16;

/// Any HTTP collector that takes lines or arrays of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where to, and how.
    pub transport: TransportSettings,
    /// How events are written.
    pub format: Format,
    /// How they are put together.
    pub encoding: HttpEncoding,
    /// Headers of each request: a name that HTTP allows, and a
    /// [`Template`](crate::format::template::Template) that parses, visible ASCII.
    pub headers: Vec<(String, String)>,
}

/// A data stream or index of Elasticsearch or OpenSearch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticsearchSettings {
    /// Where to, and how.
    pub transport: TransportSettings,
    /// Data stream, alias or index: a name that Elasticsearch allows.
    pub data_stream: String,
}

/// Splunk's HTTP event collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplunkHecSettings {
    /// Where to, and how.
    pub transport: TransportSettings,
    /// Index; `None` leaves it to the token.
    pub index: Option<String>,
    /// Where events say they come from.
    pub source: String,
    /// How events are written.
    pub format: Format,
    /// How Splunk reads them.
    pub sourcetype: String,
    /// An event counts as delivered when an indexer has acknowledged it, not when it was taken.
    pub acknowledgement: bool,
}

/// What all sinks over HTTP have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    /// Where to: 1 to 16, the preferred one first. `http://` or `https://`, without user, password
    /// and fragment; only the generic sink has a query. Without a slash at the end, unless the path
    /// of the generic sink has one.
    pub urls: Vec<String>,
    /// How the daemon proves who it is.
    pub auth: Option<AuthSettings>,
    /// Compression of what is sent.
    pub compression: HttpCompression,
    /// Trust, and the certificate of this client; `None` is as `tls: {}`.
    pub tls: Option<HttpTlsSettings>,
    /// By which way.
    pub proxy: ProxySettings,
    /// How long a connection may take, TLS included; 100 ms to 10 min.
    pub connect_timeout: Duration,
    /// How long a request may take from its first byte to the last of the answer; 100 ms to 1 h.
    pub request_timeout: Duration,
    /// How long a connection is kept that is not used; 1 s to 1 h.
    pub idle_timeout: Duration,
}

/// How the daemon proves who it is, apart from a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthSettings {
    /// `Authorization: Basic`.
    Basic {
        /// Without a colon.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// `Authorization: ApiKey`; the key as Elasticsearch encodes it, or as `id:key`.
    ApiKey(Secret),
    /// `Authorization: Splunk`.
    Splunk(Secret),
    /// A header of its own.
    Header {
        /// A name that HTTP allows.
        name: String,
        /// Its value.
        value: Secret,
    },
}

/// By which way requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySettings {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    Environment,
    /// Directly.
    None,
    /// Through this one.
    Url {
        /// `http://` or `https://`, without user and password.
        url: String,
        /// With this name and password.
        login: Option<(String, Secret)>,
    },
}

impl HttpSink {
    /// Delivery and destination.
    pub(super) fn into_settings(self) -> (DeliverySettings, HttpSettings) {
        let delivery = self.transport.delivery(&self.delivery, CONCURRENCY);
        let auth = self.auth.map(AuthSettings::from);
        let settings = HttpSettings {
            transport: self.transport.into_settings(auth, self.compression, with_its_slash),
            format: self.delivery.format,
            encoding: self.encoding,
            headers: self.headers.into_iter().collect(),
        };
        (delivery, settings)
    }
}

impl ElasticsearchSink {
    /// Delivery and destination.
    pub(super) fn into_settings(self) -> (DeliverySettings, ElasticsearchSettings) {
        let delivery = self.transport.delivery(&self.delivery, CONCURRENCY);
        let auth = self.auth.map(AuthSettings::from);
        let settings = ElasticsearchSettings {
            transport: self.transport.into_settings(auth, self.compression.into(), without_slash),
            data_stream: self.data_stream,
        };
        (delivery, settings)
    }
}

impl SplunkHecSink {
    /// Delivery and destination.
    pub(super) fn into_settings(self) -> (DeliverySettings, SplunkHecSettings) {
        let concurrency = if self.acknowledgement { CONCURRENCY_ACKNOWLEDGED } else { CONCURRENCY };
        let mut delivery = self.transport.delivery(&self.delivery, concurrency);
        if self.delivery.batch.bytes.is_none() {
            delivery.batch_bytes_max = HEC_BATCH_BYTES;
        }
        let auth = Some(AuthSettings::Splunk(self.token));
        let settings = SplunkHecSettings {
            transport: self.transport.into_settings(auth, self.compression.into(), without_slash),
            index: self.index,
            source: self.source,
            format: self.delivery.format,
            sourcetype: self
                .sourcetype
                .unwrap_or_else(|| self.delivery.format.sourcetype().to_owned()),
            acknowledgement: self.acknowledgement,
        };
        (delivery, settings)
    }
}

impl Transport {
    /// With the concurrency and the limits that were written, or this concurrency.
    fn delivery(&self, delivery: &Delivery, concurrency: u32) -> DeliverySettings {
        DeliverySettings {
            concurrency: Concurrency::Adaptive(self.concurrency.unwrap_or(concurrency) as usize),
            rate_limit: RateLimit {
                requests: self.rate_limit.requests,
                bytes: self.rate_limit.bytes.map(|size| size.0),
            },
            ..DeliverySettings::from(delivery)
        }
    }

    fn into_settings(
        self,
        auth: Option<AuthSettings>,
        compression: HttpCompression,
        address: fn(String) -> String,
    ) -> TransportSettings {
        TransportSettings {
            // The check lets through one of the two.
            urls: self.url.into_iter().chain(self.urls).map(address).collect(),
            auth,
            compression,
            tls: self.tls,
            proxy: self.proxy.into(),
            connect_timeout: self.timeouts.connect.0,
            request_timeout: self.timeouts.request.0,
            idle_timeout: self.timeouts.idle.0,
        }
    }
}

/// To be followed by a path.
fn without_slash(url: String) -> String {
    url.trim_end_matches('/').to_owned()
}

/// As it is to be asked for. Only where there is no path, the slash means nothing.
fn with_its_slash(url: String) -> String {
    let host = url.split_once("://").and_then(|(_, rest)| rest.strip_suffix('/'));
    if host.is_some_and(|host| !host.contains(['/', '?'])) { without_slash(url) } else { url }
}

impl From<GzipCompression> for HttpCompression {
    fn from(compression: GzipCompression) -> Self {
        match compression {
            GzipCompression::None => HttpCompression::None,
            GzipCompression::Gzip => HttpCompression::Gzip,
        }
    }
}

impl From<HttpAuth> for AuthSettings {
    fn from(auth: HttpAuth) -> Self {
        match auth {
            HttpAuth::Basic(login) => login.into(),
            HttpAuth::Bearer(token) => AuthSettings::Bearer(token),
            HttpAuth::Header(header) => {
                AuthSettings::Header { name: header.name, value: header.value }
            }
        }
    }
}

impl From<ElasticsearchAuth> for AuthSettings {
    fn from(auth: ElasticsearchAuth) -> Self {
        match auth {
            ElasticsearchAuth::ApiKey(key) => AuthSettings::ApiKey(key),
            ElasticsearchAuth::Basic(login) => login.into(),
            ElasticsearchAuth::Bearer(token) => AuthSettings::Bearer(token),
        }
    }
}

impl From<Login> for AuthSettings {
    fn from(Login { username, password }: Login) -> Self {
        AuthSettings::Basic { username, password }
    }
}

impl From<Proxy> for ProxySettings {
    fn from(proxy: Proxy) -> Self {
        match proxy {
            Proxy::Environment => ProxySettings::Environment,
            Proxy::None => ProxySettings::None,
            Proxy::Url { url, username, password } => {
                ProxySettings::Url { url, login: username.zip(password) }
            }
        }
    }
}
