//! What becomes of a block, and why there may be no room for it.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::error::SpoolError;

/// The time, as the caller sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since any fixed moment; never goes back.
    pub monotonic: Duration,
    /// Nanoseconds of wall time since 1970.
    pub wall_ns: u64,
}

/// What became of a block.
#[derive(Debug)]
pub enum Wrote {
    /// It is in the segment file: the kernel may forget its records. Also when there was none.
    Done,
    /// There was no room: its records are dropped and counted. The kernel may forget them, too.
    Dropped {
        /// How many.
        records: u64,
    },
    /// There is no room, and the policy is to wait: the block is kept. The kernel must not forget
    /// its records; call again later.
    Full {
        /// Why.
        cause: FullCause,
    },
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub enum FullCause {
    /// The spool has grown to its limit.
    #[error("the spool has reached bytes_max ({0} bytes)")]
    BytesMax(u64),
    /// The file system has less left than it should.
    #[error("the file system has {free} bytes free, disk_free_min is {min}")]
    DiskFree {
        /// Bytes free.
        free: u64,
        /// Bytes that should be.
        min: u64,
    },
    /// The file system refused a write for want of space.
    #[error("no space left on the file system")]
    NoSpace,
    /// The disk fails; it is tried again.
    #[error("{0}")]
    Failed(SpoolError),
}

/// Sorts a failure to write.
pub(super) fn full_cause(error: SpoolError) -> FullCause {
    match &error {
        SpoolError::Failed { source, .. } if is_no_space(source) => FullCause::NoSpace,
        _ => FullCause::Failed(error),
    }
}

/// Whether space would help.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
}
