//! What is left out in the kernel: the settings, the maps of rules and of what is known of processes
//! and cgroups, and the counters of what was left out.

use crate::limits::{CGROUP_DEPTH_MAX, CGROUP_PATH_BYTES, NAME_BYTES_MAX};

/// Ranges of user ids. Each is compared, one after the other.
pub const EXCLUDED_UIDS_MAX: usize = 64;

/// Namespaces of one kind. Each is compared, one after the other.
pub const EXCLUDED_NAMESPACES_MAX: usize = 16;

/// Cgroups; what is below them needs no room.
pub const EXCLUDED_CGROUPS_MAX: usize = 64;

/// Files whose processes are left out with their descendants.
pub const EXCLUDED_TREES_MAX: usize = 64;

/// Processes of such trees that live at once. Beyond it new ones are recorded, and counted. It is
/// 1 MB of kernel memory, only where trees are excluded.
pub const TREE_PROCESSES_MAX: u32 = 16_384;

/// Cgroups that executed something within the last minute and have a limit. Beyond it new ones have
/// none, and that is counted. It is 6 MB of kernel memory, only where there is a limit.
pub const LIMITED_CGROUPS_MAX: u32 = 4096;

/// Cgroups of which is remembered whether they are excluded. Others are looked at again.
pub const KNOWN_CGROUPS_MAX: u32 = 4096;

/// Programs that walk cgroups, each with scratch memory of its own on each CPU: execs, ends, and the
/// four of execs that fail.
pub const WALKERS: u32 = 6;

/// Nanoseconds of a clock tick, in which /proc tells the start of a process (`USER_HZ` is 100).
pub const TICK_NS: u64 = 10_000_000;

/// Why something was left out. The first that holds, in this order.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is of an excluded process tree.
    Tree = 0,
    /// Its effective user is excluded.
    User = 1,
    /// It is in an excluded namespace.
    Namespace = 2,
    /// It is in or below an excluded cgroup.
    Cgroup = 3,
    /// Its cgroup has more than its share.
    RateLimit = 4,
}

impl Reason {
    /// All, by their number.
    pub const ALL: [Reason; REASONS] =
        [Reason::Tree, Reason::User, Reason::Namespace, Reason::Cgroup, Reason::RateLimit];
}

/// How many reasons there are.
pub const REASONS: usize = 5;

/// What was left out: index of its counters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An execution, also one that failed.
    Exec = 0,
    /// The end of a process.
    End = 1,
}

impl Subject {
    /// All, by their number.
    pub const ALL: [Subject; SUBJECTS] = [Subject::Exec, Subject::End];
}

/// How many subjects there are.
pub const SUBJECTS: usize = 2;

/// [`Filters::active`]: there are user ids.
pub const FILTER_UIDS: u64 = 1;
/// [`Filters::active`]: there are cgroups.
pub const FILTER_CGROUPS: u64 = 2;
/// [`Filters::active`]: there are namespaces.
pub const FILTER_NAMESPACES: u64 = 4;
/// [`Filters::active`]: there are trees.
pub const FILTER_TREES: u64 = 8;
/// [`Filters::active`]: cgroups have a limit.
pub const FILTER_RATE_LIMIT: u64 = 16;
/// [`Filters::active`]: ends of processes are events, and left out as well.
pub const FILTER_ENDS: u64 = 32;

/// Kinds of namespaces that can be excluded, index into [`Filters::namespaces`].
pub const NAMESPACE_PID: usize = 0;
/// Mount namespaces.
pub const NAMESPACE_MNT: usize = 1;
/// Network namespaces.
pub const NAMESPACE_NET: usize = 2;
/// User namespaces.
pub const NAMESPACE_USER: usize = 3;
/// How many kinds there are.
pub const NAMESPACE_KINDS: usize = 4;

