//! Processes as OCSF has them: the one that was executed, its parent, its ancestors.

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::cpid::Cpid;
use crate::event::{
    Ancestor, Bytes, Container, Exec, ExecutedFile, Id, Leader, Names, Process, basename,
};
use crate::format::text::{CommandLine, Device, Long, Millis, Sha256, Shown, Text, some};

/// Bits of a mode that tell the type of a file (`S_IFMT`), and the types that can be executed or tried.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const BLOCK_DEVICE: u32 = 0o060_000;
const SOCKET: u32 = 0o140_000;
const FIFO: u32 = 0o010_000;

/// Who did it.
#[derive(Serialize)]
pub(super) struct Actor<'a> {
    pub(super) process: EntityFields<'a>,
}

impl<'a> Actor<'a> {
    /// The parent; the process itself where no parent is known.
    pub(super) fn of_exec(exec: &'a Exec) -> Self {
        let process = exec.ancestry.first().map_or_else(
            || EntityFields {
                cmd_line: None,
                name: None,
                path: None,
                ..EntityFields::of_process(&exec.process)
            },
            EntityFields::new,
        );
        Actor { process }
    }
}

/// What can be said of any process.
#[derive(Serialize)]
pub(super) struct EntityFields<'a> {
    pid: u32,
    uid: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<CommandLine<'a>>,
    created_time: Millis,
}

impl<'a> EntityFields<'a> {
    /// Of an ancestor, or of a process that has ended.
    pub(super) fn new(ancestor: &'a Ancestor) -> Self {
        EntityFields {
            pid: ancestor.key.pid,
            uid: ancestor.entity_id,
            name: some(&ancestor.comm),
            path: ancestor.executable.as_deref().and_then(some),
            cmd_line: ancestor.args.as_deref().map(|args| CommandLine(&args.list)),
            created_time: Millis(ancestor.start),
        }
    }

    fn of_process(process: &'a Process) -> Self {
        EntityFields {
            pid: process.key.pid,
            uid: process.entity_id,
            name: some(&process.comm),
            path: some(&process.executable.bytes),
            cmd_line: Some(CommandLine(&process.args.list)),
            created_time: Millis(process.start),
        }
    }
}

/// Ancestors, the parent first.
pub(super) struct Ancestry<'a>(pub(super) &'a [Ancestor]);

impl Serialize for Ancestry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(EntityFields::new))
    }
}

/// The process that was executed.
#[derive(Serialize)]
pub(super) struct ProcessFields<'a> {
    #[serde(flatten)]
    entity: EntityFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpid: Option<Cpid>,
    ptid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileFields<'a>>,
    user: UserFields<'a>,
    euid: u32,
    egid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    auid: Option<u32>,
    group: GroupFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionFields>,
    #[serde(skip_serializing_if = "EnvironmentVariables::is_empty")]
    environment_variables: EnvironmentVariables<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process: Option<EntityFields<'a>>,
    ancestry: Ancestry<'a>,
}

#[derive(Serialize)]
struct UserFields<'a> {
    uid: Shown<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct GroupFields<'a> {
    uid: Shown<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct SessionFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<Device>,
}

/// Variables of the environment, name and value apart.
struct EnvironmentVariables<'a>(&'a [Bytes]);

#[derive(Serialize)]
struct Variable<'a> {
    name: Text<'a>,
    value: Text<'a>,
}

impl EnvironmentVariables<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for EnvironmentVariables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|variable| {
            let end = variable.iter().position(|&byte| byte == b'=').unwrap_or(variable.len());
            let value = variable.get(end + 1..).unwrap_or_default();
            Variable { name: Text(&variable[..end]), value: Text(value) }
        }))
    }
}

/// The file asked for: a script, not its interpreter.
#[derive(Serialize)]
struct FileFields<'a> {
    name: Text<'a>,
    path: Text<'a>,
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Long>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<UserFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<[Fingerprint<'a>; 1]>,
}

#[derive(Serialize)]
struct Fingerprint<'a> {
    algorithm_id: u32,
    algorithm: &'static str,
    value: Sha256<'a>,
}

