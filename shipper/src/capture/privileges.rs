//! Which privileges capture needs, and whether this process has them.

/// Capability numbers of `linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Effective capabilities of this process, bit n for capability n.
#[must_use]
pub fn effective() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// What is missing, in words; `None` when nothing is.
#[must_use]
pub fn missing() -> Option<String> {
    let have = effective();
    let has = |capability: u32| have & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON)) {
        return None;
    }
    Some(
        "capture needs root, or the capabilities CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before \
         Linux 5.8): run it with sudo or as a system service"
            .to_owned(),
    )
}

/// Inode number of the initial pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What a foreign pid namespace means, in words.
pub const OTHER_PID_NAMESPACE: &str = "shipper runs in a pid namespace of its own (a container?): \
    /proc shows other pids than the kernel reports, so what is looked up there is missing or wrong; \
    run it on the host, or with the host's pid namespace";

/// Whether pids in /proc are those the kernel programs report.
#[must_use]
pub fn in_initial_pid_namespace() -> bool {
    std::fs::read_link("/proc/self/ns/pid")
        .is_ok_and(|link| link.as_os_str() == INITIAL_PID_NAMESPACE)
}
