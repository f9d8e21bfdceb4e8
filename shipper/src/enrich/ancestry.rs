//! The chain of ancestors of one process: who started it, and what each of them was.
//!
//! Lineage comes from the table, which saw the forks: a parent that ended before the exec is still
//! named, where the kernel's own chain already shows whoever adopted the child. Where the table knows
//! nothing the kernel's chain goes on, and /proc is asked last.

use std::sync::Arc;

use common::decode::comm;
use common::limits::KERNEL_ANCESTORS_MAX;
use common::wire;

use super::COMM_BYTES_MAX;
use super::clock::{Clock, ticks};
use super::identity::Identities;
use super::procfs::Procfs;
use super::table::{ARGS_BYTES_MAX, Program, Standing, Table};
use crate::event::{Ancestor, Bytes, ProcessKey, Source};

/// The key of a process as the kernel names it.
#[must_use]
pub fn key(process: &wire::ProcessId) -> ProcessKey {
    ProcessKey { pid: process.tgid, start_ticks: ticks(process.start_ns) }
}

/// A chain, the parent first, and whether it goes on above the last one.
pub struct Chain {
    /// The ancestors.
    pub list: Vec<Ancestor>,
    /// There are more above.
    pub cut: bool,
}

/// What the chain is made from.
pub struct Walker<'a> {
    /// Who made whom.
    pub table: &'a mut Table,
    /// For processes older than the daemon that the first scan missed.
    pub procfs: &'a Procfs,
    /// For entity ids.
    pub identities: &'a Identities,
    /// For start times.
    pub clock: Clock,
    /// Most ancestors listed.
    pub depth_max: usize,
}

impl Walker<'_> {
    /// Walks up from `process`. `kernel` is the chain the kernel saw at the exec; of an end there is
    /// none.
    pub fn walk(&mut self, process: ProcessKey, kernel: &[wire::Ancestor]) -> Chain {
        let mut list: Vec<Ancestor> = Vec::new();
        let mut below = process;
        loop {
            let Some(parent) = self.parent_of(below, process, kernel) else {
                return Chain { list, cut: false };
            };
            // A chain never visits a process twice; guard against a table that says otherwise.
            let cycle = parent == process || list.iter().any(|seen| seen.key == parent);
            if list.len() == self.depth_max || cycle {
                return Chain { list, cut: true };
            }
            list.push(self.describe(parent, kernel));
            below = parent;
        }
    }

    /// The process that made `below`. `kernel` is the chain the kernel saw at the exec of `process`.
    pub fn parent_of(
        &self,
        below: ProcessKey,
        process: ProcessKey,
        kernel: &[wire::Ancestor],
    ) -> Option<ProcessKey> {
        if let Some((parent, ..)) = self.table.get(below) {
            // Nearly every chain ends at process 1, which has no parent. Without the kernel's chain to
            // show it, /proc would be asked about it at each end of a process.
            if parent.is_some() || kernel.is_empty() {
                return parent;
            }
        }
        if below == process {
            return kernel.first().map(|ancestor| key(&ancestor.process));
        }
        if let Some(at) = kernel.iter().position(|ancestor| key(&ancestor.process) == below) {
            match kernel.get(at + 1) {
                Some(ancestor) => return Some(key(&ancestor.process)),
                // The kernel walked up to a process that has no parent: the case of every exec, so
                // /proc is not asked.
                None if kernel.len() < KERNEL_ANCESTORS_MAX => return None,
                None => {}
            }
        }
        let stat =
            self.procfs.stat(below.pid).filter(|stat| stat.key == below && stat.ppid != 0)?;
        self.procfs.stat(stat.ppid).map(|parent| parent.key)
    }

    /// What the table has of a process, with its program. What /proc said must agree with the name that
    /// the kernel saw at the exec: it was looked up before or afterwards, when the process may have run
    /// something else.
    fn known(
        &mut self,
        key: ProcessKey,
        seen: Option<&wire::Ancestor>,
    ) -> Option<(Arc<Program>, Source)> {
        let (_, program, source) = self.table.get(key)?;
        let program = program?;
        if source == Source::Procfs
            && seen.is_some_and(|seen| !is_named(&program, comm(&seen.comm)))
        {
            self.table.doubt_one(key);
            return None;
        }
        Some((program, source))
    }

    fn describe(&mut self, key: ProcessKey, kernel: &[wire::Ancestor]) -> Ancestor {
        let seen = kernel.iter().find(|ancestor| self::key(&ancestor.process) == key);
        let mut known = self.known(key, seen);
        if known.is_none() && seed(self.table, self.procfs, key.pid) == Some(key) {
            known = self.known(key, seen);
        }
        let (program, source) = match known {
            Some((program, source)) => (Some(program), source),
            None => (None, if seen.is_some() { Source::Kernel } else { Source::Unknown }),
        };
        let name = match (&program, seen) {
            (Some(program), _) => program.name.clone(),
            (None, Some(ancestor)) => Bytes::from(comm(&ancestor.comm)),
            (None, None) => Bytes::default(),
        };
        let start = match seen {
            Some(ancestor) => self.clock.wall(ancestor.process.start_ns),
            None => self.table.start(key, self.clock),
        };
        Ancestor {
            key,
            entity_id: self.identities.process(key),
            start,
            comm: name,
            executable: program.as_ref().and_then(|program| program.executable.clone()),
            args: program.and_then(|program| program.args.clone()),
            source,
        }
    }
}

