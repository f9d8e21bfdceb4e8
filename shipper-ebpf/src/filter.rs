//! What is left out, as the operator wants it: it takes no number, and is counted by its reason.
//!
//! What is not asked for is not there: the settings are constants to the verifier, which removes the
//! branches that they rule out.

use common::filters::{
    EXCLUDED_NAMESPACES_MAX, EXCLUDED_UIDS_MAX, FILTER_CGROUPS, FILTER_ENDS, FILTER_NAMESPACES,
    FILTER_RATE_LIMIT, FILTER_TREES, FILTER_UIDS, FILTER_WORDS, FileKey, Filters, NAMESPACE_MNT,
    NAMESPACE_NET, NAMESPACE_PID, NAMESPACE_USER, ProcessKey, Reason, Subject, TICK_NS,
};
use common::maps::{PENDING_FILE, Pending};
use common::wire::ProcessId;

use crate::cgroup;
use crate::layout::constant;
use crate::maps::{LEFT_OUT, PENDING, TREE_FILES, TREES};
use crate::read::{field, field_or_zero};
use crate::task::{innermost_upid, process_id};

/// Replaced by the loader where anything is left out.
#[unsafe(no_mangle)]
pub static FILTERS: Filters = {
    // SAFETY: `Filters` is made of u64 only, for which every bit pattern is valid.
    unsafe { core::mem::transmute::<[u64; FILTER_WORDS], Filters>([0; FILTER_WORDS]) }
};

/// Each of these alone can leave something out.
const ANY: u64 =
    FILTER_UIDS | FILTER_CGROUPS | FILTER_NAMESPACES | FILTER_TREES | FILTER_RATE_LIMIT;

/// Those that go by the cgroup.
const BY_CGROUP: u64 = FILTER_CGROUPS | FILTER_RATE_LIMIT;

/// Whether one of these filters is there.
#[inline(always)]
pub fn has(filters: u64) -> bool {
    constant(&raw const FILTERS.active) & filters != 0
}

/// Whether this execution is left out. It is counted then.
#[inline(always)]
pub fn leaves_out_exec(task: u64, tid: u32, bprm: u64) -> bool {
    if !has(ANY) || is_own(task) {
        return false;
    }
    if has(FILTER_TREES) && is_of_tree_by_exec(task, tid, bprm) != 0 {
        count(Reason::Tree, Subject::Exec);
    } else if leaves_out(task, Subject::Exec, 0) == 0 {
        return false;
    }
    // What the hook saw of it nobody asks for.
    let _ = PENDING.remove(tid);
    true
}

/// Whether this attempt that failed is left out, by the program with this number from 0. It is counted
/// then.
#[inline(always)]
pub fn leaves_out_failure(task: u64, program: u32) -> bool {
    if !has(ANY) || is_own(task) {
        return false;
    }
    if has(FILTER_TREES) && is_of_tree(task) {
        count(Reason::Tree, Subject::Exec);
        return true;
    }
    leaves_out(task, Subject::Exec, 2 + program) != 0
}

/// A new process is of the tree that its parent is of.
#[inline(always)]
pub fn forked(parent: u64, child: u64) {
    if has(FILTER_TREES)
        && is_of_tree(parent)
        && let Some(child) = process_id(child)
    {
        mark(&child);
    }
}

/// Whether the end of this process is left out, which is counted then; its mark is taken away.
#[inline(always)]
pub fn leaves_out_end(task: u64) -> bool {
    if !has(FILTER_TREES) && !has(FILTER_ENDS) {
        return false;
    }
    let of_tree = has(FILTER_TREES)
        && match process_id(task) {
            Some(process) => TREES.remove(key(&process)).is_ok(),
            None => false,
        };
    if !has(FILTER_ENDS) || is_own(task) {
        return false;
    }
    if of_tree {
        count(Reason::Tree, Subject::End);
        return true;
    }
    leaves_out(task, Subject::End, 1) != 0
}

/// Whether it is the daemon, or a child of it: its canary, which must be seen.
#[inline(always)]
fn is_own(task: u64) -> bool {
    is_daemon(task) || is_daemon(field_or_zero!(task, task_real_parent))
}

#[inline(always)]
fn is_daemon(task: u64) -> bool {
    let leader: u64 = field_or_zero!(task, task_group_leader);
    let tgid: u32 = field_or_zero!(leader, task_tgid);
    let start_ns: u64 = field_or_zero!(leader, task_start_boottime);
    u64::from(tgid) == constant(&raw const FILTERS.own_tgid)
        && start_ns / TICK_NS == constant(&raw const FILTERS.own_start_ticks)
}

#[inline(always)]
fn key(process: &ProcessId) -> ProcessKey {
    ProcessKey { start_ticks: process.start_ns / TICK_NS, tgid: process.tgid.into() }
}

#[inline(always)]
fn is_of_tree(task: u64) -> bool {
    match process_id(task) {
        Some(process) => TREES.get_ptr(key(&process)).is_some(),
        None => false,
    }
}

#[inline(always)]
fn mark(process: &ProcessId) {
    if TREES.insert(key(process), 1, 0).is_err()
        && let Some(left_out) = LEFT_OUT.get_ptr_mut(0)
    {
        // SAFETY: inside the map's value.
        add_one(unsafe { &raw mut (*left_out).trees_full });
    }
}

