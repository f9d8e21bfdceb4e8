//! The records the kernel programs put into the ring buffer. Native endian, `repr(C)`, no implicit
//! padding; sizes are asserted below, since both sides are compiled by different compilers.
//!
//! A record is a [`Header`], a fixed part by kind ([`Fork`], [`Exit`], [`Exec`]) and, for an exec,
//! a heap of variable bytes that the [`Span`]s and [`PathSpan`]s of the fixed part point into.

use crate::limits::KERNEL_ANCESTORS_MAX;

/// Version of this layout. A pinned ring may outlive the daemon that made it.
pub const WIRE_VERSION: u16 = 2;

/// Kinds of record, also the index of their counter in the `COUNTERS` map.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A process was created (`sched_process_fork`, not for threads), or executed what is left out.
    Fork = 0,
    /// A program was executed (`sched_process_exec`).
    Exec = 1,
    /// The last thread of a process ended (`sched_process_exit`).
    Exit = 2,
    /// `execve` failed. One kind for each system call, since each program has its own counter.
    FailedExecve = 3,
    /// `execveat` failed.
    FailedExecveat = 4,
    /// `execve` of a 32-bit program failed.
    FailedCompatExecve = 5,
    /// `execveat` of a 32-bit program failed.
    FailedCompatExecveat = 6,
}

/// How many kinds there are: entries of the `COUNTERS` map.
pub const RECORD_KINDS: usize = 7;

impl RecordKind {
    /// All, by their number.
    pub const ALL: [RecordKind; RECORD_KINDS] = [
        RecordKind::Fork,
        RecordKind::Exec,
        RecordKind::Exit,
        RecordKind::FailedExecve,
        RecordKind::FailedExecveat,
        RecordKind::FailedCompatExecve,
        RecordKind::FailedCompatExecveat,
    ];

    /// Whether it is an exec that failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self as u16 >= RecordKind::FailedExecve as u16
    }
}

macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[cfg_attr(feature = "decode", derive(
            Debug, PartialEq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        ))]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
    };
}

wire_struct! {
    /// Starts every record.
    pub struct Header {
        /// [`WIRE_VERSION`].
        pub version: u16,
        /// A [`RecordKind`].
        pub kind: u16,
        /// Bytes of the whole record, this header included.
        pub bytes: u32,
        /// Number of this record among those of its kind and CPU, from 1. A gap is a loss.
        pub sequence: u64,
        /// Nanoseconds since boot, suspend included (`bpf_ktime_get_boot_ns`).
        pub boot_ns: u64,
        /// CPU that wrote the record.
        pub cpu: u32,
        /// Zero.
        pub reserved: u32,
    }
}

wire_struct! {
    /// A process, as the kernel knows it: safe against reuse of the pid.
    pub struct ProcessId {
        /// Start of the group leader, nanoseconds since boot (`task_struct.start_boottime`).
        pub start_ns: u64,
        /// Thread group id in the initial pid namespace.
        pub tgid: u32,
        /// Zero.
        pub reserved: u32,
    }
}

wire_struct! {
    /// A new process and the one that made it; the same process twice where it executed something that
    /// is left out.
    pub struct Fork {
        /// The process that called fork, vfork or clone.
        pub parent: ProcessId,
        /// The new process.
        pub child: ProcessId,
    }
}

wire_struct! {
    /// The end of a process.
    pub struct Exit {
        /// The process that ended.
        pub process: ProcessId,
        /// What wait(2) shows the parent: exit status shifted left by 8, or the signal in the low 7
        /// bits with 0x80 for a core file.
        pub exit_code: u32,
        /// Not 0: it is no event, since it is left out (`filters`).
        pub left_out: u32,
    }
}

wire_struct! {
    /// Variable bytes: where in the heap, and how many.
    pub struct Span {
        /// Position in the heap, in bytes.
        pub start: u32,
        /// Length in bytes.
        pub bytes: u32,
    }
}

