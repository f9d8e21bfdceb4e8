//! The event: what one record of the stream says, typed, complete, and free of any output format.
//!
//! Bytes stay bytes: paths and arguments are what the kernel had, and each format decides how to
//! show those that are not UTF-8. What was cut, looked up later or not checked says so here.

pub mod codec;
mod enforcement;
mod environment;
mod exit;
mod failure;
mod file;
mod host;
mod loss;
mod origin;
mod rule_match;
mod shorten;
#[cfg(test)]
pub mod testing;

use std::sync::Arc;

pub use enforcement::{Enforcement, EnforcementAction};
pub use environment::Environment;
pub use exit::{Exit, WaitStatus};
pub use failure::{DeniedBy, Failure};
pub use file::{ExecutedFile, FileHash, HashMissing};
pub use host::Host;
pub use loss::{Loss, LossKind, LossStage};
pub use origin::{Container, EntryKind, EntryLeader, Leader, Membership};
pub use rule_match::{RuleMatch, Severity, gravest};
pub use shorten::shorten;

/// Bytes of a path, an argument or a name, as the kernel had them.
pub type Bytes = Box<[u8]>;

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// A record of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program was executed.
    Exec(Box<Exec>),
    /// A process ended.
    Exit(Box<Exit>),
    /// Records were lost or left out, and how many.
    Loss(Loss),
}

impl Event {
    /// Its identity.
    #[must_use]
    pub fn id(&self) -> Id {
        match self {
            Event::Exec(exec) => exec.id,
            Event::Exit(exit) => exit.id,
            Event::Loss(loss) => loss.id,
        }
    }

    /// When it happened, or was noticed.
    #[must_use]
    pub fn time(&self) -> WallTime {
        match self {
            Event::Exec(exec) => exec.time,
            Event::Exit(exit) => exit.time,
            Event::Loss(loss) => loss.time,
        }
    }

    /// The machine.
    #[must_use]
    pub fn host(&self) -> &Host {
        match self {
            Event::Exec(exec) => &exec.host,
            Event::Exit(exit) => &exit.host,
            Event::Loss(loss) => &loss.host,
        }
    }
}

/// 128-bit identity, printed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// The 32 digits.
    #[must_use]
    pub fn hex(&self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        hex
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An event shows some thirty of them: one write each, not one a byte.
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A process for as long as the machine has been up: never a bare pid.
///
/// Start times are kept in clock ticks of 10 ms (`USER_HZ` is 100 on every architecture we build
/// for), the resolution of /proc, so that a process seen by the kernel and by /proc is the same.
/// A pid is not reused within one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Start of the group leader in clock ticks since boot (/proc/PID/stat field 22).
    pub start_ticks: u64,
}

/// Where a piece of data came from, from the surest to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Read in the kernel at the moment of the exec.
    Kernel,
    /// From an earlier event of that process.
    Event,
    /// Looked up in /proc afterwards; may have changed in between.
    Procfs,
    /// Could not be had.
    Unknown,
}

impl Source {
    /// The word events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Kernel => "kernel",
            Source::Event => "event",
            Source::Procfs => "procfs",
            Source::Unknown => "unknown",
        }
    }
}

