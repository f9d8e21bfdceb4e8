//! One set of kernel programs at work: the ring they fill, their counters, and the account of what
//! was read from there and what was lost.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use aya::maps::MapData;
use aya::programs::ProgramFd;
use common::decode::header;
use common::wire::{RECORD_KINDS, RecordKind, WIRE_VERSION};

use super::CaptureError;
use super::bpffs::PinError;
use super::counters::Counters;
use super::left_out::{Account, LEFT_OUT_COUNTERS, LeftOut, Telling};
use super::load;
use super::loss::{Gap, Lost, LostStage, Reading, Sequences};
use super::mark::{Mark, ring_identity};
use super::pins::PinSet;
use super::ring::Ring;
use super::state::State;

/// Words of [`Source::save`] before those of the numbers.
const OWN_WORDS: usize = 2 + 2 * RECORD_KINDS + LEFT_OUT_COUNTERS;

/// A ring with its counters and its account.
pub struct Source {
    ring: Ring,
    identity: u64,
    /// Nothing when another version made them: what it counted cannot be read.
    counters: Option<Counters>,
    sequences: Sequences,
    /// The kernel's count of records that did not fit, as far as it was reported, by kind.
    ring_full_reported: [u64; RECORD_KINDS],
    programs: Vec<(RecordKind, ProgramFd)>,
    /// The kernel's count of runs it skipped, as far as it was reported, by kind.
    misses_reported: [u64; RECORD_KINDS],
    /// What the programs left out; nothing when another version made them.
    left_out: Option<Account>,
    begun_boot_ns: u64,
    accounted_boot_ns: u64,
    /// Where the account is kept beside a pinned ring.
    state: Option<State>,
}

