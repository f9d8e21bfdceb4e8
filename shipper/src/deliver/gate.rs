//! Whether a sink is up, and whose turn it is. While it is down only one batch, the oldest, tries it,
//! with growing pauses; all others wait. Batches are given to the sink in their order, after a
//! failure too, no more at once than there are places, and no more in a second than the rate allows.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limit::{Begun, Limit};
use super::pauses::{ASKED_MAX, Pauses};
use super::rate::Rate;
use super::status::{State, Status};
use crate::config::settings::DeliverySettings;
use crate::enrich::clock::wall_now;

/// Why a sink is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// Trying again may help.
    Retry,
    /// Somebody has to mend something.
    Blocked,
}

/// The state of one sink, shared by its batches in flight.
pub struct Gate {
    sink: String,
    inner: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    /// When the next try may be made; `None` while the sink is up.
    down_until: Option<Instant>,
    /// The other side asked for the pause: answers to what was sent before do not end it.
    is_asked: bool,
    pauses: Pauses,
    /// Tries that failed since it was up.
    failures: u64,
    /// Counts the failures, those of an earlier downtime and those that did not count included.
    failures_ever: u64,
    limit: Limit,
    rate: Rate,
    /// Order of the oldest batch in flight.
    oldest: u64,
    /// Batches of which something is not with the sink: no later one goes before them.
    unsent: BTreeSet<u64>,
    /// Events refused one after the other, with none accepted in between.
    refused_in_a_row: usize,
    status: Status,
    /// Counts the changes of `status`.
    changes: u64,
}

/// A batch's place at the sink, given back when it is dropped.
pub struct Place<'a> {
    gate: &'a Gate,
    begun: Begun,
    bytes: usize,
    /// Failures before that.
    failures_ever: u64,
}

impl Place<'_> {
    /// The other side took all there was.
    pub fn went_well(self) {
        self.gate.inner().limit.went_well(self.begun, self.bytes, Instant::now());
    }

    /// The other side could not take it, or asked to wait. To be told before [`Gate::down`]: while a
    /// sink is down another failure says nothing new.
    pub fn failed(self) {
        let mut inner = self.gate.inner();
        if inner.down_until.is_none() {
            inner.limit.failed(self.begun);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.inner().limit.give_back();
        self.gate.changed.notify_waiters();
    }
}

impl Gate {
    /// A sink is up until it proves otherwise.
    #[must_use]
    pub fn new(sink: &str, settings: &DeliverySettings) -> Gate {
        let inner = Inner {
            down_until: None,
            is_asked: false,
            pauses: Pauses::new(settings.retry_initial, settings.retry_max),
            failures: 0,
            failures_ever: 0,
            limit: Limit::new(settings.concurrency),
            rate: Rate::new(settings.rate_limit),
            oldest: 0,
            unsent: BTreeSet::new(),
            refused_in_a_row: 0,
            status: Status::default(),
            changes: 0,
        };
        Gate { sink: sink.to_owned(), inner: Mutex::new(inner), changed: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many bytes of the batch of this order may be tried: when all before it are with
    /// the sink and there is a place, while that is up; else only the oldest, when its pause is over.
    /// The oldest needs no free place: it must not wait for those that were tried after it. Later ones
    /// wait from now on until [`Gate::sent`]. Cancel-safe.
    pub async fn pass(&self, order: u64, bytes: usize) -> Place<'_> {
        self.inner().unsent.insert(order);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.try_pass(order, bytes) {
                Ok(place) => return place,
                Err(None) => changed.await,
                // Whichever comes first: it looks again.
                Err(Some(until)) => drop(tokio::time::timeout_at(until, changed).await),
            }
        }
    }

