//! Losses that are not yet reported in the log itself, kept on disk so that a killed daemon does
//! not forget them: `DIR/losses`.
//!
//! A loss is pending until the writer's caller takes it to put it into the stream; taken until the
//! block that reports it is durable. The number of that block is stored before it is written, so
//! that the next start knows whether it made it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::disk::Disk;
use super::error::{SpoolError, failed};
use super::frame::u64_at;
use super::locked;
use super::slots::{self, Slots};

/// Room for more entries than there can be sinks.
const SLOT_BYTES: usize = 64 << 10;

/// Where records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossStage {
    /// There was no room in the spool.
    Full,
    /// They could not be read from the spool any more.
    Damaged,
    /// A record was longer than [`super::RECORD_BYTES_MAX`].
    TooLarge,
    /// A sink refused them, and they are in its quarantine.
    Quarantined,
}

/// Records that the spool lost, to be reported in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolLoss {
    /// Where.
    pub stage: LossStage,
    /// The only sink that lost them; none is all.
    pub sink: Option<String>,
    /// Records.
    pub count: u64,
    /// Not before this moment, nanoseconds of wall time since 1970.
    pub first_wall_ns: u64,
    /// Not after this moment.
    pub last_wall_ns: u64,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<SpoolLoss>,
    taken: Vec<SpoolLoss>,
    /// Number of the last record of the block that reports `taken`; 0 while it has none.
    taken_upto: u64,
    /// Whether that block is in the segment file.
    is_taken_written: bool,
    /// Number after the last durable record, as of the last store.
    durable_next: u64,
    is_dirty: bool,
}

/// The losses, shared by writer and readers.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    inner: Mutex<(Slots, State)>,
}

impl Ledger {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Ledger, SpoolError> {
        let lost = "losses that were not reported in the stream yet may never be";
        let (slots, payload) =
            Slots::open(disk, path, SLOT_BYTES, lost).map_err(failed("open", path))?;
        let state = payload.and_then(|payload| State::decode(&payload)).unwrap_or_default();
        Ok(Ledger { path: path.to_owned(), inner: Mutex::new((slots, state)) })
    }

    /// Number after the last record that was durable when the ledger was last stored: records up
    /// to there were in the log once.
    pub(super) fn durable_next(&self) -> u64 {
        locked(&self.inner).1.durable_next
    }

    /// At open, with the log read up to the record before `next`: what was taken and is not in the
    /// log is pending again.
    pub(super) fn settle(&self, next: u64) {
        let (_, state) = &mut *locked(&self.inner);
        let taken = std::mem::take(&mut state.taken);
        if state.taken_upto == 0 || state.taken_upto >= next {
            taken.into_iter().for_each(|loss| merge(&mut state.pending, loss));
        }
        state.taken_upto = 0;
        state.is_taken_written = false;
        state.is_dirty = true;
    }

    /// Adds a loss, in memory.
    pub(super) fn add(&self, loss: SpoolLoss) {
        let (_, state) = &mut *locked(&self.inner);
        merge(&mut state.pending, loss);
        state.is_dirty = true;
    }

    /// Adds losses, durably or not at all.
    pub(super) fn add_durably(&self, losses: &[SpoolLoss]) -> Result<(), SpoolError> {
        let (slots, state) = &mut *locked(&self.inner);
        let before = state.pending.clone();
        losses.iter().for_each(|loss| merge(&mut state.pending, loss.clone()));
        state.is_dirty = true;
        store(slots, state, true).map_err(failed("write", &self.path)).inspect_err(|_| {
            state.pending = before;
            state.is_dirty = true;
        })
    }

    /// Writes what changed, so that it outlives the daemon; with `sync` also the machine.
    pub(super) fn store(&self, durable_next: Option<u64>, sync: bool) -> Result<(), SpoolError> {
        let (slots, state) = &mut *locked(&self.inner);
        if let Some(next) = durable_next
            && next != state.durable_next
        {
            state.durable_next = next;
            state.is_dirty = true;
        }
        store(slots, state, sync).map_err(failed("write", &self.path))
    }

    /// Whether something waits to be written.
    pub(super) fn is_dirty(&self) -> bool {
        locked(&self.inner).1.is_dirty
    }

    /// The pending losses, which become taken. None while earlier ones are still on their way.
    pub(super) fn take(&self) -> Vec<SpoolLoss> {
        let (_, state) = &mut *locked(&self.inner);
        if !state.taken.is_empty() {
            return Vec::new();
        }
        state.taken = std::mem::take(&mut state.pending);
        state.taken_upto = 0;
        state.is_taken_written = false;
        state.is_dirty |= !state.taken.is_empty();
        state.taken.clone()
    }

