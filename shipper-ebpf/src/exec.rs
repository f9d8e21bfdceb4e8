//! Executions that succeeded.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use common::limits::{ARGV_BYTES_MAX, ARGV_CHUNK_BYTES, ENV_BYTES_MAX, HEAP_BYTES};
use common::maps::ExecScratch;
use common::wire::{EXEC_ARGV_FAULT, EXEC_ENV_FAULT, EXEC_INTERPRETED, RecordKind, Span};

use crate::filter::leaves_out_exec;
use crate::fork::left_out;
use crate::layout::settings;
use crate::maps::{self, SCRATCH};
use crate::read::{field, field_or_zero, opaque};
use crate::record::{begin, copy_string, cpu, read_places, send, take_pending};
use crate::task::{read_cgroup, read_id_maps};

/// `trace_sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`,
/// called by `exec_binprm` once the new program is in place, in its context.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn shipper_exec(ctx: RawTracePointContext) -> i32 {
    if try_exec(ctx.arg(0), ctx.arg::<u64>(1) as u32, ctx.arg(2)).is_none() {
        // The number is taken, so the daemon sees the gap.
        let _ = maps::header(RecordKind::Exec, 0);
    }
    0
}

/// `None` only before the record got its number.
fn try_exec(task: u64, old_tid: u32, bprm: u64) -> Option<()> {
    if leaves_out_exec(task, old_tid, bprm) {
        let _ = left_out(task);
        return Some(());
    }
    let scratch = SCRATCH.get_ptr_mut(cpu())?;
    begin(scratch, task, old_tid)?;
    // SAFETY: this CPU's buffer; the program is never entered twice on a CPU.
    let s: &mut ExecScratch = unsafe { &mut *scratch };
    let mm: u64 = field!(task, task_mm)?;
    s.exec.argc = field!(bprm, bprm_argc)?;

    let filename: u64 = field!(bprm, bprm_filename)?;
    let interp: u64 = field!(bprm, bprm_interp)?;
    s.exec.filename = copy_string(scratch, filename);
    if interp != filename {
        s.exec.flags |= EXEC_INTERPRETED;
        s.exec.interpreter = copy_string(scratch, interp);
    }
    read_places(scratch, task, mm)?;
    take_pending(scratch, old_tid, bprm);
    read_cgroup(task, scratch);
    read_id_maps(task, scratch);
    read_argv(scratch, mm);
    if settings().env_bytes_max != 0 {
        read_env(scratch, mm);
    }
    send(RecordKind::Exec, scratch);
    Some(())
}

/// Copies the arguments.
#[inline(always)]
fn read_argv(scratch: *mut ExecScratch, mm: u64) {
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    let start: u64 = field_or_zero!(mm, mm_arg_start);
    let end: u64 = field_or_zero!(mm, mm_arg_end);
    s.exec.argv_bytes = end.wrapping_sub(start);
    let begin = s.used;
    if copy_user(scratch, start, end, u64::from(settings().argv_bytes_max)) != 0 {
        s.exec.flags |= EXEC_ARGV_FAULT;
    }
    s.exec.argv = since(scratch, begin);
}

/// Copies the environment, all of it: which variables the operator asked for is the daemon's to know,
/// which forgets the others at once.
#[inline(always)]
fn read_env(scratch: *mut ExecScratch, mm: u64) {
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    let start: u64 = field_or_zero!(mm, mm_env_start);
    let end: u64 = field_or_zero!(mm, mm_env_end);
    s.exec.env_bytes = end.wrapping_sub(start);
    let begin = s.used;
    if copy_user(scratch, start, end, u64::from(settings().env_bytes_max)) != 0 {
        s.exec.flags |= EXEC_ENV_FAULT;
    }
    s.exec.env = since(scratch, begin);
}

/// What was put into the heap since it had this many bytes.
#[inline(always)]
fn since(scratch: *mut ExecScratch, begin: u64) -> Span {
    // SAFETY: this CPU's buffer.
    let used = unsafe { core::ptr::read_volatile(&raw const (*scratch).used) };
    Span { start: begin as u32, bytes: (used - begin) as u32 }
}

/// Copies what lies from `start` to `end` in the new address space into the heap, at most `limit`
/// bytes: page by page, since a page may be missing. Returns 1 where one is; what lies before it was
/// copied.
#[inline(never)]
fn copy_user(scratch: *mut ExecScratch, start: u64, end: u64, limit: u64) -> u64 {
    const CHUNK: u64 = ARGV_CHUNK_BYTES as u64;
    const { assert!(ENV_BYTES_MAX <= ARGV_BYTES_MAX) };
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    let total = end.wrapping_sub(start);
    let wanted = if total < limit { total } else { limit };

    // What is done is read back from the map in each step: to the verifier a number it knows nothing
    // about. A local would have other bounds on each way through each step, and the verifier would
    // follow them all.
    // SAFETY: this CPU's buffer.
    let used = || unsafe { core::ptr::read_volatile(&raw const (*scratch).used) };
    let begin = used();
    // One more step than pages, since the first page may be partial.
    for _ in 0..=(ARGV_BYTES_MAX / ARGV_CHUNK_BYTES) {
        let position = used();
        let done = position - begin;
        if done >= wanted {
            break;
        }
        let to_page_end = CHUNK - ((start + done) & (CHUNK - 1));
        let left = wanted - done;
        let bytes = opaque(if left < to_page_end { left } else { to_page_end });
        if bytes == 0 || bytes > CHUNK {
            break;
        }
        // SAFETY: the position is masked into the heap; the slack behind it takes one chunk.
        let result = unsafe {
            let target = (&raw mut s.heap).cast::<u8>().add(position as usize & (HEAP_BYTES - 1));
            bpf_probe_read_user(target.cast(), bytes as u32, (start + done) as *const _)
        };
        if result != 0 {
            return 1;
        }
        // SAFETY: this CPU's buffer.
        unsafe { core::ptr::write_volatile(&raw mut s.used, position + bytes) };
    }
    0
}
