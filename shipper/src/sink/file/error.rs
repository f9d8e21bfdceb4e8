//! What can go wrong with the file, sorted by who can mend it: time, or a person.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::sink::Outcome;

/// An error of the file sink, with the path it is about.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system or a quota is full: passes when space is freed.
    #[error("no space left for {}: free space or lower keep.bytes (cannot {action}: {source})", path.display())]
    NoSpace {
        /// What was tried, to go after "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
    },
    /// The device or the system failed: may pass.
    #[error("cannot {action} {}: {source}", path.display())]
    Failed {
        /// What was tried, to go after "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
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
    /// We refuse, to keep somebody else's data from harm.
    #[error("{} {what}; {advice}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Somebody else holds the lock.
    #[error("{} is locked by another process, which may be a second shipper: stop that one, or give this sink a path of its own", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    /// Sorts an answer of the system. `action` goes after "cannot".
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> FileError {
        let path = path.to_owned();
        let advice = match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => {
                return FileError::NoSpace { action, path, source };
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                "let the user of the daemon write to the file and its directory"
            }
            Some(Errno::ROFS) => "mount the file system writable, or name another path",
            Some(Errno::ISDIR) => "name a file in that directory instead",
            Some(Errno::NOTDIR) => {
                "a part of the path that should be a directory is a file: name another path"
            }
            Some(Errno::LOOP) => "it is a symbolic link: name the file that it points to",
            Some(Errno::NXIO) => "it is not a regular file: name another path",
            Some(Errno::NAMETOOLONG) => "choose a shorter name",
            _ => {
                return FileError::Failed { action, path, source };
            }
        };
        FileError::Refused { action, path, source, advice }
    }

    /// Whether space would help.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, FileError::NoSpace { .. })
    }
}

impl From<FileError> for Outcome {
    fn from(error: FileError) -> Outcome {
        match error {
            FileError::NoSpace { .. } | FileError::Failed { .. } => {
                Outcome::Retry { cause: error.to_string(), after: None }
            }
            FileError::Refused { .. } | FileError::Unusable { .. } | FileError::Locked { .. } => {
                Outcome::Blocked { cause: error.to_string() }
            }
        }
    }
}
