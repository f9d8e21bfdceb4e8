//! Events that were read and wait for the hash of a file, and all that came after them: events leave in
//! the order in which they came.
//!
//! Their records stay in the ring, so that the next reader of a pinned ring finds them whatever ends
//! this one. How many those may be has a limit; beyond, the oldest go without their hash.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::enrich::hash::Pending;
use crate::event::Event;

/// Most bytes of records that stay in the ring for events that wait. At 1,000 executions a second it is
/// about four seconds of them; decoded, the events take two to three times as much memory.
const RECORDS_BYTES_MAX: u64 = 4 << 20;

/// An event that waits, or one behind it.
pub struct Held {
    /// Where its record begins.
    position: u64,
    /// When it has waited long enough.
    until: Instant,
    /// What it waits for.
    pub pending: Pending,
    /// The event.
    pub event: Event,
}

/// Events in the order in which they came.
pub struct Waiting {
    held: VecDeque<Held>,
    wait_max: Duration,
    records_bytes_max: u64,
}

impl Waiting {
    /// Events wait for at most this long, and leave at least half of a ring of so many bytes free.
    #[must_use]
    pub fn new(wait_max: Duration, ring_bytes: u64) -> Waiting {
        let records_bytes_max = RECORDS_BYTES_MAX.min(ring_bytes / 2);
        Waiting { held: VecDeque::new(), wait_max, records_bytes_max }
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Where the oldest record begins whose event waits.
    #[must_use]
    pub fn kept(&self) -> Option<u64> {
        self.held.front().map(|held| held.position)
    }

    /// Whether the ring was read so far beyond the oldest that it must not wait any longer.
    #[must_use]
    pub fn is_too_far(&self, position: u64) -> bool {
        self.kept().is_some_and(|kept| position.wrapping_sub(kept) > self.records_bytes_max)
    }

    /// The last one.
    pub fn push(&mut self, event: Event, pending: Pending, position: u64, now: Instant) {
        self.held.push_back(Held { position, until: now + self.wait_max, pending, event });
    }

    /// The oldest one, when it need not wait any longer or must not.
    pub fn pop(&mut self, now: Instant, position: u64) -> Option<Held> {
        let too_far = self.is_too_far(position);
        self.held.pop_front_if(|held| too_far || held.pending.is_over() || now >= held.until)
    }

    /// None waits beyond this moment.
    pub fn end_by(&mut self, until: Instant) {
        for held in &mut self.held {
            held.until = held.until.min(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::hash::hasher;
    use crate::event::testing;

    const LONG: Duration = Duration::from_secs(60);

    /// One that waits, and an event behind it that does not, at positions 100 and 200.
    fn two(waiting: &mut Waiting, now: Instant) {
        let (mut hasher, _workers) = hasher(1 << 40, LONG);
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("it is one") };
        exec.file.facts = Some(testing::facts());
        let pending = hasher.begin(&mut exec);
        assert!(!pending.is_over());
        waiting.push(Event::Exec(exec), pending, 100, now);
        waiting.push(testing::loss(), Pending::default(), 200, now);
    }

    #[test]
    fn an_event_waits_no_longer_than_it_may_and_those_behind_it_wait_with_it() {
        let now = Instant::now();
        let mut waiting = Waiting::new(LONG, 16 << 20);
        assert_eq!(waiting.kept(), None);
        two(&mut waiting, now);
        assert_eq!(waiting.kept(), Some(100));
        assert!(waiting.pop(now, 200).is_none());
        assert!(waiting.pop(now + LONG, 200).is_some());
        assert_eq!(waiting.kept(), Some(200));
        assert!(waiting.pop(now, 200).is_some(), "nothing holds it any more");
        assert!(waiting.is_empty());
    }

    #[test]
    fn half_of_the_ring_is_left_free_whoever_waits() {
        let now = Instant::now();
        let mut waiting = Waiting::new(LONG, 64 << 10);
        two(&mut waiting, now);
        assert!(waiting.pop(now, 100 + (32 << 10)).is_none());
        assert!(waiting.pop(now, 101 + (32 << 10)).is_some());
    }

    #[test]
    fn at_the_end_all_wait_for_the_same_short_time() {
        let now = Instant::now();
        let mut waiting = Waiting::new(LONG, 16 << 20);
        two(&mut waiting, now);
        waiting.end_by(now + LONG / 60);
        assert!(waiting.pop(now, 200).is_none());
        assert!(waiting.pop(now + LONG / 60, 200).is_some());
    }
}
