//! From bytes of the spool back to the event.

use std::sync::Arc;

use super::recent::Recent;
use super::wire::{Field, Fields, small};
use super::{CodecError, enforcement, failure, file, rule_match};
use crate::event::{
    Ancestor, Args, Bytes, Capabilities, Container, Credentials, EntryKind, EntryLeader,
    Environment, Event, Exec, Host, Id, InsideIds, Leader, Names, Namespaces, Path, Process,
    ProcessKey, Source, WallTime,
};

/// Lists of arguments that are remembered: more than the ancestors and leaders of one process.
const ARGS_KEPT_MAX: usize = 16;
/// Containers that are remembered: a few execute most programs.
const CONTAINERS_KEPT_MAX: usize = 4;
/// Sets of names that are remembered: a few users execute most programs.
const NAMES_KEPT_MAX: usize = 4;

/// Decodes one event after the other. Events share what is the same in them, in one place of memory:
/// the host, the container, and the arguments of ancestors.
#[derive(Debug)]
pub struct Decoder {
    host: Recent<Arc<Host>>,
    args: Recent<Arc<Args>>,
    names: Recent<Names>,
    containers: Recent<Arc<Container>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            host: Recent::new(1),
            args: Recent::new(ARGS_KEPT_MAX),
            names: Recent::new(NAMES_KEPT_MAX),
            containers: Recent::new(CONTAINERS_KEPT_MAX),
        }
    }
}

