//! Reading the durable records of a log, block by block, over damage and gaps.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::damage::{Missing, Stretch};
use super::error::SpoolError;
use super::frame::{BlockHeader, Records};
use super::log::{Log, Segment};
use super::walk::{Step, Walker};

/// Some records, numbered without a gap, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Block {
    /// Shared: a block that is cut between batches is held by each of them.
    raw: Arc<Vec<u8>>,
    /// Number of the first record in `raw`.
    first: u64,
    next: u64,
    /// Records before this one were not asked for.
    from: u64,
    written_wall_ns: u64,
}

impl Block {
    pub(super) fn new(header: &BlockHeader, raw: Vec<u8>, from: u64) -> Block {
        Block {
            raw: Arc::new(raw),
            first: header.first,
            next: header.next(),
            from,
            written_wall_ns: header.written_wall_ns,
        }
    }

    /// The records with their numbers.
    pub fn records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let numbered = (self.first..self.next).zip(Records::new(&self.raw));
        numbered.skip_while(|&(number, _)| number < self.from)
    }

    /// Number of the first record.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first.max(self.from)
    }

    /// Number after the last record.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// When the block was written, nanoseconds of wall time since 1970.
    #[must_use]
    pub fn written_wall_ns(&self) -> u64 {
        self.written_wall_ns
    }
}

/// How far the numbers are accounted for.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// Number after the last one seen or counted as missing.
    next: u64,
    /// How many of the numbers before it were never in the log.
    skipped: u64,
    /// When the last block was written.
    wall_ns: u64,
}

#[derive(Debug)]
struct At {
    segment: u64,
    /// None where the file is gone.
    walker: Option<Walker>,
    account: Account,
    /// The damage since the last good block.
    damaged: Option<Stretch>,
}

/// Reads one log from a place on. Holds at most one block in memory.
#[derive(Debug)]
pub struct Reader {
    log: Arc<Log>,
    changed: watch::Receiver<u64>,
    /// Number of the next record to give out.
    position: u64,
    at: Option<At>,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>, position: u64) -> Reader {
        let changed = log.changed.clone();
        Reader { log, changed, position, at: None }
    }

    /// Number of the next record that [`Reader::next`] gives out, if it is there.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at the record `number`, or the first after it that there is.
    pub fn seek(&mut self, number: u64) {
        self.position = number;
        self.at = None;
    }

    /// The next durable block at or after the position; waits while there is none. `None` when the
    /// writer is gone and all was read. Dropping the future loses nothing. Reads files in the
    /// calling thread.
    ///
    /// # Errors
    /// When a file cannot be read: the same place is tried again by the next call, and given up as
    /// damaged by the third.
    pub async fn next(&mut self) -> Result<Option<Block>, SpoolError> {
        loop {
            // Looked at first, so that a block that comes after is not missed.
            self.changed.mark_unchanged();
            if let Some(block) = self.try_next()? {
                return Ok(Some(block));
            }
            if self.changed.changed().await.is_err() {
                return self.try_next();
            }
        }
    }

    /// The next durable block, if there is one now.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn try_next(&mut self) -> Result<Option<Block>, SpoolError> {
        let Reader { log, position, at, .. } = self;
        loop {
            let durable = log.durable();
            let Some(oldest) = log.oldest() else { return Ok(None) };
            if *position >= durable.next {
                return Ok(None);
            }
            if *position < oldest.first {
                // Removed to make room, and counted then.
                *position = oldest.first;
                *at = None;
            }
            let Some((here, segment)) = place(log, *position, at)? else { continue };
            let step = match &mut here.walker {
                None => Ok(Step::End),
                Some(walker) => walker.step(segment.durable_len, *position),
            };
            match step.map_err(|error| SpoolError::new("read", &log.path(segment.first), error))? {
                Step::Block { header, .. } | Step::Passed(header)
                    if segment.end.is_some_and(|end| header.first >= end) =>
                {
                    // Written again in the segment after this one.
                    here.walker = None;
                }
                Step::Passed(header) => here.pass(&header),
                Step::Block { offset, header, body } => match header.unpack(body) {
                    Some(raw) => {
                        let block = Block::new(&header, raw, *position);
                        let end = Account {
                            next: header.first,
                            skipped: header.skipped,
                            wall_ns: header.written_wall_ns,
                        };
                        here.report(log, *position, end);
                        here.pass(&header);
                        *position = header.next();
                        return Ok(Some(block));
                    }
                    None => here.damage(log, &segment, offset, header.len()),
                },
                Step::Damaged { offset, len } => here.damage(log, &segment, offset, len),
                Step::End => match segment.end {
                    Some(end) => {
                        // Gone when it was removed to make room: then the position is behind.
                        let Some(next) = log.segment_of(end) else { continue };
                        let (account, damaged) = (here.account, here.damaged.take());
                        *at = Some(At { account, damaged, ..open(log, &next)? });
                    }
                    None => {
                        let wall_ns = here.account.wall_ns;
                        let end = Account { next: durable.next, skipped: durable.skipped, wall_ns };
                        here.report(log, *position, end);
                        here.account = end;
                        *position = durable.next;
                    }
                },
            }
        }
    }
}

