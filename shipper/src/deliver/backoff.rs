//! How long to wait before the next try. The crate `backoff` is no longer maintained; it is used
//! here and nowhere else, so that it can be replaced.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Pauses whose upper bound doubles from try to try up to a limit, without end. Each is drawn evenly
/// between nothing and its bound ("full jitter"), so that a thousand hosts whose collector failed do
/// not come back in step.
pub struct Pauses {
    backoff: ExponentialBackoff,
    max: Duration,
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
        Pauses { backoff, max }
    }

    /// The next pause, not shorter than the other side asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.backoff.next_backoff().unwrap_or(self.max).min(self.max);
        asked.map_or(own, |asked| own.max(asked))
    }

    /// The next pause is a first one again.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_pause_is_never_shorter_than_asked_for() {
        let asked = Duration::from_secs(300);
        assert_eq!(Pauses::new(INITIAL, MAX).next(Some(asked)), asked);
    }
}
