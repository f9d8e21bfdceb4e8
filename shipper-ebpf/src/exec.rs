//! Executions that succeeded.

use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
    bpf_probe_read_user, bpf_ringbuf_output,
};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use common::limits::{
    ARGV_BYTES_MAX, ARGV_CHUNK_BYTES, HEAP_BYTES, NAME_BYTES_MAX, PATH_BYTES_MAX,
};
use common::wire::{
    EXEC_ARGV_FAULT, EXEC_CREDENTIALS_BEFORE, EXEC_HOOK, EXEC_INTERPRETED, ExecScratch,
    NO_CREDENTIALS, NO_FILE, PATH_CUT, PENDING_BEFORE, PENDING_FILE, PathSpan, Pending, RecordKind,
    Span,
};

use crate::file::{Walk, path_of, place, read_facts, walk};
use crate::layout::{offset, settings};
use crate::maps::{self, PENDING, RING, SCRATCH};
use crate::read::{field, field_or_zero, opaque};
use crate::task::{
    process_id, read_ancestors, read_cgroup, read_credentials, read_id_maps, read_task,
};

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
    // SAFETY: helper without arguments.
    let scratch = SCRATCH.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })?;
    // SAFETY: this CPU's buffer; the program is never entered twice on a CPU.
    let s: &mut ExecScratch = unsafe { &mut *scratch };
    s.used = 0;

    let mm: u64 = field!(task, task_mm)?;
    let fs: u64 = field!(task, task_fs)?;
    let cred: u64 = field!(task, task_cred)?;
    s.exec.process = process_id(task)?;
    s.exec.flags = 0;
    s.exec.old_tid = old_tid;
    s.exec.reserved = 0;
    s.exec.argc = field!(bprm, bprm_argc)?;
    // SAFETY: the helper checks the source.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut s.exec.comm).cast(),
            16,
            (task + u64::from(offset!(task_comm))) as *const _,
        )
    };
    if read_credentials(cred, &raw mut s.exec.credentials) == 0 {
        return None;
    }
    read_task(task, &raw mut s.exec);
    read_ancestors(task, &raw mut s.exec);

    let filename: u64 = field!(bprm, bprm_filename)?;
    let interp: u64 = field!(bprm, bprm_interp)?;
    s.exec.filename = copy_string(scratch, filename);
    s.exec.interpreter = Span { start: 0, bytes: 0 };
    if interp != filename {
        s.exec.flags |= EXEC_INTERPRETED;
        s.exec.interpreter = copy_string(scratch, interp);
    }

    let binary: u64 = field!(mm, mm_exe_file)?;
    s.exec.binary = NO_FILE;
    read_facts(binary, &raw mut s.exec.binary);
    let root = place(fs + u64::from(offset!(fs_root)))?;
    s.exec.binary_path = walk_into(scratch, &Walk { from: place(path_of(binary))?, root });
    s.exec.cwd = walk_into(scratch, &Walk { from: place(fs + u64::from(offset!(fs_pwd)))?, root });

    take_pending(scratch, old_tid, bprm);
    read_cgroup(task, scratch);
    read_id_maps(cred, scratch);
    read_argv(scratch, mm);
    send(scratch);
    Some(())
}

fn send(scratch: *mut ExecScratch) {
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    let fixed = size_of::<common::wire::Header>() + size_of::<common::wire::Exec>();
    let mut used = opaque(s.used);
    if used > HEAP_BYTES as u64 {
        used = HEAP_BYTES as u64;
    }
    let bytes = fixed as u64 + used;
    let Some(header) = maps::header(RecordKind::Exec, bytes as u32) else { return };
    s.header = header;
    // SAFETY: `bytes` is at most what lies behind `header` in the buffer.
    let result = unsafe {
        bpf_ringbuf_output(
            (&raw const RING).cast_mut().cast(),
            (&raw mut s.header).cast(),
            bytes,
            0,
        )
    };
    if result != 0 {
        maps::count_ring_full(RecordKind::Exec);
    }
}

/// What the hook saw of this very attempt.
#[inline(never)]
fn take_pending(scratch: *mut ExecScratch, tid: u32, bprm: u64) -> u64 {
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    s.exec.file_path = PathSpan { span: Span { start: 0, bytes: 0 }, flags: 0, reserved: 0 };
    s.exec.file = NO_FILE;
    s.exec.before = NO_CREDENTIALS;
    let Some(pending) = PENDING.get_ptr(tid) else { return 0 };
    // SAFETY: a map value that only this thread uses.
    let pending: &Pending = unsafe { &*pending };
    if pending.bprm == bprm {
        if pending.flags & PENDING_BEFORE != 0 {
            s.exec.before = pending.before;
            s.exec.flags |= EXEC_CREDENTIALS_BEFORE;
        }
        if pending.flags & PENDING_FILE != 0 {
            s.exec.file = pending.file;
            s.exec.flags |= EXEC_HOOK;
            if s.exec.flags & EXEC_INTERPRETED != 0 {
                copy_path(scratch, pending);
            }
        }
    }
    let _ = PENDING.remove(tid);
    0
}

