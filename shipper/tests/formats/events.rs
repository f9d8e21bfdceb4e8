//! Events of every shape: bytes that are not UTF-8, numbers of every size, each option on and off.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use shipper::event::{
    Ancestor, Args, Bytes, Capabilities, Container, Credentials, DeniedBy, Enforcement,
    EnforcementAction, EntryKind, EntryLeader, Environment, Event, Exec, ExecutedFile, Exit,
    Failure, FileFacts, FileHash, FileSystem, HashMissing, Host, Id, InsideIds, Layer, Leader,
    Loss, LossKind, LossStage, Membership, Names, Namespaces, Path, Process, ProcessKey, RuleMatch,
    Severity, Source, WaitStatus, WallTime,
};

/// Any event.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        9 => exec().boxed().prop_map(|exec| Event::Exec(Box::new(exec))),
        3 => exit().boxed().prop_map(|exit| Event::Exit(Box::new(exit))),
        1 => loss().prop_map(Event::Loss),
    ]
}

/// Bytes as an attacker would choose them: any, and what JSON, terminals and line readers stumble
/// over.
fn bytes(longest: usize) -> impl Strategy<Value = Bytes> {
    let nasty: [&[u8]; 10] = [
        b"",
        b"\n{\"a\":null}\n",
        b"\r",
        b"\"\\",
        b"\x1b[2J\x07\x7f",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        "\u{2028}\u{0}\u{feff}\u{10ffff}".as_bytes(),
        b"/usr/bin/env",
    ];
    prop_oneof![
        vec(any::<u8>(), 0..longest).prop_map(Bytes::from),
        "\\PC{0,20}".prop_map(|text| Bytes::from(text.into_bytes())),
        select(nasty.map(Bytes::from).to_vec()),
    ]
}

fn wall() -> impl Strategy<Value = WallTime> {
    any::<u64>().prop_map(WallTime)
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id)
}

fn source() -> impl Strategy<Value = Source> {
    select(vec![Source::Kernel, Source::Event, Source::Procfs, Source::Unknown])
}

fn key() -> impl Strategy<Value = ProcessKey> {
    any::<(u32, u64)>().prop_map(|(pid, start_ticks)| ProcessKey { pid, start_ticks })
}

fn path() -> impl Strategy<Value = Path> {
    (bytes(60), any::<bool>(), any::<bool>()).prop_map(|(bytes, cut, unreachable)| Path {
        bytes,
        cut,
        unreachable,
    })
}

fn args() -> impl Strategy<Value = Args> {
    (vec(bytes(40), 0..6), any::<u32>(), any::<u64>(), any::<bool>(), any::<bool>(), kinds())
        .prop_map(|(list, count, bytes_total, truncated, faulted, redacted)| Args {
            list,
            count,
            bytes_total,
            truncated,
            faulted,
            redacted,
        })
}

fn environment() -> impl Strategy<Value = Environment> {
    (vec(bytes(40), 0..4), any::<bool>(), any::<bool>(), kinds()).prop_map(
        |(list, truncated, faulted, redacted)| Environment { list, truncated, faulted, redacted },
    )
}

/// Kinds of secrets that were removed.
fn kinds() -> impl Strategy<Value = Vec<Arc<str>>> {
    vec("[a-z_]{1,20}".prop_map(Arc::from), 0..3)
}

prop_compose! {
    fn facts()(
        (uid, gid, mode, links) in any::<(u32, u32, u32, u32)>(),
        (inode, size, device) in any::<(u64, u64, (u32, u32))>(),
        (deleted, memfd, nosuid, noexec, read_only) in any::<(bool, bool, bool, bool, bool)>(),
        (modified, changed) in (option::of(known_time()), option::of(known_time())),
        (file_system, layer) in (
            option::of("[a-z0-9.]{1,15}"),
            option::of(prop_oneof![Just(Layer::Upper), Just(Layer::Lower)]),
        ),
    ) -> FileFacts {
        let file_system = file_system.and_then(|name| FileSystem::new(name.as_bytes()));
        FileFacts {
            uid, gid, mode, inode, device, links, size, deleted, memfd, modified, changed,
            file_system, nosuid, noexec, read_only, layer,
        }
    }
}

fn file() -> impl Strategy<Value = ExecutedFile> {
    (path(), option::of(facts()), source(), option::of(hash()))
        .prop_map(|(path, facts, source, hash)| ExecutedFile { path, facts, source, hash })
}

