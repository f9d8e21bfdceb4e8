//! Opening the file: ours alone, regular, durable by name, and ending with a whole line.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::disk::{self, FileId};
use super::error::FileError;
use super::names::ADDED_BYTES_MAX;
use super::position::Place;

/// A name that is replaced this often while we open it is being fought over; waiting is for the
/// caller.
const OPEN_TRIES_MAX: usize = 8;

/// Most bytes of the file that keeps torn lines. They were never acknowledged, so they come again
/// whole; they are kept to look into a crash, and a machine that crashes in a loop must not fill
/// its disk with them.
const TORN_BYTES_MAX: u64 = 1 << 20;

/// Longest name of a file on every file system of Linux in use, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Bytes read at a time in search of the last newline.
const TAIL_BYTES: usize = 64 << 10;

/// An open file that nobody else writes and that ends with a newline or is empty.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) id: FileId,
    /// Its beginning, as positions name it.
    pub(super) place: Place,
    /// Bytes.
    pub(super) len: u64,
    /// When the file was begun.
    pub(super) begun: SystemTime,
}

/// Opens `path` for appending and locks it; makes it and its directory where they are missing.
///
/// A symbolic link in the last component is refused. In a directory that others may write to,
/// anybody could put a link there and have root append to a file of their choice; and a rotation
/// would move the link while the file goes on. Links in the directories before it are the
/// operator's and are followed.
///
/// The lock (flock, released with the file descriptor) keeps two daemons off one file: they would
/// cut each other's batches and rotate under each other.
pub(super) fn open(path: &Path, now: SystemTime) -> Result<Opened, FileError> {
    // Known at start rather than at the first rotation.
    if path.file_name().is_some_and(|name| name.len() + ADDED_BYTES_MAX > NAME_BYTES_MAX) {
        return Err(FileError::Unusable {
            path: path.to_owned(),
            what: "has a name too long to add the time of a rotation to",
            advice: "choose a name of at most 227 bytes",
        });
    }
    create_directories(path)?;
    for _ in 0..OPEN_TRIES_MAX {
        let Some((file, begun)) = open_or_create(path, now)? else {
            continue;
        };
        lock(&file, path)?;
        let metadata = file.metadata().map_err(|error| FileError::new("examine", path, error))?;
        let id = FileId::of(&metadata);
        // Between opening and locking, the one who held the lock may have rotated the file away.
        let named = disk::look(path).map_err(|error| FileError::new("examine", path, error))?;
        if named.is_none_or(|named| FileId::of(&named) != id) {
            continue;
        }
        let len = settle_tail(&file, path, metadata.len())?;
        // Also for a file that was there: a crash may have come before the name was durable.
        let directory = disk::directory(path);
        disk::sync_directory(directory)
            .map_err(|error| FileError::new("sync the directory", directory, error))?;
        let place = Place::new(&metadata, 0);
        return Ok(Opened { file, id, place, len, begun });
    }
    let source = io::Error::other("it was replaced each time it was opened");
    Err(FileError::Failed { action: "open", path: path.to_owned(), source })
}

/// `None` when the file came into being between looking and making it.
fn open_or_create(path: &Path, now: SystemTime) -> Result<Option<(File, SystemTime)>, FileError> {
    match disk::options().read(true).append(true).open(path) {
        Ok(file) => {
            let metadata =
                file.metadata().map_err(|error| FileError::new("examine", path, error))?;
            if !metadata.is_file() {
                return Err(FileError::Unusable {
                    path: path.to_owned(),
                    what: "is not a regular file",
                    advice: "name another path",
                });
            }
            Ok(Some((file, begun(&metadata, now))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match disk::options().read(true).append(true).create_new(true).open(path) {
                Ok(file) => {
                    file.sync_all().map_err(|error| FileError::new("sync", path, error))?;
                    Ok(Some((file, now)))
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(FileError::new("create", path, error)),
            }
        }
        Err(error) => Err(FileError::new("open", path, error)),
    }
}

/// When an existing file was begun. Without a birth time, its last change is the best there is.
fn begun(metadata: &Metadata, now: SystemTime) -> SystemTime {
    metadata.created().or_else(|_| metadata.modified()).unwrap_or(now)
}

fn lock(file: &File, path: &Path) -> Result<(), FileError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FileError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error,
                "the file system has no locks: make sure that nothing else writes to this file");
            Ok(())
        }
    }
}

