//! What the kernel programs keep in their maps, beside the ring, and what the loader sets there.

use crate::limits::{
    ENFORCE_TAIL_BYTES, HEAP_BYTES, HEAP_SLACK_BYTES, NAME_BYTES_MAX, PATH_BYTES_MAX,
};
use crate::wire::{Credentials, Exec, FileFacts, Header};

/// An exec record as the kernel builds it, per CPU. Only the used part of the heap is sent.
#[repr(C)]
pub struct ExecScratch {
    /// Bytes of the heap in use. Not part of the record.
    pub used: u64,
    /// Header of the record.
    pub header: Header,
    /// Fixed part.
    pub exec: Exec,
    /// Variable bytes.
    pub heap: [u8; HEAP_BYTES + HEAP_SLACK_BYTES],
}

/// What the hook saw of an exec, kept until it commits. Key: thread id of the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pending {
    /// Address of the `linux_binprm`: an entry of another attempt never matches.
    pub bprm: u64,
    /// Bytes used in `path`.
    pub path_bytes: u64,
    /// Set of `PENDING_*`.
    pub flags: u32,
    /// Set of `PATH_*`.
    pub path_flags: u32,
    /// When it was seen, nanoseconds since boot.
    pub boot_ns: u64,
    /// Arguments as the kernel counted them.
    pub argc: u32,
    /// Deny rules that are for it, bit n for rule n.
    pub hits: u32,
    /// Deny rules of which it could not be told, bit n for rule n.
    pub doubts: u32,
    /// The deny rule that [`PENDING_REFUSED`] and the like are of.
    pub rule: u32,
    /// Facts of the file asked for.
    pub file: FileFacts,
    /// Credentials of the caller.
    pub before: Credentials,
    /// Zeros, so that a path that is shorter has something before it.
    pub before_path: [u8; ENFORCE_TAIL_BYTES],
    /// Names from the leaf to the root, with room for a name that starts at the last byte.
    pub path: [u8; PATH_BYTES_MAX as usize + NAME_BYTES_MAX as usize],
}

/// `file` and `path` are filled (LSM or fentry hook).
pub const PENDING_FILE: u32 = 1;
/// `before` is filled.
pub const PENDING_BEFORE: u32 = 2;
/// A security module refused it.
pub const PENDING_DENIED: u32 = 4;
/// A deny rule refused it.
pub const PENDING_REFUSED: u32 = 1 << 16;
/// A deny rule is for it, and it was let go.
pub const PENDING_WOULD_DENY: u32 = 1 << 17;
/// It could not be told whether a deny rule is for it, and it was let go.
pub const PENDING_NOT_JUDGED: u32 = 1 << 18;

/// A call of `execve` or `execveat` on its way.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attempt {
    /// Address of the name, in the caller's memory.
    pub filename: u64,
    /// Address of the arguments there.
    pub argv: u64,
    /// Directory descriptor, or [`AT_FDCWD`].
    pub directory: u32,
    /// `AT_*` flags.
    pub flags: u32,
    /// Not 0: addresses in `argv` have 32 bits.
    pub compat: u32,
    /// Zero.
    pub reserved: u32,
}

/// What the operator set, for the kernel programs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Settings {
    /// Most bytes of argv to carry, at most [`ARGV_BYTES_MAX`].
    pub argv_bytes_max: u32,
    /// Which execs that fail are reported: one of `FAILURES_*`.
    pub failures: u32,
    /// Possible CPUs.
    pub cpus: u32,
    /// Most bytes of the environment to carry, at most [`ENV_BYTES_MAX`]; 0: none is read.
    ///
    /// [`ENV_BYTES_MAX`]: crate::limits::ENV_BYTES_MAX
    pub env_bytes_max: u32,
}

/// Failed execs are not reported.
pub const FAILURES_NONE: u32 = 0;
/// Reported, but for those whose file is not there.
pub const FAILURES_DENIED: u32 = 1;
/// All are reported.
pub const FAILURES_ALL: u32 = 2;

/// Counters of one CPU and kind.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Counter {
    /// Records made: the sequence number of the newest one.
    pub made: u64,
    /// Records that did not fit into the ring.
    pub ring_full: u64,
}
