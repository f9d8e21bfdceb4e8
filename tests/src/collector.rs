//! A collector that speaks real HTTP/1.1, plain or over TLS, and misbehaves on command.
//!
//! ```
//! # use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
//! # use shipper_tests::pki::Certificate;
//! # fn main() -> anyhow::Result<()> {
//! let plan = Plan { tls: Some(Certificate::Valid), ..Plan::default() };
//! let collector = Collector::start(Dialect::generic(), plan)?;
//! collector.script([Fault::Status(503), Fault::CloseBeforeAnswer { taken: true }]);
//! let (url, ca_file) = (collector.url(), collector.ca_file());
//! // ... send with what is tested, then wait for what is to come ...
//! # collector.script([]);
//! # let ids: [&str; 0] = [];
//! collector.wait("all events", |account| account.events.len() >= ids.len())?;
//! assert!(collector.account().has_exactly(ids));
//! # let _ = (url, ca_file);
//! # Ok(())
//! # }
//! ```
//!
//! A thread serves each connection; nothing in it waits for time to pass but the faults that say so.
//! What an answer tells was counted before the answer went out. An event has its id in `event.id`
//! (for Elasticsearch: in `_id`).

mod account;
mod answer;
mod connection;
pub mod delivery;
mod elasticsearch;
mod fault;
mod generic;
mod hec;
mod plan;
mod request;
mod state;
mod stream;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::pki::{Certificate, Pair, Pki};
use crate::ports;
use crate::process::LIMIT;
use state::{Shared, State};

pub use account::{Account, Seen};
pub use fault::{Fault, RetryAfter};
pub use plan::{Dialect, ElasticsearchPlan, GenericPlan, HecPlan, Plan};

/// A collector at work on 127.0.0.1. Dropping it closes all connections.
pub struct Collector {
    port: u16,
    scheme: &'static str,
    client_ca: bool,
    shared: Arc<Shared>,
    pki: Pki,
    _directory: tempfile::TempDir,
}

impl Collector {
    /// Starts it, well.
    pub fn start(dialect: Dialect, plan: Plan) -> anyhow::Result<Collector> {
        let directory = tempfile::tempdir()?;
        let collector = Collector {
            port: ports::free()?,
            scheme: if plan.tls.is_some() { "https" } else { "http" },
            client_ca: plan.client_ca,
            shared: Arc::new(Shared::new(State::new(dialect, plan.token))),
            pki: Pki::new(directory.path())?,
            _directory: directory,
        };
        if let Some(certificate) = plan.tls {
            collector.present(certificate)?;
        }
        collector.revive()?;
        Ok(collector)
    }

