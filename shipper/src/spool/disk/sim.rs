//! A disk in memory that forgets what was not synced, tears writes, fails and rots on demand.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::{Disk, DiskFile, LockError, Space, parent};
use crate::spool::locked;
use file::SimFile;

/// Smallest piece that is written whole, in bytes.
const SECTOR_BYTES: usize = 512;

/// Operations that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Sync,
    SyncDir,
    Create,
    Rename,
    Remove,
}

#[derive(Debug)]
struct Fault {
    op: Op,
    /// Passings before it fails.
    after: u64,
    /// How often it fails then.
    times: u64,
    errno: Errno,
}

/// The disk. Shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    last_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names not yet synced, by directory, in order.
    name_changes: BTreeMap<PathBuf, Vec<NameChange>>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    /// Files opened before a crash are dead after it.
    epoch: u64,
    faults: Vec<Fault>,
    total: u64,
    is_read_only: bool,
    /// Changes left before the daemon is gone; none where that is not planned.
    left: Option<u64>,
    /// The daemon is gone: nothing it does has an effect any more.
    is_stopped: bool,
    /// Every change so far.
    changes: u64,
}

impl Default for State {
    fn default() -> State {
        State {
            inodes: BTreeMap::new(),
            last_inode: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: BTreeMap::new(),
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            epoch: 0,
            faults: Vec::new(),
            total: 1 << 40,
            is_read_only: false,
            left: None,
            is_stopped: false,
            changes: 0,
        }
    }
}

/// Names that come and go together.
type NameChange = Vec<(PathBuf, Option<u64>)>;

#[derive(Debug, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Change::Write(_, bytes) if bytes.is_empty() => {}
            Change::Write(offset, bytes) => {
                let end = *offset as usize + bytes.len();
                if data.len() < end {
                    data.resize(end, 0);
                }
                data[*offset as usize..end].copy_from_slice(bytes);
            }
            Change::SetLen(len) => data.resize(*len as usize, 0),
        }
    }
}

impl SimDisk {
    /// The operation fails `times` times, after `after` more passings.
    pub(crate) fn fail(&self, op: Op, after: u64, times: u64, errno: Errno) {
        locked(&self.state).faults.push(Fault { op, after, times, errno });
    }

    /// No operation fails any more.
    pub(crate) fn heal(&self) {
        locked(&self.state).faults.clear();
    }

    /// The size of the disk, in bytes.
    pub(crate) fn set_total(&self, total: u64) {
        locked(&self.state).total = total;
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        locked(&self.state).is_read_only = is_read_only;
    }

    /// How much was changed so far; equal when nothing was in between.
    pub(crate) fn changes(&self) -> u64 {
        locked(&self.state).changes
    }

    /// The daemon comes to its end in the middle of the change after so many more: nothing it does
    /// from then on has an effect, until [`SimDisk::kill`] or [`SimDisk::crash`] says which end it was.
    pub(crate) fn stop_after(&self, changes: u64) {
        locked(&self.state).left = Some(changes);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        locked(&self.state).is_stopped
    }

    /// The daemon is killed: files and locks are let go, what was written stays.
    pub(crate) fn kill(&self) {
        let state = &mut *locked(&self.state);
        state.epoch += 1;
        state.left = None;
        state.is_stopped = false;
        state.locks.clear();
    }

    /// The machine loses power: what was not synced is there in part or not at all, as
    /// `choose(bound)`, a number below the bound, says.
    pub(crate) fn crash(&self, mut choose: impl FnMut(u64) -> u64) {
        self.kill();
        let state = &mut *locked(&self.state);
        for changes in std::mem::take(&mut state.name_changes).into_values() {
            let kept = choose(changes.len() as u64 + 1) as usize;
            for (path, inode) in changes.into_iter().take(kept).flatten() {
                apply_name(&mut state.durable_names, path, inode);
            }
        }
        state.names = state.durable_names.clone();
        for inode in state.inodes.values_mut() {
            for change in std::mem::take(&mut inode.unsynced) {
                match (choose(3), change) {
                    (0, _) => {}
                    (1, Change::Write(offset, mut bytes)) => {
                        let sectors = bytes.len() / SECTOR_BYTES + 1;
                        bytes.truncate(choose(sectors as u64) as usize * SECTOR_BYTES);
                        Change::Write(offset, bytes).apply(&mut inode.durable);
                    }
                    (_, change) => change.apply(&mut inode.durable),
                }
            }
            inode.data = inode.durable.clone();
        }
    }

