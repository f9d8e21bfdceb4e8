//! Delivering again, while no daemon has the spool: a quarantine, or everything from a place on.

use std::path::Path;

use super::cursor::CursorFile;
use super::disk::Disk;
use super::error::{SpoolError, failed};
use super::inspect;
use super::names;
use super::quarantine::{has_segments, quarantine_directory, replay_directory};

/// Where a cursor is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this record.
    Number(u64),
    /// At the first block written at or after this moment, nanoseconds of wall time since 1970.
    WrittenSince(u64),
}

/// Moves the quarantine of a sink to where the next start delivers it from. Whether there was any.
///
/// # Errors
/// When a process has the spool, an earlier requeue is not delivered yet, or the disk refuses.
pub fn requeue_quarantined(disk: &dyn Disk, spool: &Path, sink: &str) -> Result<bool, SpoolError> {
    let _lock = lock(disk, spool, sink)?;
    let (from, to) = (quarantine_directory(spool, sink), replay_directory(spool, sink));
    if !has_segments(disk, &from)? {
        return Ok(false);
    }
    if has_segments(disk, &to)? {
        return Err(SpoolError::ReplayWaits { sink: sink.to_owned(), dir: to });
    }
    disk.create_dirs(&to).map_err(failed("make the directory", &to))?;
    // How far an earlier replay had got says nothing of this one.
    let stale = to.join(names::cursor(sink));
    match disk.remove(&stale) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SpoolError::new("remove", &stale, error));
        }
        _ => {}
    }
    for name in disk.list(&from).map_err(failed("list", &from))? {
        if names::parse_segment(&name).is_some() {
            let path = from.join(&name);
            disk.rename(&path, &to.join(&name)).map_err(failed("move", &path))?;
        }
    }
    disk.sync_dir(&to).map_err(failed("sync the directory", &to))?;
    disk.sync_dir(&from).map_err(failed("sync the directory", &from))?;
    Ok(true)
}

/// Puts the cursor of a sink to a place, within what the log still has, and returns the number of
/// the record there.
///
/// # Errors
/// When a process has the spool, the sink has no cursor in it, or the disk refuses.
pub fn set_cursor(
    disk: &dyn Disk,
    spool: &Path,
    sink: &str,
    place: Place,
) -> Result<u64, SpoolError> {
    let _lock = lock(disk, spool, sink)?;
    let path = spool.join("cursors").join(names::cursor(sink));
    match CursorFile::read(disk, &path) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(SpoolError::UnknownSink(sink.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SpoolError::UnknownSink(sink.to_owned()));
        }
        Err(error) => return Err(SpoolError::new("read", &path, error)),
    }
    let next = inspect::find(disk, spool, place)?;
    let (cursor, _) = CursorFile::open(disk, path)?;
    cursor.update(|saved| saved.next = next)?;
    Ok(next)
}

fn lock(disk: &dyn Disk, spool: &Path, sink: &str) -> Result<Box<dyn Send + Sync>, SpoolError> {
    if !names::is_sink(sink) {
        return Err(SpoolError::UnknownSink(sink.to_owned()));
    }
    // A mistyped directory must not become a spool.
    disk.list(spool).map_err(failed("list", spool))?;
    disk.lock(&spool.join("lock")).map_err(|error| SpoolError::lock(spool, error))
}
