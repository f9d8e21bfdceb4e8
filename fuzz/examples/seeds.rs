//! Writes the first inputs of the fuzz targets into `fuzz/corpus`, made by the code that writes such
//! bytes: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use shipper::event::codec;
use shipper::event::{
    Ancestor, Args, Bytes, Capabilities, Credentials, Event, Exec, ExecutedFile, FileFacts, FileSystem, Host, Id, InsideIds, Layer, Leader, Loss, LossKind, LossStage, Membership, Names, Namespaces, Path as EventPath, Process, ProcessKey, Source, WallTime, Exit, WaitStatus, Container, EntryKind, EntryLeader, DeniedBy, Failure, Enforcement, EnforcementAction, Environment, RuleMatch, Severity,
};
use shipper::spool::{self, Compression, FreeMin, Fsync, Now, Options, WhenFull};
use shipper_common::wire::{self, Header, PATH_PRESENT, PathSpan, RecordKind, Span, WIRE_VERSION};
use shipper_fuzz::disk::MemoryDisk;
use zerocopy::{FromZeros, IntoBytes};

fn main() {
    let events = [full(), bare(), loss(), exit()];
    for (at, event) in events.iter().enumerate() {
        put("event", &format!("event-{at}"), &encoded(event));
    }
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        segments(&events, compression);
    }
    records();
    for (at, line) in LINES.iter().enumerate() {
        put("redact", &format!("line-{at}"), line.as_bytes());
    }
    for (at, expression) in EXPRESSIONS.iter().enumerate() {
        put("expression", &format!("expression-{at}"), expression.as_bytes());
    }
}

/// Arguments with secrets, each ended by NUL but the last.
const LINES: [&str; 4] = [
    "mysql\0-uroot\0-phunter2\0db",
    "sh\0-c\0tool --password='a b' --token x | curl -u me:x https://me:x@h/?sig=y",
    "curl\0-H\0Authorization: Bearer abcdefghijkl\0-d\0{\"password\": \"x\"}",
    "echo\0-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
];

/// One of each form.
const EXPRESSIONS: [&str; 8] = [
    "event.action == 'exec' && file.uid != 0",
    "file.path.glob('/tmp/**') || file.path.matches('^/(var/)?tmp/')",
    "ancestors.exists(a, a.name in ['sshd', 'cron'] && a.args.exists(x, x == '-D'))",
    "['/tmp/', '/dev/shm/'].exists(dir, file.path.startsWith(dir)) && !has(container.id)",
    "process.args[0].endsWith(']') && size(process.args) > 1 && process.args.all(a, a != '')",
    "env.LD_PRELOAD.contains('/tmp/') || env['SSH_CONNECTION'].cidr('10.0.0.0/8')",
    "severity >= high || 'exec.memfd' in rules || tags.exists(t, t.startsWith('attack.'))",
    "file.hash.sha256 in lines('known-bad.txt') || user.id in [0, 1000] && -1 < user.id",
];

fn put(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir).expect("a directory that can be made");
    fs::write(dir.join(name), bytes).expect("a file that can be written");
}

fn encoded(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(event, &mut bytes);
    bytes
}

/// A spool of two segments, alone and as one input.
fn segments(events: &[Event], compression: Compression) {
    let disk = MemoryDisk::default();
    let options = Options {
        dir: "/spool".into(),
        bytes_max: 1 << 30,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Always,
        compression,
        segment_bytes: 2000,
    };
    let opened = spool::open(options, Arc::new(disk.clone()), &["a".to_owned()]);
    let (mut writer, _spool) = opened.expect("a disk that never fails");
    for round in 0..4 {
        for event in events.iter().cycle().take(1 + round) {
            writer.append(&encoded(event));
        }
        writer.append(&vec![b'x'; 100 * round]);
        writer.write(b"mark", Now::default());
    }
    let files = disk.files(Path::new("/spool/log"));
    let name = format!("{compression:?}").to_lowercase();
    for (at, (_, bytes)) in files.iter().enumerate() {
        put("spool", &format!("{name}-{at}"), &[&[0][..], bytes].concat());
    }
    if let [(_, first), (_, second), ..] = &files[..] {
        let cut = (first.len() * 64 / (first.len() + second.len())) as u8;
        put("spool", &format!("{name}-two"), &[&[cut << 2 | 1], &first[..], second].concat());
    }
}