/// A program execution, or an attempt that failed. Then the process is the one that tried and goes on,
/// and its arguments are those that it handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The same exec read twice has the same id.
    pub id: Id,
    /// When it was executed, wall clock as the daemon had it on reading.
    pub time: WallTime,
    /// The same moment in nanoseconds since boot, which no clock change moves.
    pub boot_ns: u64,
    /// When the daemon read the record.
    pub read: WallTime,
    /// CPU of the record; sequence numbers count per CPU.
    pub cpu: u32,
    /// Number of this exec on its CPU since capture began.
    pub sequence: u64,
    /// The machine.
    pub host: Arc<Host>,
    /// The process after the exec.
    pub process: Process,
    /// The file asked for: the script, not its interpreter.
    pub file: ExecutedFile,
    /// The binary that was loaded in its stead, for a script.
    pub interpreter: Option<ExecutedFile>,
    /// Ancestors, the parent first.
    pub ancestry: Vec<Ancestor>,
    /// The chain goes on above the last ancestor listed.
    pub ancestry_cut: bool,
    /// Container id from the cgroup path.
    pub container_id: Option<String>,
    /// What else is known of that container; `None` when it is no more than the id.
    pub container: Option<Arc<Container>>,
    /// The process by which somebody or something came onto this machine and, in the end, executed
    /// this; `None` when no ancestor of that kind is known.
    pub entry_leader: Option<EntryLeader>,
    /// Why it failed; `None` when it did not.
    pub failure: Option<Failure>,
    /// What a deny rule made of it; `None` when none is for it.
    pub enforcement: Option<Enforcement>,
    /// Rules that matched, in the order in which they are configured.
    pub matches: Vec<RuleMatch>,
}

/// The process of an exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which process.
    pub key: ProcessKey,
    /// Its identity across hosts and boots.
    pub entity_id: Id,
    /// When it started (forked).
    pub start: WallTime,
    /// Thread that called exec.
    pub tid: u32,
    /// Pid in the innermost pid namespace; `None` where the kernel does not tell.
    pub vpid: Option<u32>,
    /// Task name after the exec (`comm`, at most 15 bytes).
    pub comm: Bytes,
    /// Path of the loaded binary (of the interpreter for a script).
    pub executable: Path,
    /// Arguments.
    pub args: Args,
    /// Environment variables that were asked for.
    pub env: Environment,
    /// Working directory.
    pub working_directory: Path,
    /// Credentials after the exec.
    pub credentials: Credentials,
    /// Credentials before it, where the capture mode can tell.
    pub credentials_before: Option<Credentials>,
    /// No exec may give it privileges (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: bool,
    /// Its ids as its own user namespace numbers them, where that is not the initial one.
    pub inside: Option<InsideIds>,
    /// Names for the ids, only where the process shares the host's user and mount namespace.
    pub names: Option<Names>,
    /// Login uid of the audit subsystem.
    pub loginuid: Option<u32>,
    /// Session id of the audit subsystem.
    pub audit_session: Option<u32>,
    /// Leader of the process group.
    pub group_leader: Leader,
    /// Leader of the session.
    pub session_leader: Leader,
    /// Controlling terminal, device (major, minor).
    pub tty: Option<(u32, u32)>,
    /// Inode numbers of the namespaces.
    pub namespaces: Namespaces,
    /// Id of the cgroup.
    pub cgroup_id: u64,
    /// Path of the cgroup in its hierarchy.
    pub cgroup: Bytes,
}

/// A path with what is known to be wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Absolute, as seen from the root of the process. Empty when nothing is known.
    pub bytes: Bytes,
    /// Leading directories are missing (too deep or too long), or a read failed.
    pub cut: bool,
    /// Not below the root directory of the process (detached mount, outside a chroot).
    pub unreachable: bool,
}

impl Path {
    /// The last component: what follows the last `/`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        basename(&self.bytes)
    }
}

/// What follows the last `/`.
#[must_use]
pub fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Arguments, argv[0] included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// The arguments that were read; the last one may be cut.
    pub list: Vec<Bytes>,
    /// How many there are.
    pub count: u32,
    /// Bytes of all of them with their NULs.
    pub bytes_total: u64,
    /// Not all bytes were kept, by the operator's limit.
    pub truncated: bool,
    /// Not all bytes could be read.
    pub faulted: bool,
    /// Kinds of secrets that were replaced by a mark, in alphabetical order. `count` and `bytes_total` are
    /// of the arguments as they were.
    pub redacted: Vec<Arc<str>>,
}

