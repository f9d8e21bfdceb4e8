//! The kernel programs. Each attached function is thin and calls one `try_*` function.
//!
//! | program            | attached to                          | says                               |
//! |--------------------|--------------------------------------|------------------------------------|
//! | `shipper_fork`     | raw tracepoint `sched_process_fork`  | a new process, and who made it     |
//! | `shipper_exec`     | raw tracepoint `sched_process_exec`  | a program was executed             |
//! | `shipper_exit`     | raw tracepoint `sched_process_exit`  | a process ended                    |
//! | `shipper_prepare`  | raw tracepoint `sched_prepare_exec`  | credentials before (6.10 and later)|
//! | `shipper_lsm`      | LSM `bprm_creds_for_exec`            | the file asked for                 |
//! | `shipper_fentry`   | fentry `security_bprm_creds_for_exec`| the same                           |
//! | `shipper_denied_*` | fexit of the functions that ask LSMs | a security module refused it       |
//! | `shipper_failed_*` | fexit of the system calls            | an exec failed                     |
//! | `shipper_enter_*`, `shipper_leave_*` | tracepoints of them| the same, where fexit is not allowed|
//!
//! Kernel memory is read by `bpf_probe_read_kernel` at offsets that the loader took from the running
//! kernel's BTF (`layout`). rustc emits no CO-RE relocations; this takes their place.
#![no_std]
#![no_main]
// BPF needs inline assembly to keep the compiler from removing bounds checks the verifier wants.
#![feature(asm_experimental_arch)]

mod cgroup;
mod enforce;
mod exec;
mod exit;
mod failure;
mod file;
mod filter;
mod fork;
mod hook;
mod layout;
mod maps;
mod read;
mod record;
mod task;

/// The verifier lets no code run that could reach this.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// `bpf_probe_read_kernel` and the other helpers used here are offered to GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
