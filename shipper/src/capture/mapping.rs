//! Memory shared with the kernel: a BPF map mapped into this process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// A shared mapping of a file descriptor. Unmapped when dropped.
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

/// What may be done with a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading alone.
    Read,
    /// Both.
    ReadWrite,
}

impl Mapping {
    /// Maps `bytes` bytes from `offset` on, a multiple of the page size.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(
        fd: BorrowedFd<'_>,
        offset: usize,
        bytes: usize,
        access: Access,
    ) -> io::Result<Mapping> {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping where the kernel chooses; no memory in use is replaced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Mapping { start, bytes })
    }

    /// The word at this position in bytes, which the other side may change at any time. To be stored
    /// to only in a mapping with [`Access::ReadWrite`].
    ///
    /// # Panics
    /// When it is not inside, or not aligned.
    #[must_use]
    pub fn word(&self, at: usize) -> &AtomicUsize {
        // SAFETY: `inside` gives an aligned address in the mapping, which lives as long as `self`
        // and is only ever used through atomics, or through `slice`, whose caller keeps it apart.
        unsafe { self.inside::<AtomicUsize>(at).as_ref() }
    }

    /// As [`Mapping::word`], for 32 bits.
    ///
    /// # Panics
    /// When it is not inside, or not aligned.
    #[must_use]
    pub fn half_word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as in `word`.
        unsafe { self.inside::<AtomicU32>(at).as_ref() }
    }

    /// The bytes of a part.
    ///
    /// # Panics
    /// When it is not inside.
    ///
    /// # Safety
    /// Nobody may write there as long as the slice lives, neither this process nor the kernel.
    #[must_use]
    // SAFETY: asks of its callers what is said above.
    pub unsafe fn slice(&self, at: usize, bytes: usize) -> &[u8] {
        assert!(at <= self.bytes && bytes <= self.bytes - at, "outside of the mapping");
        // SAFETY: inside the mapping, which lives as long as `self`; the caller sees to writers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), bytes) }
    }

    fn inside<T>(&self, at: usize) -> NonNull<T> {
        assert!(
            at.is_multiple_of(align_of::<T>())
                && at <= self.bytes
                && size_of::<T>() <= self.bytes - at,
            "outside of the mapping"
        );
        // SAFETY: checked just now to be inside the mapping.
        unsafe { self.start.add(at) }.cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing borrowed from it is alive.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: the memory belongs to no thread; what is shared is reached through atomics, or through
// `slice`, whose callers see to writers.
unsafe impl Send for Mapping {}