/// Whether the process is of an excluded tree, or becomes the root of one by this execution: by the
/// binary that was loaded, or the script that was asked for where the hook saw it.
#[inline(never)]
fn is_of_tree_by_exec(task: u64, tid: u32, bprm: u64) -> u64 {
    let Some(process) = process_id(task) else { return 0 };
    if TREES.get_ptr(key(&process)).is_some() {
        return 1;
    }
    let mm: u64 = field_or_zero!(task, task_mm);
    let file: u64 = field_or_zero!(mm, mm_exe_file);
    let inode: u64 = field_or_zero!(file, file_inode);
    let sb: u64 = field_or_zero!(inode, inode_sb);
    let device: u32 = field_or_zero!(sb, sb_dev);
    let binary = FileKey { inode: field_or_zero!(inode, inode_ino), device: device.into() };
    let mut is_root = TREE_FILES.get_ptr(binary).is_some();
    if !is_root && let Some(pending) = PENDING.get_ptr(tid) {
        // SAFETY: a map value that only this thread uses.
        let pending: &Pending = unsafe { &*pending };
        if pending.bprm == bprm && pending.flags & PENDING_FILE != 0 {
            let asked = FileKey { inode: pending.file.inode, device: pending.file.device.into() };
            is_root = TREE_FILES.get_ptr(asked).is_some();
        }
    }
    if is_root {
        mark(&process);
    }
    u64::from(is_root)
}

/// Whether something other than a tree leaves it out, which is counted then.
#[inline(always)]
fn leaves_out(task: u64, subject: Subject, walker: u32) -> u64 {
    if has(FILTER_UIDS) && is_of_user(task) != 0 {
        count(Reason::User, subject);
        return 1;
    }
    if has(FILTER_NAMESPACES) && is_in_namespace(task) != 0 {
        count(Reason::Namespace, subject);
        return 1;
    }
    if has(BY_CGROUP) {
        return cgroup::leaves_out(task, subject as u32, walker);
    }
    0
}

#[inline(never)]
fn is_of_user(task: u64) -> u64 {
    let cred: u64 = field_or_zero!(task, task_cred);
    let Some(euid): Option<u32> = field!(cred, cred_euid) else { return 0 };
    let euid = u64::from(euid);
    let count = constant(&raw const FILTERS.uids_count);
    for index in 0..EXCLUDED_UIDS_MAX {
        if index as u64 >= count {
            break;
        }
        // SAFETY: the index is below the length of the array.
        let range = unsafe { (&raw const FILTERS.uids).cast::<[u64; 2]>().add(index) };
        // SAFETY: as above.
        let (first, last) =
            unsafe { (constant((&raw const (*range)[0])), constant(&raw const (*range)[1])) };
        if euid >= first && euid <= last {
            return 1;
        }
    }
    0
}

#[inline(never)]
fn is_in_namespace(task: u64) -> u64 {
    let nsproxy: u64 = field_or_zero!(task, task_nsproxy);
    if wants(NAMESPACE_PID) {
        let pid: u64 = field_or_zero!(task, task_thread_pid);
        let upid = innermost_upid(pid).unwrap_or(0);
        let namespace: u64 = field_or_zero!(upid, upid_ns);
        if is_listed(NAMESPACE_PID, field_or_zero!(namespace, pid_ns_inum)) {
            return 1;
        }
    }
    if wants(NAMESPACE_MNT) {
        let namespace: u64 = field_or_zero!(nsproxy, nsproxy_mnt);
        if is_listed(NAMESPACE_MNT, field_or_zero!(namespace, mnt_inum)) {
            return 1;
        }
    }
    if wants(NAMESPACE_NET) {
        let namespace: u64 = field_or_zero!(nsproxy, nsproxy_net);
        if is_listed(NAMESPACE_NET, field_or_zero!(namespace, net_inum)) {
            return 1;
        }
    }
    if wants(NAMESPACE_USER) {
        let cred: u64 = field_or_zero!(task, task_cred);
        let namespace: u64 = field_or_zero!(cred, cred_user_ns);
        if is_listed(NAMESPACE_USER, field_or_zero!(namespace, user_ns_inum)) {
            return 1;
        }
    }
    0
}

#[inline(always)]
fn wants(kind: usize) -> bool {
    count_of(kind) != 0
}

#[inline(always)]
fn count_of(kind: usize) -> u64 {
    // SAFETY: `kind` is a constant below the length of the array.
    constant(unsafe { (&raw const FILTERS.namespaces_count).cast::<u64>().add(kind) })
}

#[inline(always)]
fn is_listed(kind: usize, inode: u32) -> bool {
    let count = count_of(kind);
    for index in 0..EXCLUDED_NAMESPACES_MAX {
        if index as u64 >= count {
            break;
        }
        // SAFETY: `kind` and the index are below the lengths of the arrays.
        let listed = constant(unsafe {
            let row =
                (&raw const FILTERS.namespaces).cast::<[u64; EXCLUDED_NAMESPACES_MAX]>().add(kind);
            row.cast::<u64>().add(index)
        });
        if listed == u64::from(inode) {
            return true;
        }
    }
    false
}

/// Counts what was left out.
#[inline(always)]
pub fn count(reason: Reason, subject: Subject) {
    if let Some(left_out) = LEFT_OUT.get_ptr_mut(0) {
        // SAFETY: both are below the lengths of the arrays in the map's value.
        add_one(unsafe {
            (&raw mut (*left_out).counts)
                .cast::<[u64; common::filters::SUBJECTS]>()
                .add(reason as usize)
                .cast::<u64>()
                .add(subject as usize)
        });
    }
}

/// Adds one to a counter that other CPUs add to as well.
#[inline(always)]
pub fn add_one(counter: *mut u64) {
    add(counter, 1);
}

/// Adds to a number that other CPUs add to as well.
#[inline(always)]
pub fn add(number: *mut u64, value: u64) {
    // SAFETY: the caller's map value, aligned. This is `xadd`, which every kernel knows; the atomic
    // types of `core` are not offered for this target.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({number} + 0) += {value}",
            number = in(reg) number,
            value = in(reg) value,
            options(nostack),
        );
    }
}
