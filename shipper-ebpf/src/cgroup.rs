//! Filters that go by the cgroup: whether it is excluded, and whether it has had its share.

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel_str};
use common::filters::{
    Bucket, CgroupKey, CgroupName, CgroupWalk, FILTER_CGROUPS, FILTER_RATE_LIMIT, Reason, SUBJECTS,
    Subject,
};
use common::limits::{CGROUP_DEPTH_MAX, CGROUP_PATH_BYTES, NAME_BYTES_MAX};

use crate::filter::{FILTERS, add, add_one, count, has};
use crate::layout::{constant, settings};
use crate::maps::{CGROUP_NAMES, CGROUPS, LEFT_OUT, LIMITS, WALKS};
use crate::read::field_or_zero;
use crate::record::cpu;
use crate::task::{Cgroup, cgroup_of};

/// include/uapi/linux/bpf.h: another program on another CPU may have been faster.
const BPF_NOEXIST: u64 = 1;

/// Whether the cgroup of the task leaves it out, which is counted then. The scratch memory is that of
/// this walker: another program may have been preempted on this CPU.
#[inline(never)]
pub fn leaves_out(task: u64, subject: u32, walker: u32) -> u64 {
    let Cgroup { node, hierarchy } = cgroup_of(task);
    let id: u64 = field_or_zero!(node, kernfs_id);
    let Some(walk) = WALKS.get_ptr_mut(walker * settings().cpus + cpu()) else { return 0 };
    if id == 0 {
        return 0; // It cannot be told on this kernel.
    }
    let key = CgroupKey { id, hierarchy };
    let subject = if subject == Subject::End as u32 { Subject::End } else { Subject::Exec };
    if has(FILTER_CGROUPS) && is_excluded(node, &key, walk) {
        count(Reason::Cgroup, subject);
        return 1;
    }
    if has(FILTER_RATE_LIMIT) && is_over_limit(node, &key, walk, subject) {
        count(Reason::RateLimit, subject);
        return 1;
    }
    0
}

/// Whether it is one of the excluded cgroups, or below one. Asked once for each, since cgroups of the
/// unified hierarchy keep their name and place.
#[inline(always)]
fn is_excluded(node: u64, key: &CgroupKey, walk: *mut CgroupWalk) -> bool {
    // SAFETY: the value is a number, whoever writes it.
    if let Some(known) = unsafe { CGROUPS.get(key) } {
        return *known != 0;
    }
    let excluded = look_up(node, walk);
    let _ = CGROUPS.insert(key, excluded as u32, 0);
    excluded != 0
}

/// Follows the names from the root, as far as they lead to an excluded cgroup.
#[inline(never)]
fn look_up(node: u64, walk: *mut CgroupWalk) -> u64 {
    const NAME_WORDS: usize = NAME_BYTES_MAX as usize / 8;
    // SAFETY: the caller's map value.
    let first: *mut u64 = unsafe { (&raw mut (*walk).nodes).cast() };
    // SAFETY: the index is below the length of the array.
    let nodes = |index: usize| unsafe { first.add(index) };
    let (mut at, mut depth) = (node, 0);
    for index in 0..CGROUP_DEPTH_MAX as usize {
        let parent: u64 = field_or_zero!(at, kernfs_parent);
        if parent == 0 {
            break;
        }
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(nodes(index), at) };
        depth = index + 1;
        at = parent;
    }
    let above: u64 = field_or_zero!(at, kernfs_parent);
    if above != 0 {
        return 0; // Too deep to know where it is.
    }
    // SAFETY: the caller's map value.
    let step: *mut CgroupName = unsafe { &raw mut (*walk).step };
    let mut place = 0;
    for index in (0..CGROUP_DEPTH_MAX as usize).rev() {
        if index >= depth {
            continue;
        }
        // SAFETY: as above; the helper checks the source, and writes at most the name.
        let name_bytes = unsafe {
            let name: u64 = field_or_zero!(core::ptr::read_volatile(nodes(index)), kernfs_name);
            core::ptr::write_volatile(&raw mut (*step).place, place);
            for word in 0..NAME_WORDS {
                core::ptr::write_volatile((&raw mut (*step).name).cast::<u64>().add(word), 0);
            }
            bpf_probe_read_kernel_str(
                (&raw mut (*step).name).cast(),
                NAME_BYTES_MAX,
                name as *const _,
            )
        };
        if name_bytes <= 0 {
            return 0;
        }
        // SAFETY: the step is this walk's own; what it leads to is only written by the loader.
        let Some(next) = (unsafe { CGROUP_NAMES.get(&*step) }) else { return 0 };
        if next.excluded != 0 {
            return 1;
        }
        place = next.place;
    }
    0
}

