//! The spool: one append-only log on disk for all sinks, and a durable cursor for each of them.
//!
//! The writer puts blocks of records into the last segment; what is written is made durable in
//! groups; readers see what is durable. A record has a number, 1, 2, 3, ... through all segments.
//! A record that is dropped takes a number, too: a gap in the numbers is a loss, and each loss is
//! counted once and handed to the writer's caller, who reports it in the stream
//! ([`Writer::take_losses`]).
//!
//! The spool knows nothing of events, formats and sinks, spawns nothing, and takes the time from
//! its caller.
//!
//! # On disk
//!
//! ```text
//! DIR/lock                        locked by the daemon, holds its pid as text
//! DIR/log/<first number>.seg      segments; numbers have 20 digits
//! DIR/cursors/<sink>.cursor       two slots of 4 KiB (slots.rs): next number u64, saved at u64
//!                                 (wall ns), position of the sink
//! DIR/losses                      two slots of 64 KiB: losses not yet reported (ledger.rs)
//! DIR/damaged/<first>-<last>.bin  what stood where these records should have been (damage.rs)
//! DIR/damaged/<first number>.seg  segments whose head is foreign or damaged
//! DIR/quarantine/<sink>/*.seg     refused records, a log of the same format (quarantine.rs)
//! DIR/replay/<sink>/*.seg         the same, to be delivered again
//! ```
//!
//! All numbers are little-endian, all checksums CRC-32C. A reader of this version reads every
//! older version; a file of a later version is refused and nothing is touched.
//!
//! A segment is a head of 64 bytes, then blocks:
//!
//! | at | segment head | | at | block head |
//! |---|---|---|---|---|
//! | 0 | magic `SHIPLOG\n` | | 0 | magic f5 b1 0c c5 |
//! | 8 | version u16 = 1 | | 4 | CRC u32 of bytes 8..64 |
//! | 10 | length of the head u16 = 64 | | 8 | CRC u32 of mark and stored body |
//! | 12 | CRC u32 of the rest of the head | | 12 | compression u8: 0 none, 1 lz4 block, 2 zstd |
//! | 16 | 0 | | 13 | length of the mark u8 |
//! | 24 | number of the first record u64 | | 14 | 0 |
//! | 32 | skipped before it u64 | | 16 | records u32 |
//! | 40 | salt u64 | | 20 | stored bytes u32 |
//! | 48 | created at, wall ns u64 | | 24 | raw bytes u32 |
//! | 56 | 0 | | 28 | 0 |
//! | | | | 32 | number of the first record u64 |
//! | | | | 40 | skipped before it u64 |
//! | | | | 48 | salt u64 |
//! | | | | 56 | written at, wall ns u64 |
//!
//! After a block's head come the mark, which is the caller's, and the stored body. The raw body is
//! each record with its length u32 before it. `skipped` counts the numbers from 1 on that were
//! given to records which never came into the log, and whose loss was counted then: any other gap
//! between two blocks is damage. The salt is random and the same in all of a log: bytes that
//! somebody had recorded cannot pass for a block when the walk over damage looks for the next one.
//!
//! A segment is made under a temporary name and renamed when it is whole, so it always has a head.
//! It ends where the next one begins: after a failed sync the records that are not durable are
//! written again into a new segment, and what the old one has of them does not count.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod error;
pub mod disk;
mod names;
mod frame;
mod slots;
mod ledger;
mod damage;
mod log;
mod outcome;
mod room;
mod writer;
mod walk;
mod reader;
mod cursor;
mod open;
mod quarantine;
pub mod inspect;
pub mod requeue;

#[cfg(test)]
mod tests;

pub use cursor::{Cursor, POSITION_BYTES_MAX};
pub use error::SpoolError;
pub use frame::{BLOCK_BYTES_MAX, MARK_BYTES_MAX, RECORD_BYTES_MAX};
pub use ledger::{LossStage, SpoolLoss};
pub use open::open;
pub use outcome::{FullCause, Now, Wrote};
pub use quarantine::{
    Entry, Quarantine, QuarantineError, Remains, Replay, quarantine_directory, replay_directory,
};
pub use reader::{Block, Reader};
pub use writer::Writer;

use cursor::CursorFile;
use ledger::Ledger;
use log::{Log, Segment};
use walk::{Step, Walker};

/// How a spool is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Its directory; made where it is missing.
    pub dir: PathBuf,
    /// Most bytes of all segments, at least two segments.
    pub bytes_max: u64,
    /// What the file system must have free after a write.
    pub disk_free_min: FreeMin,
    /// What to do when either limit is reached.
    pub when_full: WhenFull,
    /// When what is written is made durable.
    pub fsync: Fsync,
    /// Of blocks.
    pub compression: Compression,
    /// Bytes of a segment before the next is begun; see [`Options::segment_bytes_for`].
    pub segment_bytes: u64,
}

impl Options {
    /// A good size of segments for a spool of `bytes_max`: small enough that little is held by
    /// records already delivered, large enough that there are few.
    #[must_use]
    pub fn segment_bytes_for(bytes_max: u64) -> u64 {
        (bytes_max / 64).clamp(1 << 20, 64 << 20)
    }
}

