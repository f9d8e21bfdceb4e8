//! Capture: the kernel programs, loaded, proven, read and accounted for. aya is used nowhere else.
//!
//! Records are handed over as bytes, in the order of the ring: a fork before the exec of its child.
//! Their room in the ring is given back only when the caller says that they are safe: what was read
//! and not released is read again by the next reader of a pinned ring.

mod enforce;
mod options;
mod filters;
mod trees;
mod error;
pub mod privileges;
pub mod layout;
mod load;
mod enforcing;
mod watched;
mod failing;
mod canary;
mod fresh;
mod unpin;
mod bpffs;
mod pins;
mod mapping;
mod ring;
mod counters;
mod loss;
mod left_out;
mod mark;
mod state;
mod source;
mod overlap;
mod memory;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

pub use bpffs::PinError;
pub use canary::CANARY_ARGUMENT;
pub use enforce::{Deny, DenyRule, Enforce};
pub use enforcing::{EnforcementSeen, EnforcementState, seen as enforcement};
pub use error::{CaptureError, EnforceError, ModeError};
pub use filters::{Filters, Namespace, RateLimit};
pub use left_out::LeftOut;
pub use loss::{Gap, Lost, LostStage, Reading};
pub use mark::MARK_BYTES;
pub use options::{Failures, Mode, Options};
pub use pins::PIN_DIR;
pub use unpin::{Pinned, Unpinned, pinned, unpin};
pub use watched::forbid_nothing_vital;

use bpffs::Lock;
use canary::Canaries;
use enforcing::Enforcing;
use filters::Rules;
use fresh::Fresh;
use layout::KernelLayout;
use left_out::Telling;
use load::Attached;
use mark::Mark;
use overlap::Overlap;
use pins::{NewSet, PinSet};
use source::Source;

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it begins in the ring.
    pub position: u64,
    /// What [`Capture::execs_lost`] says when it was read. A higher number than with the record before:
    /// executions between the two were lost.
    pub execs_lost: u64,
}

/// Capture at work. Dropping it detaches everything that is not pinned.
pub struct Capture {
    /// What is read, one after the other; the programs at work fill the last. Those before it were
    /// detached and only have to be read to their end. Never empty.
    sources: VecDeque<Source>,
    /// Pins of the sources before, which are removed when nothing in them is needed any more.
    old: Vec<PinSet>,
    overlap: Overlap,
    /// How far the newest ring was read when the overlap was seen to be over.
    overlap_over: Option<u64>,
    /// The links, where they are not pinned.
    attached: Vec<Attached>,
    layout: KernelLayout,
    mode: Mode,
    /// Better modes that were tried, and why they are not used.
    pub passed_over: Vec<(Mode, ModeError)>,
    /// Whether failed execs are seen.
    pub failures: FailuresSeen,
    /// Deny rules at work.
    enforcing: Option<Enforcing>,
    /// What the programs leave out, with the files that its trees begin with held open.
    rules: Rules,
    /// Whose records in the newest ring are no events.
    canaries: Canaries,
    /// Held while pins are used.
    lock: Option<Lock>,
}

/// Whether failed execs are seen.
#[derive(Debug)]
pub enum FailuresSeen {
    /// `capture.failures: none`, or known when the programs were pinned.
    NotAskedFor,
    /// One of our own was.
    Yes,
    /// They are not.
    No(ModeError),
}

impl Capture {
    /// Loads, attaches and proves; or takes over what an earlier process pinned. Capture has begun
    /// when this returns: records of execs since are in the ring.
    ///
    /// # Errors
    /// In the operator's words, with what to do.
    pub fn start(options: &Options) -> Result<Self, CaptureError> {
        if let Some(missing) = privileges::missing() {
            return Err(CaptureError::NotPermitted(missing));
        }
        let layout = KernelLayout::resolve(&options.btf, &options.hidden_fields)?;
        if let Some(enforce) = &options.enforce {
            forbid_nothing_vital(enforce)?;
            let lacks = enforce.lacks(&layout.missing);
            if !lacks.is_empty() {
                return Err(EnforceError::Fields(lacks.join(", ")).into());
            }
        }
        // Maps were charged to this limit before 5.11. Without CAP_SYS_RESOURCE it stays as it is.
        let _ = rustix::process::setrlimit(
            rustix::process::Resource::Memlock,
            rustix::process::Rlimit { current: None, maximum: None },
        );
        let cpus = possible_cpus()?;
        let rules = Rules::prepare(&options.filters)?;
        let mut capture = if options.pin {
            Self::start_pinned(options, layout, rules, cpus)?
        } else {
            warn_of_pins(&options.pin_dir);
            let fresh = Fresh::load(options, &layout, &rules, cpus, None)?;
            let (_, capture) = fresh.prove(options, layout, rules)?;
            capture
        };
        // The programs were loaded and proven since the first one, which may take a slow machine long.
        capture.keep_enforcing();
        memory::give_back();
        Ok(capture)
    }