    /// The paths of all files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        locked(&self.state).names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let state = locked(&self.state);
        state.names.get(path).map(|inode| state.inodes[inode].data.clone()).unwrap_or_default()
    }

    /// Changes what is on the disk, behind the back of the daemon.
    pub(crate) fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *locked(&self.state);
        let inode = state.names[path];
        let inode = state.inodes.get_mut(&inode).unwrap();
        change(&mut inode.data);
        inode.durable = inode.data.clone();
        inode.unsynced.clear();
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let file = self.create(path).unwrap();
        file.write_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
        self.sync_dir(parent(path)).unwrap();
    }

    /// A copy that goes its own way, as after a kill.
    pub(crate) fn fork(&self) -> SimDisk {
        let state = locked(&self.state);
        let inode = |inode: &Inode| Inode {
            data: inode.data.clone(),
            durable: inode.data.clone(),
            unsynced: Vec::new(),
        };
        let copy = State {
            inodes: state.inodes.iter().map(|(&number, i)| (number, inode(i))).collect(),
            last_inode: state.last_inode,
            names: state.names.clone(),
            durable_names: state.names.clone(),
            dirs: state.dirs.clone(),
            total: state.total,
            ..State::default()
        };
        SimDisk { state: Arc::new(Mutex::new(copy)) }
    }
}

impl State {
    fn pass(&mut self, op: Op) -> io::Result<()> {
        if self.is_stopped {
            return Err(Errno::IO.into());
        }
        if op != Op::Read && self.left.is_some_and(|left| left == 0) {
            self.is_stopped = true;
            return Err(Errno::INTR.into());
        }
        if op != Op::Read {
            self.left = self.left.map(|left| left - 1);
        }
        if self.is_read_only && op != Op::Read {
            return Err(Errno::ROFS.into());
        }
        if op != Op::Read {
            self.changes += 1;
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.op == op && fault.times > 0) {
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times -= 1;
            return Err(fault.errno.into());
        }
        Ok(())
    }

    fn change_names(&mut self, change: NameChange) {
        for (path, inode) in &change {
            apply_name(&mut self.names, path.clone(), *inode);
        }
        // Also a rename from one directory to another comes as a whole.
        if let Some((to, _)) = change.last() {
            self.name_changes.entry(parent(to).to_owned()).or_default().push(change);
        }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].data.len() as u64).sum()
    }

    fn not_found<T>() -> io::Result<T> {
        Err(Errno::NOENT.into())
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, u64>, path: PathBuf, inode: Option<u64>) {
    match inode {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}

impl Disk for SimDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let state = &mut *locked(&self.state);
        if state.names.contains_key(path) {
            return Err(Errno::NOTDIR.into());
        }
        if !state.dirs.contains(path) {
            state.pass(Op::Create)?;
            state.dirs.extend(path.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = &mut *locked(&self.state);
        if !state.dirs.contains(dir) {
            return State::not_found();
        }
        let below = state.names.keys().chain(&state.dirs);
        let below = below.filter(|path| path.parent() == Some(dir));
        Ok(below.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let state = &mut *locked(&self.state);
        if writable && state.is_read_only {
            return Err(Errno::ROFS.into());
        }
        let Some(&inode) = state.names.get(path) else { return State::not_found() };
        Ok(Arc::new(SimFile { disk: self.clone(), inode, epoch: state.epoch }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = &mut *locked(&self.state);
        state.pass(Op::Create)?;
        let inode = match state.names.get(path) {
            Some(&inode) => {
                let file = state.inodes.get_mut(&inode).unwrap();
                file.data.clear();
                file.unsynced.push(Change::SetLen(0));
                inode
            }
            None => {
                state.last_inode += 1;
                let inode = state.last_inode;
                state.inodes.insert(inode, Inode::default());
                state.change_names(vec![(path.to_owned(), Some(inode))]);
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode, epoch: state.epoch }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *locked(&self.state);
        state.pass(Op::Rename)?;
        let Some(&inode) = state.names.get(from) else { return State::not_found() };
        state.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *locked(&self.state);
        state.pass(Op::Remove)?;
        if !state.names.contains_key(path) {
            return State::not_found();
        }
        state.change_names(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let state = &mut *locked(&self.state);
        state.pass(Op::Remove)?;
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(Errno::NOTEMPTY.into());
        }
        state.dirs.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *locked(&self.state);
        state.pass(Op::SyncDir)?;
        for (path, inode) in state.name_changes.remove(dir).into_iter().flatten().flatten() {
            apply_name(&mut state.durable_names, path, inode);
        }
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = locked(&self.state);
        Ok(Space { free: state.total.saturating_sub(state.used()), total: state.total })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let state = &mut *locked(&self.state);
        state.pass(Op::Create).map_err(LockError::Failed)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(LockError::Held(Some(1)));
        }
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), epoch: state.epoch }))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    epoch: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let state = &mut *locked(&self.disk.state);
        if state.epoch == self.epoch {
            state.locks.remove(&self.path);
        }
    }
}