impl Decoder {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Decoder::default()
    }

    /// The event in these bytes. What a later version added is skipped.
    ///
    /// # Errors
    /// The bytes are not an event, a part that must be there is not, or a later version wrote
    /// something that cannot be skipped.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Event, CodecError> {
        let mut event = Err(CodecError::Unknown("kind of event"));
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => event = Ok(Event::Exec(Box::new(self.exec(field.bytes()?)?))),
                2 => event = Ok(Event::Loss(self.loss(field.bytes()?)?)),
                3 => event = Ok(Event::Exit(Box::new(self.exit(field.bytes()?)?))),
                _ => {}
            }
        }
        event
    }

    fn exec(&mut self, bytes: &[u8]) -> Result<Exec, CodecError> {
        let (mut id, mut time, mut boot_ns, mut read) = (None, None, None, None);
        let (mut cpu, mut sequence, mut host, mut inner) = (None, None, None, None);
        let (mut executed, mut interpreter, mut container_id) = (None, None, None);
        let (mut known_container, mut entry) = (None, None);
        let mut ancestry = Vec::new();
        let (mut ancestry_cut, mut failed) = (false, None);
        let (mut rule, mut action, mut matches) = (None, None, Vec::new());
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => id = Some(read_id(&field)?),
                2 => time = Some(WallTime(field.uint()?)),
                3 => boot_ns = Some(field.uint()?),
                4 => read = Some(WallTime(field.uint()?)),
                5 => cpu = Some(field.small()?),
                6 => sequence = Some(field.uint()?),
                7 => host = Some(self.host(field.bytes()?)?),
                8 => inner = Some(self.process(field.bytes()?)?),
                9 => executed = Some(file::decode(field.bytes()?)?),
                10 => interpreter = Some(file::decode(field.bytes()?)?),
                11 => ancestry.push(self.ancestor(field.bytes()?)?),
                12 => ancestry_cut = field.flag()?,
                13 => container_id = Some(field.text()?.to_owned()),
                14 => failed = Some(failure::decode(field.bytes()?)?),
                15 => known_container = Some(self.container(field.bytes()?)?),
                16 => entry = Some(self.entry_leader(field.bytes()?)?),
                70 => rule = Some(field.text()?),
                71 => action = Some(field.uint()?),
                rule_match::NUMBER => matches.push(rule_match::decode(field.bytes()?)?),
                _ => {}
            }
        }
        Ok(Exec {
            id: need(id, "exec.id")?,
            time: need(time, "exec.time")?,
            boot_ns: need(boot_ns, "exec.boot_ns")?,
            read: need(read, "exec.read")?,
            cpu: need(cpu, "exec.cpu")?,
            sequence: need(sequence, "exec.sequence")?,
            host: need(host, "exec.host")?,
            process: need(inner, "exec.process")?,
            file: need(executed, "exec.file")?,
            interpreter,
            ancestry,
            ancestry_cut,
            container_id,
            container: known_container,
            entry_leader: entry,
            failure: failed,
            enforcement: enforcement::decode(rule, action)?,
            matches,
        })
    }

    fn container(&mut self, bytes: &[u8]) -> Result<Arc<Container>, CodecError> {
        self.containers.get(bytes, |bytes| container(bytes).map(Arc::new))
    }

    fn args(&mut self, bytes: &[u8]) -> Result<Arc<Args>, CodecError> {
        self.args.get(bytes, |bytes| args(bytes).map(Arc::new))
    }

    pub(super) fn host(&mut self, bytes: &[u8]) -> Result<Arc<Host>, CodecError> {
        self.host.get(bytes, |bytes| host(bytes).map(Arc::new))
    }

    fn process(&mut self, bytes: &[u8]) -> Result<Process, CodecError> {
        let (mut key, mut entity_id, mut start, mut tid, mut vpid) = (None, None, None, None, None);
        let (mut comm, mut executable, mut arguments, mut cwd) = (None, None, None, None);
        let (mut ids, mut ids_before, mut known_names) = (None, None, None);
        let (mut loginuid, mut audit_session, mut tty) = (None, None, None);
        let (mut group_leader, mut session_leader) = (None, None);
        let (mut inodes, mut cgroup_id, mut cgroup) = (None, None, None);
        let (mut no_new_privs, mut inside) = (false, None);
        let mut env = Environment::default();
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => key = Some(read_key(&field)?),
                2 => entity_id = Some(read_id(&field)?),
                3 => start = Some(WallTime(field.uint()?)),
                4 => tid = Some(field.small()?),
                5 => vpid = Some(field.small()?),
                6 => comm = Some(read_bytes(&field)?),
                7 => executable = Some(path(field.bytes()?)?),
                8 => arguments = Some(args(field.bytes()?)?),
                9 => cwd = Some(path(field.bytes()?)?),
                10 => ids = Some(credentials(&field)?),
                11 => ids_before = Some(credentials(&field)?),
                12 => known_names = Some(self.names.get(field.bytes()?, names)?),
                13 => loginuid = Some(field.small()?),
                14 => audit_session = Some(field.small()?),
                15 => group_leader = Some(self.leader(field.bytes()?)?),
                16 => session_leader = Some(self.leader(field.bytes()?)?),
                17 => {
                    let [major, minor] = field.numbers()?;
                    tty = Some((small(major)?, small(minor)?));
                }
                18 => inodes = Some(namespaces(&field)?),
                19 => cgroup_id = Some(field.uint()?),
                20 => cgroup = Some(read_bytes(&field)?),
                21 => no_new_privs = field.flag()?,
                22 => inside = Some(inside_ids(&field)?),
                90 => env.list.push(read_bytes(&field)?),
                91 => env.truncated = field.flag()?,
                92 => env.faulted = field.flag()?,
                93 => env.redacted.push(Arc::from(field.text()?)),
                _ => {}
            }
        }
        Ok(Process {
            key: need(key, "process.key")?,
            entity_id: need(entity_id, "process.entity_id")?,
            start: need(start, "process.start")?,
            tid: need(tid, "process.tid")?,
            vpid,
            comm: need(comm, "process.comm")?,
            executable: need(executable, "process.executable")?,
            args: need(arguments, "process.args")?,
            env,
            working_directory: need(cwd, "process.working_directory")?,
            credentials: need(ids, "process.credentials")?,
            credentials_before: ids_before,
            no_new_privs,
            inside,
            names: known_names,
            loginuid,
            audit_session,
            group_leader: need(group_leader, "process.group_leader")?,
            session_leader: need(session_leader, "process.session_leader")?,
            tty,
            namespaces: need(inodes, "process.namespaces")?,
            cgroup_id: need(cgroup_id, "process.cgroup_id")?,
            cgroup: need(cgroup, "process.cgroup")?,
        })
    }

    pub(super) fn leader(&mut self, bytes: &[u8]) -> Result<Leader, CodecError> {
        let mut known = Leader::default();
        let mut pid = None;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => pid = Some(field.small()?),
                2 => known.entity_id = Some(read_id(&field)?),
                3 => known.start = Some(WallTime(field.uint()?)),
                4 => known.comm = Some(read_bytes(&field)?),
                5 => known.executable = Some(read_bytes(&field)?),
                6 => known.args = Some(self.args(field.bytes()?)?),
                7 => known.euid = Some(field.small()?),
                8 => known.user = Some(Arc::from(field.text()?)),
                9 => known.interactive = Some(field.flag()?),
                _ => {}
            }
        }
        Ok(Leader { pid: need(pid, "leader.pid")?, ..known })
    }

    pub(super) fn entry_leader(&mut self, bytes: &[u8]) -> Result<EntryLeader, CodecError> {
        let (mut leader, mut kind) = (None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => leader = Some(self.leader(field.bytes()?)?),
                2 => kind = Some(read_entry_kind(field.uint()?)?),
                _ => {}
            }
        }
        Ok(EntryLeader {
            leader: need(leader, "entry_leader.leader")?,
            kind: need(kind, "entry_leader.kind")?,
        })
    }

    pub(super) fn ancestor(&mut self, bytes: &[u8]) -> Result<Ancestor, CodecError> {
        let (mut key, mut entity_id, mut start, mut comm) = (None, None, None, None);
        let (mut executable, mut arguments, mut source) = (None, None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => key = Some(read_key(&field)?),
                2 => entity_id = Some(read_id(&field)?),
                3 => start = Some(WallTime(field.uint()?)),
                4 => comm = Some(read_bytes(&field)?),
                5 => executable = Some(read_bytes(&field)?),
                6 => arguments = Some(self.args(field.bytes()?)?),
                7 => source = Some(read_source(field.uint()?)?),
                _ => {}
            }
        }
        Ok(Ancestor {
            key: need(key, "ancestor.key")?,
            entity_id: need(entity_id, "ancestor.entity_id")?,
            start: need(start, "ancestor.start")?,
            comm: need(comm, "ancestor.comm")?,
            executable,
            args: arguments,
            source: need(source, "ancestor.source")?,
        })
    }
}

