//! The process table: who made whom, and what each runs. Fed by fork, exec and exit, seeded from
//! /proc at start. It answers for processes that ended long before the question.
//!
//! An entry stays while its process lives or has descendants in the table. Entries and bytes are
//! bounded; what the bounds cost is counted, and shows in events as a less sure source.
//!
//! When executions were lost, any process that lived then may run something else by now. What it runs is
//! not told again before it is seen anew, in a record or in /proc: no program is better than a wrong one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clock::Clock;
use crate::event::{Args, Bytes, ProcessKey, Source, WallTime};
use crate::redact::Redactor;

/// Fewest entries that an operator may ask for: an idle machine has some hundred processes.
pub const ENTRIES_MIN: usize = 1024;

/// Most bytes of one process's arguments kept for its descendants' events.
pub const ARGS_BYTES_MAX: usize = 4096;

/// Bytes of programs for each entry that there may be, on average: all together have so many times the
/// entries, and beyond that arguments are left out. Processes that only forked share one.
const PROGRAM_BYTES_EACH: usize = 384;

/// What a process runs. Shared by a process and those it forked.
#[derive(Debug)]
pub struct Program {
    /// Name: the task's, or the file's where that is longer.
    pub name: Bytes,
    /// Path of the binary; `None` for kernel threads.
    pub executable: Option<Bytes>,
    /// Arguments; `None` for kernel threads.
    pub args: Option<Arc<Args>>,
    bytes: usize,
    budget: Arc<AtomicUsize>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.budget.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What is known of a process beside its program, as last seen: at its exec, at its fork from a
/// process of which it was known, or in /proc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its session, which is the pid of the session's leader.
    pub sid: Option<u32>,
    /// Its process group, which is the pid of the group's leader.
    pub pgid: Option<u32>,
    /// Controlling terminal, device (major, minor).
    pub tty: Option<(u32, u32)>,
    /// Effective user.
    pub euid: Option<u32>,
    /// Id of the container it is in.
    pub container: Option<Arc<str>>,
}

/// [`Entry::as_of`] of a process that ended with its program known: it will not execute another.
const FOR_GOOD: u64 = u64::MAX;

struct Entry {
    parent: Option<ProcessKey>,
    program: Option<Arc<Program>>,
    /// [`Table::doubts`] when the program was seen; a later doubt is about this one, too.
    as_of: u64,
    standing: Standing,
    /// Start in nanoseconds since boot, where the kernel told it.
    start_ns: Option<u64>,
    source: Source,
    children: u32,
    exited: bool,
}

/// The table.
pub struct Table {
    entries: HashMap<ProcessKey, Entry>,
    /// Newest process of each pid.
    by_pid: HashMap<u32, ProcessKey>,
    /// Ended processes that still have descendants, oldest first; may hold keys already removed.
    ended: VecDeque<ProcessKey>,
    /// Processes that are not in the table and have children there, and how many. Each entry counts
    /// for at most one.
    absent: HashMap<ProcessKey, u32>,
    entries_max: usize,
    budget: Arc<AtomicUsize>,
    redactor: Option<Arc<Redactor>>,
    evicted: u64,
    /// How often executions turned out to be lost.
    doubts: u64,
    /// The last of these after which nothing was left in doubt.
    settled: u64,
}

