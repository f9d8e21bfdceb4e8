//! The file sink: NDJSON on this machine, rotated, compressed, kept for a while.
//!
//! - `lines`: one file, whole lines only, each batch synced or undone
//! - `open`: the file ours alone, its torn last line cut off
//! - `writer`: the file at the path, through rotations and what others do to it
//! - `names`: what rotated files are called
//! - `housekeeper`, `compress`: what becomes of them
//!
//! A batch is `Sent` when it is in the file and the file is synced (fdatasync, once a batch), so
//! what was acknowledged survives a power failure. The price is one sync a batch: tens of
//! microseconds to some ten milliseconds, by the disk. Batches are gathered upstream to be worth it.
//!
//! After a crash in the middle of a batch, its lines that were already whole stay in the file and
//! come again with the batch: with the same event ids, by which they are told apart.
//!
//! Rotation by age happens with the first batch after the file has come of age; an idle file and an
//! empty one stay.

mod compress;
mod disk;
mod error;
mod housekeeper;
mod lines;
mod names;
mod open;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::time::SystemTime;

pub use error::FileError;
pub use housekeeper::Housekeeper;

use crate::config::settings::FileSettings;
use crate::format::ecs;
use crate::sink::{Batch, Outcome, Sink};
use writer::Writer;

/// Bytes of the encoding buffer that are kept between batches. A rare large batch must not hold its
/// memory for ever.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// The file sink. Its `send` needs tokio's multi-threaded runtime, as it blocks on the disk.
#[derive(Debug)]
pub struct FileSink {
    writer: Writer,
    buffer: Vec<u8>,
}

impl FileSink {
    /// A sink that opens its file at the first batch, and the housekeeper of its rotated files, whose
    /// [`run`](Housekeeper::run) wants a thread. That ends when the sink is dropped.
    #[must_use]
    pub fn new(settings: FileSettings) -> (FileSink, Housekeeper) {
        let (bell, housekeeper) = Housekeeper::new(settings.clone());
        let sink = FileSink { writer: Writer::new(settings, bell), buffer: Vec::new() };
        (sink, housekeeper)
    }

    /// Opens the file now, so that what is wrong with it is known at start. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, created or locked. The sink may still be used: each batch
    /// tries again.
    pub fn open(&mut self) -> Result<(), FileError> {
        self.writer.follow(SystemTime::now())
    }

    fn write(&mut self, batch: &Batch) -> Outcome {
        self.buffer.clear();
        for event in batch {
            ecs::encode(event, &mut self.buffer);
        }
        let result = self.writer.append(&self.buffer, SystemTime::now());
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        match result {
            Ok(()) => Outcome::Sent,
            Err(error) => error.into(),
        }
    }
}

#[async_trait::async_trait]
impl Sink for FileSink {
    async fn send(&mut self, batch: &Batch) -> Outcome {
        tokio::task::block_in_place(|| self.write(batch))
    }

    async fn reopen(&mut self) {
        if let Err(error) = tokio::task::block_in_place(|| self.writer.close()) {
            tracing::warn!(%error, "the file let go of may end with a torn line");
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        tokio::task::block_in_place(|| self.writer.close()).map_err(io::Error::other)
    }
}
