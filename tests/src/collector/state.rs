//! What the threads of a collector share: what it is to do, what it did, who is connected.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::account::{Account, Recent};
use super::answer::Answer;
use super::fault::Fault;
use super::hec::Channels;
use super::plan::Dialect;

/// What the threads share.
pub struct Shared {
    state: Mutex<State>,
    /// Something was counted, or somebody has gone.
    pub changed: Condvar,
}

/// What a collector is to do, and what it did.
pub struct State {
    /// None while it is dead.
    pub listener: Option<Arc<TcpListener>>,
    /// What new connections are presented; `None` is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// New connections are accepted and not served.
    pub mute: bool,
    pub dialect: Arc<Dialect>,
    /// The whole value of `Authorization`.
    pub token: Option<String>,
    pub script: VecDeque<Fault>,
    /// When the script is at its end.
    pub always: Fault,
    /// The beginning of the paths that faults are for.
    pub only: Option<String>,
    /// More requests at once are answered 429.
    pub in_flight_max: Option<usize>,
    pub account: Account,
    pub recent: Recent,
    pub store: Store,
    /// More requests at once are answered 429.
    pub in_flight_limit: Option<usize>,
    in_flight: usize,
    connections: HashMap<u64, Arc<TcpStream>>,
    /// Connections whose thread has not ended yet.
    pub at_work: usize,
}

/// What was in force when a connection was made.
pub struct Connection {
    pub id: u64,
    pub tls: Option<Arc<ServerConfig>>,
    pub mute: bool,
}

/// What the protocols remember.
#[derive(Default)]
pub struct Store {
    /// Generic: the idempotency keys of what was taken.
    pub keys: HashSet<String>,
    /// Splunk: what was promised.
    pub channels: Channels,
    /// Elasticsearch: how many items came.
    pub items: u64,
}

impl State {
    pub fn new(dialect: Dialect, token: Option<String>) -> State {
        State {
            listener: None,
            tls: None,
            mute: false,
            dialect: Arc::new(dialect),
            token,
            script: VecDeque::new(),
            always: Fault::Well,
            only: None,
            in_flight_max: None,
            account: Account::default(),
            recent: Recent::default(),
            store: Store::default(),
            in_flight_limit: None,
            in_flight: 0,
            connections: HashMap::new(),
            at_work: 0,
        }
    }

    /// Counts a request that begins, and says what happens to it.
    pub fn begin(&mut self, path: &str) -> Fault {
        self.account.requests += 1;
        self.in_flight += 1;
        self.account.in_flight_max = self.account.in_flight_max.max(self.in_flight);
        if self.in_flight_max.is_some_and(|max| self.in_flight > max) {
            return Fault::Status(429);
        }
        if self.only.as_ref().is_some_and(|only| !path.starts_with(only.as_str())) {
            return Fault::Well;
        }
        if self.in_flight_limit.is_some_and(|limit| self.in_flight > limit) {
            return Fault::Status(429);
        }
        self.script.pop_front().unwrap_or_else(|| self.always.clone())
    }

    /// Counts a request that has its answer, or gets none.
    pub fn end(&mut self) {
        self.in_flight -= 1;
    }

    /// Counts what is against the protocol.
    pub fn refuse_malformed(&mut self, what: String) -> Answer {
        let body = serde_json::json!({"error": what}).to_string();
        self.account.complain(what);
        Answer::new(400, body)
    }

    /// Enters a connection. `None` when the collector died meanwhile.
    pub fn connect(
        &mut self,
        listener: &Arc<TcpListener>,
        socket: &Arc<TcpStream>,
    ) -> Option<Connection> {
        if !self.listener.as_ref().is_some_and(|current| Arc::ptr_eq(current, listener)) {
            return None;
        }
        self.account.connections += 1;
        self.at_work += 1;
        let id = self.account.connections as u64;
        self.connections.insert(id, Arc::clone(socket));
        Some(Connection { id, tls: self.tls.clone(), mute: self.mute })
    }

    pub fn disconnect(&mut self, id: u64) {
        self.connections.remove(&id);
    }

    /// Refuses new connections and closes those that there are.
    pub fn cut(&mut self) {
        if let Some(listener) = self.listener.take() {
            // Wakes the thread that accepts; the port refuses from here on.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        }
        self.disconnect_all();
        // Splunk forgets with its end what it promised.
        self.store.channels.clear();
    }

    pub fn disconnect_all(&mut self) {
        for (_, socket) in self.connections.drain() {
            // Closed already: then that is that.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    pub fn new(state: State) -> Shared {
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
