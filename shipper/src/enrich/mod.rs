//! From a kernel record to an event: names, identity, container, ancestry. Never talks to the kernel
//! programs; asks /proc only for what neither record nor table knows.

pub mod ancestry;
pub mod clock;
mod container;
mod entry;
mod environment;
mod exit;
pub mod hash;
mod host;
mod identity;
mod leaders;
pub mod procfs;
mod record;
mod table;
mod users;

use std::path::Path;
use std::sync::Arc;

use common::decode::{ExecRecord, comm};
use common::wire::{
    self, EXEC_CREDENTIALS_BEFORE, EXEC_HOOK, EXEC_INTERPRETED, EXEC_NO_NEW_PRIVS, EXEC_TTY,
};

use crate::event::{
    Bytes, Credentials, Exec, ExecutedFile, Failure, FileFacts, Host, Loss, LossKind, LossStage,
    Names, Path as EventPath, Process, ProcessKey, Source, WallTime, basename,
};
use crate::redact::Redactor;
use ancestry::{Walker, key, seed};
use clock::{Clock, wall_now};
use container::{Containers, Known};
use environment::Allowed;
use exit::Ended;
use identity::Identities;
use procfs::{Asked, Procfs};
use table::{Standing, Table};
use users::Users;

pub use container::StateDirs;
pub use table::ENTRIES_MIN as PROCESS_TABLE_MIN;

/// Most entries of the process table unless the operator says otherwise. A busy build host has some
/// thousands of processes.
pub const PROCESS_TABLE_MAX: usize = 65_536;

/// Longest task name: `TASK_COMM_LEN` without its NUL. A name this long may be cut.
const COMM_BYTES_MAX: usize = 15;

/// Most processes whose program is looked up again at a [`Enricher::refresh`] after executions were
/// lost: some 100 us of /proc each, while the ring is likely to be full.
const REASSURED_MAX: usize = 256;

/// Turns records into events.
pub struct Enricher {
    host: Arc<Host>,
    identities: Identities,
    clock: Clock,
    users: Users,
    procfs: Procfs,
    table: Table,
    ended: Ended,
    containers: Containers,
    /// Environment variables that events may have.
    env: Allowed,
    depth_max: usize,
    /// Loss reports made so far.
    losses: u64,
    host_namespaces: HostNamespaces,
}

/// The host's namespaces: those of pid 1, since a systemd unit may give the daemon a mount namespace
/// of its own with the same tree; the daemon's own where pid 1 does not let itself be looked at.
struct HostNamespaces {
    user: Option<u32>,
    mnt: Option<u32>,
}

impl Enricher {
    /// Reads what the machine says of itself. `depth_max`: ancestors listed with an event. `state_dirs`:
    /// where container runtimes keep what they know.
    #[must_use]
    pub fn new(depth_max: usize, state_dirs: StateDirs) -> Self {
        let host = host::read();
        Enricher {
            identities: Identities::new(&host.id, &host.boot_id),
            host: Arc::new(host),
            clock: Clock::now(),
            users: Users::open(Path::new("/etc")),
            procfs: Procfs::new(Path::new("/proc")),
            table: Table::new(PROCESS_TABLE_MAX),
            ended: Ended::default(),
            containers: Containers::new(state_dirs),
            env: Allowed::default(),
            depth_max,
            losses: 0,
            host_namespaces: HostNamespaces {
                user: host_namespace("user"),
                mnt: host_namespace("mnt"),
            },
        }
    }

    /// The same, with a process table of at most so many entries, [`PROCESS_TABLE_MIN`] or more. What was
    /// in the table, and how it was set, is forgotten.
    #[must_use]
    pub fn with_process_table(self, entries_max: usize) -> Self {
        Enricher { table: Table::new(entries_max), ..self }
    }

    /// The same, with these environment variables in its events.
    #[must_use]
    pub fn with_env(self, names: &[String]) -> Self {
        Enricher { env: Allowed::new(names), ..self }
    }

    /// The same, with secrets taken out of the arguments that the process table keeps, and so of ancestors,
    /// leaders and ends. The arguments in [`Enricher::exec`]'s events are whole.
    #[must_use]
    pub fn with_redaction(mut self, redactor: Option<Arc<Redactor>>) -> Self {
        self.table.redact(redactor);
        self
    }

    /// Takes in all processes there are. Capture must have begun before, so that none falls between.
    pub fn seed(&mut self) {
        for pid in self.procfs.pids() {
            seed(&mut self.table, &self.procfs, pid);
        }
    }

    /// Looks at what changes slowly: clock offset, user database, host name; and at some of the processes
    /// in doubt. About once a second.
    pub fn refresh(&mut self) {
        for key in self.table.in_doubt(REASSURED_MAX) {
            seed(&mut self.table, &self.procfs, key.pid);
        }
        self.clock = Clock::now();
        self.users.refresh();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if name != self.host.name {
            self.host = Arc::new(Host { name, ..(*self.host).clone() });
        }
    }

