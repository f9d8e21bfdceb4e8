//! What a task is: identity, credentials, namespaces, terminal, cgroup, ancestors.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use common::limits::{CGROUP_DEPTH_MAX, HEAP_BYTES, KERNEL_ANCESTORS_MAX, NAME_BYTES_MAX};
use common::maps::ExecScratch;
use common::offsets::MISSING;
use common::wire::{
    Ancestor, Credentials, EXEC_ANCESTORS_CUT, EXEC_NO_NEW_PRIVS, EXEC_TTY, Exec, ID_EXTENTS_MAX,
    IdExtent, IdMap, Namespaces, ProcessId, Span,
};

use crate::layout::{offset, word};
use crate::read::{Piece, field, field_or_zero, piece_field, read_or_zero};

/// Index of the process group and the session in `signal_struct.pids` (`enum pid_type`).
const PIDTYPE_PGID: u32 = 2;
const PIDTYPE_SID: u32 = 3;

/// Up to the ambient capabilities.
const CRED_WORDS: usize = 12;
/// From `tgid` to `group_leader`.
const RELATIVES_WORDS: usize = 10;
/// Up to `time_ns_for_children`, which kernels have since 5.6.
const NSPROXY_WORDS: usize = 8;

/// include/linux/sched.h: bit `PFA_NO_NEW_PRIVS` of `task_struct.atomic_flags`.
const PFA_NO_NEW_PRIVS: u64 = 1;

/// The process of a task: pid and start time of its group leader.
#[inline(always)]
pub fn process_id(task: u64) -> Option<ProcessId> {
    let leader: u64 = field!(task, task_group_leader)?;
    Some(ProcessId {
        start_ns: field!(leader, task_start_boottime)?,
        tgid: field!(leader, task_tgid)?,
        reserved: 0,
    })
}

/// Fills the credentials from a `struct cred`.
#[inline(never)]
pub fn read_credentials(cred: u64, out: *mut Credentials) -> u64 {
    let mut piece = Piece::<CRED_WORDS>::new();
    if !piece.fill(cred, 0) {
        return 0;
    }
    let user_ns: u64 = piece_field!(piece, cred, cred_user_ns);
    let value = Credentials {
        uid: piece_field!(piece, cred, cred_uid),
        gid: piece_field!(piece, cred, cred_gid),
        suid: piece_field!(piece, cred, cred_suid),
        sgid: piece_field!(piece, cred, cred_sgid),
        euid: piece_field!(piece, cred, cred_euid),
        egid: piece_field!(piece, cred, cred_egid),
        fsuid: piece_field!(piece, cred, cred_fsuid),
        fsgid: piece_field!(piece, cred, cred_fsgid),
        securebits: piece_field!(piece, cred, cred_securebits),
        user_namespace: field_or_zero!(user_ns, user_ns_inum),
        cap_inheritable: piece_field!(piece, cred, cred_cap_inheritable),
        cap_permitted: piece_field!(piece, cred, cred_cap_permitted),
        cap_effective: piece_field!(piece, cred, cred_cap_effective),
        cap_bounding: piece_field!(piece, cred, cred_cap_bset),
        cap_ambient: piece_field!(piece, cred, cred_cap_ambient),
    };
    // SAFETY: `out` points into a map value or the caller's stack.
    unsafe { *out = value };
    1
}

/// The `upid` of a `struct pid` at its innermost level.
#[inline(always)]
pub fn innermost_upid(pid: u64) -> Option<u64> {
    let level: u32 = field!(pid, pid_level)?;
    let numbers = offset!(pid_numbers);
    if numbers == MISSING || level > 32 {
        return None;
    }
    Some(pid + u64::from(numbers) + u64::from(level) * u64::from(word!(upid_bytes)))
}

/// Number of a `struct pid` in the initial namespace; 0 where it cannot be told.
#[inline(always)]
fn global_number(pid: u64) -> u32 {
    let numbers = offset!(pid_numbers);
    if numbers == MISSING { 0 } else { field_or_zero!(pid + u64::from(numbers), upid_nr) }
}

