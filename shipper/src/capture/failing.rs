//! The programs that see execs fail: on the return of the system calls where fexit is allowed, which
//! costs execs alone, and on their tracepoints where the operator asked for that.

use std::io;
use std::path::Path;

use aya::programs::{FExit, ProgramError, ProgramFd, TracePoint};
use aya::{Btf, Ebpf};
use common::wire::RecordKind;

use super::bpffs::PinError;
use super::load::{Attached, explain, kernel_btf, program};
use super::{Mode, ModeError, Options};

/// Programs that make records of failed execs, each with scratch memory of its own on each CPU.
pub const PROGRAMS: u32 = 4;

/// A system call, and the function that is it: on x86-64 and on arm64.
struct Call {
    kind: RecordKind,
    name: &'static str,
    functions: [&'static str; 2],
    /// Of 32-bit programs: not on every kernel.
    is_compat: bool,
}

const CALLS: [Call; PROGRAMS as usize] = [
    Call {
        kind: RecordKind::FailedExecve,
        name: "shipper_failed_execve",
        functions: ["__x64_sys_execve", "__arm64_sys_execve"],
        is_compat: false,
    },
    Call {
        kind: RecordKind::FailedExecveat,
        name: "shipper_failed_execveat",
        functions: ["__x64_sys_execveat", "__arm64_sys_execveat"],
        is_compat: false,
    },
    Call {
        kind: RecordKind::FailedCompatExecve,
        name: "shipper_failed_compat_execve",
        functions: ["__ia32_compat_sys_execve", "__arm64_compat_sys_execve"],
        is_compat: true,
    },
    Call {
        kind: RecordKind::FailedCompatExecveat,
        name: "shipper_failed_compat_execveat",
        functions: ["__ia32_compat_sys_execveat", "__arm64_compat_sys_execveat"],
        is_compat: true,
    },
];

/// Programs that note that a security module refused, and the function each waits for.
const REFUSALS: [(&str, &str); 2] = [
    ("shipper_denied_first", "security_bprm_creds_for_exec"),
    ("shipper_denied_check", "security_bprm_check"),
];

/// Tracepoints of the system calls: the program at its beginning, the one at its end, and what that
/// records.
const TRACEPOINTS: [(&str, &str, RecordKind, &str); 2] = [
    ("shipper_enter_execve", "shipper_leave_execve", RecordKind::FailedExecve, "execve"),
    ("shipper_enter_execveat", "shipper_leave_execveat", RecordKind::FailedExecveat, "execveat"),
];

/// Where tracefs is mounted, the usual place and the one before 4.1.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What sees execs fail, attached.
#[derive(Default)]
pub struct Failing {
    /// The links.
    pub attached: Vec<Attached>,
    /// The programs that make records.
    pub programs: Vec<(RecordKind, ProgramFd)>,
}

/// Attaches what sees execs fail in this mode.
///
/// # Errors
/// The kernel refuses, or the operator did not ask for what this mode needs.
pub fn attach(ebpf: &mut Ebpf, mode: Mode, options: &Options) -> Result<Failing, ModeError> {
    let refused = |error: ProgramError| ModeError::Refused(explain(&error));
    let mut failing = Failing::default();
    if mode == Mode::Tracepoint {
        if !options.syscall_tracepoints {
            return Err(ModeError::Refused(
                "mode tracepoint sees them only by the tracepoints of the system calls, which \
                 slow down every system call of every process: set capture.syscall_tracepoints: \
                 true for that"
                    .to_owned(),
            ));
        }
        if !TRACEFS.iter().any(|dir| Path::new(dir).join("events").is_dir()) {
            return Err(ModeError::Refused(
                "the tracepoints of system calls are found in tracefs, which is not mounted: \
                 `mount -t tracefs nodev /sys/kernel/tracing`"
                    .to_owned(),
            ));
        }
        for (enter, leave, kind, call) in TRACEPOINTS {
            let name = format!("sys_enter_{call}");
            let (attached, _) = attach_tracepoint(ebpf, enter, &name).map_err(refused)?;
            failing.attached.push(attached);
            let name = format!("sys_exit_{call}");
            let (attached, program) = attach_tracepoint(ebpf, leave, &name).map_err(refused)?;
            failing.attached.push(attached);
            failing.programs.push((kind, program));
        }
        return Ok(failing);
    }
    let btf = kernel_btf()?;
    for call in CALLS {
        let mut outcome = Err(ProgramError::NotLoaded);
        for function in call.functions {
            outcome = attach_fexit(ebpf, call.name, function, &btf);
            if !matches!(outcome, Err(ProgramError::Btf(_))) {
                break; // The kernel has the function.
            }
        }
        match outcome {
            Ok((attached, program)) => {
                failing.attached.push(attached);
                failing.programs.push((call.kind, program));
            }
            Err(ProgramError::Btf(_)) if call.is_compat => {}
            Err(error) => return Err(refused(error)),
        }
    }
    for (name, function) in REFUSALS {
        let (attached, _) = attach_fexit(ebpf, name, function, &btf).map_err(refused)?;
        failing.attached.push(attached);
    }
    Ok(failing)
}

/// Those that are pinned in this directory and make records.
///
/// # Errors
/// One that is there cannot be opened.
pub fn pinned(dir: &Path) -> Result<Vec<(RecordKind, ProgramFd)>, PinError> {
    let mut programs = Vec::new();
    let mut add = |kind, name: &str, open: fn(&Path) -> Result<ProgramFd, ProgramError>| {
        let path = dir.join(format!("prog-{name}"));
        if path.exists() {
            let program = open(&path)
                .map_err(|error| PinError::on("opening", &path)(io::Error::other(error)))?;
            programs.push((kind, program));
        }
        Ok(())
    };
    for call in CALLS {
        add(call.kind, call.name, |path| Ok(FExit::from_pin(path)?.fd()?.try_clone()?))?;
    }
    for (_, name, kind, _) in TRACEPOINTS {
        add(kind, name, |path| Ok(TracePoint::from_pin(path)?.fd()?.try_clone()?))?;
    }
    Ok(programs)
}

fn attach_fexit(
    ebpf: &mut Ebpf,
    name: &'static str,
    function: &str,
    btf: &Btf,
) -> Result<(Attached, ProgramFd), ProgramError> {
    let program: &mut FExit = program(ebpf, name)?;
    program.load(function, btf)?;
    let id = program.attach()?;
    let link = program.take_link(id)?;
    Ok((Attached::by(name, link), program.fd()?.try_clone()?))
}

fn attach_tracepoint(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &str,
) -> Result<(Attached, ProgramFd), ProgramError> {
    let program: &mut TracePoint = program(ebpf, name)?;
    program.load()?;
    let id = program.attach("syscalls", tracepoint)?;
    let link = program.take_link(id)?;
    Ok((Attached::by_tracepoint(name, link), program.fd()?.try_clone()?))
}