impl Table {
    /// An empty table of at most so many entries.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Table {
            entries: HashMap::new(),
            by_pid: HashMap::new(),
            ended: VecDeque::new(),
            absent: HashMap::new(),
            entries_max,
            budget: Arc::new(AtomicUsize::new(0)),
            redactor: None,
            evicted: 0,
            doubts: 0,
            settled: 0,
        }
    }

    /// Secrets are taken out of the arguments that come in from now on.
    pub fn redact(&mut self, redactor: Option<Arc<Redactor>>) {
        self.redactor = redactor;
    }

    /// Makes a program, its arguments without secrets and cut to what the table keeps.
    #[must_use]
    pub fn program(
        &self,
        name: Bytes,
        executable: Option<Bytes>,
        args: Option<&Args>,
    ) -> Arc<Program> {
        let most = self.entries_max.max(ENTRIES_MIN) * PROGRAM_BYTES_EACH;
        let room = most.saturating_sub(self.budget.load(Ordering::Relaxed));
        let args = args.map(|args| {
            // Before the cut, which could leave a part of a secret that is not known by itself.
            let redacted = self.redactor.as_ref().and_then(|redactor| redactor.args(args));
            Arc::new(cut(redacted.as_ref().unwrap_or(args), ARGS_BYTES_MAX.min(room)))
        });
        let bytes = name.len()
            + executable.as_ref().map_or(0, |path| path.len())
            + args.as_ref().map_or(0, |args| args.list.iter().map(|arg| arg.len() + 16).sum());
        self.budget.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Program { name, executable, args, bytes, budget: self.budget.clone() })
    }

    /// A process was made. It runs what its parent runs until it executes.
    ///
    /// The child may be known already: a scan of /proc that overtook its fork in the ring. What
    /// /proc shows as its parent is whoever adopted it, when the real one has ended by then; and where
    /// the child had ended by then, /proc did not say what it ran.
    pub fn fork(&mut self, parent: ProcessKey, child: ProcessKey) {
        let (program, as_of, standing, source) = match self.entries.get(&parent) {
            // A parent may have ended by now; when it forked, it was in doubt as far as it is now.
            Some(entry) => {
                let as_of = entry.as_of.min(self.doubts);
                (entry.program.clone(), as_of, entry.standing.clone(), entry.source)
            }
            None => (None, self.doubts, Standing::default(), Source::Unknown),
        };
        if let Some(entry) = self.entries.get_mut(&child) {
            if entry.parent != Some(parent) {
                let adopter = entry.parent.replace(parent);
                self.count_child(parent);
                if let Some(adopter) = adopter.and_then(|adopter| self.uncount_child(adopter)) {
                    self.remove(adopter);
                }
            }
            if let Some(entry) = self.entries.get_mut(&child)
                && entry.program.is_none()
            {
                (entry.program, entry.as_of, entry.source) = (program, as_of, source);
            }
            return;
        }
        self.insert(child, Some(parent), program, source);
        if let Some(entry) = self.entries.get_mut(&child) {
            entry.as_of = as_of;
            entry.standing = standing;
        }
    }

    /// A process executes a program. `parent` counts when the process is not known yet.
    pub fn exec(&mut self, key: ProcessKey, parent: Option<ProcessKey>, program: Arc<Program>) {
        match self.entries.get_mut(&key) {
            Some(entry) => {
                entry.program = Some(program);
                entry.as_of = self.doubts;
                entry.source = Source::Event;
            }
            None => self.insert(key, parent, Some(program), Source::Event),
        }
    }

    /// A process found in /proc. False when it is known already, beyond doubt, what it runs: that stays.
    pub fn found(
        &mut self,
        key: ProcessKey,
        parent: Option<ProcessKey>,
        program: Option<Arc<Program>>,
    ) -> bool {
        match self.entries.get_mut(&key) {
            Some(entry) => {
                if entry.program.is_some() && entry.as_of >= self.doubts {
                    return false;
                }
                entry.program = program;
                entry.as_of = self.doubts;
                entry.source = Source::Procfs;
            }
            None => self.insert(key, parent, program, Source::Procfs),
        }
        true
    }

    /// What is known of a process beside its program, from now on.
    pub fn stand(&mut self, key: ProcessKey, standing: Standing) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.standing = standing;
        }
    }

    /// A process leads the session of its pid, as was seen of another one in it: it may have begun it
    /// without executing anything since. `tty` is the terminal of the session.
    pub fn leads_session(&mut self, key: ProcessKey, tty: Option<(u32, u32)>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.standing.sid != Some(key.pid) {
                // It had left behind the terminal of the old one.
                let own = Some(key.pid);
                entry.standing = Standing { sid: own, pgid: own, tty, ..entry.standing.clone() };
            } else if tty.is_some() {
                entry.standing.tty = tty;
            }
        }
    }

    /// A process leads the group of its pid, as was seen of another one in it: a shell with jobs makes one
    /// for each subshell, which may execute nothing itself.
    pub fn leads_group(&mut self, key: ProcessKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.standing.pgid = Some(key.pid);
        }
    }

    /// The kernel told when a process started, more finely than its key does.
    pub fn started(&mut self, key: ProcessKey, start_ns: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.start_ns = Some(start_ns);
        }
    }

    /// When a process started: to the nanosecond where the kernel told it, else to 10 ms.
    #[must_use]
    pub fn start(&self, key: ProcessKey, clock: Clock) -> WallTime {
        match self.entries.get(&key).and_then(|entry| entry.start_ns) {
            Some(start_ns) => clock.wall(start_ns),
            None => clock.wall_of_ticks(key.start_ticks),
        }
    }

    /// What is known of a process beside its program.
    #[must_use]
    pub fn standing(&self, key: ProcessKey) -> Option<&Standing> {
        self.entries.get(&key).map(|entry| &entry.standing)
    }

    /// A process ended.
    pub fn exit(&mut self, key: ProcessKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.exited {
            return;
        }
        entry.exited = true;
        if entry.as_of == self.doubts {
            entry.as_of = FOR_GOOD;
        }
        if entry.children == 0 {
            self.remove(key);
        } else {
            self.ended.push_back(key);
        }
    }

    /// Ends every process that `alive` denies: after exit records were lost.
    pub fn reconcile(&mut self, alive: impl Fn(ProcessKey) -> bool) {
        let gone: Vec<ProcessKey> = self
            .entries
            .iter()
            .filter(|(key, entry)| !entry.exited && !alive(**key))
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.exit(key);
        }
    }

    /// Executions were lost: what the processes that live now run is in doubt.
    pub fn doubt(&mut self) {
        self.doubts += 1;
    }

    /// What this process runs is in doubt, whatever was lost.
    pub fn doubt_one(&mut self, key: ProcessKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.program = None;
        }
    }

    /// Living processes whose program is in doubt, so many at most.
    #[must_use]
    pub fn in_doubt(&mut self, most: usize) -> Vec<ProcessKey> {
        // Else all entries would be gone through each second for ever.
        if self.settled == self.doubts {
            return Vec::new();
        }
        let entries = self.entries.iter();
        let found: Vec<ProcessKey> = entries
            .filter(|(_, entry)| !entry.exited && entry.as_of < self.doubts)
            .map(|(key, _)| *key)
            .take(most)
            .collect();
        if found.is_empty() {
            self.settled = self.doubts;
        }
        found
    }

    /// Parent and program of a process; no program while that is in doubt.
    #[must_use]
    pub fn get(
        &self,
        key: ProcessKey,
    ) -> Option<(Option<ProcessKey>, Option<Arc<Program>>, Source)> {
        let entry = self.entries.get(&key)?;
        let program = entry.program.as_ref().filter(|_| entry.as_of >= self.doubts);
        Some((entry.parent, program.cloned(), entry.source))
    }

    /// The newest process of a pid.
    #[must_use]
    pub fn newest(&self, pid: u32) -> Option<ProcessKey> {
        self.by_pid.get(&pid).copied()
    }

    /// Entries now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries that had to go, or could not come in, for lack of room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn insert(
        &mut self,
        key: ProcessKey,
        parent: Option<ProcessKey>,
        program: Option<Arc<Program>>,
        source: Source,
    ) {
        if let Some(older) = self.by_pid.get(&key.pid).copied()
            && older != key
        {
            self.exit(older); // Its own exit was lost.
        }
        if self.entries.contains_key(&key) {
            return;
        }
        if self.entries.len() >= self.entries_max && !self.evict() {
            self.evicted += 1;
            return;
        }
        if let Some(parent) = parent {
            self.count_child(parent);
        }
        // Children may be known before their parent: the scan of /proc goes by pid.
        let children = self.absent.remove(&key).unwrap_or(0);
        self.by_pid.insert(key.pid, key);
        let entry = Entry {
            parent,
            program,
            as_of: self.doubts,
            standing: Standing::default(),
            start_ns: None,
            source,
            children,
            exited: false,
        };
        self.entries.insert(key, entry);
    }

    fn count_child(&mut self, parent: ProcessKey) {
        match self.entries.get_mut(&parent) {
            Some(entry) => entry.children += 1,
            None => *self.absent.entry(parent).or_default() += 1,
        }
    }

    /// One descendant less. Returns the parent when it has ended and this was its last one.
    fn uncount_child(&mut self, parent: ProcessKey) -> Option<ProcessKey> {
        if let Some(entry) = self.entries.get_mut(&parent) {
            entry.children = entry.children.saturating_sub(1);
            return (entry.exited && entry.children == 0).then_some(parent);
        }
        if let Some(children) = self.absent.get_mut(&parent) {
            *children -= 1;
            if *children == 0 {
                self.absent.remove(&parent);
            }
        }
        None
    }

    /// Forgets the process that ended longest ago. False when none of those left has ended.
    fn evict(&mut self) -> bool {
        while let Some(key) = self.ended.pop_front() {
            if self.entries.get(&key).is_some_and(|entry| entry.exited) {
                self.evicted += 1;
                self.remove(key);
                return true;
            }
        }
        false
    }

    /// Removes an entry, and every ended ancestor whose last descendant it was.
    fn remove(&mut self, key: ProcessKey) {
        let mut next = Some(key);
        while let Some(key) = next.take() {
            let Some(entry) = self.entries.remove(&key) else { break };
            if self.by_pid.get(&key.pid) == Some(&key) {
                self.by_pid.remove(&key.pid);
            }
            if entry.children > 0 {
                self.absent.insert(key, entry.children); // It was evicted.
            }
            next = entry.parent.and_then(|parent| self.uncount_child(parent));
        }
        // Keys of removed entries gather in the queue of the ended.
        if self.ended.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.ended.retain(|key| entries.get(key).is_some_and(|entry| entry.exited));
        }
    }
}

/// The first arguments that fit, with the mark of a cut.
fn cut(args: &Args, bytes_max: usize) -> Args {
    let mut left = bytes_max;
    let mut list = Vec::with_capacity(args.list.len());
    let redacted = args.redacted.clone();
    for arg in &args.list {
        if arg.len() + 1 > left {
            list.push(Bytes::from(&arg[..left]));
            return Args { list, truncated: true, redacted, ..*args };
        }
        left -= arg.len() + 1;
        list.push(arg.clone());
    }
    Args { list, redacted, ..*args }
}

#[cfg(test)]
mod tests;