/// Ids of process group and session, terminal, vpid, audit ids, namespaces.
#[inline(never)]
pub fn read_task(task: u64, exec: *mut Exec) -> u64 {
    // SAFETY: the caller's map value.
    let exec = unsafe { &mut *exec };
    let signal: u64 = field_or_zero!(task, task_signal);
    let pids = offset!(signal_pids);
    if pids != MISSING {
        let group: u64 = read_or_zero(signal, pids + 8 * PIDTYPE_PGID);
        exec.pgid = global_number(group);
        let session: u64 = read_or_zero(signal, pids + 8 * PIDTYPE_SID);
        exec.sid = global_number(session);
    }
    exec.loginuid = field!(task, task_loginuid).unwrap_or(u32::MAX);
    exec.sessionid = field!(task, task_sessionid).unwrap_or(u32::MAX);
    let atomic_flags: u64 = field_or_zero!(task, task_atomic_flags);
    if atomic_flags & PFA_NO_NEW_PRIVS != 0 {
        exec.flags |= EXEC_NO_NEW_PRIVS;
    }

    let tty: u64 = field_or_zero!(signal, signal_tty);
    if tty != 0 {
        let driver: u64 = field_or_zero!(tty, tty_driver);
        let index: u32 = field_or_zero!(tty, tty_index);
        let first: u32 = field_or_zero!(driver, tty_driver_minor_start);
        if let Some(major) = field!(driver, tty_driver_major) {
            exec.tty_major = major;
            exec.tty_minor = first.wrapping_add(index);
            exec.flags |= EXEC_TTY;
        }
    }

    let pid: u64 = field_or_zero!(task, task_thread_pid);
    let upid = innermost_upid(pid).unwrap_or(0);
    exec.vpid = field_or_zero!(upid, upid_nr);
    let pid_ns: u64 = field_or_zero!(upid, upid_ns);

    let nsproxy: u64 = field_or_zero!(task, task_nsproxy);
    let mut piece = Piece::<NSPROXY_WORDS>::new();
    piece.fill(nsproxy, 0);
    let mnt: u64 = piece_field!(piece, nsproxy, nsproxy_mnt);
    let net: u64 = piece_field!(piece, nsproxy, nsproxy_net);
    let uts: u64 = piece_field!(piece, nsproxy, nsproxy_uts);
    let ipc: u64 = piece_field!(piece, nsproxy, nsproxy_ipc);
    let cgroup: u64 = piece_field!(piece, nsproxy, nsproxy_cgroup);
    let time: u64 = piece_field!(piece, nsproxy, nsproxy_time);
    exec.namespaces = Namespaces {
        mnt: field_or_zero!(mnt, mnt_inum),
        pid: field_or_zero!(pid_ns, pid_ns_inum),
        net: field_or_zero!(net, net_inum),
        uts: field_or_zero!(uts, uts_inum),
        ipc: field_or_zero!(ipc, ipc_inum),
        cgroup: field_or_zero!(cgroup, cgroup_ns_inum),
        time: field_or_zero!(time, time_inum),
        user: exec.credentials.user_namespace,
    };
    0
}

/// Walks `real_parent` from the task up to the first process.
#[inline(never)]
pub fn read_ancestors(task: u64, exec: *mut Exec) -> u64 {
    // SAFETY: the caller's map value.
    let exec = unsafe { &mut *exec };
    let mut parent: u64 = field_or_zero!(task, task_real_parent);
    let mut count = 0;
    let mut piece = Piece::<RELATIVES_WORDS>::new();
    for slot in exec.ancestors.iter_mut() {
        piece.fill(parent, offset!(task_tgid));
        let leader: u64 = piece_field!(piece, parent, task_group_leader, from task_tgid);
        if leader != parent {
            piece.fill(leader, offset!(task_tgid));
        }
        let tgid: u32 = piece_field!(piece, leader, task_tgid, from task_tgid);
        if tgid == 0 {
            // The idle task, parent of pid 1 and of kthreadd.
            parent = 0;
            break;
        }
        let entry: *mut Ancestor = slot;
        // SAFETY: `slot` is inside the map value; the helper checks the source.
        unsafe {
            (*entry).process.tgid = tgid;
            (*entry).process.reserved = 0;
            (*entry).process.start_ns = field_or_zero!(leader, task_start_boottime);
            bpf_probe_read_kernel(
                (&raw mut (*entry).comm).cast(),
                16,
                (leader + u64::from(offset!(task_comm))) as *const _,
            );
        }
        count += 1;
        parent = piece_field!(piece, leader, task_real_parent, from task_tgid);
    }
    exec.ancestors_count = count;
    if count as usize == KERNEL_ANCESTORS_MAX {
        let leader: u64 = field_or_zero!(parent, task_group_leader);
        let tgid: u32 = field_or_zero!(leader, task_tgid);
        if tgid != 0 {
            exec.flags |= EXEC_ANCESTORS_CUT;
        }
    }
    0
}