#[derive(Serialize)]
struct ContainerFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orchestrator: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_uuid: Option<&'a str>,
}

impl<'a> ProcessFields<'a> {
    pub(super) fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let ids = &process.credentials;
        let names = process.names.as_ref();
        let name = |of: fn(&Names) -> Option<&str>| names.and_then(of);
        ProcessFields {
            entity: EntityFields::of_process(process),
            cpid: Cpid::of(process, &exec.host),
            ptid: process.tid,
            namespace_pid: process.vpid,
            working_directory: some(&process.working_directory.bytes),
            file: FileFields::new(&exec.file, name(|names| names.file_owner.as_deref())),
            user: UserFields { uid: Shown(ids.euid), name: name(|names| names.euid.as_deref()) },
            euid: ids.euid,
            egid: ids.egid,
            auid: process.loginuid,
            group: GroupFields { uid: Shown(ids.egid), name: name(|names| names.egid.as_deref()) },
            session: SessionFields::new(&process.session_leader, process.tty),
            environment_variables: EnvironmentVariables(&process.env.list),
            container: ContainerFields::new(exec),
            parent_process: exec.ancestry.first().map(EntityFields::new),
            ancestry: Ancestry(&exec.ancestry),
        }
    }
}

impl SessionFields {
    /// The session by its leader, and its terminal.
    pub(super) fn new(leader: &Leader, tty: Option<(u32, u32)>) -> Option<Self> {
        let terminal = tty.map(Device);
        (leader.entity_id.is_some() || terminal.is_some()).then(|| SessionFields {
            uid: leader.entity_id,
            created_time: leader.start.map(Millis),
            terminal,
        })
    }
}

impl<'a> FileFields<'a> {
    /// A file must have a name; of one whose path could not be had, only the rest below `unmapped` tells.
    fn new(file: &'a ExecutedFile, owner: Option<&'a str>) -> Option<Self> {
        let facts = file.facts.as_ref();
        let (type_id, kind) = facts.map_or((0, "Unknown"), |facts| file_type(facts.mode));
        (!file.path.bytes.is_empty()).then(|| FileFields {
            name: Text(basename(&file.path.bytes)),
            path: Text(&file.path.bytes),
            type_id,
            kind,
            size: facts.map(|facts| Long(facts.size)),
            owner: facts.map(|facts| UserFields { uid: Shown(facts.uid), name: owner }),
            modified_time: facts.and_then(|facts| facts.modified).map(Millis),
            is_deleted: facts.map(|facts| facts.deleted),
            hashes: Sha256::of(file)
                .map(|value| [Fingerprint { algorithm_id: 3, algorithm: "SHA-256", value }]),
        })
    }
}

/// Its number and its name in OCSF.
fn file_type(mode: u32) -> (u32, &'static str) {
    match mode & TYPE_MASK {
        REGULAR => (1, "Regular File"),
        DIRECTORY => (2, "Folder"),
        CHARACTER_DEVICE => (3, "Character Device"),
        BLOCK_DEVICE => (4, "Block Device"),
        SOCKET => (5, "Local Socket"),
        FIFO => (6, "Named Pipe"),
        _ => (0, "Unknown"),
    }
}

impl<'a> ContainerFields<'a> {
    /// It must have an id or a name.
    fn new(exec: &'a Exec) -> Option<Self> {
        let uid = exec.container_id.as_deref();
        let known = exec.container.as_deref();
        let text = |of: fn(&Container) -> Option<&str>| known.and_then(of);
        let name = text(|known| known.name.as_deref());
        let pod = text(|known| known.pod_uid.as_deref());
        (uid.is_some() || name.is_some()).then(|| ContainerFields {
            uid,
            name,
            runtime: text(|known| known.runtime.as_deref()),
            orchestrator: pod.map(|_| "Kubernetes"),
            // The uid of a pod that the node itself runs is none.
            pod_uuid: pod.filter(|pod| Uuid::parse_str(pod).is_ok() && pod.contains('-')),
        })
    }
}
