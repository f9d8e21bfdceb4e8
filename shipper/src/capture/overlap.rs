//! Records that two sets of programs both made, while new ones were attached already and old ones
//! not yet gone: of the same fork, exec or exit. Each is handed over once.

use std::collections::{HashMap, HashSet};

use common::decode::{ExecRecord, Record, decode, header};
use common::wire::ProcessId;

/// Within this of each other, two records of one process that say the same are of the same exec. Both
/// programs run in one go, microseconds apart; a virtual machine may be stopped in between. A process
/// does not execute the same program with the same arguments twice in this time and is seen by only
/// one of the programs each time.
const APART_NS: u64 = 50_000_000;

/// Most records remembered. An overlap lasts milliseconds; after a crash in the middle of one it may
/// be a whole ring. What is not remembered is handed over twice.
const RECORDS_MAX: usize = 262_144;

type Process = (u32, u64);

fn key(process: &ProcessId) -> Process {
    (process.tgid, process.start_ns)
}

/// An exec as both programs describe it alike, whatever their mode and limits.
#[derive(PartialEq, Eq)]
struct Executed {
    comm: [u8; 16],
    argc: u32,
    argv_bytes: u64,
    device: u32,
    inode: u64,
    errno: u32,
}

/// What was read from older rings.
#[derive(Default)]
struct Seen {
    forks: HashSet<Process>,
    exits: HashSet<Process>,
    execs: HashMap<Process, Vec<(u64, Executed)>>,
    count: usize,
    last_boot_ns: u64,
}

/// The memory of the older rings.
#[derive(Default)]
pub struct Overlap {
    /// Of rings read to their end.
    known: Seen,
    /// Of the ring being read.
    current: Seen,
}

impl Overlap {
    /// A record of a ring that a newer one, begun at `next_begun_boot_ns`, follows.
    pub fn note(&mut self, record: &[u8], next_begun_boot_ns: u64) {
        let (Some(header), Ok(record)) = (header(record), decode(record)) else { return };
        let seen = &mut self.current;
        if !seen.takes(header.boot_ns, next_begun_boot_ns) {
            return;
        }
        match record {
            // An execution that is left out: to be told of it twice does no harm.
            Record::Fork(_, fork) if key(&fork.parent) == key(&fork.child) => {}
            Record::Fork(_, fork) => {
                seen.forks.insert(key(&fork.child));
            }
            Record::Exit(_, exit) => {
                seen.exits.insert(key(&exit.process));
            }
            Record::Exec(exec) | Record::Failure(exec) => {
                let execs = seen.execs.entry(key(&exec.exec.process)).or_default();
                execs.push((header.boot_ns, executed(&exec)));
            }
        }
    }

    /// The ring that was being read is read to its end.
    pub fn next_ring(&mut self) {
        let current = std::mem::take(&mut self.current);
        self.known.forks.extend(current.forks);
        self.known.exits.extend(current.exits);
        for (process, execs) in current.execs {
            self.known.execs.entry(process).or_default().extend(execs);
        }
        self.known.count += current.count;
        self.known.last_boot_ns = self.known.last_boot_ns.max(current.last_boot_ns);
    }

