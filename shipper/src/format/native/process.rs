//! Processes: the one that was executed, its ancestors, the leaders of its group and session.

use serde::{Serialize, Serializer};

use super::super::alike::NamespaceFields;
use super::Part;
use crate::event::{
    Ancestor, Args, Bytes, Credentials, Environment, Exit, Id, InsideIds, Leader, Names, Process,
    WallTime,
};
use crate::format::capabilities::CapabilitySets;
use crate::format::text::{Device, Exact, Exacts, Long, Shown, Text, Texts, exact, exact_list};

#[derive(Serialize)]
pub(super) struct ProcessFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    start_ticks: Long,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<Id>,
    start_time: WallTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable_base64: Option<Exact<'a>>,
    executable_cut: bool,
    executable_unreachable: bool,
    args: ArgsFields<'a>,
    env: EnvironmentFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory_base64: Option<Exact<'a>>,
    working_directory_cut: bool,
    working_directory_unreachable: bool,
    credentials: CredentialFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_before: Option<CredentialFields>,
    no_new_privs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<InsideFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<NameFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loginuid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_session: Option<u32>,
    group_leader: LeaderFields<'a>,
    session_leader: LeaderFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Device>,
    namespaces: NamespaceFields,
    cgroup: CgroupFields<'a>,
}

#[derive(Serialize)]
struct ArgsFields<'a> {
    list: Texts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_base64: Option<Exacts<'a>>,
    count: u32,
    bytes_total: Long,
    truncated: bool,
    faulted: bool,
}

#[derive(Serialize)]
struct EnvironmentFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Texts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_base64: Option<Exacts<'a>>,
    truncated: bool,
    faulted: bool,
}

#[derive(Serialize)]
struct CredentialFields {
    uid: u32,
    gid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    securebits: u32,
    capabilities: CapabilitySets,
}

#[derive(Serialize)]
struct InsideFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sgid: Option<u32>,
}

#[derive(Serialize)]
struct NameFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sgid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loginuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_group: Option<&'a str>,
}

#[derive(Serialize)]
struct CgroupFields<'a> {
    id: Shown<u64>,
    path: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<Exact<'a>>,
}

/// A process that has ended: told as an ancestor is, with what it belonged to.
#[derive(Serialize)]
pub(super) struct EndedFields<'a> {
    #[serde(flatten)]
    known: AncestorFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_leader: Option<LeaderFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_leader: Option<LeaderFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<EndedCredentials>,
}

/// What is known of the credentials of a process that has ended.
#[derive(Serialize)]
struct EndedCredentials {
    euid: u32,
}

/// The leader of a process group or a session, or the one by which a session was entered.
#[derive(Serialize)]
pub(super) struct LeaderFields<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<ArgsFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive: Option<bool>,
}

/// Ancestors, the parent first.
pub(super) struct Ancestors<'a> {
    /// All of them.
    pub(super) list: &'a [Ancestor],
    /// How much of each is written.
    pub(super) part: Part,
}

impl Serialize for Ancestors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Ancestors { list, part } = self;
        serializer.collect_seq(list.iter().map(|ancestor| AncestorFields::new(ancestor, *part)))
    }
}

/// A process as the process table knows it.
#[derive(Serialize)]
pub(super) struct AncestorFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    start_ticks: Long,
    entity_id: Id,
    start_time: WallTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable_base64: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<ArgsFields<'a>>,
    source: &'static str,
}

impl<'a> ProcessFields<'a> {
    pub(super) fn new(process: &'a Process, part: Part) -> Self {
        ProcessFields {
            pid: part.mapped(process.key.pid),
            start_ticks: Long(process.key.start_ticks),
            entity_id: part.mapped(process.entity_id),
            start_time: process.start,
            tid: part.mapped(process.tid),
            vpid: part.mapped(process.vpid).flatten(),
            comm: part.mapped(Text(&process.comm)),
            comm_base64: exact(&process.comm),
            executable: part.mapped(Text(&process.executable.bytes)),
            executable_base64: exact(&process.executable.bytes),
            executable_cut: process.executable.cut,
            executable_unreachable: process.executable.unreachable,
            args: ArgsFields::new(&process.args),
            env: EnvironmentFields::new(&process.env, part),
            working_directory: part.mapped(Text(&process.working_directory.bytes)),
            working_directory_base64: exact(&process.working_directory.bytes),
            working_directory_cut: process.working_directory.cut,
            working_directory_unreachable: process.working_directory.unreachable,
            credentials: CredentialFields::new(&process.credentials),
            credentials_before: process.credentials_before.as_ref().map(CredentialFields::new),
            no_new_privs: process.no_new_privs,
            inside: process.inside.map(InsideFields::new),
            names: process.names.as_ref().map(NameFields::new),
            loginuid: part.mapped(process.loginuid).flatten(),
            audit_session: process.audit_session,
            group_leader: LeaderFields::new(&process.group_leader),
            session_leader: LeaderFields::new(&process.session_leader),
            tty: process.tty.map(Device),
            namespaces: NamespaceFields::new(&process.namespaces),
            cgroup: CgroupFields {
                id: Shown(process.cgroup_id),
                path: Text(&process.cgroup),
                path_base64: exact(&process.cgroup),
            },
        }
    }
}

