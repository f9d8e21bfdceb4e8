//! Reading the ring buffer and the kernel's counters.

use std::os::fd::AsFd;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use common::names;
use common::wire::RECORD_KINDS;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::CaptureError;

/// `common::wire::Counter` as aya can read it: records made, records that did not fit.
type CounterWords = [u64; 2];

/// The reading end of the ring buffer, and the counters beside it.
pub struct Ring {
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, CounterWords>,
}

/// What the kernel counted, by kind.
pub struct Counted {
    /// Records made, by kind and CPU.
    pub made: [Vec<u64>; RECORD_KINDS],
    /// Records that did not fit into the ring, by kind, all CPUs.
    pub ring_full: [u64; RECORD_KINDS],
}

impl Ring {
    /// Takes the maps out of the loaded object.
    pub fn open(ebpf: &mut Ebpf) -> Result<Self, CaptureError> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name)
                .ok_or_else(|| CaptureError::Ring(format!("the object has no map {name}")))
        };
        let ring = take(names::RING)?;
        let counters = take(names::COUNTERS)?;
        let error = |error: aya::maps::MapError| CaptureError::Ring(error.to_string());
        Ok(Ring {
            ring: RingBuf::try_from(ring).map_err(error)?,
            counters: PerCpuArray::try_from(counters).map_err(error)?,
        })
    }

    /// Waits until there is something to read, at most this long.
    pub fn wait(&self, limit: Duration) -> Result<(), CaptureError> {
        let timeout = Timespec::try_from(limit).ok();
        let mut fds = [PollFd::new(&self.ring, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(CaptureError::Ring(format!("poll failed: {error}"))),
        }
    }

    /// Hands the oldest record to `read` and gives its room back to the kernel afterwards. False
    /// when the ring is empty.
    pub fn next(&mut self, read: impl FnOnce(&[u8])) -> bool {
        match self.ring.next() {
            Some(record) => {
                read(&record);
                true
            }
            None => false,
        }
    }

    /// What the kernel counted so far.
    pub fn counted(&self) -> Result<Counted, CaptureError> {
        let mut counted =
            Counted { made: std::array::from_fn(|_| Vec::new()), ring_full: [0; RECORD_KINDS] };
        for kind in 0..RECORD_KINDS {
            let values = self
                .counters
                .get(&u32::try_from(kind).unwrap_or(u32::MAX), 0)
                .map_err(|error| CaptureError::Ring(format!("the kernel's counters: {error}")))?;
            counted.made[kind] = values.iter().map(|[made, _]| *made).collect();
            counted.ring_full[kind] = values.iter().map(|[_, full]| *full).sum();
        }
        Ok(counted)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
