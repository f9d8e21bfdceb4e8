//! The record of an exec, put together in scratch memory: what is the same for one that succeeded and
//! for one that failed.

use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_probe_read_kernel,
    bpf_probe_read_kernel_str, bpf_ringbuf_output,
};
use common::limits::{
    ARGV_CHUNK_BYTES, HEAP_BYTES, NAME_BYTES_MAX, PATH_BYTES_MAX, PENDING_AGE_MAX_NS,
};
use common::maps::{ExecScratch, PENDING_BEFORE, PENDING_DENIED, PENDING_FILE, Pending};
use common::wire::{
    EXEC_CREDENTIALS_BEFORE, EXEC_DENIED, EXEC_HOOK, EXEC_INTERPRETED, NO_CREDENTIALS, NO_FILE,
    PATH_CUT, PathSpan, RecordKind, Span,
};

use crate::enforce::{self, JUDGED};
use crate::file::{Walk, path_of, place, read_facts, walk};
use crate::layout::offset;
use crate::maps::{self, PENDING, RING};
use crate::read::{field, opaque};
use crate::task::{process_id, read_ancestors, read_credentials, read_task};

/// Number of this CPU.
#[inline(always)]
pub fn cpu() -> u32 {
    // SAFETY: helper without arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// Begins a record with what the task is. `None` when not even that can be read.
#[inline(always)]
pub fn begin(scratch: *mut ExecScratch, task: u64, tid: u32) -> Option<()> {
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    s.used = 0;
    let cred: u64 = field!(task, task_cred)?;
    s.exec.process = process_id(task)?;
    s.exec.flags = 0;
    s.exec.old_tid = tid;
    s.exec.errno = 0;
    s.exec.directory = 0;
    s.exec.reserved = 0;
    s.exec.interpreter = Span { start: 0, bytes: 0 };
    s.exec.env = Span { start: 0, bytes: 0 };
    s.exec.env_bytes = 0;
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
    Some(())
}

/// The binary that the task runs, and its working directory.
#[inline(always)]
pub fn read_places(scratch: *mut ExecScratch, task: u64, mm: u64) -> Option<()> {
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    let fs: u64 = field!(task, task_fs)?;
    let binary: u64 = field!(mm, mm_exe_file)?;
    s.exec.binary = NO_FILE;
    read_facts(binary, &raw mut s.exec.binary);
    let root = place(fs + u64::from(offset!(fs_root)))?;
    s.exec.binary_path = walk_into(scratch, &Walk { from: place(path_of(binary))?, root });
    s.exec.cwd = walk_into(scratch, &Walk { from: place(fs + u64::from(offset!(fs_pwd)))?, root });
    Some(())
}

/// Sends what was put together.
#[inline(always)]
pub fn send(kind: RecordKind, scratch: *mut ExecScratch) {
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    let fixed = size_of::<common::wire::Header>() + size_of::<common::wire::Exec>();
    let mut used = opaque(s.used);
    if used > HEAP_BYTES as u64 {
        used = HEAP_BYTES as u64;
    }
    let bytes = fixed as u64 + used;
    let Some(header) = maps::header(kind, bytes as u32) else { return };
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
        maps::count_ring_full(kind);
    }
}

/// What the hook saw of this very attempt: of this `linux_binprm`. Of an attempt that failed it is
/// gone, and `bprm` is 0: then it is what the thread tried last, if that was not long ago. The argument
/// count is taken only then.
#[inline(never)]
pub fn take_pending(scratch: *mut ExecScratch, tid: u32, bprm: u64) -> u64 {
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    s.exec.file_path = PathSpan { span: Span { start: 0, bytes: 0 }, flags: 0, reserved: 0 };
    s.exec.file = NO_FILE;
    s.exec.before = NO_CREDENTIALS;
    s.exec.rule = Span { start: 0, bytes: 0 };
    let Some(pending) = PENDING.get_ptr(tid) else { return 0 };
    // SAFETY: a map value that only this thread uses.
    let pending: &Pending = unsafe { &*pending };
    let mine = if bprm == 0 { is_recent(pending) } else { pending.bprm == bprm };
    if mine {
        if bprm == 0 {
            s.exec.argc = pending.argc;
        }
        if pending.flags & PENDING_DENIED != 0 {
            s.exec.flags |= EXEC_DENIED;
        }
        let judged = pending.flags & JUDGED;
        if judged != 0
            && let Some(id) = enforce::rule_id(pending.rule)
        {
            s.exec.flags |= judged;
            s.exec.rule = copy_string(scratch, id);
        }
        if pending.flags & PENDING_BEFORE != 0 {
            s.exec.before = pending.before;
            s.exec.flags |= EXEC_CREDENTIALS_BEFORE;
        }
        if pending.flags & PENDING_FILE != 0 {
            s.exec.file = pending.file;
            s.exec.flags |= EXEC_HOOK;
            if bprm == 0 || s.exec.flags & EXEC_INTERPRETED != 0 {
                copy_path(scratch, pending);
            }
        }
    }
    let _ = PENDING.remove(tid);
    0
}

/// Whether it can be of an attempt that fails just now.
#[inline(always)]
pub fn is_recent(pending: &Pending) -> bool {
    // SAFETY: helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    now - pending.boot_ns < PENDING_AGE_MAX_NS
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
    // SAFETY: the caller's buffer.
    let s = unsafe { &mut *scratch };
    u64::from(walk::<{ HEAP_BYTES - 1 }>((&raw mut s.heap).cast(), &raw mut s.used, range))
}

#[inline(always)]
fn walk_into(scratch: *mut ExecScratch, range: &Walk) -> PathSpan {
    // SAFETY: the caller's buffer.
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
pub fn copy_string(scratch: *mut ExecScratch, string: u64) -> Span {
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

const _: () = assert!(NAME_BYTES_MAX <= ARGV_CHUNK_BYTES && PATH_BYTES_MAX <= ARGV_CHUNK_BYTES);
