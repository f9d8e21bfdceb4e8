//! The end of a process as an event: what the record says of how it ended, and what the table knew of
//! the process until then. The kernel's record has no more than that; /proc has forgotten the rest.

use std::collections::{HashSet, VecDeque};

use common::wire::{self, Header};

use super::Enricher;
use super::ancestry::key;
use super::clock::wall_now;
use super::leaders::{self, Described};
use super::table::Standing;
use crate::event::{Ancestor, Exit, Membership, ProcessKey, Source, WaitStatus};

/// Most ended processes remembered. Two threads that end together may both report the end of their
/// process; between the two there is what other CPUs report meanwhile. It is some hundred KB.
const ENDED_MAX: usize = 4096;

/// Processes that ended lately.
#[derive(Default)]
pub(super) struct Ended {
    known: HashSet<ProcessKey>,
    /// The same, oldest first.
    order: VecDeque<ProcessKey>,
}

impl Ended {
    /// Remembers it. False when it is known already.
    fn is_new(&mut self, key: ProcessKey) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        if self.order.len() == ENDED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }
}

impl Enricher {
    /// The end of a process, which the table forgets with it. `None` when it was reported before, or is
    /// left out.
    pub fn end(&mut self, header: &Header, record: &wire::Exit) -> Option<Exit> {
        let key = key(&record.process);
        if !self.ended.is_new(key) {
            return None;
        }
        if record.left_out != 0 {
            self.table.exit(key);
            return None;
        }
        let program = match self.table.get(key) {
            Some((_, Some(program), source)) => Some((program, source)),
            _ => None,
        };
        let source = program.as_ref().map_or(Source::Unknown, |(_, source)| *source);
        let program = program.map(|(program, _)| program);
        let mut walker = self.walker();
        let chain = walker.walk(key, &[]);
        let entry = leaders::entry(&walker, key, &chain, &[]);
        let start = self.clock.wall(record.process.start_ns);
        let standing = self.table.standing(key).cloned().unwrap_or_default();
        let of = Described {
            table: &self.table,
            identities: &self.identities,
            // Whether its users are the host's is known of an execution only.
            users: None,
            clock: self.clock,
            started: (key, start),
            chain: &chain.list,
        };
        let (pgid, sid) = (standing.pgid.unwrap_or(0), standing.sid.unwrap_or(0));
        let (group_leader, session_leader, entry_leader) = of.leaders(pgid, sid, entry);
        let Standing { tty, euid, .. } = standing;
        let member = Membership { group_leader, session_leader, entry_leader, tty, euid };
        self.table.exit(key);
        Some(Exit {
            id: self.identities.exit(key),
            time: self.clock.wall(header.boot_ns),
            boot_ns: header.boot_ns,
            read: wall_now(),
            cpu: header.cpu,
            sequence: header.sequence,
            host: self.host.clone(),
            process: Ancestor {
                key,
                entity_id: self.identities.process(key),
                start,
                comm: program.as_ref().map(|program| program.name.clone()).unwrap_or_default(),
                executable: program.as_ref().and_then(|program| program.executable.clone()),
                args: program.and_then(|program| program.args.clone()),
                source,
            },
            member,
            status: WaitStatus::of_record(record.exit_code),
            duration_ns: header.boot_ns.saturating_sub(record.process.start_ns),
            ancestry: chain.list,
            ancestry_cut: chain.cut,
            matches: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::StateDirs;
    use crate::event::Args;

    const SECOND: u64 = 1_000_000_000;

    fn process(pid: u32) -> wire::ProcessId {
        wire::ProcessId { start_ns: u64::from(pid) * SECOND, tgid: pid, reserved: 0 }
    }

    /// Far from every pid of this machine, since /proc is asked about ancestors nobody knows.
    const PARENT: u32 = 4_200_000;
    const CHILD: u32 = PARENT + 1;

    fn end(enricher: &mut Enricher, pid: u32, exit_code: u32) -> Option<Exit> {
        let header = Header {
            version: wire::WIRE_VERSION,
            kind: wire::RecordKind::Exit as u16,
            bytes: 0,
            sequence: 7,
            boot_ns: u64::from(pid) * SECOND + 250_000_000,
            cpu: 1,
            reserved: 0,
        };
        enricher.end(&header, &wire::Exit { process: process(pid), exit_code, left_out: 0 })
    }

    fn executes(enricher: &mut Enricher, pid: u32, name: &str) {
        let args = Args { list: vec![name.as_bytes().into()], count: 1, ..Args::default() };
        let path = format!("/bin/{name}").into_bytes().into();
        let program = enricher.table.program(name.as_bytes().into(), Some(path), Some(&args));
        enricher.table.exec(key(&process(pid)), None, program);
    }

    #[test]
    fn an_end_tells_what_the_table_knew_of_the_process_and_the_table_forgets_it() {
        let mut enricher = Enricher::new(16, StateDirs::default());
        executes(&mut enricher, PARENT, "make");
        enricher.fork(&wire::Fork { parent: process(PARENT), child: process(CHILD) });
        executes(&mut enricher, CHILD, "cc");
        let exit = end(&mut enricher, CHILD, 9).expect("an event");
        assert_eq!((&*exit.process.comm, exit.process.source), (&b"cc"[..], Source::Event));
        assert_eq!(exit.process.executable.as_deref(), Some(&b"/bin/cc"[..]));
        assert_eq!(exit.process.args.as_ref().map(|args| args.count), Some(1));
        assert_eq!((exit.status.code(), exit.duration_ns, exit.sequence), (137, SECOND / 4, 7));
        assert_eq!(exit.time.0 - exit.process.start.0, exit.duration_ns);
        assert_eq!(exit.process.entity_id, enricher.identities.process(key(&process(CHILD))));
        assert_ne!(exit.id, exit.process.entity_id);
        let names: Vec<&[u8]> = exit.ancestry.iter().map(|ancestor| &*ancestor.comm).collect();
        assert_eq!((names, exit.ancestry_cut), (vec![&b"make"[..]], false));
        assert!(enricher.table.get(key(&process(CHILD))).is_none());
    }

    #[test]
    fn a_process_that_never_executed_ends_as_what_its_parent_ran() {
        let mut enricher = Enricher::new(16, StateDirs::default());
        executes(&mut enricher, PARENT, "sh");
        enricher.fork(&wire::Fork { parent: process(PARENT), child: process(CHILD) });
        // The parent ends first, and is named all the same.
        assert!(end(&mut enricher, PARENT, 0).is_some());
        let exit = end(&mut enricher, CHILD, 0).expect("an event");
        assert_eq!(&*exit.process.comm, b"sh");
        assert_eq!(exit.ancestry[0].key, key(&process(PARENT)));
        assert!(enricher.table.is_empty());
    }

    #[test]
    fn a_process_nobody_knows_ends_with_what_the_record_says() {
        let mut enricher = Enricher::new(16, StateDirs::default());
        let exit = end(&mut enricher, CHILD, 7 << 8).expect("an event");
        assert_eq!(exit.process.source, Source::Unknown);
        assert_eq!((exit.process.key.pid, exit.status.code()), (CHILD, 7));
        assert!(exit.process.comm.is_empty() && exit.process.args.is_none());
        assert!(exit.ancestry.is_empty());
    }

    #[test]
    fn a_second_report_of_the_same_end_is_no_second_event() {
        let mut enricher = Enricher::new(16, StateDirs::default());
        executes(&mut enricher, CHILD, "cc");
        assert!(end(&mut enricher, CHILD, 0).is_some());
        assert!(end(&mut enricher, CHILD, 0).is_none());
        assert!(end(&mut enricher, PARENT, 0).is_some(), "known to nobody, and reported once");
        assert!(end(&mut enricher, PARENT, 0).is_none());
    }

    #[test]
    fn the_memory_of_ends_is_bounded_and_the_oldest_goes_first() {
        let mut ended = Ended::default();
        let key = |pid| ProcessKey { pid, start_ticks: 1 };
        let most = u32::try_from(ENDED_MAX).expect("a few");
        assert!((0..=most).all(|pid| ended.is_new(key(pid))));
        assert_eq!((ended.known.len(), ended.order.len()), (ENDED_MAX, ENDED_MAX));
        assert!(!ended.is_new(key(1)), "the second is known");
        assert!(ended.is_new(key(0)), "the first is forgotten");
    }
}
