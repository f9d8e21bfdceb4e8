//! Appending to one file so that it holds whole lines only, whatever fails in between.
//!
//! A batch is in the file with all its lines and synced, or the file is as it was before. Where even
//! the undoing fails it is owed, and nothing is appended before it is done.

use std::fs::File;
use std::io::{self, Write};

/// What is asked of the file, apart so that a test can make each of it fail.
pub(super) trait RawFile {
    /// Appends some of the bytes and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to a length.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Makes everything written durable, the length included.
    fn sync(&mut self) -> io::Result<()>;
}

impl RawFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why a batch was not appended.
#[derive(Debug)]
pub(super) struct AppendError {
    /// What was tried, to go after "cannot".
    pub(super) action: &'static str,
    /// The answer of the system.
    pub(super) source: io::Error,
}

/// A file of whole lines, open for appending.
#[derive(Debug)]
pub(super) struct Lines<F> {
    file: F,
    /// Bytes of all whole, synced batches: where the next one begins.
    len: u64,
    /// There may be something after `len` that must be cut off.
    torn: bool,
    /// A sync failed.
    suspect: bool,
}

impl<F: RawFile> Lines<F> {
    /// Takes over a file that is `len` bytes long and ends with a newline, or is empty.
    pub(super) fn new(file: F, len: u64) -> Lines<F> {
        Lines { file, len, torn: false, suspect: false }
    }

    pub(super) fn file(&self) -> &F {
        &self.file
    }

    /// Length in bytes up to the end of the last whole batch.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The length was changed by somebody else, and the file ends with a newline again.
    pub(super) fn resume_at(&mut self, len: u64) {
        self.len = len;
    }

    /// Whether a sync failed. The kernel then drops what it could not write and reports success the
    /// next time, so no later sync of this file proves anything: it must not be written any further.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(super) fn distrust(&mut self) {
        self.suspect = true;
    }

    /// Appends whole lines and syncs them, or leaves the file as it was.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        debug_assert!(bytes.last() == Some(&b'\n'), "only whole lines are appended");
        self.repair()?;
        if let Err(source) = self.write_all(bytes) {
            self.undo();
            return Err(AppendError { action: "write to", source });
        }
        if let Err(source) = self.file.sync() {
            self.distrust();
            self.undo();
            return Err(AppendError { action: "sync", source });
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed append left, if it is still there.
    pub(super) fn repair(&mut self) -> Result<(), AppendError> {
        if self.torn {
            self.file
                .truncate(self.len)
                .map_err(|source| AppendError { action: "cut a torn line off", source })?;
            self.torn = false;
        }
        Ok(())
    }

    fn undo(&mut self) {
        self.torn = true;
        if self.repair().is_err() {
            // Still owed: `torn` stays set. The error that led here is the one worth telling.
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
