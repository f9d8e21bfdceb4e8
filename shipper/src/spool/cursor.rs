//! A sink's durable place in the log: `DIR/cursors/<sink>.cursor`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::Disk;
use super::error::{SpoolError, failed};
use super::frame::u64_at;
use super::slots::{self, Slots};
use super::{Shared, locked};
use crate::fault;

/// A page, so that one slot is never torn by the writing of the other.
const SLOT_BYTES: usize = 4096;

/// Longest position of a sink, in bytes.
pub const POSITION_BYTES_MAX: usize = 2048;

/// What a cursor file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    /// Number of the next record to deliver.
    pub(super) next: u64,
    pub(super) saved_wall_ns: u64,
    /// Opaque to the spool.
    pub(super) position: Vec<u8>,
}

impl Saved {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.position.len());
        out.extend_from_slice(&self.next.to_le_bytes());
        out.extend_from_slice(&self.saved_wall_ns.to_le_bytes());
        out.extend_from_slice(&self.position);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Saved> {
        let (head, position) = bytes.split_at_checked(16)?;
        let next = u64_at(head, 0);
        let saved_wall_ns = u64_at(head, 8);
        (next > 0).then(|| Saved { next, saved_wall_ns, position: position.to_vec() })
    }
}

/// The file of one cursor.
#[derive(Debug)]
pub(super) struct CursorFile {
    path: PathBuf,
    inner: Mutex<(Slots, Saved)>,
    /// As saved, to look at without the lock.
    next: AtomicU64,
}

impl CursorFile {
    /// Opens or makes the file; also whether it said anything.
    pub(super) fn open(disk: &dyn Disk, path: PathBuf) -> Result<(CursorFile, bool), SpoolError> {
        let lost = "the sink gets everything again that the spool still has";
        let (slots, payload) =
            Slots::open(disk, &path, SLOT_BYTES, lost).map_err(failed("open", &path))?;
        let saved = payload.and_then(|payload| Saved::decode(&payload));
        let was_there = saved.is_some();
        let saved = saved.unwrap_or_default();
        let next = AtomicU64::new(saved.next);
        Ok((CursorFile { path, inner: Mutex::new((slots, saved)), next }, was_there))
    }

    /// Reads a cursor file without changing it; none where it says nothing.
    pub(super) fn read(disk: &dyn Disk, path: &std::path::Path) -> std::io::Result<Option<Saved>> {
        Ok(slots::read(disk, path, SLOT_BYTES)?.and_then(|payload| Saved::decode(&payload)))
    }

    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Changes what is saved; durable on return.
    pub(super) fn update(&self, change: impl FnOnce(&mut Saved)) -> Result<(), SpoolError> {
        let (slots, saved) = &mut *locked(&self.inner);
        let mut changed = saved.clone();
        change(&mut changed);
        fault::point("spool.cursor")
            .and_then(|()| slots.store(&changed.encode()))
            .and_then(|()| fault::point("spool.cursor.after"))
            .map_err(failed("save", &self.path))?;
        self.next.store(changed.next, Ordering::Release);
        *saved = changed;
        Ok(())
    }

    /// The next record was lost to this sink: it goes on at `next`.
    pub(super) fn advance(&self, next: u64) -> Result<(), SpoolError> {
        if self.next() >= next {
            return Ok(());
        }
        self.update(|saved| saved.next = saved.next.max(next))
    }
}

/// A sink's place in a log. One for each sink; owned by its task.
#[derive(Debug)]
pub struct Cursor {
    pub(super) file: Arc<CursorFile>,
    pub(super) position: Vec<u8>,
    /// The spool whose segments this cursor holds; none for a log that is removed as a whole.
    pub(super) holds: Option<Arc<Shared>>,
}

impl Cursor {
    pub(super) fn new(file: Arc<CursorFile>, holds: Option<Arc<Shared>>) -> Cursor {
        let position = locked(&file.inner).1.position.clone();
        Cursor { file, position, holds }
    }

    /// Number of the first record not yet delivered.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.file.next()
    }

    /// What the sink gave with the last save; empty before the first.
    #[must_use]
    pub fn position(&self) -> &[u8] {
        &self.position
    }

    /// Says that all records before `next` are delivered, with a position of the sink's own of at
    /// most [`POSITION_BYTES_MAX`] bytes. Durable on return; then segments that all cursors have
    /// passed are removed. A cursor that meanwhile was moved on, since the records were given up
    /// to make room, stays where it is.
    ///
    /// # Errors
    /// When the cursor could not be written: nothing has changed.
    pub fn save(&mut self, next: u64, position: &[u8], now_wall_ns: u64) -> Result<(), SpoolError> {
        if position.len() > POSITION_BYTES_MAX {
            let source = std::io::Error::other("the position is too long");
            return Err(SpoolError::new("save", &self.file.path, source));
        }
        self.file.update(|saved| {
            saved.next = saved.next.max(next);
            saved.saved_wall_ns = now_wall_ns;
            position.clone_into(&mut saved.position);
        })?;
        position.clone_into(&mut self.position);
        if let Some(shared) = &self.holds {
            shared.reclaim();
        }
        Ok(())
    }
}
