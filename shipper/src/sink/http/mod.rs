//! The sink for any HTTP collector: a batch is one request, taken when the status is 2xx.
//!
//! - `headers`: headers that depend on the event
//! - `connect`: `shipper validate --connect`
//!
//! Each request has an `Idempotency-Key` that follows from the events in it, so that a request whose
//! answer was lost, or that is repeated after a restart with the same events, has the same one. A
//! collector that does not know the header gets such events twice, with the same event ids.

mod connect;
mod headers;

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use self::headers::{Group, Headers};
use super::transport::{Class, HeaderName, HeaderValue, Method, Request, Transport};
use super::{Batch, Item, Outcome, Sink};
use crate::config::settings::{HttpEncoding, HttpSettings};
use crate::event::Event;
use crate::format::template::TemplateError;
use crate::format::{self, Format};

pub use self::connect::check as check_connection;
pub use super::transport::TransportError;

/// An answer of a collector is looked at for its first words only.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum HttpSinkError {
    /// A URL is none.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The value of a header is no template.
    #[error("the header {name} {source}")]
    Template {
        /// Its name.
        name: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A header that HTTP does not allow.
    #[error("the header {0} is none that HTTP allows")]
    Header(String),
}

/// Delivers to an HTTP collector.
pub struct HttpSink {
    transport: Transport,
    format: Format,
    encoding: HttpEncoding,
    headers: Headers,
}

impl HttpSink {
    /// A sink that connects with its first batch.
    ///
    /// # Errors
    /// When a URL or a header is none.
    pub fn new(settings: &HttpSettings) -> Result<HttpSink, HttpSinkError> {
        Ok(HttpSink {
            transport: Transport::new(&settings.transport)?,
            format: settings.format,
            encoding: settings.encoding,
            headers: Headers::new(&settings.headers)?,
        })
    }

    /// Sends the events of a group of the batch. `None` when they were taken.
    async fn post(&self, batch: Batch<'_>, group: &Group<'_>) -> Option<Outcome> {
        let body = self.body(batch, group);
        let content_type = match self.encoding {
            HttpEncoding::Ndjson => "application/x-ndjson",
            HttpEncoding::Json => "application/json",
        };
        let mut headers = self.headers.values(group);
        headers.push((IDEMPOTENCY_KEY, idempotency_key(group)));
        let request = Request {
            method: Method::POST,
            path: "",
            headers: &headers,
            body: Some((content_type, &body)),
            endpoint: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        match self.transport.request(request).await {
            Ok(answer) if answer.class() == Class::Done => None,
            Ok(answer) => Some(answer.outcome(group.events.len(), body.len())),
            Err(failure) => Some(failure.into()),
        }
    }

    fn body<'a>(&self, batch: Batch<'a>, group: &Group<'a>) -> Cow<'a, [u8]> {
        if self.encoding == HttpEncoding::Ndjson && self.headers.are_constant() {
            return Cow::Borrowed(batch.bytes());
        }
        let bytes = group.events.iter().map(|(_, line)| line.len()).sum::<usize>();
        let mut body = Vec::with_capacity(bytes + 2);
        match self.encoding {
            HttpEncoding::Ndjson => {
                group.events.iter().for_each(|(_, line)| body.extend_from_slice(line));
            }
            HttpEncoding::Json => {
                for (_, line) in &group.events {
                    body.push(if body.is_empty() { b'[' } else { b',' });
                    body.extend_from_slice(line.trim_ascii_end());
                }
                body.push(b']');
            }
        }
        Cow::Owned(body)
    }
}

/// Follows from the events, and from how long each is: one that was shortened is another one.
fn idempotency_key(group: &Group<'_>) -> HeaderValue {
    let mut hash = Sha256::new();
    for (Item { id, .. }, line) in &group.events {
        hash.update(id.0);
        hash.update((line.len() as u64).to_le_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    let key = uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string();
    HeaderValue::from_str(&key).expect("digits and hyphens may stand in a header")
}

#[async_trait::async_trait]
impl Sink for HttpSink {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        self.headers.encode(event, out);
        format::encode(self.format, event, out);
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        let groups = self.headers.groups(batch);
        for (sent, group) in groups.iter().enumerate() {
            let Some(outcome) = self.post(batch, group).await else { continue };
            // Where nothing of the batch was taken, the answer goes for all of it.
            return if sent == 0 { outcome } else { again(&groups[sent..], outcome) };
        }
        Outcome::Sent { position: Vec::new() }
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        self.transport.figures()
    }
}

/// The events of these groups, which come after others that were taken, are to come again.
fn again(groups: &[Group<'_>], outcome: Outcome) -> Outcome {
    let (cause, after) = match outcome {
        Outcome::Retry { cause, after } => (cause, after),
        Outcome::Blocked { cause }
        | Outcome::Refused { cause }
        | Outcome::TooLarge { cause, .. } => (cause, None),
        other => return other,
    };
    let again = groups.iter().flat_map(|group| group.places.iter().copied()).collect();
    Outcome::Mixed { rejected: Vec::new(), again, cause: Some(cause), after }
}
