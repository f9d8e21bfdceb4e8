//! Deny rules, judged on what the LSM hook saw of an exec.
//!
//! What is not known is let go and counted: a rule refuses only what it is surely for. Sets of rules,
//! bit n for rule n, are kept in the entry of the exec and not in locals, of which the verifier would
//! follow every value that the rules before left behind.

use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use common::enforce::{
    ENFORCEMENT_WORDS, EXCEPTIONS_ENTRIES, EnforceSettings, Rule, TAIL_WORDS, Tail, WORD_DENIED,
    WORD_HEARTBEAT_NS, WORD_NOT_JUDGED, WORD_WOULD_DENY, is_below, kinds,
};
use common::limits::{
    CGROUP_DEPTH_MAX, ENFORCE_HEARTBEAT_MAX_NS, ENFORCE_RULES_MAX, ENFORCE_TAIL_BYTES,
    NAME_BYTES_MAX, PATH_BYTES_MAX,
};
use common::maps::{
    PENDING_BEFORE, PENDING_FILE, PENDING_NOT_JUDGED, PENDING_REFUSED, PENDING_WOULD_DENY, Pending,
};
use common::wire::{
    EXEC_NOT_JUDGED, EXEC_REFUSED, EXEC_WOULD_DENY, PATH_CUT, PATH_FAULT, PATH_UNREACHABLE,
};

use crate::filter::add_one;
use crate::hook::is_question;
use crate::layout::constant;
use crate::maps::PENDING;
use crate::read::{field_or_zero, opaque};

/// The rules.
#[map]
static RULES: Array<Rule> = Array::with_max_entries(ENFORCE_RULES_MAX as u32, 0);

/// By effective user id of the caller: the rules that are not for it.
#[map]
static EXCEPT_UIDS: HashMap<u32, u32> = HashMap::with_max_entries(EXCEPTIONS_ENTRIES, 0);

/// By cgroup id: the rules that are not for what runs there or below.
#[map]
static EXCEPT_CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(EXCEPTIONS_ENTRIES, 0);

/// The daemon's heartbeat, and counts.
#[map]
static ENFORCEMENT: Array<u64> = Array::with_max_entries(ENFORCEMENT_WORDS, 0);

/// Replaced by the loader.
#[unsafe(no_mangle)]
static ENFORCE: EnforceSettings = EnforceSettings { rules: 0, by_cgroup: 0, dry_run: 1, keep: 0 };

/// What became of an exec: the flags of its entry, which are those of its record.
pub const JUDGED: u32 = PENDING_REFUSED | PENDING_WOULD_DENY | PENDING_NOT_JUDGED;

const _: () = assert!(
    PENDING_REFUSED == EXEC_REFUSED
        && PENDING_WOULD_DENY == EXEC_WOULD_DENY
        && PENDING_NOT_JUDGED == EXEC_NOT_JUDGED
);

/// No rule is excepted, since it could not be told: a bit that no rule has.
const CGROUP_NOT_KNOWN: u64 = 1 << 32;

fn settings() -> EnforceSettings {
    constant(&raw const ENFORCE)
}

/// Whether there are rules. Known when the program is loaded: without them nothing of this is left.
#[inline(always)]
pub fn is_on() -> bool {
    settings().rules != 0
}

/// Address of the id of a rule.
#[inline(always)]
pub fn rule_id(rule: u32) -> Option<u64> {
    let rule = RULES.get_ptr(rule)?;
    // SAFETY: a map value; no reference is made.
    Some(unsafe { (&raw const (*rule).id) as u64 })
}

/// Whether the attempt of which the hook has just made an entry is to be refused.
#[inline(always)]
pub fn refuses(bprm: u64) -> bool {
    if is_question(bprm) == Some(true) {
        return false;
    }
    // SAFETY: helper without arguments.
    let tid = unsafe { bpf_get_current_pid_tgid() } as u32;
    let Some(pending) = PENDING.get_ptr_mut(tid) else {
        count(WORD_NOT_JUDGED);
        return false;
    };
    // SAFETY: a map value that only this thread uses.
    let seen = unsafe { &*pending };
    if seen.bprm != bprm || seen.flags & PENDING_FILE == 0 {
        count(WORD_NOT_JUDGED);
        return false;
    }
    match_rules(pending);
    if seen.hits | seen.doubts == 0 {
        return false;
    }
    except(pending);
    decide(pending) != 0
}

