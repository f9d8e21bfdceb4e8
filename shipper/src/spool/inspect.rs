//! Looking at a spool without changing it or taking its lock, also beside a running daemon.

use std::io;
use std::path::{Path, PathBuf};

use super::cursor::CursorFile;
use super::disk::{self, Disk, Space};
use super::error::{SpoolError, failed};
use super::frame::{BlockHeader, SEGMENT_HEADER_BYTES};
use super::ledger::{self, SpoolLoss};
use super::open::{self, Found, look};
use super::requeue::Place;
use super::walk::{Step, Walker};
use super::{names, quarantine};

mod walk;

pub use walk::{Piece, Walk, walk};

/// A segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStatus {
    /// Its file.
    pub path: PathBuf,
    /// Number of its first record.
    pub first: u64,
    /// Number after its last record.
    pub next: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was begun, nanoseconds of wall time since 1970.
    pub created_wall_ns: u64,
    /// Whether its head is damaged.
    pub is_damaged: bool,
}

/// The cursor of a sink, configured or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorStatus {
    /// The sink.
    pub sink: String,
    /// Number of the next record to deliver.
    pub next: u64,
    /// When it was saved; 0 when nothing was delivered yet.
    pub saved_wall_ns: u64,
    /// Records not delivered yet.
    pub lag_records: u64,
    /// Their bytes in the log, compressed, blocks as a whole.
    pub lag_bytes: u64,
    /// When the oldest of them was written.
    pub oldest_wall_ns: Option<u64>,
}

/// Numbers of one quarantine or replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntriesStatus {
    /// The sink.
    pub sink: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of its segments.
    pub bytes: u64,
}

/// A spool at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Segments of the log, oldest first.
    pub segments: Vec<SegmentStatus>,
    /// Bytes of all of them.
    pub bytes: u64,
    /// When the oldest and the newest block were written.
    pub written_wall_ns: Option<(u64, u64)>,
    /// Space of the file system.
    pub space: Space,
    /// The cursors, by name.
    pub cursors: Vec<CursorStatus>,
    /// The quarantines, by name.
    pub quarantines: Vec<EntriesStatus>,
    /// What waits to be delivered again.
    pub replays: Vec<EntriesStatus>,
    /// Losses not yet reported in the stream.
    pub losses: Vec<SpoolLoss>,
}

/// Records and bytes that came in lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Records.
    pub records: u64,
    /// Bytes in the log.
    pub bytes: u64,
    /// In how much time, nanoseconds.
    pub span_ns: u64,
}

/// The directory of a spool's log, for [`walk`].
#[must_use]
pub fn log_directory(spool: &Path) -> PathBuf {
    spool.join("log")
}

/// Looks at a spool.
///
/// # Errors
/// When there is none, a later version wrote it, or it cannot be read.
pub fn status(disk: &dyn Disk, spool: &Path) -> Result<Status, SpoolError> {
    let found = segments(disk, &log_directory(spool))?;
    let summaries = found.iter().enumerate().map(|(at, segment)| {
        let next = match found.get(at + 1) {
            Some(after) => Ok(after.header.first),
            None => Ok(headers(disk, segment)?.last().map_or(segment.header.first, |h| h.next())),
        };
        Ok(SegmentStatus {
            path: segment.path.clone(),
            first: segment.header.first,
            next: next?,
            bytes: segment.len,
            created_wall_ns: segment.header.created_wall_ns,
            is_damaged: segment.is_bad,
        })
    });
    let segments: Vec<SegmentStatus> = summaries.collect::<Result<_, SpoolError>>()?;
    let losses = spool.join("losses");
    Ok(Status {
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        written_wall_ns: written(disk, &found)?,
        space: disk.space(spool).map_err(failed("examine", spool))?,
        cursors: cursors(disk, &spool.join("cursors"), &found)?,
        quarantines: entries(disk, &spool.join("quarantine"))?,
        replays: entries(disk, &spool.join("replay"))?,
        losses: match ledger::read(disk, &losses) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(failed("read", &losses))?,
        },
        segments,
    })
}

/// What came in within `window_ns` before the newest block.
///
/// # Errors
/// When the log cannot be read.
pub fn rate(disk: &dyn Disk, spool: &Path, window_ns: u64) -> Result<Rate, SpoolError> {
    let found = segments(disk, &log_directory(spool))?;
    let mut rate = Rate::default();
    let mut newest = None;
    for segment in found.iter().rev() {
        let headers = headers(disk, segment)?;
        for header in headers.iter().rev() {
            let newest = *newest.get_or_insert(header.written_wall_ns);
            let age = newest.saturating_sub(header.written_wall_ns);
            if age > window_ns {
                return Ok(rate);
            }
            rate.records += u64::from(header.count);
            rate.bytes += header.len();
            rate.span_ns = rate.span_ns.max(age);
        }
    }
    Ok(rate)
}