/// What must be there.
pub(super) fn need<T>(value: Option<T>, name: &'static str) -> Result<T, CodecError> {
    value.ok_or(CodecError::Missing(name))
}

pub(super) fn read_id(field: &Field<'_>) -> Result<Id, CodecError> {
    field.bytes()?.try_into().map(Id).map_err(|_| CodecError::IdLength)
}

pub(super) fn read_bytes(field: &Field<'_>) -> Result<Bytes, CodecError> {
    field.bytes().map(Bytes::from)
}

fn host(bytes: &[u8]) -> Result<Host, CodecError> {
    let mut texts: [Option<String>; 9] = Default::default();
    for field in Fields::new(bytes) {
        let field = field?;
        if let number @ 1..=9 = field.number {
            texts[number as usize - 1] = Some(field.text()?.to_owned());
        }
    }
    let [name, id, boot_id, kernel, architecture, os_platform, os_name, os_version, os_full] =
        texts;
    Ok(Host {
        name: need(name, "host.name")?,
        id: need(id, "host.id")?,
        boot_id: need(boot_id, "host.boot_id")?,
        kernel: need(kernel, "host.kernel")?,
        architecture: need(architecture, "host.architecture")?,
        os_platform: need(os_platform, "host.os_platform")?,
        os_name: need(os_name, "host.os_name")?,
        os_version: need(os_version, "host.os_version")?,
        os_full: need(os_full, "host.os_full")?,
    })
}

fn read_key(field: &Field<'_>) -> Result<ProcessKey, CodecError> {
    let [pid, start_ticks] = field.numbers()?;
    Ok(ProcessKey { pid: small(pid)?, start_ticks })
}

fn credentials(field: &Field<'_>) -> Result<Credentials, CodecError> {
    let [uid, gid, euid, egid, suid, sgid, fsuid, fsgid, securebits, sets @ ..] =
        field.numbers::<14>()?;
    let [inheritable, permitted, effective, bounding, ambient] = sets;
    Ok(Credentials {
        uid: small(uid)?,
        gid: small(gid)?,
        euid: small(euid)?,
        egid: small(egid)?,
        suid: small(suid)?,
        sgid: small(sgid)?,
        fsuid: small(fsuid)?,
        fsgid: small(fsgid)?,
        securebits: small(securebits)?,
        capabilities: Capabilities { inheritable, permitted, effective, bounding, ambient },
    })
}