fn hash() -> impl Strategy<Value = FileHash> {
    let missing = vec![
        HashMissing::Late,
        HashMissing::TooLarge,
        HashMissing::Unreadable,
        HashMissing::Changed,
        HashMissing::NotAFile,
        HashMissing::Gone,
        HashMissing::Unknown,
        HashMissing::Unsure,
    ];
    prop_oneof![
        any::<[u8; 32]>().prop_map(FileHash::Sha256),
        select(missing).prop_map(FileHash::Missing),
    ]
}

prop_compose! {
    fn credentials()(
        (uid, gid, euid, egid, suid, sgid, fsuid, fsgid, securebits) in any::<[u32; 9]>().prop_map(
            |[a, b, c, d, e, f, g, h, i]| (a, b, c, d, e, f, g, h, i)),
        (inheritable, permitted, effective, bounding, ambient) in any::<(u64, u64, u64, u64, u64)>(),
    ) -> Credentials {
        let capabilities = Capabilities { inheritable, permitted, effective, bounding, ambient };
        Credentials { uid, gid, euid, egid, suid, sgid, fsuid, fsgid, securebits, capabilities }
    }
}

fn name() -> impl Strategy<Value = Option<Arc<str>>> {
    option::of("\\PC{0,8}".prop_map(Arc::from))
}

prop_compose! {
    fn names()(
        (euid, uid, suid, egid, gid) in (name(), name(), name(), name(), name()),
        (sgid, loginuid, file_owner, file_group) in (name(), name(), name(), name()),
    ) -> Names {
        Names { euid, uid, suid, egid, gid, sgid, loginuid, file_owner, file_group }
    }
}

/// Any time but the one that stands for none.
fn known_time() -> impl Strategy<Value = WallTime> {
    wall().prop_map(|time| WallTime(time.0.max(1)))
}

fn inside() -> impl Strategy<Value = InsideIds> {
    any::<[Option<u32>; 6]>().prop_map(|[uid, gid, euid, egid, suid, sgid]| InsideIds {
        uid,
        gid,
        euid,
        egid,
        suid,
        sgid,
    })
}

prop_compose! {
    fn leader()(
        (pid, entity_id, start) in
            (prop_oneof![Just(0), any::<u32>()], option::of(id()), option::of(wall())),
        (comm, executable) in (option::of(bytes(16)), option::of(bytes(60))),
        args in option::of(args().prop_map(Arc::new)),
        (euid, interactive, user) in (any::<Option<u32>>(), any::<Option<bool>>(), name()),
    ) -> Leader {
        Leader { pid, entity_id, start, comm, executable, args, euid, user, interactive }
    }
}

fn entry_leader() -> impl Strategy<Value = EntryLeader> {
    (leader(), select(EntryKind::ALL.to_vec()))
        .prop_map(|(leader, kind)| EntryLeader { leader, kind })
}

prop_compose! {
    fn container()(
        (runtime, name, image_name, image_tag) in (name(), name(), name(), name()),
        (pod_uid, pod_name, pod_namespace) in
            (prop_oneof![name(), uuid().prop_map(|uid| Some(uid.into()))], name(), name()),
        from_runtime in any::<bool>(),
    ) -> Arc<Container> {
        Arc::new(Container {
            runtime, name, image_name, image_tag, pod_uid, pod_name, pod_namespace, from_runtime,
        })
    }
}

fn namespaces() -> impl Strategy<Value = Namespaces> {
    any::<[u32; 8]>().prop_map(|[mnt, pid, net, uts, ipc, cgroup, time, user]| Namespaces {
        mnt,
        pid,
        net,
        uts,
        ipc,
        cgroup,
        time,
        user,
    })
}

prop_compose! {
    fn process()(
        (key, entity_id, start, tid, vpid) in
            (key(), id(), wall(), any::<u32>(), option::of(any::<u32>())),
        (comm, executable, args, working_directory) in (bytes(16), path(), args(), path()),
        (credentials, credentials_before, names) in
            (credentials(), option::of(credentials()), option::of(names())),
        (loginuid, audit_session, tty) in any::<(Option<u32>, Option<u32>, Option<(u32, u32)>)>(),
        (group_leader, session_leader, namespaces) in
            (leader().boxed(), leader().boxed(), namespaces()),
        (cgroup_id, cgroup) in (any::<u64>(), bytes(60)),
        (no_new_privs, inside) in (any::<bool>(), option::of(inside())),
        env in environment(),
    ) -> Process {
        Process {
            key, entity_id, start, tid, vpid, comm, executable, args, working_directory,
            credentials, credentials_before, names, loginuid, audit_session, group_leader,
            session_leader, tty, namespaces, cgroup_id, cgroup, no_new_privs, inside,
            env,
        }
    }
}

