//! The leaders of an exec: of its process group, of its session, and the one by which its session was
//! entered, each as far as the table knows it.

use std::sync::Arc;

use common::wire;

use super::ancestry::{Chain, Walker};
use super::clock::Clock;
use super::entry::{self, Member};
use super::identity::Identities;
use super::table::{Program, Standing, Table};
use super::users::Users;
use crate::event::{Ancestor, EntryKind, EntryLeader, Id, Leader, ProcessKey, WallTime, basename};

/// Ancestors looked at for the entry leader, also beyond those that are listed. A login is rarely
/// more than twenty deep; a program that forks itself without end must not be followed without end.
const MEMBERS_MAX: usize = 256;

/// The entry leader of a process that executed, and how it came. The chain was walked before, so that
/// the table knows all that is to be known.
#[must_use]
pub fn entry(
    walker: &Walker<'_>,
    process: ProcessKey,
    chain: &Chain,
    kernel: &[wire::Ancestor],
) -> Option<(ProcessKey, EntryKind)> {
    struct Seen {
        key: ProcessKey,
        program: Option<Arc<Program>>,
        standing: Standing,
    }
    let own = walker.table.standing(process).cloned().unwrap_or_default();
    let see = |key: ProcessKey| {
        let mut standing = walker.table.standing(key).cloned().unwrap_or_default();
        // Nothing is known of it but that the process is in its session.
        if standing.sid.is_none() && own.sid == Some(key.pid) {
            standing = Standing { sid: own.sid, tty: own.tty, ..standing };
        }
        Seen { key, program: walker.table.get(key).and_then(|(_, program, _)| program), standing }
    };
    let mut seen: Vec<Seen> = vec![see(process)];
    seen.extend(chain.list.iter().map(|ancestor| see(ancestor.key)));
    while chain.cut
        && seen.len() < MEMBERS_MAX
        && let Some(top) = seen.last().map(|top| top.key)
        && let Some(parent) = walker.parent_of(top, process, kernel)
    {
        seen.push(see(parent));
    }
    let members: Vec<Member<'_>> = seen
        .iter()
        .enumerate()
        .map(|(at, seen)| {
            let executable =
                seen.program.as_ref().and_then(|program| program.executable.as_deref());
            let name = seen.program.as_ref().map(|program| &*program.name);
            // Of an ancestor that only the kernel saw there is the name of its task.
            let listed = at.checked_sub(1).and_then(|at| chain.list.get(at));
            let name = name.or_else(|| listed.map(|ancestor| &*ancestor.comm)).unwrap_or_default();
            Member {
                pid: seen.key.pid,
                name: executable.map(basename).filter(|name| !name.is_empty()).unwrap_or(name),
                sid: seen.standing.sid,
                tty: seen.standing.tty,
                container: seen.standing.container.as_deref(),
            }
        })
        .collect();
    let (at, kind) = entry::find(&members)?;
    Some((seen.get(at)?.key, kind))
}

/// What leaders are described from.
pub struct Described<'a> {
    /// Programs and users of processes.
    pub table: &'a Table,
    /// For entity ids.
    pub identities: &'a Identities,
    /// For names of users, where there may be one.
    pub users: Option<&'a Users>,
    /// For start times.
    pub clock: Clock,
    /// The process that executed, and its start.
    pub started: (ProcessKey, WallTime),
    /// Its ancestors.
    pub chain: &'a [Ancestor],
}

impl Described<'_> {
    /// The leaders of a process: of the group and the session with these ids, 0 where there is none or none
    /// is known, and the entry.
    #[must_use]
    pub fn leaders(
        &self,
        pgid: u32,
        sid: u32,
        entry: Option<(ProcessKey, EntryKind)>,
    ) -> (Leader, Leader, Option<EntryLeader>) {
        let entry = entry.map(|(key, kind)| EntryLeader { leader: self.leader(key, true), kind });
        (self.leader_of(pgid, false), self.leader_of(sid, true), entry)
    }

    /// The leader of the group or session with this id, which is its pid. A pid is not used again
    /// while a group or session has it, so the newest process of it is meant.
    fn leader_of(&self, id: u32, with_args: bool) -> Leader {
        let listed = || self.chain.iter().map(|ancestor| ancestor.key).find(|key| key.pid == id);
        match self.table.newest(id).or_else(listed) {
            Some(key) => self.leader(key, with_args),
            None => Leader { pid: id, ..Leader::default() },
        }
    }

    /// A process as a leader.
    fn leader(&self, key: ProcessKey, with_args: bool) -> Leader {
        let program = self.table.get(key).and_then(|(_, program, _)| program);
        let standing = self.table.standing(key).cloned().unwrap_or_default();
        let listed = self.chain.iter().find(|ancestor| ancestor.key == key);
        let comm = program.as_ref().map(|program| program.name.clone());
        Leader {
            pid: key.pid,
            entity_id: Some(self.entity_id(key, listed)),
            start: Some(self.start(key, listed)),
            comm: comm.or_else(|| listed.map(|ancestor| ancestor.comm.clone())),
            executable: program.as_ref().and_then(|program| program.executable.clone()),
            args: program.and_then(|program| program.args.clone()).filter(|_| with_args),
            euid: standing.euid,
            user: standing.euid.and_then(|euid| self.users?.user(euid)),
            // What terminal it has is known of a process whose session is.
            interactive: standing.sid.map(|_| standing.tty.is_some()),
        }
    }

    /// A hash that was computed for the chain is not computed again.
    fn entity_id(&self, key: ProcessKey, listed: Option<&Ancestor>) -> Id {
        listed.map_or_else(|| self.identities.process(key), |ancestor| ancestor.entity_id)
    }

    /// The same time as in the process's own event.
    fn start(&self, key: ProcessKey, listed: Option<&Ancestor>) -> WallTime {
        let (process, start) = self.started;
        match listed {
            _ if key == process => start,
            Some(ancestor) => ancestor.start,
            None => self.table.start(key, self.clock),
        }
    }
}
