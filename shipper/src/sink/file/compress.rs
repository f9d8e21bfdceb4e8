//! Compression of a rotated file, such that at every moment one complete copy has its final name.

use std::fs::{File, FileTimes, Metadata};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::disk;
use super::error::FileError;
use super::names::{Kind, Names, Rotated};

/// Bytes read at a time: what compression holds in memory, whatever the size of the file. Between
/// two of them it looks whether it should stop.
const CHUNK_BYTES: usize = 64 << 10;

/// How a compression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// The compressed file stands in the original's stead.
    Done,
    /// Told to stop; the original stands.
    Stopped,
}

/// What a file and a compressed one of the same time are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Original and its complete compression.
    Same,
    /// The compressed one cannot be read to its end.
    Damaged,
    /// Both sound, and not the same.
    Different,
    /// Told to stop before it was known.
    Stopped,
}

/// Compresses a file to a temporary name, gives it its final name, removes the original; each step
/// durable before the next.
pub(super) fn compress(
    plain: &Rotated,
    names: &Names,
    stop: &dyn Fn() -> bool,
) -> Result<Finished, FileError> {
    let partial = names.path(plain.at, Kind::Partial);
    let result = compress_to(plain, &partial, names, stop);
    if !matches!(result, Ok(Finished::Done)) {
        // The next pass removes it if this does not.
        let _ = disk::remove(&partial);
    }
    result
}

fn compress_to(
    plain: &Rotated,
    partial: &Path,
    names: &Names,
    stop: &dyn Fn() -> bool,
) -> Result<Finished, FileError> {
    let reading = |error| FileError::new("read", &plain.path, error);
    let writing = |error| FileError::new("write", partial, error);
    let sync_directory = || {
        disk::sync_directory(names.directory())
            .map_err(|error| FileError::new("sync the directory", names.directory(), error))
    };

    let mut source = disk::options().read(true).open(&plain.path).map_err(reading)?;
    let before = source.metadata().map_err(reading)?;
    let target = disk::options().write(true).create_new(true).open(partial).map_err(writing)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if stop() {
            return Ok(Finished::Stopped);
        }
        match read(&mut source, &mut chunk).map_err(reading)? {
            0 => break,
            count => encoder.write_all(&chunk[..count]).map_err(writing)?,
        }
    }
    let target = encoder.finish().map_err(writing)?;
    keep_time(&target, &before).map_err(writing)?;
    target.sync_all().map_err(writing)?;

    // Should somebody still be writing to it, his lines must not go with the original.
    if changed(&before, &source.metadata().map_err(reading)?) {
        let source = io::Error::other("it is still being written to");
        return Err(FileError::Failed { action: "compress", path: plain.path.clone(), source });
    }
    let gzip = names.path(plain.at, Kind::Gzip);
    disk::rename_new(partial, &gzip).map_err(|error| FileError::new("create", &gzip, error))?;
    sync_directory()?;
    disk::remove(&plain.path).map_err(|error| FileError::new("remove", &plain.path, error))?;
    sync_directory()?;
    Ok(Finished::Done)
}

/// Reads both to their ends.
pub(super) fn compare(
    plain: &Rotated,
    gzip: &Rotated,
    stop: &dyn Fn() -> bool,
) -> Result<Pair, FileError> {
    let open = |rotated: &Rotated| {
        disk::options()
            .read(true)
            .open(&rotated.path)
            .map_err(|error| FileError::new("read", &rotated.path, error))
    };
    let mut original = BufReader::new(open(plain)?);
    let mut decoder = GzDecoder::new(BufReader::new(open(gzip)?));
    let (mut chunk, mut wanted) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut same = true;
    loop {
        if stop() {
            return Ok(Pair::Stopped);
        }
        let count = match read(&mut decoder, &mut chunk) {
            Ok(count) => count,
            Err(error) if is_damage(&error) => return Ok(Pair::Damaged),
            Err(error) => return Err(FileError::new("read", &gzip.path, error)),
        };
        let wanted = &mut wanted[..count.max(1)];
        let found = read_full(&mut original, wanted)
            .map_err(|error| FileError::new("read", &plain.path, error))?;
        // At the end of the one, the other must have no byte left.
        same &= wanted[..found] == chunk[..count];
        if count == 0 {
            return Ok(if same { Pair::Same } else { Pair::Different });
        }
    }
}

/// What the decoder says of bytes that are not gzip, do not check out, or end too early. An error of
/// the disk carries its number.
fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

fn keep_time(file: &File, original: &Metadata) -> io::Result<()> {
    file.set_times(FileTimes::new().set_modified(original.modified()?))
}

fn changed(before: &Metadata, after: &Metadata) -> bool {
    before.len() != after.len() || before.modified().ok() != after.modified().ok()
}

fn read(source: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Fills the chunk unless the source ends before.
fn read_full(source: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match read(source, &mut chunk[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
