//! ECS 9.4.0: one JSON object a line. Every field is in the Elastic Common Schema with its type, or
//! lies under `shipper.`, `process.Ext.` or `user.audit.`; a test holds it to the official list.
//!
//! Written straight to bytes: the structs below borrow from the event and live for one call.

mod fields;
pub mod schema;

use serde::Serialize;

use super::text::{Exact, Long, Shown, Text, exact};
use crate::event::{
    Ancestor, Args, Credentials, Event, Exec, ExecutedFile, FileFacts, Host, Id, Loss, Names, Path,
    WallTime, basename,
};
use fields::{
    CapabilityNames, CapabilitySets, CommandLine, Device, EventFields, HostFields, Ids, Keyed,
    Leaders, Terminal,
};

/// The version of ECS these events follow.
pub const ECS_VERSION: &str = "9.4.0";

/// Appends the event as one JSON object and a newline.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    let written = match event {
        Event::Exec(exec) => serde_json::to_writer(&mut *out, &ExecDocument::new(exec)),
        Event::Loss(loss) => serde_json::to_writer(&mut *out, &LossDocument::new(loss)),
    };
    // Memory does not fail, and no map here has a key that is not a string.
    debug_assert!(written.is_ok(), "{written:?}");
    out.push(b'\n');
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct Agent {
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
}

const ECS: Version = Version { version: ECS_VERSION };
const AGENT: Agent = Agent { kind: "shipper", version: env!("CARGO_PKG_VERSION") };

#[derive(Serialize)]
struct ExecDocument<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: WallTime,
    ecs: Version,
    event: EventFields<'a>,
    agent: Agent,
    host: HostFields<'a>,
    process: ProcessFields<'a>,
    user: UserFields<'a>,
    file: FileFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Keyed<&'a str>>,
    shipper: Own<'a>,
}

#[derive(Serialize)]
struct ProcessFields<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpid: Option<u32>,
    thread: ThreadFields,
    entity_id: Id,
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    args: Vec<Text<'a>>,
    args_count: u32,
    command_line: CommandLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Text<'a>>,
    start: WallTime,
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Terminal>,
    user: Ids<'a>,
    real_user: Ids<'a>,
    saved_user: Ids<'a>,
    group: Ids<'a>,
    real_group: Ids<'a>,
    saved_group: Ids<'a>,
    #[serde(flatten)]
    leaders: Leaders,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentFields<'a>>,
    #[serde(rename = "Ext")]
    ext: Ext,
}

#[derive(Serialize)]
struct ThreadFields {
    id: u32,
    capabilities: ThreadCapabilities,
}

#[derive(Serialize)]
struct ThreadCapabilities {
    effective: CapabilityNames,
    permitted: CapabilityNames,
}

#[derive(Serialize)]
struct Ext {
    ancestry: Vec<Id>,
}

#[derive(Serialize)]
struct ParentFields<'a> {
    pid: u32,
    entity_id: Id,
    start: WallTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    #[serde(flatten)]
    args: Option<AncestorArgs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line: Option<CommandLine<'a>>,
}

#[derive(Serialize)]
struct AncestorArgs<'a> {
    args: Vec<Text<'a>>,
    args_count: u32,
}

#[derive(Serialize)]
struct UserFields<'a> {
    #[serde(flatten)]
    effective: Ids<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<Ids<'a>>,
}

#[derive(Serialize)]
struct FileFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    uid: Shown<u32>,
    gid: Shown<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    mode: String,
    inode: Shown<u64>,
    device: Device,
    size: Long,
}

/// Everything under `shipper.`.
#[derive(Serialize)]
struct Own<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_not_root_owned: Option<bool>,
    file_source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<OwnFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<Interpreter<'a>>,
    ancestry: Vec<OwnAncestor<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ancestry_cut: bool,
    args_bytes: Long,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_unreadable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths_cut: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths_unreachable: Vec<&'static str>,
    #[serde(skip_serializing_if = "Raw::is_empty")]
    raw: Raw<'a>,
    credentials: OwnCredentials,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_before: Option<CredentialsBefore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_session: Option<Shown<u32>>,
    namespaces: Namespaces,
    cgroup: Cgroup<'a>,
    boot_ns: Long,
    cpu: u32,
}

#[derive(Serialize)]
struct OwnFile {
    links: u32,
    setuid: bool,
    setgid: bool,
    deleted: bool,
    memfd: bool,
}

#[derive(Serialize)]
struct Interpreter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
    source: &'static str,
}

#[derive(Serialize)]
struct OwnAncestor<'a> {
    #[serde(flatten)]
    process: ParentFields<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<AncestorRaw<'a>>,
    source: &'static str,
}

/// Exact bytes of what is not UTF-8 in an ancestor.
#[derive(Serialize)]
struct AncestorRaw<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<Exact<'a>>>,
}

/// Exact bytes of what is not UTF-8.
#[derive(Serialize)]
struct Raw<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Exact<'a>>,
    /// All arguments, when any of them needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<Exact<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_path: Option<Exact<'a>>,
}

