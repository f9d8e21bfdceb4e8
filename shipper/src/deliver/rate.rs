//! How much a sink is sent in a second: a bucket for requests and one for bytes of encoded events. Each
//! holds what one second may bring, so no burst is larger. What is more than a bucket holds goes through
//! when that is full, and those after it wait until the debt is paid.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::RateLimit;

/// What a full bucket is worth.
const BURST: Duration = Duration::from_secs(1);

/// The limits of one sink. Each try counts, also one that fails.
pub struct Rate {
    requests: Option<Bucket>,
    bytes: Option<Bucket>,
}

/// A bucket that fills by itself. Amounts are counted in the time they take to come in.
struct Bucket {
    per_second: u64,
    full_at: Instant,
}

impl Rate {
    /// Both buckets are full.
    #[must_use]
    pub fn new(limit: RateLimit) -> Rate {
        let full_at = Instant::now();
        let bucket = |per_second: u64| Bucket { per_second: per_second.max(1), full_at };
        Rate { requests: limit.requests.map(u64::from).map(bucket), bytes: limit.bytes.map(bucket) }
    }

    /// When a request with so many bytes of events may go; not later than `now` when it may at once.
    #[must_use]
    pub fn ready_at(&self, bytes: usize, now: Instant) -> Instant {
        let requests = self.requests.as_ref().map(|bucket| bucket.wait(1, now));
        let bytes = self.bytes.as_ref().map(|bucket| bucket.wait(bytes as u64, now));
        now + requests.max(bytes).unwrap_or(Duration::ZERO)
    }

    /// It goes.
    pub fn take(&mut self, bytes: usize, now: Instant) {
        if let Some(bucket) = &mut self.requests {
            bucket.take(1, now);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(bytes as u64, now);
        }
    }
}

impl Bucket {
    /// How long so much takes to come in.
    fn worth(&self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn wait(&self, amount: u64, now: Instant) -> Duration {
        let until_full = self.full_at.saturating_duration_since(now);
        until_full.saturating_sub(BURST.saturating_sub(self.worth(amount)))
    }

    fn take(&mut self, amount: u64, now: Instant) {
        self.full_at = self.full_at.max(now) + self.worth(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits and takes, again and again; gives when each went, in ms.
    async fn went(limit: RateLimit, amounts: &[usize]) -> Vec<u128> {
        let (mut rate, start) = (Rate::new(limit), Instant::now());
        let mut went = Vec::new();
        for &bytes in amounts {
            tokio::time::sleep_until(rate.ready_at(bytes, Instant::now())).await;
            rate.take(bytes, Instant::now());
            went.push(start.elapsed().as_millis());
        }
        went
    }

    fn requests(requests: u32) -> RateLimit {
        RateLimit { requests: Some(requests), bytes: None }
    }

    fn bytes(bytes: u64) -> RateLimit {
        RateLimit { requests: None, bytes: Some(bytes) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_second_may_bring_goes_at_once_and_the_rest_evenly() {
        assert_eq!(went(requests(4), &[9; 7]).await, [0, 0, 0, 0, 250, 500, 750]);
        assert_eq!(went(bytes(1000), &[500; 5]).await, [0, 0, 500, 1000, 1500]);
        assert_eq!(went(RateLimit::default(), &[usize::MAX >> 1; 3]).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_bucket_holds_goes_when_it_is_full_and_the_next_ones_wait() {
        assert_eq!(went(bytes(1000), &[3000, 1, 999, 2000]).await, [0, 2001, 3000, 4000]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tighter_of_two_limits_holds() {
        let limit = RateLimit { requests: Some(2), bytes: Some(1000) };
        assert_eq!(went(limit, &[10, 10, 10, 2000, 10]).await, [0, 0, 500, 1000, 2010]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_saves_up_no_more_than_one_second() {
        let mut rate = Rate::new(requests(2));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let now = Instant::now();
        rate.take(0, now);
        rate.take(0, now);
        assert_eq!(rate.ready_at(0, now), now + Duration::from_millis(500));
    }
}
