//! One set of kernel programs at work: the ring they fill, their counters, and the account of what
//! was read from there and what was lost.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use aya::maps::MapData;
use aya::programs::ProgramFd;
use common::decode::header;
use common::wire::{RECORD_KINDS, RecordKind, WIRE_VERSION};

use super::CaptureError;
use super::counters::Counters;
use super::loss::{Gap, Lost, LostStage, Reading, Sequences};
use super::mark::{Mark, ring_identity};
use super::ring::{Peeked, Ring};

/// A ring with its counters and its account.
pub struct Source {
    ring: Ring,
    identity: u64,
    counters: Counters,
    sequences: Sequences,
    /// The kernel's count of records that did not fit, as far as it was reported, by kind.
    ring_full_reported: [u64; RECORD_KINDS],
    programs: Vec<(RecordKind, ProgramFd)>,
    /// The kernel's count of runs it skipped, as far as it was reported, by kind.
    misses_reported: [u64; RECORD_KINDS],
    accounted_boot_ns: u64,
}

impl Source {
    /// Over the maps of programs that were just loaded, for CPUs `0..cpus`.
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn new(
        ring: &MapData,
        counters: MapData,
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
            counters: Counters::new(counters)?,
            sequences: Sequences::new(cpus as usize, begun_boot_ns),
            ring_full_reported: [0; RECORD_KINDS],
            programs: Vec::new(),
            misses_reported: [0; RECORD_KINDS],
            accounted_boot_ns: begun_boot_ns,
        })
    }

    /// The programs whose skipped runs are to be counted.
    pub fn watch(&mut self, programs: Vec<(RecordKind, ProgramFd)>) {
        self.programs = programs;
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

    /// The next record, taken into the account. What makes no sense is left behind with all that
    /// follows it, and shows in the numbers as lost.
    pub fn next(&mut self) -> Option<Peeked<'_>> {
        match self.ring.next() {
            Ok(Some(record)) => {
                note(&mut self.sequences, record.bytes);
                Some(record)
            }
            Ok(None) => None,
            Err(damaged) => {
                tracing::error!("{damaged}; what is in the ring is lost, and will be counted");
                None
            }
        }
    }

    /// Gives the room of everything read so far back to the kernel.
    pub fn release(&mut self) {
        self.ring.release();
    }

    /// Passes over what was read before this mark was made, if it is of this very ring. Never goes
    /// back, nor beyond what is there: what is passed over is read, and so enters the account.
    pub fn resume(&mut self, mark: &Mark) {
        if mark.ring != self.identity {
            return;
        }
        while self.ring.position() < mark.position && self.next().is_some() {}
        self.sequences.already_reported(mark.reported);
        for (own, marked) in self.misses_reported.iter_mut().zip(mark.misses_reported) {
            *own = marked.max(*own);
        }
        self.ring.release();
    }

    /// How far this ring was read, and what was reported as lost.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            ring: self.identity,
            position: self.ring.position(),
            reported: self.sequences.reported(),
            misses_reported: self.misses_reported,
        }
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
        let counted = self.counters.counted()?;
        self.sequences.look(&counted.made, now_boot_ns, reading);
        let mut lost = Vec::new();
        for gap in self.sequences.take_gaps() {
            let reported = &mut self.ring_full_reported[gap.kind as usize];
            // The kernel counts what did not fit; what is missing beyond that failed before.
            let full =
                counted.ring_full[gap.kind as usize].saturating_sub(*reported).min(gap.count);
            *reported += full;
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

fn note(sequences: &mut Sequences, record: &[u8]) {
    let Some(header) = header(record).filter(|header| header.version == WIRE_VERSION) else {
        return;
    };
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
