//! Events that have every field an event of ours can have, some of them as large as they come.

use std::sync::Arc;

use shipper::event::{
    Ancestor, Args, Bytes, Capabilities, Container, Credentials, DeniedBy, Enforcement,
    EnforcementAction, EntryKind, EntryLeader, Environment, Event, Exec, ExecutedFile, Exit,
    Failure, FileFacts, FileHash, FileSystem, HashMissing, Host, Id, InsideIds, Layer, Leader,
    Loss, LossKind, LossStage, Membership, Names, Namespaces, Path, Process, ProcessKey, RuleMatch,
    Severity, Source, WaitStatus, WallTime,
};

/// 2026-11-24T08:00:00.123456789Z.
const TIME: WallTime = WallTime(1_795_507_200_123_456_789);

/// An execution with everything there is, one of which the files could not be hashed, a report of a
/// loss, and the end of the first.
pub fn events() -> [Event; 4] {
    let missing = Some(FileHash::Missing(HashMissing::Gone));
    let mut not_hashed = Exec { id: Id([10; 16]), ..exec() };
    not_hashed.file.hash = missing;
    not_hashed.interpreter.as_mut().expect("it has one").hash = missing;
    [
        Event::Exec(Box::new(exec())),
        Event::Exec(Box::new(not_hashed)),
        Event::Loss(loss()),
        Event::Exit(Box::new(exit())),
    ]
}

/// A single argument of this many bytes: most of what a configuration may let through.
const LONG_ARGUMENT_BYTES: usize = 64 << 10;

fn exec() -> Exec {
    let credentials = Credentials {
        uid: 1000,
        gid: 1000,
        euid: 0,
        egid: 0,
        suid: 0,
        sgid: 0,
        fsuid: 0,
        fsgid: 0,
        securebits: 1,
        capabilities: Capabilities {
            inheritable: 1,
            permitted: 0x1ff_ffff_ffff,
            effective: 0x1ff_ffff_ffff,
            bounding: 0x1ff_ffff_fffe,
            ambient: 1,
        },
    };
    let name: Option<Arc<str>> = Some(Arc::from("root"));
    let (args, leader) = (args(), leader());
    Exec {
        id: Id([1; 16]),
        time: TIME,
        boot_ns: u64::MAX,
        read: WallTime(TIME.0 + 11_000_000),
        cpu: 3,
        sequence: 77,
        host: host(),
        process: Process {
            key: ProcessKey { pid: 4242, start_ticks: 90_000 },
            entity_id: Id([2; 16]),
            start: WallTime(TIME.0 - 400_000),
            tid: 4243,
            vpid: Some(7),
            comm: odd("script"),
            executable: path("/usr/bin/python3"),
            args,
            env: Environment {
                list: vec![odd("LD_PRELOAD=/tmp/hook.so"), odd("EMPTY=")],
                truncated: true,
                faulted: true,
                redacted: vec!["github_token".into()],
            },
            working_directory: path("/srv/build"),
            credentials,
            credentials_before: Some(credentials),
            no_new_privs: true,
            inside: Some(InsideIds {
                uid: Some(0),
                gid: Some(0),
                euid: Some(0),
                egid: Some(0),
                suid: Some(0),
                sgid: Some(0),
            }),
            names: Some(Names {
                euid: name.clone(),
                uid: name.clone(),
                suid: name.clone(),
                egid: name.clone(),
                gid: name.clone(),
                sgid: name.clone(),
                loginuid: name.clone(),
                file_owner: name.clone(),
                file_group: name.clone(),
            }),
            loginuid: Some(1000),
            audit_session: Some(12),
            group_leader: Leader { args: None, ..leader.clone() },
            session_leader: leader.clone(),
            tty: Some((136, 2)),
            namespaces: Namespaces { mnt: 4_026_531_841, ..Namespaces::default() },
            cgroup_id: 4711,
            cgroup: odd("/system.slice/build.service"),
        },
        file: file("/srv/build/script.py"),
        interpreter: Some(file("/usr/bin/python3")),
        ancestry: vec![parent()],
        ancestry_cut: true,
        failure: Some(Failure { errno: 1, denied_by: Some(DeniedBy::Shipper) }),
        enforcement: Some(Enforcement {
            rule: "exec.user-owned".to_owned(),
            action: EnforcementAction::Denied,
        }),
        matches: matches(),
        container_id: Some("c0ffee".to_owned()),
        container: Some(Arc::new(Container {
            runtime: Some("containerd".into()),
            name: Some("compile".into()),
            image_name: Some("registry.example:5000/build/python".into()),
            image_tag: Some("3.13".into()),
            pod_uid: Some("268c2a50-6bf6-443f-8c65-59ebefabd52d".into()),
            pod_name: Some("build-74d9c7d6f5-b6tvr".into()),
            pod_namespace: Some("ci".into()),
            from_runtime: true,
        })),
        entry_leader: Some(EntryLeader { leader, kind: EntryKind::Container }),
    }
}