fn records() {
    let heap = b"true\0-v\0/usr/bin/true\0true\0bin\0usr\0init.scope\0";
    let span = |start: u32, bytes: u32| Span { start, bytes };
    let mut exec = wire::Exec::new_zeroed();
    exec.flags = wire::EXEC_HOOK | wire::EXEC_CREDENTIALS_BEFORE | wire::EXEC_TTY;
    exec.argc = 2;
    exec.argv_bytes = 8;
    exec.comm[..4].copy_from_slice(b"true");
    exec.argv = span(0, 8);
    exec.filename = span(8, 14);
    exec.binary_path =
        PathSpan { flags: PATH_PRESENT, span: span(22, 13), ..PathSpan::new_zeroed() };
    exec.cwd = PathSpan { flags: PATH_PRESENT, ..PathSpan::new_zeroed() };
    exec.cgroup = span(35, 11);
    exec.ancestors_count = 2;
    exec.ancestors[0].comm[..4].copy_from_slice(b"bash");
    let record = |kind: RecordKind, body: &[u8]| {
        let header = Header {
            version: WIRE_VERSION,
            kind: kind as u16,
            bytes: (size_of::<Header>() + body.len()) as u32,
            sequence: 1,
            boot_ns: 2,
            cpu: 0,
            reserved: 0,
        };
        [header.as_bytes(), body].concat()
    };
    put("wire", "exec", &record(RecordKind::Exec, &[exec.as_bytes(), heap].concat()));
    put("wire", "fork", &record(RecordKind::Fork, wire::Fork::new_zeroed().as_bytes()));
    put("wire", "exit", &record(RecordKind::Exit, wire::Exit::new_zeroed().as_bytes()));
}

fn host() -> Arc<Host> {
    let text = str::to_owned;
    Arc::new(Host {
        name: text("host"),
        id: text("0123456789abcdef0123456789abcdef"),
        boot_id: text("01234567-89ab-cdef-0123-456789abcdef"),
        kernel: text("6.12.0"),
        architecture: text("x86_64"),
        os_platform: text("debian"),
        os_name: text("Debian GNU/Linux"),
        os_version: text("13"),
        os_full: text("Debian GNU/Linux 13"),
    })
}

fn bytes(text: &str) -> Bytes {
    text.as_bytes().into()
}

fn path(text: &str) -> EventPath {
    EventPath { bytes: bytes(text), cut: false, unreachable: false }
}

fn loss() -> Event {
    Event::Loss(Loss {
        id: Id([7; 16]),
        time: WallTime(3),
        host: host(),
        stage: LossStage::SpoolFull,
        kind: LossKind::Record,
        sink: Some("a".to_owned()),
        cgroup: None,
        rule: Some("exec.memfd".to_owned()),
        count: 300,
        first: WallTime(1),
        last: WallTime(2),
    })
}

fn exit() -> Event {
    let Event::Exec(exec) = full() else { unreachable!("it is one") };
    Event::Exit(Box::new(Exit {
        id: Id([8; 16]),
        time: exec.time,
        boot_ns: 6,
        read: exec.read,
        cpu: 1,
        sequence: 43,
        host: host(),
        process: exec.ancestry[0].clone(),
        member: Membership {
            group_leader: exec.process.group_leader,
            session_leader: exec.process.session_leader,
            entry_leader: exec.entry_leader,
            tty: exec.process.tty,
            euid: Some(7),
        },
        status: WaitStatus(9),
        duration_ns: 1_500_000_000,
        ancestry: exec.ancestry,
        ancestry_cut: true,
        matches: exec.matches,
    }))
}

fn bare() -> Event {
    let Event::Exec(mut exec) = full() else { unreachable!("it is one") };
    exec.process.credentials_before = None;
    exec.process.inside = None;
    exec.process.names = None;
    exec.process.tty = None;
    exec.file.facts = None;
    exec.interpreter = None;
    exec.ancestry.clear();
    exec.container_id = None;
    exec.container = None;
    exec.entry_leader = None;
    exec.failure = None;
    Event::Exec(exec)
}

