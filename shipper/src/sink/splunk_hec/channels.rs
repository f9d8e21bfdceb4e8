//! What is known of the acknowledgements of one URL: its channels, and who waits for which number.
//!
//! A collector numbers the batches of a channel from 0 on, tells once that a number is acknowledged,
//! and forgets everything when it restarts: then the same numbers come again for other batches. So
//! that none is taken for another, a new channel is begun whenever a request gets no answer of a
//! collector, and one whose numbers begin anew is given up: what waits on it comes again. What is left
//! is a restart that falls between two questions, a second at most, and a question that comes between
//! a batch that is given an old number then and the answer that tells it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

/// First pause between two questions. An indexer takes some hundred milliseconds at least.
pub const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Most numbers of one question. There is one for each batch in flight, which are fewer.
const NUMBERS_MAX: usize = 1000;

/// The channels of one URL.
pub struct Channels {
    state: Mutex<State>,
    /// Whoever asks holds this: what is told once must not be told to two.
    pub asking: tokio::sync::Mutex<()>,
}

struct State {
    /// The channel of the next batch.
    current: Uuid,
    /// The collector was seen to acknowledge.
    is_proven: bool,
    pause: Duration,
    /// Those on which something is under way.
    channels: BTreeMap<Uuid, Channel>,
}

#[derive(Default)]
struct Channel {
    /// Batches under way of which there is no answer yet.
    posts: u64,
    /// Largest number that was given out.
    highest: Option<u64>,
    /// Numbers below this may belong to batches whose answers were lost.
    doubtful_below: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Channels {
    /// Before the first batch.
    #[must_use]
    pub fn new() -> Channels {
        let state = State {
            current: Uuid::new_v4(),
            is_proven: false,
            pause: PAUSE_MIN,
            channels: BTreeMap::new(),
        };
        Channels { state: Mutex::new(state), asking: tokio::sync::Mutex::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel of the next batch.
    #[must_use]
    pub fn current(&self) -> Uuid {
        self.state().current
    }

    /// Whether the collector was seen to acknowledge.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.state().is_proven
    }

    /// It was seen to.
    pub fn prove(&self) {
        self.state().is_proven = true;
    }

    /// It gave no number: nothing is sent before it was looked at again.
    pub fn doubt(&self) {
        let mut state = self.state();
        state.is_proven = false;
        state.current = Uuid::new_v4();
        state.tidy();
    }

    /// The next batch begins a new channel, if this is still the current one.
    pub fn leave(&self, channel: Uuid) {
        self.state().leave(channel);
    }

    /// A batch is about to be sent; `None` while the collector is not proven.
    #[must_use]
    pub fn begin(&self) -> Option<Post<'_>> {
        let mut state = self.state();
        if !state.is_proven {
            return None;
        }
        let id = state.current;
        let channel = state.channels.entry(id).or_default();
        channel.posts += 1;
        Some(Post { channels: self, id, floor: channel.highest })
    }

    /// How long to wait before the next question.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.state().pause
    }

    /// The numbers that are waited for, by their channels; on each the oldest first.
    #[must_use]
    pub fn questions(&self) -> Vec<(Uuid, Vec<u64>)> {
        let state = self.state();
        let waiting = state.channels.iter().filter(|(_, channel)| !channel.waiting.is_empty());
        waiting
            .map(|(id, channel)| (*id, channel.waiting.keys().copied().take(NUMBERS_MAX).collect()))
            .collect()
    }

    /// The collector has told that these are acknowledged.
    pub fn acknowledged(&self, id: Uuid, numbers: &[u64]) {
        let mut state = self.state();
        state.pause = match numbers {
            [] => (state.pause * 3 / 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        let Some(channel) = state.channels.get_mut(&id) else { return };
        for number in numbers {
            if let Some(waiting) = channel.waiting.remove(number) {
                // Who has gone away meanwhile sends the batch again.
                let _ = waiting.send(());
            }
        }
    }

    /// How many channels are remembered.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.state().channels.len()
    }

    /// How many batches wait for their acknowledgement.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().channels.values().map(|channel| channel.waiting.len()).sum()
    }
}

impl State {
    fn leave(&mut self, id: Uuid) {
        if self.current == id {
            self.current = Uuid::new_v4();
            self.tidy();
        }
    }

    /// Forgets channels that were left and on which nothing is under way.
    fn tidy(&mut self) {
        let current = self.current;
        self.channels.retain(|id, channel| {
            *id == current || channel.posts > 0 || !channel.waiting.is_empty()
        });
    }
}

/// A batch under way to the collector.
pub struct Post<'a> {
    channels: &'a Channels,
    /// Its channel.
    pub id: Uuid,
    /// The largest number that was given out before it was sent.
    floor: Option<u64>,
}

impl<'a> Post<'a> {
    /// It was taken and has this number. `None` when the number was given to another batch, or would
    /// have been: then its channel is given up.
    #[must_use]
    pub fn numbered(self, number: u64) -> Option<Waiting<'a>> {
        let mut state = self.channels.state();
        let was_idle = state.channels.values().all(|channel| channel.waiting.is_empty());
        let channel = state.channels.entry(self.id).or_default();
        let is_known = channel.waiting.contains_key(&number);
        if is_known || self.floor >= Some(number) || number < channel.doubtful_below {
            // Who waits sees that nobody will tell.
            channel.waiting.clear();
            state.leave(self.id);
            return None;
        }
        channel.highest = channel.highest.max(Some(number));
        let (sender, told) = oneshot::channel();
        channel.waiting.insert(number, sender);
        if was_idle {
            state.pause = PAUSE_MIN;
        }
        Some(Waiting { channels: self.channels, id: self.id, number, told })
    }

    /// No collector answered. It may have taken the batch, or have restarted.
    pub fn lost(self) {
        let mut state = self.channels.state();
        state.leave(self.id);
        let channel = state.channels.entry(self.id).or_default();
        // After a restart that nobody saw, the batches without an answer have the first numbers.
        channel.doubtful_below = channel.doubtful_below.max(channel.posts);
        channel.waiting = channel.waiting.split_off(&channel.doubtful_below);
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        let mut state = self.channels.state();
        if let Some(channel) = state.channels.get_mut(&self.id) {
            channel.posts -= 1;
        }
        state.tidy();
    }
}

/// A batch that was taken and waits for its acknowledgement.
pub struct Waiting<'a> {
    channels: &'a Channels,
    id: Uuid,
    number: u64,
    /// Told when it is acknowledged; an error when that will never be.
    pub told: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.channels.state();
        if let Some(channel) = state.channels.get_mut(&self.id) {
            channel.waiting.remove(&self.number);
        }
        state.tidy();
    }
}