fn parent() -> Ancestor {
    Ancestor {
        key: ProcessKey { pid: 4200, start_ticks: 80_000 },
        entity_id: Id([3; 16]),
        start: TIME,
        comm: odd("bash"),
        executable: Some(odd("/usr/bin/bash")),
        args: Some(Arc::new(args())),
        source: Source::Event,
    }
}

fn leader() -> Leader {
    Leader {
        pid: 4200,
        entity_id: Some(Id([3; 16])),
        start: Some(TIME),
        comm: Some(odd("bash")),
        executable: Some(odd("/usr/bin/bash")),
        args: Some(Arc::new(args())),
        euid: Some(1000),
        user: Some(Arc::from("root")),
        interactive: Some(true),
    }
}

fn exit() -> Exit {
    const SIGSEGV_AND_CORE: u16 = 11 | 0x80;
    Exit {
        id: Id([5; 16]),
        time: WallTime(TIME.0 + 2_000_000_000),
        boot_ns: u64::MAX,
        read: WallTime(TIME.0 + 2_011_000_000),
        cpu: 3,
        sequence: 70,
        host: host(),
        process: Ancestor {
            key: ProcessKey { pid: 4242, start_ticks: 90_000 },
            entity_id: Id([2; 16]),
            start: WallTime(TIME.0 - 400_000),
            comm: odd("script"),
            executable: Some(odd("/usr/bin/python3")),
            ..parent()
        },
        member: Membership {
            group_leader: Leader { pid: 4242, ..Leader::default() },
            session_leader: leader(),
            entry_leader: Some(EntryLeader { leader: leader(), kind: EntryKind::Console }),
            tty: Some((4, 1)),
            euid: Some(1000),
        },
        status: WaitStatus(SIGSEGV_AND_CORE),
        duration_ns: u64::MAX,
        ancestry: vec![parent()],
        ancestry_cut: true,
        matches: matches(),
    }
}

fn matches() -> Vec<RuleMatch> {
    vec![RuleMatch {
        id: "exec.memfd".into(),
        name: "Execution of an anonymous file in memory".into(),
        severity: Severity::High,
        tags: ["attack.t1620".into()].into(),
    }]
}

fn loss() -> Loss {
    Loss {
        id: Id([9; 16]),
        time: TIME,
        host: host(),
        stage: LossStage::Quarantined,
        kind: LossKind::Exec,
        sink: Some("siem".to_owned()),
        cgroup: Some(b"/system.slice/build.service".as_slice().into()),
        rule: Some("exec.memfd".to_owned()),
        count: u64::MAX,
        first: WallTime(0),
        last: TIME,
    }
}

fn host() -> Arc<Host> {
    Arc::new(Host {
        name: "build-07".to_owned(),
        id: "4f1c6a52d0be4f3d8f3c2f7a9f5b8a61".to_owned(),
        boot_id: "9a0f5c1e-5a3e-4a4e-9b57-0c8a6a3f2d11".to_owned(),
        kernel: "6.12.9-amd64".to_owned(),
        architecture: "x86_64".to_owned(),
        os_platform: "debian".to_owned(),
        os_name: "Debian GNU/Linux".to_owned(),
        os_version: "13".to_owned(),
        os_full: "Debian GNU/Linux 13 (trixie)".to_owned(),
    })
}

fn args() -> Args {
    let long: Bytes = vec![b'x'; LONG_ARGUMENT_BYTES].into();
    let list = vec![b"python3".as_slice().into(), odd("--mark"), long];
    let bytes_total = list.iter().map(|arg| arg.len() as u64 + 1).sum();
    Args {
        count: 9,
        bytes_total,
        list,
        truncated: true,
        faulted: true,
        redacted: vec!["jwt".into()],
    }
}

fn file(name: &str) -> ExecutedFile {
    let facts = FileFacts {
        uid: u32::MAX,
        gid: u32::MAX,
        mode: 0o106_755,
        inode: u64::MAX,
        device: (254, 0),
        links: 1,
        size: u64::MAX,
        deleted: true,
        memfd: true,
        modified: Some(WallTime(1)),
        changed: Some(WallTime(2)),
        file_system: FileSystem::new(b"overlay"),
        nosuid: true,
        noexec: true,
        read_only: true,
        layer: Some(Layer::Upper),
    };
    let hash = Some(FileHash::Sha256([5; 32]));
    ExecutedFile { path: path(name), facts: Some(facts), source: Source::Kernel, hash }
}

fn path(name: &str) -> Path {
    Path { bytes: odd(name), cut: true, unreachable: true }
}

/// With a byte at the end that no UTF-8 has, so that the exact bytes are carried as well.
fn odd(text: &str) -> Bytes {
    [text.as_bytes(), &[0xff]].concat().into()
}
