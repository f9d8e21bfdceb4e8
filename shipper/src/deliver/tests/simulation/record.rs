//! The records of a simulation. What a record of the ring says follows from its number there, so
//! that wherever it arrives it can be told whether it is whole.

use std::sync::Arc;

use super::dice::Dice;
use crate::event::codec::{self, Decoder};
use crate::event::{
    Args, Capabilities, Credentials, Environment, Event, Exec, ExecutedFile, FileFacts, Host, Id,
    Leader, Loss, Namespaces, Path, Process, ProcessKey, Source, WallTime,
};

/// Identity of a record: its number in the ring from 1 on, or [`REPORTS`] and the number of the
/// report.
pub type Key = u64;

/// Keys of loss reports lie above.
pub const REPORTS: Key = 1 << 40;

/// Records that are no event: one in so many.
const GARBAGE_EACH: u64 = 150;
/// Execs of files whose owner is root, and of files whose owner is not known: one in so many.
const ROOT_EACH: u64 = 3;
const UNKNOWN_EACH: u64 = 5;

pub fn id(key: Key) -> Id {
    Id(u128::from(key).to_be_bytes())
}

pub fn key(id: Id) -> Key {
    u128::from_be_bytes(id.0).try_into().expect("an id of the simulation")
}

/// The bytes that the ring's record of this number is in the spool.
pub fn bytes(key: Key) -> Vec<u8> {
    if is_garbage(key) {
        return [&[0xff; 10][..], &key.to_be_bytes()].concat();
    }
    let mut bytes = Vec::new();
    codec::encode(&exec(key), &mut bytes);
    bytes
}

/// Which record these bytes are.
pub fn read(bytes: &[u8]) -> Key {
    match Decoder::new().decode(bytes) {
        Ok(Event::Exec(exec)) => key(exec.id),
        Ok(Event::Exit(exit)) => key(exit.id),
        Ok(Event::Loss(Loss { id, .. })) => key(id),
        Err(_) => {
            let (_, key) = bytes.split_last_chunk().expect("garbage of the simulation");
            u64::from_be_bytes(*key)
        }
    }
}

fn dice(key: Key) -> Dice {
    Dice::new(key.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

pub fn is_garbage(key: Key) -> bool {
    key < REPORTS && dice(key).fork().below(GARBAGE_EACH) == 0
}

/// Some sinks do not like some events.
pub fn is_poison(key: Key) -> bool {
    dice(key ^ 0x55).below(40) == 0
}

/// Whether a sink gets it that does not want the files of root.
pub fn is_not_root_owned(key: Key) -> bool {
    let Event::Exec(exec) = exec(key) else { unreachable!() };
    exec.file.not_root_owned() != Some(false)
}

/// The event of the ring's record of this number.
pub fn exec(key: Key) -> Event {
    let mut dice = dice(key);
    let path = Path { bytes: Box::from(&b"/usr/bin/true"[..]), cut: false, unreachable: false };
    let long = if dice.below(40) == 0 { 3000 } else { 150 };
    let filler = (0..dice.below(long)).map(|_| dice.below(64) as u8).collect();
    let uid = u32::from(dice.below(ROOT_EACH) != 0);
    let facts = FileFacts {
        uid,
        gid: 0,
        mode: 0o755,
        inode: key,
        device: (8, 1),
        links: 1,
        size: 7,
        deleted: false,
        memfd: false,
        modified: None,
        changed: None,
        file_system: None,
        nosuid: false,
        noexec: false,
        read_only: false,
        layer: None,
    };
    let facts = (dice.below(UNKNOWN_EACH) != 0).then_some(facts);
    let leader = Leader { pid: 1, ..Leader::default() };
    let process = Process {
        key: ProcessKey { pid: 1, start_ticks: key },
        entity_id: id(key),
        start: WallTime(0),
        tid: 1,
        vpid: None,
        comm: Box::default(),
        executable: path.clone(),
        args: Args { list: vec![filler], ..Args::default() },
        env: Environment::default(),
        working_directory: Path::default(),
        credentials: credentials(),
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
        id: id(key),
        time: WallTime(key),
        boot_ns: 0,
        read: WallTime(0),
        cpu: 0,
        sequence: key,
        host: host(),
        process,
        file: ExecutedFile { path, facts, source: Source::Kernel, hash: None },
        interpreter: None,
        ancestry: Vec::new(),
        ancestry_cut: false,
        container_id: None,
        container: None,
        entry_leader: None,
        failure: None,
        enforcement: None,
        matches: Vec::new(),
    }))
}

fn credentials() -> Credentials {
    let capabilities =
        Capabilities { inheritable: 0, permitted: 0, effective: 0, bounding: 0, ambient: 0 };
    Credentials {
        uid: 0,
        gid: 0,
        euid: 0,
        egid: 0,
        suid: 0,
        sgid: 0,
        fsuid: 0,
        fsgid: 0,
        securebits: 0,
        capabilities,
    }
}

pub fn host() -> Arc<Host> {
    Arc::new(Host::default())
}