impl<'a> ArgsFields<'a> {
    fn new(args: &'a Args) -> Self {
        // What was taken out is told of the whole event.
        let Args { list, count, bytes_total, truncated, faulted, redacted: _ } = args;
        ArgsFields {
            list: Texts(list),
            list_base64: exact_list(list),
            count: *count,
            bytes_total: Long(*bytes_total),
            truncated: *truncated,
            faulted: *faulted,
        }
    }
}

impl<'a> EnvironmentFields<'a> {
    fn new(env: &'a Environment, part: Part) -> Self {
        let list: &[Bytes] = &env.list;
        EnvironmentFields {
            list: part.mapped(Texts(list)),
            list_base64: exact_list(list),
            truncated: env.truncated,
            faulted: env.faulted,
        }
    }
}

impl CredentialFields {
    fn new(ids: &Credentials) -> Self {
        let Credentials { uid, gid, euid, egid, suid, sgid, fsuid, fsgid, securebits, .. } = *ids;
        let capabilities = CapabilitySets(ids.capabilities);
        CredentialFields {
            uid,
            gid,
            euid,
            egid,
            suid,
            sgid,
            fsuid,
            fsgid,
            securebits,
            capabilities,
        }
    }
}

impl InsideFields {
    fn new(ids: InsideIds) -> Self {
        let InsideIds { uid, gid, euid, egid, suid, sgid } = ids;
        InsideFields { uid, gid, euid, egid, suid, sgid }
    }
}

impl<'a> NameFields<'a> {
    fn new(names: &'a Names) -> Self {
        NameFields {
            euid: names.euid.as_deref(),
            uid: names.uid.as_deref(),
            suid: names.suid.as_deref(),
            egid: names.egid.as_deref(),
            gid: names.gid.as_deref(),
            sgid: names.sgid.as_deref(),
            loginuid: names.loginuid.as_deref(),
            file_owner: names.file_owner.as_deref(),
            file_group: names.file_group.as_deref(),
        }
    }
}

impl<'a> LeaderFields<'a> {
    pub(super) fn new(leader: &'a Leader) -> Self {
        let (comm, executable) = (leader.comm.as_deref(), leader.executable.as_deref());
        LeaderFields {
            pid: leader.pid,
            entity_id: leader.entity_id,
            start_time: leader.start,
            comm: comm.map(Text),
            comm_base64: comm.and_then(exact),
            executable: executable.map(Text),
            executable_base64: executable.and_then(exact),
            args: leader.args.as_deref().map(ArgsFields::new),
            euid: leader.euid,
            user: leader.user.as_deref(),
            interactive: leader.interactive,
        }
    }
}

impl<'a> EndedFields<'a> {
    pub(super) fn new(exit: &'a Exit, part: Part) -> Self {
        let member = &exit.member;
        let told = |leader: &'a Leader| (leader.pid != 0).then(|| LeaderFields::new(leader));
        EndedFields {
            known: AncestorFields::new(&exit.process, part),
            group_leader: told(&member.group_leader),
            session_leader: told(&member.session_leader),
            tty: member.tty.map(Device),
            credentials: member.euid.map(|euid| EndedCredentials { euid }),
        }
    }
}

impl<'a> AncestorFields<'a> {
    pub(super) fn new(ancestor: &'a Ancestor, part: Part) -> Self {
        let executable = ancestor.executable.as_deref();
        AncestorFields {
            pid: part.mapped(ancestor.key.pid),
            start_ticks: Long(ancestor.key.start_ticks),
            entity_id: ancestor.entity_id,
            start_time: ancestor.start,
            comm: part.mapped(Text(&ancestor.comm)),
            comm_base64: exact(&ancestor.comm),
            executable: part.mapped(executable.map(Text)).flatten(),
            executable_base64: executable.and_then(exact),
            args: ancestor.args.as_deref().map(ArgsFields::new),
            source: ancestor.source.as_str(),
        }
    }
}
