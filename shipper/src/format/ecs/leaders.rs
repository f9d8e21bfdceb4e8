//! `process.group_leader`, `process.session_leader` and `process.entry_leader`: what Elastic's Session
//! View puts sessions together from.

use serde::Serialize;

use super::super::text::{Text, some};
use super::AncestorArgs;
use super::fields::Ids;
use crate::event::{EntryLeader, Exec, Exit, Id, Leader, WallTime};

/// The three of them.
#[derive(Serialize)]
pub(super) struct Leaders<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    group_leader: Option<LeaderFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_leader: Option<LeaderFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_leader: Option<LeaderFields<'a>>,
}

#[derive(Serialize)]
struct LeaderFields<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Text<'a>>,
    #[serde(flatten)]
    args: Option<AncestorArgs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Ids<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as_process: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_meta: Option<EntryMeta>,
}

#[derive(Serialize)]
struct EntryMeta {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Leaders<'a> {
    /// Of an execution. A group or session of id 0 is left out: a kernel thread's, or one the kernel
    /// does not tell.
    pub(super) fn of_exec(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let leaders = (&process.group_leader, &process.session_leader);
        Leaders::new(process.entity_id, leaders, exec.entry_leader.as_ref())
    }

    /// Of an end, as far as they are known.
    pub(super) fn of_end(exit: &'a Exit) -> Self {
        let member = &exit.member;
        let leaders = (&member.group_leader, &member.session_leader);
        Leaders::new(exit.process.entity_id, leaders, member.entry_leader.as_ref())
    }

    fn new(
        process: Id,
        (group, session): (&'a Leader, &'a Leader),
        entry: Option<&'a EntryLeader>,
    ) -> Self {
        let told =
            |leader: &'a Leader| (leader.pid != 0).then(|| LeaderFields::new(leader, process));
        Leaders {
            group_leader: told(group).map(|fields| LeaderFields { args: None, ..fields }),
            session_leader: told(session),
            entry_leader: entry.map(|EntryLeader { leader, kind }| {
                let entry_meta = Some(EntryMeta { kind: kind.as_str() });
                LeaderFields { entry_meta, ..LeaderFields::new(leader, process) }
            }),
        }
    }
}

impl<'a> LeaderFields<'a> {
    fn new(leader: &'a Leader, process: Id) -> Self {
        LeaderFields {
            pid: leader.pid,
            entity_id: leader.entity_id,
            start: leader.start,
            name: leader.comm.as_deref().and_then(some),
            executable: leader.executable.as_deref().and_then(some),
            args: leader.args.as_deref().map(AncestorArgs::new),
            user: leader.euid.map(|euid| Ids::new(euid, leader.user.as_deref())),
            interactive: leader.interactive,
            same_as_process: leader.entity_id.map(|id| id == process),
            entry_meta: None,
        }
    }
}
