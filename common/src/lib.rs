//! What the kernel programs and the daemon agree on: the records that cross the ring buffer, the
//! offsets table the loader fills in, the names of maps and programs, and the limits.
//!
//! Nothing here touches std or aya, so that both sides can use it. Reading records (feature
//! `decode`) is checked: bytes from the kernel are untrusted input.
#![no_std]

pub mod enforce;
pub mod filters;
pub mod limits;
pub mod maps;
pub mod offsets;
pub mod wire;

#[cfg(feature = "decode")]
pub mod decode;

/// Names of the maps and globals in the kernel object, as the loader looks them up.
pub mod names {
    /// Ring buffer that carries every record, all CPUs, in reservation order.
    pub const RING: &str = "RING";
    /// Array with one scratch buffer a possible CPU, in which the exec record is built.
    pub const SCRATCH: &str = "SCRATCH";
    /// The same for execs that fail, several a CPU.
    pub const FAILURES: &str = "FAILURES";
    /// LRU hash: execs on their way, by thread id, where only tracepoints see them fail.
    pub const ATTEMPTS: &str = "ATTEMPTS";
    /// LRU hash: what the LSM or fentry hook saw of an exec that has not committed yet.
    pub const PENDING: &str = "PENDING";
    /// Per-CPU array of record counters, indexed by `RecordKind`.
    pub const COUNTERS: &str = "COUNTERS";
    /// Array: the deny rules.
    pub const RULES: &str = "RULES";
    /// Hash: the rules that except a user, by uid.
    pub const EXCEPT_UIDS: &str = "EXCEPT_UIDS";
    /// Hash: the rules that except a cgroup and those below it, by cgroup id.
    pub const EXCEPT_CGROUPS: &str = "EXCEPT_CGROUPS";
    /// Array of words: heartbeat, settings and counts of the deny rules.
    pub const ENFORCEMENT: &str = "ENFORCEMENT";
    /// Read-only global: what the operator set for all deny rules.
    pub const ENFORCE: &str = "ENFORCE";
    /// Read-only global: the field offsets of the running kernel.
    pub const OFFSETS: &str = "OFFSETS";
    /// Read-only global: limits set by the operator.
    pub const SETTINGS: &str = "SETTINGS";
    /// Read-only global: what the operator excludes.
    pub const FILTERS: &str = "FILTERS";
    /// Array of one: what was left out, `filters::LeftOut`.
    pub const LEFT_OUT: &str = "LEFT_OUT";
    /// Hash: files whose processes are left out with their descendants.
    pub const TREE_FILES: &str = "TREE_FILES";
    /// Hash: processes of excluded trees.
    pub const TREES: &str = "TREES";
    /// Hash: the steps to excluded cgroups.
    pub const CGROUP_NAMES: &str = "CGROUP_NAMES";
    /// LRU hash: whether a cgroup is excluded.
    pub const CGROUPS: &str = "CGROUPS";
    /// Hash: what each limited cgroup has had.
    pub const LIMITS: &str = "LIMITS";
    /// Array: scratch memory for walks of cgroups, several a CPU.
    pub const WALKS: &str = "WALKS";
}