/// How ids are mapped, where the credentials are of another user namespace than the initial one.
#[inline(never)]
pub fn read_id_maps(task: u64, scratch: *mut ExecScratch) -> u64 {
    const EXTENTS_BYTES: u32 = size_of::<[IdExtent; ID_EXTENTS_MAX]>() as u32;
    // SAFETY: the caller's map value.
    let scratch = unsafe { &mut *scratch };
    scratch.exec.id_maps = Span { start: 0, bytes: 0 };
    let cred: u64 = field_or_zero!(task, task_cred);
    let user_ns: u64 = field_or_zero!(cred, cred_user_ns);
    let level: u32 = field_or_zero!(user_ns, user_ns_level);
    let (extents, count) = (offset!(id_map_extents), offset!(id_map_count));
    if level == 0 || extents == MISSING || count == MISSING {
        return 0;
    }
    let begin = scratch.used;
    for map in [offset!(user_ns_uid_map), offset!(user_ns_gid_map)] {
        if map == MISSING {
            return 0;
        }
        let map = user_ns + u64::from(map);
        // SAFETY: `used` is read past the compiler and masked, so that the verifier sees a position
        // inside the heap, with slack for more than one map behind it; the helper checks the source.
        unsafe {
            let used = core::ptr::read_volatile(&raw const scratch.used);
            let target = (&raw mut scratch.heap)
                .cast::<u8>()
                .add(used as usize & (HEAP_BYTES - 1))
                .cast::<IdMap>();
            (&raw mut (*target).count).write_unaligned(read_or_zero(map, count));
            bpf_probe_read_kernel(
                (&raw mut (*target).extents).cast(),
                EXTENTS_BYTES,
                (map + u64::from(extents)) as *const _,
            );
            core::ptr::write_volatile(&raw mut scratch.used, used + size_of::<IdMap>() as u64);
        }
    }
    scratch.exec.id_maps = Span { start: begin as u32, bytes: (scratch.used - begin) as u32 };
    0
}

/// The cgroup a task is in.
pub struct Cgroup {
    /// Its `kernfs_node`; 0 where it cannot be told.
    pub node: u64,
    /// 0 in the unified hierarchy, 1 in that of the pids controller.
    pub hierarchy: u64,
}

/// The cgroup of the unified hierarchy, or, where the task sits at its root (cgroup v1, hybrid), of the
/// pids controller.
#[inline(always)]
pub fn cgroup_of(task: u64) -> Cgroup {
    let set: u64 = field_or_zero!(task, task_cgroups);
    let unified: u64 = field_or_zero!(set, css_set_dfl_cgrp);
    let node: u64 = field_or_zero!(unified, cgroup_kn);
    let parent: u64 = field_or_zero!(node, kernfs_parent);
    let pids = word!(pids_subsystem);
    let subsys = offset!(css_set_subsys);
    if parent == 0 && pids != MISSING && subsys != MISSING {
        let css: u64 = read_or_zero(set, subsys + 8 * pids);
        let v1: u64 = field_or_zero!(css, css_cgroup);
        let v1_node: u64 = field_or_zero!(v1, cgroup_kn);
        if v1_node != 0 {
            return Cgroup { node: v1_node, hierarchy: 1 };
        }
    }
    Cgroup { node, hierarchy: 0 }
}

/// The cgroup's id and its names from the leaf up.
#[inline(never)]
pub fn read_cgroup(task: u64, scratch: *mut ExecScratch) -> u64 {
    // SAFETY: the caller's map value.
    let scratch = unsafe { &mut *scratch };
    let Cgroup { mut node, .. } = cgroup_of(task);
    scratch.exec.cgroup_id = field_or_zero!(node, kernfs_id);

    let begin = scratch.used;
    for _ in 0..CGROUP_DEPTH_MAX {
        let parent: u64 = field_or_zero!(node, kernfs_parent);
        if parent == 0 {
            break;
        }
        let name: u64 = field_or_zero!(node, kernfs_name);
        // SAFETY: `used` is read past the compiler and masked, so that the verifier sees a position
        // inside the heap, with slack for one name behind it.
        unsafe {
            let used = core::ptr::read_volatile(&raw const scratch.used);
            let position = used as usize & (HEAP_BYTES - 1);
            let written = bpf_probe_read_kernel_str(
                (&raw mut scratch.heap).cast::<u8>().add(position).cast(),
                NAME_BYTES_MAX,
                name as *const _,
            );
            if written <= 0 {
                break;
            }
            core::ptr::write_volatile(&raw mut scratch.used, used + written as u64);
        }
        node = parent;
    }
    scratch.exec.cgroup = Span { start: begin as u32, bytes: (scratch.used - begin) as u32 };
    0
}
