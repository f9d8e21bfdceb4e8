//! Ends of processes.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use common::wire::{Exit, Header, RecordKind};

use crate::filter::leaves_out_end;
use crate::maps;
use crate::read::field;
use crate::task::process_id;

/// `trace_sched_process_exit(struct task_struct *p, ...)`, called by `do_exit` of every thread after
/// it counted itself out of `signal->live`. Two threads that end together may both see zero; the
/// daemon takes the second report for the same.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn shipper_exit(ctx: RawTracePointContext) -> i32 {
    let _ = try_exit(ctx.arg(0));
    0
}

#[repr(C)]
struct Record {
    header: Header,
    exit: Exit,
}

/// In `signal_struct.flags`: the process ends as a whole (`include/linux/sched/signal.h`).
const SIGNAL_GROUP_EXIT: u32 = 4;

/// As `wait_task_zombie` has it, not as this thread ends: only the thread that wrote a core file has
/// the mark of it in its own code, and where threads end one by one, older kernels go by the leader.
#[inline(always)]
fn exit_code(task: u64, signal: u64) -> Option<u32> {
    let flags: u32 = field!(signal, signal_flags)?;
    if flags & SIGNAL_GROUP_EXIT != 0 {
        return field!(signal, signal_group_exit_code);
    }
    let leader: u64 = field!(task, task_group_leader)?;
    field!(leader, task_exit_code)
}

fn try_exit(task: u64) -> Option<()> {
    let signal: u64 = field!(task, task_signal)?;
    let live: i32 = field!(signal, signal_live)?;
    if live != 0 {
        return None; // Other threads go on.
    }
    let left_out = leaves_out_end(task);
    // From here on a failure leaves a gap in the numbers.
    let header = maps::header(RecordKind::Exit, size_of::<Record>() as u32)?;
    let exit = Exit {
        process: process_id(task)?,
        exit_code: exit_code(task, signal)?,
        left_out: left_out.into(),
    };
    maps::send(RecordKind::Exit, &Record { header, exit });
    Some(())
}
