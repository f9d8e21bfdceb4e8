//! Where an execution comes from beside its ancestors: the leaders of its group and session, the way
//! onto the machine, the container.

use std::sync::Arc;

use super::{Args, Bytes, Id, WallTime};

/// The process that gave a process group or a session its id, or by which a session was entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Its pid, which is the id of the group or session; 0 when the kernel does not tell.
    pub pid: u32,
    /// Its identity; `None` when no process of that pid is known (any more).
    pub entity_id: Option<Id>,
    /// When it started.
    pub start: Option<WallTime>,
    /// Its name.
    pub comm: Option<Bytes>,
    /// Path of its executable.
    pub executable: Option<Bytes>,
    /// Its arguments; not of the leader of a process group, which is nearly always an ancestor or the
    /// process itself.
    pub args: Option<Arc<Args>>,
    /// Effective user, as last seen at an exec or in /proc.
    pub euid: Option<u32>,
    /// Its name, only where the process of the event shares the host's user and mount namespace.
    pub user: Option<Arc<str>>,
    /// It has a controlling terminal.
    pub interactive: Option<bool>,
}

/// The leader of the session in which everything began that an exec belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLeader {
    /// Which process.
    pub leader: Leader,
    /// By which way it came.
    pub kind: EntryKind,
}

/// What a process belongs to, as the process table knew it last: from its execution, that of another
/// process of the same group or session, its fork, or /proc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Leader of its process group; the default where nothing is known.
    pub group_leader: Leader,
    /// Leader of its session; the default where nothing is known.
    pub session_leader: Leader,
    /// The way by which it came onto the machine.
    pub entry_leader: Option<EntryLeader>,
    /// Controlling terminal, device (major, minor).
    pub tty: Option<(u32, u32)>,
    /// Effective user.
    pub euid: Option<u32>,
}

impl Membership {
    /// All leaders that there may be: of the group, of the session, and the entry.
    pub fn leaders(&self) -> impl Iterator<Item = &Leader> {
        let entry = self.entry_leader.as_ref().map(|entry| &entry.leader);
        [&self.group_leader, &self.session_leader].into_iter().chain(entry)
    }
}

/// A way onto a machine, as Elastic's Session View knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A service, started by the first process.
    Init,
    /// A login by SSH.
    Sshd,
    /// A session of the AWS Systems Manager.
    Ssm,
    /// The first process of a container, or one that was put into it.
    Container,
    /// A serial line.
    Terminal,
    /// A login at the machine itself.
    Console,
    /// A helper that the kernel executed.
    Kthread,
    /// The topmost session leader known, about which no more can be said.
    Unknown,
}

impl EntryKind {
    /// All ways.
    pub const ALL: [EntryKind; 8] = [
        EntryKind::Init,
        EntryKind::Sshd,
        EntryKind::Ssm,
        EntryKind::Container,
        EntryKind::Terminal,
        EntryKind::Console,
        EntryKind::Kthread,
        EntryKind::Unknown,
    ];

    /// The word of `process.entry_leader.entry_meta.type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Init => "init",
            EntryKind::Sshd => "sshd",
            EntryKind::Ssm => "ssm",
            EntryKind::Container => "container",
            EntryKind::Terminal => "terminal",
            EntryKind::Console => "console",
            EntryKind::Kthread => "kthread",
            EntryKind::Unknown => "unknown",
        }
    }
}

/// A container, beside its id. Texts are UTF-8 of at most 1024 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// `docker`, `containerd`, `cri-o` or `podman`.
    pub runtime: Option<Arc<str>>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Name of its image, without tag and digest.
    pub image_name: Option<Arc<str>>,
    /// Tag of its image.
    pub image_tag: Option<Arc<str>>,
    /// Kubernetes' uid of its pod.
    pub pod_uid: Option<Arc<str>>,
    /// Name of its pod.
    pub pod_name: Option<Arc<str>>,
    /// Kubernetes namespace of its pod.
    pub pod_namespace: Option<Arc<str>>,
    /// The runtime's own files were found and read; else there is no more than the cgroup path tells.
    pub from_runtime: bool,
}
