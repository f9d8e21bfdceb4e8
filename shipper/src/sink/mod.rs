//! Sinks: where events leave the daemon. One file or folder for each protocol; a client library is
//! used only in the sink it belongs to.

mod batch;
pub mod console;
pub mod elasticsearch;
pub mod file;
pub mod http;
pub mod kafka;
pub mod splunk_hec;
pub mod transport;
#[cfg(test)]
mod testing;

use std::time::Duration;

use crate::event::Event;

pub use batch::{Batch, Item};

/// What became of a batch. A sink only classifies; `deliver` decides when to try again, and what is
/// put aside.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every event of the batch is where it belongs, as durably as the sink can tell.
    Sent {
        /// Where the sink stands now, in its own words; see [`Sink::resume`].
        position: Vec<u8>,
    },
    /// Nothing of the batch was sent: first this position must be saved with what was acknowledged
    /// so far, then the same batch comes again. For a sink that is about to do what a position
    /// saved earlier does not know of, such as a new file.
    Checkpoint {
        /// As in [`Outcome::Sent`].
        position: Vec<u8>,
    },
    /// Nothing of the batch counts as sent; trying again may help.
    Retry {
        /// What happened, and on what, in the operator's words.
        cause: String,
        /// Not before this long, when the other side said so. At most an hour of it is kept.
        after: Option<Duration>,
    },
    /// Somebody has to mend something (rights, a path that is a directory, credentials). The batch
    /// is kept and tried again with long pauses; it is never discarded.
    Blocked {
        /// What is wrong and what to do.
        cause: String,
    },
    /// The batch is more than the other side takes at once. It comes again in parts. A single event
    /// comes again with its arguments cut to `bytes_max`; one that cannot be made that short goes to
    /// the quarantine.
    TooLarge {
        /// What the other side said.
        cause: String,
        /// Most bytes of one encoded event that would be taken, when the sink knows it.
        bytes_max: Option<usize>,
    },
    /// The other side refuses the batch for what is in it, and does not say which event. It comes
    /// again in parts until the event is found, which goes to the quarantine.
    Refused {
        /// What the other side said.
        cause: String,
    },
    /// The other side answered for each event. Those not named here are where they belong.
    Mixed {
        /// Events refused for good: place in the batch, and why. They go to the quarantine.
        rejected: Vec<(usize, String)>,
        /// Places in the batch of events to be sent again.
        again: Vec<usize>,
        /// Why those are to be sent again; `None` where they were not looked at, after one that is
        /// refused: that is no failure, and they come again at once.
        cause: Option<String>,
        /// As in [`Outcome::Retry`].
        after: Option<Duration>,
    },
}

/// What a look at the other side showed, for `shipper validate --connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it bears on delivery.
    pub grade: Grade,
    /// In the operator's words, with what to do.
    pub text: String,
}

/// How a finding bears on delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Events are delivered, but the operator should know.
    Note,
    /// Events would not be delivered.
    Bad,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn good(text: String) -> Finding {
        Finding { grade: Grade::Good, text }
    }

    /// To be known.
    #[must_use]
    pub fn note(text: String) -> Finding {
        Finding { grade: Grade::Note, text }
    }

    /// To be mended.
    #[must_use]
    pub fn bad(text: String) -> Finding {
        Finding { grade: Grade::Bad, text }
    }
}

/// A place to deliver to.
///
/// The contract: `send` is given the same events again, in the same order, until it answers that it
/// has them; `Sent` means the sink keeps them without us. On any other answer the sink has undone
/// what it can, so that a repeat makes neither a torn nor, where the protocol allows, a doubled
/// record. A sink never retries by itself, never sleeps, never drops. A future of `send` is dropped
/// only at shutdown; its batch is then not acknowledged and comes again at the next start. Several
/// calls are under way at once only for a sink whose `concurrency` allows it.
#[async_trait::async_trait]
pub trait Sink: Send + Sync {
    /// Appends an event in the form this sink sends. The same event gives the same bytes, always.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);

    /// Called once, before the first `send`, with the position last saved: the one of the newest
    /// `Sent` whose events are acknowledged for good, or of a later `Checkpoint`. What was sent
    /// after it comes again. Empty when nothing was ever saved.
    async fn resume(&self, _position: &[u8]) {}

    /// Delivers a batch of at least one event.
    async fn send(&self, batch: Batch<'_>) -> Outcome;

    /// The event of the record with this number, which was too large, will not come again, shortened or
    /// not: no later one has to wait for it.
    fn put_aside(&self, _number: u64) {}

    /// Called on SIGHUP: reopen what a log rotation may have moved away. Errors show at the next
    /// `send`.
    async fn reopen(&self) {}

    /// What the client library counts of its connections and queues, for `shipper spool status` and
    /// for metrics. Names end in their units.
    fn figures(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Called once, after the last `send`: flush and leave things tidy.
    async fn close(&self) -> Result<(), std::io::Error> {
        Ok(())
    }
}
