//! The sinks over HTTP as they are written in the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::config::kafka::model::LINE_FORMAT;
use crate::config::model::{Delivery, SINK_NAME_FORMAT, SINK_NAME_PATTERN};
use crate::config::secret::Secret;
use crate::config::tls::TlsSettings;
use crate::config::units::{ByteSize, Span};

/// Value of `format` in the schema by which the check knows where a sink sends to.
pub const URL_FORMAT: &str = "http-url";

/// Value of `format` in the schema by which the check knows the URL of a proxy.
pub const PROXY_URL_FORMAT: &str = "proxy-url";

/// Value of `format` in the schema by which the check knows the name of a header with a secret.
pub const HEADER_NAME_FORMAT: &str = "header-name";

/// Value of `format` in the schema by which the check knows the value of a header.
pub const HEADER_VALUE_FORMAT: &str = "header-value";

/// Value of `format` in the schema by which the check knows a user of HTTP.
pub const USERNAME_FORMAT: &str = "http-username";

/// Value of `format` in the schema by which the check knows the name in a certificate.
pub const SERVER_NAME_FORMAT: &str = "server-name";

/// Value of `format` in the schema by which the check knows a data stream of Elasticsearch.
pub const DATA_STREAM_FORMAT: &str = "data-stream";

/// What a URL begins with, for editors.
const URL_PATTERN: &str = "^https?://";

/// Most URLs of one sink: the other nodes of a cluster, or the other site.
const URLS_MAX: usize = 16;

/// Most headers that are added to a request: many servers take 100 and 8 KiB in all.
pub(super) const HEADERS_MAX: usize = 32;

/// Most requests in flight: each holds a batch in memory.
const CONCURRENCY_MAX: u32 = 64;

/// Most requests a second that can be asked for: beyond what one machine sends.
const RATE_REQUESTS_MAX: u32 = 1_000_000;

/// Least bytes a second that can be asked for: less than an event has would hold up for long.
const RATE_BYTES_MIN: u64 = 1 << 10;

/// Most bytes a second that can be asked for: beyond any network.
const RATE_BYTES_MAX: u64 = 1 << 40;

/// Any HTTP collector that takes lines or arrays of JSON.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = url_or_urls()))]
pub struct HttpSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// How events are put together in a request.
    #[serde(default)]
    pub encoding: HttpEncoding,
    /// Headers of each request, at most 32. Values may hold fields of the event in braces, such as
    /// `{host.name}`: event.action, event.kind, host.name, host.id, user.id. What proves who the
    /// daemon is stands under `auth`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, HeaderValue>")]
    #[schemars(extend("x-holds-secrets" = true, "maxProperties" = HEADERS_MAX))]
    pub headers: BTreeMap<String, String>,
    /// How the daemon proves who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpAuth")]
    pub auth: Option<HttpAuth>,
    /// Compression of each request.
    #[serde(default)]
    pub compression: HttpCompression,
    /// Where to, and how.
    #[serde(flatten)]
    pub transport: Transport,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// Elasticsearch or OpenSearch, by its `_bulk`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = url_or_urls()))]
pub struct ElasticsearchSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// Data stream, alias or index.
    #[serde(default = "data_stream")]
    #[schemars(extend("format" = DATA_STREAM_FORMAT))]
    pub data_stream: String,
    /// How the daemon proves who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ElasticsearchAuth")]
    pub auth: Option<ElasticsearchAuth>,
    /// Compression of each request.
    #[serde(default)]
    pub compression: GzipCompression,
    /// Where to, and how.
    #[serde(flatten)]
    pub transport: Transport,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

fn data_stream() -> String {
    "logs-shipper.process-default".to_owned()
}

/// Splunk's HTTP event collector.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = url_or_urls()))]
pub struct SplunkHecSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// The token of the collector: `{ env: NAME }` or `{ file: PATH }`.
    pub token: Secret,
    /// The index. Left out, the token decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub index: Option<String>,
    /// Where events say they come from.
    #[serde(default = "source")]
    #[schemars(extend("format" = LINE_FORMAT))]
    pub source: String,
    /// How Splunk reads them. Left out, `shipper:exec`, or `shipper:ocsf`, `shipper:cim`,
    /// `shipper:native` by the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = LINE_FORMAT))]
    pub sourcetype: Option<String>,
    /// An event counts as delivered when an indexer has acknowledged it, not when it was taken. The
    /// token must have indexer acknowledgement switched on.
    #[serde(default)]
    pub acknowledgement: bool,
    /// Compression of each request.
    #[serde(default)]
    pub compression: GzipCompression,
    /// Where to, and how.
    #[serde(flatten)]
    pub transport: Transport,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

fn source() -> String {
    "shipper".to_owned()
}

/// What all sinks over HTTP have beside their `auth` and `compression`. It is flattened into each,
/// as is what every sink has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Transport {
    /// Where to: `https://` or `http://`, without user and password. This or `urls` must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Url")]
    pub url: Option<String>,
    /// Where to, 1 to 16, instead of `url`: the first that works is taken, the others stand in for
    /// it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Url>", length(min = 1, max = URLS_MAX))]
    pub urls: Vec<String>,
    /// Trust, and the certificate of this client. Left out, the authorities are trusted that the
    /// system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpTlsSettings")]
    pub tls: Option<HttpTlsSettings>,
    /// By which way.
    #[serde(default)]
    #[schemars(extend("default" = "environment"))]
    pub proxy: Proxy,
    /// How long the other side may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Most requests in flight, 1 to 64; fewer while the other side is slow. 1 keeps the order of
    /// the events. 4 when left out, 16 for `splunk_hec` with `acknowledgement`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = CONCURRENCY_MAX))]
    pub concurrency: Option<u32>,
    /// Most that is sent in a second. Left out, there is no limit.
    #[serde(default)]
    pub rate_limit: HttpRateLimit,
}

