//! When the status of a sink is written.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::gate::Gate;
use super::status;
use crate::sink::Sink;

/// How often a status is written, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes the status when it has changed, at most once a second.
pub struct Reporter {
    /// `None` writes none.
    spool_dir: Option<PathBuf>,
    sink: String,
    /// The change that was written last, as the gate counts them.
    written: u64,
    not_before: Instant,
}

impl Reporter {
    /// For one sink.
    #[must_use]
    pub fn new(spool_dir: Option<PathBuf>, sink: &str) -> Reporter {
        Reporter { spool_dir, sink: sink.to_owned(), written: 0, not_before: Instant::now() }
    }

    /// Waits until a status is to be written: when it has changed, and not too often.
    pub async fn due(&self, gate: &Gate) {
        if self.spool_dir.is_none() {
            return std::future::pending().await;
        }
        gate.changed_since(self.written).await;
        tokio::time::sleep_until(self.not_before).await;
    }

    /// Writes it.
    pub fn write(&mut self, gate: &Gate, sink: &dyn Sink) {
        let Some(spool_dir) = &self.spool_dir else { return };
        let (change, mut status) = gate.status();
        let limit = gate.concurrency_limit().map(|limit| ("concurrency_limit", limit as u64));
        let figures = sink.figures().into_iter().chain(limit);
        status.figures = figures.map(|(name, value)| (name.to_owned(), value)).collect();
        // A failure shows in what matters: the spool is on the same disk.
        if let Err(error) = status::write(spool_dir, &self.sink, &status) {
            tracing::debug!(%error, sink = self.sink, "the status cannot be written");
        }
        self.written = change;
        self.not_before = Instant::now() + INTERVAL;
    }
}