impl Source {
    /// Over the maps of programs that were just loaded, for CPUs `0..cpus`.
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn new(
        ring: &MapData,
        counters: Option<MapData>,
        cpus: u32,
        begun_boot_ns: u64,
    ) -> Result<Source, CaptureError> {
        let error = |error: String| CaptureError::Ring(error);
        let info = ring.info().map_err(|failed| error(failed.to_string()))?;
        let fd: OwnedFd = ring
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|failed| error(format!("its descriptor cannot be copied: {failed}")))?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|failed| error(format!("the boot id cannot be read: {failed}")))?;
        Ok(Source {
            ring: Ring::map(fd, info.max_entries() as usize)?,
            identity: ring_identity(&boot_id, info.id()),
            counters: counters.map(Counters::new).transpose()?,
            sequences: Sequences::new(cpus as usize, begun_boot_ns),
            ring_full_reported: [0; RECORD_KINDS],
            programs: Vec::new(),
            misses_reported: [0; RECORD_KINDS],
            left_out: None,
            begun_boot_ns,
            accounted_boot_ns: begun_boot_ns,
            state: None,
        })
    }

    /// Over pins that an earlier process left, as that process left them. Of another version's pins
    /// the ring alone can be read.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn adopt(set: &PinSet, cpus: u32) -> Result<Source, CaptureError> {
        let open = |name: &str| {
            let path = set.dir().join(name);
            MapData::from_pin(&path)
                .map_err(|error| PinError::on("opening", &path)(std::io::Error::other(error)))
        };
        let ring = open("ring")?;
        if !set.is_of_this_version() {
            tracing::warn!("another version filled the old ring: what it had lost is not known");
            return Source::new(&ring, None, cpus, 0);
        }
        let state = State::open(&set.dir().join("state"), words_count(cpus))?;
        let mut source = Source::new(&ring, Some(open("counters")?), cpus, 0)?;
        source.watch(load::pinned_programs(set.dir())?);
        let words = state.load();
        let accounted_boot_ns = words[1];
        let mut left_out = Account::new(open("left-out")?, open("limits")?, accounted_boot_ns)?;
        left_out.take_over()?;
        source.account_for(left_out);
        source.restore(&words);
        source.state = Some(state);
        Ok(source)
    }

    /// Keeps the account beside the ring from now on, pinned in this directory.
    ///
    /// # Errors
    /// It cannot be.
    pub fn keep_state(&mut self, dir: &Path, cpus: u32) -> Result<(), PinError> {
        self.state = Some(State::create(&dir.join("state"), words_count(cpus))?);
        self.save();
        Ok(())
    }

    /// More programs whose skipped runs are to be counted.
    pub fn watch(&mut self, programs: Vec<(RecordKind, ProgramFd)>) {
        self.programs.extend(programs);
    }

    /// What its programs leave out is to be told too.
    pub fn account_for(&mut self, left_out: Account) {
        self.left_out = Some(left_out);
    }

    /// When its programs were attached, nanoseconds since boot.
    #[must_use]
    pub fn begun_boot_ns(&self) -> u64 {
        self.begun_boot_ns
    }

    /// The ring, to be looked at without an account.
    pub fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// Waits until there may be something to read, at most this long.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        self.ring.wait(limit)
    }

    /// The next record, taken into the account, and how many executions are known to be lost by then.
    /// What makes no sense is left behind with all that follows it, and shows in the numbers as lost.
    pub fn next(&mut self) -> Option<(&[u8], u64)> {
        match self.ring.next() {
            Ok(Some(record)) => {
                note(&mut self.sequences, record);
                Some((record, execs_lost(&self.sequences, &self.misses_reported)))
            }
            Ok(None) => None,
            Err(damaged) => {
                tracing::error!("{damaged}; what is in the ring is lost, and will be counted");
                None
            }
        }
    }

    /// Gives room back to the kernel: of everything read so far, or of what lies before the record that
    /// begins at `kept`.
    pub fn release(&mut self, kept: Option<u64>) {
        // First the account: a reader that finds it newer than the ring meets records again that are
        // in it already, and takes no notice. The other way around there would be a gap. So what is
        // kept may be in the account.
        self.save();
        self.ring.release(kept);
    }

    /// How many records are known to be lost that tell of an execution.
    #[must_use]
    pub fn execs_lost(&self) -> u64 {
        execs_lost(&self.sequences, &self.misses_reported)
    }

    /// Where the next record begins: everything before was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.ring.position()
    }

    /// What was read before this mark was made, if it is of this ring, is passed over, and each record
    /// of it shown to `passed`. Never goes back, nor beyond what is there.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn resume(
        &mut self,
        mark: &Mark,
        mut passed: impl FnMut(&[u8]),
    ) -> Result<(), CaptureError> {
        while self.ring.position() < mark.position
            && let Some((record, _)) = self.next()
        {
            passed(record);
        }
        let more = self.sequences.already_reported(mark.reported);
        if let Some(counters) = &self.counters {
            let full = counters.counted()?.ring_full;
            for (kind, &count) in more.iter().enumerate() {
                self.take_ring_full(full, kind, count);
            }
        }
        for (own, marked) in self.misses_reported.iter_mut().zip(mark.misses_reported) {
            *own = marked.max(*own);
        }
        self.already_told(mark.left_out_told);
        Ok(())
    }

    /// Of so many lost records of a kind, how many did not fit into the ring; they count as reported.
    /// The kernel counts what did not fit, and what is missing beyond that failed before.
    fn take_ring_full(&mut self, full: [u64; RECORD_KINDS], kind: usize, count: u64) -> u64 {
        let reported = &mut self.ring_full_reported[kind];
        let taken = full[kind].saturating_sub(*reported).min(count);
        *reported += taken;
        taken
    }

    fn save(&mut self) {
        let Some(state) = &mut self.state else { return };
        let own = [self.begun_boot_ns, self.accounted_boot_ns]
            .into_iter()
            .chain(self.ring_full_reported)
            .chain(self.misses_reported)
            .chain(told(&self.left_out));
        state.save(own.chain(self.sequences.words()));
    }

    fn restore(&mut self, words: &[u64]) {
        let (own, numbers) = words.split_at(OWN_WORDS);
        (self.begun_boot_ns, self.accounted_boot_ns) = (own[0], own[1]);
        self.ring_full_reported = std::array::from_fn(|kind| own[2 + kind]);
        self.misses_reported = std::array::from_fn(|kind| own[2 + RECORD_KINDS + kind]);
        self.already_told(std::array::from_fn(|counter| own[2 + 2 * RECORD_KINDS + counter]));
        self.sequences.restore(numbers);
    }

    fn already_told(&mut self, told: [u64; LEFT_OUT_COUNTERS]) {
        if let Some(left_out) = &mut self.left_out {
            left_out.already_told(told);
        }
    }

    /// Which ring this is, among all that this machine ever had.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// How far this ring was read, or where what is kept begins, and what was reported as lost.
    #[must_use]
    pub fn mark(&self, kept: Option<u64>) -> Mark {
        Mark {
            ring: self.identity,
            position: kept.unwrap_or(self.ring.position()),
            reported: self.sequences.reported(),
            misses_reported: self.misses_reported,
            left_out_told: told(&self.left_out),
        }
    }

    /// What was left out and is to be told now.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn left_out(
        &mut self,
        now_boot_ns: u64,
        telling: Telling,
    ) -> Result<Vec<LeftOut>, CaptureError> {
        self.left_out
            .as_mut()
            .map_or(Ok(Vec::new()), |left_out| left_out.tell(now_boot_ns, telling))
    }

    /// Accounts for what did not arrive.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn losses(
        &mut self,
        now_boot_ns: u64,
        reading: Reading,
    ) -> Result<Vec<Lost>, CaptureError> {
        let Some(counters) = &self.counters else { return Ok(Vec::new()) };
        let counted = counters.counted()?;
        self.sequences.look(&counted.made, now_boot_ns, reading);
        let mut lost = Vec::new();
        for gap in self.sequences.take_gaps().collect::<Vec<_>>() {
            let full = self.take_ring_full(counted.ring_full, gap.kind as usize, gap.count);
            for (stage, count) in
                [(LostStage::RingFull, full), (LostStage::Unreadable, gap.count - full)]
            {
                if count > 0 {
                    lost.push(Lost { gap: Gap { count, ..gap }, stage });
                }
            }
        }
        for (kind, program) in &self.programs {
            let misses = recursion_misses(program.as_fd().as_raw_fd());
            let reported = &mut self.misses_reported[*kind as usize];
            let count = misses.saturating_sub(*reported);
            if count > 0 {
                *reported = misses;
                let gap = Gap {
                    kind: *kind,
                    count,
                    first_boot_ns: self.accounted_boot_ns,
                    last_boot_ns: now_boot_ns,
                };
                lost.push(Lost { gap, stage: LostStage::Recursion });
            }
        }
        self.accounted_boot_ns = now_boot_ns;
        Ok(lost)
    }
}

fn told(left_out: &Option<Account>) -> [u64; LEFT_OUT_COUNTERS] {
    left_out.as_ref().map_or([0; LEFT_OUT_COUNTERS], Account::told)
}

fn words_count(cpus: u32) -> usize {
    OWN_WORDS + Sequences::words_count(cpus as usize)
}

fn note(sequences: &mut Sequences, record: &[u8]) {
    let Some(header) = header(record).filter(|header| header.version == WIRE_VERSION) else {
        return;
    };
    for kind in RecordKind::ALL {
        if kind as u16 == header.kind {
            sequences.seen(kind, header.cpu, header.sequence, header.boot_ns);
        }
    }
}

/// How often the kernel skipped the program because it was already running (5.12 and later).
fn recursion_misses(fd: RawFd) -> u64 {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Of executions and of forks, since these tell of executions that are left out: what the numbers show, and
/// runs of the programs that the kernel skipped, which take no number.
fn execs_lost(sequences: &Sequences, misses: &[u64; RECORD_KINDS]) -> u64 {
    let lost = |kind: RecordKind| sequences.lost(kind) + misses[kind as usize];
    lost(RecordKind::Exec) + lost(RecordKind::Fork)
}
