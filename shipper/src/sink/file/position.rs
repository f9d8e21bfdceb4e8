//! Where the sink stands, and what of the next lines is in the files already.
//!
//! A position names files by identity, not by path, and a length. After a crash a file may hold
//! more than the position saved last says: lines that were written and not acknowledged for good,
//! which come again. They are compared with what is there and not written twice.
//!
//! The sink writes only to a file that a saved position names, and moves a file away only when a
//! saved position says how long it is. So there is nothing of ours that a position does not lead to.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::disk::{self, FileId};

/// Most files in one position: more pile up only when a file is moved away by others between
/// crashes that come within milliseconds of each other.
const PLACES_MAX: usize = 4;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    device: u64,
    inode: u64,
    /// When the file was made, nanoseconds since the epoch, where the file system knows: an inode
    /// number is used again.
    born_ns: Option<u64>,
    /// All bytes before this one are acknowledged.
    pub(super) bytes: u64,
}

impl Place {
    pub(super) fn new(metadata: &Metadata, bytes: u64) -> Place {
        let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|born| u64::try_from(born.as_nanos()).ok());
        let FileId { device, inode } = FileId::of(metadata);
        Place { device, inode, born_ns, bytes }
    }

    /// Another place in the same file.
    pub(super) fn at(&self, bytes: u64) -> Place {
        Place { bytes, ..*self }
    }

    /// Whether both are in one file.
    pub(super) fn is_in_file_of(&self, other: &Place) -> bool {
        self.at(0) == other.at(0)
    }

    fn is_in(&self, metadata: &Metadata) -> bool {
        metadata.is_file() && self.is_in_file_of(&Place::new(metadata, 0))
    }
}

/// The bytes that travel with the cursor: JSON, so that a person can read them.
pub(super) fn to_bytes(places: &[Place]) -> Vec<u8> {
    let newest = places.len().saturating_sub(PLACES_MAX);
    serde_json::to_vec(&places[newest..]).expect("numbers are always JSON")
}

/// `None` for bytes that are not a position of this sink.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Vec<Place>> {
    serde_json::from_slice(bytes).ok()
}

/// Lines that a file holds beyond a saved position.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where it begins; moves on as its lines are acknowledged.
    pub(super) place: Place,
    file: File,
    end: u64,
}

impl Tail {
    /// Looks for the file of a place at the path and, where it was moved away, beside it. `None`
    /// when it is gone or holds no more than the position says. What it holds is durable then.
    pub(super) fn find(path: &Path, place: Place) -> io::Result<Option<Tail>> {
        let Some(file) = open_by_identity(path, &place)? else { return Ok(None) };
        let end = file.metadata()?.len();
        if end < place.bytes {
            tracing::warn!(path = %path.display(), expected = place.bytes, found = end,
                "lines that were delivered are gone: another process cut the file");
        }
        if end <= place.bytes {
            return Ok(None);
        }
        file.sync_data()?;
        Ok(Some(Tail { place, file, end }))
    }

    /// How many bytes of `lines`, in whole lines, the file holds next.
    pub(super) fn matching(&self, lines: &[u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.place.bytes)).unwrap_or(usize::MAX);
        let mut there = vec![0; left.min(lines.len())];
        let mut count = 0;
        while count < there.len() {
            match self.file.read_at(&mut there[count..], self.place.bytes + count as u64) {
                Ok(0) => break, // A torn last line was cut off meanwhile.
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let same = there[..count].iter().zip(lines).take_while(|(a, b)| a == b).count();
        Ok(lines[..same].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1))
    }

    /// Takes so many bytes as acknowledged.
    pub(super) fn advance(&mut self, count: usize) {
        self.place.bytes += count as u64;
    }

    /// Nothing is left of it.
    pub(super) fn is_done(&self) -> bool {
        self.place.bytes >= self.end
    }
}

fn open_by_identity(path: &Path, place: &Place) -> io::Result<Option<File>> {
    let open = |path: &Path| -> io::Result<Option<File>> {
        // Named by the listing, so nothing is opened that is not the file: a FIFO would hang.
        if disk::look(path)?.is_none_or(|metadata| !place.is_in(&metadata)) {
            return Ok(None);
        }
        let file = disk::options().read(true).open(path)?;
        Ok(place.is_in(&file.metadata()?).then_some(file))
    };
    if let Some(file) = open(path)? {
        return Ok(Some(file));
    }
    let entries = match std::fs::read_dir(disk::directory(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    for entry in entries {
        if let Some(file) = open(&entry?.path())? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
