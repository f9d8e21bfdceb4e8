//! The sink for Elasticsearch and OpenSearch: a batch is one `_bulk` request, and each event is
//! answered for.
//!
//! - `answer`: what the answer says of each event
//! - `setup`: what is installed in the cluster, for `shipper setup elasticsearch`
//! - `connect`: `shipper validate --connect`
//! - `cluster`: the requests of these two
//!
//! The id of a document is the id of its event, and it is only ever created: an event that comes again
//! is there already, which counts as delivered. That goes for one index; a data stream that was rolled
//! over meanwhile takes it a second time, under the same id.

mod answer;
mod cluster;
mod connect;
mod setup;

use std::sync::atomic::{AtomicU64, Ordering};

use self::answer::Items;
use super::transport::{Answer, Class, Method, Request, Transport, TransportError};
use super::{Batch, Outcome, Sink};
use crate::config::settings::ElasticsearchSettings;
use crate::event::Event;
use crate::format::{self, Format};

pub use self::connect::check as check_connection;
pub use self::setup::{Setup, Step};

/// No more of the answer than what is read of it. `items.*.error` as a whole may hold the cause of a
/// cause; without `items.*.status` the places of events would be lost.
const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Of an answer, for each event: status, type of the error, and a reason that names field and index.
const ANSWER_BYTES_PER_EVENT: usize = 2 << 10;

/// Of an answer, in any case: an error page of whoever stands before the cluster.
const ANSWER_BYTES_MIN: usize = 64 << 10;

/// Delivers to a data stream or index of Elasticsearch or OpenSearch.
pub struct ElasticsearchSink {
    transport: Transport,
    data_stream: String,
    path: String,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    duplicate: AtomicU64,
    rejected: AtomicU64,
    again: AtomicU64,
}

impl ElasticsearchSink {
    /// A sink that connects with its first batch.
    ///
    /// # Errors
    /// When a URL is none.
    pub fn new(settings: &ElasticsearchSettings) -> Result<ElasticsearchSink, TransportError> {
        Ok(ElasticsearchSink {
            transport: Transport::new(&settings.transport)?,
            data_stream: settings.data_stream.clone(),
            path: format!("/{}/_bulk?{FILTER}", settings.data_stream),
            figures: Figures::default(),
        })
    }

    /// What an answer with a status of success says of a batch of `count` events.
    fn settle(&self, answer: &Answer, count: usize) -> Outcome {
        let distrusted = |why: &str| Outcome::Retry {
            cause: format!("{}, but {why}: nothing is taken as delivered", answer.words),
            after: answer.after,
        };
        if !answer.is_whole {
            return distrusted("with more than an answer to these events can be");
        }
        let items = match Items::read(&answer.body, count) {
            Ok(items) => items,
            Err(error) => return distrusted(&error.to_string()),
        };
        let (duplicate, rejected, again) = items.counts();
        let add =
            |figure: &AtomicU64, more: usize| figure.fetch_add(more as u64, Ordering::Relaxed);
        add(&self.figures.duplicate, duplicate);
        add(&self.figures.rejected, rejected);
        add(&self.figures.again, again);
        let without = |text: &str| self.transport.without_secrets(text);
        items.outcome(&answer.words, answer.after, &self.data_stream, &without)
    }
}

#[async_trait::async_trait]
impl Sink for ElasticsearchSink {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"create\":{\"_id\":\"");
        out.extend_from_slice(&event.id().hex());
        out.extend_from_slice(b"\"}}\n");
        // Its mappings are for no other.
        format::encode(Format::Ecs, event, out);
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        let (count, bytes) = (batch.len(), batch.bytes());
        let request = Request {
            method: Method::POST,
            path: &self.path,
            headers: &[],
            body: Some(("application/x-ndjson", bytes)),
            endpoint: None,
            // A reason may repeat what is in the event.
            answer_bytes_max: ANSWER_BYTES_MIN + count * ANSWER_BYTES_PER_EVENT + bytes.len(),
        };
        match self.transport.request(request).await {
            Ok(answer) if answer.class() == Class::Done => self.settle(&answer, count),
            Ok(answer) => answer.outcome(count, bytes.len()),
            Err(failure) => failure.into(),
        }
    }

    fn figures(&self) -> Vec<(&'static str, u64)> {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let mut figures = self.transport.figures();
        figures.extend([
            ("items_duplicate", get(&self.figures.duplicate)),
            ("items_rejected", get(&self.figures.rejected)),
            ("items_again", get(&self.figures.again)),
        ]);
        figures
    }
}
