//! Capture: the kernel programs, loaded, proven, read and accounted for. aya is used nowhere else.
//!
//! Records are handed over as bytes, in the order of the ring: a fork before the exec of its child.

mod canary;
pub mod layout;
mod load;
mod loss;
mod memory;
pub mod privileges;
mod ring;

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::programs::ProgramFd;
use common::decode::header;
use common::wire::{RECORD_KINDS, RecordKind};

pub use canary::CANARY_ARGUMENT;
pub use loss::{Gap, Reading};

use canary::{Canary, Seen};
use layout::{KERNEL_BTF, KernelLayout, LayoutError};
use loss::Sequences;
use ring::Ring;

/// How long a canary may take. It takes milliseconds; a guest under emulation a second or two.
const CANARY_LIMIT: Duration = Duration::from_secs(4);

/// Canaries before a mode is given up: the kernel may skip a program that is already under way on
/// that CPU (seen on 7.3), and so miss one canary of a mode that works.
const CANARIES_MAX: u32 = 5;

/// Records kept while the canary is awaited. At one million execs a second this would be reached
/// after 60 ms; then the canary counts as not seen.
const EARLY_RECORDS_MAX: usize = 65_536;

/// And their bytes: long arguments reach this first.
const EARLY_BYTES_MAX: usize = 32 << 20;

/// How capture is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// LSM hook, tracepoints for the rest.
    Lsm,
    /// fentry on the security function, tracepoints for the rest.
    Fentry,
    /// Raw tracepoints alone.
    Tracepoint,
}

impl Mode {
    /// From the one that knows most to the one that works most often.
    pub const ALL: [Mode; 3] = [Mode::Lsm, Mode::Fentry, Mode::Tracepoint];

    /// The word in the configuration and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Lsm => "lsm",
            Mode::Fentry => "fentry",
            Mode::Tracepoint => "tracepoint",
        }
    }
}

/// What capture is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None`: the best one that is proven.
    pub mode: Option<Mode>,
    /// Size of the ring, a power of two and a multiple of the page size.
    pub ring_buffer_bytes: u32,
    /// Most bytes of argv a record carries.
    pub argv_bytes_max: u32,
    /// The kernel's BTF.
    pub btf: PathBuf,
    /// Fields treated as missing, `struct.member`: for tests of the fallbacks.
    pub hidden_fields: Vec<String>,
    /// Program executed as canary: this one, which knows [`CANARY_ARGUMENT`].
    pub canary: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: None,
            ring_buffer_bytes: 16 << 20,
            argv_bytes_max: 32 << 10,
            btf: PathBuf::from(KERNEL_BTF),
            hidden_fields: Vec::new(),
            canary: PathBuf::from("/proc/self/exe"),
        }
    }
}

/// Why capture cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Privileges are missing.
    #[error("{0}")]
    NotPermitted(String),
    /// The kernel's structures are not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Maps or programs could not be created.
    #[error("the kernel programs cannot be loaded: {reason}{}{hint}", if hint.is_empty() { "" } else { ". " })]
    Load {
        /// What failed.
        reason: String,
        /// What to do, when known.
        hint: String,
    },
    /// A program could not be attached.
    #[error("{program} cannot be attached: {reason}")]
    Attach {
        /// The program.
        program: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The mode asked for does not work, or none does.
    #[error("{}", describe_modes(.0))]
    NoMode(Vec<(Mode, ModeError)>),
    /// The ring or the counters cannot be read.
    #[error("the ring buffer cannot be read: {0}")]
    Ring(String),
}

/// Why a mode does not work here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModeError {
    /// The kernel refused a program.
    #[error("{0}")]
    Refused(String),
    /// Attached, and the test exec came without it.
    #[error("the program was attached and did not run for a test exec{}", .0.as_deref().unwrap_or(""))]
    NeverFired(Option<String>),
    /// The test exec was not reported at all.
    #[error("a test exec was not reported within {} s", (CANARY_LIMIT * CANARIES_MAX).as_secs())]
    NoEvent,
    /// The canary could not be executed.
    #[error("the test exec failed: {0}")]
    Canary(String),
}

fn describe_modes(tried: &[(Mode, ModeError)]) -> String {
    match tried {
        [(mode, error)] => format!(
            "capture mode {} does not work here: {error}. `capture.mode: auto` takes the best one \
             that does; `shipper doctor` shows which",
            mode.as_str()
        ),
        _ => {
            let reasons: Vec<String> =
                tried.iter().map(|(mode, error)| format!("{}: {error}", mode.as_str())).collect();
            format!("no capture mode works here. {}", reasons.join(". "))
        }
    }
}

