//! The event as the spool keeps it: protobuf, so that fields can be added and old records still be
//! read. This is the schema; a number once used is never used for anything else.
//!
//! ```proto
//! message Event { oneof event { Exec exec = 1; Loss loss = 2; Exit exit = 3; } }
//! message Exec {
//!   bytes id = 1;                       // 16 bytes, as all ids
//!   fixed64 time = 2;                   // ns since 1970, as all times but boot_ns
//!   fixed64 boot_ns = 3;
//!   fixed64 read = 4;
//!   uint32 cpu = 5;
//!   uint64 sequence = 6;
//!   Host host = 7;
//!   Process process = 8;
//!   File file = 9;
//!   optional File interpreter = 10;
//!   repeated Ancestor ancestry = 11;
//!   bool ancestry_cut = 12;
//!   optional string container_id = 13;
//!   optional Failure failure = 14;
//!   optional Container container = 15;
//!   optional EntryLeader entry_leader = 16;
//!   optional string enforcement_rule = 70;  // both or neither
//!   optional Action enforcement_action = 71;
//!   repeated Match matches = 110;
//! }
//! message Match { string id = 1; string name = 2; Severity severity = 3; repeated string tags = 4; }
//! message Failure { uint32 errno = 1; optional DeniedBy denied_by = 2; }
//! message Process {
//!   repeated uint64 key = 1;            // pid, start_ticks
//!   bytes entity_id = 2;
//!   fixed64 start = 3;
//!   uint32 tid = 4;
//!   optional uint32 vpid = 5;
//!   bytes comm = 6;
//!   Path executable = 7;
//!   Args args = 8;
//!   Path working_directory = 9;
//!   repeated uint64 credentials = 10;   // uid, gid, euid, egid, suid, sgid, fsuid, fsgid,
//!                                       // securebits, inheritable, permitted, effective,
//!                                       // bounding, ambient
//!   repeated uint64 credentials_before = 11;
//!   optional Names names = 12;
//!   optional uint32 loginuid = 13;
//!   optional uint32 audit_session = 14;
//!   Leader group_leader = 15;
//!   Leader session_leader = 16;
//!   repeated uint64 tty = 17;           // major, minor
//!   repeated uint64 namespaces = 18;    // mnt, pid, net, uts, ipc, cgroup, time, user
//!   uint64 cgroup_id = 19;
//!   bytes cgroup = 20;
//!   bool no_new_privs = 21;
//!   repeated uint64 inside = 22;        // uid, gid, euid, egid, suid, sgid, each plus 1; 0: none
//!   repeated bytes env = 90;            // NAME=value
//!   bool env_truncated = 91;
//!   bool env_faulted = 92;
//!   repeated string env_redacted = 93;  // kinds
//! }
//! message Names {                       // all optional
//!   string euid = 1; string uid = 2; string suid = 3; string egid = 4; string gid = 5;
//!   string sgid = 6; string loginuid = 7; string file_owner = 8; string file_group = 9;
//! }
//! message Leader {                      // all but pid optional
//!   uint32 pid = 1; bytes entity_id = 2; fixed64 start = 3; bytes comm = 4; bytes executable = 5;
//!   Args args = 6; uint32 euid = 7; string user = 8; bool interactive = 9;
//! }
//! message EntryLeader { Leader leader = 1; Entry kind = 2; }
//! message Container {                   // all optional
//!   string runtime = 1; string name = 2; string image_name = 3; string image_tag = 4;
//!   string pod_uid = 5; string pod_name = 6; string pod_namespace = 7; bool from_runtime = 8;
//! }
//! message Path { bytes bytes = 1; bool cut = 2; bool unreachable = 3; }
//! message Args {
//!   repeated bytes list = 1;
//!   repeated uint64 totals = 2;         // count, bytes_total
//!   bool truncated = 3;
//!   bool faulted = 4;
//!   repeated string redacted = 5;       // kinds
//! }
//! message File {
//!   Path path = 1;
//!   repeated uint64 facts = 2;          // uid, gid, mode, inode, major, minor, links, size,
//!                                       // flags (1: deleted, 2: memfd, 4: nosuid, 8: noexec,
//!                                       // 16: read only, 32: upper layer, 64: lower layer)
//!   Source source = 3;
//!   optional Hash hash = 4;
//!   repeated uint64 times = 5;          // modified, changed: ns since 1970; 0: not known
//!   optional bytes file_system = 6;
//! }
//! message Hash { oneof hash { bytes sha256 = 1; Missing missing = 2; } }
//! message Ancestor {
//!   repeated uint64 key = 1; bytes entity_id = 2; fixed64 start = 3; bytes comm = 4;
//!   optional bytes executable = 5; optional Args args = 6; Source source = 7;
//! }
//! message Host {
//!   string name = 1; string id = 2; string boot_id = 3; string kernel = 4;
//!   string architecture = 5; string os_platform = 6; string os_name = 7;
//!   string os_version = 8; string os_full = 9;
//! }
//! message Loss {
//!   bytes id = 1; fixed64 time = 2; Host host = 3; Stage stage = 4; Kind kind = 5;
//!   uint64 count = 6; fixed64 first = 7; fixed64 last = 8; optional string sink = 9;
//!   optional bytes cgroup = 80; optional string rule = 110;
//! }
//! message Exit {
//!   bytes id = 1; fixed64 time = 2; fixed64 boot_ns = 3; fixed64 read = 4; uint32 cpu = 5;
//!   uint64 sequence = 6; Host host = 7;
//!   Ancestor process = 8;               // the process itself, told as an ancestor is
//!   uint32 status = 9;                  // as wait(2) shows it
//!   uint64 duration_ns = 10;
//!   repeated Ancestor ancestry = 11;
//!   bool ancestry_cut = 12;
//!   Membership member = 13;             // of processes that ended before there was one: not there
//!   repeated Match matches = 110;
//! }
//! message Membership {
//!   Leader group_leader = 1; Leader session_leader = 2; optional EntryLeader entry_leader = 3;
//!   repeated uint64 tty = 4;            // major, minor
//!   optional uint32 euid = 5;
//! }
//! enum Severity { INFORMATIONAL = 1; LOW = 2; MEDIUM = 3; HIGH = 4; CRITICAL = 5; }
//! enum DeniedBy { SECURITY_MODULE = 1; SHIPPER = 2; }
//! enum Action { DENIED = 1; WOULD_DENY = 2; NOT_JUDGED = 3; }
//! enum Source { KERNEL = 1; EVENT = 2; PROCFS = 3; UNKNOWN = 4; }
//! enum Entry {
//!   INIT = 1; SSHD = 2; SSM = 3; CONTAINER = 4; TERMINAL = 5; CONSOLE = 6; KTHREAD = 7;
//!   UNKNOWN = 8;
//! }
//! enum Missing {
//!   LATE = 1; TOO_LARGE = 2; UNREADABLE = 3; CHANGED = 4; NOT_A_FILE = 5; GONE = 6;
//!   NOT_KNOWN = 7; UNSURE = 8;
//! }
//! enum Stage {
//!   RING_FULL = 1; KERNEL_RECURSION = 2; UNREADABLE = 3; UNDECODABLE = 4; SPOOL_FULL = 5;
//!   SPOOL_DAMAGED = 6; TOO_LARGE = 7; QUARANTINED = 8; EXCLUDED_TREE = 80; EXCLUDED_USER = 81;
//!   EXCLUDED_NAMESPACE = 82; EXCLUDED_CGROUP = 83; RATE_LIMITED = 84;
//!   RULE_SUPPRESSED = 100; RULE_FOLDED = 101;
//! }
//! enum Kind { EXEC = 1; FORK = 2; EXIT = 3; RECORD = 4; MATCH = 100; }
//! ```
//!
//! Numbers that are always there together are one packed field: it costs a third of a message of
//! their own. A later version may append to such a list, and add fields anywhere: both are skipped
//! here. What is not `optional`, a `bool` or a list of things must be there: its absence is an
//! error, never a zero. (The lists of numbers `credentials_before`, `tty`, `inside`, `facts` and `times` are optional.)
//!
//! Written and read directly rather than through messages of a library, which would own copies of
//! all bytes: this is on the way of every event, once to the spool and once to each sink.