fn inside_ids(field: &Field<'_>) -> Result<InsideIds, CodecError> {
    let id = |number: u64| number.checked_sub(1).map(small).transpose();
    let [uid, gid, euid, egid, suid, sgid] = field.numbers()?;
    Ok(InsideIds {
        uid: id(uid)?,
        gid: id(gid)?,
        euid: id(euid)?,
        egid: id(egid)?,
        suid: id(suid)?,
        sgid: id(sgid)?,
    })
}

fn namespaces(field: &Field<'_>) -> Result<Namespaces, CodecError> {
    let [mnt, pid, net, uts, ipc, cgroup, time, user] = field.numbers()?;
    Ok(Namespaces {
        mnt: small(mnt)?,
        pid: small(pid)?,
        net: small(net)?,
        uts: small(uts)?,
        ipc: small(ipc)?,
        cgroup: small(cgroup)?,
        time: small(time)?,
        user: small(user)?,
    })
}

fn names(bytes: &[u8]) -> Result<Names, CodecError> {
    let mut names = Names::default();
    for field in Fields::new(bytes) {
        let field = field?;
        let name = match field.number {
            1 => &mut names.euid,
            2 => &mut names.uid,
            3 => &mut names.suid,
            4 => &mut names.egid,
            5 => &mut names.gid,
            6 => &mut names.sgid,
            7 => &mut names.loginuid,
            8 => &mut names.file_owner,
            9 => &mut names.file_group,
            _ => continue,
        };
        *name = Some(Arc::from(field.text()?));
    }
    Ok(names)
}

fn container(bytes: &[u8]) -> Result<Container, CodecError> {
    let mut known = Container::default();
    for field in Fields::new(bytes) {
        let field = field?;
        let text = match field.number {
            1 => &mut known.runtime,
            2 => &mut known.name,
            3 => &mut known.image_name,
            4 => &mut known.image_tag,
            5 => &mut known.pod_uid,
            6 => &mut known.pod_name,
            7 => &mut known.pod_namespace,
            8 => {
                known.from_runtime = field.flag()?;
                continue;
            }
            _ => continue,
        };
        *text = Some(Arc::from(field.text()?));
    }
    Ok(known)
}

pub(super) fn path(message: &[u8]) -> Result<Path, CodecError> {
    let (mut bytes, mut cut, mut unreachable) = (None, false, false);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => bytes = Some(read_bytes(&field)?),
            2 => cut = field.flag()?,
            3 => unreachable = field.flag()?,
            _ => {}
        }
    }
    Ok(Path { bytes: need(bytes, "path.bytes")?, cut, unreachable })
}

fn args(bytes: &[u8]) -> Result<Args, CodecError> {
    let (mut list, mut totals) = (Vec::new(), None);
    let (mut truncated, mut faulted, mut redacted) = (false, false, Vec::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => list.push(read_bytes(&field)?),
            2 => totals = Some(field.numbers()?),
            3 => truncated = field.flag()?,
            4 => faulted = field.flag()?,
            5 => redacted.push(Arc::from(field.text()?)),
            _ => {}
        }
    }
    let [count, bytes_total] = need(totals, "args.totals")?;
    Ok(Args { list, count: small(count)?, bytes_total, truncated, faulted, redacted })
}

pub(super) fn read_source(number: u64) -> Result<Source, CodecError> {
    match number {
        1 => Ok(Source::Kernel),
        2 => Ok(Source::Event),
        3 => Ok(Source::Procfs),
        4 => Ok(Source::Unknown),
        _ => Err(CodecError::Unknown("source")),
    }
}

fn read_entry_kind(number: u64) -> Result<EntryKind, CodecError> {
    let known = EntryKind::ALL.into_iter().find(|kind| super::entry_kind(*kind) == number);
    known.ok_or(CodecError::Unknown("entry_leader.kind"))
}
