//! Executions that failed.
//!
//! The system call is looked at when it returns, so that every reason is seen: a file that cannot be
//! opened, a security module, a format nobody knows, an interpreter that is not there. What the hook
//! saw of the file, if it came that far, is from the kernel; the arguments are what the caller's memory
//! shows then, and the name too where the hook saw nothing.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_probe_read_user, bpf_probe_read_user_str,
};
use aya_ebpf::macros::{fexit, tracepoint};
use aya_ebpf::programs::{FExitContext, TracePointContext};
use common::limits::{ARGV_CHUNK_BYTES, FAILURE_ARGS_MAX, HEAP_BYTES, PATH_BYTES_MAX};
use common::maps::{Attempt, ExecScratch, FAILURES_ALL, FAILURES_NONE, PENDING_REFUSED};
use common::offsets::SYSCALL_ARGUMENTS;
use common::wire::{AT_FDCWD, EXEC_ARGV_CUT, EXEC_ARGV_FAULT, RecordKind, Span};

use crate::enforce;
use crate::filter::leaves_out_failure;
use crate::layout::{constant, settings};
use crate::maps::{self, ATTEMPTS, FAILURES, PENDING};
use crate::read::{field, read_or_zero};
use crate::record::{begin, cpu, is_recent, read_places, send, take_pending};
use crate::task::read_cgroup;

/// Numbers above are for the kernel itself: it makes the call again, or has killed the caller.
const ERRNO_MAX: i64 = 511;
// include/uapi/asm-generic/errno-base.h
const ENOENT: u32 = 2;
const ENOTDIR: u32 = 20;
/// include/uapi/linux/fcntl.h, 6.14: asks and does not execute.
const AT_EXECVE_CHECK: u32 = 0x10000;

/// The system call as it was made.
#[inline(always)]
fn attempt_of(regs: u64, at: bool, compat: bool) -> Attempt {
    let argument = |index: usize| -> u64 {
        // SAFETY: `index` is a constant below the length of the array.
        let offset = constant(unsafe {
            (&raw const crate::layout::OFFSETS.syscall_arguments).cast::<u32>().add(index)
        });
        read_or_zero(regs, offset)
    };
    const { assert!(SYSCALL_ARGUMENTS == 5) };
    let compat = u32::from(compat);
    if at {
        Attempt {
            filename: argument(1),
            argv: argument(2),
            directory: argument(0) as u32,
            flags: argument(4) as u32,
            compat,
            reserved: 0,
        }
    } else {
        let (filename, argv) = (argument(0), argument(1));
        Attempt { filename, argv, directory: AT_FDCWD, flags: 0, compat, reserved: 0 }
    }
}

/// The registers of the caller, the first argument. Read as memory: 5.10 knows `pt_regs` by name alone
/// there, and allows no program to read an argument of a type it does not know.
#[inline(always)]
fn registers(ctx: &FExitContext) -> u64 {
    read_or_zero(ctx.as_ptr() as u64, 0)
}

/// `long __x64_sys_execve(const struct pt_regs *regs)`, and the same of other architectures.
#[fexit(function = "__x64_sys_execve")]
pub fn shipper_failed_execve(ctx: FExitContext) -> i32 {
    returned(RecordKind::FailedExecve, ctx.arg::<u64>(1) as i64, || {
        Some(attempt_of(registers(&ctx), false, false))
    })
}

/// `long __x64_sys_execveat(const struct pt_regs *regs)`.
#[fexit(function = "__x64_sys_execveat")]
pub fn shipper_failed_execveat(ctx: FExitContext) -> i32 {
    returned(RecordKind::FailedExecveat, ctx.arg::<u64>(1) as i64, || {
        Some(attempt_of(registers(&ctx), true, false))
    })
}

/// `long __ia32_compat_sys_execve(const struct pt_regs *regs)`.
#[fexit(function = "__ia32_compat_sys_execve")]
pub fn shipper_failed_compat_execve(ctx: FExitContext) -> i32 {
    returned(RecordKind::FailedCompatExecve, ctx.arg::<u64>(1) as i64, || {
        Some(attempt_of(registers(&ctx), false, true))
    })
}