    /// Where it is, by address and without a path: `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The same by name: `https://localhost:PORT`. Its certificate is for both.
    #[must_use]
    pub fn localhost_url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    /// Where it listens, or did before it died.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a client is to trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.pki.ca_file()
    }

    /// The certificate of an authority that did not sign what is presented, unless that is
    /// [`Certificate::OtherAuthority`].
    #[must_use]
    pub fn other_ca_file(&self) -> PathBuf {
        self.pki.other_ca_file()
    }

    /// Makes a certificate for a client.
    pub fn client(&self, name: &str, certificate: Certificate) -> anyhow::Result<Pair> {
        self.pki.client(name, certificate)
    }

    /// Presents another certificate to the connections made from now on. Only of a collector that
    /// was started with TLS.
    pub fn present(&self, certificate: Certificate) -> anyhow::Result<()> {
        self.pki.present(certificate)?;
        let client_ca = self.client_ca.then(|| self.pki.ca_file());
        let config = stream::server_config(&self.pki.server_file(), client_ca.as_deref())?;
        self.shared.lock().tls = Some(config);
        Ok(())
    }

    /// The whole value that `Authorization` must have from now on.
    pub fn expect_token(&self, token: impl Into<String>) {
        self.shared.lock().token = Some(token.into());
    }

    /// Changes what the dialect takes, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut Dialect)) {
        change(Arc::make_mut(&mut self.shared.lock().dialect));
    }

    /// What happens to the requests that come from now on, one after the other, instead of what was
    /// scripted before; afterwards as [`Collector::always`] says. Requests for acknowledgements and
    /// health use up faults as well, unless [`Collector::only`] excludes them.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.lock().script = faults.into_iter().collect();
    }

    /// How many faults of the script did not happen yet.
    #[must_use]
    pub fn script_left(&self) -> usize {
        self.shared.lock().script.len()
    }

    /// What happens to each request that the script has nothing for; at first, and with
    /// [`Fault::Well`], nothing.
    pub fn always(&self, fault: Fault) {
        self.shared.lock().always = fault;
    }

    /// Faults happen only to requests whose path begins so; the others are answered well.
    pub fn only(&self, path: impl Into<String>) {
        self.shared.lock().only = Some(path.into());
    }

    /// Answers 429 to each request that comes while so many others are at work; it uses up no fault.
    /// `None`: there may be any number. [`Fault::Slow`] has them stay at work.
    pub fn limit_in_flight(&self, max: Option<usize>) {
        self.shared.lock().in_flight_max = max;
    }

    /// Answers 429 to each request that comes while so many others are at work.
    pub fn in_flight_limit(&self, limit: usize) {
        self.shared.lock().in_flight_limit = Some(limit);
    }

    /// Accepts connections made from now on and says nothing, not even in a handshake; or serves
    /// them again. Those that were not served stay so until the client goes.
    pub fn mute(&self, mute: bool) {
        self.shared.lock().mute = mute;
    }

    /// Closes all connections, in the middle of whatever; new ones are served.
    pub fn disconnect(&self) {
        self.shared.lock().disconnect_all();
    }

    /// Closes all connections, and refuses new ones until [`Collector::revive`]. Nothing is taken
    /// after it has returned. What was taken is kept; what Splunk has not acknowledged, it never
    /// will.
    pub fn die(&self) {
        let mut state = self.shared.lock();
        state.cut();
        let at_work = |state: &mut State| state.at_work > 0;
        let changed = &self.shared.changed;
        drop(changed.wait_timeout_while(state, LIMIT, at_work));
        // What was promised by requests that were at work meanwhile.
        self.shared.lock().store.channels.clear();
    }

    /// Listens again at the same port. Does nothing when it is alive.
    pub fn revive(&self) -> anyhow::Result<()> {
        let mut state = self.shared.lock();
        if state.listener.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .with_context(|| format!("the collector's port {}", self.port))?;
        let listener = Arc::new(listener);
        state.listener = Some(Arc::clone(&listener));
        drop(state);
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || connection::accept(&shared, &listener));
        Ok(())
    }

    /// What came and what was done so far.
    #[must_use]
    pub fn account(&self) -> Account {
        self.shared.lock().account.clone()
    }

    /// Looks at the account without a copy. The collector stands still meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Account) -> T) -> T {
        look(&self.shared.lock().account)
    }

    /// Waits until the account is so, looking whenever something was counted. Fails after [`LIMIT`], naming what
    /// was waited for.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Account) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.shared.lock();
        while !is_so(&state.account) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited in vain: {what}; complaints: {:?}", state.account.complaints);
            }
            state = match self.shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Ok(())
    }

    /// The last requests that came whole, 10,000 at most and with 64 MiB of bodies.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.lock().recent.all()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.die();
    }
}

/// The id of an event, which may also be a text of JSON.
fn event_id(event: &Value) -> Option<String> {
    match event {
        Value::String(text) => {
            event_id(&serde_json::from_str::<Value>(text).ok().filter(Value::is_object)?)
        }
        _ => Some(event.pointer("/event/id")?.as_str()?.to_owned()),
    }
}

/// Whether the event has this text anywhere.
fn has_text(event: &Value, text: &str) -> bool {
    event.to_string().contains(text)
}
