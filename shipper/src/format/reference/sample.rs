//! Made-up events in which every field has a value: the examples of the reference.

use std::sync::Arc;

use crate::event::{
    Ancestor, Args, Bytes, Capabilities, Container, Credentials, DeniedBy, Enforcement,
    EnforcementAction, EntryKind, EntryLeader, Environment, Event, Exec, ExecutedFile, Exit,
    Failure, FileFacts, FileHash, FileSystem, HashMissing, Host, Id, InsideIds, Layer, Leader,
    Loss, LossKind, LossStage, Membership, Names, Namespaces, Path, Process, ProcessKey, RuleMatch,
    Severity, Source, WaitStatus, WallTime,
};

/// 2026-11-24 10:15:00.123456789 UTC.
const NOW_NS: u64 = 1_795_515_300_123_456_789;
const BOOT_NS: u64 = 86_400_000_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
const CAPABILITIES_ALL: u64 = (1 << 41) - 1;

/// An execution, a failed one whose texts are not UTF-8, the end of a process, and reports of records
/// that were lost and left out.
#[must_use]
pub fn samples() -> Vec<Event> {
    let odd = odd();
    vec![
        Event::Exec(Box::new(exec())),
        Event::Exec(Box::new(odd.clone())),
        Event::Exit(Box::new(exit(ancestor(4243, "deploy.sh", &["/bin/sh", "deploy.sh"]), 9))),
        Event::Exit(Box::new(exit(odd.ancestry[0].clone(), 9))),
        Event::Loss(loss(LossStage::Quarantined, Some("siem"), None, None)),
        Event::Loss(loss(
            LossStage::RateLimited,
            None,
            Some(b"/system.slice/ci.service\xff"),
            None,
        )),
        Event::Loss(Loss {
            kind: LossKind::Match,
            ..loss(LossStage::RuleFolded, None, None, Some("exec.not-root-owned"))
        }),
    ]
}

fn bytes(text: &str) -> Bytes {
    text.as_bytes().into()
}

fn id(first: u8) -> Id {
    Id(std::array::from_fn(|at| first.wrapping_mul(17).wrapping_add(31_u8.wrapping_mul(at as u8))))
}

fn args(list: &[&str]) -> Args {
    Args {
        list: list.iter().map(|arg| bytes(arg)).collect(),
        count: u32::try_from(list.len()).unwrap_or(u32::MAX),
        bytes_total: list.iter().map(|arg| arg.len() as u64 + 1).sum(),
        truncated: false,
        faulted: false,
        redacted: Vec::new(),
    }
}

fn path(text: &str) -> Path {
    Path { bytes: bytes(text), cut: false, unreachable: false }
}

fn host() -> Arc<Host> {
    let text = str::to_owned;
    Arc::new(Host {
        name: text("web-1"),
        id: text("4c4c4544003957108052b4c04f384833"),
        boot_id: text("0f8fad5b-d9cb-469f-a165-70867728950e"),
        kernel: text("6.12.48+deb13-amd64"),
        architecture: text("x86_64"),
        os_platform: text("debian"),
        os_name: text("Debian GNU/Linux"),
        os_version: text("13"),
        os_full: text("Debian GNU/Linux 13 (trixie)"),
    })
}

fn facts(uid: u32, inode: u64) -> FileFacts {
    FileFacts {
        uid,
        gid: uid,
        mode: 0o100_755,
        inode,
        device: (254, 1),
        links: 1,
        size: 1_482,
        deleted: false,
        memfd: false,
        modified: Some(WallTime(NOW_NS - DAY_NS)),
        changed: Some(WallTime(NOW_NS - DAY_NS)),
        file_system: FileSystem::new(b"overlay"),
        nosuid: true,
        noexec: false,
        read_only: false,
        layer: Some(Layer::Upper),
    }
}

fn ancestor(pid: u32, comm: &str, list: &[&str]) -> Ancestor {
    Ancestor {
        key: ProcessKey { pid, start_ticks: 8_639_000 + u64::from(pid) },
        entity_id: id(pid as u8),
        start: WallTime(NOW_NS - 10_000_000_000),
        comm: bytes(comm),
        executable: Some(bytes("/usr/bin/dash")),
        args: Some(Arc::new(args(list))),
        source: Source::Event,
    }
}