/// What the operator excludes, a read-only global of `u64` words, so that the loader can hand it over
/// as a slice ([`FILTER_WORDS`] long). All zero: nothing is left out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Filters {
    /// Set of `FILTER_*`.
    pub active: u64,
    /// The daemon: nothing of it or of its children is left out.
    pub own_tgid: u64,
    /// When it started, clock ticks since boot.
    pub own_start_ticks: u64,
    /// A cgroup may execute once in so many nanoseconds.
    pub limit_interval_ns: u64,
    /// And as often at once as has room in so many.
    pub limit_burst_ns: u64,
    /// Ranges in `uids`.
    pub uids_count: u64,
    /// Entries of each row of `namespaces`.
    pub namespaces_count: [u64; NAMESPACE_KINDS],
    /// First and last of each range.
    pub uids: [[u64; 2]; EXCLUDED_UIDS_MAX],
    /// Inode numbers, by kind.
    pub namespaces: [[u64; EXCLUDED_NAMESPACES_MAX]; NAMESPACE_KINDS],
}

/// Length of [`Filters`] in words.
pub const FILTER_WORDS: usize =
    6 + NAMESPACE_KINDS + 2 * EXCLUDED_UIDS_MAX + NAMESPACE_KINDS * EXCLUDED_NAMESPACES_MAX;

/// A file, as the kernel knows it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileKey {
    /// Inode number.
    pub inode: u64,
    /// Device of the file system (`major << 20 | minor`).
    pub device: u64,
}

/// A process, in the resolution in which /proc knows it too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProcessKey {
    /// Start of its group leader, clock ticks since boot.
    pub start_ticks: u64,
    /// Thread group id in the initial pid namespace.
    pub tgid: u64,
}

/// A cgroup.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CgroupKey {
    /// `kernfs_node.id`: told apart within its hierarchy alone.
    pub id: u64,
    /// 0 in the unified hierarchy, 1 in that of the pids controller.
    pub hierarchy: u64,
}

/// A step on the way to an excluded cgroup.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CgroupName {
    /// Where we are: 0 at the root.
    pub place: u64,
    /// Name of the cgroup below, filled up with NULs.
    pub name: [u8; NAME_BYTES_MAX as usize],
}

/// Where a step leads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CgroupPlace {
    /// The place.
    pub place: u64,
    /// Not 0: it is excluded, with all below.
    pub excluded: u64,
}

/// What a limited cgroup has had.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bucket {
    /// When all of the burst is there again, nanoseconds since boot, by [`Subject`].
    pub full_at_ns: [u64; SUBJECTS],
    /// What was left out, by [`Subject`].
    pub left_out: [u64; SUBJECTS],
    /// Bytes used in `path`.
    pub path_bytes: u64,
    /// Names from the leaf to the root, each ended by NUL, with room for one that starts at the end.
    pub path: [u8; CGROUP_PATH_BYTES + NAME_BYTES_MAX as usize],
}

/// Length of [`Bucket`] in words.
pub const BUCKET_WORDS: usize = size_of::<Bucket>() / 8;

/// Scratch memory of a walk.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CgroupWalk {
    /// The cgroups from the leaf up, addresses of their `kernfs_node`.
    pub nodes: [u64; CGROUP_DEPTH_MAX as usize],
    /// A step to look up.
    pub step: CgroupName,
    /// A bucket to insert.
    pub bucket: Bucket,
}

/// What was left out since the programs were loaded, and what was not for lack of room.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LeftOut {
    /// By [`Reason`] and [`Subject`].
    pub counts: [[u64; SUBJECTS]; REASONS],
    /// Processes of trees that were not noted: [`TREE_PROCESSES_MAX`].
    pub trees_full: u64,
    /// Executions and ends whose cgroup has no limit: [`LIMITED_CGROUPS_MAX`].
    pub limits_full: u64,
}

/// Length of [`LeftOut`] in words.
pub const LEFT_OUT_WORDS: usize = REASONS * SUBJECTS + 2;

const _: () = assert!(size_of::<Filters>() == 8 * FILTER_WORDS);
const _: () = assert!(size_of::<LeftOut>() == 8 * LEFT_OUT_WORDS);
const _: () = assert!(size_of::<Bucket>() == 8 * BUCKET_WORDS);
const _: () = assert!(CGROUP_PATH_BYTES.is_power_of_two());