mod decode;
mod enforcement;
mod exit;
mod failure;
mod file;
mod hash;
mod loss;
mod recent;
mod rule_match;
mod wire;

pub use decode::Decoder;

use super::{
    Ancestor, Args, Container, Credentials, EntryKind, EntryLeader, Event, Exec, Host, InsideIds,
    Leader, Names, Namespaces, Path, Process, ProcessKey, Source,
};
use wire::Message;

/// Why bytes are not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end within a field.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("a number in it has no end")]
    Varint,
    /// A field is of another type than it should be.
    #[error("field {field} of a message in it is of another type than known here")]
    WireType {
        /// Number of the field.
        field: u64,
    },
    /// A text is not UTF-8.
    #[error("the text in field {field} of a message in it is not UTF-8")]
    Text {
        /// Number of the field.
        field: u64,
    },
    /// A list of numbers is too short.
    #[error("the list in field {field} of a message in it is too short")]
    TooFewNumbers {
        /// Number of the field.
        field: u64,
    },
    /// A number has more bits than its field may have, mostly 32.
    #[error("the number {value} in it is too large for its field")]
    TooLarge {
        /// The number.
        value: u64,
    },
    /// A hash has not 32 bytes.
    #[error("a hash in it has not 32 bytes")]
    HashLength,
    /// An id has not 16 bytes.
    #[error("an id in it has not 16 bytes")]
    IdLength,
    /// A part is not there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A value that this version does not know: a later one wrote it.
    #[error("its {0} is not known to this version of shipper; a later one wrote it")]
    Unknown(&'static str),
}

