//! What a task is: identity, credentials, namespaces, terminal, cgroup, ancestors.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use common::limits::{CGROUP_DEPTH_MAX, HEAP_BYTES, KERNEL_ANCESTORS_MAX, NAME_BYTES_MAX};
use common::offsets::MISSING;
use common::wire::{
    Ancestor, Credentials, EXEC_ANCESTORS_CUT, EXEC_TTY, Exec, ExecScratch, Namespaces, ProcessId,
    Span,
};

use crate::layout::{offset, word};
use crate::read::{field, read};

/// Index of the process group and the session in `signal_struct.pids` (`enum pid_type`).
const PIDTYPE_PGID: u32 = 2;
const PIDTYPE_SID: u32 = 3;

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
    let Some(uid) = field!(cred, cred_uid) else { return 0 };
    let user_ns: u64 = field!(cred, cred_user_ns).unwrap_or(0);
    let value = Credentials {
        uid,
        gid: field!(cred, cred_gid).unwrap_or(0),
        suid: field!(cred, cred_suid).unwrap_or(0),
        sgid: field!(cred, cred_sgid).unwrap_or(0),
        euid: field!(cred, cred_euid).unwrap_or(0),
        egid: field!(cred, cred_egid).unwrap_or(0),
        fsuid: field!(cred, cred_fsuid).unwrap_or(0),
        fsgid: field!(cred, cred_fsgid).unwrap_or(0),
        securebits: field!(cred, cred_securebits).unwrap_or(0),
        user_namespace: field!(user_ns, user_ns_inum).unwrap_or(0),
        cap_inheritable: field!(cred, cred_cap_inheritable).unwrap_or(0),
        cap_permitted: field!(cred, cred_cap_permitted).unwrap_or(0),
        cap_effective: field!(cred, cred_cap_effective).unwrap_or(0),
        cap_bounding: field!(cred, cred_cap_bset).unwrap_or(0),
        cap_ambient: field!(cred, cred_cap_ambient).unwrap_or(0),
    };
    // SAFETY: `out` points into a map value or the caller's stack.
    unsafe { *out = value };
    1
}

/// The `upid` of a `struct pid` at its innermost level.
#[inline(always)]
fn innermost_upid(pid: u64) -> Option<u64> {
    let level: u32 = field!(pid, pid_level)?;
    let numbers = offset!(pid_numbers);
    if numbers == MISSING || level > 32 {
        return None;
    }
    Some(pid + u64::from(numbers) + u64::from(level) * u64::from(word!(upid_bytes)))
}

/// Number of a `struct pid` in the initial namespace.
#[inline(always)]
fn global_number(pid: u64) -> Option<u32> {
    let numbers = offset!(pid_numbers);
    if numbers == MISSING || pid == 0 {
        return None;
    }
    field!(pid + u64::from(numbers), upid_nr)
}

/// Ids of process group and session, terminal, vpid, audit ids, namespaces.
#[inline(never)]
pub fn read_task(task: u64, exec: *mut Exec) -> u64 {
    // SAFETY: the caller's map value.
    let exec = unsafe { &mut *exec };
    let signal: u64 = field!(task, task_signal).unwrap_or(0);
    let pids = offset!(signal_pids);
    if pids != MISSING {
        let group: u64 = read(signal, pids + 8 * PIDTYPE_PGID).unwrap_or(0);
        exec.pgid = global_number(group).unwrap_or(0);
        let session: u64 = read(signal, pids + 8 * PIDTYPE_SID).unwrap_or(0);
        exec.sid = global_number(session).unwrap_or(0);
    }
    exec.loginuid = field!(task, task_loginuid).unwrap_or(u32::MAX);
    exec.sessionid = field!(task, task_sessionid).unwrap_or(u32::MAX);

    let tty: u64 = field!(signal, signal_tty).unwrap_or(0);
    if tty != 0 {
        let driver: u64 = field!(tty, tty_driver).unwrap_or(0);
        let index: u32 = field!(tty, tty_index).unwrap_or(0);
        let first: u32 = field!(driver, tty_driver_minor_start).unwrap_or(0);
        if let Some(major) = field!(driver, tty_driver_major) {
            exec.tty_major = major;
            exec.tty_minor = first.wrapping_add(index);
            exec.flags |= EXEC_TTY;
        }
    }

    let pid: u64 = field!(task, task_thread_pid).unwrap_or(0);
    let upid = innermost_upid(pid).unwrap_or(0);
    exec.vpid = field!(upid, upid_nr).unwrap_or(0);
    let pid_ns: u64 = field!(upid, upid_ns).unwrap_or(0);

    let nsproxy: u64 = field!(task, task_nsproxy).unwrap_or(0);
    let mnt: u64 = field!(nsproxy, nsproxy_mnt).unwrap_or(0);
    let net: u64 = field!(nsproxy, nsproxy_net).unwrap_or(0);
    let uts: u64 = field!(nsproxy, nsproxy_uts).unwrap_or(0);
    let ipc: u64 = field!(nsproxy, nsproxy_ipc).unwrap_or(0);
    let cgroup: u64 = field!(nsproxy, nsproxy_cgroup).unwrap_or(0);
    let time: u64 = field!(nsproxy, nsproxy_time).unwrap_or(0);
    exec.namespaces = Namespaces {
        mnt: field!(mnt, mnt_inum).unwrap_or(0),
        pid: field!(pid_ns, pid_ns_inum).unwrap_or(0),
        net: field!(net, net_inum).unwrap_or(0),
        uts: field!(uts, uts_inum).unwrap_or(0),
        ipc: field!(ipc, ipc_inum).unwrap_or(0),
        cgroup: field!(cgroup, cgroup_ns_inum).unwrap_or(0),
        time: field!(time, time_inum).unwrap_or(0),
        user: exec.credentials.user_namespace,
    };
    0
}

