//! Events for the tests of other modules.

use std::sync::Arc;

use super::{
    Ancestor, Args, Capabilities, Credentials, Environment, Event, Exec, ExecutedFile, Exit,
    FileFacts, Host, Id, Leader, Loss, LossKind, LossStage, Membership, Namespaces, Path, Process,
    ProcessKey, Source, WaitStatus, WallTime,
};

/// Arguments of which nothing is missing.
pub fn args<const N: usize>(list: [&str; N]) -> Args {
    Args {
        list: list.iter().map(|arg| Box::from(arg.as_bytes())).collect(),
        count: u32::try_from(N).expect("a few"),
        bytes_total: list.iter().map(|arg| arg.len() as u64 + 1).sum(),
        truncated: false,
        faulted: false,
        redacted: Vec::new(),
    }
}

/// What the inode of an executed file says.
pub fn facts() -> FileFacts {
    FileFacts {
        uid: 0,
        gid: 0,
        mode: 0o100_755,
        inode: 7,
        device: (8, 1),
        links: 1,
        size: 1000,
        deleted: false,
        memfd: false,
        modified: Some(WallTime(1)),
        changed: Some(WallTime(1)),
        file_system: None,
        nosuid: false,
        noexec: false,
        read_only: false,
        layer: None,
    }
}

/// `ls -l` by the user 1000, below three ancestors.
pub fn exec() -> Event {
    let path = Path { bytes: Box::from(&b"/usr/bin/ls"[..]), cut: false, unreachable: false };
    let capabilities =
        Capabilities { inheritable: 0, permitted: 0, effective: 0, bounding: 0, ambient: 0 };
    let leader = Leader { pid: 1, ..Leader::default() };
    let process = Process {
        key: ProcessKey { pid: 42, start_ticks: 7 },
        entity_id: Id([2; 16]),
        start: WallTime(1_000_000_000),
        tid: 42,
        vpid: None,
        comm: Box::from(&b"ls"[..]),
        executable: path.clone(),
        args: args(["ls", "-l"]),
        env: Environment::default(),
        working_directory: Path::default(),
        credentials: Credentials {
            uid: 1000,
            gid: 1000,
            euid: 1000,
            egid: 1000,
            suid: 1000,
            sgid: 1000,
            fsuid: 1000,
            fsgid: 1000,
            securebits: 0,
            capabilities,
        },
        credentials_before: None,
        no_new_privs: false,
        inside: None,
        names: None,
        loginuid: None,
        audit_session: None,
        group_leader: leader.clone(),
        session_leader: leader,
        tty: None,
        namespaces: Namespaces::default(),
        cgroup_id: 0,
        cgroup: Box::default(),
    };
    Event::Exec(Box::new(Exec {
        id: Id([1; 16]),
        time: WallTime(2_000_000_000),
        boot_ns: 0,
        read: WallTime(2_000_000_000),
        cpu: 0,
        sequence: 1,
        host: host(),
        process,
        file: ExecutedFile { path, facts: None, source: Source::Kernel, hash: None },
        interpreter: None,
        ancestry: ancestry(),
        ancestry_cut: false,
        container_id: None,
        container: None,
        entry_leader: None,
        failure: None,
        enforcement: None,
        matches: Vec::new(),
    }))
}

/// The end of that process after 1.25 s, with exit status 3.
pub fn exit() -> Event {
    Event::Exit(Box::new(Exit {
        id: Id([5; 16]),
        time: WallTime(2_250_000_000),
        boot_ns: 250_000_000,
        read: WallTime(2_250_000_000),
        cpu: 0,
        sequence: 1,
        host: host(),
        process: Ancestor {
            key: ProcessKey { pid: 42, start_ticks: 7 },
            entity_id: Id([2; 16]),
            start: WallTime(1_000_000_000),
            comm: Box::from(&b"ls"[..]),
            executable: Some(Box::from(&b"/usr/bin/ls"[..])),
            args: Some(Arc::new(args(["ls", "-l"]))),
            source: Source::Event,
        },
        member: Membership::default(),
        status: WaitStatus(3 << 8),
        duration_ns: 1_250_000_000,
        ancestry: ancestry(),
        ancestry_cut: false,
        matches: Vec::new(),
    }))
}

/// Three records that did not fit into the ring.
pub fn loss() -> Event {
    Event::Loss(Loss {
        id: Id([4; 16]),
        time: WallTime(2_000_000_000),
        host: host(),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        cgroup: None,
        rule: None,
        count: 3,
        first: WallTime(1_000_000_000),
        last: WallTime(2_000_000_000),
    })
}

fn ancestry() -> Vec<Ancestor> {
    let ancestor = |pid, list| Ancestor {
        key: ProcessKey { pid, start_ticks: 1 },
        entity_id: Id([3; 16]),
        start: WallTime(0),
        comm: Box::from(&b"sh"[..]),
        executable: None,
        args: Some(Arc::new(list)),
        source: Source::Event,
    };
    vec![
        ancestor(30, args(["sh", "-c", "ls -l"])),
        ancestor(20, args(["sshd", "-D"])),
        ancestor(1, args(["init", "splash"])),
    ]
}

fn host() -> Arc<Host> {
    let text = |text: &str| text.to_owned();
    Arc::new(Host { name: text("host-1"), id: text("machine-1"), ..Host::default() })
}
