//! shipper's own format: every field of the typed event, under the names it has there, and nothing
//! that a reader could derive from these.
//!
//! The other formats carry what they have no place for in the same words: OCSF below
//! `unmapped.shipper`, CIM below `shipper`. So one table ([`schema`]) says what they mean.
//!
//! Bytes that are not UTF-8 are there twice: with replacement characters, and exact in base64 under
//! the same name with `_base64` behind it. Of a list all are in base64 when one has to be.

mod file;
mod process;
pub mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use self::file::FileFields;
use self::process::{Ancestors, LeaderFields, ProcessFields};
use super::alike::{EnforcementFields, FailureFields, MatchFields, redacted, redacted_of_end};
use super::text::{Exact, Long, Text, exact};
use super::write_line;
use crate::event::{Container, EntryLeader, Event, Exec, Exit, Host, Id, Loss, WallTime};

/// What these events say they follow: another number when a name or a meaning changes, not when one is
/// added.
pub const NATIVE_SCHEMA: &str = "native/1";

/// How much of an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What OCSF has no place for.
    Unmapped,
}

impl Part {
    /// A value that OCSF has a place for.
    fn mapped<T>(self, value: T) -> Option<T> {
        (self == Part::Whole).then_some(value)
    }
}

/// Appends the event as one JSON object and a newline.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Exec(exec) => write_line(&ExecDocument::new(exec, Part::Whole), out),
        Event::Exit(exit) => write_line(&ExitDocument::new(exit, Part::Whole), out),
        Event::Loss(loss) => write_line(&LossDocument::new(loss, Part::Whole), out),
    }
}

/// What every event begins with.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    time: WallTime,
    host: HostFields<'a>,
}

/// Which record of the kernel an event is from.
#[derive(Serialize)]
struct RecordFields {
    boot_ns: Long,
    read_time: WallTime,
    cpu: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Long>,
}

#[derive(Serialize)]
pub(super) struct ExecDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    record: RecordFields,
    process: ProcessFields<'a>,
    file: FileFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<FileFields<'a>>,
    ancestry: Ancestors<'a>,
    ancestry_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<ContainerFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_leader: Option<EntryLeaderFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement: Option<EnforcementFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<MatchFields<'a>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    redacted: BTreeSet<&'a str>,
}

#[derive(Serialize)]
pub(super) struct ExitDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    record: RecordFields,
    process: process::EndedFields<'a>,
    exit: ExitFields,
    ancestry: Ancestors<'a>,
    ancestry_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_leader: Option<EntryLeaderFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<MatchFields<'a>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    redacted: BTreeSet<&'a str>,
}

#[derive(Serialize)]
struct ExitFields {
    code: u8,
    signal: u8,
    core_dumped: bool,
    duration_ns: Long,
}

#[derive(Serialize)]
pub(super) struct LossDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
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
    cgroup_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    count: Long,
    first_time: WallTime,
    last_time: WallTime,
}

#[derive(Serialize)]
struct HostFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    architecture: &'a str,
    os_platform: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_version: Option<&'a str>,
    os_full: &'a str,
}

#[derive(Serialize)]
struct ContainerFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_namespace: Option<&'a str>,
    from_runtime: bool,
}

#[derive(Serialize)]
struct EntryLeaderFields<'a> {
    kind: &'static str,
    #[serde(flatten)]
    leader: LeaderFields<'a>,
}

impl<'a> EntryLeaderFields<'a> {
    fn new(entry: &'a EntryLeader) -> Self {
        EntryLeaderFields { kind: entry.kind.as_str(), leader: LeaderFields::new(&entry.leader) }
    }
}

impl<'a> Head<'a> {
    fn new(kind: &'static str, id: Id, time: WallTime, host: &'a Host, part: Part) -> Self {
        Head {
            schema: part.mapped(NATIVE_SCHEMA),
            kind,
            id: part.mapped(id),
            time,
            host: HostFields::new(host, part),
        }
    }
}