/// What a file system must have free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FreeMin {
    /// Bytes.
    Bytes(u64),
    /// Of its size, 0 to 100.
    Percent(f64),
}

/// What to do when there is no room and nothing that all sinks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Take no more: the ring fills, and the kernel counts what does not fit.
    Block,
    /// Drop what comes, and count it.
    DropNewest,
    /// Drop the oldest segment, and count for each sink what it had not got.
    DropOldest,
}

/// When what is written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// So long after the first write that is not.
    Interval(Duration),
    /// With each write.
    Always,
    /// When the system likes: readers see at once what is written.
    Never,
}

/// Of the records of a block, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// Fast.
    Lz4,
    /// Smaller.
    Zstd,
}

/// What writer, readers and cursors share.
#[derive(Debug)]
pub(crate) struct Shared {
    options: Options,
    log: Arc<Log>,
    ledger: Arc<Ledger>,
    /// Of the configured sinks.
    cursors: BTreeMap<String, Arc<CursorFile>>,
    /// Held until the last of them is gone.
    _lock: Lock,
}

struct Lock(#[allow(dead_code, reason = "held, not read")] Box<dyn Send + Sync>);

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

impl Shared {
    /// Number that all cursors have reached.
    fn reached(&self) -> u64 {
        let durable = self.log.durable().next;
        self.cursors.values().map(|cursor| cursor.next()).fold(durable, u64::min)
    }

    /// Removes segments that all cursors have passed. Whether there were any.
    fn reclaim(&self) -> bool {
        self.log.remove_before(self.reached()).unwrap_or_else(|error| {
            // Tried again at the next occasion.
            tracing::warn!(%error, dir = %self.log.dir.display(), "cannot remove a segment");
            false
        })
    }

    /// Removes the oldest segment although not all sinks have its records, and counts these for
    /// each. Whether there was one that could go.
    fn drop_oldest(&self, wall_ns: u64) -> Result<bool, SpoolError> {
        let Some(oldest) = self.log.oldest() else { return Ok(false) };
        let Some(end) = oldest.end else { return Ok(false) };
        let losses = self.cursors.iter().map(|(sink, cursor)| SpoolLoss {
            stage: LossStage::Full,
            sink: Some(sink.clone()),
            count: self.held(&oldest, end, cursor.next()),
            first_wall_ns: wall_ns,
            last_wall_ns: wall_ns,
        });
        let losses: Vec<SpoolLoss> = losses.filter(|loss| loss.count > 0).collect();
        // First the count, then the cursors, then the records: what ends in between is counted
        // once more, never forgotten.
        self.ledger.add_durably(&losses)?;
        for cursor in self.cursors.values() {
            cursor.advance(end)?;
        }
        self.log
            .remove_before(end)
            .map_err(|error| SpoolError::new("remove a segment of", &self.log.dir, error))
    }
}

impl Shared {
    /// How many records a segment holds from the number `from` on.
    fn held(&self, segment: &Segment, end: u64, from: u64) -> u64 {
        let from = from.max(segment.first);
        let numbers = end.saturating_sub(from);
        let after = self.log.segment_of(end).map_or(segment.skipped, |after| after.skipped);
        let skipped = after.saturating_sub(segment.skipped);
        if numbers == 0 || skipped == 0 {
            return numbers;
        }
        if from == segment.first {
            return numbers.saturating_sub(skipped);
        }
        // Some numbers of the segment were never in the log: where, its blocks tell.
        let Ok(file) = self.log.open(segment) else { return numbers };
        let mut walker = Walker::new(file, self.log.salt, segment.first);
        let mut held = 0;
        while let Ok(step) = walker.step(segment.len, u64::MAX) {
            match step {
                Step::Passed(header) if header.first < end => {
                    held += header.next().saturating_sub(header.first.max(from));
                }
                Step::End => return held,
                _ => {}
            }
        }
        numbers
    }
}

/// How full the spool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Number of the oldest record that is kept.
    pub oldest: u64,
    /// Number after the last durable record.
    pub next: u64,
}

/// The spool as the sinks see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<Shared>,
}

impl Spool {
    /// The place of a sink, and a reader that begins there. To be called once for each sink.
    ///
    /// # Errors
    /// When the spool was opened without this sink.
    pub fn cursor(&self, sink: &str) -> Result<(Reader, Cursor), SpoolError> {
        let file = self.shared.cursors.get(sink);
        let file = file.ok_or_else(|| SpoolError::UnknownSink(sink.to_owned()))?;
        let reader = Reader::new(Arc::clone(&self.shared.log), file.next());
        Ok((reader, Cursor::new(Arc::clone(file), Some(Arc::clone(&self.shared)))))
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let log = &self.shared.log;
        let next = log.durable().next;
        Usage {
            bytes: log.bytes(),
            segments: log.segments(),
            oldest: log.oldest().map_or(next, |oldest| oldest.first),
            next,
        }
    }

    /// How many durable records a sink has not confirmed, by their numbers.
    #[must_use]
    pub fn lag(&self, sink: &str) -> Option<u64> {
        let cursor = self.shared.cursors.get(sink)?;
        Some(self.shared.log.durable().next.saturating_sub(cursor.next()))
    }
}

/// A lock whose holder panicked holds values that are each still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
