//! Records that a sink was refused, each with the reason: a small log of its own under
//! `DIR/quarantine/<sink>`, in the format of the spool. `shipper spool requeue` moves it to
//! `DIR/replay/<sink>`, from where the next start delivers it again.
//!
//! A record of these logs is number u64, length of the reason u16, reason (UTF-8), payload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::cursor::{Cursor, CursorFile};
use super::damage::Damage;
use super::disk::Disk;
use super::error::{SpoolError, failed};
use super::frame::{
    self, BLOCK_BYTES_MAX, BlockFacts, RECORD_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader,
    u64_at,
};
use super::ledger::{LossStage, SpoolLoss};
use super::log::{Durable, Log, SegmentFile};
use super::open::{End, open_segments, random, scan_newest};
use super::reader::Reader;
use super::{Compression, Shared, Spool, names};
use crate::fault;

/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 1024;
const HEAD_BYTES: usize = 10;

/// A refused record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number in the log of the spool.
    pub number: u64,
    /// What the sink said; at most 1 KiB of it is kept.
    pub reason: &'a str,
    /// The record.
    pub payload: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads a record of a quarantine or replay log; `None` where it is none.
    #[must_use]
    pub fn decode(record: &'a [u8]) -> Option<Entry<'a>> {
        let (head, rest) = record.split_at_checked(HEAD_BYTES)?;
        let reason_bytes = usize::from(u16::from_le_bytes([head[8], head[9]]));
        let (reason, payload) = rest.split_at_checked(reason_bytes)?;
        let reason = std::str::from_utf8(reason).ok()?;
        Some(Entry { number: u64_at(head, 0), reason, payload })
    }

    fn encode(&self) -> Vec<u8> {
        let mut end = self.reason.len().min(REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = &self.reason.as_bytes()[..end];
        let mut out = Vec::with_capacity(HEAD_BYTES + end + self.payload.len());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&(end as u16).to_le_bytes());
        out.extend_from_slice(reason);
        out.extend_from_slice(self.payload);
        out
    }
}

/// Why records are not in the quarantine.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// It has grown to its limit: somebody has to look at it.
    #[error("the quarantine {} is full ({bytes_max} bytes): look at it with `shipper spool quarantine`, requeue or remove it, or raise quarantine.bytes_max", dir.display())]
    Full {
        /// Its directory.
        dir: PathBuf,
        /// Its limit.
        bytes_max: u64,
    },
    /// The disk failed; try again later.
    #[error(transparent)]
    Failed(#[from] SpoolError),
}

/// The quarantine of one sink. One for each; owned by its task.
#[derive(Debug)]
pub struct Quarantine {
    /// Keeps the lock of the spool.
    shared: Arc<Shared>,
    sink: String,
    dir: PathBuf,
    bytes_max: u64,
    /// None until something is put.
    log: Option<OpenLog>,
}

#[derive(Debug)]
struct OpenLog {
    salt: u64,
    /// Number of the next entry within the quarantine.
    next: u64,
    /// Of all segments.
    bytes: u64,
    /// None when the next entries begin a segment: there is none, or the last one failed.
    active: Option<SegmentFile>,
}