/// Capture at work. Dropping it detaches everything.
pub struct Capture {
    ebpf: Ebpf,
    ring: Ring,
    layout: KernelLayout,
    mode: Mode,
    /// Better modes that were tried, and why they are not used.
    pub passed_over: Vec<(Mode, ModeError)>,
    early: VecDeque<Box<[u8]>>,
    sequences: Sequences,
    ring_full_reported: [u64; RECORD_KINDS],
    /// The tracepoint programs. They are held beyond `detach`, which would take their last misses
    /// with it.
    programs: Vec<(RecordKind, ProgramFd)>,
    misses_reported: [u64; RECORD_KINDS],
    /// When losses were accounted for last, nanoseconds since boot; the start of capture at first.
    accounted_boot_ns: u64,
}

/// Records that were lost, and where.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// Kind, count, time.
    pub gap: Gap,
    /// Where.
    pub stage: LostStage,
}

/// Where the kernel loses records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostStage {
    /// The ring had no room.
    RingFull,
    /// The kernel skipped our program, which was already running on that CPU.
    Recursion,
    /// The program could not read the task.
    Unreadable,
}

impl Capture {
    /// Loads, attaches and proves. Capture has begun when this returns: records of execs since are
    /// in the ring.
    ///
    /// # Errors
    /// In the operator's words, with what to do.
    pub fn start(options: &Options) -> Result<Self, CaptureError> {
        if let Some(missing) = privileges::missing() {
            return Err(CaptureError::NotPermitted(missing));
        }
        let layout = KernelLayout::resolve(&options.btf, &options.hidden_fields)?;
        // Maps were charged to this limit before 5.11. Without CAP_SYS_RESOURCE it stays as it is.
        let _ = rustix::process::setrlimit(
            rustix::process::Resource::Memlock,
            rustix::process::Rlimit { current: None, maximum: None },
        );
        let cpus = possible_cpus()?;
        let mut ebpf = load::load(options, &layout, cpus)?;
        let ring = Ring::open(&mut ebpf)?;
        let begun_boot_ns = boot_now_ns();
        let programs = load::attach_base(&mut ebpf)?;
        let mut capture = Capture {
            ebpf,
            ring,
            layout,
            mode: Mode::Tracepoint,
            passed_over: Vec::new(),
            early: VecDeque::new(),
            sequences: Sequences::new(cpus as usize, begun_boot_ns),
            ring_full_reported: [0; RECORD_KINDS],
            programs,
            misses_reported: [0; RECORD_KINDS],
            accounted_boot_ns: begun_boot_ns,
        };
        let wanted: &[Mode] = match &options.mode {
            Some(mode) => std::slice::from_ref(mode),
            None => &Mode::ALL,
        };
        for &mode in wanted {
            match capture.try_mode(mode, options) {
                Ok(()) => {
                    capture.mode = mode;
                    memory::give_back();
                    return Ok(capture);
                }
                Err(error) => {
                    load::detach_mode(&mut capture.ebpf, mode);
                    capture.passed_over.push((mode, error));
                }
            }
        }
        Err(CaptureError::NoMode(capture.passed_over))
    }

    /// Tries every mode, one after the other, and detaches again: which work here, and why the others
    /// do not.
    #[must_use]
    pub fn survey(options: &Options) -> Vec<(Mode, Result<(), String>)> {
        Mode::ALL
            .into_iter()
            .map(|mode| {
                let outcome = Capture::start(&Options { mode: Some(mode), ..options.clone() });
                (
                    mode,
                    match outcome {
                        Ok(_detached_when_dropped) => Ok(()),
                        Err(CaptureError::NoMode(tried)) => {
                            Err(tried.into_iter().map(|(_, error)| error.to_string()).collect())
                        }
                        Err(error) => Err(error.to_string()),
                    },
                )
            })
            .collect()
    }

    fn try_mode(&mut self, mode: Mode, options: &Options) -> Result<(), ModeError> {
        load::attach_mode(&mut self.ebpf, mode, &self.layout)?;
        let mut outcome = ModeError::NoEvent;
        for _ in 0..CANARIES_MAX {
            let canary = Canary::release(&options.canary)
                .map_err(|error| ModeError::Canary(error.to_string()))?;
            let seen = self.await_canary(&canary);
            canary.finish();
            match (seen, mode) {
                (Some(Seen::WithHook), _) | (Some(Seen::WithoutHook), Mode::Tracepoint) => {
                    return Ok(());
                }
                (Some(Seen::WithoutHook), _) => outcome = ModeError::NeverFired(lsm_hint(mode)),
                (None, _) => {}
            }
        }
        Err(outcome)
    }