    /// A block is about to be written whose last record is `last`: it reports what was taken.
    pub(super) fn writing(&self, last: u64) -> io::Result<()> {
        let (slots, state) = &mut *locked(&self.inner);
        if state.taken.is_empty() || state.is_taken_written {
            return Ok(());
        }
        state.taken_upto = last;
        state.is_dirty = true;
        store(slots, state, true)
    }

    /// That block is written.
    pub(super) fn written(&self) {
        let (_, state) = &mut *locked(&self.inner);
        state.is_taken_written = !state.taken.is_empty();
    }

    /// That block was dropped: what it reported is pending again.
    pub(super) fn dropped(&self) {
        let (_, state) = &mut *locked(&self.inner);
        if !state.is_taken_written {
            let taken = std::mem::take(&mut state.taken);
            state.is_dirty |= !taken.is_empty();
            taken.into_iter().for_each(|loss| merge(&mut state.pending, loss));
            state.taken_upto = 0;
        }
    }

    /// All up to `durable` is durable: what was reported there is done.
    pub(super) fn is_durable(&self, durable: u64) {
        let (_, state) = &mut *locked(&self.inner);
        if state.is_taken_written && durable >= state.taken_upto {
            state.taken.clear();
            state.taken_upto = 0;
            state.is_taken_written = false;
            state.is_dirty = true;
        }
    }
}

/// The losses not yet reported, as they stand on disk.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<SpoolLoss>> {
    let payload = slots::read(disk, path, SLOT_BYTES)?;
    let mut state = payload.and_then(|payload| State::decode(&payload)).unwrap_or_default();
    state.taken.into_iter().for_each(|loss| merge(&mut state.pending, loss));
    Ok(state.pending)
}

fn store(slots: &mut Slots, state: &mut State, sync: bool) -> io::Result<()> {
    if state.is_dirty {
        slots.write(&state.encode())?;
        state.is_dirty = false;
    }
    if sync {
        slots.sync().inspect_err(|_| state.is_dirty = true)?;
    }
    Ok(())
}

fn merge(losses: &mut Vec<SpoolLoss>, loss: SpoolLoss) {
    match losses.iter_mut().find(|had| had.stage == loss.stage && had.sink == loss.sink) {
        Some(had) => {
            had.count = had.count.saturating_add(loss.count);
            had.first_wall_ns = had.first_wall_ns.min(loss.first_wall_ns);
            had.last_wall_ns = had.last_wall_ns.max(loss.last_wall_ns);
        }
        None => losses.push(loss),
    }
}

impl State {
    /// durable_next u64, taken_upto u64, then pending and taken: number of entries u16, each
    /// stage u8, length of the sink's name u8 (0 is all), name, count, first and last time u64.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.durable_next.to_le_bytes());
        out.extend_from_slice(&self.taken_upto.to_le_bytes());
        for losses in [&self.pending, &self.taken] {
            out.extend_from_slice(&(losses.len() as u16).to_le_bytes());
            for loss in losses {
                let sink = loss.sink.as_deref().unwrap_or_default();
                out.extend_from_slice(&[stage_number(loss.stage), sink.len() as u8]);
                out.extend_from_slice(sink.as_bytes());
                for number in [loss.count, loss.first_wall_ns, loss.last_wall_ns] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<State> {
        let (head, mut rest) = bytes.split_at_checked(16)?;
        let mut lists = [Vec::new(), Vec::new()];
        for list in &mut lists {
            let (count, after) = rest.split_at_checked(2)?;
            rest = after;
            for _ in 0..u16::from_le_bytes([count[0], count[1]]) {
                let (kind, after) = rest.split_at_checked(2)?;
                let (sink, after) = after.split_at_checked(usize::from(kind[1]))?;
                let (numbers, after) = after.split_at_checked(24)?;
                rest = after;
                let sink = std::str::from_utf8(sink).ok()?;
                list.push(SpoolLoss {
                    stage: stage_of(kind[0])?,
                    sink: (!sink.is_empty()).then(|| sink.to_owned()),
                    count: u64_at(numbers, 0),
                    first_wall_ns: u64_at(numbers, 8),
                    last_wall_ns: u64_at(numbers, 16),
                });
            }
        }
        let [pending, taken] = lists;
        Some(State {
            pending,
            taken,
            durable_next: u64_at(head, 0),
            taken_upto: u64_at(head, 8),
            ..State::default()
        })
    }
}

fn stage_number(stage: LossStage) -> u8 {
    match stage {
        LossStage::Full => 1,
        LossStage::Damaged => 2,
        LossStage::TooLarge => 3,
        LossStage::Quarantined => 4,
    }
}

fn stage_of(number: u8) -> Option<LossStage> {
    [LossStage::Full, LossStage::Damaged, LossStage::TooLarge, LossStage::Quarantined]
        .into_iter()
        .find(|&stage| stage_number(stage) == number)
}
