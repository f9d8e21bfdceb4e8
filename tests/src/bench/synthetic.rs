//! Events as a busy build or container host has them, made up: every one different where real ones
//! differ (ids, times, pids, arguments), the same where they are (host, parents, names).

use std::sync::Arc;

use shipper::event::{
    Ancestor, Args, Bytes, Capabilities, Credentials, EntryKind, EntryLeader, Environment, Event,
    Exec, ExecutedFile, FileFacts, FileSystem, Host, Id, Leader, Names, Namespaces, Path, Process,
    ProcessKey, Source, WallTime, codec,
};
use shipper::format::ecs;

/// So many are made, and used again and again: more than a block of the spool holds many times
/// over, so that compression gains nothing by it.
const POOL: u64 = 8192;

/// The first event: 2026-11-24.
const BEGIN_NS: u64 = 1_795_500_000_000_000_000;

/// Encoded events to be used in turn.
pub struct Pool {
    records: Vec<Vec<u8>>,
    /// Bytes of an event as the spool keeps it, mean.
    pub record_bytes: u64,
    /// Bytes of its ECS line, mean.
    pub line_bytes: u64,
}

impl Pool {
    /// So many are different.
    pub const DIFFERENT: u64 = POOL;

    /// Makes them: executions with so many ancestors each.
    pub fn new(ancestors: u32) -> Pool {
        Pool::of(POOL, ancestors)
    }

    /// The same with so many that are different.
    pub fn of(different: u64, ancestors: u32) -> Pool {
        let mut host = Makings::new(ancestors);
        let mut line = Vec::new();
        let records: Vec<Vec<u8>> = (0..different)
            .map(|number| {
                let event = host.event(number);
                ecs::encode(&event, &mut line);
                let mut record = Vec::new();
                codec::encode(&event, &mut record);
                record
            })
            .collect();
        let record_bytes =
            records.iter().map(|record| record.len() as u64).sum::<u64>() / different;
        Pool { records, record_bytes, line_bytes: line.len() as u64 / different }
    }

    /// The record of this number.
    pub fn record(&self, number: u64) -> &[u8] {
        &self.records[number as usize % self.records.len()]
    }
}

/// What events have in common.
struct Makings {
    host: Arc<Host>,
    ancestors: Vec<Ancestor>,
    names: Names,
    random: u64,
}

impl Makings {
    fn new(ancestors: u32) -> Makings {
        let text = str::to_owned;
        let root: Arc<str> = Arc::from("root");
        let mut makings = Makings {
            host: Arc::new(Host {
                name: text("build-07"),
                id: text("4f1c6a52d0be4f3d8f3c2f7a9f5b8a61"),
                boot_id: text("9a0f5c1e-5a3e-4a4e-9b57-0c8a6a3f2d11"),
                kernel: text("6.12.9-amd64"),
                architecture: text("x86_64"),
                os_platform: text("debian"),
                os_name: text("Debian GNU/Linux"),
                os_version: text("13"),
                os_full: text("Debian GNU/Linux 13 (trixie)"),
            }),
            ancestors: Vec::new(),
            names: Names {
                euid: Some(root.clone()),
                uid: Some(root.clone()),
                suid: Some(root.clone()),
                egid: Some(root.clone()),
                gid: Some(root.clone()),
                sgid: Some(root.clone()),
                loginuid: None,
                file_owner: Some(root.clone()),
                file_group: Some(root),
            },
            random: 0x9e37_79b9_7f4a_7c15,
        };
        makings.ancestors = (0..ancestors)
            .map(|generation| Ancestor {
                key: ProcessKey { pid: 4200 - generation, start_ticks: 90_000 },
                entity_id: makings.id(),
                start: WallTime(BEGIN_NS),
                comm: bytes("bash"),
                executable: Some(bytes("/usr/bin/bash")),
                args: Some(Arc::new(args(&["bash", "-c", "make all"]))),
                source: Source::Event,
            })
            .collect();
        makings
    }

