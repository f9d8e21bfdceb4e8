//! The writer's segments: writing a block, beginning the next segment, and beginning again after a
//! failure.

use crate::fault;
use crate::spool::Fsync;
use crate::spool::error::{SpoolError, failed};
use crate::spool::frame::{BLOCK_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::spool::log::{Durable, SegmentFile};
use crate::spool::outcome::{FullCause, Now, full_cause, is_no_space};

use super::{REPAIR_PAUSE, UNSYNCED_BYTES_MAX, Writer};

impl Writer {
    /// Writes a block into the active segment, or a new one when it is full or fails.
    pub(super) fn put(&mut self, block: &[u8], now: Now) -> Result<(), FullCause> {
        let limit = self.shared.options.segment_bytes;
        let is_full = self.active.as_ref().is_none_or(|active| {
            active.len > SEGMENT_HEADER_BYTES as u64 && active.len + block.len() as u64 > limit
        });
        if is_full {
            self.rotate(now)?;
        }
        let Some(active) = &mut self.active else {
            return Err(FullCause::Failed(self.broken_by(&"there is no segment")));
        };
        match active.append(block) {
            Ok(()) => {
                self.shared.log.grow(active.len);
                Ok(())
            }
            Err(error) if is_no_space(&error) => Err(FullCause::NoSpace),
            Err(error) => {
                // It goes into a new segment, with all that is not durable in this one.
                tracing::error!(%error, "cannot write the spool's segment: writing a new one");
                self.is_broken = true;
                self.repair(Some(block), now)
            }
        }
    }

    /// The block is written and has its numbers; keeps its bytes until they are durable.
    pub(super) fn keep(&mut self, block: &[u8], now: Now) {
        if self.unsynced.since.is_none() {
            self.unsynced.begin = Durable { next: self.next, skipped: self.skipped };
            self.unsynced.since = Some(now.monotonic);
        }
        if self.shared.options.fsync != Fsync::Never {
            self.unsynced.bytes.extend_from_slice(block);
        }
        self.next += u64::from(self.open.count);
        self.written = Durable { next: self.next, skipped: self.skipped };
    }

    /// Ends the active segment, durably, and begins the next.
    fn rotate(&mut self, now: Now) -> Result<(), FullCause> {
        if let Some(active) = &self.active {
            fault::point("spool.seal")
                .and_then(|()| active.file.set_len(active.len))
                .and_then(|()| fault::point("spool.seal.after"))
                .unwrap_or_else(|error| tracing::warn!(%error, "cannot trim the spool's segment"));
            // A failed sync begins a new segment itself.
            let begun = self.begun;
            self.sync(now).map_err(full_cause)?;
            if self.begun != begun {
                return Ok(());
            }
        }
        // Where the next cannot be begun its file may be there all the same, and ends this one.
        self.active = None;
        self.begin_segment(None, now).map_err(full_cause)
    }

    /// After a failure: writes all that is not durable into a new segment, durably, and `block`
    /// after it.
    pub(super) fn repair(&mut self, block: Option<&[u8]>, now: Now) -> Result<(), FullCause> {
        match self.begin_segment(block, now) {
            Ok(()) => {
                self.is_broken = false;
                self.repair_after = None;
                self.publish();
                Ok(())
            }
            Err(error) => {
                self.repair_after = Some(now.monotonic + REPAIR_PAUSE);
                Err(full_cause(error))
            }
        }
    }

    /// Begins a segment, with what is not durable in it, and `block` after that.
    fn begin_segment(&mut self, block: Option<&[u8]>, now: Now) -> Result<(), SpoolError> {
        let log = &self.shared.log;
        let begin = match self.unsynced.since {
            Some(_) => self.unsynced.begin,
            None => Durable { next: self.next, skipped: self.skipped },
        };
        let header = SegmentHeader {
            first: begin.next,
            skipped: begin.skipped,
            salt: log.salt,
            created_wall_ns: now.wall_ns,
        };
        let blocks = std::iter::once(self.unsynced.bytes.as_slice()).chain(block);
        let reserve = self.room.reserve(&self.shared);
        let segment = SegmentFile::create(&*log.disk, &log.dir, &header, blocks, reserve)
            .map_err(failed("make a segment in", &log.dir))?;
        log.push(&header, segment.len, SEGMENT_HEADER_BYTES as u64);
        self.active = Some(segment);
        self.begun += 1;
        Ok(())
    }

    /// All that is written is durable, or never will be more so.
    pub(super) fn publish(&mut self) {
        self.unsynced.since = None;
        self.unsynced.bytes.clear();
        self.unsynced.bytes.shrink_to(UNSYNCED_BYTES_MAX + BLOCK_BYTES_MAX);
        self.shared.log.publish(self.written);
        self.shared.ledger.is_durable(self.written.next - 1);
        self.changed.send_replace(self.written.next);
    }
}
