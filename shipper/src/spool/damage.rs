//! Damaged stretches of the log: counted once, their bytes kept for whoever looks into it.
//!
//! `DIR/damaged/<first>-<last>.bin` holds what stood where the records of these numbers should
//! have been. The file is the mark that their loss is in the ledger already: another sink that
//! comes by, or the next start, does not count them again. Without room the file is empty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{self, Disk, DiskFile};
use super::ledger::{Ledger, LossStage, SpoolLoss};
use super::{locked, names};

/// Most bytes kept, of all stretches together.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// Most files kept; beyond, the oldest of numbers that left the log go at the next start.
const KEPT_FILES_MAX: usize = 1024;

/// Numbers that are missing from a log.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    /// First number.
    pub(super) first: u64,
    /// Number after the last.
    pub(super) next: u64,
    /// How many of them were in the log once.
    pub(super) count: u64,
    /// When the record before and the one after were written.
    pub(super) wall_ns: (u64, u64),
}

/// Where the bytes stand.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// What is known of the damage in one log.
#[derive(Debug)]
pub(super) struct Damage {
    disk: Arc<dyn Disk>,
    /// None keeps no bytes and no marks: what is lost is counted again after a restart.
    dir: Option<PathBuf>,
    /// The only sink that reads this log.
    sink: Option<String>,
    ledger: Arc<Ledger>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Numbers counted: the one after the last, by the first. No two touch.
    ranges: BTreeMap<u64, u64>,
    kept_bytes: u64,
}

impl Known {
    /// How many numbers of a range are counted already.
    fn covered(&self, first: u64, next: u64) -> u64 {
        let ranges = self.ranges.range(..next);
        ranges.map(|(&from, &to)| to.min(next).saturating_sub(from.max(first))).sum()
    }

    fn add(&mut self, mut first: u64, mut next: u64) {
        while let Some((&from, &to)) = self.ranges.range(..=next).next_back()
            && to >= first
        {
            self.ranges.remove(&from);
            first = first.min(from);
            next = next.max(to);
        }
        self.ranges.insert(first, next);
    }
}

impl Damage {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: Option<PathBuf>,
        sink: Option<String>,
        ledger: Arc<Ledger>,
    ) -> Damage {
        Damage { disk, dir, sink, ledger, known: Mutex::default() }
    }

    /// Reads the marks of earlier runs, and returns the number after the highest that they speak of.
    /// Removes the oldest beyond the limit, whose numbers come before `oldest`, the first of the log.
    pub(super) fn load(&self, oldest: u64) -> u64 {
        let Some(dir) = &self.dir else { return 1 };
        let mut marks: Vec<(u64, u64, String)> = disk::list_if_there(&*self.disk, dir)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|name| names::parse_mark(&name).map(|(first, last)| (first, last, name)))
            .collect();
        marks.sort();
        let excess = marks.len().saturating_sub(KEPT_FILES_MAX);
        let known = &mut *locked(&self.known);
        for (at, (first, last, name)) in marks.into_iter().enumerate() {
            let path = dir.join(name);
            if at < excess && last < oldest && self.disk.remove(&path).is_ok() {
                continue;
            }
            known.add(first, last.saturating_add(1));
            let len = self.disk.open(&path, false).and_then(|file| file.size());
            known.kept_bytes = known.kept_bytes.saturating_add(len.unwrap_or(0));
        }
        known.ranges.values().copied().max().unwrap_or(1)
    }

    /// How many of these numbers were not counted yet.
    pub(super) fn uncounted(&self, first: u64, next: u64) -> u64 {
        (next - first).saturating_sub(locked(&self.known).covered(first, next))
    }

    /// Counts missing numbers, except those that were counted before, and keeps the bytes.
    pub(super) fn report(&self, missing: &Missing, stretch: Option<&Stretch>) {
        let known = &mut *locked(&self.known);
        let covered = known.covered(missing.first, missing.next);
        let uncovered = (missing.next - missing.first).saturating_sub(covered);
        let count = missing.count.min(uncovered);
        if count == 0 {
            return;
        }
        known.add(missing.first, missing.next);
        self.ledger.add(SpoolLoss {
            stage: LossStage::Damaged,
            sink: self.sink.clone(),
            count,
            first_wall_ns: missing.wall_ns.0,
            last_wall_ns: missing.wall_ns.1,
        });
        tracing::error!(
            records = count,
            first = missing.first,
            last = missing.next - 1,
            path = stretch.map(|stretch| tracing::field::display(stretch.path.display())),
            offset = stretch.map(|stretch| stretch.offset),
            "the spool is damaged: these records are lost"
        );
        // The count must be safe before the mark says so. Where that fails the next start counts
        // once more: twice is better than never.
        if let Err(error) = self.ledger.store(None, true) {
            tracing::warn!(%error, "the loss is not stored yet");
            return;
        }
        if let Some(dir) = &self.dir {
            known.kept_bytes += self.keep(dir, missing, stretch, known.kept_bytes);
        }
    }

    /// Writes the mark, with the bytes if they have room, and returns how many these are.
    fn keep(&self, dir: &Path, missing: &Missing, stretch: Option<&Stretch>, kept: u64) -> u64 {
        let path = dir.join(names::mark(missing.first, missing.next - 1));
        let bytes = stretch.map_or_else(Vec::new, |stretch| self.bytes_of(stretch, kept));
        let written =
            self.disk.create_dirs(dir).and_then(|()| disk::write_whole(&*self.disk, &path, &bytes));
        match written {
            Ok(()) => bytes.len() as u64,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error,
                    "cannot keep the damaged bytes: the next start will count them again");
                0
            }
        }
    }

    fn bytes_of(&self, stretch: &Stretch, kept: u64) -> Vec<u8> {
        let room = KEPT_BYTES_MAX.saturating_sub(kept);
        let mut bytes = vec![0; stretch.len.min(room) as usize];
        // What the disk does not give cannot be kept.
        let read = stretch.file.read_at(&mut bytes, stretch.offset).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }
}
