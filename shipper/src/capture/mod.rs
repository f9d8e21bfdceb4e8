//! Capture: the kernel programs, loaded, proven, read and accounted for. aya is used nowhere else.
//!
//! Records are handed over as bytes, in the order of the ring: a fork before the exec of its child.
//! Their room in the ring is given back only when the caller says that they are safe: what was read
//! and not released is read again by the next reader of a pinned ring.

mod options;
mod error;
mod canary;
pub mod layout;
mod load;
mod counters;
mod loss;
mod mapping;
mod mark;
mod memory;
pub mod privileges;
mod ring;
mod source;

use std::time::{Duration, Instant};

use aya::Ebpf;
use common::names;

pub use canary::CANARY_ARGUMENT;
pub use error::{CaptureError, ModeError};
pub use loss::{Gap, Lost, LostStage, Reading};
pub use mark::MARK_BYTES;
pub use options::{Mode, Options};

use canary::{Canary, Seen};
use layout::KernelLayout;
use mark::Mark;
use source::Source;

/// How long a canary may take. It takes milliseconds; a guest under emulation a second or two.
const CANARY_LIMIT: Duration = Duration::from_secs(4);

/// Canaries before a mode is given up: the kernel may skip a program that is already under way on
/// that CPU (seen on 7.3), and so miss one canary of a mode that works.
const CANARIES_MAX: u32 = 5;

/// Capture at work. Dropping it detaches everything.
pub struct Capture {
    ebpf: Ebpf,
    source: Source,
    layout: KernelLayout,
    mode: Mode,
    /// Better modes that were tried, and why they are not used.
    pub passed_over: Vec<(Mode, ModeError)>,
    /// Where the canaries' records are in the ring, in ascending order: they are no events.
    canaries: Vec<u64>,
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
        let ring = load::take_map(&mut ebpf, names::RING)?;
        let counters = load::take_map(&mut ebpf, names::COUNTERS)?;
        let mut source = Source::new(&ring, counters, cpus, boot_now_ns())?;
        source.watch(load::attach_base(&mut ebpf)?);
        let mut capture = Capture {
            ebpf,
            source,
            layout,
            mode: Mode::Tracepoint,
            passed_over: Vec::new(),
            canaries: Vec::new(),
        };
        let wanted: &[Mode] = match &options.mode {
            Some(mode) => std::slice::from_ref(mode),
            None => &Mode::ALL,
        };
        for &mode in wanted {
            match capture.try_mode(mode, options) {
                Ok(()) => {
                    capture.mode = mode;
                    // What was only looked at so far is now to be read.
                    capture.source.ring().rewind();
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

    /// Looks for the canary's record and leaves everything in the ring, to be read later. Where more
    /// arrives meanwhile than the ring holds, what is oldest is given up; the numbers show it.
    fn await_canary(&mut self, canary: &Canary) -> Option<Seen> {
        let deadline = Instant::now() + CANARY_LIMIT;
        let ring = self.source.ring();
        loop {
            while let Ok(Some(record)) = ring.next() {
                if let Some(seen) = canary.recognise(record.bytes) {
                    self.canaries.push(record.position);
                    return Some(seen);
                }
            }
            if ring.held_bytes() > ring.data_bytes() / 4 * 3 {
                ring.release();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            ring.wait(left).ok()?;
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

    /// Waits until there is something to read, at most this long. While more was read than was
    /// released the kernel does not wake us up, so release first.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        self.source.wait(limit)
    }

    /// Hands the oldest record not read yet to `read`. Its room in the ring stays taken until
    /// [`Capture::release`]. False when there is none.
    pub fn next(&mut self, read: impl FnOnce(&[u8])) -> bool {
        while let Some(record) = self.source.next() {
            if self.canaries.first() == Some(&record.position) {
                self.canaries.remove(0);
                continue;
            }
            read(record.bytes);
            return true;
        }
        false
    }

    /// Tells the kernel that it may forget everything read so far. To be called when all of it is
    /// safe elsewhere, beside the mark of that moment; nothing may be read in between.
    pub fn release(&mut self) {
        self.source.release();
    }

    /// How far the ring was read, and which losses were handed out: to be stored with what was read.
    #[must_use]
    pub fn mark(&self) -> [u8; MARK_BYTES] {
        self.source.mark().to_bytes()
    }

    /// Takes up where an earlier daemon left off: `mark` is the one stored last, empty when there is
    /// none. To be called once, before anything is read.
    ///
    /// Records before the mark are passed over if the ring is that very ring.
    pub fn resume(&mut self, mark: &[u8]) {
        if let Some(mark) = Mark::from_bytes(mark) {
            self.source.resume(&mark);
        }
    }

    /// Accounts for what did not arrive. To be called about once a second, with how the ring was left
    /// by [`Capture::next`].
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn losses(
        &mut self,
        now_boot_ns: u64,
        reading: Reading,
    ) -> Result<Vec<Lost>, CaptureError> {
        self.source.losses(now_boot_ns, reading)
    }

    /// Detaches the programs. What is in the ring can still be read.
    pub fn detach(&mut self) {
        for mode in Mode::ALL {
            load::detach_mode(&mut self.ebpf, mode);
        }
        load::detach_base(&mut self.ebpf);
    }
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
