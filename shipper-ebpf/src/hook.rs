//! What must be seen before the exec commits: the file asked for and the caller's credentials.
//!
//! `security_bprm_creds_for_exec` (5.8 and later) is called once for each attempt, with `bprm->file`
//! still the file asked for. `bprm_check_security` would be called again for each interpreter.

use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_boot_ns,
};
use aya_ebpf::macros::{fentry, fexit, lsm, raw_tracepoint};
use aya_ebpf::programs::{FEntryContext, FExitContext, LsmContext, RawTracePointContext};
use common::limits::PATH_BYTES_MAX;
use common::maps::{PENDING_BEFORE, PENDING_DENIED, PENDING_FILE, Pending};
use common::offsets::MISSING;

use crate::enforce;
use crate::file::{Walk, path_of, place, read_facts, walk};
use crate::layout::{offset, word};
use crate::maps::{BLANK, PENDING};
use crate::read::{field, field_or_zero, read};
use crate::task::read_credentials;

// include/uapi/asm-generic/errno-base.h
const EPERM: i32 = 1;

/// LSM hook `int bprm_creds_for_exec(struct linux_binprm *bprm)`. Refuses what a deny rule is for.
#[lsm(hook = "bprm_creds_for_exec")]
pub fn shipper_lsm(ctx: LsmContext) -> i32 {
    let bprm = ctx.arg::<u64>(0);
    let _ = try_hook(bprm, true);
    if enforce::is_on() && enforce::refuses(bprm) { -EPERM } else { 0 }
}

/// The function that calls the LSM hooks, same argument.
#[fentry(function = "security_bprm_creds_for_exec")]
pub fn shipper_fentry(ctx: FEntryContext) -> i32 {
    let _ = try_hook(ctx.arg::<u64>(0), true);
    0
}

/// `trace_sched_prepare_exec(struct task_struct *task, struct linux_binprm *bprm)`, called by
/// `begin_new_exec` (6.10 and later) while the old credentials are still in force. By then
/// `bprm->file` may be the interpreter, so only the credentials are taken.
#[raw_tracepoint(tracepoint = "sched_prepare_exec")]
pub fn shipper_prepare(ctx: RawTracePointContext) -> i32 {
    let _ = try_hook(ctx.arg::<u64>(1), false);
    0
}

/// `int security_bprm_creds_for_exec(struct linux_binprm *bprm)` returned: first of the two that ask
/// the security modules.
#[fexit(function = "security_bprm_creds_for_exec")]
pub fn shipper_denied_first(ctx: FExitContext) -> i32 {
    let _ = try_denied(ctx.arg::<u64>(0), ctx.arg::<u64>(1) as i32);
    0
}

/// `int security_bprm_check(struct linux_binprm *bprm)` returned: the second, asked for the file and
/// again for each interpreter.
#[fexit(function = "security_bprm_check")]
pub fn shipper_denied_check(ctx: FExitContext) -> i32 {
    let _ = try_denied(ctx.arg::<u64>(0), ctx.arg::<u64>(1) as i32);
    0
}

#[inline(always)]
fn try_denied(bprm: u64, result: i32) -> Option<()> {
    if result == 0 {
        return None;
    }
    // SAFETY: helper without arguments.
    let tid = unsafe { bpf_get_current_pid_tgid() } as u32;
    let known = match PENDING.get_ptr(tid) {
        // SAFETY: a map value that only this thread uses.
        Some(pending) => unsafe { (*pending).bprm == bprm },
        None => false,
    };
    // A module that is asked before ours keeps ours from being asked.
    if !known {
        try_hook(bprm, true)?;
    }
    let pending = PENDING.get_ptr_mut(tid)?;
    // SAFETY: as above.
    unsafe { (*pending).flags |= PENDING_DENIED };
    Some(())
}

#[inline(always)]
fn try_hook(bprm: u64, with_file: bool) -> Option<()> {
    if is_question(bprm)? {
        return None;
    }
    // SAFETY: helper without arguments.
    let tid = unsafe { bpf_get_current_pid_tgid() } as u32;
    // The entry belongs to this thread alone until it executes or tries again, so that it can be
    // filled in place even where this program may be preempted.
    PENDING.insert(tid, BLANK.get(0)?, 0).ok()?;
    let pending = PENDING.get_ptr_mut(tid)?;
    // SAFETY: a map value that only this thread uses.
    let pending: &mut Pending = unsafe { &mut *pending };
    pending.bprm = bprm;
    // SAFETY: helper without arguments.
    pending.boot_ns = unsafe { bpf_ktime_get_boot_ns() };
    pending.argc = field_or_zero!(bprm, bprm_argc);

    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let cred: u64 = field!(task, task_cred)?;
    if read_credentials(cred, &raw mut pending.before) != 0 {
        pending.flags |= PENDING_BEFORE;
    }
    if with_file {
        let file: u64 = field!(bprm, bprm_file)?;
        if read_facts(file, &raw mut pending.file) == 0 {
            return None;
        }
        let fs: u64 = field!(task, task_fs)?;
        let range =
            Walk { from: place(path_of(file))?, root: place(fs + u64::from(offset!(fs_root)))? };
        pending.path_flags = walk_pending(pending, &range) as u32;
        pending.flags |= PENDING_FILE;
    }
    Some(())
}

/// execveat(AT_EXECVE_CHECK), 6.14 and later, asks and does not execute. `None` when it cannot be told.
#[inline(always)]
pub fn is_question(bprm: u64) -> Option<bool> {
    let check_byte = word!(bprm_is_check_byte);
    if check_byte == MISSING {
        return Some(false);
    }
    let bits: u8 = read(bprm, check_byte)?;
    Some(u32::from(bits) & word!(bprm_is_check_mask) != 0)
}

#[inline(never)]
fn walk_pending(pending: *mut Pending, range: &Walk) -> u64 {
    const MASK: usize = PATH_BYTES_MAX as usize - 1;
    // SAFETY: the caller's map value.
    unsafe {
        let heap = (&raw mut (*pending).path).cast::<u8>();
        u64::from(walk::<MASK>(heap, &raw mut (*pending).path_bytes, range))
    }
}
