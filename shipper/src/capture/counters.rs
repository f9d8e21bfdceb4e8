//! The kernel's own counters of records.

use aya::maps::{MapData, PerCpuArray};
use common::wire::RECORD_KINDS;

use super::CaptureError;

/// `common::maps::Counter` as aya can read it: records made, records that did not fit.
type CounterWords = [u64; 2];

/// The counters beside a ring.
pub struct Counters {
    map: PerCpuArray<MapData, CounterWords>,
}

/// What the kernel counted, by kind.
pub struct Counted {
    /// Records made, by kind and CPU.
    pub made: [Vec<u64>; RECORD_KINDS],
    /// Records that did not fit into the ring, by kind, all CPUs.
    pub ring_full: [u64; RECORD_KINDS],
}

impl Counters {
    /// From the map of the counters.
    ///
    /// # Errors
    /// It is another one.
    pub fn new(map: MapData) -> Result<Counters, CaptureError> {
        let map = aya::maps::Map::from_map_data(map)
            .and_then(PerCpuArray::try_from)
            .map_err(|error| CaptureError::Ring(format!("the kernel's counters: {error}")))?;
        Ok(Counters { map })
    }

    /// What the kernel counted so far.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn counted(&self) -> Result<Counted, CaptureError> {
        let mut counted =
            Counted { made: std::array::from_fn(|_| Vec::new()), ring_full: [0; RECORD_KINDS] };
        for kind in 0..RECORD_KINDS {
            let values = self
                .map
                .get(&u32::try_from(kind).unwrap_or(u32::MAX), 0)
                .map_err(|error| CaptureError::Ring(format!("the kernel's counters: {error}")))?;
            counted.made[kind] = values.iter().map(|[made, _]| *made).collect();
            counted.ring_full[kind] = values.iter().map(|[_, full]| *full).sum();
        }
        Ok(counted)
    }
}