    /// Splitmix64: ids look like digests, which do not compress.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn id(&mut self) -> Id {
        let halves = [self.random(), self.random()];
        let mut id = [0; 16];
        for (bytes, half) in id.chunks_exact_mut(8).zip(halves) {
            bytes.copy_from_slice(&half.to_le_bytes());
        }
        Id(id)
    }

    fn event(&mut self, number: u64) -> Event {
        let moment = number * 37_000 + self.random() % 30_000;
        let pid = 5000 + (number % 50_000) as u32;
        let all = Capabilities {
            inheritable: 0,
            permitted: 0x1ff_ffff_ffff,
            effective: 0,
            bounding: 0x1ff_ffff_ffff,
            ambient: 0,
        };
        let ids = Credentials {
            uid: 1000,
            gid: 1000,
            euid: 1000,
            egid: 1000,
            suid: 1000,
            sgid: 1000,
            fsuid: 1000,
            fsgid: 1000,
            securebits: 0,
            capabilities: Capabilities { permitted: 0, ..all },
        };
        let object = format!("obj/module-{:04}/unit-{:05}.o", number % 97, self.random() % 20_000);
        let path = |text: &str| Path { bytes: bytes(text), cut: false, unreachable: false };
        let first = self.ancestors.first();
        let leader = Leader {
            pid: 4200,
            entity_id: first.map(|ancestor| ancestor.entity_id),
            start: first.map(|ancestor| ancestor.start),
            comm: first.map(|ancestor| ancestor.comm.clone()),
            executable: first.and_then(|ancestor| ancestor.executable.clone()),
            args: first.and_then(|ancestor| ancestor.args.clone()),
            euid: Some(1000),
            user: self.names.euid.clone(),
            interactive: Some(false),
        };
        Event::Exec(Box::new(Exec {
            id: self.id(),
            time: WallTime(BEGIN_NS + moment),
            boot_ns: 900_000_000_000 + moment,
            read: WallTime(BEGIN_NS + moment + 11_000_000),
            cpu: (number % 2) as u32,
            sequence: number / 2,
            host: Arc::clone(&self.host),
            process: Process {
                key: ProcessKey { pid, start_ticks: 90_000 + moment / 10_000_000 },
                entity_id: self.id(),
                start: WallTime(BEGIN_NS + moment - 400_000),
                tid: pid,
                vpid: Some(pid),
                comm: bytes("strip"),
                executable: path("/usr/bin/x86_64-linux-gnu-strip"),
                args: args(&["strip", "--strip-debug", &object]),
                env: Environment::default(),
                working_directory: path("/srv/build/main"),
                credentials: ids,
                credentials_before: None,
                no_new_privs: false,
                inside: None,
                names: Some(self.names.clone()),
                loginuid: None,
                audit_session: None,
                group_leader: Leader { args: None, ..leader.clone() },
                session_leader: leader.clone(),
                tty: None,
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
                cgroup_id: 4711,
                cgroup: bytes("/system.slice/build.service"),
            },
            file: ExecutedFile {
                path: path("/usr/bin/strip"),
                facts: Some(FileFacts {
                    uid: 0,
                    gid: 0,
                    mode: 0o100_755,
                    inode: 1_310_877,
                    device: (254, 0),
                    links: 1,
                    size: 183_312,
                    deleted: false,
                    memfd: false,
                    modified: Some(WallTime(BEGIN_NS - 7_000_000_000)),
                    changed: Some(WallTime(BEGIN_NS - 7_000_000_000 + 1)),
                    file_system: FileSystem::new(b"ext4"),
                    nosuid: false,
                    noexec: false,
                    read_only: false,
                    layer: None,
                }),
                source: Source::Kernel,
                hash: None,
            },
            interpreter: None,
            ancestry: self.ancestors.clone(),
            ancestry_cut: false,
            container_id: None,
            container: None,
            entry_leader: Some(EntryLeader { leader, kind: EntryKind::Init }),
            failure: None,
            enforcement: None,
            matches: Vec::new(),
        }))
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

fn args(list: &[&str]) -> Args {
    Args {
        list: list.iter().map(|arg| bytes(arg)).collect(),
        count: list.len() as u32,
        bytes_total: list.iter().map(|arg| arg.len() as u64 + 1).sum(),
        truncated: false,
        faulted: false,
        redacted: Vec::new(),
    }
}