    fn start_pinned(
        options: &Options,
        layout: KernelLayout,
        rules: Rules,
        cpus: u32,
    ) -> Result<Self, CaptureError> {
        bpffs::prepare(&options.pin_dir)?;
        let lock = bpffs::lock(&options.pin_dir)?;
        let fingerprint = pins::fingerprint(load::OBJECT, options, &layout.words, &rules, cpus);
        let mut old = PinSet::all(&options.pin_dir)?;
        let known = old.last().and_then(|set| set.mode_if_made_for(&fingerprint));
        let mut capture = if let Some(mode) = known
            && let Some(set) = old.pop()
        {
            tracing::info!("capture went on in the kernel since the last run, and is taken over");
            let mut capture = Capture::over(adopt(&set, cpus)?, layout, rules, mode);
            if let Some(enforce) = &options.enforce {
                capture.enforcing = Some(Enforcing::adopt(set.dir(), enforce)?);
            }
            capture
        } else {
            // The new programs first: what happens meanwhile is seen twice rather than never.
            let new = NewSet::begin(&options.pin_dir)?;
            let fresh = Fresh::load(options, &layout, &rules, cpus, Some(new.dir()))?;
            let (mut ebpf, mut capture) = fresh.prove(options, layout, rules)?;
            capture.newest().keep_state(new.dir(), cpus)?;
            load::pin(&mut ebpf, std::mem::take(&mut capture.attached), new.dir())?;
            new.finish(capture.mode, &fingerprint, &old)?;
            capture
        };
        if !old.is_empty() {
            tracing::info!(
                "programs pinned by another version, or for other options, are replaced; what they \
                 recorded comes first"
            );
        }
        for set in old.iter_mut().rev() {
            set.detach()?;
            capture.sources.push_front(adopt(set, cpus)?);
        }
        capture.old = old;
        capture.lock = Some(lock);
        Ok(capture)
    }

    fn over(source: Source, layout: KernelLayout, rules: Rules, mode: Mode) -> Capture {
        Capture {
            sources: VecDeque::from([source]),
            old: Vec::new(),
            overlap: Overlap::default(),
            overlap_over: None,
            attached: Vec::new(),
            layout,
            mode,
            passed_over: Vec::new(),
            failures: FailuresSeen::NotAskedFor,
            enforcing: None,
            rules,
            canaries: Canaries::default(),
            lock: None,
        }
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

    /// Whether programs and ring stay when this process ends.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.lock.is_some()
    }

