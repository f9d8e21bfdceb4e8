//! New processes.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use common::wire::{Fork, Header, RecordKind};

use crate::filter::forked;
use crate::maps;
use crate::read::field;
use crate::task::process_id;

/// `trace_sched_process_fork(struct task_struct *parent, struct task_struct *child)`, called by
/// `kernel_clone` before the child runs: its record comes before every other of the child.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn shipper_fork(ctx: RawTracePointContext) -> i32 {
    let _ = try_fork(ctx.arg(0), ctx.arg(1));
    0
}

#[repr(C)]
struct Record {
    header: Header,
    fork: Fork,
}

/// Tells that a process executed what is left out: as a fork of itself, so that the daemon does not
/// take it for what it ran before. This is a second writer of the counter: where a kernel lets programs at
/// tracepoints be preempted, a fork on the same CPU may in rare cases take the same number.
pub fn left_out(task: u64) -> Option<()> {
    let header = maps::header(RecordKind::Fork, size_of::<Record>() as u32)?;
    let fork = Fork { parent: process_id(task)?, child: process_id(task)? };
    maps::send(RecordKind::Fork, &Record { header, fork });
    Some(())
}

fn try_fork(parent: u64, child: u64) -> Option<()> {
    let pid: u32 = field!(child, task_pid)?;
    let tgid: u32 = field!(child, task_tgid)?;
    if pid != tgid {
        return None; // A thread.
    }
    forked(parent, child);
    // From here on a failure leaves a gap in the numbers.
    let header = maps::header(RecordKind::Fork, size_of::<Record>() as u32)?;
    let fork = Fork { parent: process_id(parent)?, child: process_id(child)? };
    maps::send(RecordKind::Fork, &Record { header, fork });
    Some(())
}