#[derive(Serialize)]
struct OwnCredentials {
    fsuid: Shown<u32>,
    fsgid: Shown<u32>,
    securebits: u32,
    capabilities: CapabilitySets,
}

#[derive(Serialize)]
struct CredentialsBefore {
    uid: Shown<u32>,
    gid: Shown<u32>,
    euid: Shown<u32>,
    egid: Shown<u32>,
    suid: Shown<u32>,
    sgid: Shown<u32>,
    #[serde(flatten)]
    more: OwnCredentials,
}

#[derive(Serialize)]
struct Namespaces {
    mnt: u32,
    pid: u32,
    net: u32,
    uts: u32,
    ipc: u32,
    cgroup: u32,
    time: u32,
    user: u32,
}

#[derive(Serialize)]
struct Cgroup<'a> {
    id: Shown<u64>,
    path: Text<'a>,
}

fn some(bytes: &[u8]) -> Option<Text<'_>> {
    (!bytes.is_empty()).then_some(Text(bytes))
}

impl<'a> ExecDocument<'a> {
    fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let ids = &process.credentials;
        static NO_NAMES: Names = Names {
            euid: None,
            uid: None,
            suid: None,
            egid: None,
            gid: None,
            sgid: None,
            loginuid: None,
            file_owner: None,
            file_group: None,
        };
        let names = process.names.as_ref().unwrap_or(&NO_NAMES);
        ExecDocument {
            timestamp: exec.time,
            ecs: ECS,
            event: EventFields::exec(exec),
            agent: AGENT,
            host: HostFields::new(&exec.host),
            process: ProcessFields {
                pid: process.key.pid,
                vpid: process.vpid,
                thread: ThreadFields {
                    id: process.tid,
                    capabilities: ThreadCapabilities {
                        effective: CapabilityNames(ids.capabilities.effective),
                        permitted: CapabilityNames(ids.capabilities.permitted),
                    },
                },
                entity_id: process.entity_id,
                name: Text(&process.comm),
                executable: some(&process.executable.bytes),
                args: texts(&process.args),
                args_count: process.args.count,
                command_line: CommandLine(&process.args.list),
                working_directory: some(&process.working_directory.bytes),
                start: process.start,
                interactive: process.tty.is_some(),
                tty: process.tty.map(Terminal::new),
                user: Ids::new(ids.euid, names.euid.as_deref()),
                real_user: Ids::new(ids.uid, names.uid.as_deref()),
                saved_user: Ids::new(ids.suid, names.suid.as_deref()),
                group: Ids::new(ids.egid, names.egid.as_deref()),
                real_group: Ids::new(ids.gid, names.gid.as_deref()),
                saved_group: Ids::new(ids.sgid, names.sgid.as_deref()),
                leaders: Leaders::new(process.group_leader, process.session_leader),
                parent: exec.ancestry.first().map(ParentFields::new),
                ext: Ext { ancestry: exec.ancestry.iter().map(|a| a.entity_id).collect() },
            },
            user: UserFields {
                effective: Ids::new(ids.euid, names.euid.as_deref()),
                audit: process.loginuid.map(|uid| Ids::new(uid, names.loginuid.as_deref())),
            },
            file: FileFields {
                path: some(&exec.file.path.bytes),
                name: some(basename(&exec.file.path.bytes)),
                facts: exec.file.facts.as_ref().map(|facts| {
                    Facts::new(facts, names.file_owner.as_deref(), names.file_group.as_deref())
                }),
            },
            container: exec.container_id.as_deref().map(|id| Keyed { id }),
            shipper: Own::new(exec),
        }
    }
}

/// All arguments in base64, when one of them is not UTF-8.
fn exact_args(args: &Args) -> Option<Vec<Exact<'_>>> {
    args.list
        .iter()
        .any(|arg| exact(arg).is_some())
        .then(|| args.list.iter().map(|arg| Exact(arg)).collect())
}

fn texts(args: &Args) -> Vec<Text<'_>> {
    args.list.iter().map(|arg| Text(arg)).collect()
}

impl<'a> ParentFields<'a> {
    fn new(ancestor: &'a Ancestor) -> Self {
        let args = ancestor.args.as_deref();
        ParentFields {
            pid: ancestor.key.pid,
            entity_id: ancestor.entity_id,
            start: ancestor.start,
            name: some(&ancestor.comm),
            executable: ancestor.executable.as_deref().and_then(some),
            args: args.map(|args| AncestorArgs { args: texts(args), args_count: args.count }),
            command_line: args.map(|args| CommandLine(&args.list)),
        }
    }
}

impl<'a> Facts<'a> {
    fn new(facts: &FileFacts, owner: Option<&'a str>, group: Option<&'a str>) -> Self {
        Facts {
            uid: Shown(facts.uid),
            gid: Shown(facts.gid),
            owner,
            group,
            mode: format!("{:04o}", facts.mode & 0o7777),
            inode: Shown(facts.inode),
            device: Device(facts.device),
            size: Long(facts.size),
        }
    }
}

