//! Looking at pins, and removing them, without capturing.

use std::io;
use std::path::Path;

use common::decode::header;
use common::wire::RECORD_KINDS;

use super::bpffs::{self, PinError};
use super::fresh::boot_now_ns;
use super::left_out::Telling;
use super::loss::{Lost, Reading};
use super::pins::PinSet;
use super::source::Source;
use super::{CaptureError, possible_cpus, privileges};

/// What is pinned.
#[derive(Debug)]
pub struct Pinned {
    /// Sets of programs, each with its ring. More than one while a version replaces another.
    pub sets: usize,
    /// How many of them are attached.
    pub live: usize,
    /// The process that reads them, where there is one and the system names it.
    pub process: Option<u32>,
}

/// What was in the pins that were removed.
#[derive(Debug, Default)]
pub struct Unpinned {
    /// Sets that were removed.
    pub sets: usize,
    /// Records in the rings, by kind. Those of the last moments before the last run was killed may
    /// be in its spool.
    pub unread: [u64; RECORD_KINDS],
    /// Records of a kind or version that this program does not know.
    pub unknown: u64,
    /// What was lost before and was not reported yet.
    pub lost: Vec<Lost>,
    /// What was left out before, as configured, and was not told yet.
    pub left_out: u64,
    /// Rings that could not be read, and why.
    pub unreadable: Vec<String>,
}

/// What is pinned in this directory; `None` when nothing is.
#[must_use]
pub fn pinned(pin_dir: &Path) -> Option<Pinned> {
    let sets = PinSet::present(pin_dir);
    (!sets.is_empty()).then(|| Pinned {
        sets: sets.len(),
        live: sets.iter().filter(|set| set.is_live()).count(),
        process: bpffs::locked_by(pin_dir),
    })
}

/// Detaches what is pinned in this directory and removes it. What was not read is counted and gone.
///
/// # Errors
/// A daemon uses it, or the system refuses.
pub fn unpin(pin_dir: &Path) -> Result<Unpinned, CaptureError> {
    if let Some(missing) = privileges::missing() {
        return Err(CaptureError::NotPermitted(missing));
    }
    let mut removed = Unpinned::default();
    let lock = match bpffs::lock(pin_dir) {
        Err(PinError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(removed);
        }
        other => other?,
    };
    let cpus = possible_cpus()?;
    for mut set in PinSet::all(pin_dir)? {
        set.detach()?;
        match Source::adopt(&set, cpus) {
            Ok(source) => count(source, &mut removed)?,
            Err(error) => removed.unreadable.push(error.to_string()),
        }
        set.remove()?;
        removed.sets += 1;
    }
    // Somebody else's files, or a mount point: not ours to remove.
    let _ = std::fs::remove_dir(pin_dir);
    drop(lock);
    Ok(removed)
}

fn count(mut source: Source, removed: &mut Unpinned) -> Result<(), CaptureError> {
    while let Some((record, _)) = source.next() {
        let kind = header(record).map(|header| header.kind as usize);
        match kind.and_then(|kind| removed.unread.get_mut(kind)) {
            Some(count) => *count += 1,
            None => removed.unknown += 1,
        }
    }
    let now = boot_now_ns();
    let left_out = source.left_out(now, Telling::Last)?;
    removed.left_out += left_out.iter().map(|each| each.count).sum::<u64>();
    removed.lost.extend(source.losses(now, Reading::Settled)?);
    Ok(())
}