    /// Gives the time at which to look again, where that is known.
    fn try_pass(&self, order: u64, bytes: usize) -> Result<Place<'_>, Option<Instant>> {
        let mut inner = self.inner();
        let now = Instant::now();
        let (is_oldest, down_until) = (order == inner.oldest, inner.down_until);
        match down_until {
            None if inner.unsent.first() != Some(&order) => return Err(None),
            None if !is_oldest && !inner.limit.is_free() => return Err(None),
            Some(_) if !is_oldest => return Err(None),
            Some(until) if until > now => return Err(Some(until)),
            _ => {}
        }
        let ready_at = inner.rate.ready_at(bytes, now);
        if ready_at > now {
            return Err(Some(ready_at));
        }
        inner.rate.take(bytes, now);
        #[cfg(test)]
        tests::tell(&self.sink, inner.limit.now());
        let begun = inner.limit.take(now);
        Ok(Place { gate: self, begun, bytes, failures_ever: inner.failures_ever })
    }

    /// Waits until no batch waits for its turn: what else is gathered only takes memory.
    pub async fn is_wanted(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner().unsent.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// All of the batch of this order is with the sink, or at its end.
    pub fn sent(&self, order: u64) {
        if self.inner().unsent.remove(&order) {
            self.changed.notify_waiters();
        }
    }

    /// The sink took events of the batch at this place.
    pub fn up(&self, place: &Place<'_>) {
        let mut inner = self.inner();
        inner.refused_in_a_row = 0;
        inner.status.last_success_unix_ns = Some(wall_now().0);
        self.answered(&mut inner, place);
    }

    /// The sink answered, if only to refuse.
    pub fn reached(&self, place: &Place<'_>) {
        self.answered(&mut self.inner(), place);
    }

    fn answered(&self, inner: &mut Inner, place: &Place<'_>) {
        inner.changes += 1;
        if inner.is_asked && place.failures_ever != inner.failures_ever {
            return;
        }
        inner.is_asked = false;
        inner.status.state = State::Delivering;
        if inner.down_until.take().is_some() {
            tracing::info!(sink = self.sink, failures = inner.failures, "delivering again");
            inner.failures = 0;
            inner.pauses.reset();
            self.changed.notify_waiters();
        }
    }

    /// A try failed. Those that were under way when another one failed first do not count; but no
    /// try is made before the time for which any of them asked.
    pub fn down(&self, order: u64, why: Down, cause: &str, asked: Option<Duration>) {
        let mut inner = self.inner();
        let now = Instant::now();
        inner.failures_ever += 1;
        inner.is_asked |= asked.is_some();
        if let Some(until) = inner.down_until
            && order != inner.oldest
        {
            if asked.is_some() {
                inner.down_until = Some(until.max(now + inner.pauses.last(asked)));
            }
            return;
        }
        let pause = inner.pauses.next(asked);
        let until = inner.down_until.map_or(now + pause, |until| until.max(now + pause));
        let pause = until - now;
        inner.down_until = Some(until);
        inner.failures += 1;
        inner.changes += 1;
        let sink = &self.sink;
        let asked = match asked {
            Some(asked) if asked > ASKED_MAX => {
                format!(", not in the {asked:.0?} it asked for, which is too long for an audit log")
            }
            _ => String::new(),
        };
        inner.status.state = match why {
            Down::Retry => {
                tracing::warn!(sink, "cannot deliver: {cause}; trying again in {pause:.1?}{asked}");
                State::Retrying
            }
            Down::Blocked => {
                tracing::error!(
                    sink,
                    "cannot deliver: {cause}; trying again in {pause:.1?}{asked}"
                );
                State::Blocked
            }
        };
        inner.status.last_error = Some(cause.to_owned());
        inner.status.last_error_unix_ns = Some(wall_now().0);
        self.changed.notify_waiters();
    }

    /// Counts events refused; gives how many there were in a row, with those of before.
    pub fn refused(&self, count: usize) -> usize {
        let mut inner = self.inner();
        inner.refused_in_a_row = inner.refused_in_a_row.saturating_add(count);
        inner.refused_in_a_row
    }

    /// So many of the events counted as refused will be tried again.
    pub fn take_back(&self, count: usize) {
        let mut inner = self.inner();
        inner.refused_in_a_row = inner.refused_in_a_row.saturating_sub(count);
    }

    /// The batch of this order is the oldest in flight from now on.
    pub fn set_oldest(&self, order: u64) {
        self.inner().oldest = order;
        self.changed.notify_waiters();
    }

    /// The next try need not wait any longer: somebody mended something, or time is short.
    pub fn hurry(&self) {
        let mut inner = self.inner();
        if let Some(until) = &mut inner.down_until {
            *until = Instant::now();
        }
        self.changed.notify_waiters();
    }

    /// How many batches may be with the sink at once, where that changes.
    #[must_use]
    pub fn concurrency_limit(&self) -> Option<usize> {
        let inner = self.inner();
        inner.limit.is_adaptive().then(|| inner.limit.now())
    }

    /// What an operator is told, and which change of it that is.
    #[must_use]
    pub fn status(&self) -> (u64, Status) {
        let inner = self.inner();
        (inner.changes, inner.status.clone())
    }

    /// Waits until the status is not the one of this change any more. While the sink is up this may
    /// be noticed only with the next batch.
    pub async fn changed_since(&self, change: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner().changes != change {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::settings::Concurrency;
    use crate::deliver::tests::Setup;

    thread_local! {
        static LIMITS: RefCell<BTreeMap<String, usize>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// The limit with which a batch passes.
    pub(super) fn tell(sink: &str, limit: usize) {
        LIMITS.with_borrow_mut(|limits| limits.insert(sink.to_owned(), limit));
    }

    /// The limit with which the last batch of this sink passed.
    pub fn told(sink: &str) -> usize {
        LIMITS.with_borrow(|limits| limits[sink])
    }

    #[tokio::test]
    async fn a_sink_that_goes_down_wakes_who_waits_for_a_change() {
        let gate = Gate::new("a", &Setup::new(0).settings);
        let waiting = gate.changed_since(gate.status().0);
        tokio::pin!(waiting);
        let at_once = tokio::time::timeout(Duration::ZERO, &mut waiting).await;
        assert!(at_once.is_err(), "nothing has changed");
        gate.down(0, Down::Blocked, "no right", None);
        waiting.await;
        assert_eq!(gate.status().1.state, State::Blocked);
    }

    fn gate(concurrency: Concurrency) -> Gate {
        Gate::new("a", &DeliverySettings { concurrency, ..Setup::new(0).settings })
    }

    /// How long a batch waits until it may be tried; `None` when nothing brings its turn.
    async fn waits(gate: &Gate, order: u64) -> Option<Duration> {
        let start = Instant::now();
        let passed = tokio::time::timeout(Duration::from_secs(1 << 20), gate.pass(order, 1)).await;
        passed.ok().map(|_| start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_comes_free_when_a_send_is_dropped_and_the_oldest_needs_none() {
        let gate = gate(Concurrency::Adaptive(4));
        let first = gate.pass(0, 1).await;
        gate.sent(0);
        assert_eq!(waits(&gate, 1).await, None, "it begins with one place");
        drop(first);
        let _second = gate.pass(1, 1).await;
        gate.sent(1);
        assert_eq!(waits(&gate, 2).await, None);
        gate.sent(2);
        assert_eq!(waits(&gate, 0).await, Some(Duration::ZERO), "it has to go again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_other_side_asked_for_outlasts_answers_to_what_was_sent_before() {
        let gate = gate(Concurrency::Fixed(2));
        let minute = Duration::from_secs(60);
        let places = [gate.pass(0, 1).await, {
            gate.sent(0);
            gate.pass(1, 1).await
        }];
        gate.sent(1);
        gate.down(1, Down::Retry, "429", Some(minute));
        gate.up(&places[0]);
        gate.set_oldest(1);
        assert!(waits(&gate, 1).await >= Some(minute));
        gate.up(&gate.pass(1, 1).await);
        assert_eq!(waits(&gate, 1).await, Some(Duration::ZERO), "that was a new answer");
    }

    #[tokio::test(start_paused = true)]
    async fn no_try_is_made_before_the_time_for_which_any_answer_asked() {
        let gate = gate(Concurrency::Fixed(2));
        let minute = Duration::from_secs(60);
        gate.down(0, Down::Retry, "timed out", None);
        gate.down(1, Down::Retry, "429", Some(minute));
        assert!(waits(&gate, 0).await >= Some(minute));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_such_a_wish_ends_a_pause() {
        let gate = gate(Concurrency::Fixed(2));
        let place = gate.pass(0, 1).await;
        gate.down(1, Down::Retry, "timed out", None);
        gate.up(&place);
        assert_eq!(waits(&gate, 0).await, Some(Duration::ZERO));
    }
}
