//! Programs that were just loaded, until their mode is proven.

use std::path::Path;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::MapData;
use common::names;
use common::wire::ProcessId;

use super::bpffs::PinError;
use super::canary::{Canaries, Canary, FailedCanary, Seen};
use super::enforcing::Enforcing;
use super::error::EnforceError;
use super::failing;
use super::filters::Rules;
use super::layout::KernelLayout;
use super::left_out::Account;
use super::load::{self, Attached};
use super::source::Source;
use super::{Capture, CaptureError, Failures, FailuresSeen, Mode, ModeError, Options};

/// How long a canary may take. It takes milliseconds; a guest under emulation a second or two.
pub const CANARY_LIMIT: Duration = Duration::from_secs(4);

/// Canaries before a mode is given up: the kernel may skip a program that is already under way on
/// that CPU (seen on 7.3), and so miss one canary of a mode that works.
pub const CANARIES_MAX: u32 = 5;

/// Base programs at work, and no mode yet.
pub struct Fresh {
    ebpf: Ebpf,
    /// Programs that are loaded later name it by its descriptor, which must be open then.
    _ring: MapData,
    source: Source,
    attached: Vec<Attached>,
    canaries: Canaries,
    /// Deny rules, for programs that are loaded later to find the maps of.
    enforcing: Option<Enforcing>,
}

impl Fresh {
    /// Loads the object and attaches the base programs. The maps that are read are pinned in `pins`.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn load(
        options: &Options,
        layout: &KernelLayout,
        rules: &Rules,
        cpus: u32,
        pins: Option<&Path>,
    ) -> Result<Fresh, CaptureError> {
        let mut ebpf = load::load(options, layout, rules, cpus)?;
        let ring = load::take_map(&mut ebpf, names::RING)?;
        let counters = load::take_map(&mut ebpf, names::COUNTERS)?;
        let left_out = load::take_map(&mut ebpf, names::LEFT_OUT)?;
        let limits = load::take_map(&mut ebpf, names::LIMITS)?;
        if let Some(dir) = pins {
            for (map, name) in [
                (&ring, "ring"),
                (&counters, "counters"),
                (&left_out, "left-out"),
                (&limits, "limits"),
            ] {
                let path = dir.join(name);
                map.pin(&path).map_err(|error| {
                    PinError::on("pinning", &path)(std::io::Error::other(error))
                })?;
            }
        }
        let enforcing = match &options.enforce {
            Some(enforce) => Some(Enforcing::begin(&mut ebpf, enforce, pins)?),
            None => None,
        };
        let mut source = Source::new(&ring, Some(counters), cpus, boot_now_ns())?;
        source.account_for(Account::new(left_out, limits, boot_now_ns())?);
        let base = load::attach_base(&mut ebpf)?;
        source.watch(base.programs);
        rules.mark_running(&mut ebpf)?;
        Ok(Fresh {
            ebpf,
            _ring: ring,
            source,
            attached: base.attached,
            canaries: Canaries::default(),
            enforcing,
        })
    }

    /// Goes through the modes wanted until one is proven. What was only looked at for that is still
    /// to be read.
    ///
    /// # Errors
    /// No mode works.
    pub fn prove(
        mut self,
        options: &Options,
        layout: KernelLayout,
        rules: Rules,
    ) -> Result<(Ebpf, Capture), CaptureError> {
        let wanted: &[Mode] = match &options.mode {
            // The only one that can refuse.
            _ if options.enforce.is_some() => &[Mode::Lsm],
            Some(mode) => std::slice::from_ref(mode),
            None => &Mode::ALL,
        };
        let mut passed_over = Vec::new();
        for &mode in wanted {
            if let Err(error) = self.try_mode(mode, options, &layout) {
                if options.enforce.is_some() {
                    return Err(EnforceError::Mode(error).into());
                }
                passed_over.push((mode, error));
                continue;
            }
            let failures = self.see_failures(mode, options);
            if let (Some(_), FailuresSeen::No(error)) = (&options.enforce, &failures) {
                return Err(EnforceError::Failures(error.clone()).into());
            }
            self.source.ring().rewind();
            self.canaries.ended(boot_now_ns());
            let mut capture = Capture::over(self.source, layout, rules, mode);
            capture.attached = self.attached;
            capture.canaries = self.canaries;
            capture.enforcing = self.enforcing;
            capture.passed_over = passed_over;
            capture.failures = failures;
            return Ok((self.ebpf, capture));
        }
        Err(CaptureError::NoMode(passed_over))
    }

    /// What the mode adds is detached again if it is not proven.
    fn try_mode(
        &mut self,
        mode: Mode,
        options: &Options,
        layout: &KernelLayout,
    ) -> Result<(), ModeError> {
        let attached = load::attach_mode(&mut self.ebpf, mode, layout)?;
        let mut outcome = ModeError::NoEvent;
        for _ in 0..CANARIES_MAX {
            let canary = Canary::release(&options.canary)
                .map_err(|error| ModeError::Canary(error.to_string()))?;
            let seen = self.await_record(|record| canary.recognise(record));
            canary.finish();
            match (seen, mode) {
                (Some(Seen::WithHook), _) | (Some(Seen::WithoutHook), Mode::Tracepoint) => {
                    self.attached.extend(attached);
                    return Ok(());
                }
                (Some(Seen::WithoutHook), _) => outcome = ModeError::NeverFired(lsm_hint(mode)),
                (None, _) => {}
            }
        }
        Err(outcome)
    }

    /// Adds what sees execs fail, and proves it by one. Without it capture goes on.
    fn see_failures(&mut self, mode: Mode, options: &Options) -> FailuresSeen {
        if options.failures == Failures::None {
            return FailuresSeen::NotAskedFor;
        }
        let proven = failing::attach(&mut self.ebpf, mode, options).and_then(|failing| {
            self.source.watch(failing.programs);
            for _ in 0..CANARIES_MAX {
                let canary = FailedCanary::release()
                    .map_err(|error| ModeError::Canary(error.to_string()))?;
                if self.await_record(|record| canary.recognise(record)).is_some() {
                    return Ok(failing.attached);
                }
            }
            Err(ModeError::NoEvent)
        });
        match proven {
            Ok(attached) => {
                self.attached.extend(attached);
                FailuresSeen::Yes
            }
            Err(error) => FailuresSeen::No(error),
        }
    }

    /// Looks for a record of our own and leaves everything in the ring, to be read later. Where more
    /// arrives meanwhile than the ring holds, what is oldest is given up; the numbers show it.
    fn await_record<T>(
        &mut self,
        recognise: impl Fn(&[u8]) -> Option<(T, ProcessId)>,
    ) -> Option<T> {
        let deadline = Instant::now() + CANARY_LIMIT;
        let ring = self.source.ring();
        loop {
            while let Ok(Some(record)) = ring.next() {
                if let Some((seen, process)) = recognise(record) {
                    self.canaries.push(process);
                    return Some(seen);
                }
            }
            if ring.held_bytes() > ring.data_bytes() / 4 * 3 {
                ring.release(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            ring.wait(left).ok()?;
        }
    }
}

/// Nanoseconds since boot, as the records have them.
pub fn boot_now_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
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
