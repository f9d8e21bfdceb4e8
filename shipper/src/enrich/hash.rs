//! SHA-256 of executed files, away from the thread that reads the ring: a bounded queue of files to
//! read, threads that read them, and a memory of what was read.
//!
//! A hash is of the file as it was executed, or there is none: what the kernel said of its inode at the
//! exec (device, number, size, both times) must be what the file that was opened says before and after
//! it is read. Who waits for a hash, and how long, is the caller's.

mod cache;
mod read;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Bytes, Exec, ExecutedFile, FileFacts, FileHash, HashMissing, Source, WallTime};
use cache::Cache;

/// Threads that read files, never two of them from one device: a file server that does not answer keeps
/// one of them, and the other goes on. More would only take CPU from what the machine is there for.
pub const WORKERS: usize = 2;

/// A file that takes too long is named in the log, but only one of them in this time: a slow disk has many.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Files that wait to be read. Each is one that nobody read before; a build that executes a thousand
/// new programs a second fills it when each takes a second. Some hundred bytes each.
const FILES_MAX: usize = 1024;

/// Times of files move with the tick of the clock, which is at most this long. Of one that was changed
/// less than a tick before it was executed, the times cannot show a change that followed.
const TICK_NS: u64 = 10_000_000;

/// What identifies the content of a file, as the kernel had it at the exec. The second time is set by
/// the kernel with every change and by nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    device: (u32, u32),
    inode: u64,
    size: u64,
    modified: Option<WallTime>,
    changed: Option<WallTime>,
    /// Changed within a tick of the exec.
    is_fresh: bool,
}

impl Stamp {
    fn new(facts: &FileFacts, executed: WallTime) -> Stamp {
        let FileFacts { device, inode, size, modified, changed, .. } = *facts;
        let is_fresh = changed.is_some_and(|time| time.0.saturating_add(TICK_NS) > executed.0);
        Stamp { device, inode, size, modified, changed, is_fresh }
    }
}

/// A file to read, and the ways to it.
#[derive(Debug)]
struct File {
    stamp: Stamp,
    /// As seen from the root of the process; nothing where that is not known as a whole.
    path: Option<Bytes>,
    /// The process, and its parent, which usually has the same root and lives longer.
    pids: [Option<u32>; 2],
    /// It is what the process runs, so /proc/PID/exe leads to it.
    is_loaded: bool,
    answer: Answer,
}

/// What becomes of a file, shared by all who wait for it.
type Answer = Arc<OnceLock<FileHash>>;

/// What an event still lacks.
#[derive(Default)]
pub struct Pending {
    file: Option<(Stamp, Answer)>,
    interpreter: Option<(Stamp, Answer)>,
}

impl Pending {
    /// Whether nothing is lacking (any more).
    #[must_use]
    pub fn is_over(&self) -> bool {
        let over = |part: &Option<(Stamp, Answer)>| {
            part.as_ref().is_none_or(|(_, answer)| answer.get().is_some())
        };
        over(&self.file) && over(&self.interpreter)
    }
}

/// Asks for hashes and remembers them. Dropping it ends the threads.
pub struct Hasher {
    shared: Arc<Shared>,
    bytes_max: u64,
    wait_max: Duration,
    cache: Cache,
    /// Files being read or waiting for it.
    under_way: HashMap<Stamp, Answer>,
    counts: Counts,
}

/// What became of the files that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that were read.
    pub read: u64,
    /// Hashes that were known already, or on their way.
    pub known: u64,
    /// Files that an event went without.
    pub missing: u64,
}

/// One of the threads that read.
pub struct Worker {
    shared: Arc<Shared>,
    index: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a file to read, or the end.
    work: Condvar,
}

#[derive(Default)]
struct State {
    files: VecDeque<File>,
    /// What each thread reads now.
    reading: [Option<Reading>; WORKERS],
    done: Vec<Done>,
    /// When a file was said to take too long.
    told: Option<Instant>,
    ended: bool,
}

/// A file that is being read.
struct Reading {
    stamp: Stamp,
    path: Option<Bytes>,
    since: Instant,
}

/// A file that was read.
struct Done {
    stamp: Stamp,
    hash: FileHash,
    /// The same facts will always mean the same content.
    lasting: bool,
}