/// The number at a place, within what the log has.
///
/// # Errors
/// When the log cannot be read.
pub fn find(disk: &dyn Disk, spool: &Path, place: Place) -> Result<u64, SpoolError> {
    let found = segments(disk, &log_directory(spool))?;
    let oldest = found.first().map_or(1, |found| found.header.first);
    let newest = match found.last() {
        Some(newest) => {
            headers(disk, newest)?.last().map_or(newest.header.first, |last| last.next())
        }
        None => oldest,
    };
    match place {
        Place::Number(number) => Ok(number.clamp(oldest, newest)),
        Place::WrittenSince(wall_ns) => {
            for (at, segment) in found.iter().enumerate() {
                let begins_before = |after: &Found| after.header.created_wall_ns < wall_ns;
                if found.get(at + 1).is_some_and(begins_before) {
                    continue;
                }
                let headers = headers(disk, segment)?;
                if let Some(header) = headers.iter().find(|h| h.written_wall_ns >= wall_ns) {
                    return Ok(header.first);
                }
            }
            Ok(newest)
        }
    }
}

/// The segments in order. One that the daemon removes meanwhile is left out.
pub(super) fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<Found>, SpoolError> {
    let mut found = Vec::new();
    for first in open::segments(disk, dir)? {
        match look(disk, dir, first) {
            Ok(segment) => found.push(segment),
            Err(SpoolError::Failed { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The heads of the blocks of a segment; their bodies are not looked at.
fn headers(disk: &dyn Disk, segment: &Found) -> Result<Vec<BlockHeader>, SpoolError> {
    let mut headers = Vec::new();
    if segment.is_bad {
        return Ok(headers);
    }
    let file = match disk.open(&segment.path, false) {
        // Delivered and removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(headers),
        result => result.map_err(failed("open", &segment.path))?,
    };
    let mut walker = Walker::new(file, segment.header.salt, segment.header.first);
    loop {
        match walker.step(segment.len, u64::MAX).map_err(failed("read", &segment.path))? {
            Step::Passed(header) => headers.push(header),
            Step::Block { .. } | Step::Damaged { .. } => {}
            Step::End => return Ok(headers),
        }
    }
}

fn written(disk: &dyn Disk, found: &[Found]) -> Result<Option<(u64, u64)>, SpoolError> {
    let mut oldest = None;
    for segment in found {
        oldest = headers(disk, segment)?.first().map(|header| header.written_wall_ns);
        if oldest.is_some() {
            break;
        }
    }
    let mut newest = None;
    for segment in found.iter().rev() {
        newest = headers(disk, segment)?.last().map(|header| header.written_wall_ns);
        if newest.is_some() {
            break;
        }
    }
    Ok(oldest.zip(newest))
}

fn cursors(disk: &dyn Disk, dir: &Path, found: &[Found]) -> Result<Vec<CursorStatus>, SpoolError> {
    let mut cursors = Vec::new();
    let mut names = disk::list_if_there(disk, dir).map_err(failed("list", dir))?;
    names.sort_unstable();
    for name in names {
        let Some(sink) = names::parse_cursor(&name) else { continue };
        let path = dir.join(&name);
        let Some(saved) = CursorFile::read(disk, &path).map_err(failed("read", &path))? else {
            continue;
        };
        let mut status = CursorStatus {
            sink: sink.to_owned(),
            next: saved.next,
            saved_wall_ns: saved.saved_wall_ns,
            lag_records: 0,
            lag_bytes: 0,
            oldest_wall_ns: None,
        };
        status.add_lag(disk, found)?;
        cursors.push(status);
    }
    Ok(cursors)
}

impl CursorStatus {
    fn add_lag(&mut self, disk: &dyn Disk, found: &[Found]) -> Result<(), SpoolError> {
        for (at, segment) in found.iter().enumerate() {
            let end = found.get(at + 1).map(|after| after.header.first);
            if end.is_some_and(|end| end <= self.next) {
                continue;
            }
            if let Some(end) = end
                && segment.header.first >= self.next
                && self.oldest_wall_ns.is_some()
            {
                self.lag_records += end - segment.header.first;
                self.lag_bytes += segment.len - SEGMENT_HEADER_BYTES as u64;
                continue;
            }
            for header in headers(disk, segment)?.iter().filter(|header| header.next() > self.next)
            {
                self.lag_records += header.next() - header.first.max(self.next);
                self.lag_bytes += header.len();
                self.oldest_wall_ns.get_or_insert(header.written_wall_ns);
            }
        }
        Ok(())
    }
}

fn entries(disk: &dyn Disk, dir: &Path) -> Result<Vec<EntriesStatus>, SpoolError> {
    let mut all = Vec::new();
    let mut sinks = disk::list_if_there(disk, dir).map_err(failed("list", dir))?;
    sinks.sort_unstable();
    for sink in sinks.into_iter().filter(|name| names::is_sink(name)) {
        let dir = dir.join(&sink);
        if !quarantine::has_segments(disk, &dir)? {
            continue;
        }
        let found = segments(disk, &dir)?;
        let mut entries = 0;
        for (at, segment) in found.iter().enumerate() {
            let end = found.get(at + 1).map_or(u64::MAX, |after| after.header.first);
            let headers = headers(disk, segment)?;
            let counted = headers.iter().filter(|header| header.first < end);
            entries += counted.map(|header| u64::from(header.count)).sum::<u64>();
        }
        let bytes = found.iter().map(|found| found.len).sum();
        all.push(EntriesStatus { sink, entries, bytes });
    }
    Ok(all)
}
