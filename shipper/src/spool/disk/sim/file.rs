//! Files of the simulated disk.

use std::io;

use rustix::io::Errno;

use super::{Change, Inode, Op, SimDisk};
use crate::spool::disk::DiskFile;
use crate::spool::locked;

/// Smallest piece that is copied whole into the memory of the system, in bytes.
const PAGE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: u64,
    /// Of the daemon that opened it.
    pub(super) epoch: u64,
}

impl SimFile {
    fn with<T>(
        &self,
        op: Op,
        act: impl FnOnce(&mut Inode, io::Result<()>, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let state = &mut *locked(&self.disk.state);
        if state.epoch != self.epoch {
            return Err(io::Error::other("opened before the crash"));
        }
        if state.is_stopped {
            return Err(Errno::IO.into());
        }
        let passed = state.pass(op);
        let free = state.total.saturating_sub(state.used());
        act(state.inodes.get_mut(&self.inode).unwrap(), passed, free)
    }

    fn change(inode: &mut Inode, change: Change) {
        change.apply(&mut inode.data);
        inode.unsynced.push(change);
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.with(Op::Read, |inode, passed, _| passed.map(|()| inode.data.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(Op::Read, |inode, passed, _| {
            passed?;
            let start = inode.data.len().min(offset as usize);
            let read = buffer.len().min(inode.data.len() - start);
            buffer[..read].copy_from_slice(&inode.data[start..start + read]);
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(Op::Write, |inode, passed, free| {
            let end = offset + bytes.len() as u64;
            let grows = end.saturating_sub(inode.data.len() as u64);
            let result = match passed {
                Ok(()) if grows > free => Err(Errno::NOSPC.into()),
                passed => passed,
            };
            let half = offset as usize + bytes.len() / 2;
            let written = match &result {
                Ok(()) => bytes.len(),
                // A signal comes between two pages.
                Err(error) if Errno::from_io_error(error) == Some(Errno::INTR) => {
                    (half / PAGE_BYTES * PAGE_BYTES).saturating_sub(offset as usize)
                }
                // A write that fails leaves half of itself.
                Err(_) => bytes.len() / 2,
            };
            SimFile::change(inode, Change::Write(offset, bytes[..written].to_vec()));
            result
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(Op::Write, |inode, passed, _| {
            passed?;
            SimFile::change(inode, Change::SetLen(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(Op::Sync, |inode, passed, _| {
            // After a failure the system takes the pages for clean: no later sync writes them.
            for change in std::mem::take(&mut inode.unsynced) {
                if passed.is_ok() {
                    change.apply(&mut inode.durable);
                }
            }
            passed
        })
    }

    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}
