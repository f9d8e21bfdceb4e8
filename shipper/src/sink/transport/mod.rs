//! Requests over HTTP, for the sinks that use it. The client library is used here and nowhere else.
//!
//! - `client`: connections, by the settings and the files they name
//! - `tls`: trust, and the certificate of this client
//! - `credentials`: how a request proves who sends it; what must never be repeated
//! - `endpoints`: which of several URLs is asked
//! - `body`: compression
//! - `answer`: what a status means
//! - `failure`: what it means that there is no answer
//!
//! A request is made once: `deliver` decides when it is made again. Redirects are not followed: what
//! is secret is for the host in the configuration alone.

mod answer;
mod body;
mod client;
mod credentials;
mod endpoints;
mod failure;
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
pub use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

use self::answer::Anonymous;
pub use self::answer::{Answer, Class};
pub use self::client::TransportError;
use self::client::{Clients, Fresh};
use self::endpoints::Endpoints;
pub use self::failure::Failure;
use crate::config::settings::TransportSettings;

/// What is sent.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET, HEAD, POST or PUT.
    pub method: Method,
    /// Appended to the URL: empty, or a path with a slash at its beginning, and perhaps a query.
    pub path: &'a str,
    /// Headers beside those of content and authentication.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// Its type and its bytes, which are compressed as the settings say.
    pub body: Option<(&'static str, &'a [u8])>,
    /// Which URL, by its place in the settings; `None` is the preferred one of those that work.
    pub endpoint: Option<usize>,
    /// Most bytes of the answer's body; what is beyond is not read.
    pub answer_bytes_max: usize,
}

/// Connections to the URLs of one sink.
pub struct Transport {
    settings: TransportSettings,
    endpoints: Endpoints,
    clients: Mutex<Option<Fresh>>,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    requests: AtomicU64,
    failed: AtomicU64,
    sent_bytes: AtomicU64,
    round_trip_us: AtomicU64,
}

impl Transport {
    /// Connects with the first request.
    ///
    /// # Errors
    /// When a URL is none. Secrets and files are read later, when they are needed: while one cannot
    /// be read the sink is held, and capture goes on.
    pub fn new(settings: &TransportSettings) -> Result<Transport, TransportError> {
        Ok(Transport {
            endpoints: Endpoints::new(client::urls(settings)?),
            settings: settings.clone(),
            clients: Mutex::new(None),
            figures: Figures::default(),
        })
    }

    /// The place of the URL to be asked now, for a request that depends on it. One that was picked is
    /// asked.
    #[must_use]
    pub fn pick(&self) -> usize {
        self.endpoints.pick()
    }

    /// Makes a request, once.
    ///
    /// # Errors
    /// When there is no answer, or not all of it.
    pub async fn request(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let clients = self.clients()?;
        let place = request.endpoint.unwrap_or_else(|| self.endpoints.pick());
        let url = self.endpoints.url(place);
        let shown = client::shown(url);
        let begun = Instant::now();
        self.figures.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match self.exchange(&clients, place, &request).await {
            Ok(answer) => answer.of(place, &shown, &clients.credentials),
            Err(error) => {
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                self.endpoints.failed(place, begun);
                return Err(failure::explain(&error, &shown, &self.settings));
            }
        };
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.figures.round_trip_us.store(took, Ordering::Relaxed);
        match answer.class() {
            Class::Done | Class::TooLarge | Class::Refused => self.endpoints.worked(place),
            Class::Again | Class::Blocked => {
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                self.endpoints.failed(place, begun);
            }
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        clients: &Clients,
        place: usize,
        request: &Request<'_>,
    ) -> Result<Anonymous, reqwest::Error> {
        let url = client::extended(&clients.urls[place], request.path);
        let mut builder = clients.clients[place].request(request.method.clone(), url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        for (name, value) in &clients.credentials.headers {
            builder = builder.header(name, value);
        }
        if let Some((content_type, bytes)) = request.body {
            let (bytes, coding) = body::compress(bytes, self.settings.compression);
            self.figures.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            builder = builder.header(CONTENT_TYPE, content_type).body(bytes);
            if let Some(coding) = coding {
                builder = builder.header(CONTENT_ENCODING, coding);
            }
        }
        let response = builder.send().await?;
        Anonymous::read(response, request.answer_bytes_max).await
    }

    /// Clients whose files and secrets are those of now.
    fn clients(&self) -> Result<std::sync::Arc<Clients>, TransportError> {
        let mut held = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = &*held
            && fresh.is_fresh()
        {
            return Ok(fresh.clients.clone());
        }
        let fresh = Fresh::new(&self.settings)?;
        let clients = fresh.clients.clone();
        *held = Some(fresh);
        Ok(clients)
    }

    /// The URLs without what may be secret in them, for messages; the preferred one first.
    pub fn shown(&self) -> impl Iterator<Item = String> {
        self.endpoints.urls().map(client::shown)
    }

    /// A text of the other side without the secrets that were sent to it, which it may repeat.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        let held = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(fresh) => fresh.clients.credentials.without(text),
            None => text.to_owned(),
        }
    }

    /// What is counted; see [`crate::sink::Sink::figures`].
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let Figures { requests, failed, sent_bytes, round_trip_us } = &self.figures;
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        vec![
            ("requests", get(requests)),
            ("requests_failed", get(failed)),
            ("sent_bytes", get(sent_bytes)),
            ("round_trip_us", get(round_trip_us)),
            ("urls_failing", self.endpoints.failing() as u64),
        ]
    }
}
