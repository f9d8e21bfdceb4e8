//! The disk as the spool sees it. Behind a trait, so that a test can fail, tear and forget writes.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags};

#[cfg(test)]
pub(crate) mod sim;

/// Bytes copied at a time.
const CHUNK_BYTES: u64 = 256 << 10;

/// Space of the file system a path is on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free for this process.
    pub free: u64,
    /// In total.
    pub total: u64,
}

/// Why a lock was not had.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; its pid, where it wrote one.
    Held(Option<u32>),
    /// The file could not be opened or written.
    Failed(io::Error),
}

/// A file system. What is written is durable after [`DiskFile::sync_data`]; a name made, renamed or
/// removed after [`Disk::sync_dir`].
pub trait Disk: Send + Sync + Debug {
    /// Makes a directory and those above it where they are missing, durably.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens an existing file for reading and, if asked, writing. Follows no link.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file, or empties the one there; for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames; a file at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The space of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes the lock at `path` for as long as the guard lives, and writes the pid into it.
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all at `offset`. After an error any part of it may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends; also gives back what was allocated beyond.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes data and length durable. After an error nothing is known of what was not yet synced.
    fn sync_data(&self) -> io::Result<()>;
    /// Asks for room up to `bytes` without changing the length.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

/// The file system of this machine. Files are made with mode 0640, directories with 0750.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // A FIFO or device in our place must not hold us up.
    options.mode(0o640).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

impl Disk for RealDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && fs::symlink_metadata(dir).is_err())
            .collect();
        for dir in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o750).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.sync_dir(parent.unwrap_or(Path::new(".")))?;
        }
        match fs::metadata(path)?.is_dir() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        // Names that are not UTF-8 are none of ours.
        fs::read_dir(dir)?
            .filter_map(|entry| match entry {
                Ok(entry) => entry.file_name().into_string().ok().map(Ok),
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = options().read(true).write(writable).open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Arc::new(file)),
            false => Err(io::Error::other("it is not a regular file: move it away")),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(options().read(true).write(true).create(true).truncate(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match File::open(dir)?.sync_all() {
            // Some file systems cannot sync a directory, which leaves nothing better to do.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut file = options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Without a pid the refusal still stands.
                let _ = (&mut file).take(64).read_to_string(&mut text);
                return Err(LockError::Held(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error,
                    "the file system has no locks: make sure that no second shipper uses this spool");
            }
        }
        // Of one length always, so that a full disk cannot refuse it.
        write!(file, "{:<11}", std::process::id()).map_err(LockError::Failed)?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, 0, bytes)?)
    }
}

/// Writes a small file so that it is there whole or not at all, durably.
pub(super) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = disk.create(&temporary)?;
    let written = file.write_at(bytes, 0).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // A left over temporary file is removed at the next start.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent(path))
}

/// Makes durable what stands in a file, also where the system believes that it is: after a sync that
/// failed it takes for written what is in memory only.
pub(super) fn write_again(file: &dyn DiskFile, from: u64, len: u64) -> io::Result<()> {
    let mut buffer = vec![0; len.min(CHUNK_BYTES) as usize];
    let mut done = 0;
    while done < len {
        let wanted = (len - done).min(CHUNK_BYTES) as usize;
        let read = file.read_at(&mut buffer[..wanted], from + done)?;
        if read == 0 {
            break;
        }
        file.write_at(&buffer[..read], from + done)?;
        done += read as u64;
    }
    file.sync_data()
}

/// The directory of a file of the spool.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Reads a file of at most `bytes_max` bytes; a longer one is cut.
pub(super) fn read_whole(file: &dyn DiskFile, bytes_max: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.size()?).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The names in a directory; none where it does not exist.
pub(super) fn list_if_there(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}
