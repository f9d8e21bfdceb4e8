//! What the proxy does at present, shared by its threads; and the two threads of a connection.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::frames::{Requests, Responses};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// What the threads share.
pub struct Shared {
    /// Where the broker listens on 127.0.0.1.
    pub upstream: u16,
    state: Mutex<State>,
    changed: Condvar,
}

/// What the proxy does at present.
#[derive(Default)]
pub struct State {
    /// None while it is cut.
    pub listener: Option<Arc<TcpListener>>,
    /// Whether nothing passes.
    pub hangs: bool,
    /// How many more bytes go to the broker before it is cut.
    pub cut_after_bytes: Option<u64>,
    /// The kind of request whose responses are lost, and how many more of them.
    pub losing: Option<(i16, u32)>,
    /// How many were lost.
    pub lost: u32,
    /// Both ends of each connection.
    connections: BTreeMap<u64, [TcpStream; 2]>,
    connections_ever: u64,
}

impl State {
    /// Refuses new connections and closes those that there are.
    pub fn cut(&mut self) {
        if let Some(listener) = self.listener.take() {
            // Wakes the thread that accepts; the port refuses from here on.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        }
        self.cut_after_bytes = None;
        for (_, ends) in std::mem::take(&mut self.connections) {
            close(&ends);
        }
    }

    /// How much of `bytes` may go to the broker, and whether it is cut then.
    fn admit(&mut self, bytes: usize) -> (usize, bool) {
        let Some(left) = self.cut_after_bytes else { return (bytes, false) };
        match usize::try_from(left) {
            Ok(left) if left <= bytes => (left, true),
            _ => {
                self.cut_after_bytes = Some(left - bytes as u64);
                (bytes, false)
            }
        }
    }

    /// Whether the response to a request of this kind is lost.
    fn loses(&mut self, kind: Option<i16>) -> bool {
        let Some((losing, left)) = self.losing else { return false };
        if kind != Some(losing) {
            return false;
        }
        self.lost += 1;
        self.losing = (left > 1).then_some((losing, left - 1));
        true
    }
}

fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        // Closed already: then that is that.
        let _ = end.shutdown(Shutdown::Both);
    }
}

impl Shared {
    pub fn new(upstream: u16) -> Shared {
        Shared { upstream, state: Mutex::default(), changed: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the proxy does, and lets those who wait look at it.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Accepts until it is cut.
    pub fn accept(self: &Arc<Shared>, listener: &Arc<TcpListener>) {
        loop {
            let accepted = listener.accept();
            let state = self.lock();
            if !state.listener.as_ref().is_some_and(|current| Arc::ptr_eq(current, listener)) {
                return;
            }
            drop(state);
            match accepted {
                // A thread for each: a broker that is paused may not even take connections.
                Ok((client, _)) => {
                    let shared = Arc::clone(self);
                    std::thread::spawn(move || {
                        // The broker is down: the client sees its connection closed.
                        let _ = shared.connect(client);
                    });
                }
                // Too many files, or a client that is gone already.
                Err(_) => std::thread::sleep(crate::process::LOOK_INTERVAL),
            }
        }
    }

    fn connect(self: &Arc<Shared>, client: TcpStream) -> std::io::Result<()> {
        let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, self.upstream))?;
        // What is passed was written whole by the other side; holding it back only costs time.
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let ends = [client.try_clone()?, broker.try_clone()?];
        let id = {
            let mut state = self.lock();
            if state.listener.is_none() {
                return Ok(()); // Cut meanwhile; both ends close here.
            }
            state.connections_ever += 1;
            let id = state.connections_ever;
            state.connections.insert(id, ends);
            id
        };
        let requests = Arc::new(Mutex::new(Requests::default()));
        let (from, to) = (client.try_clone()?, broker.try_clone()?);
        let (shared, seen) = (Arc::clone(self), Arc::clone(&requests));
        std::thread::spawn(move || {
            let _ = shared.pass_requests(id, from, to, &seen);
            shared.end(id);
        });
        let outcome = self.pass_responses(id, broker, client, &requests);
        self.end(id);
        outcome
    }

    fn end(&self, id: u64) {
        if let Some(ends) = self.lock().connections.remove(&id) {
            close(&ends);
        }
    }

    /// Waits while the proxy hangs. None once this connection has ended.
    fn gate(&self, id: u64) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while state.hangs && state.connections.contains_key(&id) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.connections.contains_key(&id).then_some(state)
    }

    fn pass_requests(
        &self,
        id: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        requests: &Mutex<Requests>,
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = from.read(&mut buffer)?;
            let Some(mut state) = self.gate(id) else { return Ok(()) };
            if count == 0 {
                return Ok(());
            }
            let (admitted, cuts) = state.admit(count);
            drop(state);
            let bytes = &buffer[..admitted];
            // Before the broker has it, so that no response comes to an unknown request.
            requests.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
            to.write_all(bytes)?;
            if cuts {
                self.change(State::cut);
                return Ok(());
            }
        }
    }

    fn pass_responses(
        &self,
        id: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        requests: &Mutex<Requests>,
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut responses = Responses::default();
        // A connection that lost one response never gives another.
        let mut has_lost = false;
        loop {
            let count = from.read(&mut buffer)?;
            let Some(state) = self.gate(id) else { return Ok(()) };
            drop(state);
            if count == 0 {
                return Ok(());
            }
            let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            if requests.is_tls() {
                drop(requests);
                to.write_all(&buffer[..count])?;
                continue;
            }
            responses.take(&buffer[..count]);
            let mut passing = Vec::new();
            while let Some(response) = responses.next().map_err(std::io::Error::other)? {
                let kind = requests.answered_by(&response);
                let mut state = self.lock();
                if state.loses(kind) {
                    has_lost = true;
                }
                // With none left to lose, here or at all, the client gets to know.
                if has_lost && !state.losing.is_some_and(|(kind, _)| requests.awaits(kind)) {
                    return Ok(());
                }
                if !has_lost {
                    passing.extend(response);
                }
            }
            drop(requests);
            to.write_all(&passing)?;
        }
    }
}
