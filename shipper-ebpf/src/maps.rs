//! Maps, numbering, and sending.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use common::filters::{
    Bucket, CgroupKey, CgroupName, CgroupPlace, CgroupWalk, FileKey, LeftOut, ProcessKey,
};
use common::maps::{Attempt, Counter, ExecScratch, Pending};
use common::wire::{Header, RECORD_KINDS, RecordKind, WIRE_VERSION};

/// Every record, in the order of reservation: a fork before the exec of its child. The loader sets
/// the size.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(4096, 0);

/// One buffer a CPU, the loader sets how many. An array and not a per-CPU array, whose values are
/// limited to 32 KiB. Only `shipper_exec` uses it, and the kernel never runs a raw tracepoint
/// program twice at once on a CPU.
#[map]
pub static SCRATCH: Array<ExecScratch> = Array::with_max_entries(1, 0);

/// The same for execs that fail: one for each CPU and each program, since these can be preempted,
/// and the kernel runs none of them twice at once on a CPU (5.12 and later; before, a kernel with full
/// preemption might). The loader sets how many.
#[map]
pub static FAILURES: Array<ExecScratch> = Array::with_max_entries(1, 0);

/// By thread id. Least recently used entries make room, so attempts that failed need no clean-up.
#[map]
pub static PENDING: LruHashMap<u32, Pending> = LruHashMap::with_max_entries(1, 0);

/// By thread id: an exec on its way, where only the tracepoints of the system calls see it fail.
#[map]
pub static ATTEMPTS: LruHashMap<u32, Attempt> = LruHashMap::with_max_entries(1, 0);

/// A zeroed `Pending` to insert: too large for the stack.
#[map]
pub static BLANK: Array<Pending> = Array::with_max_entries(1, 0);

/// By `RecordKind`. One program writes each, so that no two writers meet on a CPU.
#[map]
pub static COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(RECORD_KINDS as u32, 0);

// The loader sets how many entries each of these has: one where its filter is not asked for.

/// What was left out, of all CPUs.
#[map]
pub static LEFT_OUT: Array<LeftOut> = Array::with_max_entries(1, 0);

/// Files whose processes are left out with their descendants. The loader fills it.
#[map]
pub static TREE_FILES: HashMap<FileKey, u32> = HashMap::with_max_entries(1, 0);

/// Processes of excluded trees. The loader adds those that lived before.
#[map]
pub static TREES: HashMap<ProcessKey, u32> = HashMap::with_max_entries(1, 0);

/// The steps to excluded cgroups. The loader fills it.
#[map]
pub static CGROUP_NAMES: HashMap<CgroupName, CgroupPlace> = HashMap::with_max_entries(1, 0);

/// Whether a cgroup is excluded: 0 or 1.
#[map]
pub static CGROUPS: LruHashMap<CgroupKey, u32> = LruHashMap::with_max_entries(1, 0);

/// What each limited cgroup has had. The daemon takes away those that rest.
#[map]
pub static LIMITS: HashMap<CgroupKey, Bucket> = HashMap::with_max_entries(1, 0);

/// By program and CPU, as `FAILURES` is.
#[map]
pub static WALKS: Array<CgroupWalk> = Array::with_max_entries(1, 0);

/// Numbers a record. The number is taken before anything can fail, so that a record that does not
/// reach the ring leaves a gap.
#[inline(always)]
pub fn header(kind: RecordKind, bytes: u32) -> Option<Header> {
    let counter = COUNTERS.get_ptr_mut(kind as u32)?;
    // SAFETY: the map's entry of this CPU; no other program writes this kind.
    let sequence = unsafe {
        (*counter).made += 1;
        (*counter).made
    };
    Some(Header {
        version: WIRE_VERSION,
        kind: kind as u16,
        bytes,
        sequence,
        // SAFETY: helpers without arguments.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        cpu: unsafe { bpf_get_smp_processor_id() },
        reserved: 0,
    })
}

/// Counts a record that did not fit into the ring.
#[inline(always)]
pub fn count_ring_full(kind: RecordKind) {
    if let Some(counter) = COUNTERS.get_ptr_mut(kind as u32) {
        // SAFETY: as in `header`.
        unsafe { (*counter).ring_full += 1 };
    }
}

/// Sends a record of fixed size.
#[inline(always)]
pub fn send<T: 'static>(kind: RecordKind, record: &T) {
    if RING.output::<T>(record, 0).is_err() {
        count_ring_full(kind);
    }
}
