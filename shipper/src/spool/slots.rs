//! A small state on disk that is replaced as a whole: two checksummed slots in one file, written in
//! turn. A write that fails or tears leaves the other slot. The file has its full size from the
//! beginning, so that a full disk cannot refuse a change.
//!
//! A slot is magic u32, CRC-32C u32 of all that follows, generation u64, length u32, payload. The
//! valid slot of the higher generation counts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{self, Disk, DiskFile};
use super::frame::{u32_at, u64_at};

const MAGIC: u32 = 0x51_0a_73_1e;
const HEAD_BYTES: usize = 20;

/// The two slots of one file.
#[derive(Debug)]
pub(super) struct Slots {
    file: Arc<dyn DiskFile>,
    slot_bytes: usize,
    /// Of the newest durable slot; 0 where there is none.
    generation: u64,
    /// Which slot the next write goes to: never that of the newest durable payload.
    turn: usize,
    /// Whether a write was not synced yet.
    is_dirty: bool,
}

impl Slots {
    /// Opens the file, or makes it, and returns the payload that counts, if any. Where the file has
    /// something and none of it can be used, it says so, with what is `lost` by that.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        slot_bytes: usize,
        lost: &str,
    ) -> io::Result<(Slots, Option<Vec<u8>>)> {
        let file = match disk.open(path, true) {
            Ok(file) if file.size()? >= 2 * slot_bytes as u64 => file,
            Ok(short) => {
                // Cut by somebody; what is whole in it still counts.
                let len = usize::try_from(short.size()?).unwrap_or(2 * slot_bytes);
                short.write_at(&vec![0; 2 * slot_bytes - len], len as u64)?;
                short.sync_data()?;
                short
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk::write_whole(disk, path, &vec![0; 2 * slot_bytes])?;
                disk.open(path, true)?
            }
            Err(error) => return Err(error),
        };
        let newest = newest(&*file, slot_bytes)?;
        if let Some(newest) = &newest {
            // What was written last before the end may be in memory only, and the next write goes
            // to the other slot.
            disk::write_again(&*file, (newest.slot * slot_bytes) as u64, slot_bytes as u64)?;
        }
        if newest.is_none() && disk::read_whole(&*file, 2 * slot_bytes)?.iter().any(|&b| b != 0) {
            tracing::error!(path = %path.display(), "is damaged, both copies: {lost}");
        }
        let (generation, turn) = newest.as_ref().map_or((0, 0), |n| (n.generation, 1 - n.slot));
        let slots = Slots { file, slot_bytes, generation, turn, is_dirty: false };
        Ok((slots, newest.map(|newest| newest.payload)))
    }

    /// Writes a payload, which counts after a crash of the daemon, and after one of the machine
    /// once it is synced.
    pub(super) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        if HEAD_BYTES + payload.len() > self.slot_bytes {
            return Err(io::Error::other("the state is larger than its slot"));
        }
        let mut slot = vec![0; HEAD_BYTES];
        slot[..4].copy_from_slice(&MAGIC.to_le_bytes());
        slot[8..16].copy_from_slice(&(self.generation + 1).to_le_bytes());
        slot[16..20].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        slot.extend_from_slice(payload);
        let crc = crc32c::crc32c(&slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        self.is_dirty = true;
        self.file.write_at(&slot, (self.turn * self.slot_bytes) as u64)
    }

    /// Makes the last write durable. After an error the same slot is written again by the next
    /// write: the other one holds what is known to be on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
            self.generation += 1;
            self.turn = 1 - self.turn;
        }
        Ok(())
    }

    /// Writes and syncs.
    pub(super) fn store(&mut self, payload: &[u8]) -> io::Result<()> {
        self.write(payload)?;
        self.sync()
    }
}

/// Reads the payload that counts without changing anything.
pub(super) fn read(disk: &dyn Disk, path: &Path, slot_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let file = disk.open(path, false)?;
    Ok(newest(&*file, slot_bytes)?.map(|newest| newest.payload))
}

struct Newest {
    slot: usize,
    generation: u64,
    payload: Vec<u8>,
}

fn newest(file: &dyn DiskFile, slot_bytes: usize) -> io::Result<Option<Newest>> {
    let bytes = disk::read_whole(file, 2 * slot_bytes)?;
    let slots = bytes.chunks(slot_bytes).enumerate().filter_map(|(slot, bytes)| {
        let (generation, payload) = parse(bytes)?;
        Some(Newest { slot, generation, payload: payload.to_vec() })
    });
    Ok(slots.max_by_key(|newest| newest.generation))
}

fn parse(slot: &[u8]) -> Option<(u64, &[u8])> {
    if slot.len() < HEAD_BYTES || u32_at(slot, 0) != MAGIC {
        return None;
    }
    let end = HEAD_BYTES.checked_add(u32_at(slot, 16) as usize)?;
    let covered = slot.get(8..end)?;
    (u32_at(slot, 4) == crc32c::crc32c(covered)).then(|| (u64_at(slot, 8), &slot[HEAD_BYTES..end]))
}