/// `long __ia32_compat_sys_execveat(const struct pt_regs *regs)`.
#[fexit(function = "__ia32_compat_sys_execveat")]
pub fn shipper_failed_compat_execveat(ctx: FExitContext) -> i32 {
    returned(RecordKind::FailedCompatExecveat, ctx.arg::<u64>(1) as i64, || {
        Some(attempt_of(registers(&ctx), true, true))
    })
}

// Tracepoints of system calls, `struct syscall_trace_enter` and `syscall_trace_exit` of
// kernel/trace/trace.h: a header of 8 bytes, the number in 8, then arguments or result, 8 bytes each.

/// `execve` is called.
#[tracepoint]
pub fn shipper_enter_execve(ctx: TracePointContext) -> i32 {
    let _ = note(
        entered(&ctx, 0)
            .zip(entered(&ctx, 1))
            .map(|(filename, argv)| (filename, argv, AT_FDCWD, 0)),
    );
    0
}

/// `execveat` is called.
#[tracepoint]
pub fn shipper_enter_execveat(ctx: TracePointContext) -> i32 {
    let files = entered(&ctx, 1).zip(entered(&ctx, 2));
    let how = entered(&ctx, 0).zip(entered(&ctx, 4));
    let _ = note(files.zip(how).map(|((filename, argv), (directory, flags))| {
        (filename, argv, directory as u32, flags as u32)
    }));
    0
}

/// `execve` returns.
#[tracepoint]
pub fn shipper_leave_execve(ctx: TracePointContext) -> i32 {
    returned(RecordKind::FailedExecve, entered(&ctx, 0).unwrap_or(0) as i64, noted)
}

/// `execveat` returns.
#[tracepoint]
pub fn shipper_leave_execveat(ctx: TracePointContext) -> i32 {
    returned(RecordKind::FailedExecveat, entered(&ctx, 0).unwrap_or(0) as i64, noted)
}

#[inline(always)]
fn entered(ctx: &TracePointContext, index: usize) -> Option<u64> {
    // SAFETY: inside the tracepoint's own record.
    unsafe { core::ptr::read_volatile(ctx.as_ptr().cast::<u64>().add(2 + index)) }.into()
}

#[inline(always)]
fn note(call: Option<(u64, u64, u32, u32)>) -> Option<()> {
    let (filename, argv, directory, flags) = call?;
    let attempt = Attempt { filename, argv, directory, flags, compat: 0, reserved: 0 };
    ATTEMPTS.insert(thread(), attempt, 0).ok()
}

#[inline(always)]
fn noted() -> Option<Attempt> {
    let tid = thread();
    // SAFETY: only this thread uses its entry.
    let attempt = unsafe { ATTEMPTS.get(tid) }.copied();
    let _ = ATTEMPTS.remove(tid);
    attempt
}

#[inline(always)]
fn thread() -> u32 {
    // SAFETY: helper without arguments.
    unsafe { bpf_get_current_pid_tgid() as u32 }
}

#[inline(always)]
fn returned(kind: RecordKind, result: i64, attempt: impl Fn() -> Option<Attempt>) -> i32 {
    if result >= 0 || result < -ERRNO_MAX {
        return 0;
    }
    if let Some(attempt) = attempt()
        && is_wanted(&attempt, -result as u32)
        && try_failure(kind, &attempt, -result as u32).is_none()
    {
        // The number is taken, so the daemon sees the gap.
        let _ = maps::header(kind, 0);
    }
    let _ = PENDING.remove(thread());
    0
}

/// Whether the operator asked for failures like this one.
#[inline(always)]
fn is_wanted(attempt: &Attempt, errno: u32) -> bool {
    let failures = settings().failures;
    if failures == FAILURES_NONE || attempt.flags & AT_EXECVE_CHECK != 0 {
        return false;
    }
    if failures == FAILURES_ALL || (errno != ENOENT && errno != ENOTDIR) {
        return true;
    }
    // There is the file, and its interpreter is not.
    match PENDING.get_ptr(thread()) {
        // SAFETY: a map value that only this thread uses.
        Some(pending) => is_recent(unsafe { &*pending }),
        None => false,
    }
}

/// Whether a deny rule refused it: that is never left out.
#[inline(always)]
fn is_refused() -> bool {
    if !enforce::is_on() {
        return false;
    }
    match PENDING.get_ptr(thread()) {
        // SAFETY: a map value that only this thread uses.
        Some(pending) => unsafe { (*pending).flags & PENDING_REFUSED != 0 && is_recent(&*pending) },
        None => false,
    }
}