impl<'a> Own<'a> {
    fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let paths: [(&'static str, &Path); 3] = [
            ("process.executable", &process.executable),
            ("process.working_directory", &process.working_directory),
            ("file.path", &exec.file.path),
        ];
        let with = |test: fn(&Path) -> bool| {
            paths.iter().filter(|(_, path)| test(path)).map(|(name, _)| *name).collect()
        };
        Own {
            file_not_root_owned: exec.file.not_root_owned(),
            file_source: exec.file.source.as_str(),
            file: exec.file.facts.map(|facts| OwnFile {
                links: facts.links,
                setuid: facts.mode & 0o4000 != 0,
                setgid: facts.mode & 0o2000 != 0,
                deleted: facts.deleted,
                memfd: facts.memfd,
            }),
            interpreter: exec.interpreter.as_ref().map(Interpreter::new),
            ancestry: exec
                .ancestry
                .iter()
                .map(|ancestor| OwnAncestor {
                    process: ParentFields { command_line: None, ..ParentFields::new(ancestor) },
                    args_truncated: ancestor.args.as_ref().is_some_and(|args| args.truncated),
                    raw: AncestorRaw::new(ancestor),
                    source: ancestor.source.as_str(),
                })
                .collect(),
            ancestry_cut: exec.ancestry_cut,
            args_bytes: Long(process.args.bytes_total),
            args_truncated: process.args.truncated,
            args_unreadable: process.args.faulted,
            paths_cut: with(|path| path.cut),
            paths_unreachable: with(|path| path.unreachable),
            raw: Raw::new(exec),
            credentials: OwnCredentials::new(&process.credentials),
            credentials_before: process.credentials_before.as_ref().map(CredentialsBefore::new),
            audit_session: process.audit_session.map(Shown),
            namespaces: Namespaces::new(&process.namespaces),
            cgroup: Cgroup { id: Shown(process.cgroup_id), path: Text(&process.cgroup) },
            boot_ns: Long(exec.boot_ns),
            cpu: exec.cpu,
        }
    }
}

impl<'a> Interpreter<'a> {
    fn new(file: &'a ExecutedFile) -> Self {
        Interpreter {
            path: some(&file.path.bytes),
            facts: file.facts.as_ref().map(|facts| Facts::new(facts, None, None)),
            source: file.source.as_str(),
        }
    }
}

impl<'a> Raw<'a> {
    fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        Raw {
            name: exact(&process.comm),
            executable: exact(&process.executable.bytes),
            args: exact_args(&process.args),
            working_directory: exact(&process.working_directory.bytes),
            file_path: exact(&exec.file.path.bytes),
            cgroup_path: exact(&process.cgroup),
        }
    }

    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.executable.is_none()
            && self.args.is_none()
            && self.working_directory.is_none()
            && self.file_path.is_none()
            && self.cgroup_path.is_none()
    }
}

impl<'a> AncestorRaw<'a> {
    fn new(ancestor: &'a Ancestor) -> Option<Self> {
        let raw = AncestorRaw {
            name: exact(&ancestor.comm),
            executable: ancestor.executable.as_deref().and_then(exact),
            args: ancestor.args.as_deref().and_then(exact_args),
        };
        (raw.name.is_some() || raw.executable.is_some() || raw.args.is_some()).then_some(raw)
    }
}

impl OwnCredentials {
    fn new(ids: &Credentials) -> Self {
        OwnCredentials {
            fsuid: Shown(ids.fsuid),
            fsgid: Shown(ids.fsgid),
            securebits: ids.securebits,
            capabilities: CapabilitySets(ids.capabilities),
        }
    }
}

impl CredentialsBefore {
    fn new(ids: &Credentials) -> Self {
        CredentialsBefore {
            uid: Shown(ids.uid),
            gid: Shown(ids.gid),
            euid: Shown(ids.euid),
            egid: Shown(ids.egid),
            suid: Shown(ids.suid),
            sgid: Shown(ids.sgid),
            more: OwnCredentials::new(ids),
        }
    }
}

impl Namespaces {
    fn new(numbers: &crate::event::Namespaces) -> Self {
        let crate::event::Namespaces { mnt, pid, net, uts, ipc, cgroup, time, user } = *numbers;
        Namespaces { mnt, pid, net, uts, ipc, cgroup, time, user }
    }
}

#[derive(Serialize)]
struct LossDocument<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: WallTime,
    ecs: Version,
    event: EventFields<'a>,
    agent: Agent,
    host: HostFields<'a>,
    shipper: LossOwn,
}

#[derive(Serialize)]
struct LossOwn {
    loss: LossFields,
}

#[derive(Serialize)]
struct LossFields {
    stage: &'static str,
    kind: &'static str,
    count: Long,
    first: WallTime,
    last: WallTime,
}

impl<'a> LossDocument<'a> {
    fn new(loss: &'a Loss) -> Self {
        let host: &Host = &loss.host;
        LossDocument {
            timestamp: loss.time,
            ecs: ECS,
            event: EventFields::loss(loss),
            agent: AGENT,
            host: HostFields::new(host),
            shipper: LossOwn {
                loss: LossFields {
                    stage: loss.stage.as_str(),
                    kind: loss.kind.as_str(),
                    count: Long(loss.count),
                    first: loss.first,
                    last: loss.last,
                },
            },
        }
    }
}