/// A bucket that leaks: when all of the burst is there again is moved on by each that passes. CPUs that
/// look at once may all pass where there is room for one. What is left out is counted exactly.
#[inline(always)]
fn is_over_limit(node: u64, key: &CgroupKey, walk: *mut CgroupWalk, subject: Subject) -> bool {
    let bucket = match LIMITS.get_ptr_mut(key) {
        Some(bucket) => bucket,
        None => {
            begin_bucket(node, walk);
            // SAFETY: this walk's own; it is copied.
            let _ = LIMITS.insert(key, unsafe { &(*walk).bucket }, BPF_NOEXIST);
            let Some(bucket) = LIMITS.get_ptr_mut(key) else {
                if let Some(left_out) = LEFT_OUT.get_ptr_mut(0) {
                    // SAFETY: inside the map's value.
                    add_one(unsafe { &raw mut (*left_out).limits_full });
                }
                return false;
            };
            bucket
        }
    };
    // SAFETY: the subject is below the length of both arrays in the map's value.
    let (full_at, left_out) = unsafe {
        (
            (&raw mut (*bucket).full_at_ns).cast::<u64>().add(subject as usize),
            (&raw mut (*bucket).left_out).cast::<u64>().add(subject as usize),
        )
    };
    let interval = constant(&raw const FILTERS.limit_interval_ns);
    // SAFETY: helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: a whole word of the map's value.
    let full = unsafe { core::ptr::read_volatile(full_at) };
    let from = if full > now { full } else { now };
    if from + interval > now + constant(&raw const FILTERS.limit_burst_ns) {
        add_one(left_out);
        return true;
    }
    if full > now {
        add(full_at, interval);
    } else {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(full_at, now + interval) };
    }
    false
}

/// Makes a bucket that nothing was taken from, with the path of its cgroup.
#[inline(never)]
fn begin_bucket(node: u64, walk: *mut CgroupWalk) -> u64 {
    // SAFETY: the caller's map value. The position is masked into the path, with slack for one name
    // behind it.
    unsafe {
        let bucket: *mut Bucket = &raw mut (*walk).bucket;
        for subject in 0..SUBJECTS {
            core::ptr::write_volatile(
                (&raw mut (*bucket).full_at_ns).cast::<u64>().add(subject),
                0,
            );
            core::ptr::write_volatile((&raw mut (*bucket).left_out).cast::<u64>().add(subject), 0);
        }
        core::ptr::write_volatile(&raw mut (*bucket).path_bytes, 0);
        let mut node = node;
        for _ in 0..CGROUP_DEPTH_MAX {
            let parent: u64 = field_or_zero!(node, kernfs_parent);
            if parent == 0 {
                break;
            }
            let name: u64 = field_or_zero!(node, kernfs_name);
            let used = core::ptr::read_volatile(&raw const (*bucket).path_bytes);
            if used >= CGROUP_PATH_BYTES as u64 {
                break;
            }
            let position = used as usize & (CGROUP_PATH_BYTES - 1);
            let target = (&raw mut (*bucket).path).cast::<u8>().add(position);
            let written =
                bpf_probe_read_kernel_str(target.cast(), NAME_BYTES_MAX, name as *const _);
            if written <= 0 {
                break;
            }
            core::ptr::write_volatile(&raw mut (*bucket).path_bytes, used + written as u64);
            node = parent;
        }
    }
    0
}
