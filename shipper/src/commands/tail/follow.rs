//! The lines of a file that grows, is rotated and may not be there yet.
//!
//! Nothing here waits: [`Follower::step`] reads what there is and says how it stands. A rotated
//! file counts as finished once the new one has content, because one writer fills both; until then
//! it may still grow. Two rotations between two steps leave the file between them unread.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest line that is kept whole, without its newline. Events are far shorter; a file that is not
/// ours must not fill the memory.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// Bytes of one read: a step stays short enough for Ctrl-C to feel immediate.
const READ_BYTES: usize = 64 << 10;

/// What a step found.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// The first [`LINE_BYTES_MAX`] bytes of a line that is longer. The rest is skipped.
    Cut(&'a [u8]),
    /// The end of a file that was rotated away or truncated, without a newline.
    Unfinished(&'a [u8]),
    /// The file was truncated; it is read again from its start.
    Truncated,
}

/// How things stand after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was read or changed; there may be more at once.
    More,
    /// At the end, for now.
    AtEnd,
    /// There is no such file, for now.
    Missing,
}

/// Why a file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The path is no file.
    #[error("{0} is a directory; name the file in it that is written, such as shipper.ndjson")]
    Directory(PathBuf),
    /// No right to read.
    #[error(
        "no permission to read {0}: event logs are for root and the group of the file; try sudo"
    )]
    Permission(PathBuf),
    /// Anything else.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
}

/// Follows one path.
pub struct Follower {
    path: PathBuf,
    /// Lines from the end of the first file to begin with; later ones are read whole.
    begin_lines: Option<usize>,
    open: Option<Open>,
    splitter: Splitter,
    buffer: Vec<u8>,
}

struct Open {
    file: File,
    /// Device and inode: the file's identity whatever its name is by now.
    id: (u64, u64),
    offset: u64,
    /// The writer has moved on to a new file: at the next end there is no more to come.
    finished: bool,
}

impl Follower {
    /// Follows `path`, from the last `lines` lines on.
    #[must_use]
    pub fn new(path: &Path, lines: usize) -> Follower {
        Follower {
            path: path.to_owned(),
            begin_lines: Some(lines),
            open: None,
            splitter: Splitter::default(),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Reads at most one buffer and gives what it found to `each`, in order.
    pub fn step(&mut self, each: &mut impl FnMut(Item<'_>)) -> Result<Step, FollowError> {
        let Some(open) = &mut self.open else {
            return self.open_path();
        };
        let count = match open.file.read(&mut self.buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::More),
            Err(error) => return Err(self.error(error)),
        };
        if count > 0 {
            open.offset += count as u64;
            self.splitter.feed(&self.buffer[..count], each);
            return Ok(Step::More);
        }
        if open.finished {
            self.splitter.finish(each);
            self.open = None;
            return Ok(Step::More);
        }
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Step::AtEnd),
            Err(error) => return Err(self.error(error)),
        };
        if identity(&now) != open.id {
            if now.len() == 0 {
                return Ok(Step::AtEnd);
            }
            open.finished = true;
            return Ok(Step::More);
        }
        if now.is_file() && now.len() < open.offset {
            if let Err(error) = open.file.seek(SeekFrom::Start(0)) {
                return Err(self.error(error));
            }
            open.offset = 0;
            self.splitter.finish(each);
            each(Item::Truncated);
            return Ok(Step::More);
        }
        Ok(Step::AtEnd)
    }

    /// Gives a last line that has no newline, when nobody waits for the rest.
    pub fn finish(&mut self, each: &mut impl FnMut(Item<'_>)) {
        self.splitter.finish(each);
    }

    fn open_path(&mut self) -> Result<Step, FollowError> {
        match self.try_open() {
            Ok(open) => {
                self.open = Some(open);
                Ok(Step::More)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Step::Missing),
            Err(error) => Err(self.error(error)),
        }
    }

    fn try_open(&mut self) -> io::Result<Open> {
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut offset = 0;
        if let Some(lines) = self.begin_lines.take()
            && metadata.is_file()
        {
            offset = start_of_last(&file, metadata.len(), lines)?;
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Open { file, id: identity(&metadata), offset, finished: false })
    }

    fn error(&self, error: io::Error) -> FollowError {
        let path = self.path.clone();
        match error.kind() {
            io::ErrorKind::IsADirectory => FollowError::Directory(path),
            io::ErrorKind::PermissionDenied => FollowError::Permission(path),
            _ => FollowError::Read(path, error),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Where the last `lines` whole lines begin: behind the newline that precedes them.
fn start_of_last(file: &File, len: u64, lines: usize) -> io::Result<u64> {
    let mut block = vec![0; READ_BYTES];
    let mut end = len;
    let mut newlines = 0;
    while end > 0 {
        let start = end.saturating_sub(READ_BYTES as u64);
        let block = &mut block[..usize::try_from(end - start).unwrap_or(READ_BYTES)];
        file.read_exact_at(block, start)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if newlines == lines {
                return Ok(start + at as u64 + 1);
            }
            newlines += 1;
        }
        end = start;
    }
    Ok(0)
}

/// Cuts a stream of bytes into lines and keeps the one that is not complete.
#[derive(Default)]
struct Splitter {
    /// At most [`LINE_BYTES_MAX`] bytes.
    partial: Vec<u8>,
    /// The rest of a line that was given as cut is passed over.
    skipping: bool,
}

impl Splitter {
    fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.keep(&bytes[..end], each);
            if !self.skipping {
                each(Item::Line(&self.partial));
            }
            self.partial.clear();
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes, each);
    }

    fn keep(&mut self, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        if self.skipping {
            return;
        }
        let room = LINE_BYTES_MAX - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            each(Item::Cut(&self.partial));
            self.partial.clear();
            self.skipping = true;
        }
    }

    fn finish(&mut self, each: &mut impl FnMut(Item<'_>)) {
        if !self.partial.is_empty() {
            each(Item::Unfinished(&self.partial));
        }
        self.partial.clear();
        self.skipping = false;
    }
}

#[cfg(test)]
mod tests;
