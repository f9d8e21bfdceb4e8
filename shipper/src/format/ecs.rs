//! ECS 9.4.0: one JSON object a line. Every field is in the Elastic Common Schema with its type, or
//! lies under `shipper.`, `process.Ext.` or `user.audit.`; a test holds it to the official list.
//!
//! Written straight to bytes: the structs below borrow from the event and live for one call.

mod container;
mod exit;
mod fields;
mod leaders;
mod own;
mod rules;
pub mod schema;

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::alike::tags;
use super::capabilities::CapabilityNames;
use super::errno;
use super::text::{CommandLine, Device, Long, Shown, Text, Texts, some};
use crate::event::{
    Ancestor, Args, Event, Exec, Failure, FileFacts, Host, Id, Loss, Names, WallTime, basename,
};
use container::{ContainerFields, Orchestrator};
use exit::ExitDocument;
use fields::{EventFields, Hash, HostFields, Ids, Mode, Terminal};
use leaders::Leaders;
use own::Own;
use rules::RuleFields;

pub use fields::Class;

/// The version of ECS these events follow.
pub const ECS_VERSION: &str = "9.4.0";

/// Appends the event as one JSON object and a newline.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Exec(exec) => super::write_line(&ExecDocument::new(exec), out),
        Event::Exit(exit) => super::write_line(&ExitDocument::new(exit), out),
        Event::Loss(loss) => super::write_line(&LossDocument::new(loss), out),
    }
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
    container: Option<ContainerFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orchestrator: Option<Orchestrator<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields>,
    // What judges an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash<'a>>,
    args: Texts<'a>,
    args_count: u32,
    command_line: CommandLine<'a>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    env_vars: Texts<'a>,
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
    leaders: Leaders<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentFields<'a>>,
    #[serde(rename = "Ext")]
    ext: Ext<'a>,
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
struct Ext<'a> {
    #[serde(serialize_with = "entity_ids")]
    ancestry: &'a [Ancestor],
}

fn entity_ids<S: Serializer>(ancestry: &[Ancestor], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ancestry.iter().map(|ancestor| ancestor.entity_id))
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
    args: Texts<'a>,
    args_count: u32,
}

#[derive(Serialize)]
struct ErrorFields {
    code: Cow<'static, str>,
    message: String,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    uid: Shown<u32>,
    gid: Shown<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    mode: Mode,
    inode: Shown<u64>,
    device: Device,
    size: Long,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctime: Option<WallTime>,
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
                hash: Hash::of(exec.interpreter.as_ref().unwrap_or(&exec.file)),
                args: Texts(&process.args.list),
                args_count: process.args.count,
                command_line: CommandLine(&process.args.list),
                env_vars: Texts(&process.env.list),
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
                leaders: Leaders::of_exec(exec),
                parent: exec.ancestry.first().map(ParentFields::new),
                ext: Ext { ancestry: &exec.ancestry },
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
                hash: Hash::of(&exec.file),
            },
            container: ContainerFields::new(exec),
            orchestrator: Orchestrator::new(exec),
            error: exec.failure.as_ref().map(ErrorFields::new),
            rule: RuleFields::new(&exec.matches, exec.enforcement.as_ref()),
            tags: tags(&exec.matches),
            shipper: Own::new(exec),
        }
    }
}

impl ErrorFields {
    fn new(failure: &Failure) -> Self {
        ErrorFields { code: errno::name(failure.errno), message: errno::what(failure) }
    }
}

impl<'a> AncestorArgs<'a> {
    fn new(args: &'a Args) -> Self {
        AncestorArgs { args: Texts(&args.list), args_count: args.count }
    }
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
            args: args.map(AncestorArgs::new),
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
            mode: Mode(facts.mode),
            inode: Shown(facts.inode),
            device: Device(facts.device),
            size: Long(facts.size),
            mtime: facts.modified,
            ctime: facts.changed,
        }
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
    shipper: LossOwn<'a>,
}

#[derive(Serialize)]
struct LossOwn<'a> {
    loss: LossFields<'a>,
}

#[derive(Serialize)]
struct LossFields<'a> {
    stage: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
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
                    sink: loss.sink.as_deref(),
                    cgroup: loss.cgroup.as_deref().map(Text),
                    rule: loss.rule.as_deref(),
                    count: Long(loss.count),
                    first: loss.first,
                    last: loss.last,
                },
            },
        }
    }
}