/// Files of up to `bytes_max` bytes, for events that wait for at most `wait_max`; and the threads, each
/// to be run.
#[must_use]
pub fn hasher(bytes_max: u64, wait_max: Duration) -> (Hasher, [Worker; WORKERS]) {
    let shared = Arc::new(Shared::default());
    let workers = std::array::from_fn(|index| Worker { shared: shared.clone(), index });
    let hasher = Hasher {
        shared,
        bytes_max,
        wait_max,
        cache: Cache::default(),
        under_way: HashMap::new(),
        counts: Counts::default(),
    };
    (hasher, workers)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No state is left half changed: nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hasher {
    /// Puts the hashes that are known into the event, and asks for the others.
    #[must_use]
    pub fn begin(&mut self, exec: &mut Exec) -> Pending {
        let pid = exec.process.key.pid;
        let pids = [Some(pid), exec.ancestry.first().map(|parent| parent.key.pid)];
        let is_loaded = exec.interpreter.is_none();
        let file = self.ask(&mut exec.file, exec.time, pids, is_loaded);
        let interpreter = exec
            .interpreter
            .as_mut()
            .and_then(|interpreter| self.ask(interpreter, exec.time, pids, true));
        Pending { file, interpreter }
    }

    /// Takes what was read. To be called before events are looked at.
    pub fn take(&mut self) {
        let done = {
            let mut state = self.shared.state();
            state.tell_of_slow_ones(self.wait_max);
            std::mem::take(&mut state.done)
        };
        for Done { stamp, hash, lasting } in done {
            self.under_way.remove(&stamp);
            if let FileHash::Sha256(digest) = hash {
                self.counts.read += 1;
                if lasting {
                    self.cache.put(stamp, digest);
                }
            }
        }
    }

    /// Completes an event: what is not there is late, and not read for this event any more.
    pub fn complete(&mut self, pending: Pending, exec: &mut Exec) {
        let Pending { file, interpreter } = pending;
        self.settle(file, &mut exec.file);
        if let Some(of_exec) = &mut exec.interpreter {
            self.settle(interpreter, of_exec);
        }
    }

    /// What became of the files so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn settle(&mut self, part: Option<(Stamp, Answer)>, file: &mut ExecutedFile) {
        let Some((stamp, answer)) = part else { return };
        let hash = answer.get().copied().unwrap_or(FileHash::Missing(HashMissing::Late));
        drop(answer);
        self.forget_if_alone(&stamp);
        self.give(file, hash);
    }

    fn give(&mut self, file: &mut ExecutedFile, hash: FileHash) {
        if matches!(hash, FileHash::Missing(_)) {
            self.counts.missing += 1;
        }
        file.hash = Some(hash);
    }

    /// A file that nobody waits for any more is not read, unless it is being read already.
    fn forget_if_alone(&mut self, stamp: &Stamp) {
        // Ours, and that of the file in the queue.
        if self.under_way.get(stamp).is_none_or(|answer| Arc::strong_count(answer) > 2) {
            return;
        }
        let mut state = self.shared.state();
        if let Some(at) = state.files.iter().position(|file| file.stamp == *stamp) {
            state.files.remove(at);
            self.under_way.remove(stamp);
        }
    }

    fn ask(
        &mut self,
        file: &mut ExecutedFile,
        executed: WallTime,
        pids: [Option<u32>; 2],
        is_loaded: bool,
    ) -> Option<(Stamp, Answer)> {
        // What was looked up may be what came after.
        let is_later = |facts: &FileFacts| {
            file.source == Source::Procfs && facts.changed.is_some_and(|time| time > executed)
        };
        let missing = match &file.facts {
            None => HashMissing::Unknown,
            Some(facts) if is_later(facts) => HashMissing::Changed,
            Some(facts) if facts.size > self.bytes_max => HashMissing::TooLarge,
            Some(facts) => {
                let stamp = Stamp::new(facts, executed);
                if let Some(digest) = self.cache.get(&stamp).filter(|_| !is_in_user_space(facts)) {
                    self.counts.known += 1;
                    file.hash = Some(FileHash::Sha256(digest));
                    return None;
                }
                let path = &file.path;
                let is_whole = !path.cut && !path.unreachable && path.bytes.starts_with(b"/");
                let path = is_whole.then(|| path.bytes.clone());
                match self.queue(stamp, path, pids, is_loaded) {
                    Some(answer) => return Some((stamp, answer)),
                    None => HashMissing::Late,
                }
            }
        };
        self.give(file, FileHash::Missing(missing));
        None
    }

    /// `None` when it cannot be read in time.
    fn queue(
        &mut self,
        stamp: Stamp,
        path: Option<Bytes>,
        pids: [Option<u32>; 2],
        is_loaded: bool,
    ) -> Option<Answer> {
        let mut state = self.shared.state();
        if let Some(answer) = self.under_way.get(&stamp) {
            // One that takes too long holds up the events that met it first, and no others.
            let is_slow =
                |reading: &Reading| reading.stamp == stamp && reading.is_slow(self.wait_max);
            let answer = (!state.reading.iter().flatten().any(is_slow)).then(|| answer.clone())?;
            self.counts.known += 1;
            return Some(answer);
        }
        if state.files.len() >= FILES_MAX || state.is_stuck(stamp.device, self.wait_max) {
            return None;
        }
        let answer = Answer::default();
        self.under_way.insert(stamp, answer.clone());
        state.files.push_back(File { stamp, path, pids, is_loaded, answer: answer.clone() });
        self.shared.work.notify_one();
        Some(answer)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.work.notify_all();
    }
}

