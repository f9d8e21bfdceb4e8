//! Requests to the cluster beside those with events: for setting it up, and for looking at it.

use serde_json::Value;

use super::answer::shorten;
use crate::sink::transport::{Failure, Method, Request, Transport};

/// Most bytes of an answer: the largest template has a tenth of that.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// One URL of a cluster.
pub struct Cluster<'a> {
    transport: &'a Transport,
    endpoint: usize,
}

/// An answer of it.
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body; null where that is no JSON.
    pub body: Value,
    /// Who answered what.
    pub words: String,
}

/// What the name in the configuration stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing yet.
    Missing,
    /// A data stream; its newest backing index.
    DataStream(String),
    /// An index.
    Index,
    /// Another name of some indices.
    Alias,
    /// These credentials may not know.
    Hidden,
}

/// What is said of a URL where something else answers.
#[must_use]
pub fn foreign(shown: &str) -> String {
    format!("{shown} answers, but not as Elasticsearch or OpenSearch do; is it another service?")
}

impl<'a> Cluster<'a> {
    /// The cluster at the URL of this place in the settings.
    #[must_use]
    pub fn new(transport: &'a Transport, endpoint: usize) -> Cluster<'a> {
        Cluster { transport, endpoint }
    }

    /// Asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.request(Method::GET, path, None).await
    }

    /// Makes a request with a body of JSON.
    ///
    /// # Errors
    /// When there is no answer, or one that no cluster gives.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Reply, Failure> {
        let request = Request {
            method,
            path,
            headers: &[],
            body: body.map(|body| ("application/json", body.as_bytes())),
            endpoint: Some(self.endpoint),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.transport.request(request).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let shown = self.shown();
        if answer.status.is_success() && body.is_null() {
            return Err(Failure { cause: foreign(&shown), is_blocked: true });
        }
        let words = match body["error"]["reason"].as_str() {
            Some(reason) => {
                let reason = shorten(&self.transport.without_secrets(reason));
                format!("{shown} answered {}: {reason}", answer.status)
            }
            None => answer.words,
        };
        Ok(Reply { status: answer.status.as_u16(), body, words })
    }

    /// The URL without what may be secret.
    #[must_use]
    pub fn shown(&self) -> String {
        self.transport.shown().nth(self.endpoint).unwrap_or_default()
    }

    /// What stands behind a name.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn target(&self, name: &str) -> Result<Target, Failure> {
        let reply = self.get(&format!("/_resolve/index/{name}")).await?;
        let found = |list: &str| reply.body[list].as_array().and_then(|list| list.first());
        Ok(match reply.status {
            404 => Target::Missing,
            200 => {
                if let Some(stream) = found("data_streams") {
                    // A single one comes without a list from some versions. The last is written to.
                    let backing = &stream["backing_indices"];
                    let newest = backing.as_array().and_then(|all| all.last()).unwrap_or(backing);
                    Target::DataStream(newest.as_str().unwrap_or_default().to_owned())
                } else if found("indices").is_some() {
                    Target::Index
                } else if found("aliases").is_some() {
                    Target::Alias
                } else {
                    Target::Missing
                }
            }
            _ => Target::Hidden,
        })
    }
}

impl Reply {
    /// Whether the status is one of success.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
