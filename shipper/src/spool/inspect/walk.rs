//! Walking a log to the end: what is intact, what is damaged.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spool::disk::Disk;
use crate::spool::error::SpoolError;
use crate::spool::frame::BlockHeader;
use crate::spool::open::Found;
use crate::spool::reader::Block;
use crate::spool::walk::{Step, Walker};

/// A part of a log.
#[derive(Clone, Debug)]
pub enum Piece {
    /// An intact block.
    Block {
        /// Its records.
        block: Block,
        /// Its bytes in the file.
        bytes: u64,
    },
    /// Bytes that are no block, or a segment that is not there.
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// How many bytes.
        bytes: u64,
        /// How many records are missing.
        missing: u64,
    },
    /// The end of the last segment, as a crash leaves it, or a daemon that is writing.
    Torn {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// How many bytes.
        bytes: u64,
    },
}

/// Walks a log from the record `from` on: all its blocks, and what is damaged between them.
///
/// # Errors
/// When there is no such log, a later version wrote it, or it cannot be read.
pub fn walk(disk: &Arc<dyn Disk>, log_dir: &Path, from: u64) -> Result<Walk, SpoolError> {
    let mut segments: VecDeque<Found> = super::segments(&**disk, log_dir)?.into();
    while segments.get(1).is_some_and(|after| after.header.first <= from) {
        segments.pop_front();
    }
    let oldest = segments.front();
    let salt = segments.iter().find(|s| !s.is_bad).map_or(0, |found| found.header.salt);
    let account = (
        oldest.map_or(1, |found| found.header.first),
        oldest.map_or(0, |found| found.header.skipped),
    );
    let disk = Arc::clone(disk);
    Ok(Walk { disk, segments, salt, from, walker: None, account, damaged: None, ready: None })
}

/// See [`walk`].
#[derive(Debug)]
pub struct Walk {
    disk: Arc<dyn Disk>,
    /// Not yet walked; the first is being walked.
    segments: VecDeque<Found>,
    salt: u64,
    from: u64,
    walker: Option<Walker>,
    /// Number after the last block, and how many before it were never in the log.
    account: (u64, u64),
    /// Since the last block: where, and how many bytes.
    damaged: Option<(PathBuf, u64, u64)>,
    /// Comes after a damaged piece.
    ready: Option<Piece>,
}

impl Iterator for Walk {
    type Item = Result<Piece, SpoolError>;

    fn next(&mut self) -> Option<Result<Piece, SpoolError>> {
        if let Some(piece) = self.ready.take() {
            return Some(Ok(piece));
        }
        loop {
            let Some(segment) = self.segments.front() else {
                let (path, offset, bytes) = self.damaged.take()?;
                return Some(Ok(Piece::Torn { path, offset, bytes }));
            };
            let end = self.segments.get(1).map(|after| after.header.first);
            if segment.is_bad {
                self.damaged.get_or_insert((segment.path.clone(), 0, segment.len));
                self.segments.pop_front();
                continue;
            }
            let walker = match &mut self.walker {
                Some(walker) => walker,
                none => match self.disk.open(&segment.path, false) {
                    Ok(file) => none.insert(Walker::new(file, self.salt, segment.header.first)),
                    // Delivered and removed meanwhile, which is no loss.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.segments.pop_front();
                        if let Some(next) = self.segments.front() {
                            self.account = (next.header.first, next.header.skipped);
                        }
                        continue;
                    }
                    Err(error) => {
                        let error = SpoolError::new("open", &segment.path, error);
                        self.segments.pop_front();
                        return Some(Err(error));
                    }
                },
            };
            match walker.step(segment.len, self.from) {
                Err(error) => {
                    return Some(Err(SpoolError::new("read", &segment.path, error)));
                }
                Ok(Step::Block { header, .. } | Step::Passed(header))
                    if end.is_some_and(|end| header.first >= end) =>
                {
                    self.walker = None;
                    self.segments.pop_front();
                }
                Ok(Step::Passed(header)) => {
                    self.account = (header.next(), header.skipped);
                    self.damaged = None;
                }
                Ok(Step::Block { offset, header, body }) => match header.unpack(body) {
                    Some(raw) => {
                        let block = Block::new(&header, raw, self.from);
                        let piece = Piece::Block { block, bytes: header.len() };
                        let path = segment.path.clone();
                        return Some(Ok(self.after_gap(&header, piece, (path, offset))));
                    }
                    None => add(&mut self.damaged, &segment.path, offset, header.len()),
                },
                Ok(Step::Damaged { offset, len }) => {
                    add(&mut self.damaged, &segment.path, offset, len);
                }
                Ok(Step::End) => {
                    self.walker = None;
                    self.segments.pop_front();
                }
            }
        }
    }
}

impl Walk {
    /// A block; first what is missing before it, if anything is.
    fn after_gap(&mut self, header: &BlockHeader, block: Piece, here: (PathBuf, u64)) -> Piece {
        let (next, skipped) = self.account;
        let missing = header
            .first
            .saturating_sub(next)
            .saturating_sub(header.skipped.saturating_sub(skipped))
            .min(header.first.saturating_sub(self.from.max(next)));
        self.account = (header.next(), header.skipped);
        let damaged = self.damaged.take();
        if missing == 0 {
            // What was written again elsewhere is no damage.
            return block;
        }
        let (path, offset, bytes) = damaged.unwrap_or((here.0, here.1, 0));
        self.ready = Some(block);
        Piece::Damaged { path, offset, bytes, missing }
    }
}

fn add(damaged: &mut Option<(PathBuf, u64, u64)>, path: &Path, offset: u64, len: u64) {
    match damaged {
        Some((had, at, bytes)) if had == path && *at + *bytes == offset => *bytes += len,
        Some(_) => {}
        None => *damaged = Some((path.to_owned(), offset, len)),
    }
}
