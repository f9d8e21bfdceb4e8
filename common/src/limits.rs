//! Limits of a record. Each bounds a loop the verifier must see the end of, or memory per CPU.

/// Most bytes of argv a record can carry (64 KiB). Scratch memory per CPU grows with it.
pub const ARGV_BYTES_MAX: u32 = 64 * 1024;

/// Most bytes of the environment a record can carry (32 KiB): what the heap has left beside the longest
/// argv and every path. Environments have mostly less than 8 KiB; of a larger one the end is cut.
pub const ENV_BYTES_MAX: u32 = 32 * 1024;

/// Ancestors walked in the kernel, the parent included. Deeper chains are continued in userland.
pub const KERNEL_ANCESTORS_MAX: usize = 16;

/// Most components of one path. Linux allows paths of 4096 bytes; 64 covers what is met in practice
/// and keeps the verifier's work on 5.10 below its limit. A longer path is marked as cut.
pub const PATH_COMPONENTS_MAX: u32 = 64;

/// Most bytes of one path, separators included (`PATH_MAX`).
pub const PATH_BYTES_MAX: u32 = 4096;

/// Longest name of one directory entry with its NUL (`NAME_MAX` + 1).
pub const NAME_BYTES_MAX: u32 = 256;

/// Levels of the cgroup tree walked from the leaf.
pub const CGROUP_DEPTH_MAX: u32 = 16;

/// Most bytes of the path of a cgroup that a limit is told with, a power of two. A longer one ends
/// early, at its root's side.
pub const CGROUP_PATH_BYTES: usize = 1024;

/// Arguments of a failed exec that are read. They are read one by one, and each step is the
/// verifier's to follow.
pub const FAILURE_ARGS_MAX: u32 = 128;

/// How old what the hook saw may be when the exec fails. It stays behind only when the kernel skipped
/// the program that takes it away; an exec waits for a slow disk, but rarely so long.
pub const PENDING_AGE_MAX_NS: u64 = 10_000_000_000;

/// Largest step in which user memory is read: one page, since a page may be missing.
pub const ARGV_CHUNK_BYTES: u32 = 4096;

/// Size of the variable part of an exec record: a power of two, so that a mask bounds a position.
pub const HEAP_BYTES: usize = 128 * 1024;

/// Bytes behind the heap that a write starting at its last byte may still touch.
pub const HEAP_SLACK_BYTES: usize = ARGV_CHUNK_BYTES as usize;

/// Most deny rules. Each is looked at for each exec, and is a bit of a word.
pub const ENFORCE_RULES_MAX: usize = 16;

/// Most users, and most cgroups, that one rule excepts. The map of all has room for each.
pub const ENFORCE_EXCEPTIONS_MAX: usize = 16;

/// Bytes at the end of a walked path that are compared with a rule's: a few words that are compared
/// without a branch, since the verifier follows each.
pub const ENFORCE_TAIL_BYTES: usize = 128;

/// Longest path of a rule: the tail less the NUL of the name below it. The slash before each name is
/// the NUL behind it in the tail.
pub const ENFORCE_PREFIX_BYTES_MAX: usize = ENFORCE_TAIL_BYTES - 1;

/// Longest id of a rule.
pub const ENFORCE_RULE_ID_BYTES_MAX: usize = 64;

/// How old the daemon's heartbeat may be before nothing is refused any more. It comes each second; a
/// disk that stalls holds it up for a few.
pub const ENFORCE_HEARTBEAT_MAX_NS: u64 = 10_000_000_000;

const _: () = assert!(HEAP_BYTES.is_power_of_two());
const _: () = assert!(
    HEAP_BYTES > (ARGV_BYTES_MAX + ENV_BYTES_MAX) as usize + 6 * PATH_BYTES_MAX as usize,
    "the heap holds the longest argv, as much of the environment as is kept, and every path"
);