impl State {
    /// The oldest file of a device from which nothing is being read.
    fn take_file(&mut self) -> Option<File> {
        let busy = self
            .reading
            .each_ref()
            .map(|reading| reading.as_ref().map(|reading| reading.stamp.device));
        let at = self.files.iter().position(|file| !busy.contains(&Some(file.stamp.device)))?;
        self.files.remove(at)
    }

    /// Whether a file system keeps a thread for longer than anybody waits.
    fn is_stuck(&self, device: (u32, u32), wait_max: Duration) -> bool {
        let mut reading = self.reading.iter().flatten();
        reading.any(|reading| reading.stamp.device == device && reading.is_slow(wait_max))
    }

    fn tell_of_slow_ones(&mut self, wait_max: Duration) {
        let slow = self.reading.iter().flatten().find(|reading| {
            let begun_after = self.told.is_none_or(|told| reading.since > told);
            begun_after && reading.is_slow(wait_max)
        });
        if let Some(reading) = slow
            && self.told.is_none_or(|told| told.elapsed() > TELL_INTERVAL)
        {
            tracing::warn!(
                path = %shown(reading.path.as_deref()),
                "reading an executed file takes longer than enrich.hash_wait_max: its events, and those \
                 of new files on that file system, go without a hash until it is read"
            );
            self.told = Some(Instant::now());
        }
    }
}

impl Reading {
    fn is_slow(&self, wait_max: Duration) -> bool {
        self.since.elapsed() > wait_max
    }
}

impl Worker {
    /// Reads files until the [`Hasher`] is gone.
    pub fn run(self) {
        while let Some(file) = self.next() {
            let read = read::read(Path::new("/proc"), &file);
            if matches!(read.hash, FileHash::Sha256(_)) {
                tracing::debug!(path = %shown(file.path.as_deref()), "hashed");
            }
            let mut state = self.shared.state();
            state.reading[self.index] = None;
            // Nobody else answers, so it was not answered before.
            let _ = file.answer.set(read.hash);
            state.done.push(Done { stamp: file.stamp, hash: read.hash, lasting: read.lasting });
            // What the other thread was kept from may be read now.
            self.shared.work.notify_one();
        }
    }

    fn next(&self) -> Option<File> {
        let mut state = self.shared.state();
        loop {
            if state.ended {
                return None;
            }
            if let Some(file) = state.take_file() {
                state.reading[self.index] = Some(Reading {
                    stamp: file.stamp,
                    path: file.path.clone(),
                    since: Instant::now(),
                });
                return Some(file);
            }
            state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Whether a program serves the file, which may say of it what it likes: also that it is another one,
/// whose hash is known.
fn is_in_user_space(facts: &FileFacts) -> bool {
    facts.file_system.is_some_and(|kind| kind.name().starts_with(b"fuse"))
}

/// A path for the log.
fn shown(path: Option<&[u8]>) -> String {
    path.map_or_else(|| "a file without a path".into(), |path| path.escape_ascii().to_string())
}

#[cfg(test)]
mod tests;