/// Appends the event to `out`.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    let mut message = Message::new(out);
    match event {
        Event::Exec(event) => message.message(1, |message| exec(message, event)),
        Event::Loss(event) => message.message(2, |message| loss::encode(message, event)),
        Event::Exit(event) => message.message(3, |message| exit::encode(message, event)),
    }
}

fn exec(message: &mut Message<'_>, exec: &Exec) {
    message.bytes(1, exec.id.0);
    message.fixed(2, exec.time.0);
    message.fixed(3, exec.boot_ns);
    message.fixed(4, exec.read.0);
    message.uint(5, exec.cpu);
    message.uint(6, exec.sequence);
    message.message(7, |message| host(message, &exec.host));
    message.message(8, |message| process(message, &exec.process));
    message.message(9, |message| file::encode(message, &exec.file));
    if let Some(interpreter) = &exec.interpreter {
        message.message(10, |message| file::encode(message, interpreter));
    }
    for each in &exec.ancestry {
        message.message(11, |message| ancestor(message, each));
    }
    message.flag(12, exec.ancestry_cut);
    if let Some(id) = &exec.container_id {
        message.bytes(13, id);
    }
    if let Some(known) = &exec.container {
        message.message(15, |message| container(message, known));
    }
    if let Some(known) = &exec.entry_leader {
        message.message(16, |message| entry_leader(message, known));
    }
    if let Some(known) = &exec.failure {
        message.message(14, |message| failure::encode(message, known));
    }
    if let Some(known) = &exec.enforcement {
        enforcement::encode(message, known);
    }
    rule_match::encode(message, &exec.matches);
}

fn process(message: &mut Message<'_>, process: &Process) {
    message.numbers(1, &key(process.key));
    message.bytes(2, process.entity_id.0);
    message.fixed(3, process.start.0);
    message.uint(4, process.tid);
    if let Some(vpid) = process.vpid {
        message.uint(5, vpid);
    }
    message.bytes(6, &process.comm);
    message.message(7, |message| path(message, &process.executable));
    message.message(8, |message| args(message, &process.args));
    message.message(9, |message| path(message, &process.working_directory));
    message.numbers(10, &credentials(&process.credentials));
    if let Some(before) = &process.credentials_before {
        message.numbers(11, &credentials(before));
    }
    if let Some(all) = &process.names {
        message.message(12, |message| names(message, all));
    }
    if let Some(loginuid) = process.loginuid {
        message.uint(13, loginuid);
    }
    if let Some(session) = process.audit_session {
        message.uint(14, session);
    }
    message.message(15, |message| leader(message, &process.group_leader));
    message.message(16, |message| leader(message, &process.session_leader));
    if let Some((major, minor)) = process.tty {
        message.numbers(17, &[major.into(), minor.into()]);
    }
    message.numbers(18, &namespaces(&process.namespaces));
    message.uint(19, process.cgroup_id);
    message.bytes(20, &process.cgroup);
    message.flag(21, process.no_new_privs);
    if let Some(ids) = &process.inside {
        message.numbers(22, &inside(ids));
    }
    for variable in &process.env.list {
        message.bytes(90, variable);
    }
    message.flag(91, process.env.truncated);
    message.flag(92, process.env.faulted);
    for kind in &process.env.redacted {
        message.bytes(93, &**kind);
    }
}

fn key(key: ProcessKey) -> [u64; 2] {
    [key.pid.into(), key.start_ticks]
}

fn credentials(ids: &Credentials) -> [u64; 14] {
    let sets = &ids.capabilities;
    [
        ids.uid.into(),
        ids.gid.into(),
        ids.euid.into(),
        ids.egid.into(),
        ids.suid.into(),
        ids.sgid.into(),
        ids.fsuid.into(),
        ids.fsgid.into(),
        ids.securebits.into(),
        sets.inheritable,
        sets.permitted,
        sets.effective,
        sets.bounding,
        sets.ambient,
    ]
}

