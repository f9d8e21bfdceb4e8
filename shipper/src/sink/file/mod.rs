//! The file sink: NDJSON on this machine, rotated, compressed, kept for a while.
//!
//! - `lines`: one file, whole lines only, each batch synced or undone
//! - `open`: the file ours alone, its torn last line cut off
//! - `writer`: the file at the path, through rotations and what others do to it
//! - `position`: where it stands, for the cursor, and what is there already after a crash
//! - `names`: what rotated files are called
//! - `housekeeper`, `compress`: what becomes of them
//!
//! A batch is `Sent` when it is in the file and the file is synced (fdatasync, once a batch), so
//! what was acknowledged survives a power failure. The price is one sync a batch: tens of
//! microseconds to some ten milliseconds, by the disk. Batches are gathered upstream to be worth it.
//!
//! Each line is written exactly once, also when the daemon is killed: lines that are in the file and
//! were not acknowledged for good come again, are compared with what is there, and are left alone.
//! They are doubled where that comparison is not possible: another process moved the file to another
//! directory or compressed it within a tenth of a second of the kill, or the next daemon is of
//! another version and writes the same event differently. Then they carry the same event id.
//!
//! Rotation by age happens with the first batch after the file has come of age; an idle file and an
//! empty one stay.

mod check;
mod compress;
mod disk;
mod error;
mod housekeeper;
mod lines;
mod names;
mod open;
mod position;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub use check::check_place;
pub use error::FileError;
pub use housekeeper::Housekeeper;

use crate::config::settings::FileSettings;
use crate::event::Event;
use crate::format::{self, Format};
use crate::sink::{Batch, Outcome, Sink};
use writer::{Appended, Writer};

/// The file sink. Its `send` needs tokio's multi-threaded runtime, as it blocks on the disk.
#[derive(Debug)]
pub struct FileSink {
    format: Format,
    writer: Mutex<Writer>,
}

impl FileSink {
    /// A sink that opens its file at the first batch, and the housekeeper of its rotated files, whose
    /// [`run`](Housekeeper::run) wants a thread. That ends when the sink is dropped.
    #[must_use]
    pub fn new(settings: FileSettings) -> (FileSink, Housekeeper) {
        let format = settings.format;
        let (bell, housekeeper) = Housekeeper::new(settings.clone());
        (FileSink { format, writer: Mutex::new(Writer::new(settings, bell)) }, housekeeper)
    }

    /// Opens the file now, so that what is wrong with it is known at start. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, created or locked. The sink may still be used: each batch
    /// tries again.
    pub fn open(&self) -> Result<(), FileError> {
        self.writer().follow(SystemTime::now())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // What a panic left behind is repaired by the writer itself, as after a failed write.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, batch: Batch<'_>) -> Outcome {
        let mut writer = self.writer();
        match writer.append(batch.bytes(), SystemTime::now()) {
            Ok(Appended::Whole) => Outcome::Sent { position: writer.position() },
            Ok(Appended::AfterCheckpoint) => Outcome::Checkpoint { position: writer.position() },
            Err(error) => error.into(),
        }
    }
}

#[async_trait::async_trait]
impl Sink for FileSink {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        format::encode(self.format, event, out);
    }

    async fn resume(&self, position: &[u8]) {
        tokio::task::block_in_place(|| self.writer().resume(position));
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        tokio::task::block_in_place(|| self.write(batch))
    }

    async fn reopen(&self) {
        if let Err(error) = tokio::task::block_in_place(|| self.writer().close()) {
            tracing::warn!(%error, "the file let go of may end with a torn line");
        }
    }

    async fn close(&self) -> Result<(), io::Error> {
        tokio::task::block_in_place(|| self.writer().close()).map_err(io::Error::other)
    }
}
