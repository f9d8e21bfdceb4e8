//! The sink for Splunk's HTTP event collector (HEC): a batch is one request of envelopes one after
//! the other, taken when the collector answers code 0, or when an indexer has acknowledged it.
//!
//! - `code`: what the codes of the collector mean
//! - `reply`: what became of a batch, by its answer
//! - `channels`: who waits for which acknowledgement
//! - `acknowledgement`: asking for them
//! - `connect`: `shipper validate --connect`
//!
//! With acknowledgement `send` returns when the indexer has told that the batch is on disk, so a batch
//! in flight is one that waits. What is not acknowledged comes again, with the same event ids.

mod acknowledgement;
mod channels;
mod code;
mod connect;
mod reply;
#[cfg(test)]
mod tests;

use std::time::Duration;

use uuid::Uuid;

use self::channels::{Channels, Waiting};
use self::reply::{Context, Reply};
use super::transport::{Answer, Failure, HeaderName, HeaderValue, Method, Request, Transport};
use super::{Batch, Outcome, Sink};
use crate::config::settings::SplunkHecSettings;
use crate::event::Event;
use crate::format::Format;
use crate::format::hec::{self, Metadata};

pub use self::connect::check as check_connection;
pub use super::transport::TransportError;

/// Below the URL: where events are sent.
const EVENT_PATH: &str = "/services/collector/event";

/// Most bytes of an answer. The one to a question for acknowledgements has some 20 a batch in flight.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Splunk's own advice: what is not acknowledged after five minutes is to be sent again.
const PATIENCE: Duration = Duration::from_secs(300);

/// The kind of the bodies, to the collector.
const JSON: &str = "application/json";

/// The header that names the channel.
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// Delivers to Splunk's HTTP event collector.
pub struct SplunkHecSink {
    transport: Transport,
    format: Format,
    metadata: Metadata,
    /// The URLs without what may be secret.
    shown: Vec<String>,
    /// One for each URL; none without acknowledgement.
    channels: Option<Vec<Channels>>,
    patience: Duration,
}

impl SplunkHecSink {
    /// A sink that connects with its first batch.
    ///
    /// # Errors
    /// When a URL is none.
    pub fn new(settings: &SplunkHecSettings) -> Result<SplunkHecSink, TransportError> {
        SplunkHecSink::with_patience(settings, PATIENCE)
    }

    /// As [`SplunkHecSink::new`], with another time after which a batch that is not acknowledged
    /// comes again. Tests do not wait for five minutes.
    ///
    /// # Errors
    /// When a URL is none.
    pub fn with_patience(
        settings: &SplunkHecSettings,
        patience: Duration,
    ) -> Result<SplunkHecSink, TransportError> {
        let transport = Transport::new(&settings.transport)?;
        let shown: Vec<String> = transport.shown().collect();
        let channels =
            settings.acknowledgement.then(|| shown.iter().map(|_| Channels::new()).collect());
        let metadata = Metadata {
            index: settings.index.clone(),
            source: settings.source.clone(),
            sourcetype: settings.sourcetype.clone(),
        };
        Ok(SplunkHecSink {
            transport,
            format: settings.format,
            metadata,
            shown,
            channels,
            patience,
        })
    }

    /// Sends a batch, to the preferred URL that works or to this one on this channel.
    async fn post(
        &self,
        batch: Batch<'_>,
        to: Option<(usize, Uuid)>,
    ) -> Result<(Answer, Option<Reply>), Failure> {
        let channel = to.map(|(_, channel)| (CHANNEL, header(channel)));
        let request = Request {
            method: Method::POST,
            path: EVENT_PATH,
            headers: channel.as_slice(),
            body: Some((JSON, batch.bytes())),
            endpoint: to.map(|(place, _)| place),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.transport.request(request).await?;
        let reply = Reply::read(&answer);
        Ok((answer, reply))
    }

    async fn send_plain(&self, batch: Batch<'_>) -> Outcome {
        match self.post(batch, None).await {
            Ok((answer, Some(reply))) if reply.is_success(&answer) => sent(),
            Ok((answer, reply)) => self.outcome(batch, &answer, reply.as_ref()),
            Err(failure) => failure.into(),
        }
    }

    async fn send_acknowledged(&self, batch: Batch<'_>, channels: &[Channels]) -> Outcome {
        let place = self.transport.pick();
        match self.taken(batch, place, &channels[place]).await {
            Ok(waiting) => self.acknowledged(place, &channels[place], waiting).await,
            Err(outcome) => outcome,
        }
    }

    /// Sends a batch to this URL. When it was taken, its acknowledgement can be waited for.
    async fn taken<'a>(
        &self,
        batch: Batch<'_>,
        place: usize,
        channels: &'a Channels,
    ) -> Result<Waiting<'a>, Outcome> {
        let post = loop {
            match channels.begin() {
                Some(post) => break post,
                None => self.prove(place, channels).await?,
            }
        };
        let shown = &self.shown[place];
        let (answer, reply) = match self.post(batch, Some((place, post.id))).await {
            Ok(answered) => answered,
            Err(failure) => {
                post.lost();
                return Err(failure.into());
            }
        };
        let Some(reply) = reply else {
            // Perhaps a proxy, whose collector has gone.
            post.lost();
            return Err(self.outcome(batch, &answer, None));
        };
        if !reply.is_success(&answer) {
            return Err(self.outcome(batch, &answer, Some(&reply)));
        }
        let Some(number) = reply.ack_id else {
            channels.doubt();
            return Err(Outcome::Blocked {
                cause: format!(
                    "{shown} takes events but gives no number to ask for their acknowledgement: \
                     switch it on at the token in Splunk, or set `acknowledgement: false` at the \
                     sink; the batch will be sent again, with the same event ids"
                ),
            });
        };
        post.numbered(number).ok_or_else(|| Outcome::Retry {
            cause: format!(
                "{shown} began anew to number what it takes: it was restarted, or several \
                 collectors answer there in turn (then each needs a URL of its own, or requests of \
                 one channel must lead to one of them); what was not acknowledged is sent again, \
                 with the same event ids"
            ),
            after: None,
        })
    }

    /// What became of a batch that was not taken as a whole.
    fn outcome(&self, batch: Batch<'_>, answer: &Answer, reply: Option<&Reply>) -> Outcome {
        let (events, bytes) = (batch.len(), batch.bytes().len());
        reply::outcome(reply, answer, &Context { events, bytes, ..self.context(answer) })
    }

    /// Of a request without events.
    fn context(&self, answer: &Answer) -> Context<'_> {
        Context {
            events: 0,
            bytes: 0,
            index: self.metadata.index.as_deref(),
            acknowledgement: self.channels.is_some(),
            shown: &self.shown[answer.endpoint],
        }
    }
}

fn sent() -> Outcome {
    Outcome::Sent { position: Vec::new() }
}

fn header(channel: Uuid) -> HeaderValue {
    HeaderValue::from_str(&channel.to_string()).expect("digits and hyphens may stand in a header")
}

#[async_trait::async_trait]
impl Sink for SplunkHecSink {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        hec::encode(self.format, event, &self.metadata, out);
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        match &self.channels {
            None => self.send_plain(batch).await,
            Some(channels) => self.send_acknowledged(batch, channels).await,
        }
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        let mut figures = self.transport.figures();
        if let Some(channels) = &self.channels {
            let waiting: usize = channels.iter().map(Channels::waiting).sum();
            figures.push(("acknowledgements_waiting", waiting as u64));
        }
        figures
    }
}
