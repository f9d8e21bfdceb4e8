//! Finding the file that was executed, and reading it. Never waits for anything but the file system,
//! and leaves no trace: nothing is opened for reading before it is known to be that very file.

use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FsWord, Mode, OFlags, fstatfs, open, openat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::{File, Stamp};
use crate::enrich::clock::wall_now;
use crate::enrich::procfs::{facts, open_directory, open_in_root};
use crate::event::{FileHash, HashMissing};
use crate::fault;

/// Read at once: larger makes it no faster, and each thread has one.
const BUFFER_BYTES: usize = 128 << 10;

/// A file changed less than this before it was read may be changed again without a difference in its
/// times: they move with the tick of the clock, of up to 10 ms, and on FAT every two seconds. Its hash
/// is good for the events that waited, and not remembered.
const SETTLED_NS: u64 = 2_000_000_000;

// linux/magic.h
const BTRFS: FsWord = 0x9123_683e;
const OVERLAYFS: FsWord = 0x794c_7630;
const FUSE: FsWord = 0x6573_5546;

/// What became of one file.
pub(super) struct Read {
    pub(super) hash: FileHash,
    /// The same facts will always mean the same content.
    pub(super) lasting: bool,
}

/// The file, held by a descriptor that cannot be read from, and how it was found.
struct Found {
    file: OwnedFd,
    way: Way,
}

/// A way to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What a process runs.
    Exe(u32),
    /// A name below the root of a process, or below ours.
    Name(Option<u32>),
}

/// Reads what was executed, with the /proc that is mounted there.
pub(super) fn read(proc: &Path, file: &File) -> Read {
    let hash = find(proc, file).and_then(|found| {
        let lasting = !file.stamp.is_fresh && is_lasting(found.file.as_fd());
        let digest = found.digest(proc, &file.stamp)?;
        Ok(Read { hash: FileHash::Sha256(digest), lasting })
    });
    hash.unwrap_or_else(|missing| Read { hash: FileHash::Missing(missing), lasting: false })
}

/// The first way that leads to the file. Else what stood at the end of the most telling one.
fn find(proc: &Path, file: &File) -> Result<Found, HashMissing> {
    let mut said = HashMissing::Gone;
    for way in ways(file) {
        match way.open(proc, file).and_then(|found| {
            way.check(&file.stamp, found.as_fd())?;
            Ok(Found { file: found, way })
        }) {
            Ok(found) => return Ok(found),
            Err(missing) if telling(missing) > telling(said) => said = missing,
            Err(_) => {}
        }
    }
    Err(said)
}

/// Of what is said at the end of several ways, which counts.
fn telling(missing: HashMissing) -> u32 {
    match missing {
        HashMissing::Changed => 3,
        HashMissing::NotAFile => 2,
        HashMissing::Unreadable => 1,
        _ => 0,
    }
}

fn ways(file: &File) -> impl Iterator<Item = Way> {
    let [process, parent] = file.pids;
    let exe = process.filter(|_| file.is_loaded).map(Way::Exe);
    let roots = [process, parent].into_iter().flatten().map(Some).chain([None]);
    let names = roots.map(Way::Name).filter(|_| file.path.is_some());
    exe.into_iter().chain(names)
}

impl Way {
    /// Opens what is there, without doing anything to it: a FIFO wakes nobody, a device does nothing.
    fn open(self, proc: &Path, file: &File) -> Result<OwnedFd, HashMissing> {
        let opened = match self {
            Way::Exe(pid) => open(exe(proc, pid), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
            Way::Name(pid) => {
                let root = pid.map_or_else(|| "/".into(), |pid| proc.join(format!("{pid}/root")));
                let root = open_directory(&root).ok_or(HashMissing::Gone)?;
                open_in_root(root.as_fd(), file.path.as_deref().unwrap_or_default())
            }
        };
        opened.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::SRCH | Errno::LOOP => HashMissing::Gone,
            _ => HashMissing::Unreadable,
        })
    }

    /// Whether this is the file, as it was executed.
    fn check(self, stamp: &Stamp, file: BorrowedFd<'_>) -> Result<(), HashMissing> {
        let facts = facts(file).ok_or(HashMissing::Unreadable)?;
        if facts.mode & libc::S_IFMT != libc::S_IFREG {
            return Err(HashMissing::NotAFile);
        }
        if facts.inode != stamp.inode || !is_device_of(file, facts.device, stamp.device) {
            return Err(HashMissing::Gone);
        }
        // Removing a name counts as a change of the inode. Of what a process runs the content cannot
        // have changed: the kernel lets nobody write to it.
        let same = (facts.size, facts.modified) == (stamp.size, stamp.modified)
            && (facts.changed == stamp.changed || matches!(self, Way::Exe(_)));
        if same { Ok(()) } else { Err(HashMissing::Changed) }
    }
}

impl Found {
    fn digest(&self, proc: &Path, stamp: &Stamp) -> Result<[u8; 32], HashMissing> {
        let file = self.open_to_read().map_err(|_| HashMissing::Unreadable)?;
        let mut file = std::fs::File::from(file);
        fault::point("hash.read").map_err(|_| HashMissing::Unreadable)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut buffer = vec![0; BUFFER_BYTES];
        // One that grows while it is read is left at the first byte too many.
        while bytes <= stamp.size {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(HashMissing::Unreadable),
            }
        }
        self.way.check(stamp, file.as_fd())?;
        let changed = facts(file.as_fd()).ok_or(HashMissing::Unreadable)?.changed;
        let is_run = match self.way {
            Way::Exe(pid) => self.is_run_by(proc, pid),
            Way::Name(_) => false,
        };
        if bytes != stamp.size || changed != stamp.changed && !is_run {
            Err(HashMissing::Changed)
        } else if stamp.is_fresh && !is_run {
            Err(HashMissing::Unsure)
        } else {
            Ok(hash.finalize().into())
        }
    }

    /// The same file, to be read. It was looked at, so it is a regular file, and nothing waits.
    fn open_to_read(&self) -> Result<OwnedFd, Errno> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // The time of the last access is left as it is, where we may do so.
        match openat(CWD, &path, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => openat(CWD, &path, flags, Mode::empty()),
            opened => opened,
        }
    }

    /// Whether a process runs this file now.
    fn is_run_by(&self, proc: &Path, pid: u32) -> bool {
        let identity = |file: BorrowedFd<'_>| facts(file).map(|facts| (facts.device, facts.inode));
        let now = open(exe(proc, pid), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        now.is_ok_and(|now| identity(now.as_fd()) == identity(self.file.as_fd()))
    }
}

fn exe(proc: &Path, pid: u32) -> PathBuf {
    proc.join(format!("{pid}/exe"))
}

/// Whether the device that `stat` shows is the one that the kernel has for the file system. Btrfs shows
/// one of its own for each subvolume, and overlayfs may show that of a layer.
fn is_device_of(file: BorrowedFd<'_>, shown: (u32, u32), device: (u32, u32)) -> bool {
    shown == device || fstatfs(file).is_ok_and(|system| matches!(system.f_type, BTRFS | OVERLAYFS))
}

/// Whether the facts of this file identify its content from now on. A file system in user space may say
/// what it likes.
fn is_lasting(file: BorrowedFd<'_>) -> bool {
    let changed = facts(file).and_then(|facts| facts.changed);
    let is_old = changed.is_some_and(|at| at.0.saturating_add(SETTLED_NS) < wall_now().0);
    is_old && fstatfs(file).is_ok_and(|system| system.f_type != FUSE)
}
