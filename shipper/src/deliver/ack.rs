//! What a sink has acknowledged, and the cursor that makes it durable.

use std::time::Duration;

use tokio::time::Instant;

use crate::enrich::clock::wall_now;
use crate::spool::{Cursor, SpoolError};

/// How often the cursor is saved while batches go through: what is acknowledged in between comes
/// again after a crash. Each save is one small write and one fdatasync.
const SAVE_INTERVAL: Duration = Duration::from_millis(100);

/// Acknowledged events and position of one sink.
pub struct Ack {
    cursor: Cursor,
    next: u64,
    position: Vec<u8>,
    /// Not saved since then.
    unsaved_since: Option<Instant>,
}

impl Ack {
    /// What the cursor says.
    #[must_use]
    pub fn new(cursor: Cursor) -> Ack {
        let (next, position) = (cursor.next(), cursor.position().to_vec());
        Ack { cursor, next, position, unsaved_since: None }
    }

    /// Position of the sink.
    #[must_use]
    pub fn position(&self) -> &[u8] {
        &self.position
    }

    /// All records before `next` are done with. To be told in order.
    pub fn advance(&mut self, next: u64, position: Option<Vec<u8>>) {
        debug_assert!(next >= self.next, "acknowledged in order");
        self.next = next;
        if let Some(position) = position {
            self.position = position;
        }
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// When the cursor is to be saved next; `None` when all is saved.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.unsaved_since.map(|since| since + SAVE_INTERVAL)
    }

    /// Saves the cursor where it is not.
    ///
    /// # Errors
    /// The spool cannot be written; it stays unsaved, and is due again later.
    pub fn save(&mut self) -> Result<(), SpoolError> {
        if self.unsaved_since.is_some() {
            self.unsaved_since = Some(Instant::now());
            self.cursor.save(self.next, &self.position, wall_now().0)?;
            self.unsaved_since = None;
        }
        Ok(())
    }

    /// Saves this position with what is acknowledged so far, at once.
    ///
    /// # Errors
    /// The spool cannot be written.
    pub fn checkpoint(&mut self, position: Vec<u8>) -> Result<(), SpoolError> {
        self.cursor.save(self.next, &position, wall_now().0)?;
        self.position = position;
        self.unsaved_since = None;
        Ok(())
    }
}