fn inside(ids: &InsideIds) -> [u64; 6] {
    let InsideIds { uid, gid, euid, egid, suid, sgid } = *ids;
    [uid, gid, euid, egid, suid, sgid].map(|id| id.map_or(0, |id| u64::from(id) + 1))
}

fn namespaces(inodes: &Namespaces) -> [u64; 8] {
    let Namespaces { mnt, pid, net, uts, ipc, cgroup, time, user } = *inodes;
    [mnt, pid, net, uts, ipc, cgroup, time, user].map(u64::from)
}

fn names(message: &mut Message<'_>, names: &Names) {
    let Names { euid, uid, suid, egid, gid, sgid, loginuid, file_owner, file_group } = names;
    for (field, name) in
        (1..).zip([euid, uid, suid, egid, gid, sgid, loginuid, file_owner, file_group])
    {
        if let Some(name) = name {
            message.bytes(field, &**name);
        }
    }
}

fn leader(message: &mut Message<'_>, leader: &Leader) {
    message.uint(1, leader.pid);
    if let Some(id) = leader.entity_id {
        message.bytes(2, id.0);
    }
    if let Some(start) = leader.start {
        message.fixed(3, start.0);
    }
    if let Some(comm) = &leader.comm {
        message.bytes(4, comm);
    }
    if let Some(executable) = &leader.executable {
        message.bytes(5, executable);
    }
    if let Some(list) = &leader.args {
        message.message(6, |message| args(message, list));
    }
    if let Some(euid) = leader.euid {
        message.uint(7, euid);
    }
    if let Some(user) = &leader.user {
        message.bytes(8, &**user);
    }
    if let Some(interactive) = leader.interactive {
        message.uint(9, interactive);
    }
}

fn entry_leader(message: &mut Message<'_>, entry: &EntryLeader) {
    message.message(1, |message| leader(message, &entry.leader));
    message.uint(2, entry_kind(entry.kind));
}

fn entry_kind(kind: EntryKind) -> u64 {
    match kind {
        EntryKind::Init => 1,
        EntryKind::Sshd => 2,
        EntryKind::Ssm => 3,
        EntryKind::Container => 4,
        EntryKind::Terminal => 5,
        EntryKind::Console => 6,
        EntryKind::Kthread => 7,
        EntryKind::Unknown => 8,
    }
}

fn container(message: &mut Message<'_>, container: &Container) {
    let Container {
        runtime, name, image_name, image_tag, pod_uid, pod_name, pod_namespace, ..
    } = container;
    let texts = [runtime, name, image_name, image_tag, pod_uid, pod_name, pod_namespace];
    for (field, text) in (1..).zip(texts) {
        if let Some(text) = text {
            message.bytes(field, &**text);
        }
    }
    message.flag(8, container.from_runtime);
}

fn path(message: &mut Message<'_>, path: &Path) {
    message.bytes(1, &path.bytes);
    message.flag(2, path.cut);
    message.flag(3, path.unreachable);
}

fn args(message: &mut Message<'_>, args: &Args) {
    for arg in &args.list {
        message.bytes(1, arg);
    }
    message.numbers(2, &[args.count.into(), args.bytes_total]);
    message.flag(3, args.truncated);
    message.flag(4, args.faulted);
    for kind in &args.redacted {
        message.bytes(5, &**kind);
    }
}

fn source(source: Source) -> u64 {
    match source {
        Source::Kernel => 1,
        Source::Event => 2,
        Source::Procfs => 3,
        Source::Unknown => 4,
    }
}

fn ancestor(message: &mut Message<'_>, ancestor: &Ancestor) {
    message.numbers(1, &key(ancestor.key));
    message.bytes(2, ancestor.entity_id.0);
    message.fixed(3, ancestor.start.0);
    message.bytes(4, &ancestor.comm);
    if let Some(executable) = &ancestor.executable {
        message.bytes(5, executable);
    }
    if let Some(list) = &ancestor.args {
        message.message(6, |message| args(message, list));
    }
    message.uint(7, source(ancestor.source));
}

fn host(message: &mut Message<'_>, host: &Host) {
    let Host { name, id, boot_id, kernel, architecture, os_platform, os_name, os_version, os_full } =
        host;
    let texts =
        [name, id, boot_id, kernel, architecture, os_platform, os_name, os_version, os_full];
    for (field, text) in (1..).zip(texts) {
        message.bytes(field, text);
    }
}