/// `None` only before the record got its number.
#[inline(always)]
fn try_failure(kind: RecordKind, attempt: &Attempt, errno: u32) -> Option<()> {
    let program = kind as u32 - RecordKind::FailedExecve as u32;
    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    if !is_refused() && leaves_out_failure(task, program) {
        return Some(());
    }
    let scratch = FAILURES.get_ptr_mut(program * settings().cpus + cpu())?;
    begin(scratch, task, thread())?;
    // SAFETY: this program's buffer on this CPU; it is never entered twice there.
    let s: &mut ExecScratch = unsafe { &mut *scratch };
    let mm: u64 = field!(task, task_mm)?;
    s.exec.errno = errno;
    s.exec.directory = attempt.directory;
    s.exec.argc = 0;
    read_name(scratch, attempt.filename);
    read_places(scratch, task, mm)?;
    read_cgroup(task, scratch);
    crate::task::read_id_maps(task, scratch);
    read_args(scratch, attempt.argv, attempt.compat);
    // Last, since it knows better how many arguments there are.
    take_pending(scratch, thread(), 0);
    send(kind, scratch);
    Some(())
}

/// The name that was handed over.
#[inline(never)]
fn read_name(scratch: *mut ExecScratch, filename: u64) -> u64 {
    // SAFETY: the caller's buffer; the position is masked into the heap, and the slack behind it takes
    // `PATH_BYTES_MAX`.
    unsafe {
        let s = &mut *scratch;
        s.exec.filename = Span { start: 0, bytes: 0 };
        let used = core::ptr::read_volatile(&raw const s.used);
        let target = (&raw mut s.heap).cast::<u8>().add(used as usize & (HEAP_BYTES - 1));
        let written = bpf_probe_read_user_str(target.cast(), PATH_BYTES_MAX, filename as *const _);
        if written > 0 {
            core::ptr::write_volatile(&raw mut s.used, used + written as u64);
            s.exec.filename = Span { start: used as u32, bytes: written as u32 - 1 };
        }
    }
    0
}

/// The arguments that were handed over, one by one.
#[inline(never)]
fn read_args(scratch: *mut ExecScratch, argv: u64, compat: u32) -> u64 {
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    // SAFETY: the caller's buffer. Read back from the map in each step, as in `exec::copy_user`.
    let used = || unsafe { core::ptr::read_volatile(&raw const (*scratch).used) };
    let begin = used();
    let limit = u64::from(settings().argv_bytes_max);
    let bytes = if compat != 0 { 4 } else { 8 };
    let mut flag = EXEC_ARGV_CUT;
    for index in 0..FAILURE_ARGS_MAX {
        let position = used();
        if position - begin >= limit {
            break;
        }
        let mut pointer = 0u64;
        // SAFETY: at most the eight bytes of `pointer` are written; the helper checks the source.
        let result = unsafe {
            bpf_probe_read_user(
                (&raw mut pointer).cast(),
                bytes,
                (argv + u64::from(index) * u64::from(bytes)) as *const _,
            )
        };
        if result != 0 {
            flag = EXEC_ARGV_FAULT;
            break;
        }
        if pointer == 0 {
            flag = 0;
            break;
        }
        // SAFETY: the position is masked into the heap; the slack behind it takes one chunk.
        let written = unsafe {
            let target = (&raw mut s.heap).cast::<u8>().add(position as usize & (HEAP_BYTES - 1));
            bpf_probe_read_user_str(target.cast(), ARGV_CHUNK_BYTES, pointer as *const _)
        };
        if written <= 0 {
            flag = EXEC_ARGV_FAULT;
            break;
        }
        // SAFETY: the caller's buffer.
        unsafe { core::ptr::write_volatile(&raw mut s.used, position + written as u64) };
        s.exec.argc += 1;
        if written == i64::from(ARGV_CHUNK_BYTES) {
            break; // It may go on.
        }
    }
    s.exec.flags |= flag;
    s.exec.argv = Span { start: begin as u32, bytes: (used() - begin) as u32 };
    s.exec.argv_bytes = used() - begin;
    0
}