/// The rules that are for this file, whoever executes it.
#[inline(never)]
fn match_rules(pending: *mut Pending) -> u64 {
    // SAFETY: the caller's map value.
    let p = unsafe { &mut *pending };
    let mut tail: Tail = [0; TAIL_WORDS];
    let bytes = opaque(p.path_bytes);
    // What `path` holds: a name that begins before the limit may end behind it.
    if bytes > u64::from(PATH_BYTES_MAX + NAME_BYTES_MAX) {
        p.doubts = (1 << settings().rules) - 1;
        return 0;
    }
    // SAFETY: `before_path` lies before `path`, so that this is inside of the map value; the helper
    // fills all of `tail`, with zeros when it fails.
    let known = unsafe {
        let end = (&raw const p.before_path).cast::<u8>().add(bytes as usize);
        bpf_probe_read_kernel((&raw mut tail).cast(), ENFORCE_TAIL_BYTES as u32, end.cast()) == 0
    };
    let name = u64::from_ne_bytes([
        p.path[0], p.path[1], p.path[2], p.path[3], p.path[4], p.path[5], 0, 0,
    ]);
    let kinds = kinds(&p.file, name == u64::from_ne_bytes(*b"memfd:\0\0"));
    // A path that is cut is not known to its root; one that does not lead there is below nothing.
    let is_cut = !known || p.path_flags & (PATH_CUT | PATH_FAULT) != 0;
    let is_elsewhere = p.path_flags & PATH_UNREACHABLE != 0;
    for index in 0..ENFORCE_RULES_MAX as u32 {
        if index >= settings().rules {
            break;
        }
        let Some(rule) = RULES.get_ptr(index) else { break };
        // SAFETY: a map value that is written only before programs are attached.
        let rule = unsafe { &*rule };
        if kinds >> (rule.deny & 31) & 1 == 0 {
            continue;
        }
        let by_path = rule.by_path != 0;
        if by_path && is_elsewhere {
            continue;
        }
        let set = if by_path && is_cut {
            &raw mut p.doubts
        } else if is_below(rule, &tail) {
            &raw mut p.hits
        } else {
            continue;
        };
        // SAFETY: in the caller's map value. Past the compiler, so that the set stays there.
        unsafe { core::ptr::write_volatile(set, core::ptr::read_volatile(set) | 1 << index) };
    }
    0
}

/// Takes away the rules that are not for whoever executes.
#[inline(never)]
fn except(pending: *mut Pending) -> u64 {
    // SAFETY: the caller's map value.
    let p = unsafe { &mut *pending };
    if p.flags & PENDING_BEFORE == 0 {
        p.doubts |= p.hits;
        p.hits = 0;
        return 0;
    }
    // SAFETY: entries are written only before programs are attached.
    if let Some(excepted) = unsafe { EXCEPT_UIDS.get(p.before.euid) } {
        p.hits &= !*excepted;
        p.doubts &= !*excepted;
    }
    let by_cgroup = settings().by_cgroup;
    if (p.hits | p.doubts) & by_cgroup != 0 {
        let excepted = cgroup_exceptions();
        p.hits &= !(excepted as u32);
        p.doubts &= !(excepted as u32);
        if excepted & CGROUP_NOT_KNOWN != 0 {
            p.doubts |= p.hits & by_cgroup;
            p.hits &= !by_cgroup;
        }
    }
    0
}

/// The rules that except the cgroup of the caller in the unified hierarchy, or one above it.
#[inline(never)]
fn cgroup_exceptions() -> u64 {
    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let set: u64 = field_or_zero!(task, task_cgroups);
    let unified: u64 = field_or_zero!(set, css_set_dfl_cgrp);
    let mut node: u64 = field_or_zero!(unified, cgroup_kn);
    let mut excepted = 0;
    for _ in 0..CGROUP_DEPTH_MAX {
        let id: u64 = field_or_zero!(node, kernfs_id);
        if id == 0 {
            break;
        }
        // SAFETY: a copy is taken; an entry that is replaced meanwhile is one or the other.
        if let Some(rules) = unsafe { EXCEPT_CGROUPS.get(id) } {
            excepted |= u64::from(*rules);
        }
        node = field_or_zero!(node, kernfs_parent);
        if node == 0 {
            return excepted;
        }
    }
    excepted | CGROUP_NOT_KNOWN
}

/// Notes in the entry what becomes of it. Not 0: it is to be refused.
#[inline(never)]
fn decide(pending: *mut Pending) -> u64 {
    // SAFETY: the caller's map value.
    let p = unsafe { &mut *pending };
    let settings = settings();
    if p.hits != 0 {
        p.rule = first(p.hits);
        if settings.dry_run == 0 && (settings.keep != 0 || is_daemon_there()) {
            p.flags |= PENDING_REFUSED;
            count(WORD_DENIED);
            return 1;
        }
        p.flags |= PENDING_WOULD_DENY;
        count(WORD_WOULD_DENY);
    } else if p.doubts != 0 {
        p.rule = first(p.doubts);
        p.flags |= PENDING_NOT_JUDGED;
        count(WORD_NOT_JUDGED);
    }
    0
}

#[inline(always)]
fn first(rules: u32) -> u32 {
    rules.trailing_zeros()
}

#[inline(always)]
fn is_daemon_there() -> bool {
    let Some(heartbeat) = ENFORCEMENT.get_ptr(WORD_HEARTBEAT_NS) else { return false };
    // SAFETY: a word that the daemon writes at once; the helper has no arguments.
    let (heartbeat, now) = unsafe { (core::ptr::read_volatile(heartbeat), bpf_ktime_get_ns()) };
    // The daemon may have written it since `now` was taken.
    now.saturating_sub(heartbeat) < ENFORCE_HEARTBEAT_MAX_NS
}

#[inline(always)]
fn count(word: u32) {
    if let Some(counter) = ENFORCEMENT.get_ptr_mut(word) {
        add_one(counter);
    }
}
