//! Appending: the open block, the segment being written, and what is written but not yet durable.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::error::SpoolError;
use super::frame::{
    self, BLOCK_BYTES_MAX, BlockFacts, MARK_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX,
    RECORD_HEAD_BYTES,
};
use super::ledger::{LossStage, SpoolLoss};
use super::log::{Durable, SegmentFile};
use super::outcome::{FullCause, Now, Wrote};
use super::room::Room;
use super::{Fsync, Shared, WhenFull};
use crate::fault;

mod segments;

/// Most bytes written and not synced: they are held in memory, to be written again elsewhere when
/// a sync fails.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

/// The most that can be unsynced at any moment: the block that goes over the limit counts.
pub(super) const UNSYNCED_TOTAL_BYTES_MAX: u64 = (UNSYNCED_BYTES_MAX + RAW_BYTES_MAX + 4096) as u64;

/// How often counts of losses are made durable, at most.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a disk that failed is left alone.
const REPAIR_PAUSE: Duration = Duration::from_millis(500);

/// The blocks in the segment file that are not durable yet.
#[derive(Debug, Default)]
struct Unsynced {
    /// As they are in the file, oldest first. Empty when nothing is ever synced.
    bytes: Vec<u8>,
    /// What stands before the oldest.
    begin: Durable,
    /// When the oldest was written; none while there is none.
    since: Option<Duration>,
}

/// The open block.
#[derive(Debug, Default)]
struct Open {
    raw: Vec<u8>,
    count: u32,
}

impl Open {
    fn clear(&mut self) {
        self.count = 0;
        self.raw.clear();
        // A giant record is not worth the memory for good.
        self.raw.shrink_to(2 * BLOCK_BYTES_MAX);
    }
}

