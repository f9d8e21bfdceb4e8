//! Deny rules: how the loader tells them to the kernel programs, and what a rule looks at. The kernel
//! judges with this code, and the daemon too, before it loads a rule.

use crate::limits::{
    ENFORCE_EXCEPTIONS_MAX, ENFORCE_RULE_ID_BYTES_MAX, ENFORCE_RULES_MAX, ENFORCE_TAIL_BYTES,
};
use crate::wire::{FILE_ANONYMOUS, FILE_UNHASHED, FileFacts};

/// The end of a walked path as words, so that it is compared without a branch.
pub const TAIL_WORDS: usize = ENFORCE_TAIL_BYTES / 8;

/// The last bytes of a walked path: names from the leaf to the root, each ended by NUL. A shorter one
/// has zeros before it.
pub type Tail = [u64; TAIL_WORDS];

/// Bytes of a rule's id with its NUL, and zeros up to a whole number of words.
pub const RULE_ID_BYTES: usize = ENFORCE_RULE_ID_BYTES_MAX + 8;

/// Entries of the maps of exceptions, users and cgroups.
pub const EXCEPTIONS_ENTRIES: u32 = (ENFORCE_RULES_MAX * ENFORCE_EXCEPTIONS_MAX) as u32;

/// A rule, an entry of the map `RULES`. Who is excepted is in maps of their own, by user and by cgroup:
/// a set of rules, bit n for rule n.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Rule {
    /// Which files: one of `DENY_*`.
    pub deny: u32,
    /// Not 0: only those whose path ends like `prefix`.
    pub by_path: u32,
    /// What the end of the path must be, where `mask` has ones.
    pub prefix: Tail,
    /// Which bits of it count; none, for a rule without a path.
    pub mask: Tail,
    /// Its id, ended by NUL.
    pub id: [u8; RULE_ID_BYTES],
}

/// Every file.
pub const DENY_ANY: u32 = 0;
/// One whose owner is not root.
pub const DENY_NOT_ROOT_OWNED: u32 = 1;
/// One that its group or all others may write to.
pub const DENY_WRITABLE_BY_OTHERS: u32 = 2;
/// An anonymous file in memory.
pub const DENY_MEMFD: u32 = 3;
/// One that has no name any more.
pub const DENY_DELETED: u32 = 4;

/// What the operator set for all rules.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EnforceSettings {
    /// Rules there are; 0: nothing is judged.
    pub rules: u32,
    /// The rules that except cgroups, bit n for rule n.
    pub by_cgroup: u32,
    /// Not 0: nothing is refused.
    pub dry_run: u32,
    /// Not 0: refuse also when the daemon is gone.
    pub keep: u32,
}

/// Words of the map `ENFORCEMENT`, by their index. When the daemon was last there: nanoseconds of the
/// monotonic clock, which stands still while the machine sleeps as the daemon does.
pub const WORD_HEARTBEAT_NS: u32 = 0;
/// How many rules there are, for whoever looks from outside.
pub const WORD_RULES: u32 = 1;
/// Not 0: nothing is refused.
pub const WORD_DRY_RUN: u32 = 2;
/// Not 0: the heartbeat does not matter.
pub const WORD_KEEP: u32 = 3;
/// Execs that were refused.
pub const WORD_DENIED: u32 = 4;
/// Execs that a rule was for and that were let go: dry run, or no heartbeat.
pub const WORD_WOULD_DENY: u32 = 5;
/// Execs that were let go because it could not be told whether a rule was for them.
pub const WORD_NOT_JUDGED: u32 = 6;
/// How many words there are.
pub const ENFORCEMENT_WORDS: u32 = 7;

/// What a file is, bit n for `DENY_*` n.
#[inline(always)]
#[must_use]
pub fn kinds(facts: &FileFacts, has_memfd_name: bool) -> u32 {
    let is_anonymous = facts.flags & FILE_ANONYMOUS != 0;
    let has_no_name = facts.links == 0 || facts.flags & FILE_UNHASHED != 0;
    1 << DENY_ANY
        | u32::from(facts.uid != 0) << DENY_NOT_ROOT_OWNED
        | u32::from(facts.mode & 0o022 != 0) << DENY_WRITABLE_BY_OTHERS
        | u32::from(is_anonymous && has_memfd_name) << DENY_MEMFD
        | u32::from(!is_anonymous && has_no_name) << DENY_DELETED
}

/// Whether a path with this end is the rule's, or below it. True for a rule without a path.
#[inline(always)]
#[must_use]
pub fn is_below(rule: &Rule, tail: &Tail) -> bool {
    let mut differs = 0;
    for ((prefix, mask), tail) in rule.prefix.iter().zip(&rule.mask).zip(tail) {
        differs |= (prefix ^ tail) & mask;
    }
    differs == 0
}

const _: () = assert!(size_of::<Rule>() == 8 + 2 * ENFORCE_TAIL_BYTES + RULE_ID_BYTES);
const _: () = assert!(ENFORCE_TAIL_BYTES.is_multiple_of(8) && ENFORCE_RULES_MAX <= 32);
