//! How many batches may be with the sink at once.
//!
//! A fixed number stays what it is. An adaptive one finds out what the other side can do, as TCP does
//! for a line: one more as long as all goes well (additive increase), a good part less at the first
//! sign of too much (multiplicative decrease). Many senders that do this share a server fairly, and
//! none needs to know of the others.
//!
//! - It begins with one.
//! - A *window* is as many sends as may be under way at once. When it came back well, and some batch
//!   had to wait for a place meanwhile, there is one place more. Without anybody waiting more places
//!   would tell nothing.
//! - A failure halves it, once: sends that were under way at that moment were sent under the old
//!   limit, so neither their failures nor their successes count.
//! - Rising latency means a queue at the other side; it takes a quarter away. The window is compared
//!   with what came before, not with any fixed time: a server that acknowledges after 30 s, always, is
//!   not slow in this sense. After that the next window is what later ones are compared with. Where
//!   fewer requests made no difference the rise was not ours, and the limit grows again instead of
//!   falling to one.
//!
//! Latency is that of whole requests. Only windows in which a batch waited are looked at; then there is
//! a backlog, and batches are about as large as they may be. Where they were larger than before, they
//! may take longer in proportion, which is the most that size alone can explain. Per byte would be
//! wrong where most of the time is a wait that does not depend on size, as for an acknowledgement.

use tokio::time::Instant;

use crate::config::settings::Concurrency;

/// What a failure leaves of the limit: half, as TCP does. A server that takes N at once and fails above
/// is then used with N/2 to N.
const FAILED_FACTOR: f64 = 0.5;
/// What rising latency leaves. It is a softer sign than a failure, and comes before one.
const RISEN_FACTOR: f64 = 0.75;
/// Latency must rise by this share. With N requests served at once, N + 1 take 1/N longer: less would
/// end growth at noise, while at half as much again there is a real queue.
const RISE_SHARE: f64 = 0.3;
/// ... and by so many deviations, so that a server whose answers vary is not taken for one that slows
/// down. The mean of a window varies less than a single answer: two are plenty.
const RISE_DEVIATIONS: f64 = 2.0;
/// ... and by so much, in seconds: below it is what this machine's own scheduling does.
const RISE_SECONDS_MIN: f64 = 0.005;
/// Weight of a new window in what is remembered. The memory must be longer than growth takes to fill
/// a queue by one place each window, or it rises with it.
const WINDOW_WEIGHT: f64 = 1.0 / 16.0;
/// Weight of a new answer in the deviation.
const DEVIATION_WEIGHT: f64 = 1.0 / 8.0;

/// The places at a sink.
pub struct Limit {
    is_adaptive: bool,
    max: usize,
    now: usize,
    /// Places that are taken; more than `now` after a decrease.
    taken: usize,
    /// Counts the decreases.
    decreases: u64,
    window: Window,
    past: Option<Past>,
    noise: Noise,
}

/// When a batch took its place.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: Instant,
    /// Decreases before that.
    decreases: u64,
}

/// Sends that came back well since the limit last changed.
#[derive(Default)]
struct Window {
    sends: usize,
    seconds: f64,
    bytes: f64,
    /// A batch had to wait for a place.
    is_short: bool,
}

/// Windows of before, smoothed.
struct Past {
    seconds: f64,
    bytes: f64,
}

/// How much answers vary: the smoothed difference of one from the next, in seconds. Unlike a distance
/// from the mean, this does not grow while latency rises steadily.
#[derive(Default)]
struct Noise {
    deviation: Option<f64>,
    last: f64,
}

impl Limit {
    /// All places are free.
    #[must_use]
    pub fn new(concurrency: Concurrency) -> Limit {
        let max = concurrency.max();
        let is_adaptive = matches!(concurrency, Concurrency::Adaptive(_));
        Limit {
            is_adaptive,
            max,
            now: if is_adaptive { 1 } else { max },
            taken: 0,
            decreases: 0,
            window: Window::default(),
            past: None,
            noise: Noise::default(),
        }
    }

    /// How many places there are, where that changes.
    #[must_use]
    pub fn adaptive(&self) -> Option<usize> {
        self.is_adaptive.then_some(self.now)
    }

    /// Whether a place is free. To be asked on behalf of a batch that would take it at once.
    pub fn is_free(&mut self) -> bool {
        let is_free = self.taken < self.now;
        self.window.is_short |= !is_free;
        is_free
    }

    /// Takes a place, free or not.
    pub fn take(&mut self, now: Instant) -> Begun {
        self.taken += 1;
        Begun { at: now, decreases: self.decreases }
    }

    /// Gives a place back.
    pub fn give_back(&mut self) {
        debug_assert!(self.taken > 0, "it was taken");
        self.taken -= 1;
    }

    /// What was sent from a place was taken by the other side.
    pub fn went_well(&mut self, begun: Begun, bytes: usize, now: Instant) {
        if !self.is_adaptive || begun.decreases != self.decreases {
            return;
        }
        let seconds = now.duration_since(begun.at).as_secs_f64();
        self.noise.add(seconds);
        self.window.sends += 1;
        self.window.seconds += seconds;
        self.window.bytes += bytes as f64;
        if self.window.sends >= self.now {
            let window = std::mem::take(&mut self.window);
            if window.is_short {
                self.judge(&window);
            }
        }
    }

    /// A send failed, or the other side asked to wait.
    pub fn failed(&mut self, begun: Begun) {
        if self.is_adaptive && begun.decreases == self.decreases {
            self.decrease(FAILED_FACTOR);
        }
    }

    fn judge(&mut self, window: &Window) {
        let sends = window.sends as f64;
        let (seconds, bytes) = (window.seconds / sends, window.bytes / sends);
        let Some(past) = &mut self.past else {
            self.past = Some(Past { seconds, bytes });
            self.now = self.max.min(self.now + 1);
            return;
        };
        if past.is_exceeded(seconds, bytes, &self.noise) {
            self.decrease(RISEN_FACTOR);
            self.past = None;
            return;
        }
        past.seconds += (seconds - past.seconds) * WINDOW_WEIGHT;
        past.bytes += (bytes - past.bytes) * WINDOW_WEIGHT;
        self.now = self.max.min(self.now + 1);
    }

    fn decrease(&mut self, factor: f64) {
        self.now = ((self.now as f64 * factor) as usize).max(1);
        self.decreases += 1;
        self.window = Window::default();
    }
}

impl Past {
    fn is_exceeded(&self, seconds: f64, bytes: f64, noise: &Noise) -> bool {
        let expected = self.seconds * (bytes / self.bytes).max(1.0);
        let tolerance = (expected * RISE_SHARE)
            .max(noise.deviation.unwrap_or(0.0) * RISE_DEVIATIONS)
            .max(RISE_SECONDS_MIN);
        seconds > expected + tolerance
    }
}

impl Noise {
    fn add(&mut self, seconds: f64) {
        let last = std::mem::replace(&mut self.last, seconds);
        self.deviation = Some(match self.deviation {
            // One answer tells nothing of how they vary: take it for much.
            None => seconds / 2.0,
            Some(deviation) => deviation + ((seconds - last).abs() - deviation) * DEVIATION_WEIGHT,
        });
    }
}
