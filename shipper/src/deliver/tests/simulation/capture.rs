//! What stands for the thread that reads the ring: it puts records into the spool, and knows which
//! record has which number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{self, Key, REPORTS};
use crate::event::{Event, Loss, LossKind, LossStage, WallTime, codec};
use crate::spool::{self, Now, RECORD_BYTES_MAX, Writer, Wrote};

/// What a loss report claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub stage: LossStage,
    pub sink: Option<String>,
    pub count: u64,
}

/// The ring, and what became of its records.
#[derive(Default)]
pub struct Ring {
    /// Which ring it is: a machine that lost power has another one.
    id: u64,
    /// The number of the last record that was read.
    pub read: Arc<AtomicU64>,
    /// The kernel may forget up to here.
    released: Key,
    /// The last report.
    reports: u64,
    /// What is in the log or was, by the numbers there.
    pub log: BTreeMap<u64, (Key, Option<Claim>)>,
    /// The number of the next record in the log.
    pub next: u64,
    /// Dropped or too large, and counted.
    pub dropped: u64,
    /// The same, perhaps: the daemon was gone before it was told.
    pub perhaps_dropped: u64,
    /// In the open block.
    open: Vec<(Key, Option<Claim>)>,
    too_large: u64,
}

impl Ring {
    fn last_read(&self) -> Key {
        self.read.load(Ordering::Relaxed)
    }

    /// A daemon begins. `was_killed`: what the one before wrote must be there; `is_kept`: the ring
    /// goes on.
    pub fn resume(&mut self, writer: &Writer, was_killed: bool, is_kept: bool) {
        let durable = writer.durable();
        // Whether the last write made it, of which nobody was told.
        let open = std::mem::take(&mut self.open);
        let too_large = std::mem::take(&mut self.too_large);
        self.perhaps_dropped += too_large;
        if !open.is_empty() && durable >= self.next + too_large + open.len() as u64 - 1 {
            self.log.extend((self.next + too_large..).zip(open));
        } else {
            self.perhaps_dropped += open.len() as u64;
        }
        let gone = self.log.split_off(&(durable + 1));
        assert!(!was_killed || gone.is_empty(), "written and gone: {gone:?}");
        self.next = durable + 1;
        if is_kept {
            let mark = writer.last_mark().map(|mark| mark.as_chunks::<8>().0.iter());
            let mark = mark.map(|words| words.map(|word| u64::from_be_bytes(*word)));
            let words: Vec<u64> = mark.into_iter().flatten().collect();
            let marked = if let [id, at] = words[..]
                && id == self.id
            {
                at
            } else {
                0
            };
            self.released = self.released.max(marked);
            self.read.store(self.released, Ordering::Relaxed);
        } else {
            self.id += 1;
            self.released = self.last_read();
        }
    }

    /// Reads so many records into the open block, as far as that goes.
    pub fn append(&mut self, writer: &mut Writer, count: u64) {
        for _ in 0..count {
            if writer.is_block_full() {
                return;
            }
            let key = self.last_read() + 1;
            self.read.store(key, Ordering::Relaxed);
            writer.append(&record::bytes(key));
            self.open.push((key, None));
        }
    }

    pub fn append_too_large(&mut self, writer: &mut Writer) {
        let key = self.last_read() + 1;
        self.read.store(key, Ordering::Relaxed);
        writer.append(&vec![0; RECORD_BYTES_MAX + 1]);
        self.too_large += 1;
    }

    /// Reports what was lost.
    pub fn report(&mut self, writer: &mut Writer) {
        for loss in writer.take_losses() {
            let stage = match loss.stage {
                spool::LossStage::Full => LossStage::SpoolFull,
                spool::LossStage::Damaged => LossStage::SpoolDamaged,
                spool::LossStage::TooLarge => LossStage::TooLarge,
                spool::LossStage::Quarantined => LossStage::Quarantined,
            };
            self.put(writer, Claim { stage, sink: loss.sink, count: loss.count });
        }
    }

    fn put(&mut self, writer: &mut Writer, claim: Claim) {
        tracing::debug!(?claim, "reported");
        self.reports += 1;
        let key = REPORTS + self.reports;
        let Claim { stage, sink, count } = claim.clone();
        let loss = Loss {
            id: record::id(key),
            time: WallTime(0),
            host: record::host(),
            stage,
            kind: LossKind::Record,
            sink,
            cgroup: None,
            rule: None,
            count,
            first: WallTime(0),
            last: WallTime(0),
        };
        let mut bytes = Vec::new();
        codec::encode(&Event::Loss(loss), &mut bytes);
        writer.append(&bytes);
        self.open.push((key, Some(claim)));
    }

    /// Whether the spool took what was read.
    pub fn write(&mut self, writer: &mut Writer, now: Now, is_stopped: impl Fn() -> bool) -> bool {
        let mark = [self.id.to_be_bytes(), self.last_read().to_be_bytes()].concat();
        let wrote = writer.write(&mark, now);
        tracing::debug!(open = self.open.len(), next = self.next, ?wrote, "wrote");
        if is_stopped() {
            // Whatever it says is said by a daemon that is gone.
            return false;
        }
        self.count_too_large();
        let open = std::mem::take(&mut self.open);
        match wrote {
            Wrote::Done => self.log.extend((self.next..).zip(open.clone())),
            Wrote::Dropped { records } => {
                assert_eq!(records, open.len() as u64);
                self.dropped += records;
            }
            Wrote::Full { .. } => {
                self.open = open;
                return false;
            }
        }
        self.next += open.len() as u64;
        self.released = self.last_read();
        true
    }

    pub fn tick(&mut self, writer: &mut Writer, now: Now) {
        writer.tick(now);
        self.count_too_large();
    }

    /// What was dropped may not be counted in the next life.
    pub fn forget_dropped(&mut self) {
        self.perhaps_dropped += std::mem::take(&mut self.dropped);
    }

    fn count_too_large(&mut self) {
        let count = std::mem::take(&mut self.too_large);
        self.next += count;
        self.dropped += count;
    }
}