/// Whether this is the name of a task that runs it. The kernel cuts names; the table has them whole. Of a
/// kernel worker /proc says after the name what it is at.
fn is_named(program: &Program, comm: &[u8]) -> bool {
    let may_be_longer = comm.len() == COMM_BYTES_MAX || program.executable.is_none();
    *program.name == *comm || (may_be_longer && program.name.starts_with(comm))
}

/// Puts a living process into the table, from /proc. Its parent is put in by key only.
pub fn seed(table: &mut Table, procfs: &Procfs, pid: u32) -> Option<ProcessKey> {
    let stat = procfs.stat(pid)?;
    let parent = match stat.ppid {
        0 => None,
        ppid => procfs.stat(ppid).map(|parent| parent.key),
    };
    let executable = procfs.executable(pid);
    let args = procfs.args(pid, ARGS_BYTES_MAX);
    let name = super::full_name(&stat.comm, executable.as_deref());
    // Of a process that ended meanwhile this may be the half of it.
    let runs = procfs.stat(pid).is_some_and(|now| now.key == stat.key && !now.has_ended);
    let program = runs.then(|| table.program(name, executable, args.as_ref()));
    if table.found(stat.key, parent, program) {
        let (euid, container) = (procfs.euid(pid), procfs.container_id(pid));
        table.stand(
            stat.key,
            Standing { sid: stat.sid, pgid: stat.pgid, tty: stat.tty, euid, container },
        );
    }
    // What was read belongs to this process only if it is still the same.
    procfs.is_alive(stat.key).then_some(stat.key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const NS: u64 = 10_000_000;

    fn ancestor(pid: u32, name: &str) -> wire::Ancestor {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name.as_bytes());
        let process = wire::ProcessId { start_ns: u64::from(pid) * NS, tgid: pid, reserved: 0 };
        wire::Ancestor { process, comm }
    }

    fn pkey(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_ticks: u64::from(pid) }
    }

    fn walk(
        table: &mut Table,
        depth_max: usize,
        kernel: &[wire::Ancestor],
    ) -> (Vec<(u32, String, Source)>, bool) {
        let identities = Identities::new("h", "b");
        let procfs = Procfs::new(Path::new("/nonexistent"));
        let clock = Clock::now();
        let mut walker =
            Walker { table, procfs: &procfs, identities: &identities, clock, depth_max };
        let chain = walker.walk(pkey(100), kernel);
        let names = chain
            .list
            .into_iter()
            .map(|a| (a.key.pid, String::from_utf8_lossy(&a.comm).into_owned(), a.source))
            .collect();
        (names, chain.cut)
    }

    fn exec(table: &mut Table, pid: u32, name: &str) {
        let program = table.program(name.as_bytes().into(), None, None);
        table.exec(pkey(pid), None, program);
    }

    #[test]
    fn a_parent_that_ended_before_the_exec_is_named_not_the_adopter() {
        let mut table = Table::new(100);
        exec(&mut table, 1, "init");
        table.fork(pkey(1), pkey(50));
        exec(&mut table, 50, "cron");
        table.fork(pkey(50), pkey(100));
        table.exit(pkey(50));
        let (names, cut) = walk(&mut table, 16, &[ancestor(1, "init")]);
        let expected = [(50, "cron".into(), Source::Event), (1, "init".into(), Source::Event)];
        assert_eq!((names.as_slice(), cut), (&expected[..], false));
    }

    #[test]
    fn what_proc_said_of_an_ancestor_is_not_told_under_another_name_than_the_kernel_saw() {
        let mut table = Table::new(100);
        let sources = |table: &mut Table, seen: &str| {
            let executable = Some(b"/bin/a-long-name-of-a-file".as_slice().into());
            let program =
                table.program(b"a-long-name-of-a-file".as_slice().into(), executable, None);
            table.found(pkey(50), None, Some(program));
            walk(table, 16, &[ancestor(50, seen)]).0[0].clone()
        };
        let whole = (50, "a-long-name-of-a-file".to_owned(), Source::Procfs);
        assert_eq!(sources(&mut table, "a-long-name-of-"), whole);
        for other in ["other", "a-long"] {
            assert_eq!(sources(&mut table, other), (50, other.to_owned(), Source::Kernel));
        }
    }

    #[test]
    fn a_kernel_worker_is_known_with_what_it_is_at() {
        let mut table = Table::new(100);
        let program = table.program(b"kworker/0:1-events".as_slice().into(), None, None);
        table.found(pkey(50), None, Some(program));
        let whole = (50, "kworker/0:1-events".to_owned(), Source::Procfs);
        assert_eq!(walk(&mut table, 16, &[ancestor(50, "kworker/0:1")]).0, [whole]);
    }

    #[test]
    fn what_only_the_kernel_saw_has_a_name_and_says_so() {
        let mut table = Table::new(100);
        let (names, _) = walk(&mut table, 16, &[ancestor(9, "sh"), ancestor(1, "init")]);
        assert_eq!(names, [(9, "sh".into(), Source::Kernel), (1, "init".into(), Source::Kernel)]);
    }

    #[test]
    fn the_table_and_the_kernel_continue_each_other() {
        let mut table = Table::new(100);
        exec(&mut table, 60, "make");
        table.fork(pkey(60), pkey(100)); // The table does not know who made 60.
        let (names, _) = walk(&mut table, 16, &[ancestor(60, "make"), ancestor(7, "sshd")]);
        assert_eq!(names, [(60, "make".into(), Source::Event), (7, "sshd".into(), Source::Kernel)]);
    }

    #[test]
    fn the_chain_ends_where_the_kernels_does_and_proc_is_asked_only_above_a_cut_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let stat = |pid: u32, ppid: u32| {
            let zeros = "0 ".repeat(17);
            std::fs::create_dir(dir.path().join(pid.to_string())).expect("writable");
            let text = format!("{pid} (p{pid}) S {ppid} {zeros}{pid} 0 0\n");
            std::fs::write(dir.path().join(format!("{pid}/stat")), text).expect("writable");
        };
        stat(20, 19);
        stat(19, 0);
        let ancestors = |count| (0..count).map(move |up| ancestor(20 + count - 1 - up, "p"));
        let length = |count: u32| {
            let kernel: Vec<_> = ancestors(count).collect();
            let (identities, clock) = (Identities::new("h", "b"), Clock::now());
            let procfs = Procfs::new(dir.path());
            let mut table = Table::new(100);
            exec(&mut table, 20, "top"); // The table does not know who made 20.
            let (table, procfs, identities) = (&mut table, &procfs, &identities);
            let mut walker = Walker { table, procfs, identities, clock, depth_max: 100 };
            walker.walk(pkey(100), &kernel).list.len()
        };
        assert_eq!(length(3), 3);
        let most = KERNEL_ANCESTORS_MAX as u32;
        assert_eq!(length(most), KERNEL_ANCESTORS_MAX + 1, "process 19 is only in /proc");
    }

    #[test]
    fn an_ancestor_that_was_evicted_is_no_event_any_more_and_says_so() {
        let mut table = Table::new(3);
        exec(&mut table, 50, "cron");
        table.fork(pkey(50), pkey(60));
        exec(&mut table, 60, "sh");
        table.fork(pkey(60), pkey(100));
        table.exit(pkey(50));
        let kernel = [ancestor(60, "sh"), ancestor(50, "cron")];
        let expected = |cron| -> [(u32, String, Source); 2] {
            [(60, "sh".into(), Source::Event), (50, "cron".into(), cron)]
        };
        assert_eq!(walk(&mut table, 16, &kernel).0, expected(Source::Event));
        table.fork(pkey(60), pkey(101));
        assert_eq!(table.evicted(), 1);
        assert_eq!(walk(&mut table, 16, &kernel).0, expected(Source::Kernel));
        let nobody = walk(&mut table, 16, &[]).0;
        assert_eq!(nobody[1], (50, String::new(), Source::Unknown));
    }

    #[test]
    fn a_parent_nobody_knows_is_unknown_not_left_out() {
        let mut table = Table::new(100);
        table.fork(pkey(70), pkey(100));
        let (names, cut) = walk(&mut table, 16, &[]);
        assert_eq!((names.as_slice(), cut), (&[(70, String::new(), Source::Unknown)][..], false));
    }

    #[test]
    fn a_deep_chain_is_cut_with_a_mark_and_a_cycle_ends() {
        let mut table = Table::new(1000);
        for pid in (101..150).rev() {
            table.fork(pkey(pid + 1), pkey(pid));
        }
        table.fork(pkey(101), pkey(100));
        let (names, cut) = walk(&mut table, 5, &[]);
        assert_eq!((names.len(), cut), (5, true));
        let mut table = Table::new(10);
        table.fork(pkey(100), pkey(101));
        table.fork(pkey(101), pkey(100));
        let (names, cut) = walk(&mut table, 5, &[]);
        assert_eq!((names.len(), cut), (1, true));
    }
}