fn create_directories(path: &Path) -> Result<(), FileError> {
    let missing: Vec<&Path> = disk::directory(path)
        .ancestors()
        .take_while(|directory| {
            !directory.as_os_str().is_empty() && matches!(disk::look(directory), Ok(None))
        })
        .collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o750).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(FileError::new("create the directory", directory, error));
            }
            _ => {}
        }
        let parent = disk::directory(directory);
        disk::sync_directory(parent)
            .map_err(|error| FileError::new("sync the directory", parent, error))?;
    }
    Ok(())
}

/// Cuts a torn last line off a file of `len` bytes and returns the length that is left.
///
/// The torn bytes go to `PATH.torn` first.
pub(super) fn settle_tail(file: &File, path: &Path, len: u64) -> Result<u64, FileError> {
    let failed = |action| move |error| FileError::new(action, path, error);
    refuse_foreign(file, path, len)?;
    let end = end_of_last_line(file, len).map_err(failed("read"))?;
    if end == len {
        return Ok(len);
    }
    let torn_path = with_suffix(path, ".torn");
    match keep_torn(file, end, len, &torn_path) {
        Ok(kept) => tracing::warn!(path = %path.display(), torn = len - end, kept,
            kept_in = %torn_path.display(), "cut off a torn last line"),
        // What matters is that nothing is appended to it; it was never acknowledged.
        Err(error) => tracing::warn!(path = %path.display(), torn = len - end, %error,
            "cut off a torn last line, which could not be kept"),
    }
    file.set_len(end).map_err(failed("cut a torn line off"))?;
    file.sync_data().map_err(failed("sync"))?;
    Ok(end)
}

/// Refuses a file that cannot be one of ours, before anything of it is cut or rotated away: a
/// mistaken path must not cost somebody else's file. A NUL is what a power failure leaves where
/// data did not reach the disk.
fn refuse_foreign(file: &File, path: &Path, len: u64) -> Result<(), FileError> {
    let mut first = [0];
    if len > 0 {
        file.read_exact_at(&mut first, 0).map_err(|error| FileError::new("read", path, error))?;
    }
    match first {
        [b'{' | 0] => Ok(()),
        _ => Err(FileError::Unusable {
            path: path.to_owned(),
            what: "holds something else than events (it does not begin with '{')",
            advice: "move it away or name another path",
        }),
    }
}

/// Where the last whole line ends, within the first `len` bytes.
fn end_of_last_line(file: &File, len: u64) -> io::Result<u64> {
    let mut buffer = [0; TAIL_BYTES];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(TAIL_BYTES as u64);
        let chunk = &mut buffer[..(end - start) as usize];
        file.read_exact_at(chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Appends what stands between `start` and `end` to the file of torn lines, as far as that has
/// room, and returns how many bytes that were.
fn keep_torn(mut file: &File, start: u64, end: u64, torn_path: &Path) -> io::Result<u64> {
    let mut torn = disk::options().append(true).create(true).open(torn_path)?;
    let room = TORN_BYTES_MAX.saturating_sub(torn.metadata()?.len());
    let kept = (end - start).min(room.saturating_sub(1));
    if kept == 0 {
        return Ok(0);
    }
    // Moves only where we read: writes go to the end, wherever that is.
    file.seek(SeekFrom::Start(start))?;
    io::copy(&mut file.take(kept), &mut torn)?;
    torn.write_all(b"\n")?;
    torn.sync_all()?;
    Ok(kept)
}

/// A path with something appended to its last component.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
