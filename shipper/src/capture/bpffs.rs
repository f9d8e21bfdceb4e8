//! The directory of a bpf file system in which programs and maps are pinned: that it is there, and
//! that one process alone uses it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open, statfs};
use rustix::mount::{MountFlags, mount};

/// Where the system keeps its bpf file system.
const SYSTEM: &str = "/sys/fs/bpf";

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const MAGIC: u32 = 0xcafe_4a11;

/// Why pinning is not possible, or what is pinned cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// There is no bpf file system, and none can be mounted.
    #[error("capture cannot be pinned: {} is not on a bpf file system: {hint}", dir.display())]
    NotBpffs {
        /// The directory asked for.
        dir: PathBuf,
        /// What to do.
        hint: String,
    },
    /// Another process uses the pins.
    #[error("shipper runs already with pinned programs ({}): stop it first", holder(*pid))]
    Held {
        /// Which, where the system tells.
        pid: Option<u32>,
    },
    /// A pin could not be made, read or removed.
    #[error("pinned programs: {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl PinError {
    /// Adds what was tried, and on what, to what the system said.
    pub fn on(what: &str, path: &Path) -> impl FnOnce(io::Error) -> PinError {
        let what = format!("{what} {}", path.display());
        move |source| PinError::System { what, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "in another process".to_owned(), |pid| format!("process {pid}"))
}

/// Held by the one process that uses the pins in a directory; given back when dropped, and by the
/// kernel when the process ends, however it ends.
pub struct Lock {
    _dir: OwnedFd,
}

/// Makes the directory if it is not there, and mounts the system's bpf file system for it if that is
/// needed.
///
/// # Errors
/// What has to be done by hand.
pub fn prepare(dir: &Path) -> Result<(), PinError> {
    let not_bpffs = |hint| PinError::NotBpffs { dir: dir.to_owned(), hint };
    let parent = dir.parent().unwrap_or(dir);
    if !is_bpffs(parent) {
        if parent != Path::new(SYSTEM) {
            return Err(not_bpffs(format!("mount -t bpf bpf {}", parent.display())));
        }
        let by_hand = format!("mount -t bpf bpf {SYSTEM}");
        if !shares_mount_namespace() {
            return Err(not_bpffs(format!(
                "shipper runs in a mount namespace of its own, and what it mounts would end with \
                 it; run on the host: {by_hand}"
            )));
        }
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("bpf", SYSTEM, "bpf", flags, Some(c"mode=700"))
            .map_err(|error| not_bpffs(format!("it cannot be mounted ({error}); try {by_hand}")))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(PinError::on("making", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Takes the lock of a directory.
///
/// # Errors
/// [`PinError::Held`] when another process has it.
pub fn lock(dir: &Path) -> Result<Lock, PinError> {
    let fd = open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| PinError::on("opening", dir)(error.into()))?;
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _dir: fd }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(PinError::Held { pid: locked_by(dir) }),
        Err(error) => Err(PinError::on("locking", dir)(error.into())),
    }
}

/// The process that has the lock of this directory, where the system tells.
#[must_use]
pub fn locked_by(dir: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(dir).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = metadata.dev();
    let file = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        metadata.ino()
    );
    find_lock(&locks, &file)
}

/// `1: FLOCK  ADVISORY  WRITE 123 08:01:456 0 EOF`
fn find_lock(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, of, ..] = words[..] else { return None };
        (of == file).then(|| pid.parse().ok()).flatten()
    })
}

fn is_bpffs(path: &Path) -> bool {
    // The constant has 32 bits, the field as many as a word, with or without a sign.
    statfs(path).is_ok_and(|found| found.f_type as u32 == MAGIC)
}

/// Whether what is mounted here lasts: a namespace made for this process alone (by a systemd unit, by
/// `unshare`) ends with it.
fn shares_mount_namespace() -> bool {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let parent = std::os::unix::process::parent_id().to_string();
    let own = namespace("self");
    own.is_some() && (own == namespace("1") || own == namespace(&parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_file() {
        let locks = "1: FLOCK  ADVISORY  WRITE 123 00:2f:1 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 124 00:30:1 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 126 00:30:1 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 125 00:30:1 0 EOF\n";
        assert_eq!(find_lock(locks, "00:30:1"), Some(125));
        assert_eq!(find_lock(locks, "00:30:12"), None);
    }

    #[test]
    fn a_directory_elsewhere_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = prepare(&dir.path().join("pins")).expect_err("no bpf file system").to_string();
        assert!(error.contains("mount -t bpf bpf"), "{error}");
    }

    #[test]
    fn a_lock_is_for_one_and_names_its_holder() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = lock(dir.path()).expect("free");
        match lock(dir.path()) {
            Err(PinError::Held { pid }) => {
                assert!(pid.is_none_or(|pid| pid == std::process::id()), "{pid:?}");
            }
            other => panic!("{:?}", other.err()),
        }
        drop(held);
        assert!(lock(dir.path()).is_ok());
    }
}
