//! Names of rotated files: `shipper-20261124T101500.123Z.ndjson` beside `shipper.ndjson`, with
//! `.gz` after it once compressed.
//!
//! The time is that of the rotation in UTC, so the names sort by time. A name that is taken is
//! avoided by counting the milliseconds up, not by a counter behind them, which would not sort.
//! Files whose names are not exactly of this shape are not ours and are never touched.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::disk;
use super::error::FileError;

const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// Bytes that rotation and compression may add to the name of the file.
pub(super) const ADDED_BYTES_MAX: usize = "-20261124T101500.123Z.gz.tmp".len();

/// Names taken in a row that are put up with. Each stands for a rotation in one and the same
/// millisecond, or for a clock that was set back.
const TAKEN_MAX: usize = 10_000;

/// What a name says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// As it was written.
    Plain,
    /// Compressed, complete.
    Gzip,
    /// Being compressed.
    Partial,
}

impl Kind {
    fn suffix(self) -> &'static [u8] {
        match self {
            Kind::Plain => b"",
            Kind::Gzip => b".gz",
            Kind::Partial => b".gz.tmp",
        }
    }
}

/// A rotated file.
#[derive(Clone, Debug)]
pub(super) struct Rotated {
    /// When it was rotated.
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) len: u64,
}

/// The names of the rotated files of one path.
#[derive(Clone, Debug)]
pub(super) struct Names {
    directory: PathBuf,
    /// What stands before the time, with the dash.
    prefix: Vec<u8>,
    /// What stands after it: the extension with its dot, or nothing.
    extension: Vec<u8>,
}

impl Names {
    /// The names for the rotated files of `path`.
    pub(super) fn of(path: &Path) -> Names {
        let mut prefix = path.file_stem().unwrap_or_default().as_bytes().to_vec();
        prefix.push(b'-');
        let extension = path
            .extension()
            .map_or_else(Vec::new, |extension| [b".", extension.as_bytes()].concat());
        Names { directory: disk::directory(path).to_owned(), prefix, extension }
    }

    /// Where the rotated files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a file rotated at a time.
    pub(super) fn path(&self, at: Timestamp, kind: Kind) -> PathBuf {
        let time = at.strftime(TIME).to_string();
        let name = [&self.prefix, time.as_bytes(), &self.extension, kind.suffix()].concat();
        self.directory.join(OsString::from_vec(name))
    }

    /// Reads a name of exactly our shape.
    fn parse(&self, name: &[u8]) -> Option<(Timestamp, Kind)> {
        let rest = name.strip_prefix(self.prefix.as_slice())?;
        let (time, rest) = rest.split_at_checked("20261124T101500.123Z".len())?;
        let suffix = rest.strip_prefix(self.extension.as_slice())?;
        let kind = [Kind::Plain, Kind::Gzip, Kind::Partial]
            .into_iter()
            .find(|kind| kind.suffix() == suffix)?;
        let at = TimeZone::UTC.to_timestamp(DateTime::strptime(TIME, time).ok()?).ok()?;
        // The parser takes other spellings of the same time, too.
        (at.strftime(TIME).to_string().as_bytes() == time).then_some((at, kind))
    }

    /// All rotated files, oldest first.
    pub(super) fn list(&self) -> Result<Vec<Rotated>, FileError> {
        let failed = |error| FileError::new("list the directory", &self.directory, error);
        let mut list = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some((at, kind)) = self.parse(entry.file_name().as_bytes()) else {
                continue;
            };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    list.push(Rotated { at, kind, path: entry.path(), len: metadata.len() });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FileError::new("examine", &entry.path(), error)),
            }
        }
        list.sort_by_key(|rotated| (rotated.at, rotated.kind));
        Ok(list)
    }

    /// Gives a file the first free name from `at` on, durably, and returns the time it stands for.
    pub(super) fn set_aside(&self, path: &Path, at: Timestamp) -> Result<Timestamp, FileError> {
        let failed = |error| FileError::new("rotate", path, error);
        let mut at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        for _ in 0..TAKEN_MAX {
            // Beside a compressed file of the same time it would look like its leftover original.
            let compressed = self.path(at, Kind::Gzip);
            if disk::look(&compressed).map_err(failed)?.is_none() {
                match disk::rename_new(path, &self.path(at, Kind::Plain)) {
                    Ok(()) => {
                        disk::sync_directory(&self.directory).map_err(|error| {
                            FileError::new("sync the directory", &self.directory, error)
                        })?;
                        return Ok(at);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            at = next(at);
        }
        let source = io::Error::other("the names for rotated files are all taken");
        Err(FileError::Failed { action: "rotate", path: path.to_owned(), source })
    }
}

/// The next time that has a name of its own.
pub(super) fn next(at: Timestamp) -> Timestamp {
    at.checked_add(1.millisecond()).unwrap_or(at)
}