/// Walks `real_parent` from the task up to the first process.
#[inline(never)]
pub fn read_ancestors(task: u64, exec: *mut Exec) -> u64 {
    // SAFETY: the caller's map value.
    let exec = unsafe { &mut *exec };
    let mut parent: u64 = field!(task, task_real_parent).unwrap_or(0);
    let mut count = 0;
    for slot in exec.ancestors.iter_mut() {
        let leader: u64 = field!(parent, task_group_leader).unwrap_or(0);
        let tgid: u32 = field!(leader, task_tgid).unwrap_or(0);
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
            (*entry).process.start_ns = field!(leader, task_start_boottime).unwrap_or(0);
            bpf_probe_read_kernel(
                (&raw mut (*entry).comm).cast(),
                16,
                (leader + u64::from(offset!(task_comm))) as *const _,
            );
        }
        count += 1;
        parent = field!(leader, task_real_parent).unwrap_or(0);
    }
    exec.ancestors_count = count;
    if count as usize == KERNEL_ANCESTORS_MAX {
        let leader: u64 = field!(parent, task_group_leader).unwrap_or(0);
        if field!(leader, task_tgid).unwrap_or(0u32) != 0 {
            exec.flags |= EXEC_ANCESTORS_CUT;
        }
    }
    0
}

/// The cgroup's id and its names from the leaf up: of the unified hierarchy, or, where the task
/// sits at its root (cgroup v1, hybrid), of the pids controller.
#[inline(never)]
pub fn read_cgroup(task: u64, scratch: *mut ExecScratch) -> u64 {
    // SAFETY: the caller's map value.
    let scratch = unsafe { &mut *scratch };
    let set: u64 = field!(task, task_cgroups).unwrap_or(0);
    let unified: u64 = field!(set, css_set_dfl_cgrp).unwrap_or(0);
    let mut node: u64 = field!(unified, cgroup_kn).unwrap_or(0);
    let parent: u64 = field!(node, kernfs_parent).unwrap_or(0);
    let pids = word!(pids_subsystem);
    let subsys = offset!(css_set_subsys);
    if parent == 0 && pids != MISSING && subsys != MISSING {
        let css: u64 = read(set, subsys + 8 * pids).unwrap_or(0);
        let v1: u64 = field!(css, css_cgroup).unwrap_or(0);
        let v1_node: u64 = field!(v1, cgroup_kn).unwrap_or(0);
        if v1_node != 0 {
            node = v1_node;
        }
    }
    scratch.exec.cgroup_id = field!(node, kernfs_id).unwrap_or(0);

    let begin = scratch.used;
    for _ in 0..CGROUP_DEPTH_MAX {
        let parent: u64 = field!(node, kernfs_parent).unwrap_or(0);
        if parent == 0 {
            break;
        }
        let name: u64 = field!(node, kernfs_name).unwrap_or(0);
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