impl Quarantine {
    /// Puts records into the quarantine, all or none of them; durable on return.
    ///
    /// # Errors
    /// When it is full or the disk fails.
    pub fn put(&mut self, entries: &[Entry<'_>], now_wall_ns: u64) -> Result<(), QuarantineError> {
        let disk = Arc::clone(&self.shared.log.disk);
        let bytes_max = self.bytes_max;
        let segment_bytes = self.shared.options.segment_bytes;
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(OpenLog::open(&*disk, &self.dir, &self.shared.options.dir)?),
        };
        let (blocks, count) = encode(entries, log.next, log.salt, now_wall_ns);
        let added = blocks.iter().map(|block| block.len() as u64).sum::<u64>();
        if log.bytes + added + SEGMENT_HEADER_BYTES as u64 > bytes_max {
            return Err(QuarantineError::Full { dir: self.dir.clone(), bytes_max });
        }
        let is_room = |active: &SegmentFile| active.len + added <= segment_bytes;
        // Taken: after a failure the next entries begin a segment, which takes the place of what
        // this one holds of them.
        let written = match log.active.take().filter(is_room) {
            Some(mut active) => fault::point("spool.quarantine")
                .and_then(|()| blocks.iter().try_for_each(|block| active.append(block)))
                .and_then(|()| active.file.sync_data())
                .map(|()| active),
            None => {
                let header = SegmentHeader {
                    first: log.next,
                    skipped: 0,
                    salt: log.salt,
                    created_wall_ns: now_wall_ns,
                };
                log.bytes += SEGMENT_HEADER_BYTES as u64;
                let blocks = blocks.iter().map(Vec::as_slice);
                fault::point("spool.quarantine")
                    .and_then(|()| SegmentFile::create(&*disk, &self.dir, &header, blocks, 0))
            }
        };
        let active = written
            .and_then(|active| fault::point("spool.quarantine.after").map(|()| active))
            .map_err(failed("write the quarantine", &self.dir))?;
        log.active = Some(active);
        log.next += count;
        log.bytes += added;
        Ok(())
    }

    /// Has the writer's caller report that so many of the records put were lost to the sink. Durable on
    /// return: to be done before the cursor passes them, so that no crash forgets it.
    ///
    /// # Errors
    /// When the disk fails; nothing is counted then.
    pub fn report(&self, count: u64, now_wall_ns: u64) -> Result<(), SpoolError> {
        if count == 0 {
            return Ok(());
        }
        self.shared.ledger.add_durably(&[SpoolLoss {
            stage: LossStage::Quarantined,
            sink: Some(self.sink.clone()),
            count,
            first_wall_ns: now_wall_ns,
            last_wall_ns: now_wall_ns,
        }])
    }
}