    /// Waits until there is something to read, at most this long. While more was read than was
    /// released the kernel does not wake us up, so release first.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        self.sources.front().map_or(Ok(()), |source| source.wait(limit))
    }

    /// Hands the oldest record not read yet to `read`, with where it stands. Its room in the ring stays
    /// taken until [`Capture::release`]. False when there is none.
    pub fn next(&mut self, read: impl FnOnce(&[u8], Place)) -> bool {
        let newer_begun = self.newer_begun();
        let Some(source) = self.sources.front_mut() else { return false };
        loop {
            // Records that were given up may lie between: they are passed over by whoever reads again.
            let position = source.position();
            let Some((bytes, execs_lost)) = source.next() else { break };
            let repeated = self.overlap.repeats(bytes);
            match newer_begun {
                Some(begun) => self.overlap.note(bytes, begun),
                None if self.canaries.made(bytes) => continue,
                None => self.overlap.end_before(bytes),
            }
            if !repeated {
                read(bytes, Place { position, execs_lost });
                return true;
            }
        }
        if newer_begun.is_none() {
            self.overlap.end();
        }
        false
    }

    /// How many records of the ring that is read are known to be lost, reported or not, that tell of an
    /// execution.
    #[must_use]
    pub fn execs_lost(&self) -> u64 {
        self.sources.front().map_or(0, Source::execs_lost)
    }

    /// Tells the kernel that it may forget everything read so far, or everything before the record that
    /// begins at `kept`. To be called when all of that is safe elsewhere, with all losses handed out,
    /// beside the mark of that moment; nothing may be read in between.
    pub fn release(&mut self, kept: Option<u64>) {
        // A ring that nothing is written to any more needs no room. It is kept as it was, so that a
        // later process can still tell what the newer ring has as well.
        if self.is_catching_up() {
            return;
        }
        let newest = self.newest();
        newest.release(kept);
        let (read, released) = (newest.position(), kept.unwrap_or(newest.position()));
        if self.overlap.is_over() && !self.old.is_empty() {
            // What repeats an older ring may lie behind what is kept, and would be read again.
            let over = *self.overlap_over.get_or_insert(read);
            if released < over {
                return;
            }
            for set in self.old.drain(..) {
                if let Err(error) = set.remove() {
                    tracing::warn!("pins that are not needed any more stay: {error}");
                }
            }
        }
    }

    /// How far the ring was read, or where what is kept begins, and which losses were handed out: to be
    /// stored with what was read. What is kept is read again by the next reader, so nothing of it may
    /// be stored; losses are reported by their count, wherever they were found.
    #[must_use]
    pub fn mark(&self, kept: Option<u64>) -> [u8; MARK_BYTES] {
        self.sources.front().map_or([0; MARK_BYTES], |source| source.mark(kept).to_bytes())
    }

    /// Whether an older ring is being read still. What is kept of it must be stored before
    /// [`Capture::losses`] is asked how it ended, since marks are of the next ring afterwards.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.sources.len() > 1
    }

    /// Takes up where an earlier daemon left off: `mark` is the one stored last, empty when there is
    /// none. To be called once, before anything is read.
    ///
    /// Records before the mark are passed over if the ring is that very ring, and those of every
    /// older ring: they are stored.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn resume(&mut self, mark: &[u8]) -> Result<(), CaptureError> {
        let Some(mark) = Mark::from_bytes(mark) else { return Ok(()) };
        if !self.sources.iter().any(|source| source.identity() == mark.ring) {
            return Ok(());
        }
        loop {
            let newer_begun = self.newer_begun();
            let Some(source) = self.sources.front_mut() else { return Ok(()) };
            let (overlap, stored) = (&mut self.overlap, source.identity() == mark.ring);
            let all = Mark { position: u64::MAX, ..source.mark(None) };
            source.resume(if stored { &mark } else { &all }, |bytes| {
                overlap.repeats(bytes);
                if let Some(begun) = newer_begun {
                    overlap.note(bytes, begun);
                }
            })?;
            if stored {
                self.release(None);
                return Ok(());
            }
            self.leave_front();
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
        let (is_old, pinned) = (self.sources.len() > 1, self.is_pinned());
        let reading = match reading {
            Reading::Backlog => Reading::Backlog,
            // Nothing writes to an old ring: one look settles it.
            _ if is_old => Reading::Settled,
            // Programs that are pinned go on, so records may be on their way.
            Reading::Settled if pinned => Reading::Empty,
            other => other,
        };
        let Some(source) = self.sources.front_mut() else { return Ok(Vec::new()) };
        let losses = source.losses(now_boot_ns, reading)?;
        if is_old && reading == Reading::Settled {
            self.leave_front();
        }
        Ok(losses)
    }

    /// Tells the kernel programs that the daemon is there: without that deny rules refuse nothing after
    /// a while. To be called about once a second.
    pub fn keep_enforcing(&mut self) {
        if let Some(enforcing) = &mut self.enforcing {
            enforcing.tick();
        }
    }

    /// Accounts for what the programs left out, as [`Capture::losses`] does for what did not arrive, and
    /// before that is asked. `ending`: this is the last time.
    ///
    /// # Errors
    /// The kernel's counters cannot be read.
    pub fn left_out(
        &mut self,
        now_boot_ns: u64,
        ending: bool,
    ) -> Result<Vec<LeftOut>, CaptureError> {
        let telling = match ending {
            _ if self.is_catching_up() => Telling::Last,
            true if !self.is_pinned() => Telling::Last,
            true => Telling::All,
            false => Telling::Due,
        };
        let Some(source) = self.sources.front_mut() else { return Ok(Vec::new()) };
        source.left_out(now_boot_ns, telling)
    }

    /// Scripts that begin an excluded tree: in mode tracepoint none is told from other scripts of its
    /// interpreter.
    pub fn tree_scripts(&self) -> impl Iterator<Item = &Path> {
        self.rules.scripts()
    }

    /// Detaches the programs, unless they are pinned. What is in the ring can still be read.
    pub fn detach(&mut self) {
        self.attached.clear();
    }

    /// The front source was read to its end and accounted for.
    fn leave_front(&mut self) {
        if self.sources.len() > 1 {
            self.sources.pop_front();
            self.overlap.next_ring();
        }
    }

    /// When the source after the front one was begun; nothing when the front one is the newest.
    fn newer_begun(&self) -> Option<u64> {
        self.sources.get(1).map(Source::begun_boot_ns)
    }

    fn newest(&mut self) -> &mut Source {
        self.sources.back_mut().expect("there is always the source that is filled now")
    }
}

fn possible_cpus() -> Result<u32, CaptureError> {
    let cpus = aya::util::nr_cpus()
        .map_err(|(file, error)| CaptureError::Ring(format!("{file}: {error}")))?;
    u32::try_from(cpus).map_err(|_| CaptureError::Ring(format!("{cpus} CPUs")))
}

fn adopt(set: &PinSet, cpus: u32) -> Result<Source, CaptureError> {
    Source::adopt(set, cpus).map_err(|error| CaptureError::Adopt {
        dir: set.dir().to_owned(),
        reason: error.to_string(),
    })
}

fn warn_of_pins(pin_dir: &Path) {
    if let Some(Pinned { process: None, .. }) = pinned(pin_dir) {
        tracing::warn!(
            "an earlier run with `capture.pin: true` left programs in the kernel that still record. \
             `shipper unpin` removes them; otherwise the next such run delivers what they recorded, \
             and what happens now twice"
        );
    }
}