/// What an inode says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Owner, as the initial user namespace numbers it.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Inode number.
    pub inode: u64,
    /// Device (major, minor).
    pub device: (u32, u32),
    /// Hard links.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// The file has no name any more.
    pub deleted: bool,
    /// An anonymous file in memory (`memfd_create`).
    pub memfd: bool,
    /// Last change of its content; `None` where this kernel does not tell.
    pub modified: Option<WallTime>,
    /// Last change of content or inode.
    pub changed: Option<WallTime>,
    /// Type of its file system; known only from the kernel.
    pub file_system: Option<FileSystem>,
    /// Its mount ignores setuid, setgid and file capabilities.
    pub nosuid: bool,
    /// Nothing may be executed from its mount.
    pub noexec: bool,
    /// Its mount or file system cannot be written to.
    pub read_only: bool,
    /// On overlayfs: its layer. Known only from the kernel.
    pub layer: Option<Layer>,
}

/// Name of a file system's type, as /proc/filesystems has it: at most 15 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem([u8; 16]);

impl FileSystem {
    /// From bytes that end at their first NUL; `None` for none, or for more than 15.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut bytes = [0; 16];
        if name.is_empty() || name.len() >= bytes.len() {
            return None;
        }
        bytes[..name.len()].copy_from_slice(name);
        Some(FileSystem(bytes))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// Where on an overlayfs a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// In the layer that can be written: it was put there or changed since.
    Upper,
    /// In a layer below: as the image had it.
    Lower,
}

impl Layer {
    /// The word events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Upper => "upper",
            Layer::Lower => "lower",
        }
    }
}

/// All ids and capability sets of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
    /// Saved user.
    pub suid: u32,
    /// Saved group.
    pub sgid: u32,
    /// User for file access.
    pub fsuid: u32,
    /// Group for file access.
    pub fsgid: u32,
    /// `SECBIT_*`.
    pub securebits: u32,
    /// Capability sets, bit n for capability n.
    pub capabilities: Capabilities,
}

/// The five capability sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Inheritable.
    pub inheritable: u64,
    /// Permitted.
    pub permitted: u64,
    /// Effective.
    pub effective: u64,
    /// Bounding.
    pub bounding: u64,
    /// Ambient.
    pub ambient: u64,
}

/// Ids as a user namespace numbers them; `None` for one that is not mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct InsideIds {
    /// Real user.
    pub uid: Option<u32>,
    /// Real group.
    pub gid: Option<u32>,
    /// Effective user.
    pub euid: Option<u32>,
    /// Effective group.
    pub egid: Option<u32>,
    /// Saved user.
    pub suid: Option<u32>,
    /// Saved group.
    pub sgid: Option<u32>,
}

/// Names for ids, from the host's user and group databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Effective user.
    pub euid: Option<Arc<str>>,
    /// Real user.
    pub uid: Option<Arc<str>>,
    /// Saved user.
    pub suid: Option<Arc<str>>,
    /// Effective group.
    pub egid: Option<Arc<str>>,
    /// Real group.
    pub gid: Option<Arc<str>>,
    /// Saved group.
    pub sgid: Option<Arc<str>>,
    /// The login uid.
    pub loginuid: Option<Arc<str>>,
    /// Owner of the file asked for.
    pub file_owner: Option<Arc<str>>,
    /// Group of the file asked for.
    pub file_group: Option<Arc<str>>,
}

/// Inode numbers of namespaces; 0 where the kernel has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Mounts.
    pub mnt: u32,
    /// Pids.
    pub pid: u32,
    /// Network.
    pub net: u32,
    /// Host name.
    pub uts: u32,
    /// System V IPC and POSIX queues.
    pub ipc: u32,
    /// Cgroups.
    pub cgroup: u32,
    /// Clocks.
    pub time: u32,
    /// Users.
    pub user: u32,
}

/// One ancestor of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Which process.
    pub key: ProcessKey,
    /// Its identity across hosts and boots.
    pub entity_id: Id,
    /// When it started.
    pub start: WallTime,
    /// Task name.
    pub comm: Bytes,
    /// Path of its executable.
    pub executable: Option<Bytes>,
    /// Its arguments.
    pub args: Option<Arc<Args>>,
    /// Where executable and arguments came from; `Kernel` when only identity and `comm` are known.
    pub source: Source,
}
