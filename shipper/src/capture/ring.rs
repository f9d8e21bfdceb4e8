//! Reading the ring buffer: records are peeked at in order, and their room is given back when the
//! caller says so, all at once.
//!
//! What the kernel promises (`kernel/bpf/ringbuf.c`): the first page of the map holds the consumer's
//! position, which is ours to move; the second the producer's; behind it lies the data, mapped twice
//! in a row so that no record is ever in two pieces. Both positions are words that only grow, in
//! steps of 8 bytes. A record is a header of 8 bytes, whose first half is the length and two flags,
//! then its bytes. The producer's position moves when room is reserved, with the header already
//! there and marked busy; the mark is taken away when the record is complete.
//!
//! The kernel wakes a waiting reader when it completes the record at which the consumer's position
//! stands, and for no other. So one who has read further than was released must not wait for it.
#![allow(unsafe_code)]

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::CaptureError;
use super::mapping::{Access, Mapping};

/// Set in the length of a record that is not complete yet (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;

/// Set in the length of a record that its program gave up (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;

/// Bytes before a record, and what records are aligned to (`BPF_RINGBUF_HDR_SZ`).
const HEADER_BYTES: usize = 8;

/// How often to look when the kernel will not wake us up. Only while more is read than was released.
const NAP: Duration = Duration::from_millis(1);

/// The reading end of a ring buffer.
pub struct Ring {
    map: OwnedFd,
    consumer: Mapping,
    producer: Mapping,
    page_bytes: usize,
    data_bytes: usize,
    /// Up to here the room was given back.
    released: usize,
    /// The next record to look at.
    next: usize,
}

/// The ring does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at position {position} of the ring buffer is no record: {reason}")]
pub struct Damaged {
    /// Where no record begins.
    pub position: u64,
    /// What is wrong.
    pub reason: &'static str,
}

impl Ring {
    /// Maps the ring of this map, which holds `data_bytes` bytes of records.
    ///
    /// # Errors
    /// It cannot be mapped, or its positions make no sense.
    pub fn map(map: OwnedFd, data_bytes: usize) -> Result<Ring, CaptureError> {
        let page_bytes = rustix::param::page_size();
        if !data_bytes.is_power_of_two() || data_bytes < page_bytes {
            return Err(CaptureError::Ring(format!("a ring of {data_bytes} bytes")));
        }
        let cannot = |error| CaptureError::Ring(format!("it cannot be mapped: {error}"));
        let consumer =
            Mapping::new(map.as_fd(), 0, page_bytes, Access::ReadWrite).map_err(cannot)?;
        let producer =
            Mapping::new(map.as_fd(), page_bytes, page_bytes + 2 * data_bytes, Access::Read)
                .map_err(cannot)?;
        let released = consumer.word(0).load(Ordering::Acquire);
        let ring =
            Ring { map, consumer, producer, page_bytes, data_bytes, released, next: released };
        if !released.is_multiple_of(HEADER_BYTES) || ring.ahead() > data_bytes {
            return Err(CaptureError::Ring(format!(
                "its reader stands at {released}, its writer at {}",
                ring.produced()
            )));
        }
        Ok(ring)
    }

    /// The next record, as the program wrote it; `None` when there is none, or the next one is not complete yet. Its room
    /// stays taken until [`Ring::release`].
    ///
    /// # Errors
    /// There is no record where one should be, so none behind it can be found either: everything that
    /// is in the ring now is passed over.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Damaged> {
        loop {
            let position = self.next;
            let produced = self.produced();
            let ahead = produced.wrapping_sub(position);
            if ahead == 0 {
                return Ok(None);
            }
            if ahead > self.data_bytes {
                self.next = produced;
                return Err(Damaged {
                    position: position as u64,
                    reason: "somebody else gave back what was not read",
                });
            }
            let at = self.page_bytes + (position & (self.data_bytes - 1));
            // Pairs with the exchange that takes the mark away: what was written before is seen.
            let word = self.producer.half_word(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                return Ok(None);
            }
            let bytes = (word & !DISCARDED) as usize;
            let taken = bytes.next_multiple_of(HEADER_BYTES) + HEADER_BYTES;
            if taken > ahead {
                self.next = produced;
                return Err(Damaged {
                    position: position as u64,
                    reason: "it would end behind the newest one",
                });
            }
            self.next = position.wrapping_add(taken);
            if word & DISCARDED == 0 {
                // SAFETY: a complete record whose room was not given back: the kernel writes there
                // only after `release`, which needs `self` as a whole.
                let bytes = unsafe { self.producer.slice(at + HEADER_BYTES, bytes) };
                return Ok(Some(bytes));
            }
        }
    }

    /// Where the next record begins: everything before was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next as u64
    }

    /// Bytes that were read and not released.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.next.wrapping_sub(self.released)
    }

    /// Bytes the ring has for records.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Goes back to the oldest record that was not released.
    pub fn rewind(&mut self) {
        self.next = self.released;
    }

    /// Gives room back to the kernel: of everything read so far, or of what lies before the record that
    /// begins at `kept`. A position that was released already, or not read yet, changes nothing.
    pub fn release(&mut self, kept: Option<u64>) {
        let until = kept.map_or(self.next, |kept| kept as usize);
        if until == self.released || until.wrapping_sub(self.released) > self.held_bytes() {
            return;
        }
        self.released = until;
        self.consumer.word(0).store(until, Ordering::Release);
        // The kernel completes a record and then looks at our position; we move the position and
        // then look for records. With a fence on either side one of the two sees the other.
        fence(Ordering::SeqCst);
    }

    /// Waits until there may be something to read, at most this long.
    ///
    /// # Errors
    /// The ring cannot be polled.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        if self.released != self.next {
            let deadline = Instant::now() + limit;
            while self.ahead() == 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::sleep(NAP.min(left));
            }
            return Ok(());
        }
        // The kernel compares both positions itself, so what came since we looked ends it at once.
        let timeout = Timespec::try_from(limit).ok();
        let mut fds = [PollFd::new(&self.map, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(CaptureError::Ring(format!("poll failed: {error}"))),
        }
    }

    fn produced(&self) -> usize {
        // Pairs with the store that publishes a reserved record's header.
        self.producer.word(0).load(Ordering::Acquire)
    }

    /// Bytes between the next record and the newest.
    fn ahead(&self) -> usize {
        self.produced().wrapping_sub(self.next)
    }
}

#[cfg(test)]
mod tests;
