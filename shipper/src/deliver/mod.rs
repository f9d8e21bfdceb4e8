//! Delivery: from the spool to one sink, in order, until the sink has it. Retry lives here and
//! nowhere else.
//!
//! - `batch`: read -> decode -> filter -> encode -> gather
//! - `attempt`: one batch until it is done: retry, split, find the event at fault, put it aside
//! - `gate`: whether the sink is up; a single batch tries while it is not
//! - `pauses`: how long to wait before the next try
//! - `limit`: how many batches may be with the sink at once
//! - `rate`: how much it is sent in a second
//! - `ack`: what is done with, and the durable cursor
//! - `report`, `status`: what is said about it to the operator
//!
//! Several batches may be in flight, as many as the sink allows; they are acknowledged in order. No
//! more than one is gathered ahead of its turn. The cursor is saved behind the acknowledgement, so after a crash events come again, never not at all.

mod ack;
mod attempt;
mod batch;
mod gate;
mod limit;
mod pauses;
mod rate;
mod report;
pub mod status;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::settings::DeliverySettings;
use crate::sink::Sink;
use crate::spool::{Cursor, Quarantine, Reader, Replay};
use ack::Ack;
use attempt::Outlet;
use batch::{Gatherer, Source};
use gate::Gate;
use report::Reporter;

/// What the daemon tells its sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// How often SIGHUP came.
    pub reopens: u64,
    /// When to leave what is not delivered to the next start; set once the daemon stops.
    pub deadline: Option<Instant>,
    /// Do not even wait for a sink that is busy.
    pub leave: bool,
}

/// What became of the events of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The sink has them.
    pub sent: u64,
    /// Put aside in its quarantine.
    pub quarantined: u64,
    /// All there was in the spool went through.
    pub complete: bool,
}

/// The line from the spool to one sink.
pub struct Line {
    /// Name of the sink.
    pub name: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Reads where the cursor stands.
    pub reader: Reader,
    /// What the sink has acknowledged.
    pub cursor: Cursor,
    /// Events to be delivered again, before all others.
    pub replay: Option<Replay>,
    /// Where refused events go.
    pub quarantine: Quarantine,
    /// Limits, pauses, filter.
    pub settings: DeliverySettings,
    /// The spool beside which the operator finds the status; `None` writes none.
    pub status_dir: Option<PathBuf>,
}

impl Line {
    /// Delivers until the spool is closed and read to its end, or the deadline passes. What is not
    /// delivered then stays in the spool.
    pub async fn run(self, control: watch::Receiver<Control>) -> Delivered {
        let Line { name, sink, reader, cursor, replay, quarantine, settings, status_dir } = self;
        let flow = Flow {
            name: &name,
            sink: &*sink,
            gate: Gate::new(&name, &settings),
            quarantine: Mutex::new(quarantine),
            settings: &settings,
        };
        let mut state = State {
            control,
            reopens: 0,
            reporter: Reporter::new(status_dir, &name),
            delivered: Delivered { complete: true, ..Delivered::default() },
        };
        let ack = Mutex::new(Ack::new(cursor));
        if let Some(replay) = replay {
            flow.replay(replay, &ack, &mut state).await;
        } else {
            let position = locked(&ack).position().to_vec();
            sink.resume(&position).await;
        }
        if state.delivered.complete {
            flow.pass(Source::Log(reader), &ack, &mut state).await;
        }
        state.reporter.write(&flow.gate, &*sink);
        if let Err(error) = sink.close().await {
            tracing::error!(sink = name, %error, "could not be closed");
        }
        state.delivered
    }
}

/// What all batches of a line share.
struct Flow<'a> {
    name: &'a str,
    sink: &'a dyn Sink,
    gate: Gate,
    quarantine: Mutex<Quarantine>,
    settings: &'a DeliverySettings,
}

/// What changes as it goes.
struct State {
    control: watch::Receiver<Control>,
    reopens: u64,
    reporter: Reporter,
    delivered: Delivered,
}

impl Flow<'_> {
    /// Delivers what was requeued. Its cursor goes by its own numbers; the position of the sink is
    /// handed on to the cursor of the log before the replay is forgotten.
    async fn replay(&self, replay: Replay, log: &Mutex<Ack>, state: &mut State) {
        let Replay { reader, cursor, remains } = replay;
        let ack = Mutex::new(Ack::new(cursor));
        // Until something of the replay is sent, the sink stands where the log left it.
        let position = || match locked(&ack).position() {
            [] => locked(log).position().to_vec(),
            position => position.to_vec(),
        };
        self.sink.resume(&position()).await;
        self.pass(Source::Replay(reader), &ack, state).await;
        if !state.delivered.complete {
            return;
        }
        let position = position();
        let forgotten = locked(log).checkpoint(position).and_then(|()| remains.remove());
        if let Err(error) = forgotten {
            tracing::error!(sink = self.name, %error, "what was requeued may be delivered again");
        }
    }

    /// Delivers what a source has, to its end or the deadline.
    async fn pass(&self, source: Source, ack: &Mutex<Ack>, state: &mut State) {
        let Flow { name, sink, gate, quarantine, settings } = self;
        let State { control, reopens, reporter, delivered } = state;
        let outlet = Outlet { name, sink: *sink, gate, ack, quarantine };
        let mut gatherer = Gatherer::new(source, settings);
        let mut in_flight = FuturesOrdered::new();
        let (mut started, mut finished, mut ended) = (0, 0, false);
        gate.set_oldest(0);
        while !(ended && in_flight.is_empty()) {
            let due = locked(ack).due();
            let deadline = control.borrow().deadline;
            tokio::select! {
                biased;
                () = until(deadline), if deadline.is_some() => break,
                // Before the events: with a backlog there is always another batch.
                () = reporter.due(gate) => reporter.write(gate, *sink),
                // The pipeline holds the other end for as long as there are sinks.
                _ = control.changed() => {
                    let asked = control.borrow_and_update().reopens;
                    if asked != *reopens {
                        *reopens = asked;
                        sink.reopen().await;
                    }
                    // SIGHUP and the end both are a reason to try now.
                    gate.hurry();
                }
                Some(done) = in_flight.next(), if !in_flight.is_empty() => {
                    let attempt::Done { next, position, sent, quarantined } = done;
                    locked(ack).advance(next, position);
                    delivered.sent += sent;
                    delivered.quarantined += quarantined;
                    finished += 1;
                    gate.set_oldest(finished);
                }
                () = until(due), if due.is_some() => save(name, ack),
                gathered = next_wanted(gate, &mut gatherer, *sink), if !ended && in_flight.len() < settings.concurrency.max() => {
                    match gathered {
                        Some(gathered) => {
                            in_flight.push_back(attempt::deliver(&outlet, started, gathered));
                            started += 1;
                        }
                        None => ended = true,
                    }
                }
            }
        }
        delivered.complete = ended && in_flight.is_empty();
        drop(in_flight);
        save(name, ack);
    }
}

/// The next batch, once there is use for it. Cancel-safe.
async fn next_wanted(
    gate: &Gate,
    gatherer: &mut Gatherer<'_>,
    sink: &dyn Sink,
) -> Option<batch::Gathered> {
    gate.is_wanted().await;
    gatherer.next(sink).await
}

/// None of the values behind these locks is left half changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment).await;
    }
}

fn save(name: &str, ack: &Mutex<Ack>) {
    if let Err(error) = locked(ack).save() {
        tracing::error!(
            sink = name,
            %error,
            "what was delivered cannot be noted: it will be delivered again after a restart"
        );
    }
}
