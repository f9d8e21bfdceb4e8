//! Opening a spool: what a crash, a failing disk or somebody's hand left is put in order. Only the
//! newest segment is read; the others are verified when a sink gets to them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::cursor::CursorFile;
use super::damage::{Damage, Missing, Stretch};
use super::disk::{self, Disk, DiskFile};
use super::error::{SpoolError, failed};
use super::frame::{
    BLOCK_HEADER_BYTES, BlockHeader, SEGMENT_HEADER_BYTES, SegmentHead, SegmentHeader, VERSION,
    u64_at,
};
use super::ledger::{Ledger, LossStage, SpoolLoss};
use super::log::{Durable, Log, SegmentFile};
use super::walk::{READ_FAILURES_MAX, Step, Walker};
use super::writer::Writer;
use super::{Lock, Options, Shared, Spool, names};

/// Opens a spool for these sinks, or makes one. A sink without a cursor begins at the oldest
/// record; cursors of other sinks are left alone and hold nothing.
///
/// # Errors
/// When another process has the spool, a later version wrote it, or the disk refuses.
pub fn open(
    options: Options,
    disk: Arc<dyn Disk>,
    sinks: &[String],
) -> Result<(Writer, Spool), SpoolError> {
    if let Some(name) = sinks.iter().find(|name| !names::is_sink(name)) {
        return Err(SpoolError::UnknownSink(name.clone()));
    }
    let dir = options.dir.clone();
    disk.create_dirs(&dir).map_err(failed("make the directory", &dir))?;
    let lock = Lock(disk.lock(&dir.join("lock")).map_err(|error| SpoolError::lock(&dir, error))?);
    let log_dir = dir.join("log");
    let cursor_dir = dir.join("cursors");
    for dir in [&log_dir, &cursor_dir] {
        disk.create_dirs(dir).map_err(failed("make the directory", dir))?;
    }
    let (mut found, bad_first) = open_segments(&*disk, &log_dir, &dir.join("damaged"))?;
    for dir in [&dir, &cursor_dir, &dir.join("damaged")] {
        tidy(&*disk, dir)?;
    }
    for dir in [&dir, &cursor_dir] {
        disk.sync_dir(dir).map_err(failed("sync the directory", dir))?;
    }

    let losses = dir.join("losses");
    let ledger = Arc::new(Ledger::open(&*disk, &losses)?);
    let salt = found.first().map_or_else(random, |found| found.header.salt);
    let (cursors, stale_next) = open_cursors(&*disk, &cursor_dir, sinks)?;

    let mut end = End::default();
    let mut torn = None;
    if let Some(newest) = found.last_mut() {
        (end, torn) = scan_newest(&*disk, newest, salt)?;
        if end.mark.is_none() {
            end.mark = find_mark(&*disk, &found, salt);
        }
    }
    let written = end.durable;
    let damage =
        Damage::new(Arc::clone(&disk), Some(dir.join("damaged")), None, Arc::clone(&ledger));
    let oldest = found.first().map_or(written.next, |found| found.header.first);
    // Each of these knows of records that were in the log once.
    let highest = cursors.values().map(|(cursor, _)| cursor.next()).max();
    let marked = Some(damage.load(oldest));
    let known = [Some(ledger.durable_next()), highest, stale_next, bad_first, marked];
    let next = known.into_iter().flatten().fold(written.next, u64::max);

    ledger.settle(written.next);
    if next > written.next {
        // Goes on after the gap, in a new segment, which the first write makes.
        end.active = None;
        end.durable = Durable { next, skipped: written.skipped + (next - written.next) };
        let lowest = cursors.values().map(|(cursor, _)| cursor.next()).min();
        let first = written.next.max(lowest.unwrap_or(1));
        report_gap(&damage, (first, next), u64::MAX, end.wall_ns, torn.as_ref());
    }
    if let Some(torn) = &torn {
        tracing::warn!(path = %torn.path.display(), bytes = torn.len,
            "cut a torn end off the spool");
        torn.file.set_len(torn.offset).map_err(failed("cut", &torn.path))?;
    }
    if let Some(newest) = found.last() {
        let begin = newest.len.saturating_sub(super::writer::UNSYNCED_TOTAL_BYTES_MAX);
        disk.open(&newest.path, true)
            .and_then(|file| disk::write_again(&*file, begin, newest.len - begin))
            .map_err(failed("sync", &newest.path))?;
    }

    let (changed_tx, changed) = watch::channel(end.durable.next);
    let log = Log::new(Arc::clone(&disk), log_dir, salt, damage, changed);
    for segment in &found {
        log.push(&segment.header, segment.len, segment.len);
    }
    log.publish(end.durable);
    settle_cursors(&log, &cursors, &ledger)?;
    ledger.store(Some(end.durable.next), true)?;

    let cursors = cursors.into_iter().map(|(sink, (cursor, _))| (sink, cursor)).collect();
    let shared = Arc::new(Shared { options, log: Arc::new(log), ledger, cursors, _lock: lock });
    shared.reclaim();
    let writer = Writer::new(Arc::clone(&shared), changed_tx, end.active, end.durable, end.mark);
    Ok((writer, Spool { shared }))
}

