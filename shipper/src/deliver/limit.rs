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
//!   limit, so neither their failures nor their successes count. The limit at which it happened is a
//!   *ceiling*: it is tried again only after a number of windows, twice as many each time it fails
//!   again. Without that a server with a firm bound would be driven into it every few windows.
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
/// Windows below a ceiling before it is tried again, at first: a failure by chance costs little.
const CEILING_WINDOWS: u32 = 16;
/// ... and at most. With 50 ms a window that is once a minute, which a server with a bound can bear.
const CEILING_WINDOWS_MAX: u32 = 1024;
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
    ceiling: Option<Ceiling>,
    past: Option<Past>,
    noise: Noise,
}

/// When a batch took its place.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: Instant,
    /// The limit, and its decreases, before that.
    limit: usize,
    decreases: u64,
}

/// A limit at which a send failed.
struct Ceiling {
    limit: usize,
    /// Windows before it is tried again: in all, and still to come.
    windows: u32,
    windows_left: u32,
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
            ceiling: None,
            past: None,
            noise: Noise::default(),
        }
    }

    /// How many places there are.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now
    }

    /// Whether that changes.
    #[must_use]
    pub fn is_adaptive(&self) -> bool {
        self.is_adaptive
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
        Begun { at: now, limit: self.now, decreases: self.decreases }
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
        if !self.is_adaptive || begun.decreases != self.decreases {
            return;
        }
        let windows = match &self.ceiling {
            Some(ceiling) if ceiling.limit == begun.limit => {
                CEILING_WINDOWS_MAX.min(ceiling.windows * 2)
            }
            _ => CEILING_WINDOWS,
        };
        self.ceiling = Some(Ceiling { limit: begun.limit, windows, windows_left: windows });
        self.decrease(FAILED_FACTOR);
    }

    fn judge(&mut self, window: &Window) {
        let sends = window.sends as f64;
        let (seconds, bytes) = (window.seconds / sends, window.bytes / sends);
        let Some(past) = &mut self.past else {
            self.past = Some(Past { seconds, bytes });
            self.increase();
            return;
        };
        if past.is_exceeded(seconds, bytes, &self.noise) {
            self.decrease(RISEN_FACTOR);
            self.past = None;
            return;
        }
        past.seconds += (seconds - past.seconds) * WINDOW_WEIGHT;
        past.bytes += (bytes - past.bytes) * WINDOW_WEIGHT;
        self.increase();
    }

    fn increase(&mut self) {
        if let Some(ceiling) = &mut self.ceiling {
            if self.now + 1 == ceiling.limit && ceiling.windows_left > 0 {
                ceiling.windows_left -= 1;
                return;
            }
            if self.now >= ceiling.limit {
                // A whole window went well there.
                self.ceiling = None;
            }
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A line with an endless backlog to a server on a clock of its own.
    struct Bench {
        limit: Limit,
        now: Instant,
        /// End, place, bytes, whether it went well.
        under_way: Vec<(Instant, Begun, usize, bool)>,
    }

    /// What a server does with a request: how long it takes, and whether it goes well.
    type Answer = (Duration, bool);

    const MAX: usize = 16;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    impl Bench {
        fn new() -> Bench {
            let limit = Limit::new(Concurrency::Adaptive(MAX));
            Bench { limit, now: Instant::now(), under_way: Vec::new() }
        }

        /// Sends so many batches of so many bytes; `server` is given how many are under way with a new
        /// one, and its number. Gives the limit after each.
        fn send(
            &mut self,
            sends: usize,
            bytes: usize,
            mut server: impl FnMut(usize, usize) -> Answer,
        ) -> Vec<usize> {
            let (mut begun, mut limits) = (0, Vec::new());
            while limits.len() < sends {
                while self.limit.is_free() {
                    let place = self.limit.take(self.now);
                    let (takes, is_well) = server(self.under_way.len() + 1, begun);
                    begun += 1;
                    self.under_way.push((self.now + takes, place, bytes, is_well));
                }
                let ends = (0..self.under_way.len()).min_by_key(|&at| self.under_way[at].0);
                let (end, place, bytes, is_well) = self.under_way.remove(ends.unwrap());
                self.now = end;
                match is_well {
                    true => self.limit.went_well(place, bytes, end),
                    false => self.limit.failed(place),
                }
                self.limit.give_back();
                limits.push(self.limit.now);
            }
            limits
        }
    }

    fn mean(limits: &[usize]) -> f64 {
        limits.iter().sum::<usize>() as f64 / limits.len() as f64
    }

    #[test]
    fn a_fixed_limit_never_moves() {
        let mut bench = Bench { limit: Limit::new(Concurrency::Fixed(3)), ..Bench::new() };
        let limits = bench.send(500, 100, |_, number| (ms(number as u64), number % 3 == 0));
        assert!(limits.iter().all(|limit| *limit == 3));
    }

    #[test]
    fn a_steady_server_gets_as_many_as_allowed_however_long_it_takes() {
        for takes in [ms(0), ms(1), ms(40), ms(30_000)] {
            let mut bench = Bench::new();
            let limits = bench.send(400, 100, |_, _| (takes, true));
            assert_eq!(limits[0], 2, "it begins with one");
            assert!(limits.windows(2).all(|pair| pair[0] <= pair[1]), "{takes:?}");
            assert_eq!(limits[1 + (2..MAX).sum::<usize>()], MAX, "one more each window");
        }
    }

    #[test]
    fn answers_that_vary_are_no_slow_server() {
        // A wait for an acknowledgement that is asked for each second: between 1 and 10 s.
        let mut bench = Bench::new();
        let limits =
            bench.send(3_000, 100, |_, number| (ms(1_000 * (1 + number as u64 * 7 % 10)), true));
        assert!(mean(&limits[500..]) > 0.9 * MAX as f64, "{}", mean(&limits[500..]));
    }

    #[test]
    fn with_a_server_that_fails_above_some_number_it_settles_at_that() {
        let mut bench = Bench::new();
        let mut failed = 0;
        let limits = bench.send(10_000, 100, |at_once, _| {
            failed += usize::from(at_once > 6);
            (ms(50), at_once <= 6)
        });
        assert!(limits[100..].iter().all(|limit| (3..=7).contains(limit)));
        assert!(mean(&limits[5_000..]) > 5.8, "{}", mean(&limits[5_000..]));
        assert!(failed < 10_000 / 100, "{failed} failed");
        // It can do more now.
        let limits = bench.send(10_000, 100, |_, _| (ms(50), true));
        assert_eq!(limits.last(), Some(&MAX));
    }

    #[test]
    fn sends_that_were_under_way_at_a_failure_do_not_count() {
        let mut bench = Bench::new();
        bench.send(400, 100, |_, _| (ms(50), true));
        let limits = bench.send(MAX, 100, |_, _| (ms(50), false));
        assert_eq!(limits.last(), Some(&(MAX / 2)), "sixteen failures halve it once");
    }

    #[test]
    fn a_server_that_has_to_queue_is_not_sent_more_and_more() {
        // Four at once; what is more waits for the others.
        let mut bench = Bench::new();
        let limits =
            bench.send(5_000, 100, |at_once, _| (ms(50 * at_once.max(4) as u64 / 4), true));
        let (low, high) = (limits[100..].iter().min(), limits[100..].iter().max());
        assert!(low >= Some(&3) && high <= Some(&9), "{low:?} to {high:?}");
    }

    #[test]
    fn a_rise_that_fewer_requests_do_not_cure_costs_a_quarter_and_no_more() {
        let mut bench = Bench::new();
        bench.send(1_000, 100, |_, _| (ms(50), true));
        let limits = bench.send(1_000, 100, |_, _| (ms(200), true));
        assert_eq!(limits.iter().min(), Some(&(MAX * 3 / 4)));
        assert_eq!(limits.last(), Some(&MAX));
    }

    #[test]
    fn larger_batches_may_take_longer() {
        let mut bench = Bench::new();
        bench.send(1_000, 100, |_, _| (ms(50), true));
        let limits = bench.send(1_000, 1_000, |_, _| (ms(400), true));
        assert_eq!(limits.iter().min(), Some(&MAX));
    }

    #[test]
    fn without_a_batch_that_waits_there_is_nothing_to_learn() {
        let mut limit = Limit::new(Concurrency::Adaptive(MAX));
        let now = Instant::now();
        for _ in 0..100 {
            assert!(limit.is_free());
            let place = limit.take(now);
            limit.went_well(place, 100, now + ms(50));
            limit.give_back();
        }
        assert_eq!(limit.now(), 1);
    }
}
