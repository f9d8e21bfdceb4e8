//! The segments of one log as writer and readers share them: which there are, and how much of each
//! is durable.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::damage::Damage;
use super::disk::{Disk, DiskFile};
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{locked, names};
use crate::fault;

/// A segment in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Never the same twice: a segment that was written anew has the name of the first try.
    pub(super) id: u64,
    /// Number of its first record.
    pub(super) first: u64,
    /// How many of the numbers before `first` were never in the log.
    pub(super) skipped: u64,
    /// When it was begun.
    pub(super) created_wall_ns: u64,
    /// Bytes in the file.
    pub(super) len: u64,
    /// Bytes that readers may read.
    pub(super) durable_len: u64,
    /// First number of the segment after it, where this one ends.
    pub(super) end: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    last_id: u64,
    durable: Durable,
}

/// How far the log is durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Durable {
    /// Number after the last durable record.
    pub(super) next: u64,
    /// How many of the numbers before it were never in the log.
    pub(super) skipped: u64,
}

impl Default for Durable {
    fn default() -> Durable {
        Durable { next: 1, skipped: 0 }
    }
}

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) salt: u64,
    pub(super) damage: Damage,
    /// Changes when more is durable; closed when no more will be.
    pub(super) changed: watch::Receiver<u64>,
    state: Mutex<State>,
}

impl Log {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        salt: u64,
        damage: Damage,
        changed: watch::Receiver<u64>,
    ) -> Log {
        Log { disk, dir, salt, damage, changed, state: Mutex::default() }
    }

    /// Adds a segment after the last, which ends where it begins. One that begins where the last
    /// one does takes its place.
    pub(super) fn push(&self, header: &SegmentHeader, len: u64, durable_len: u64) {
        let SegmentHeader { first, skipped, created_wall_ns, .. } = *header;
        let state = &mut *locked(&self.state);
        state.segments.pop_back_if(|last| last.first >= first);
        if let Some(last) = state.segments.back_mut() {
            last.end = Some(first);
        }
        state.last_id += 1;
        let id = state.last_id;
        let end = None;
        state.segments.push_back(Segment {
            id,
            first,
            skipped,
            created_wall_ns,
            len,
            durable_len,
            end,
        });
    }

    /// The last segment has grown to `len` bytes.
    pub(super) fn grow(&self, len: u64) {
        if let Some(last) = locked(&self.state).segments.back_mut() {
            last.len = len;
        }
    }

    /// The last segment is durable to its end, and with it all before `durable.next`.
    pub(super) fn publish(&self, durable: Durable) {
        let state = &mut *locked(&self.state);
        state.durable = durable;
        if let Some(last) = state.segments.back_mut() {
            last.durable_len = last.len;
        }
    }

    pub(super) fn durable(&self) -> Durable {
        locked(&self.state).durable
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        locked(&self.state).segments.iter().map(|segment| segment.len).sum()
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        locked(&self.state).segments.len()
    }

    pub(super) fn oldest(&self) -> Option<Segment> {
        locked(&self.state).segments.front().copied()
    }

    /// The segment of this id as it is now.
    pub(super) fn segment(&self, id: u64) -> Option<Segment> {
        locked(&self.state).segments.iter().find(|segment| segment.id == id).copied()
    }

    /// The segment that holds the record `number`, or would.
    pub(super) fn segment_of(&self, number: u64) -> Option<Segment> {
        let state = locked(&self.state);
        let after = state.segments.partition_point(|segment| segment.first <= number);
        state.segments.get(after.saturating_sub(1)).copied()
    }

    pub(super) fn path(&self, first: u64) -> PathBuf {
        self.dir.join(names::segment(first))
    }

    pub(super) fn open(&self, segment: &Segment) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(segment.first), false)
    }

    /// Removes the oldest segments that end at or before `number`; the last one stays. Returns
    /// whether any was removed.
    pub(super) fn remove_before(&self, number: u64) -> io::Result<bool> {
        let state = &mut *locked(&self.state);
        let mut removed = false;
        while state.segments.front().is_some_and(|s| s.end.is_some_and(|end| end <= number)) {
            let Some(segment) = state.segments.front() else { break };
            fault::point("spool.delete")?;
            match self.disk.remove(&self.path(segment.first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            state.segments.pop_front();
            removed = true;
        }
        if removed {
            fault::point("spool.delete.after")?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(removed)
    }
}

/// A segment file that is being written.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes that count.
    pub(super) len: u64,
}

impl SegmentFile {
    /// Makes a segment that holds these blocks already; all of it is durable on return. On an error
    /// no segment was added, though its file may be there.
    pub(super) fn create<'a>(
        disk: &dyn Disk,
        dir: &Path,
        header: &SegmentHeader,
        blocks: impl Iterator<Item = &'a [u8]>,
        reserve_bytes: u64,
    ) -> io::Result<SegmentFile> {
        fault::point("spool.reserve")?;
        let temporary = dir.join(names::temporary_segment(header.first));
        let written = SegmentFile::fill(disk, &temporary, header, blocks, reserve_bytes);
        let segment = match written {
            Ok(segment) => segment,
            Err(error) => {
                // What is left over is removed at the next start.
                let _ = disk.remove(&temporary);
                return Err(error);
            }
        };
        fault::point("spool.reserve.after")?;
        disk.rename(&temporary, &dir.join(names::segment(header.first)))?;
        fault::point("spool.dirsync")?;
        disk.sync_dir(dir)?;
        fault::point("spool.dirsync.after")?;
        Ok(segment)
    }

    fn fill<'a>(
        disk: &dyn Disk,
        path: &Path,
        header: &SegmentHeader,
        blocks: impl Iterator<Item = &'a [u8]>,
        reserve_bytes: u64,
    ) -> io::Result<SegmentFile> {
        let file = disk.create(path)?;
        // Keeps the file in one piece and the size out of each sync. Not all file systems can, and
        // what one gave before it refused goes back.
        if reserve_bytes > 0 && file.allocate(reserve_bytes).is_err() {
            file.set_len(0)?;
        }
        file.write_at(&header.encode(), 0)?;
        let mut len = SEGMENT_HEADER_BYTES as u64;
        for block in blocks {
            file.write_at(block, len)?;
            len += block.len() as u64;
        }
        file.sync_data()?;
        Ok(SegmentFile { file, len })
    }

    /// Adds a block. After an error the file is as it was, or what follows its length is not to be
    /// believed.
    pub(super) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        let written = fault::point("spool.write")
            .and_then(|()| self.file.write_at(block, self.len))
            .and_then(|()| fault::point("spool.write.after"));
        if let Err(error) = written {
            // Only tidiness: the next block goes to the same place.
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.len += block.len() as u64;
        Ok(())
    }
}