/// Appends to the log. One for each spool; owned by one thread.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    changed: watch::Sender<u64>,
    open: Open,
    /// Number of the next record that is written.
    next: u64,
    /// How many of the numbers before it were never in the log.
    skipped: u64,
    /// The end of the last block that was written.
    written: Durable,
    active: Option<SegmentFile>,
    /// Segments begun so far.
    begun: u64,
    unsynced: Unsynced,
    /// Room for a block as it goes into the file.
    block: Vec<u8>,
    /// The active segment failed: what is not synced has to be written again.
    is_broken: bool,
    repair_after: Option<Duration>,
    room: Room,
    when_full: WhenFull,
    last_mark: Option<Vec<u8>>,
    stored_at: Option<Duration>,
    /// Records too long since the last tick.
    too_large: u64,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        changed: watch::Sender<u64>,
        active: Option<SegmentFile>,
        end: Durable,
        last_mark: Option<Vec<u8>>,
    ) -> Writer {
        let when_full = shared.options.when_full;
        Writer {
            shared,
            changed,
            open: Open::default(),
            next: end.next,
            skipped: end.skipped,
            written: end,
            active,
            begun: 0,
            unsynced: Unsynced::default(),
            block: Vec::new(),
            is_broken: false,
            repair_after: None,
            room: Room::default(),
            when_full,
            last_mark,
            stored_at: None,
            too_large: 0,
        }
    }

    /// Adds a record to the open block, in memory. One longer than
    /// [`RECORD_BYTES_MAX`](super::RECORD_BYTES_MAX) is counted as lost, as is one that a block far
    /// beyond full cannot take: the caller did not look at [`Writer::is_block_full`].
    pub fn append(&mut self, record: &[u8]) {
        let after = self.open.raw.len() + RECORD_HEAD_BYTES + record.len();
        if record.len() > RECORD_BYTES_MAX || after > RAW_BYTES_MAX {
            self.too_large += 1;
            return;
        }
        frame::push_record(&mut self.open.raw, record);
        self.open.count += 1;
    }

    /// Whether the open block should be written before more is appended.
    #[must_use]
    pub fn is_block_full(&self) -> bool {
        self.open.raw.len() >= BLOCK_BYTES_MAX
    }

    /// Records in the open block.
    #[must_use]
    pub fn open_records(&self) -> u32 {
        self.open.count
    }

    /// Puts the open block into the segment file, with a mark of at most
    /// [`MARK_BYTES_MAX`](super::MARK_BYTES_MAX) bytes; a longer one is left out.
    pub fn write(&mut self, mark: &[u8], now: Now) -> Wrote {
        self.count_too_large(now);
        if self.open.count == 0 {
            return Wrote::Done;
        }
        match self.try_write(mark, now) {
            Ok(()) => {
                self.room.found();
                self.open.clear();
                Wrote::Done
            }
            Err(cause) => {
                if self.room.missed() {
                    tracing::error!(%cause, policy = ?self.when_full,
                        "the spool takes no more records");
                }
                match self.when_full {
                    WhenFull::Block => Wrote::Full { cause },
                    WhenFull::DropNewest | WhenFull::DropOldest => self.drop_block(now),
                }
            }
        }
    }

    /// From now on what does not fit is dropped and counted, whatever the policy: for the end, when
    /// nobody can wait for room any more.
    pub fn drop_what_does_not_fit(&mut self) {
        if self.when_full == WhenFull::Block {
            self.when_full = WhenFull::DropNewest;
        }
    }

    /// What has to be done from time to time: syncs when that is due, looks at the free space,
    /// makes counts of losses durable. Cheap when there is nothing to do.
    pub fn tick(&mut self, now: Now) {
        if self.sync_at().is_some_and(|at| at <= now.monotonic) {
            // What failed is tried again by a later tick, and shown by a write.
            if let Err(error) = self.sync(now) {
                tracing::error!(%error, "cannot sync the spool");
            }
        }
        self.count_too_large(now);
        self.room.look(&self.shared, now);
        if !self.room.has(&self.shared, self.block_bytes()) && self.shared.reclaim() {
            self.room.look_again(&self.shared, now);
        }
        let is_due = self.stored_at.is_none_or(|at| now.monotonic >= at + STORE_INTERVAL);
        if is_due && self.shared.ledger.is_dirty() {
            self.stored_at = Some(now.monotonic);
            if let Err(error) = self.store_losses() {
                tracing::error!(%error, "cannot make the counts of losses durable");
            }
        }
    }

    /// When [`Writer::tick`] has to be called for a sync, on the caller's monotonic clock; none
    /// while everything is durable.
    #[must_use]
    pub fn sync_at(&self) -> Option<Duration> {
        if self.is_broken {
            return Some(self.repair_after.unwrap_or_default());
        }
        let since = self.unsynced.since?;
        match self.shared.options.fsync {
            Fsync::Interval(interval) => Some(since + interval),
            Fsync::Always => Some(since),
            Fsync::Never => None,
        }
    }

    /// Makes all that is written durable, and shows it to the readers.
    ///
    /// # Errors
    /// When it could not be, also not in a new segment: what is not durable is kept in memory, and
    /// tried again later.
    pub fn sync(&mut self, now: Now) -> Result<(), SpoolError> {
        if !self.is_broken {
            let Some(active) = &self.active else { return Ok(()) };
            if self.unsynced.since.is_none() {
                return Ok(());
            }
            let synced = fault::point("spool.fsync")
                .and_then(|()| active.file.sync_data())
                .and_then(|()| fault::point("spool.fsync.after"));
            match synced {
                Ok(()) => {
                    self.publish();
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(%error, "cannot sync the spool's segment: writing a new one");
                    self.is_broken = true;
                }
            }
        }
        self.repair(None, now).map_err(|cause| match cause {
            FullCause::Failed(error) => error,
            cause => self.broken_by(&cause),
        })
    }

    /// Losses to report in the stream: the caller appends a record for each, and the spool forgets
    /// them when that is durable. None while there is no room.
    pub fn take_losses(&mut self) -> Vec<SpoolLoss> {
        let has_room = match self.shared.options.when_full {
            // Room is made.
            WhenFull::DropOldest => true,
            _ => self.room.has(&self.shared, self.block_bytes()),
        };
        if has_room && !self.is_broken { self.shared.ledger.take() } else { Vec::new() }
    }

    /// The mark of the newest block that was in the log when it was opened, if it had one.
    #[must_use]
    pub fn last_mark(&self) -> Option<&[u8]> {
        self.last_mark.as_deref()
    }

    /// Number of the last durable record; 0 when there is none.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.log.durable().next - 1
    }

    /// Syncs and ends the log: readers get what is left, then the end. The open block must be
    /// written before.
    ///
    /// # Errors
    /// As [`Writer::sync`], or the counts of losses cannot be written; the log is ended all the same.
    pub fn close(mut self, now: Now) -> Result<(), SpoolError> {
        self.count_too_large(now);
        let synced = match self.shared.options.fsync {
            // Left to the system, as asked.
            Fsync::Never => Ok(()),
            _ => self.sync(now),
        };
        let noted = self.store_losses();
        synced.and(noted)
    }

    fn try_write(&mut self, mark: &[u8], now: Now) -> Result<(), FullCause> {
        if self.is_broken {
            if self.repair_after.is_some_and(|after| now.monotonic < after) {
                return Err(FullCause::Failed(self.broken_by(&"it is tried again soon")));
            }
            self.repair(None, now)?;
        }
        let facts = BlockFacts {
            first: self.next,
            count: self.open.count,
            skipped: self.skipped,
            salt: self.shared.log.salt,
            written_wall_ns: now.wall_ns,
            mark: if mark.len() <= MARK_BYTES_MAX { mark } else { &[] },
        };
        let mut block = std::mem::take(&mut self.block);
        let compression = self.shared.options.compression;
        frame::encode_block(&facts, &self.open.raw, compression, &mut block);
        let written = self.write_block(&block, now);
        block.shrink_to(2 * BLOCK_BYTES_MAX);
        self.block = block;
        written
    }

    fn write_block(&mut self, block: &[u8], now: Now) -> Result<(), FullCause> {
        self.make_room(block.len() as u64, now)?;
        let last = self.next + u64::from(self.open.count) - 1;
        if let Err(error) = self.shared.ledger.writing(last) {
            // Then the losses may be reported twice.
            tracing::warn!(%error, "cannot note that losses are being reported");
        }
        while let Err(cause) = self.put(block, now) {
            if !matches!(cause, FullCause::NoSpace) {
                return Err(cause);
            }
            // Each turn removes a segment, or ends here.
            self.room.refused(now);
            self.make_room(block.len() as u64, now)?;
        }
        self.keep(block, now);
        self.shared.ledger.written();
        if self.shared.options.fsync == Fsync::Never {
            self.publish();
        } else if self.unsynced.bytes.len() > UNSYNCED_BYTES_MAX
            || self.shared.options.fsync == Fsync::Always
        {
            // The block is in the file or in memory; the next write is refused until it is safe.
            if let Err(error) = self.sync(now) {
                tracing::error!(%error, "cannot sync the spool");
            }
        }
        Ok(())
    }

    fn make_room(&mut self, len: u64, now: Now) -> Result<(), FullCause> {
        self.room.look(&self.shared, now);
        loop {
            let Err(cause) = self.room.check(&self.shared, len) else { return Ok(()) };
            let made = self.shared.reclaim()
                || self.when_full == WhenFull::DropOldest
                    && self.shared.drop_oldest(now.wall_ns).map_err(FullCause::Failed)?;
            if !made {
                return Err(cause);
            }
            self.room.look_again(&self.shared, now);
        }
    }

    fn drop_block(&mut self, now: Now) -> Wrote {
        let records = u64::from(self.open.count);
        self.open.clear();
        self.shared.ledger.dropped();
        self.lose(LossStage::Full, records, now);
        Wrote::Dropped { records }
    }

    fn count_too_large(&mut self, now: Now) {
        let count = std::mem::take(&mut self.too_large);
        if count > 0 {
            self.lose(LossStage::TooLarge, count, now);
        }
    }

    /// Records are lost before they came into the log; they take numbers all the same.
    fn lose(&mut self, stage: LossStage, count: u64, now: Now) {
        self.next += count;
        self.skipped += count;
        self.shared.ledger.add(SpoolLoss {
            stage,
            sink: None,
            count,
            first_wall_ns: now.wall_ns,
            last_wall_ns: now.wall_ns,
        });
        // Not synced: a killed daemon does not forget what the system has, and a disk that is full
        // should not be kept busy by that.
        if let Err(error) = self.shared.ledger.store(None, false) {
            tracing::warn!(%error, "cannot write down a loss");
        }
    }

    fn store_losses(&self) -> Result<(), SpoolError> {
        let durable = self.shared.log.durable().next;
        self.shared.ledger.store(Some(durable), true)
    }

    /// Room for a block, to say that there is room at all.
    fn block_bytes(&self) -> u64 {
        self.shared.options.segment_bytes.min(BLOCK_BYTES_MAX as u64)
    }

    fn broken_by(&self, cause: &dyn std::fmt::Display) -> SpoolError {
        let source = io::Error::other(format!("the disk failed: {cause}"));
        SpoolError::new("write", &self.shared.log.dir, source)
    }
}