wire_struct! {
    /// A path in the heap: names from the leaf to the root, each ended by NUL.
    pub struct PathSpan {
        /// The names.
        pub span: Span,
        /// Set of `PATH_*`.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// The walk stopped at a limit of depth or bytes: leading directories are missing.
pub const PATH_CUT: u32 = 1;
/// The walk ended at the root of a mount tree that is not below the root of the process.
pub const PATH_UNREACHABLE: u32 = 2;
/// A read of kernel memory failed: the path is not complete.
pub const PATH_FAULT: u32 = 4;
/// The walk was done (an absent path has no flag at all).
pub const PATH_PRESENT: u32 = 8;

wire_struct! {
    /// What the inode of a file says.
    pub struct FileFacts {
        /// Inode number.
        pub inode: u64,
        /// Size in bytes.
        pub size: u64,
        /// Last change of the content, seconds since 1970.
        pub modified_sec: i64,
        /// Last change of content or inode, seconds since 1970.
        pub changed_sec: i64,
        /// Nanoseconds of `modified_sec`.
        pub modified_nsec: u32,
        /// Nanoseconds of `changed_sec`.
        pub changed_nsec: u32,
        /// Name of the file system's type (`file_system_type.name`), ended by NUL.
        pub file_system: [u8; 16],
        /// Device of the file system, in the kernel's encoding (`major << 20 | minor`).
        pub device: u32,
        /// Owner in the initial user namespace.
        pub uid: u32,
        /// Group in the initial user namespace.
        pub gid: u32,
        /// Type and permission bits (`i_mode`).
        pub mode: u32,
        /// Hard links; 0 for a file that has no name any more.
        pub links: u32,
        /// Set of `FILE_*`.
        pub flags: u32,
    }
}

/// No facts.
pub const NO_FILE: FileFacts = FileFacts {
    inode: 0,
    size: 0,
    modified_sec: 0,
    changed_sec: 0,
    modified_nsec: 0,
    changed_nsec: 0,
    file_system: [0; 16],
    device: 0,
    uid: 0,
    gid: 0,
    mode: 0,
    links: 0,
    flags: 0,
};

/// The facts were read; without this flag the rest of [`FileFacts`] says nothing.
pub const FILE_PRESENT: u32 = 1;
/// The directory entry is unhashed: deleted, or never had a name.
pub const FILE_UNHASHED: u32 = 2;
/// The entry is its own parent and has no place in a directory tree (memfd, pipes and the like).
pub const FILE_ANONYMOUS: u32 = 4;
/// The mount ignores setuid and setgid bits and file capabilities (`MNT_NOSUID`).
pub const FILE_NOSUID: u32 = 8;
/// Mount or file system refuse execution (`MNT_NOEXEC`, `SB_I_NOEXEC`).
pub const FILE_NOEXEC: u32 = 16;
/// Mount or file system cannot be written to (`MNT_READONLY`, `SB_RDONLY`).
pub const FILE_READ_ONLY: u32 = 32;
/// On overlayfs, in the layer that can be written: it was put or changed there.
pub const FILE_OVERLAY_UPPER: u32 = 64;
/// On overlayfs, in a lower layer: as the image had it.
pub const FILE_OVERLAY_LOWER: u32 = 128;

wire_struct! {
    /// Credentials of a task (`struct cred`), ids in the initial user namespace.
    pub struct Credentials {
        /// Real user.
        pub uid: u32,
        /// Real group.
        pub gid: u32,
        /// Saved user.
        pub suid: u32,
        /// Saved group.
        pub sgid: u32,
        /// Effective user.
        pub euid: u32,
        /// Effective group.
        pub egid: u32,
        /// User for file access.
        pub fsuid: u32,
        /// Group for file access.
        pub fsgid: u32,
        /// `SECBIT_*`.
        pub securebits: u32,
        /// Inode number of the user namespace.
        pub user_namespace: u32,
        /// Inheritable capabilities, bit n for capability n.
        pub cap_inheritable: u64,
        /// Permitted capabilities.
        pub cap_permitted: u64,
        /// Effective capabilities.
        pub cap_effective: u64,
        /// Bounding set.
        pub cap_bounding: u64,
        /// Ambient capabilities.
        pub cap_ambient: u64,
    }
}

/// No credentials.
pub const NO_CREDENTIALS: Credentials = Credentials {
    uid: 0,
    gid: 0,
    suid: 0,
    sgid: 0,
    euid: 0,
    egid: 0,
    fsuid: 0,
    fsgid: 0,
    securebits: 0,
    user_namespace: 0,
    cap_inheritable: 0,
    cap_permitted: 0,
    cap_effective: 0,
    cap_bounding: 0,
    cap_ambient: 0,
};

wire_struct! {
    /// Inode numbers of the namespaces of a task; 0 where this kernel has none.
    pub struct Namespaces {
        /// Mount namespace.
        pub mnt: u32,
        /// Pid namespace the task lives in.
        pub pid: u32,
        /// Network namespace.
        pub net: u32,
        /// UTS (host name) namespace.
        pub uts: u32,
        /// IPC namespace.
        pub ipc: u32,
        /// Cgroup namespace.
        pub cgroup: u32,
        /// Time namespace.
        pub time: u32,
        /// User namespace.
        pub user: u32,
    }
}

wire_struct! {
    /// One ancestor, read from the chain of `real_parent` at the moment of the exec.
    pub struct Ancestor {
        /// Which process.
        pub process: ProcessId,
        /// Name of its group leader's task (`comm`), ended by NUL.
        pub comm: [u8; 16],
    }
}

wire_struct! {
    /// The fixed part of a record of an exec, also of one that failed: then it tells of the process
    /// that goes on, and `argv` is what it handed to the system call.
    pub struct Exec {
        /// Set of `EXEC_*`.
        pub flags: u32,
        /// Thread id before the exec; differs from the pid when a non-leader thread executed.
        pub old_tid: u32,
        /// The process that executes, start time of its group leader.
        pub process: ProcessId,
        /// Pid in the innermost pid namespace.
        pub vpid: u32,
        /// Process group.
        pub pgid: u32,
        /// Session.
        pub sid: u32,
        /// Login uid of the audit subsystem; `u32::MAX` when unset.
        pub loginuid: u32,
        /// Session id of the audit subsystem; `u32::MAX` when unset.
        pub sessionid: u32,
        /// Arguments as the kernel counted them (`linux_binprm.argc`).
        pub argc: u32,
        /// Bytes of all arguments with their NULs (`mm.arg_end - mm.arg_start`).
        pub argv_bytes: u64,
        /// Device number of the controlling terminal, when [`EXEC_TTY`] is set.
        pub tty_major: u32,
        /// Its minor number.
        pub tty_minor: u32,
        /// Id of the cgroup whose path follows (`kernfs_node.id`).
        pub cgroup_id: u64,
        /// Name of the task after the exec, ended by NUL.
        pub comm: [u8; 16],
        /// Credentials after the exec.
        pub credentials: Credentials,
        /// Credentials before the exec, when [`EXEC_CREDENTIALS_BEFORE`] is set.
        pub before: Credentials,
        /// Namespaces of the task.
        pub namespaces: Namespaces,
        /// The file that was asked for, when [`EXEC_HOOK`] is set.
        pub file: FileFacts,
        /// The binary that was loaded: the interpreter of a script.
        pub binary: FileFacts,
        /// Path of `file`, when [`EXEC_HOOK`] is set and it is not the binary.
        pub file_path: PathSpan,
        /// Path of `binary`.
        pub binary_path: PathSpan,
        /// Working directory.
        pub cwd: PathSpan,
        /// Arguments, each ended by NUL; shorter than `argv_bytes` when cut.
        pub argv: Span,
        /// Name given to the system call (`linux_binprm.filename`).
        pub filename: Span,
        /// Name of the interpreter as given in the script (`linux_binprm.interp`).
        pub interpreter: Span,
        /// Names of the cgroups from the leaf to the root, each ended by NUL.
        pub cgroup: Span,
        /// Outside the initial user namespace: its [`IdMap`]s for users and for groups.
        pub id_maps: Span,
        /// Id of the deny rule that [`EXEC_REFUSED`] and the like are of.
        pub rule: Span,
        /// Environment, each variable ended by NUL; shorter than `env_bytes` when cut.
        pub env: Span,
        /// Bytes of the whole environment (`mm.env_end - mm.env_start`); 0 when it was not asked for.
        pub env_bytes: u64,
        /// Entries of `ancestors` that are filled.
        pub ancestors_count: u32,
        /// Why it failed; 0 when it did not.
        pub errno: u32,
        /// Directory that `filename` is relative to, as `execveat` was given it: a descriptor or
        /// [`AT_FDCWD`].
        pub directory: u32,
        /// Zero.
        pub reserved: u32,
        /// Ancestors, the parent first.
        pub ancestors: [Ancestor; KERNEL_ANCESTORS_MAX],
    }
}

/// The LSM or fentry hook saw this exec: `file`, `file_path` and `before` come from it.
pub const EXEC_HOOK: u32 = 1;
/// `before` is filled.
pub const EXEC_CREDENTIALS_BEFORE: u32 = 2;
/// A page of the arguments could not be read: `argv` ends before it.
pub const EXEC_ARGV_FAULT: u32 = 4;
/// The process has a controlling terminal.
pub const EXEC_TTY: u32 = 8;
/// The file asked for is not the binary that was loaded (`#!` script, binfmt_misc).
pub const EXEC_INTERPRETED: u32 = 16;
/// The chain of ancestors goes on above the last entry.
pub const EXEC_ANCESTORS_CUT: u32 = 32;
/// `AT_FDCWD` of include/uapi/linux/fcntl.h, as 32 bits.
pub const AT_FDCWD: u32 = -100_i32 as u32;
/// A security module refused it.
pub const EXEC_DENIED: u32 = 128;
/// Of an exec that failed: arguments are missing at the end of `argv`, or the last one is cut.
pub const EXEC_ARGV_CUT: u32 = 256;
/// A deny rule refused it.
pub const EXEC_REFUSED: u32 = 1 << 16;
/// A deny rule is for it, and it was let go.
pub const EXEC_WOULD_DENY: u32 = 1 << 17;
/// It could not be told whether a deny rule is for it, and it was let go.
pub const EXEC_NOT_JUDGED: u32 = 1 << 18;
/// A page of the environment could not be read: `env` ends before it.
pub const EXEC_ENV_FAULT: u32 = 4096;
/// The task may gain no privileges by an exec (`PR_SET_NO_NEW_PRIVS`).
pub const EXEC_NO_NEW_PRIVS: u32 = 64;

wire_struct! {
    /// How ids of a user namespace are mapped (`struct uid_gid_map`).
    pub struct IdMap {
        /// Extents there are; where they are more than fit they are not told.
        pub count: u32,
        /// The extents.
        pub extents: [IdExtent; ID_EXTENTS_MAX],
    }
}

wire_struct! {
    /// A range of ids (`struct uid_gid_extent`).
    pub struct IdExtent {
        /// First id inside the namespace.
        pub inside: u32,
        /// First id in the initial namespace.
        pub outside: u32,
        /// How many.
        pub count: u32,
    }
}

/// Extents the kernel keeps in the map itself (`UID_GID_MAP_MAX_BASE_EXTENTS`).
pub const ID_EXTENTS_MAX: usize = 5;

const _: () = assert!(size_of::<Header>() == 32);
const _: () = assert!(size_of::<Fork>() == 32);
const _: () = assert!(size_of::<Exit>() == 24);
const _: () = assert!(size_of::<Credentials>() == 80);
const _: () = assert!(size_of::<FileFacts>() == 80);
const _: () = assert!(size_of::<IdMap>() == 64);
const _: () = assert!(size_of::<Exec>() == 1080);
