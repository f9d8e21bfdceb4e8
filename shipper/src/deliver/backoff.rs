//! How long to wait before the next try. The crate `backoff` is no longer maintained; it is used
//! here and nowhere else, so that it can be replaced.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// First pause. Short, since most faults are gone at once.
const INITIAL: Duration = Duration::from_millis(500);

/// Longest pause: a sink that came back is used again within this time.
const MAX: Duration = Duration::from_secs(60);

/// Pauses that double up to a limit, each with jitter of half its length, without end.
pub struct Pauses(ExponentialBackoff);

impl Default for Pauses {
    fn default() -> Self {
        Pauses(ExponentialBackoff {
            initial_interval: INITIAL,
            current_interval: INITIAL,
            multiplier: 2.0,
            max_interval: MAX,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Pauses {
    /// The next pause, not shorter than the other side asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.0.next_backoff().unwrap_or(MAX).min(MAX);
        asked.map_or(own, |asked| own.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_never_end() {
        let mut pauses = Pauses::default();
        let first = pauses.next(None);
        assert!(first >= INITIAL / 2 && first <= INITIAL * 2, "{first:?}");
        let later: Vec<Duration> = (0..1000).map(|_| pauses.next(None)).collect();
        assert!(later.iter().all(|pause| *pause <= MAX));
        assert!(later[100..].iter().all(|pause| *pause >= MAX / 3), "near the limit by then");
    }

    #[test]
    fn a_pause_is_never_shorter_than_asked_for() {
        let asked = Duration::from_secs(300);
        assert_eq!(Pauses::default().next(Some(asked)), asked);
    }
}