#[inline(always)]
fn copy_path(scratch: *mut ExecScratch, pending: &Pending) {
    const BYTES_MAX: u64 = PATH_BYTES_MAX as u64;
    // SAFETY: the position is masked into the heap, and at most `BYTES_MAX` bytes, the slack behind
    // the heap, are written from it. The source is as long.
    unsafe {
        let s = &mut *scratch;
        let mut flags = pending.path_flags;
        let mut bytes = opaque(pending.path_bytes);
        if bytes > BYTES_MAX {
            bytes = BYTES_MAX;
            flags |= PATH_CUT;
        }
        let used = core::ptr::read_volatile(&raw const s.used);
        let target = (&raw mut s.heap).cast::<u8>().add(used as usize & (HEAP_BYTES - 1));
        if bpf_probe_read_kernel(target.cast(), bytes as u32, (&raw const pending.path).cast()) != 0
        {
            return;
        }
        s.exec.file_path =
            PathSpan { span: Span { start: used as u32, bytes: bytes as u32 }, flags, reserved: 0 };
        core::ptr::write_volatile(&raw mut s.used, used + bytes);
    }
}

/// Walks a path into the heap.
#[inline(never)]
fn walk_into_heap(scratch: *mut ExecScratch, range: &Walk) -> u64 {
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    u64::from(walk::<{ HEAP_BYTES - 1 }>((&raw mut s.heap).cast(), &raw mut s.used, range))
}

#[inline(always)]
fn walk_into(scratch: *mut ExecScratch, range: &Walk) -> PathSpan {
    // SAFETY: this CPU's buffer.
    let used = || unsafe { core::ptr::read_volatile(&raw const (*scratch).used) };
    let start = used();
    let flags = walk_into_heap(scratch, range) as u32;
    PathSpan {
        span: Span { start: start as u32, bytes: (used() - start) as u32 },
        flags,
        reserved: 0,
    }
}

/// Copies a NUL-terminated kernel string of at most `PATH_MAX` bytes; the span is without its NUL.
#[inline(always)]
fn copy_string(scratch: *mut ExecScratch, string: u64) -> Span {
    // SAFETY: the position is masked into the heap; the slack behind it takes `PATH_BYTES_MAX`.
    unsafe {
        let s = &mut *scratch;
        let used = core::ptr::read_volatile(&raw const s.used);
        let target = (&raw mut s.heap).cast::<u8>().add(used as usize & (HEAP_BYTES - 1));
        let written = bpf_probe_read_kernel_str(target.cast(), PATH_BYTES_MAX, string as *const _);
        if written <= 0 {
            return Span { start: 0, bytes: 0 };
        }
        core::ptr::write_volatile(&raw mut s.used, used + written as u64);
        Span { start: used as u32, bytes: written as u32 - 1 }
    }
}

/// Copies the arguments from the new address space, page by page, since a page may be missing.
#[inline(never)]
fn read_argv(scratch: *mut ExecScratch, mm: u64) -> u64 {
    const CHUNK: u64 = ARGV_CHUNK_BYTES as u64;
    // SAFETY: this CPU's buffer.
    let s = unsafe { &mut *scratch };
    let start: u64 = field_or_zero!(mm, mm_arg_start);
    let end: u64 = field_or_zero!(mm, mm_arg_end);
    let total = end.wrapping_sub(start);
    s.exec.argv_bytes = total;
    let begin = s.used;
    let limit = u64::from(settings().argv_bytes_max);
    let wanted = if total < limit { total } else { limit };

    // What is done is read back from the map in each step: to the verifier a number it knows nothing
    // about. A local would have other bounds on each way through each step, and the verifier would
    // follow them all.
    // SAFETY: this CPU's buffer.
    let used = || unsafe { core::ptr::read_volatile(&raw const (*scratch).used) };
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
            s.exec.flags |= EXEC_ARGV_FAULT;
            break;
        }
        // SAFETY: this CPU's buffer.
        unsafe { core::ptr::write_volatile(&raw mut s.used, position + bytes) };
    }
    s.exec.argv = Span { start: begin as u32, bytes: (used() - begin) as u32 };
    0
}

const _: () = assert!(NAME_BYTES_MAX <= ARGV_CHUNK_BYTES && PATH_BYTES_MAX <= ARGV_CHUNK_BYTES);
