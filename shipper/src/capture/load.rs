//! Loading and attaching the kernel programs. aya is used here and where maps are.

use std::io;
use std::path::Path;

use aya::maps::{Map, MapData};
use aya::programs::links::FdLink;
use aya::programs::trace_point::TracePointLink;
use aya::programs::{FEntry, Lsm, Program, ProgramError, ProgramFd, RawTracePoint};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader};
use common::names;
use common::wire::RecordKind;

use super::bpffs::PinError;
use super::enforce::Enforce;
use super::filters::Rules;
use super::layout::KernelLayout;
use super::{CaptureError, Failures, Mode, ModeError, Options, failing};

/// The object of shipper-ebpf, as committed beside its sources.
pub static OBJECT: &[u8] =
    aya::include_bytes_aligned!("../../../shipper-ebpf/prebuilt/shipper.bpf.o");

/// Execs that may be between the hook and their commit at once, a possible CPU. A task on a CPU has
/// one; a few more may be preempted in between. An entry that is evicted costs that exec the facts
/// from the hook, not the event.
const PENDING_PER_CPU: u32 = 32;

/// Fewest pending entries: the kernel keeps free lists a CPU and evicts early when the map is small.
const PENDING_MIN: u32 = 512;

/// Programs every mode has: the records they make, and the tracepoint of each.
const BASE: [(RecordKind, &str, &str); 3] = [
    (RecordKind::Fork, "shipper_fork", "sched_process_fork"),
    (RecordKind::Exec, "shipper_exec", "sched_process_exec"),
    (RecordKind::Exit, "shipper_exit", "sched_process_exit"),
];

/// Creates the maps and parses the programs; nothing runs yet.
pub fn load(
    options: &Options,
    layout: &KernelLayout,
    rules: &Rules,
    cpus: u32,
) -> Result<Ebpf, CaptureError> {
    let settings = [options.argv_bytes_max, options.failures.word(), cpus, options.env_bytes_max];
    let failing = if options.failures == Failures::None { 1 } else { failing::PROGRAMS };
    let pending = PENDING_MIN.max(PENDING_PER_CPU.saturating_mul(cpus));
    let enforce = options.enforce.as_ref().map_or([0; 4], Enforce::words);
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .override_global(names::OFFSETS, layout.words.as_slice(), true)
        .override_global(names::SETTINGS, settings.as_slice(), true)
        .override_global(names::ENFORCE, enforce.as_slice(), true)
        .map_max_entries(names::RING, options.ring_buffer_bytes)
        .map_max_entries(names::SCRATCH, cpus)
        .map_max_entries(names::FAILURES, failing.saturating_mul(cpus))
        .map_max_entries(names::ATTEMPTS, pending)
        .map_max_entries(names::PENDING, pending);
    rules.configure(&mut loader, cpus);
    let mut ebpf = loader.load(OBJECT).map_err(refused)?;
    rules.fill(&mut ebpf)?;
    Ok(ebpf)
}

/// Takes a map out of the loaded object.
pub fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<MapData, CaptureError> {
    match ebpf.take_map(name) {
        Some(
            Map::RingBuf(data) | Map::PerCpuArray(data) | Map::Array(data) | Map::HashMap(data),
        ) => Ok(data),
        _ => Err(CaptureError::Ring(format!("the object has no map {name}"))),
    }
}

/// A program at work. Dropping it detaches the program, unless the link is pinned.
pub struct Attached {
    name: &'static str,
    link: Link,
}

/// What keeps a program attached.
enum Link {
    Fd(FdLink),
    /// Of a tracepoint, which has no descriptor of its own before 5.15.
    Tracepoint(TracePointLink),
}

impl Attached {
    /// By a link with a descriptor.
    pub fn by(name: &'static str, link: impl Into<FdLink>) -> Attached {
        Attached { name, link: Link::Fd(link.into()) }
    }

    /// By the link of a tracepoint.
    pub fn by_tracepoint(name: &'static str, link: TracePointLink) -> Attached {
        Attached { name, link: Link::Tracepoint(link) }
    }
}

/// The tracepoint programs every mode has, attached.
pub struct Base {
    /// Their links.
    pub attached: Vec<Attached>,
    /// The programs, by what they record. They stay loaded as long as these are held.
    pub programs: Vec<(RecordKind, ProgramFd)>,
}

/// Loads and attaches the tracepoint programs.
pub fn attach_base(ebpf: &mut Ebpf) -> Result<Base, CaptureError> {
    let mut base = Base { attached: Vec::new(), programs: Vec::new() };
    for (kind, name, tracepoint) in BASE {
        let (attached, program) = attach_tracepoint(ebpf, name, tracepoint)
            .map_err(|error| CaptureError::Attach { program: name, reason: explain(&error) })?;
        base.attached.push(attached);
        base.programs.push((kind, program));
    }
    Ok(base)
}

