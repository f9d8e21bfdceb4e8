//! How a sink is doing, for `shipper spool status`: `DIR/status/<sink>.json` below the spool, written
//! by the daemon now and then, read by anybody.
//!
//! It is no record of anything: after a crash it may be old or gone, and nothing depends on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Longest error text that is kept, in bytes: a server may answer with a whole page.
const ERROR_BYTES_MAX: usize = 1024;
/// Most bytes read of a file: above any that is written, escapes of control characters included.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// How a sink is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is at.
    pub state: State,
    /// When it last took a batch, in nanoseconds since 1970.
    pub last_success_unix_ns: Option<u64>,
    /// What it last failed with.
    pub last_error: Option<String>,
    /// When, in nanoseconds since 1970.
    pub last_error_unix_ns: Option<u64>,
    /// What its client library counts, see [`crate::sink::Sink::figures`]; and `concurrency_limit`, how
    /// many batches may be with it at once, where that adapts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, u64>,
}

/// What a sink is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes what comes.
    #[default]
    Delivering,
    /// It failed, and is tried again.
    Retrying,
    /// Somebody must mend something: rights, a certificate, a full quarantine.
    Blocked,
}

impl State {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Delivering => "delivering",
            State::Retrying => "retrying",
            State::Blocked => "blocked",
        }
    }
}

/// Why a status could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{} is no status of a sink: {source}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Replaces the status of a sink: a reader sees the old one or the new one, whole. Not synced.
///
/// # Errors
/// When the directory or the file cannot be written.
pub fn write(spool_dir: &Path, sink: &str, status: &Status) -> Result<(), StatusError> {
    let path = path(spool_dir, sink);
    let temporary = path.with_extension("json.tmp");
    let mut shown = status.clone();
    if let Some(error) = &mut shown.last_error {
        error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
    }
    let text = serde_json::to_vec(&shown).map_err(|source| StatusError::Io {
        action: "write",
        path: path.clone(),
        source: source.into(),
    })?;
    let replace = || {
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        file.write_all(&text)?;
        fs::rename(&temporary, &path)
    };
    replace().map_err(|source| StatusError::Io { action: "write", path: path.clone(), source })
}

/// The status of a sink as last written; `None` when it never was.
///
/// # Errors
/// When the file cannot be read or is not one of ours.
pub fn read(spool_dir: &Path, sink: &str) -> Result<Option<Status>, StatusError> {
    let path = path(spool_dir, sink);
    let mut text = Vec::new();
    let read =
        fs::File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StatusError::Io { action: "read", path, source }),
        Ok(_) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| StatusError::Foreign { path, source }),
    }
}

fn path(spool_dir: &Path, sink: &str) -> PathBuf {
    spool_dir.join("status").join(format!("{sink}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written_last() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(read(dir.path(), "a").expect("no file is no error"), None);
        let first = Status { last_success_unix_ns: Some(7), ..Status::default() };
        write(dir.path(), "a", &first).expect("written");
        let second = Status {
            state: State::Blocked,
            last_error: Some("401 \"Unauthorized\"\n\u{7}".into()),
            last_error_unix_ns: Some(u64::MAX),
            ..first
        };
        write(dir.path(), "a", &second).expect("written");
        assert_eq!(read(dir.path(), "a").expect("readable"), Some(second));
        assert_eq!(read(dir.path(), "b").expect("another sink has none"), None);
        let names = fs::read_dir(dir.path().join("status")).expect("a directory").count();
        assert_eq!(names, 1, "no temporary file stays");
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let long = format!("x{}", "é".repeat(ERROR_BYTES_MAX));
        let status = Status { last_error: Some(long.clone()), ..Status::default() };
        write(dir.path(), "a", &status).expect("written");
        let kept = read(dir.path(), "a").expect("readable").and_then(|status| status.last_error);
        let kept = kept.expect("an error");
        assert!(kept.len() >= ERROR_BYTES_MAX - 3 && long.starts_with(&kept), "{}", kept.len());
    }

    #[test]
    fn the_largest_status_is_read_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let status = Status {
            last_error: Some("\u{1}".repeat(ERROR_BYTES_MAX)),
            last_error_unix_ns: Some(u64::MAX),
            last_success_unix_ns: Some(u64::MAX),
            ..Status::default()
        };
        write(dir.path(), "a", &status).expect("written");
        assert_eq!(read(dir.path(), "a").expect("readable"), Some(status));
    }

    #[test]
    fn a_foreign_file_is_an_error_and_not_a_status() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("status")).expect("made");
        fs::write(dir.path().join("status/a.json"), "hello").expect("written");
        assert!(matches!(read(dir.path(), "a"), Err(StatusError::Foreign { .. })));
    }
}
