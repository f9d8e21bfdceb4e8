//! What came to a collector: the oracle of the tests.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How many requests are kept for [`super::Collector::requests`]; older ones are forgotten.
const SEEN_MAX: usize = 10_000;
/// How many bytes of bodies are kept with them.
const SEEN_BYTES_MAX: usize = 64 << 20;
/// How many complaints are kept; the first ones tell the most.
const COMPLAINTS_MAX: usize = 100;

/// What a collector has got and done since it started; over its deaths as well.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The ids of the events that were taken, each once, in the order in which they first were.
    pub events: Vec<String>,
    /// How often each event was taken.
    pub taken: HashMap<String, usize>,
    /// Splunk: the events of which an answer with `ack: true` was made (not that it arrived).
    pub acked: HashSet<String>,
    /// Requests whose first line came.
    pub requests: usize,
    /// Requests that are no HTTP, cannot be decoded, or do not keep to the protocol.
    pub malformed: usize,
    /// What was wrong with the first hundred of these.
    pub complaints: Vec<String>,
    /// Connections accepted.
    pub connections: usize,
    /// Connections whose TLS handshake failed, for whatever reason of whichever side. A client may
    /// also find fault with a certificate only after the handshake.
    pub failed_handshakes: usize,
    /// How many answers had each status; those that were cut as well.
    pub statuses: BTreeMap<u16, usize>,
    /// The idempotency keys that came, with how many requests had each.
    pub keys: HashMap<String, usize>,
    /// Keys that came with different bodies, and bodies that came with different keys: the keys, each
    /// time.
    pub key_violations: Vec<String>,
    /// The most requests at work at once: from their first line until their answer goes out.
    pub in_flight_max: usize,

    body_of_key: HashMap<String, u64>,
    key_of_body: HashMap<u64, String>,
}

impl Account {
    /// Whether these events were taken, in this order at first, and none else.
    #[must_use]
    pub fn has_exactly<T: AsRef<str>>(&self, ids: impl IntoIterator<Item = T>) -> bool {
        let mut known = self.events.iter();
        ids.into_iter().all(|id| known.next().is_some_and(|event| event == id.as_ref()))
            && known.next().is_none()
    }

    /// How many events were taken more often than once.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.taken.values().filter(|times| **times > 1).count()
    }

    pub(super) fn take(&mut self, id: String) {
        match self.taken.entry(id) {
            Entry::Occupied(mut times) => *times.get_mut() += 1,
            Entry::Vacant(first) => {
                self.events.push(first.key().clone());
                first.insert(1);
            }
        }
    }

    pub(super) fn complain(&mut self, what: String) {
        self.malformed += 1;
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(what);
        }
    }

    pub(super) fn note_key(&mut self, key: &str, body: &[u8]) {
        *self.keys.entry(key.to_owned()).or_default() += 1;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let hash = hasher.finish();
        let body_before = *self.body_of_key.entry(key.to_owned()).or_insert(hash);
        let key_before = self.key_of_body.entry(hash).or_insert_with(|| key.to_owned());
        if body_before != hash || *key_before != key {
            self.key_violations.push(key.to_owned());
        }
    }
}

/// A request that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The length of the body as it came, in bytes.
    pub body_bytes: usize,
    /// The body, decompressed. Empty where it could not be.
    pub body: Vec<u8>,
    /// The status it was answered with. `None` where the answer is none: nothing, or no HTTP.
    pub status: Option<u16>,
}

impl Seen {
    /// The value of the first header of this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The last requests.
#[derive(Default)]
pub struct Recent {
    requests: VecDeque<Seen>,
    bytes: usize,
}

impl Recent {
    pub fn push(&mut self, seen: Seen) {
        self.bytes += seen.body.len();
        self.requests.push_back(seen);
        while self.requests.len() > SEEN_MAX || self.bytes > SEEN_BYTES_MAX {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    pub fn all(&self) -> Vec<Seen> {
        self.requests.iter().cloned().collect()
    }
}