    /// Keeps every record that arrives meanwhile, in order.
    fn await_canary(&mut self, canary: &Canary) -> Option<Seen> {
        let deadline = Instant::now() + CANARY_LIMIT;
        let mut seen = None;
        let mut bytes = 0;
        loop {
            let (early, sequences) = (&mut self.early, &mut self.sequences);
            while early.len() < EARLY_RECORDS_MAX
                && bytes < EARLY_BYTES_MAX
                && seen.is_none()
                && self.ring.next(|record| {
                    // In the order of the ring: numbers that come after a higher one count as lost.
                    note(sequences, record);
                    match canary.recognise(record) {
                        Some(found) => seen = Some(found),
                        None => {
                            bytes += record.len();
                            early.push_back(record.into());
                        }
                    }
                })
            {}
            let left = deadline.saturating_duration_since(Instant::now());
            let full = self.early.len() >= EARLY_RECORDS_MAX || bytes >= EARLY_BYTES_MAX;
            if seen.is_some() || left.is_zero() || full {
                return seen;
            }
            self.ring.wait(left).ok()?;
        }
    }

    /// The mode at work.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Optional fields that this kernel lacks.
    #[must_use]
    pub fn missing_fields(&self) -> &[String] {
        &self.layout.missing
    }

    /// Credentials before the exec are known.
    #[must_use]
    pub fn has_credentials_before(&self) -> bool {
        self.mode != Mode::Tracepoint || self.layout.has_prepare_exec
    }

    /// Waits until there is something to read, at most this long.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        if self.early.is_empty() { self.ring.wait(limit) } else { Ok(()) }
    }

    /// Hands the oldest record to `read`; its room in the ring is given back when `read` returns.
    /// False when there is none.
    pub fn next(&mut self, read: impl FnOnce(&[u8])) -> bool {
        if let Some(record) = self.early.pop_front() {
            read(&record);
            return true;
        }
        let sequences = &mut self.sequences;
        self.ring.next(|record| {
            note(sequences, record);
            read(record);
        })
    }

    /// Accounts for what did not arrive. To be called about once a second.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn losses(
        &mut self,
        now_boot_ns: u64,
        reading: Reading,
    ) -> Result<Vec<Lost>, CaptureError> {
        let counted = self.ring.counted()?;
        self.sequences.look(&counted.made, now_boot_ns, reading);
        let mut lost = Vec::new();
        for gap in self.sequences.take_gaps().collect::<Vec<_>>() {
            let kind = gap.kind as usize;
            // The kernel counts what did not fit; what is missing beyond that failed before.
            let full = (counted.ring_full[kind] - self.ring_full_reported[kind]).min(gap.count);
            self.ring_full_reported[kind] += full;
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

    /// Detaches the programs. What is in the ring can still be read.
    pub fn detach(&mut self) {
        for mode in Mode::ALL {
            load::detach_mode(&mut self.ebpf, mode);
        }
        load::detach_base(&mut self.ebpf);
    }
}

fn note(sequences: &mut Sequences, record: &[u8]) {
    let Some(header) = header(record) else { return };
    for kind in [RecordKind::Fork, RecordKind::Exec, RecordKind::Exit] {
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

fn boot_now_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn possible_cpus() -> Result<u32, CaptureError> {
    let cpus = aya::util::nr_cpus()
        .map_err(|(file, error)| CaptureError::Ring(format!("{file}: {error}")))?;
    u32::try_from(cpus).map_err(|_| CaptureError::Ring(format!("{cpus} CPUs")))
}

fn lsm_hint(mode: Mode) -> Option<String> {
    let active = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    (mode == Mode::Lsm && !active.split(',').any(|name| name.trim() == "bpf")).then(|| {
        format!(
            ": `bpf` is not among the active security modules ({}); boot with lsm=...,bpf",
            active.trim()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_was_asked_for_and_fails_is_not_called_no_mode_at_all() {
        let refused = |mode| (mode, ModeError::Refused("not permitted".to_owned()));
        let one = CaptureError::NoMode(vec![refused(Mode::Lsm)]).to_string();
        assert!(one.starts_with("capture mode lsm does not work here: not permitted"), "{one}");
        assert!(one.contains("capture.mode: auto"), "{one}");
        let all = CaptureError::NoMode(Mode::ALL.map(refused).to_vec()).to_string();
        assert!(
            all.starts_with("no capture mode works here. lsm: not permitted. fentry:"),
            "{all}"
        );
    }
}