    /// Whether an older ring had this record, which is then forgotten.
    pub fn repeats(&mut self, record: &[u8]) -> bool {
        if self.known.count == 0 {
            return false;
        }
        match decode(record) {
            Ok(Record::Fork(_, fork)) if key(&fork.parent) == key(&fork.child) => false,
            Ok(Record::Fork(_, fork)) => self.known.forks.remove(&key(&fork.child)),
            Ok(Record::Exit(_, exit)) => self.known.exits.remove(&key(&exit.process)),
            Ok(Record::Exec(exec) | Record::Failure(exec)) => {
                let Some(execs) = self.known.execs.get_mut(&key(&exec.exec.process)) else {
                    return false;
                };
                let wanted = executed(&exec);
                let same = |(boot_ns, executed): &(u64, Executed)| {
                    exec.header.boot_ns.abs_diff(*boot_ns) <= APART_NS && *executed == wanted
                };
                let Some(at) = execs.iter().position(same) else { return false };
                execs.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// Forgets everything: the newest ring was read beyond the overlap.
    pub fn end(&mut self) {
        self.known = Seen::default();
    }

    /// A record of the newest ring was read: behind the overlap everything is forgotten.
    pub fn end_before(&mut self, record: &[u8]) {
        let end = self.known.last_boot_ns.saturating_add(APART_NS);
        if self.known.count > 0 && header(record).is_some_and(|header| header.boot_ns > end) {
            self.end();
        }
    }

    /// Whether nothing that may come is known to repeat.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.known.count == 0
    }
}

impl Seen {
    fn takes(&mut self, boot_ns: u64, next_begun_boot_ns: u64) -> bool {
        if boot_ns.saturating_add(APART_NS) < next_begun_boot_ns {
            return false;
        }
        self.last_boot_ns = self.last_boot_ns.max(boot_ns);
        self.count += 1;
        if self.count == RECORDS_MAX {
            tracing::warn!("two sets of programs ran side by side for long: events may come twice");
        }
        self.count <= RECORDS_MAX
    }
}

fn executed(record: &ExecRecord<'_>) -> Executed {
    let exec = &record.exec;
    Executed {
        comm: exec.comm,
        argc: exec.argc,
        argv_bytes: exec.argv_bytes,
        device: exec.binary.device,
        inode: exec.binary.inode,
        errno: exec.errno,
    }
}

#[cfg(test)]
mod tests {
    use common::wire::{Exec, Exit, Fork, Header, RecordKind, WIRE_VERSION};

    use super::*;

    const MS: u64 = 1_000_000;

    /// A record about process `tgid`, whose fixed part is zero but for what is looked at here.
    fn record(kind: RecordKind, tgid: u32, boot_ns: u64, argc: u32) -> Vec<u8> {
        let (fixed, process_at) = match kind {
            RecordKind::Fork => (size_of::<Fork>(), std::mem::offset_of!(Fork, child)),
            RecordKind::Exit => (size_of::<Exit>(), std::mem::offset_of!(Exit, process)),
            _ => (size_of::<Exec>(), std::mem::offset_of!(Exec, process)),
        };
        let header = size_of::<Header>();
        let mut bytes = vec![0; header + fixed];
        let length = u32::try_from(bytes.len()).expect("short");
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &WIRE_VERSION.to_ne_bytes());
        put(2, &(kind as u16).to_ne_bytes());
        put(4, &length.to_ne_bytes());
        put(16, &boot_ns.to_ne_bytes());
        put(header + process_at + std::mem::offset_of!(ProcessId, tgid), &tgid.to_ne_bytes());
        if kind == RecordKind::Exec {
            put(header + std::mem::offset_of!(Exec, argc), &argc.to_ne_bytes());
        }
        bytes
    }

    fn exec(tgid: u32, boot_ns: u64, argc: u32) -> Vec<u8> {
        record(RecordKind::Exec, tgid, boot_ns, argc)
    }

    #[test]
    fn what_both_rings_have_is_known_once_each() {
        let mut overlap = Overlap::default();
        for kind in [RecordKind::Fork, RecordKind::Exit, RecordKind::Exec] {
            overlap.note(&record(kind, 7, 500 * MS, 1), 400 * MS);
        }
        assert!(!overlap.repeats(&exec(7, 500 * MS, 1)), "a ring does not repeat itself");
        overlap.next_ring();
        for kind in [RecordKind::Fork, RecordKind::Exit, RecordKind::Exec] {
            assert!(!overlap.repeats(&record(kind, 8, 500 * MS, 1)), "another process");
            assert!(overlap.repeats(&record(kind, 7, 501 * MS, 1)), "{kind:?}");
            assert!(!overlap.repeats(&record(kind, 7, 501 * MS, 1)), "only once");
        }
    }

    #[test]
    fn a_process_that_executes_again_is_not_taken_for_a_repetition() {
        let mut overlap = Overlap::default();
        overlap.note(&exec(7, 500 * MS, 1), 0);
        overlap.note(&exec(7, 502 * MS, 1), 0);
        overlap.next_ring();
        assert!(!overlap.repeats(&exec(7, 501 * MS, 2)), "with other arguments");
        assert!(!overlap.repeats(&exec(7, 600 * MS, 1)), "later");
        assert!(overlap.repeats(&exec(7, 501 * MS, 1)));
        assert!(overlap.repeats(&exec(7, 503 * MS, 1)));
        assert!(!overlap.repeats(&exec(7, 504 * MS, 1)));
    }

    #[test]
    fn what_came_before_the_newer_programs_need_not_be_remembered() {
        let mut overlap = Overlap::default();
        overlap.note(&exec(7, 100 * MS, 1), 400 * MS);
        overlap.next_ring();
        assert!(overlap.is_over());
    }

    #[test]
    fn it_is_over_when_the_newer_ring_was_read_beyond_the_end_of_the_older() {
        let mut overlap = Overlap::default();
        overlap.note(&exec(7, 500 * MS, 1), 0);
        overlap.next_ring();
        overlap.end_before(&exec(8, 520 * MS, 1));
        assert!(!overlap.is_over());
        overlap.end_before(&exec(8, 551 * MS, 1));
        assert!(overlap.is_over());
        assert!(!overlap.repeats(&exec(7, 500 * MS, 1)));
    }

    #[test]
    fn records_of_another_version_are_not_looked_into() {
        let mut overlap = Overlap::default();
        let mut other = exec(7, 500 * MS, 1);
        other[0] = 99;
        overlap.note(&other, 0);
        overlap.next_ring();
        assert!(overlap.is_over());
        assert!(!overlap.repeats(&other));
    }
}
