//! How long to wait before the next try. The crate `backoff` is no longer maintained; it is used
//! here and nowhere else, so that it can be replaced.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Longest time that the other side may ask for. A server that is wrong about its clock, or means ill,
/// must not silence an audit log for longer.
pub const ASKED_MAX: Duration = Duration::from_secs(3600);

/// Pauses whose upper bound doubles from try to try up to a limit, without end. Each is drawn evenly
/// between nothing and its bound ("full jitter"), so that a thousand hosts whose collector failed do
/// not come back in step.
pub struct Pauses {
    backoff: ExponentialBackoff,
    max: Duration,
    last: Duration,
}

impl Pauses {
    /// The first pause is at most `initial`, none is longer than `max`.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Pauses {
        // The crate draws evenly from `interval ± interval * factor`: with the factor 1 from nothing
        // to twice the interval.
        let interval = initial / 2;
        let backoff = ExponentialBackoff {
            initial_interval: interval,
            current_interval: interval,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: max / 2,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Pauses { backoff, max, last: Duration::ZERO }
    }

    /// The next pause, on top of what the other side asked for, up to [`ASKED_MAX`]: it asks all at
    /// once, and they must not come back at once.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        #[cfg(test)]
        let seeded = tests::seeded(2 * self.backoff.current_interval);
        let own = self.backoff.next_backoff().unwrap_or(self.max).min(self.max);
        #[cfg(test)]
        let own = seeded.unwrap_or(own);
        self.last = own;
        self.last(asked)
    }

    /// The pause given last, on top of what the other side asked for now.
    #[must_use]
    pub fn last(&self, asked: Option<Duration>) -> Duration {
        self.last + asked.unwrap_or_default().min(ASKED_MAX)
    }

    /// The next pause is a first one again.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static SEED: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on the pauses of this thread follow from the seed.
    pub fn seed(seed: u64) {
        SEED.set(Some(seed));
    }

    /// A pause up to `bound`, where there is a seed.
    pub(super) fn seeded(bound: Duration) -> Option<Duration> {
        let next = SEED.get()?.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        SEED.set(Some(next));
        Some(bound.mul_f64((next >> 33) as f64 / (1u64 << 31) as f64))
    }

    const INITIAL: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_are_drawn_from_the_whole_range_up_to_a_limit_and_never_end() {
        let mut pauses = Pauses::new(INITIAL, MAX);
        assert!(pauses.next(None) <= INITIAL);
        let later: Vec<Duration> = (0..1000).map(|_| pauses.next(None)).collect();
        assert!(later.iter().all(|pause| *pause <= MAX));
        let late = &later[100..];
        assert!(late.iter().any(|pause| *pause < MAX / 4), "full jitter");
        assert!(late.iter().any(|pause| *pause > MAX * 3 / 4));
        pauses.reset();
        assert!(pauses.next(None) <= INITIAL);
    }

    #[test]
    fn what_was_asked_for_is_kept_up_to_an_hour_and_nobody_comes_back_in_step() {
        let asked = Duration::from_secs(300);
        let pauses: Vec<Duration> =
            (0..100).map(|_| Pauses::new(INITIAL, MAX).next(Some(asked))).collect();
        assert!(pauses.iter().all(|pause| (asked..=asked + INITIAL).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < asked + INITIAL / 4), "full jitter");
        assert!(pauses.iter().any(|pause| *pause > asked + INITIAL * 3 / 4));
        let day = Duration::from_secs(24 * 3600);
        let pause = Pauses::new(INITIAL, MAX).next(Some(day));
        assert!((ASKED_MAX..=ASKED_MAX + INITIAL).contains(&pause), "{pause:?}");
    }
}
