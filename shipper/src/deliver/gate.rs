//! Whether a sink is up, and whose turn it is. While it is down only one batch, the oldest, tries it,
//! with growing pauses; all others wait. Batches are given to the sink in their order, after a
//! failure too.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::pauses::Pauses;
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
    pauses: Pauses,
    /// Tries that failed since it was up.
    failures: u64,
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

impl Gate {
    /// A sink is up until it proves otherwise.
    #[must_use]
    pub fn new(sink: &str, settings: &DeliverySettings) -> Gate {
        let inner = Inner {
            down_until: None,
            pauses: Pauses::new(settings.retry_initial, settings.retry_max),
            failures: 0,
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

    /// Waits until the batch of this order may be tried: when all before it are with the sink, while
    /// that is up; else only the oldest, when its pause is over. Later ones wait from now on until
    /// [`Gate::sent`].
    pub async fn pass(&self, order: u64) {
        self.inner().unsent.insert(order);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = {
                let inner = self.inner();
                match inner.down_until {
                    None if inner.unsent.first() == Some(&order) => return,
                    None => None,
                    Some(until) => (order == inner.oldest).then_some(until),
                }
            };
            match until {
                None => changed.await,
                Some(until) => {
                    if tokio::time::timeout_at(until, changed).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// All of the batch of this order is with the sink, or at its end.
    pub fn sent(&self, order: u64) {
        if self.inner().unsent.remove(&order) {
            self.changed.notify_waiters();
        }
    }

    /// The sink took events.
    pub fn up(&self) {
        let mut inner = self.inner();
        inner.refused_in_a_row = 0;
        inner.status.last_success_unix_ns = Some(wall_now().0);
        self.answered(&mut inner);
    }

    /// The sink answered, if only to refuse.
    pub fn reached(&self) {
        self.answered(&mut self.inner());
    }

    fn answered(&self, inner: &mut Inner) {
        inner.changes += 1;
        inner.status.state = State::Delivering;
        if inner.down_until.take().is_some() {
            tracing::info!(sink = self.sink, failures = inner.failures, "delivering again");
            inner.failures = 0;
            inner.pauses.reset();
            self.changed.notify_waiters();
        }
    }

    /// A try failed. Those that were under way when another one failed first do not count.
    pub fn down(&self, order: u64, why: Down, cause: &str, after: Option<Duration>) {
        let mut inner = self.inner();
        if inner.down_until.is_some() && order != inner.oldest {
            return;
        }
        let pause = inner.pauses.next(after);
        inner.down_until = Some(Instant::now() + pause);
        inner.failures += 1;
        inner.changes += 1;
        let sink = &self.sink;
        inner.status.state = match why {
            Down::Retry => {
                tracing::warn!(sink, "cannot deliver: {cause}; trying again in {pause:.1?}");
                State::Retrying
            }
            Down::Blocked => {
                tracing::error!(sink, "cannot deliver: {cause}; trying again in {pause:.1?}");
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
mod tests {
    use super::*;
    use crate::deliver::tests::Setup;

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
}