prop_compose! {
    fn ancestor()(
        (key, entity_id, start, source) in (key(), id(), wall(), source()),
        (comm, executable) in (bytes(16), option::of(bytes(60))),
        args in option::of(args().prop_map(Arc::new)),
    ) -> Ancestor {
        Ancestor { key, entity_id, start, comm, executable, args, source }
    }
}

/// A UUID, as of a boot or a pod.
fn uuid() -> impl Strategy<Value = String> {
    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"
}

fn host() -> impl Strategy<Value = Arc<Host>> {
    let text = || prop_oneof![Just(String::new()), "\\PC{1,12}", uuid()];
    [text(), text(), text(), text(), text(), text(), text(), text(), text()].prop_map(
        |[name, id, boot_id, kernel, architecture, os_platform, os_name, os_version, os_full]| {
            Arc::new(Host {
                name,
                id,
                boot_id,
                kernel,
                architecture,
                os_platform,
                os_name,
                os_version,
                os_full,
            })
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    let denied_by = option::of(select(&[DeniedBy::SecurityModule, DeniedBy::Shipper][..]));
    (any::<u32>(), denied_by).prop_map(|(errno, denied_by)| Failure { errno, denied_by })
}

fn enforcement() -> impl Strategy<Value = Enforcement> {
    ("[A-Za-z0-9._-]{1,64}", select(&EnforcementAction::ALL[..]))
        .prop_map(|(rule, action)| Enforcement { rule, action })
}

fn rule_match() -> impl Strategy<Value = RuleMatch> {
    let tags = vec("[a-z.]{1,8}", 0..3).prop_map(|tags| tags.into_iter().map(Box::from).collect());
    ("[A-Za-z0-9._-]{1,12}", "\\PC{1,12}", select(&Severity::ALL[..]), tags).prop_map(
        |(id, name, severity, tags)| RuleMatch { id: id.into(), name: name.into(), severity, tags },
    )
}

prop_compose! {
    /// Any execution.
    pub fn exec()(
        (id, time, boot_ns, read, cpu, sequence) in
            (id(), wall(), any::<u64>(), wall(), any::<u32>(), any::<u64>()),
        // Boxed: by value, all this is more than the stack of a test takes.
        (host, process, file, interpreter) in
            (host(), process().boxed(), file().boxed(), option::of(file().boxed())),
        (ancestry, ancestry_cut) in (vec(ancestor(), 0..4), any::<bool>()),
        (container_id, container, entry_leader) in (
            option::of("[0-9a-f]{64}"),
            option::of(container()),
            option::of(entry_leader()).boxed(),
        ),
        (failure, enforcement) in (option::of(failure()), option::of(enforcement())),
        matches in vec(rule_match(), 0..3),
    ) -> Exec {
        Exec {
            id, time, boot_ns, read, cpu, sequence, host, process, file, interpreter, ancestry,
            ancestry_cut, container_id, container, entry_leader, failure,
            enforcement, matches,
        }
    }
}

prop_compose! {
    fn membership()(
        (group_leader, session_leader) in (leader().boxed(), leader().boxed()),
        entry_leader in option::of(entry_leader()).boxed(),
        (tty, euid) in (option::of(any::<(u32, u32)>()), option::of(any::<u32>())),
    ) -> Membership {
        Membership { group_leader, session_leader, entry_leader, tty, euid }
    }
}

prop_compose! {
    /// Any end of a process.
    pub fn exit()(
        (id, time, boot_ns, read, cpu, sequence) in
            (id(), wall(), any::<u64>(), wall(), any::<u32>(), any::<u64>()),
        (host, process, duration_ns) in (host(), ancestor().boxed(), any::<u64>()),
        member in membership(),
        status in prop_oneof![any::<u16>(), 1..=64_u16].prop_map(WaitStatus),
        (ancestry, ancestry_cut) in (vec(ancestor(), 0..4), any::<bool>()),
        matches in vec(rule_match(), 0..3),
    ) -> Exit {
        Exit {
            id, time, boot_ns, read, cpu, sequence, host, process, member, status, duration_ns,
            ancestry, ancestry_cut, matches,
        }
    }
}

prop_compose! {
    fn loss()(
        (id, time, host) in (id(), wall(), host()),
        stage in select(LossStage::ALL.to_vec()),
        kind in select(LossKind::ALL.to_vec()),
        sink in option::of("[A-Za-z0-9_-]{1,12}"),
        cgroup in option::of(vec(any::<u8>(), 1..24)),
        rule in option::of("[A-Za-z0-9._-]{1,12}"),
        (count, first, last) in (1..=u64::MAX, wall(), wall()),
    ) -> Loss {
        let cgroup = cgroup.map(Vec::into_boxed_slice);
        Loss { id, time, host, stage, kind, sink, cgroup, rule, count, first, last }
    }
}
