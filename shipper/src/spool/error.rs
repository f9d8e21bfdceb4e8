//! What can go wrong with the spool, sorted by who can mend it: time, or a person.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::disk::LockError;

/// An error of the spool, with the path it is about.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has the spool.
    #[error("another shipper ({}) has the spool {}: stop that one, or give this one a spool.dir of its own", holder(*pid), dir.display())]
    Locked {
        /// The spool.
        dir: PathBuf,
        /// Who has it, where known.
        pid: Option<u32>,
    },
    /// A later version of shipper wrote this; nothing was touched.
    #[error("{} was written in version {found} of the spool's format, and this shipper knows versions up to {known}: use the shipper that wrote it or a later one, or name another spool.dir", path.display())]
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The latest version known here.
        known: u16,
    },
    /// The system will refuse until somebody changes rights, mounts or the path.
    #[error("cannot {action} {}: {source}; {advice}", path.display())]
    Refused {
        /// What was tried, to go after "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The device or the system failed, or has no space: may pass.
    #[error("cannot {action} {}: {source}", path.display())]
    Failed {
        /// What was tried, to go after "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
    },
    /// No sink of this name was given when the spool was opened, or it cannot be a file's name.
    #[error("the spool has no sink {0:?}: names are made of letters, digits, '-' and '_'")]
    UnknownSink(String),
    /// An earlier requeue is not delivered yet.
    #[error("the events of an earlier requeue of {sink:?} wait in {}: start shipper to deliver them, then requeue again", dir.display())]
    ReplayWaits {
        /// The sink.
        sink: String,
        /// Where they wait.
        dir: PathBuf,
    },
}

impl SpoolError {
    /// Sorts an answer of the system. `action` goes after "cannot".
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
        let path = path.to_owned();
        let advice = match Errno::from_io_error(&source) {
            Some(Errno::ACCESS | Errno::PERM) => {
                "let the user of the daemon write to spool.dir and all in it"
            }
            Some(Errno::ROFS) => "mount the file system writable, or name another spool.dir",
            Some(Errno::NOTDIR | Errno::EXIST) => {
                "a file stands where a directory should be: move it away or name another spool.dir"
            }
            Some(Errno::ISDIR) => "a directory stands where a file should be: move it away",
            Some(Errno::LOOP) => "it is a symbolic link: remove it",
            Some(Errno::NAMETOOLONG) => "choose a shorter spool.dir",
            _ if source.kind() == io::ErrorKind::NotADirectory => {
                "a file stands where a directory should be: move it away or name another spool.dir"
            }
            _ => return SpoolError::Failed { action, path, source },
        };
        SpoolError::Refused { action, path, source, advice }
    }

    pub(super) fn lock(dir: &Path, error: LockError) -> SpoolError {
        match error {
            LockError::Held(pid) => SpoolError::Locked { dir: dir.to_owned(), pid },
            LockError::Failed(source) => SpoolError::new("lock", &dir.join("lock"), source),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
}

/// For `map_err`: what was tried, on what.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError::new(action, path, source)
}