    /// A process was made, or executed what is left out of the records.
    pub fn fork(&mut self, fork: &wire::Fork) {
        let child = key(&fork.child);
        if key(&fork.parent) == child {
            self.table.doubt_one(child);
            return;
        }
        self.table.fork(key(&fork.parent), child);
        self.table.started(child, fork.child.start_ns);
    }

    /// A process ended, of which nobody wants an event.
    pub fn exit(&mut self, exit: &wire::Exit) {
        self.table.exit(key(&exit.process));
    }

    /// Executions were lost, before the record that is read next: a process that lived then may run
    /// something else by now than the table has.
    pub fn doubt(&mut self) {
        self.table.doubt();
    }

    /// Exit records were lost: entries of processes that are gone would stay for ever.
    pub fn reconcile(&mut self) {
        let procfs = &self.procfs;
        self.table.reconcile(|key| procfs.is_alive(key));
    }

    /// Processes in the table, and how many had to go for lack of room.
    #[must_use]
    pub fn table_size(&self) -> (usize, u64) {
        (self.table.len(), self.table.evicted())
    }

    /// Wall time of a moment in nanoseconds since boot, by the offset as last measured.
    #[must_use]
    pub fn wall(&self, boot_ns: u64) -> WallTime {
        self.clock.wall(boot_ns)
    }

    /// A report of lost records: of a loss for one sink alone, or for all.
    #[must_use]
    pub fn loss(
        &mut self,
        stage: LossStage,
        kind: LossKind,
        sink: Option<String>,
        count: u64,
        first: WallTime,
        last: WallTime,
    ) -> Loss {
        self.losses += 1;
        Loss {
            id: self.identities.loss(kind.as_str(), stage.as_str(), last, self.losses),
            time: last,
            host: self.host.clone(),
            stage,
            kind,
            sink,
            cgroup: None,
            rule: None,
            count,
            first,
            last,
        }
    }

    /// The path of a cgroup by its names from the leaf up, each ended by NUL.
    #[must_use]
    pub fn cgroup_path(names: &[u8]) -> Bytes {
        record::cgroup_path(names)
    }

    /// An execution, or an attempt that failed: that leaves the process what it was.
    #[must_use]
    pub fn exec(&mut self, record: &ExecRecord<'_>) -> Exec {
        let raw = &record.exec;
        let process = key(&raw.process);
        let binary_path = record::path(record.path(raw.binary_path));
        let working_directory = record::path(record.path(raw.cwd));
        let filename = record.bytes(raw.filename);
        let same_users = self.host_namespaces.mnt == Some(raw.namespaces.mnt)
            && self.host_namespaces.user == Some(raw.namespaces.user);
        let failed = raw.errno != 0;
        let binary = record::file(&raw.binary, binary_path.clone());
        let (file, interpreter) = if failed || raw.flags & EXEC_INTERPRETED != 0 {
            let file = if raw.flags & EXEC_HOOK != 0 {
                record::file(&raw.file, record::path(record.path(raw.file_path)))
            } else {
                let whole = !working_directory.cut && !working_directory.unreachable;
                let device = record::device(raw.binary.device);
                let asked = Asked {
                    filename: &record::below(raw.directory, filename, failed),
                    cwd: whole.then_some(&*working_directory.bytes),
                    here: same_users,
                    interpreter: (&binary_path.bytes, raw.binary.inode, device),
                };
                self.look_up(process, &asked, &working_directory)
            };
            (file, (!failed).then_some(binary))
        } else {
            (binary, None)
        };

        let runs = if failed { &binary_path.bytes } else { filename };
        let name = full_name(comm(&raw.comm), Some(runs));
        let args = record::args(record);
        let tty = (raw.flags & EXEC_TTY != 0).then_some((raw.tty_major, raw.tty_minor));
        let cgroup = record.bytes(raw.cgroup);
        let known = self.containers.of(record::cgroup_names(cgroup), record.header.boot_ns);
        if !failed {
            let program =
                self.table.program(name.clone(), Some(binary_path.bytes.clone()), Some(&args));
            let parent = record.ancestors().first().map(|ancestor| key(&ancestor.process));
            self.table.exec(process, parent, program);
        }
        self.table.started(process, raw.process.start_ns);
        self.table.stand(
            process,
            Standing {
                sid: (raw.sid != 0).then_some(raw.sid),
                pgid: (raw.pgid != 0).then_some(raw.pgid),
                tty,
                euid: Some(raw.credentials.euid),
                container: known.as_ref().map(|known| known.id.clone()),
            },
        );
        if let Some(leader) = self.table.newest(raw.sid) {
            self.table.leads_session(leader, tty);
        }
        if let Some(leader) = self.table.newest(raw.pgid) {
            self.table.leads_group(leader);
        }
        let mut walker = self.walker();
        let chain = walker.walk(process, record.ancestors());
        let entry = leaders::entry(&walker, process, &chain, record.ancestors());
        let (container_id, container) = match known {
            Some(Known { id, container }) => (Some(id.as_ref().to_owned()), container),
            None => (None, None),
        };
        let start = self.clock.wall(raw.process.start_ns);
        let of = leaders::Described {
            table: &self.table,
            identities: &self.identities,
            users: same_users.then_some(&self.users),
            clock: self.clock,
            started: (process, start),
            chain: &chain.list,
        };
        let (group_leader, session_leader, entry_leader) = of.leaders(raw.pgid, raw.sid, entry);

        let credentials = record::credentials(&raw.credentials);
        let loginuid = (raw.loginuid != u32::MAX).then_some(raw.loginuid);
        let names = same_users.then(|| self.names(&credentials, loginuid, file.facts.as_ref()));
        Exec {
            id: self.identities.exec(process, record.header.boot_ns),
            time: self.clock.wall(record.header.boot_ns),
            boot_ns: record.header.boot_ns,
            read: wall_now(),
            cpu: record.header.cpu,
            sequence: record.header.sequence,
            host: self.host.clone(),
            process: Process {
                key: process,
                entity_id: self.identities.process(process),
                start,
                tid: raw.old_tid,
                vpid: (raw.vpid != 0).then_some(raw.vpid),
                comm: name,
                executable: binary_path,
                args,
                env: self.env.of(record),
                working_directory,
                credentials,
                credentials_before: (raw.flags & EXEC_CREDENTIALS_BEFORE != 0)
                    .then(|| record::credentials(&raw.before)),
                no_new_privs: raw.flags & EXEC_NO_NEW_PRIVS != 0,
                inside: record.id_maps().and_then(|maps| record::inside(&maps, &credentials)),
                names,
                loginuid,
                audit_session: (raw.sessionid != u32::MAX).then_some(raw.sessionid),
                group_leader,
                session_leader,
                tty,
                namespaces: record::namespaces(&raw.namespaces),
                cgroup_id: raw.cgroup_id,
                cgroup: record::cgroup_path(cgroup),
            },
            file,
            interpreter,
            ancestry: chain.list,
            ancestry_cut: chain.cut,
            container_id,
            container,
            entry_leader,
            failure: failed
                .then(|| Failure { errno: raw.errno, denied_by: record::denied_by(raw.flags) }),
            enforcement: record::enforcement(record),
            matches: Vec::new(),
        }
    }

