//! The sinks over HTTP as the daemon uses them: what they have in common, and each of the three.

use std::time::Duration;

use super::kafka::TlsSettings;
use super::secret::Secret;

/// Any HTTP collector that takes lines or arrays of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where to, and how.
    pub transport: TransportSettings,
    /// How events are put together.
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

/// How events are put together in the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpEncoding {
    /// One object a line, `application/x-ndjson`.
    Ndjson,
    /// One array, `application/json`.
    Json,
}

/// Compression of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpCompression {
    /// As it is.
    None,
    /// Known to every collector.
    Gzip,
    /// Smaller, for less CPU time.
    Zstd,
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

/// Trust, and the certificate of this client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpTlsSettings {
    /// Authorities, certificate and key.
    pub files: TlsSettings,
    /// The name asked for (SNI) and expected in the certificate instead of the one in the URL. Not
    /// together with a proxy.
    pub server_name: Option<String>,
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
