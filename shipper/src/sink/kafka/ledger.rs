//! What became of each event that was handed to librdkafka, until the batch it is of is answered
//! for. Without it a batch that comes again would be handed over again, though half of it is in the
//! log and the rest still under way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The end of an event in librdkafka: acknowledged, or not, and why.
pub type Report = Result<(), RDKafkaErrorCode>;

/// All events in the hands of librdkafka, by the number of their record, and those it has reported
/// on whose batch is not answered for yet.
pub struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    entries: BTreeMap<u64, Entry>,
    outstanding: usize,
    /// When the last event was acknowledged, or handed over with none before it.
    progress: Instant,
}

struct Entry {
    report: Option<Report>,
    waiter: Arc<Waiter>,
}

/// One call that waits for its events.
#[derive(Default)]
pub struct Waiter {
    left: AtomicUsize,
    changed: Notify,
}

impl Waiter {
    /// Nothing is outstanding any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Waits until the last report has come, or one that is a failure.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Ledger {
    /// Nothing is under way.
    #[must_use]
    pub fn new() -> Ledger {
        let inner = Inner { entries: BTreeMap::new(), outstanding: 0, progress: Instant::now() };
        Ledger { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait for these events. Returns the places of those that have to be handed over: the
    /// others are under way since an earlier call, or acknowledged.
    pub fn expect(&self, numbers: impl Iterator<Item = u64>) -> (Arc<Waiter>, Vec<usize>) {
        let waiter = Arc::new(Waiter::default());
        let mut to_hand_over = Vec::new();
        let mut inner = self.inner();
        for (place, number) in numbers.enumerate() {
            match inner.entries.get_mut(&number) {
                Some(Entry { report: Some(Ok(())), .. }) => continue,
                Some(entry @ Entry { report: None, .. }) => entry.waiter = waiter.clone(),
                Some(Entry { report: Some(Err(_)), .. }) | None => {
                    let entry = Entry { report: None, waiter: waiter.clone() };
                    inner.entries.insert(number, entry);
                    if inner.outstanding == 0 {
                        inner.progress = Instant::now();
                    }
                    inner.outstanding += 1;
                    to_hand_over.push(place);
                }
            }
            waiter.left.fetch_add(1, Ordering::AcqRel);
        }
        (waiter, to_hand_over)
    }

    /// librdkafka, or whoever could not hand the event over, tells its end.
    pub fn report(&self, number: u64, report: Report) {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(&number) else { return };
        if entry.report.is_some() {
            return;
        }
        entry.report = Some(report);
        let last = entry.waiter.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if last || report.is_err() {
            entry.waiter.changed.notify_one();
        }
        inner.outstanding -= 1;
        if report.is_ok() {
            inner.progress = Instant::now();
        }
    }

    /// Nothing more will be heard of what is under way.
    pub fn give_up(&self, code: RDKafkaErrorCode) {
        let inner = self.inner();
        let outstanding = inner.entries.iter().filter(|(_, entry)| entry.report.is_none());
        let numbers: Vec<u64> = outstanding.map(|(number, _)| *number).collect();
        drop(inner);
        for number in numbers {
            self.report(number, Err(code));
        }
    }

    /// What is known of these events, in their order; `None` for those under way.
    #[must_use]
    pub fn reports(&self, numbers: impl Iterator<Item = u64>) -> Vec<Option<Report>> {
        let inner = self.inner();
        numbers.map(|number| inner.entries.get(&number).and_then(|entry| entry.report)).collect()
    }

    /// Why the oldest event before this one has failed that was not handed over again.
    #[must_use]
    pub fn failed_before(&self, number: u64) -> Option<RDKafkaErrorCode> {
        self.inner().entries.range(..number).find_map(|(_, entry)| entry.report?.err())
    }

    /// Whether an event before this one is not acknowledged.
    #[must_use]
    pub fn is_open_before(&self, number: u64) -> bool {
        let inner = self.inner();
        inner.entries.range(..number).any(|(_, entry)| entry.report != Some(Ok(())))
    }

    /// These events are answered for.
    pub fn forget(&self, numbers: impl Iterator<Item = u64>) {
        let mut inner = self.inner();
        for number in numbers {
            inner.entries.remove(&number);
        }
    }

    /// Events under way.
    #[cfg(test)]
    pub fn outstanding(&self) -> usize {
        self.inner().outstanding
    }

    /// When the last event was acknowledged, or handed over with none before it.
    #[must_use]
    pub fn progress(&self) -> Instant {
        self.inner().progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: RDKafkaErrorCode = RDKafkaErrorCode::BrokerTransportFailure;

    #[test]
    fn a_batch_that_comes_again_is_not_handed_over_twice() {
        let ledger = Ledger::new();
        let (first, places) = ledger.expect(1..5);
        assert_eq!(places, [0, 1, 2, 3]);
        ledger.report(1, Ok(()));
        ledger.report(3, Err(LOST));
        assert!(!first.is_done());

        let (second, places) = ledger.expect(1..5);
        assert_eq!(places, [2], "1 is acknowledged, 2 and 4 are under way");
        for number in [2, 3, 4] {
            assert!(!second.is_done());
            ledger.report(number, Ok(()));
        }
        assert!(second.is_done());
        assert_eq!(ledger.outstanding(), 0);
        assert_eq!(ledger.reports(1..5), [Some(Ok(())); 4]);
    }

    #[test]
    fn a_part_of_a_batch_is_waited_for_alone() {
        let ledger = Ledger::new();
        ledger.expect(1..5);
        let (half, places) = ledger.expect(1..3);
        assert_eq!(places, [0; 0]);
        ledger.report(1, Ok(()));
        ledger.report(2, Ok(()));
        assert!(half.is_done());
        ledger.forget(1..3);
        assert_eq!(ledger.outstanding(), 2);
    }

    #[test]
    fn what_is_given_up_is_a_failure_and_a_late_report_changes_nothing() {
        let ledger = Ledger::new();
        let (waiter, _) = ledger.expect(1..3);
        ledger.report(1, Ok(()));
        ledger.give_up(LOST);
        ledger.report(2, Ok(()));
        assert!(waiter.is_done());
        assert_eq!(ledger.reports(1..3), [Some(Ok(())), Some(Err(LOST))]);
    }

    #[test]
    fn what_failed_stands_before_all_later_events_until_it_is_handed_over_again() {
        let ledger = Ledger::new();
        ledger.expect(1..4);
        assert_eq!(ledger.failed_before(4), None);
        assert!(ledger.is_open_before(4) && !ledger.is_open_before(1));
        ledger.report(1, Ok(()));
        ledger.report(2, Err(LOST));
        assert_eq!(ledger.failed_before(4), Some(LOST));
        assert_eq!(ledger.failed_before(2), None);
        assert!(!ledger.is_open_before(2));
        ledger.expect(1..4);
        assert_eq!(ledger.failed_before(4), None);
        ledger.report(2, Ok(()));
        ledger.report(3, Ok(()));
        assert!(!ledger.is_open_before(4));
    }

    #[tokio::test]
    async fn a_failure_wakes_at_once_and_the_last_report_wakes() {
        let ledger = Ledger::new();
        let (waiter, _) = ledger.expect(1..3);
        ledger.report(1, Err(LOST));
        waiter.changed().await;
        ledger.report(2, Ok(()));
        waiter.changed().await;
    }
}
