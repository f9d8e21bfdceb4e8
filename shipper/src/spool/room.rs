//! Whether there is room: the spool's own limit, and what the file system must keep free.

use std::time::Duration;

use super::disk::Space;
use super::outcome::{FullCause, Now};
use super::{FreeMin, Shared};

/// How often the free space is looked at: at a hundred MB/s the limit is exceeded by as much.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Segments that must find room before one is reserved.
const RESERVE_ROOM: u64 = 4;

/// What is known of the room.
#[derive(Debug, Default)]
pub(super) struct Room {
    space: Option<Space>,
    looked_at: Option<Duration>,
    /// The file system refused a write since the last look.
    is_refused: bool,
    /// The last block found none.
    is_full: bool,
}

impl Room {
    /// Looks at the free space, unless that was a moment ago.
    pub(super) fn look(&mut self, shared: &Shared, now: Now) {
        if self.looked_at.is_none_or(|at| now.monotonic >= at + LOOK_INTERVAL) {
            self.look_again(shared, now);
        }
    }

    /// Looks at the free space.
    pub(super) fn look_again(&mut self, shared: &Shared, now: Now) {
        self.looked_at = Some(now.monotonic);
        self.is_refused = false;
        match shared.log.disk.space(&shared.log.dir) {
            Ok(space) => self.space = Some(space),
            // Writes will show whether there is any.
            Err(error) => tracing::warn!(%error, "cannot see how much space the disk has free"),
        }
    }

    /// The file system refused a write.
    pub(super) fn refused(&mut self, now: Now) {
        self.is_refused = true;
        self.looked_at = Some(now.monotonic);
    }

    /// Whether there is room for `len` bytes, as far as known.
    pub(super) fn check(&self, shared: &Shared, len: u64) -> Result<(), FullCause> {
        let options = &shared.options;
        if shared.log.bytes() + len > options.bytes_max {
            return Err(FullCause::BytesMax(options.bytes_max));
        }
        if self.is_refused {
            return Err(FullCause::NoSpace);
        }
        if let Some(Space { free, total }) = self.space {
            let min = options.disk_free_min.bytes(total);
            if free < min.saturating_add(len) {
                return Err(FullCause::DiskFree { free, min });
            }
        }
        Ok(())
    }

    /// Whether a block of `len` bytes would find room.
    pub(super) fn has(&self, shared: &Shared, len: u64) -> bool {
        self.check(shared, len).is_ok()
    }

    /// How much to reserve for a segment: nothing on a disk that is nearly full, where it would
    /// take the room that it is to use.
    pub(super) fn reserve(&self, shared: &Shared) -> u64 {
        let bytes = shared.options.segment_bytes;
        let is_ample = self.has(shared, bytes.saturating_mul(RESERVE_ROOM));
        if is_ample { bytes } else { 0 }
    }

    /// A block found room.
    pub(super) fn found(&mut self) {
        if std::mem::take(&mut self.is_full) {
            tracing::info!("the spool takes records again");
        }
    }

    /// A block found none. Whether that is news.
    pub(super) fn missed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_full, true)
    }
}

impl FreeMin {
    /// The bytes of a file system of `total` bytes that stay free.
    #[must_use]
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            FreeMin::Bytes(bytes) => bytes,
            FreeMin::Percent(percent) => (total as f64 * percent.clamp(0.0, 100.0) / 100.0) as u64,
        }
    }
}