fn full() -> Event {
    let capabilities = Capabilities {
        inheritable: 0,
        permitted: 1 << 40,
        effective: 1,
        bounding: 1 << 40,
        ambient: 0,
    };
    let credentials = Credentials {
        uid: 1000,
        gid: 1000,
        euid: 0,
        egid: 1000,
        suid: 0,
        sgid: 1000,
        fsuid: 0,
        fsgid: 1000,
        securebits: 0,
        capabilities,
    };
    let facts = FileFacts {
        uid: 0,
        gid: 0,
        mode: 0o104_755,
        inode: 77,
        device: (8, 1),
        links: 1,
        size: 30_000,
        deleted: false,
        memfd: true,
        modified: Some(WallTime(11)),
        changed: Some(WallTime(11 + 1)),
        file_system: FileSystem::new(b"ext4"),
        nosuid: false,
        noexec: false,
        read_only: false,
        layer: Some(Layer::Upper),
    };
    let list = ["bash", "-c", "run \u{1}"].map(bytes).to_vec();
    let args = Args {
        list,
        count: 3,
        bytes_total: 15,
        truncated: true,
        faulted: false,
        redacted: vec!["jwt".into()],
    };
    let key = ProcessKey { pid: 4711, start_ticks: 123_456 };
    let leader = Leader {
        pid: 4711,
        entity_id: Some(Id([5; 16])),
        start: Some(WallTime(8)),
        comm: Some(bytes("bash")),
        executable: Some(bytes("/usr/bin/bash")),
        args: Some(Arc::new(args.clone())),
        euid: Some(1000),
        user: Some("alice".into()),
        interactive: Some(true),
    };
    let ancestor = Ancestor {
        key,
        entity_id: Id([6; 16]),
        start: WallTime(9),
        comm: bytes("sshd"),
        executable: Some(bytes("/usr/sbin/sshd")),
        args: Some(Arc::new(args.clone())),
        source: Source::Event,
    };
    let process = Process {
        key,
        entity_id: Id([5; 16]),
        start: WallTime(10),
        tid: 4711,
        vpid: Some(7),
        comm: bytes("bash"),
        executable: path("/usr/bin/bash"),
        args,
        env: Environment {
            list: vec![bytes("LD_PRELOAD=/tmp/hook.so")],
            truncated: true,
            faulted: true,
            redacted: vec!["aws_key".into()],
        },
        working_directory: path("/root"),
        credentials,
        credentials_before: Some(credentials),
        no_new_privs: true,
        inside: Some(InsideIds { uid: Some(0), ..InsideIds::default() }),
        names: Some(Names { euid: Some("root".into()), ..Names::default() }),
        loginuid: Some(1000),
        audit_session: Some(3),
        group_leader: leader.clone(),
        session_leader: Leader { pid: 1, ..Leader::default() },
        tty: Some((136, 0)),
        namespaces: Namespaces { mnt: 1, pid: 2, ..Namespaces::default() },
        cgroup_id: 99,
        cgroup: bytes("/user.slice/session-3.scope"),
    };
    let file = |name| ExecutedFile { path: path(name), facts: Some(facts), source: Source::Kernel, hash: None };
    Event::Exec(Box::new(Exec {
        id: Id([1; 16]),
        time: WallTime(1_700_000_000_000_000_000),
        boot_ns: 5,
        read: WallTime(1_700_000_000_000_000_001),
        cpu: 1,
        sequence: 42,
        host: host(),
        process,
        file: file("/opt/run.sh"),
        interpreter: Some(file("/usr/bin/bash")),
        ancestry: vec![ancestor],
        ancestry_cut: true,
        container_id: Some("c0ffee".to_owned()),
        container: Some(Arc::new(Container {
            runtime: Some("containerd".into()),
            name: Some("web".into()),
            image_name: Some("docker.io/library/nginx".into()),
            image_tag: Some("1.27".into()),
            pod_uid: Some("268c2a50-6bf6-443f-8c65-59ebefabd52d".into()),
            pod_name: Some("web-74d9c7d6f5-b6tvr".into()),
            pod_namespace: Some("default".into()),
            from_runtime: true,
        })),
        entry_leader: Some(EntryLeader { leader, kind: EntryKind::Container }),
        failure: Some(Failure { errno: 1, denied_by: Some(DeniedBy::Shipper) }),
        enforcement: Some(Enforcement { rule: "exec.user-owned".to_owned(), action: EnforcementAction::Denied }),
        matches: vec![RuleMatch {
            id: "exec.memfd".into(),
            name: "Execution of an anonymous file in memory".into(),
            severity: Severity::High,
            tags: ["attack.t1620".into()].into(),
        }],
    }))
}
