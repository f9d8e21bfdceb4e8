//! Sinks: where events leave the daemon. One file or folder for each protocol; a client library is
//! used only in the sink it belongs to.

pub mod console;
pub mod file;

use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;

/// Events that are sent together, oldest first.
pub type Batch = [Arc<Event>];

/// What became of a batch. A sink only classifies; `deliver` decides when to try again.
#[derive(Debug)]
pub enum Outcome {
    /// Every event of the batch is where it belongs, as durably as the sink can tell.
    Sent,
    /// Nothing of the batch counts as sent; trying again may help.
    Retry {
        /// Not before this long, when the other side said so.
        after: Option<Duration>,
        /// What happened, and on what, in the operator's words.
        reason: String,
    },
    /// Somebody has to mend something (rights, a path that is a directory, credentials). The batch
    /// is kept and tried again with long pauses; it is never discarded.
    Blocked {
        /// What is wrong and what to do.
        cause: String,
    },
}

/// A place to deliver to.
///
/// The contract: `send` is given the same events again, in the same order, until it answers
/// [`Outcome::Sent`]. `Sent` means the sink keeps them without us. On any other answer the sink has
/// undone what it can, so that a repeat makes neither a torn nor, where the protocol allows, a
/// doubled record. A sink never retries by itself, never sleeps, never drops. Dropping the future
/// of `send` is only done at shutdown, after which the batch is not acknowledged.
#[async_trait::async_trait]
pub trait Sink: Send {
    /// Delivers a batch of at least one event.
    async fn send(&mut self, batch: &Batch) -> Outcome;

    /// Called on SIGHUP: reopen what a log rotation may have moved away. Errors show at the next
    /// `send`.
    async fn reopen(&mut self) {}

    /// Called once, after the last `send`: flush and leave things tidy.
    async fn close(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }
}