fn leader(pid: u32, comm: &str) -> Leader {
    Leader {
        pid,
        entity_id: Some(id(pid as u8)),
        start: Some(WallTime(NOW_NS - 60_000_000_000)),
        comm: Some(bytes(comm)),
        executable: Some(bytes("/usr/bin/bash")),
        args: Some(Arc::new(args(&["-bash"]))),
        euid: Some(1000),
        user: Some("alice".into()),
        interactive: Some(true),
    }
}

fn credentials(uid: u32, capabilities: u64) -> Credentials {
    Credentials {
        uid,
        gid: uid,
        euid: uid,
        egid: uid,
        suid: uid,
        sgid: uid,
        fsuid: uid,
        fsgid: uid,
        securebits: 1,
        capabilities: Capabilities {
            inheritable: 1 << 10,
            permitted: capabilities,
            effective: capabilities,
            bounding: CAPABILITIES_ALL ^ (1 << 21),
            ambient: 1 << 10,
        },
    }
}

fn names() -> Names {
    let (alice, root): (Arc<str>, Arc<str>) = ("alice".into(), "root".into());
    Names {
        euid: Some(root.clone()),
        uid: Some(root.clone()),
        suid: Some(root.clone()),
        egid: Some(root.clone()),
        gid: Some(root.clone()),
        sgid: Some(root),
        loginuid: Some(alice.clone()),
        file_owner: Some(alice.clone()),
        file_group: Some(alice),
    }
}

fn container() -> Container {
    Container {
        runtime: Some("containerd".into()),
        name: Some("web".into()),
        image_name: Some("registry.example/shop".into()),
        image_tag: Some("2.4".into()),
        pod_uid: Some("9f2d6c1e-0b8f-4d39-8f5e-2a1c7d3e4b5a".into()),
        pod_name: Some("shop-7d9f".into()),
        pod_namespace: Some("prod".into()),
        from_runtime: true,
    }
}

fn process() -> Process {
    Process {
        key: ProcessKey { pid: 4243, start_ticks: 8_640_000 },
        entity_id: id(7),
        start: WallTime(NOW_NS - 1_000_000),
        tid: 4243,
        vpid: Some(17),
        comm: bytes("deploy.sh"),
        executable: path("/usr/bin/dash"),
        args: args(&["/bin/sh", "/home/alice/deploy.sh", "prod"]),
        env: Environment {
            list: vec![bytes("LD_PRELOAD=/tmp/x.so")],
            truncated: false,
            faulted: false,
            redacted: Vec::new(),
        },
        working_directory: path("/home/alice"),
        credentials: credentials(0, 1 << 21),
        credentials_before: Some(credentials(1000, 1 << 10)),
        no_new_privs: true,
        inside: Some(InsideIds {
            uid: Some(0),
            gid: Some(0),
            euid: Some(0),
            egid: Some(0),
            suid: Some(0),
            sgid: Some(0),
        }),
        names: Some(names()),
        loginuid: Some(1000),
        audit_session: Some(3),
        group_leader: leader(4200, "bash"),
        session_leader: leader(4200, "bash"),
        tty: Some((136, 0)),
        namespaces: Namespaces {
            mnt: 4_026_531_841,
            pid: 4_026_531_836,
            net: 4_026_531_840,
            uts: 4_026_531_838,
            ipc: 4_026_531_839,
            cgroup: 4_026_531_835,
            time: 4_026_531_834,
            user: 4_026_531_837,
        },
        cgroup_id: 4021,
        cgroup: bytes("/user.slice/user-1000.slice/session-3.scope"),
    }
}

fn exec() -> Exec {
    let file = |text, uid, inode| ExecutedFile {
        path: path(text),
        facts: Some(facts(uid, inode)),
        source: Source::Kernel,
        hash: Some(FileHash::Sha256([0x5a; 32])),
    };
    Exec {
        id: id(1),
        time: WallTime(NOW_NS),
        boot_ns: BOOT_NS,
        read: WallTime(NOW_NS + 900_000),
        cpu: 2,
        sequence: 118,
        host: host(),
        process: process(),
        file: file("/home/alice/deploy.sh", 1000, 131_207),
        interpreter: Some(file("/usr/bin/dash", 0, 2_310)),
        ancestry: vec![ancestor(4242, "bash", &["-bash"]), ancestor(1, "systemd", &["/sbin/init"])],
        ancestry_cut: false,
        container_id: Some("5d3a9b0e6c1f".repeat(5) + "5d3a"),
        container: Some(Arc::new(container())),
        entry_leader: Some(EntryLeader { leader: leader(4200, "bash"), kind: EntryKind::Sshd }),
        failure: None,
        enforcement: None,
        matches: vec![rule_match()],
    }
}

