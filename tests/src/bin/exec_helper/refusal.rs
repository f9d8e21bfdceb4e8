//! A security module that refuses: a BPF program of a few lines at the LSM hook `bprm_check_security`,
//! which refuses what a process of a certain name executes. It stands in for SELinux, AppArmor and the
//! like, for which a test has no policy.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, bail};
use btf_rs::Btf;

use crate::ways::{check, execute, strings};

/// The function behind the hook.
const HOOK: &str = "bpf_lsm_bprm_check_security";

/// Name of the process that may execute nothing: eight bytes, as the program compares them.
const REFUSED: [u8; 8] = *b"refused!";

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: i32 = 5;
const BPF_RAW_TRACEPOINT_OPEN: i32 = 17;
const BPF_PROG_TYPE_LSM: u32 = 29;
const BPF_LSM_MAC: u32 = 27;

/// `struct bpf_insn`: code, registers, offset, immediate.
type Instruction = (u8, u8, i16, i32);

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    instructions_count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    btf: [u32; 2],
    functions: [u64; 2],
    lines: [u32; 3],
    attach_btf_id: u32,
}

const _: () = assert!(size_of::<Load>() == 112);

/// `PROGRAM ARGUMENTS`: tries to execute it while a module refuses. False: this kernel takes no such
/// module.
pub fn tried(args: Vec<OsString>) -> anyhow::Result<bool> {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !modules.trim().split(',').any(|name| name == "bpf") {
        return Ok(false);
    }
    let program = match load() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(false),
        other => other.context("the module")?,
    };
    let _module = attach(&program).context("the module")?;
    // SAFETY: the name is NUL-terminated.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, c"refused!".as_ptr()) })?;
    let Err(failure) = execute(&strings(args)?) else { bail!("it came back") };
    let found = failure.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    if found != Some(libc::EPERM) {
        bail!("it failed otherwise: {failure:#}");
    }
    Ok(true)
}

fn load() -> io::Result<OwnedFd> {
    let name = i64::from_le_bytes(REFUSED);
    let instructions: [Instruction; 11] = [
        (0xbf, 0xa1, 0, 0),                   // r1 = r10
        (0x07, 0x01, 0, -16),                 // r1 += -16
        (0xb7, 0x02, 0, 16),                  // r2 = 16
        (0x85, 0x00, 0, 16),                  // bpf_get_current_comm(r1, r2)
        (0x79, 0xa1, -16, 0),                 // r1 = *(u64 *)(r10 - 16)
        (0x18, 0x02, 0, name as i32),         // r2 = REFUSED
        (0x00, 0x00, 0, (name >> 32) as i32), // its upper half
        (0xb7, 0x00, 0, 0),                   // r0 = 0
        (0x5d, 0x21, 1, 0),                   // if r1 != r2 skip one
        (0xb7, 0x00, 0, -libc::EPERM),        // r0 = -EPERM
        (0x95, 0x00, 0, 0),                   // exit
    ];
    let bytes: Vec<u8> = instructions
        .iter()
        .flat_map(|(code, registers, offset, immediate)| {
            let mut bytes = vec![*code, *registers];
            bytes.extend(offset.to_le_bytes());
            bytes.extend(immediate.to_le_bytes());
            bytes
        })
        .collect();
    let btf = Btf::from_file("/sys/kernel/btf/vmlinux").map_err(io::Error::other)?;
    let ids = btf.resolve_ids_by_name(HOOK).map_err(io::Error::other)?;
    let load = Load {
        kind: BPF_PROG_TYPE_LSM,
        instructions_count: instructions.len() as u32,
        instructions: bytes.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
        interface: 0,
        attach_type: BPF_LSM_MAC,
        btf: [0; 2],
        functions: [0; 2],
        lines: [0; 3],
        attach_btf_id: ids.first().copied().unwrap_or(0),
    };
    bpf(BPF_PROG_LOAD, &load)
}

fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
    // No name: what it is attached to was said when it was loaded.
    bpf(BPF_RAW_TRACEPOINT_OPEN, &[0, u64::try_from(program.as_raw_fd()).unwrap_or(0)])
}

fn bpf<T>(command: i32, attribute: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads the attribute, of the size it is told, and what it points to; all of that
    // lives past the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, attribute as *const T, size_of::<T>()) };
    let fd = check(i32::try_from(fd).unwrap_or(-1))?;
    // SAFETY: a descriptor that was just opened and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
