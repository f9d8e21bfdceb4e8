//! Events put aside, until the pipeline has reported them in the stream.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::enrich::clock::wall_now;
use crate::event::WallTime;

/// Events of one sink that were put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutAside {
    /// How many.
    pub count: u64,
    /// When the first one was.
    pub first: WallTime,
    /// When the last one was.
    pub last: WallTime,
}

/// What is not reported yet, by sink: bounded by the number of sinks.
#[derive(Debug, Default)]
pub struct Losses(Mutex<BTreeMap<String, PutAside>>);

impl Losses {
    /// Events of a sink were put aside.
    pub fn quarantined(&self, sink: &str, count: u64) {
        if count == 0 {
            return;
        }
        let now = wall_now();
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            losses.entry(sink.to_owned()).or_insert(PutAside { count: 0, first: now, last: now });
        entry.count += count;
        entry.last = now;
    }

    /// Everything since the last call.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, PutAside> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