fn rule_match() -> RuleMatch {
    RuleMatch {
        id: "exec.not-root-owned".into(),
        name: "Execution of a file that root does not own".into(),
        severity: Severity::Medium,
        tags: Arc::new([Box::from("attack.execution")]),
    }
}

/// A failed execution in which every text is not UTF-8, and every mark is set.
fn odd() -> Exec {
    let bytes = |text: &[u8]| Bytes::from(text);
    let odd_path = || Path { bytes: bytes(b"/tmp/caf\xe9"), cut: true, unreachable: true };
    let odd_args = || Args {
        list: vec![bytes(b"caf\xe9"), bytes(b"-v")],
        count: 3,
        bytes_total: 70_000,
        truncated: true,
        faulted: true,
        redacted: vec!["password_option".into()],
    };
    let mut exec = exec();
    for leader in [&mut exec.process.group_leader, &mut exec.process.session_leader]
        .into_iter()
        .chain(exec.entry_leader.iter_mut().map(|entry| &mut entry.leader))
    {
        leader.comm = Some(bytes(b"caf\xe9"));
        leader.executable = Some(bytes(b"/tmp/caf\xe9"));
        leader.args = Some(Arc::new(odd_args()));
    }
    for ancestor in &mut exec.ancestry {
        ancestor.comm = bytes(b"caf\xe9");
        ancestor.executable = Some(bytes(b"/tmp/caf\xe9"));
        ancestor.args = Some(Arc::new(odd_args()));
    }
    let process = &mut exec.process;
    process.comm = bytes(b"caf\xe9");
    (process.executable, process.working_directory) = (odd_path(), odd_path());
    process.args = odd_args();
    process.env = Environment {
        list: vec![bytes(b"LD_PRELOAD=caf\xe9")],
        truncated: true,
        faulted: true,
        redacted: vec!["jwt".into()],
    };
    process.cgroup = bytes(b"/caf\xe9");
    for file in [Some(&mut exec.file), exec.interpreter.as_mut()].into_iter().flatten() {
        (file.path, file.source) = (odd_path(), Source::Procfs);
        file.hash = Some(FileHash::Missing(HashMissing::Late));
    }
    exec.ancestry_cut = true;
    exec.failure = Some(Failure { errno: 1, denied_by: Some(DeniedBy::Shipper) });
    exec.enforcement =
        Some(Enforcement { rule: "no-user-files".to_owned(), action: EnforcementAction::Denied });
    exec
}

fn exit(process: Ancestor, status: u16) -> Exit {
    Exit {
        id: id(2),
        time: WallTime(NOW_NS + 1_250_000_000),
        boot_ns: BOOT_NS + 1_250_000_000,
        read: WallTime(NOW_NS + 1_251_000_000),
        cpu: 2,
        sequence: 95,
        host: host(),
        process,
        member: Membership {
            group_leader: leader(4200, "bash"),
            session_leader: leader(4200, "bash"),
            entry_leader: Some(EntryLeader { leader: leader(4200, "bash"), kind: EntryKind::Sshd }),
            tty: Some((136, 3)),
            euid: Some(1000),
        },
        status: WaitStatus(status),
        duration_ns: 1_251_000_000,
        ancestry: vec![ancestor(4242, "bash", &["-bash"])],
        ancestry_cut: false,
        matches: vec![rule_match()],
    }
}

fn loss(stage: LossStage, sink: Option<&str>, cgroup: Option<&[u8]>, rule: Option<&str>) -> Loss {
    Loss {
        id: id(3),
        time: WallTime(NOW_NS),
        host: host(),
        stage,
        kind: LossKind::Exec,
        sink: sink.map(str::to_owned),
        cgroup: cgroup.map(Bytes::from),
        rule: rule.map(str::to_owned),
        count: 12,
        first: WallTime(NOW_NS - DAY_NS),
        last: WallTime(NOW_NS),
    }
}