impl<'a> HostFields<'a> {
    fn new(host: &'a Host, part: Part) -> Self {
        HostFields {
            name: part.mapped(&host.name),
            id: part.mapped(&host.id),
            boot_id: part.mapped(&host.boot_id),
            kernel: part.mapped(&host.kernel),
            architecture: &host.architecture,
            os_platform: &host.os_platform,
            os_name: part.mapped(&host.os_name),
            os_version: part.mapped(&host.os_version),
            os_full: &host.os_full,
        }
    }
}

impl<'a> ExecDocument<'a> {
    pub(super) fn new(exec: &'a Exec, part: Part) -> Self {
        ExecDocument {
            head: Head::new("exec", exec.id, exec.time, &exec.host, part),
            record: RecordFields {
                boot_ns: Long(exec.boot_ns),
                read_time: exec.read,
                cpu: exec.cpu,
                sequence: part.mapped(Long(exec.sequence)),
            },
            process: ProcessFields::new(&exec.process, part),
            file: FileFields::new(&exec.file, part),
            // OCSF has no place for it at all.
            interpreter: exec.interpreter.as_ref().map(|file| FileFields::new(file, Part::Whole)),
            ancestry: Ancestors { list: &exec.ancestry, part },
            ancestry_cut: exec.ancestry_cut,
            container: ContainerFields::new(exec),
            entry_leader: exec.entry_leader.as_ref().map(EntryLeaderFields::new),
            failure: exec.failure.as_ref().map(FailureFields::new),
            enforcement: exec.enforcement.as_ref().map(EnforcementFields::new),
            rules: MatchFields::all(&exec.matches),
            redacted: redacted(exec),
        }
    }
}

impl<'a> ExitDocument<'a> {
    pub(super) fn new(exit: &'a Exit, part: Part) -> Self {
        ExitDocument {
            head: Head::new("exit", exit.id, exit.time, &exit.host, part),
            record: RecordFields {
                boot_ns: Long(exit.boot_ns),
                read_time: exit.read,
                cpu: exit.cpu,
                sequence: part.mapped(Long(exit.sequence)),
            },
            process: process::EndedFields::new(exit, part),
            exit: ExitFields {
                code: exit.status.exit_code(),
                signal: exit.status.signal().unwrap_or(0),
                core_dumped: exit.status.core_dumped(),
                duration_ns: Long(exit.duration_ns),
            },
            ancestry: Ancestors { list: &exit.ancestry, part },
            ancestry_cut: exit.ancestry_cut,
            entry_leader: exit.member.entry_leader.as_ref().map(EntryLeaderFields::new),
            rules: MatchFields::all(&exit.matches),
            redacted: redacted_of_end(exit),
        }
    }
}

impl<'a> LossDocument<'a> {
    pub(super) fn new(loss: &'a Loss, part: Part) -> Self {
        LossDocument {
            head: Head::new("loss", loss.id, loss.time, &loss.host, part),
            loss: LossFields {
                stage: loss.stage.as_str(),
                kind: loss.kind.as_str(),
                sink: loss.sink.as_deref(),
                cgroup: loss.cgroup.as_deref().map(Text),
                cgroup_base64: loss.cgroup.as_deref().and_then(exact),
                rule: loss.rule.as_deref(),
                count: Long(loss.count),
                first_time: loss.first,
                last_time: loss.last,
            },
        }
    }
}

impl<'a> ContainerFields<'a> {
    /// Of an execution in a container, as far as it is known.
    fn new(exec: &'a Exec) -> Option<Self> {
        let id = exec.container_id.as_deref();
        let known = exec.container.as_deref();
        if id.is_none() && known.is_none() {
            return None;
        }
        let text =
            |of: fn(&Container) -> &Option<Arc<str>>| known.and_then(|known| of(known).as_deref());
        Some(ContainerFields {
            id,
            name: text(|known| &known.name),
            runtime: text(|known| &known.runtime),
            image_name: text(|known| &known.image_name),
            image_tag: text(|known| &known.image_tag),
            pod_uid: text(|known| &known.pod_uid),
            pod_name: text(|known| &known.pod_name),
            pod_namespace: text(|known| &known.pod_namespace),
            from_runtime: known.is_some_and(|known| known.from_runtime),
        })
    }
}