/// The blocks that hold the entries, and how many numbers they take.
fn encode(entries: &[Entry<'_>], first: u64, salt: u64, wall_ns: u64) -> (Vec<Vec<u8>>, u64) {
    let mut blocks = Vec::new();
    let (mut raw, mut count, mut first) = (Vec::new(), 0, first);
    let begun = first;
    let mut end = |raw: &mut Vec<u8>, count: &mut u32, first: &mut u64| {
        let facts = BlockFacts {
            first: *first,
            count: *count,
            skipped: 0,
            salt,
            written_wall_ns: wall_ns,
            mark: &[],
        };
        let mut block = Vec::new();
        frame::encode_block(&facts, raw, Compression::Lz4, &mut block);
        blocks.push(block);
        *first += u64::from(*count);
        (*raw, *count) = (Vec::new(), 0);
    };
    for entry in entries {
        frame::push_record(&mut raw, &entry.encode());
        count += 1;
        if raw.len() >= BLOCK_BYTES_MAX {
            end(&mut raw, &mut count, &mut first);
        }
    }
    if count > 0 {
        end(&mut raw, &mut count, &mut first);
    }
    (blocks, first - begun)
}

// A block takes a record of the spool with what an entry adds to it.
const _: () = assert!(HEAD_BYTES + REASON_BYTES_MAX < BLOCK_BYTES_MAX && RECORD_BYTES_MAX > 0);

impl OpenLog {
    fn open(disk: &dyn Disk, dir: &Path, spool: &Path) -> Result<OpenLog, SpoolError> {
        disk.create_dirs(dir).map_err(failed("make the directory", dir))?;
        let mut found = open_segments(disk, dir, &spool.join("damaged"))?.0;
        let salt = found.first().map_or_else(random, |found| found.header.salt);
        let mut log = OpenLog { salt, next: 1, bytes: 0, active: None };
        if let Some(newest) = found.last_mut() {
            let (End { durable, active, .. }, torn) = scan_newest(disk, newest, salt)?;
            if let Some(torn) = torn {
                torn.file.set_len(torn.offset).map_err(failed("cut", &torn.path))?;
            }
            log.next = durable.next;
            log.active = active;
        }
        log.bytes = found.iter().map(|found| found.len).sum();
        Ok(log)
    }
}

/// Records to deliver again before those of the spool. Numbers are those within the replay; each
/// record is an [`Entry`].
#[derive(Debug)]
pub struct Replay {
    /// Reads them; ends after the last.
    pub reader: Reader,
    /// How far they are delivered.
    pub cursor: Cursor,
    /// What stays of it on disk.
    pub remains: Remains,
}

/// The files of a replay.
#[derive(Debug)]
pub struct Remains {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Remains {
    /// All are delivered: removes them.
    ///
    /// # Errors
    /// When the disk refuses; what is left is tried again by the next start.
    pub fn remove(self) -> Result<(), SpoolError> {
        remove(&*self.disk, &self.dir)
    }
}

/// Segments first: a cursor without segments has nothing to deliver.
fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), SpoolError> {
    let mut names = disk.list(dir).map_err(failed("list", dir))?;
    names.sort_by_key(|name| names::parse_segment(name).is_none());
    for name in names {
        let path = dir.join(name);
        disk.remove(&path).map_err(failed("remove", &path))?;
    }
    disk.remove_dir(dir).map_err(failed("remove", dir))
}

impl Spool {
    /// The quarantine of a sink, of at most so many bytes.
    ///
    /// # Errors
    /// When the spool was opened without this sink.
    pub fn quarantine(&self, sink: &str, bytes_max: u64) -> Result<Quarantine, SpoolError> {
        if !self.shared.cursors.contains_key(sink) {
            return Err(SpoolError::UnknownSink(sink.to_owned()));
        }
        let dir = quarantine_directory(&self.shared.options.dir, sink);
        let (shared, sink) = (Arc::clone(&self.shared), sink.to_owned());
        Ok(Quarantine { shared, sink, dir, bytes_max, log: None })
    }

    /// What a requeue left to deliver again to a sink, if anything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replay(&self, sink: &str) -> Result<Option<Replay>, SpoolError> {
        let disk = Arc::clone(&self.shared.log.disk);
        let dir = replay_directory(&self.shared.options.dir, sink);
        if !has_segments(&*disk, &dir)? {
            return Ok(None);
        }
        let damaged = self.shared.options.dir.join("damaged");
        let mut found = open_segments(&*disk, &dir, &damaged)?.0;
        let Some(newest) = found.last_mut() else { return Ok(None) };
        let salt = newest.header.salt;
        let (End { durable, .. }, _) = scan_newest(&*disk, newest, salt)?;
        let damage = Damage::new(
            Arc::clone(&disk),
            None,
            Some(sink.to_owned()),
            Arc::clone(&self.shared.ledger),
        );
        // Nothing is added: whoever waits is told so.
        let (_, changed) = watch::channel(durable.next);
        let log = Log::new(Arc::clone(&disk), dir.clone(), salt, damage, changed);
        for found in &found {
            log.push(&found.header, found.len, found.len);
        }
        log.publish(Durable { next: durable.next, skipped: 0 });
        let (file, _) = CursorFile::open(&*disk, dir.join(names::cursor(sink)))?;
        let oldest = found.first().map_or(durable.next, |found| found.header.first);
        let reader = Reader::new(Arc::new(log), file.next().max(oldest));
        let cursor = Cursor::new(Arc::new(file), None);
        Ok(Some(Replay { reader, cursor, remains: Remains { disk, dir } }))
    }
}

/// Where the quarantine of a sink is.
#[must_use]
pub fn quarantine_directory(spool: &Path, sink: &str) -> PathBuf {
    spool.join("quarantine").join(sink)
}

/// Where what is to be delivered again to a sink is.
#[must_use]
pub fn replay_directory(spool: &Path, sink: &str) -> PathBuf {
    spool.join("replay").join(sink)
}

pub(super) fn has_segments(disk: &dyn Disk, dir: &Path) -> Result<bool, SpoolError> {
    let names = super::disk::list_if_there(disk, dir).map_err(failed("list", dir))?;
    Ok(names.iter().any(|name| names::parse_segment(name).is_some()))
}