/// What editors know of it; the check says it in words.
fn url_or_urls() -> serde_json::Value {
    serde_json::json!([{ "required": ["url"] }, { "required": ["urls"] }])
}

/// One URL.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
struct Url(
    #[expect(dead_code, reason = "for the schema")]
    #[schemars(extend("format" = URL_FORMAT, "pattern" = URL_PATTERN))]
    String,
);

/// The value of a header.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
struct HeaderValue(
    #[expect(dead_code, reason = "for the schema")]
    #[schemars(extend("format" = HEADER_VALUE_FORMAT, "pattern" = "^[ -~]+$"))]
    String,
);

/// How events are put together in the body of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HttpEncoding {
    /// One object a line, `application/x-ndjson`.
    #[default]
    Ndjson,
    /// One array, `application/json`.
    Json,
}

/// Compression of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HttpCompression {
    /// As it is.
    None,
    /// Known to every collector.
    #[default]
    Gzip,
    /// Smaller, for less CPU time, where the collector knows it.
    Zstd,
}

/// Compression of a request to a server that knows one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GzipCompression {
    /// As it is.
    None,
    /// About a tenth of the size.
    #[default]
    Gzip,
}

/// How the daemon proves who it is to a collector: one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-holds-secrets" = true))]
pub enum HttpAuth {
    /// Name and password.
    Basic(Login),
    /// A token: `{ env: NAME }` or `{ file: PATH }`.
    Bearer(Secret),
    /// A secret in a header of its own.
    Header(HeaderAuth),
}

/// How the daemon proves who it is to Elasticsearch or OpenSearch: one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-holds-secrets" = true))]
pub enum ElasticsearchAuth {
    /// An API key, encoded or as `id:key`: `{ env: NAME }` or `{ file: PATH }`.
    ApiKey(Secret),
    /// Name and password.
    Basic(Login),
    /// A token: `{ env: NAME }` or `{ file: PATH }`.
    Bearer(Secret),
}

/// A name and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-holds-secrets" = true))]
pub struct Login {
    /// The name, without a colon.
    #[schemars(extend("format" = USERNAME_FORMAT, "pattern" = "^[^:]+$"))]
    pub username: String,
    /// The password: `{ env: NAME }` or `{ file: PATH }`.
    pub password: Secret,
}

/// A header with a secret.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-holds-secrets" = true))]
pub struct HeaderAuth {
    /// The name of the header, such as `X-Api-Key`.
    #[schemars(extend("format" = HEADER_NAME_FORMAT))]
    pub name: String,
    /// Its value: `{ env: NAME }` or `{ file: PATH }`.
    pub value: Secret,
}

/// Trust, and authentication by certificate. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("x-holds-secrets" = true))]
pub struct HttpTlsSettings {
    /// Authorities, certificate and key.
    #[serde(flatten)]
    pub files: TlsSettings,
    /// The name asked for (SNI) and expected in the certificate, instead of the one in the URL. Not
    /// together with the URL of a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = SERVER_NAME_FORMAT))]
    pub server_name: Option<String>,
}

/// By which way requests go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[schemars(extend("x-holds-secrets" = true), transform = one_of)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Directly.
    None,
    /// Through this one.
    #[serde(untagged)]
    Url {
        /// `http://` or `https://`, without user and password.
        #[schemars(extend("format" = PROXY_URL_FORMAT, "pattern" = URL_PATTERN))]
        url: String,
        /// The name of the user, without a colon; together with `password`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "String", extend("format" = USERNAME_FORMAT, "pattern" = "^[^:]+$"))]
        username: Option<String>,
        /// The password: `{ env: NAME }` or `{ file: PATH }`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Secret")]
        password: Option<Secret>,
    },
}

/// No two of the branches hold, which schemars does not know of a mapping without a tag.
fn one_of(schema: &mut Schema) {
    if let Some(branches) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), branches);
    }
}

/// How long the other side may take before it counts as failed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a connection, TLS included, 100ms to 10m.
    #[schemars(extend("x-minimum" = "100ms", "x-maximum" = "10m"))]
    pub connect: Span,
    /// For a request, from its first byte to the last of the answer, 100ms to 1h.
    #[schemars(extend("x-minimum" = "100ms", "x-maximum" = "1h"))]
    pub request: Span,
    /// How long a connection is kept that is not used, 1s to 1h.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "1h"))]
    pub idle: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Timeouts { connect: seconds(10), request: seconds(60), idle: seconds(90) }
    }
}

/// Most that is sent in a second.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpRateLimit {
    /// Requests, 1 to 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = RATE_REQUESTS_MAX))]
    pub requests: Option<u32>,
    /// Bytes of events, before compression, 1KiB to 1TiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ByteSize", range(min = RATE_BYTES_MIN, max = RATE_BYTES_MAX))]
    pub bytes: Option<ByteSize>,
}