/// Adds to the tracepoints what the mode needs.
pub fn attach_mode(
    ebpf: &mut Ebpf,
    mode: Mode,
    layout: &KernelLayout,
) -> Result<Option<Attached>, ModeError> {
    let refused = |error: ProgramError| ModeError::Refused(explain(&error));
    match mode {
        Mode::Lsm => {
            let btf = kernel_btf()?;
            let name = "shipper_lsm";
            let program: &mut Lsm = program(ebpf, name).map_err(refused)?;
            program.load("bprm_creds_for_exec", &btf).map_err(refused)?;
            let link = program.attach().and_then(|id| program.take_link(id)).map_err(refused)?;
            Ok(Some(Attached::by(name, link)))
        }
        Mode::Fentry => {
            let btf = kernel_btf()?;
            let name = "shipper_fentry";
            let program: &mut FEntry = program(ebpf, name).map_err(refused)?;
            program.load("security_bprm_creds_for_exec", &btf).map_err(refused)?;
            let link = program.attach().and_then(|id| program.take_link(id)).map_err(refused)?;
            Ok(Some(Attached::by(name, link)))
        }
        Mode::Tracepoint if layout.has_prepare_exec => {
            let (attached, _) = attach_tracepoint(ebpf, "shipper_prepare", "sched_prepare_exec")
                .map_err(refused)?;
            Ok(Some(attached))
        }
        Mode::Tracepoint => Ok(None),
    }
}

/// Pins links and programs in this directory. They go on without this process from then on.
pub fn pin(ebpf: &mut Ebpf, attached: Vec<Attached>, dir: &Path) -> Result<(), PinError> {
    for Attached { name, link } in attached {
        let path = dir.join(format!("prog-{name}"));
        ebpf.program_mut(name)
            .map_or(Ok(()), |program| program.pin(&path))
            .map_err(|error| PinError::on("pinning", &path)(io::Error::other(error)))?;
        let path = dir.join(format!("link-{name}"));
        // Links of the other kinds can be pinned since Linux 5.8, which the ring needs too.
        let link = match link {
            Link::Fd(link) => link,
            Link::Tracepoint(link) => link.try_into().map_err(|_| {
                PinError::on("pinning", &path)(io::Error::other(
                    "tracepoints of system calls can be pinned since Linux 5.15: set \
                     capture.syscall_tracepoints or capture.pin to false",
                ))
            })?,
        };
        link.pin(&path).map_err(|error| PinError::on("pinning", &path)(io::Error::other(error)))?;
    }
    Ok(())
}

/// Those programs pinned in this directory that make records.
pub fn pinned_programs(dir: &Path) -> Result<Vec<(RecordKind, ProgramFd)>, PinError> {
    let mut programs = failing::pinned(dir)?;
    for (kind, name, _) in BASE {
        let path = dir.join(format!("prog-{name}"));
        let program = RawTracePoint::from_pin(&path)
            .and_then(|program| Ok(program.fd()?.try_clone()?))
            .map_err(|error| PinError::on("opening", &path)(io::Error::other(error)))?;
        programs.push((kind, program));
    }
    Ok(programs)
}

fn attach_tracepoint(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &str,
) -> Result<(Attached, ProgramFd), ProgramError> {
    let program: &mut RawTracePoint = program(ebpf, name)?;
    program.load()?;
    let id = program.attach(tracepoint)?;
    let link = program.take_link(id)?;
    Ok((Attached::by(name, link), program.fd()?.try_clone()?))
}

/// A program of the object, as its kind.
pub fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, ProgramError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name).ok_or(ProgramError::UnexpectedProgramType)?.try_into()
}

/// The kernel's types, as aya reads them.
pub fn kernel_btf() -> Result<Btf, ModeError> {
    Btf::from_sys_fs().map_err(|error| ModeError::Refused(format!("kernel BTF: {error}")))
}

/// One line for people. The verifier's log is long and goes to the debug log.
pub fn explain(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            tracing::debug!(%verifier_log, "kernel refused a program");
            let tail = verifier_log.to_string();
            // Where the verifier had something to say, its last words are the reason.
            let last = tail.lines().rfind(|line| {
                !line.is_empty()
                    && !line.starts_with("processed")
                    && !line.starts_with("verification")
                    && !line.starts_with("stack depth")
            });
            match (io_error.raw_os_error(), last) {
                (Some(EPERM), _) | (_, None) => {
                    format!("the kernel refused the program: {io_error}")
                }
                (_, Some(last)) => format!("the verifier refused the program: {io_error}: {last}"),
            }
        }
        ProgramError::SyscallError(error) => format!("{} failed: {}", error.call, error.io_error),
        other => other.to_string(),
    }
}

const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();

fn refused(error: EbpfError) -> CaptureError {
    let reason = match &error {
        EbpfError::MapError(aya::maps::MapError::CreateError { name, io_error }) => {
            format!("map {} cannot be created: {io_error}", name)
        }
        other => other.to_string(),
    };
    let hint = match super::privileges::missing() {
        Some(missing) => missing,
        None if lockdown_forbids() => "the kernel is in lockdown mode `confidentiality`, which \
            forbids reading kernel memory: boot with lockdown=integrity or none"
            .to_owned(),
        None => String::new(),
    };
    CaptureError::Load { reason, hint }
}

/// Lockdown `confidentiality` refuses `bpf_probe_read_kernel`.
fn lockdown_forbids() -> bool {
    read_trimmed(Path::new("/sys/kernel/security/lockdown"))
        .is_ok_and(|text| text.contains("[confidentiality]"))
}

fn read_trimmed(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned())
}
