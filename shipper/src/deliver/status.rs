//! What an operator is told of a sink: a small file beside the spool, read by `shipper spool status`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How a sink is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is in the way.
    #[default]
    Delivering,
    /// It is away, and tried again.
    Retrying,
    /// Somebody has to mend something.
    Blocked,
}

/// What is known of a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Now.
    pub state: State,
    /// When it last took events, nanoseconds since 1970.
    pub last_success_unix_ns: Option<u64>,
    /// What last went wrong.
    pub last_error: Option<String>,
    /// When that was, nanoseconds since 1970.
    pub last_error_unix_ns: Option<u64>,
}

/// The status file of a sink in the spool of that directory.
#[must_use]
pub fn path(spool: &Path, sink: &str) -> PathBuf {
    spool.join("status").join(format!("{sink}.json"))
}

/// Reads a status file; `None` when there is none, or none that can be understood.
#[must_use]
pub fn read(path: &Path) -> Option<Status> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes a status file whole or not at all. It is not synced: after a power failure the one of
/// before may be there.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, status: &Status) -> std::io::Result<()> {
    let text = serde_json::to_vec(status).expect("numbers and strings are always JSON");
    let temporary = path.with_extension("json.tmp");
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// Writes the status when it has changed, at most once an interval.
pub struct Reporter {
    path: Option<PathBuf>,
    interval: Duration,
    /// The change that was written last, as the gate counts them.
    written: u64,
    not_before: Instant,
}

impl Reporter {
    /// Without a path nothing is ever written.
    #[must_use]
    pub fn new(path: Option<PathBuf>, interval: Duration) -> Reporter {
        Reporter { path, interval, written: 0, not_before: Instant::now() }
    }

    /// Waits until a status is to be written; for ever when it has not changed.
    pub async fn due(&self, change: u64) {
        if self.path.is_none() || change == self.written {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.not_before).await;
    }

    /// Writes it.
    pub fn write(&mut self, change: u64, status: &Status) {
        let Some(path) = &self.path else { return };
        // A failure shows in what matters: the spool is on the same disk.
        if let Err(error) = write(path, status) {
            tracing::debug!(%error, path = %path.display(), "the status cannot be written");
        }
        self.written = change;
        self.not_before = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written_and_what_is_none_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = path(directory.path(), "siem");
        assert_eq!(read(&path), None);
        let status = Status {
            state: State::Blocked,
            last_success_unix_ns: Some(1),
            last_error: Some("no right to write".to_owned()),
            last_error_unix_ns: Some(2),
        };
        write(&path, &status).expect("writable");
        assert_eq!(read(&path), Some(status));
        std::fs::write(&path, "{").expect("writable");
        assert_eq!(read(&path), None);
    }
}