/// Where a reader at `position` is, and how far that segment may be read; none when it is gone.
fn place<'a>(
    log: &Log,
    position: u64,
    at: &'a mut Option<At>,
) -> Result<Option<(&'a mut At, Segment)>, SpoolError> {
    if at.is_none() {
        let Some(segment) = log.segment_of(position) else { return Ok(None) };
        *at = Some(open(log, &segment)?);
    }
    let segment = at.as_ref().and_then(|at| log.segment(at.segment));
    let Some(segment) = segment else {
        *at = None;
        return Ok(None);
    };
    Ok(at.as_mut().map(|at| (at, segment)))
}

fn open(log: &Log, segment: &Segment) -> Result<At, SpoolError> {
    let walker = match log.open(segment) {
        Ok(file) => Some(Walker::new(file, log.salt, segment.first)),
        // Removed by somebody: its records are missing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(SpoolError::new("open", &log.path(segment.first), error)),
    };
    let account = Account { next: segment.first, skipped: segment.skipped, wall_ns: 0 };
    Ok(At { segment: segment.id, walker, account, damaged: None })
}

impl At {
    fn pass(&mut self, header: &BlockHeader) {
        self.account = Account {
            next: header.next(),
            skipped: header.skipped,
            wall_ns: header.written_wall_ns,
        };
        self.damaged = None;
    }

    fn damage(&mut self, log: &Log, segment: &Segment, offset: u64, len: u64) {
        let Some(walker) = &self.walker else { return };
        let path = log.path(segment.first);
        match &mut self.damaged {
            Some(had) if had.path == path && had.offset + had.len == offset => had.len += len,
            Some(_) => {}
            None => {
                let file = walker.file();
                self.damaged = Some(Stretch { file, path, offset, len });
            }
        }
    }

    /// Counts what is missing between the account and `end`, except what was never in the log and
    /// what comes before `position`.
    fn report(&self, log: &Log, position: u64, end: Account) {
        let Account { next, skipped, wall_ns } = self.account;
        let skipped = end.skipped.saturating_sub(skipped);
        let missing = end.next.saturating_sub(next).saturating_sub(skipped);
        let first = next.max(position);
        let count = missing.min(end.next.saturating_sub(first));
        if count == 0 {
            return;
        }
        let since = if wall_ns == 0 { end.wall_ns } else { wall_ns };
        log.damage.report(
            &Missing {
                first,
                next: end.next,
                count,
                wall_ns: (since.min(end.wall_ns), since.max(end.wall_ns)),
            },
            self.damaged.as_ref(),
        );
    }
}