    fn walker(&mut self) -> Walker<'_> {
        Walker {
            table: &mut self.table,
            procfs: &self.procfs,
            identities: &self.identities,
            clock: self.clock,
            depth_max: self.depth_max,
        }
    }

    /// The script's own file, which the kernel has let go of when the exec commits (tracepoint mode).
    fn look_up(&self, process: ProcessKey, asked: &Asked<'_>, cwd: &EventPath) -> ExecutedFile {
        match self.procfs.executed_file(process, asked) {
            Some((facts, bytes)) => ExecutedFile {
                path: EventPath { bytes, ..EventPath::default() },
                facts: Some(facts),
                source: Source::Procfs,
                hash: None,
            },
            None => {
                let relative = !asked.filename.starts_with(b"/");
                ExecutedFile {
                    path: EventPath {
                        bytes: record::join(&cwd.bytes, asked.filename),
                        cut: relative && cwd.cut,
                        unreachable: relative && cwd.unreachable,
                    },
                    facts: None,
                    source: Source::Unknown,
                    hash: None,
                }
            }
        }
    }

    fn names(&self, ids: &Credentials, loginuid: Option<u32>, file: Option<&FileFacts>) -> Names {
        Names {
            euid: self.users.user(ids.euid),
            uid: self.users.user(ids.uid),
            suid: self.users.user(ids.suid),
            egid: self.users.group(ids.egid),
            gid: self.users.group(ids.gid),
            sgid: self.users.group(ids.sgid),
            loginuid: loginuid.and_then(|uid| self.users.user(uid)),
            file_owner: file.and_then(|facts| self.users.user(facts.uid)),
            file_group: file.and_then(|facts| self.users.group(facts.gid)),
        }
    }
}

/// The task's name, or the whole name of the file where the task's is its beginning, cut at 15 bytes.
#[must_use]
pub fn full_name(comm: &[u8], path: Option<&[u8]>) -> Bytes {
    let whole = path.map(basename).unwrap_or_default();
    if comm.len() == COMM_BYTES_MAX && whole.starts_with(comm) { whole.into() } else { comm.into() }
}

fn host_namespace(name: &str) -> Option<u32> {
    // `user:[4026531837]`
    let link = |pid| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    let link = link("1").or_else(|| link("self"))?;
    link.to_str()?.rsplit_once('[')?.1.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cut_by_the_kernel_is_completed_from_the_file_and_no_other_is_touched() {
        let name = |comm: &str, path: &str| {
            String::from_utf8_lossy(&full_name(comm.as_bytes(), Some(path.as_bytes()))).into_owned()
        };
        assert_eq!(name("systemd-tmpfile", "/bin/systemd-tmpfiles"), "systemd-tmpfiles");
        assert_eq!(name("systemd-tmpfile", "/bin/other"), "systemd-tmpfile");
        assert_eq!(name("sh", "/bin/shipper"), "sh");
    }
}