/// A segment file with a head that can be used.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) header: SegmentHeader,
    /// None is for heads that cannot be used.
    pub(super) is_bad: bool,
    pub(super) path: std::path::PathBuf,
    /// Bytes.
    pub(super) len: u64,
}

/// The segments of a log in order, after what is no segment was moved out of it; and the highest
/// first number of the segments moved, if any. Refuses a later version before anything is touched.
pub(super) fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    damaged: &Path,
) -> Result<(Vec<Found>, Option<u64>), SpoolError> {
    let mut found = survey(disk, dir)?;
    tidy(disk, dir)?;
    let highest = set_aside(disk, dir, damaged, &mut found)?;
    // Of a daemon that was killed between making a segment and syncing its name: what is added to
    // it would be durable, and the name not.
    disk.sync_dir(dir).map_err(failed("sync the directory", dir))?;
    Ok((found, highest))
}

fn survey(disk: &dyn Disk, dir: &Path) -> Result<Vec<Found>, SpoolError> {
    segments(disk, dir)?.into_iter().map(|first| look(disk, dir, first)).collect()
}

/// The first numbers of the segments in a directory, by their names, ascending.
pub(super) fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, SpoolError> {
    let names = disk.list(dir).map_err(failed("list", dir))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| names::parse_segment(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Opens a segment and reads its head.
pub(super) fn look(disk: &dyn Disk, dir: &Path, first: u64) -> Result<Found, SpoolError> {
    let path = dir.join(names::segment(first));
    let file = disk.open(&path, false).map_err(failed("open", &path))?;
    let len = file.size().map_err(failed("examine", &path))?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES + BLOCK_HEADER_BYTES];
    // A head that cannot be read is as good as none; one failure may pass.
    let read = (0..READ_FAILURES_MAX).find_map(|_| file.read_at(&mut bytes, 0).ok()).unwrap_or(0);
    let (header, is_bad) = match SegmentHeader::decode(&bytes[..read]) {
        SegmentHead::Known(header) if header.first == first => (header, false),
        SegmentHead::Later(found) => {
            return Err(SpoolError::LaterVersion { path, found, known: VERSION });
        }
        _ => match salvage(&bytes[..read], first) {
            Some(header) => (header, false),
            None => (SegmentHeader { first, skipped: 0, salt: 0, created_wall_ns: 0 }, true),
        },
    };
    Ok(Found { header, is_bad, path, len })
}

/// What a damaged head said, as far as the block after it tells.
fn salvage(bytes: &[u8], first: u64) -> Option<SegmentHeader> {
    let block = bytes.get(SEGMENT_HEADER_BYTES..).filter(|b| b.len() >= BLOCK_HEADER_BYTES)?;
    let block = BlockHeader::decode(block, u64_at(block, 48))?;
    (block.first >= first).then(|| SegmentHeader {
        first,
        skipped: block.skipped.saturating_sub(block.first - first),
        salt: block.salt,
        created_wall_ns: block.written_wall_ns,
    })
}

/// Moves segments with a useless head out of the log; the highest first number of these, if any.
/// What they held shows as a gap between their neighbours.
fn set_aside(
    disk: &dyn Disk,
    log_dir: &Path,
    damaged: &Path,
    found: &mut Vec<Found>,
) -> Result<Option<u64>, SpoolError> {
    let mut highest = None;
    for bad in found.iter().filter(|found| found.is_bad) {
        let to = damaged.join(names::segment(bad.header.first));
        tracing::error!(path = %bad.path.display(), kept_as = %to.display(),
            "not a segment of the spool, or its head is damaged: set aside");
        disk.create_dirs(damaged).map_err(failed("make the directory", damaged))?;
        disk.rename(&bad.path, &to).map_err(failed("set aside", &bad.path))?;
        disk.sync_dir(damaged).map_err(failed("sync the directory", damaged))?;
        disk.sync_dir(log_dir).map_err(failed("sync the directory", log_dir))?;
        highest = Some(bad.header.first);
    }
    found.retain(|found| !found.is_bad);
    Ok(highest)
}

/// Where the log ends.
#[derive(Default)]
pub(super) struct End {
    pub(super) durable: Durable,
    pub(super) mark: Option<Vec<u8>>,
    /// When the last block was written, or the segment begun.
    wall_ns: u64,
    /// None where the newest segment cannot be gone on with.
    pub(super) active: Option<SegmentFile>,
}

/// Reads the newest segment; what stands after its last valid block is torn.
pub(super) fn scan_newest(
    disk: &dyn Disk,
    newest: &mut Found,
    salt: u64,
) -> Result<(End, Option<Stretch>), SpoolError> {
    let file = disk.open(&newest.path, true).map_err(failed("open", &newest.path))?;
    let mut end = SEGMENT_HEADER_BYTES as u64;
    let mut durable = Durable { next: newest.header.first, skipped: newest.header.skipped };
    let mut mark = None;
    let mut wall_ns = newest.header.created_wall_ns;
    walk(Arc::clone(&file), newest, salt, |offset, header, body| {
        end = offset + header.len();
        durable = Durable { next: header.next(), skipped: header.skipped };
        wall_ns = header.written_wall_ns;
        if !header.mark(body).is_empty() {
            mark = Some(header.mark(body).to_vec());
        }
    })
    .map_err(failed("read", &newest.path))?;
    let torn = (newest.len > end).then(|| Stretch {
        file: Arc::clone(&file),
        path: newest.path.clone(),
        offset: end,
        len: newest.len - end,
    });
    newest.len = newest.len.min(end);
    // A head that was cut is written again with the next segment, not here.
    let is_whole = newest.len == end;
    let active = is_whole.then(|| SegmentFile { file: Arc::clone(&file), len: end });
    Ok((End { durable, mark, wall_ns, active }, torn))
}

/// The last mark in the segments before the newest. As a rule the second newest has it.
fn find_mark(disk: &dyn Disk, found: &[Found], salt: u64) -> Option<Vec<u8>> {
    for segment in found.iter().rev().skip(1) {
        let mut mark = None;
        let mut blocks = 0;
        let file = disk.open(&segment.path, false);
        let walked = file.and_then(|file| {
            walk(file, segment, salt, |_, header, body| {
                blocks += 1;
                if !header.mark(body).is_empty() {
                    mark = Some(header.mark(body).to_vec());
                }
            })
        });
        if let Err(error) = walked {
            tracing::warn!(%error, path = %segment.path.display(), "cannot read the last mark");
        }
        if blocks > 0 {
            return mark;
        }
    }
    None
}

fn walk(
    file: Arc<dyn DiskFile>,
    segment: &Found,
    salt: u64,
    mut visit: impl FnMut(u64, &BlockHeader, &[u8]),
) -> io::Result<()> {
    let mut walker = Walker::new(file, salt, segment.header.first);
    loop {
        match walker.step(segment.len, 0) {
            Ok(Step::Block { offset, header, body }) => visit(offset, &header, body),
            Ok(Step::Passed(_) | Step::Damaged { .. }) => {}
            Ok(Step::End) => return Ok(()),
            // The walker gives a place up at the third try.
            Err(_) => {}
        }
    }
}

type Cursors = BTreeMap<String, (Arc<CursorFile>, bool)>;

/// The cursors of the sinks, each with whether it was there; and the highest place of any other.
fn open_cursors(
    disk: &dyn Disk,
    dir: &Path,
    sinks: &[String],
) -> Result<(Cursors, Option<u64>), SpoolError> {
    let mut stale = None;
    for name in disk.list(dir).map_err(failed("list", dir))? {
        let Some(sink) = names::parse_cursor(&name) else { continue };
        if sinks.iter().any(|configured| configured == sink) {
            continue;
        }
        let path = dir.join(&name);
        if let Ok(Some(saved)) = CursorFile::read(disk, &path) {
            tracing::warn!(sink, next = saved.next, path = %path.display(),
                "a sink that is not configured any more: records from here on are not kept for it");
            stale = stale.max(Some(saved.next));
        }
    }
    let mut cursors = BTreeMap::new();
    for sink in sinks {
        let (cursor, was_there) = CursorFile::open(disk, dir.join(names::cursor(sink)))?;
        cursors.insert(sink.clone(), (Arc::new(cursor), was_there));
    }
    Ok((cursors, stale))
}

/// Moves cursors that are not in the log to where it begins. What is gone is counted: once for all
/// sinks what none of them had got, for each what others had.
fn settle_cursors(log: &Log, cursors: &Cursors, ledger: &Ledger) -> Result<(), SpoolError> {
    let Some(oldest) = log.oldest() else {
        // Counted as what is missing at the end of the log.
        let next = log.durable().next;
        return cursors.values().try_for_each(|(cursor, _)| cursor.advance(next));
    };
    let begin = oldest.first;
    // Of the numbers before, these at most were ever in the log.
    let ever = begin.saturating_sub(1).saturating_sub(oldest.skipped);
    let known = || cursors.iter().filter(|(_, (_, was_there))| *was_there);
    let furthest = known().map(|(_, (cursor, _))| cursor.next()).max();
    let furthest = furthest.unwrap_or(begin).min(begin);
    for (sink, (cursor, _)) in known().filter(|(_, (cursor, _))| cursor.next() < furthest) {
        let count = log.damage.uncounted(cursor.next(), furthest).min(ever);
        if count == 0 {
            continue;
        }
        tracing::error!(
            sink,
            records = count,
            "records are gone from the spool that this sink had not got"
        );
        ledger.add_durably(&[SpoolLoss {
            stage: LossStage::Damaged,
            sink: Some(sink.clone()),
            count,
            first_wall_ns: oldest.created_wall_ns,
            last_wall_ns: oldest.created_wall_ns,
        }])?;
    }
    let count = (begin - furthest).min(ever);
    report_gap(&log.damage, (furthest, begin), count, oldest.created_wall_ns, None);
    cursors.values().try_for_each(|(cursor, _)| cursor.advance(begin))
}

/// Of the numbers from `first` to the one before `next`, at most `count_max` were in the log once
/// and are not now.
fn report_gap(
    damage: &Damage,
    (first, next): (u64, u64),
    count_max: u64,
    wall_ns: u64,
    torn: Option<&Stretch>,
) {
    let count = next.saturating_sub(first).min(count_max);
    if count > 0 {
        damage.report(&Missing { first, next, count, wall_ns: (wall_ns, wall_ns) }, torn);
    }
}

/// Removes what was being made when the daemon ended; and makes the names durable that are there,
/// since the sync after the last one may have failed.
fn tidy(disk: &dyn Disk, dir: &Path) -> Result<(), SpoolError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(failed("list", dir))?,
    };
    for name in names.iter().filter(|name| names::is_temporary(name)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(failed("remove", &path))?;
    }
    disk.sync_dir(dir).map_err(failed("sync the directory", dir))
}

/// From the keys that the standard library gets from the system for its hash maps.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
