//! The schema of `event/codec.rs` as another reader of it would write it down.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    #[prost(message, tag = "1")]
    Exec(Box<Exec>),
    #[prost(message, tag = "2")]
    Loss(Box<Loss>),
    #[prost(message, tag = "3")]
    Exit(Box<Exit>),
}

#[derive(Clone, PartialEq, Message)]
pub struct Exec {
    #[prost(bytes, required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed64, required, tag = "2")]
    pub time: u64,
    #[prost(fixed64, required, tag = "3")]
    pub boot_ns: u64,
    #[prost(fixed64, required, tag = "4")]
    pub read: u64,
    #[prost(uint32, required, tag = "5")]
    pub cpu: u32,
    #[prost(uint64, required, tag = "6")]
    pub sequence: u64,
    #[prost(message, required, tag = "7")]
    pub host: Host,
    #[prost(message, required, tag = "8")]
    pub process: Process,
    #[prost(message, required, tag = "9")]
    pub file: File,
    #[prost(message, tag = "10")]
    pub interpreter: Option<File>,
    #[prost(message, repeated, tag = "11")]
    pub ancestry: Vec<Ancestor>,
    #[prost(bool, tag = "12")]
    pub ancestry_cut: bool,
    #[prost(string, optional, tag = "13")]
    pub container_id: Option<String>,
    #[prost(message, tag = "14")]
    pub failure: Option<Failure>,
    #[prost(message, tag = "15")]
    pub container: Option<Container>,
    #[prost(message, tag = "16")]
    pub entry_leader: Option<EntryLeader>,
    #[prost(string, optional, tag = "70")]
    pub enforcement_rule: Option<String>,
    #[prost(uint32, optional, tag = "71")]
    pub enforcement_action: Option<u32>,
    #[prost(message, repeated, tag = "110")]
    pub matches: Vec<Match>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Match {
    #[prost(string, required, tag = "1")]
    pub id: String,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(uint32, required, tag = "3")]
    pub severity: u32,
    #[prost(string, repeated, tag = "4")]
    pub tags: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, optional, tag = "1")]
    pub runtime: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub image_name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub image_tag: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub pod_uid: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub pod_name: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub pod_namespace: Option<String>,
    #[prost(bool, tag = "8")]
    pub from_runtime: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct EntryLeader {
    #[prost(message, required, tag = "1")]
    pub leader: Leader,
    #[prost(uint32, required, tag = "2")]
    pub kind: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Failure {
    #[prost(uint32, required, tag = "1")]
    pub errno: u32,
    #[prost(uint32, optional, tag = "2")]
    pub denied_by: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Process {
    #[prost(uint64, repeated, tag = "1")]
    pub key: Vec<u64>,
    #[prost(bytes, required, tag = "2")]
    pub entity_id: Vec<u8>,
    #[prost(fixed64, required, tag = "3")]
    pub start: u64,
    #[prost(uint32, required, tag = "4")]
    pub tid: u32,
    #[prost(uint32, optional, tag = "5")]
    pub vpid: Option<u32>,
    #[prost(bytes, required, tag = "6")]
    pub comm: Vec<u8>,
    #[prost(message, required, tag = "7")]
    pub executable: Path,
    #[prost(message, required, tag = "8")]
    pub args: Args,
    #[prost(message, required, tag = "9")]
    pub working_directory: Path,
    #[prost(uint64, repeated, tag = "10")]
    pub credentials: Vec<u64>,
    #[prost(uint64, repeated, tag = "11")]
    pub credentials_before: Vec<u64>,
    #[prost(message, tag = "12")]
    pub names: Option<Names>,
    #[prost(uint32, optional, tag = "13")]
    pub loginuid: Option<u32>,
    #[prost(uint32, optional, tag = "14")]
    pub audit_session: Option<u32>,
    #[prost(message, required, tag = "15")]
    pub group_leader: Leader,
    #[prost(message, required, tag = "16")]
    pub session_leader: Leader,
    #[prost(uint64, repeated, tag = "17")]
    pub tty: Vec<u64>,
    #[prost(uint64, repeated, tag = "18")]
    pub namespaces: Vec<u64>,
    #[prost(uint64, required, tag = "19")]
    pub cgroup_id: u64,
    #[prost(bytes, required, tag = "20")]
    pub cgroup: Vec<u8>,
    #[prost(bool, tag = "21")]
    pub no_new_privs: bool,
    #[prost(uint64, repeated, tag = "22")]
    pub inside: Vec<u64>,
    #[prost(bytes, repeated, tag = "90")]
    pub env: Vec<Vec<u8>>,
    #[prost(bool, tag = "91")]
    pub env_truncated: bool,
    #[prost(bool, tag = "92")]
    pub env_faulted: bool,
    #[prost(string, repeated, tag = "93")]
    pub env_redacted: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Names {
    #[prost(string, optional, tag = "1")]
    pub euid: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub uid: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub suid: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub egid: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub gid: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub sgid: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub loginuid: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub file_owner: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub file_group: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Leader {
    #[prost(uint32, required, tag = "1")]
    pub pid: u32,
    #[prost(bytes, optional, tag = "2")]
    pub entity_id: Option<Vec<u8>>,
    #[prost(fixed64, optional, tag = "3")]
    pub start: Option<u64>,
    #[prost(bytes, optional, tag = "4")]
    pub comm: Option<Vec<u8>>,
    #[prost(bytes, optional, tag = "5")]
    pub executable: Option<Vec<u8>>,
    #[prost(message, tag = "6")]
    pub args: Option<Args>,
    #[prost(uint32, optional, tag = "7")]
    pub euid: Option<u32>,
    #[prost(string, optional, tag = "8")]
    pub user: Option<String>,
    #[prost(bool, optional, tag = "9")]
    pub interactive: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Membership {
    #[prost(message, required, tag = "1")]
    pub group_leader: Leader,
    #[prost(message, required, tag = "2")]
    pub session_leader: Leader,
    #[prost(message, optional, tag = "3")]
    pub entry_leader: Option<EntryLeader>,
    #[prost(uint64, repeated, tag = "4")]
    pub tty: Vec<u64>,
    #[prost(uint32, optional, tag = "5")]
    pub euid: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Path {
    #[prost(bytes, required, tag = "1")]
    pub bytes: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub cut: bool,
    #[prost(bool, tag = "3")]
    pub unreachable: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Args {
    #[prost(bytes, repeated, tag = "1")]
    pub list: Vec<Vec<u8>>,
    #[prost(uint64, repeated, tag = "2")]
    pub totals: Vec<u64>,
    #[prost(bool, tag = "3")]
    pub truncated: bool,
    #[prost(bool, tag = "4")]
    pub faulted: bool,
    #[prost(string, repeated, tag = "5")]
    pub redacted: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct File {
    #[prost(message, required, tag = "1")]
    pub path: Path,
    #[prost(uint64, repeated, tag = "2")]
    pub facts: Vec<u64>,
    #[prost(uint32, required, tag = "3")]
    pub source: u32,
    #[prost(message, optional, tag = "4")]
    pub hash: Option<Hash>,
    #[prost(uint64, repeated, tag = "5")]
    pub times: Vec<u64>,
    #[prost(bytes, optional, tag = "6")]
    pub file_system: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Hash {
    #[prost(bytes, optional, tag = "1")]
    pub sha256: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    pub missing: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Ancestor {
    #[prost(uint64, repeated, tag = "1")]
    pub key: Vec<u64>,
    #[prost(bytes, required, tag = "2")]
    pub entity_id: Vec<u8>,
    #[prost(fixed64, required, tag = "3")]
    pub start: u64,
    #[prost(bytes, required, tag = "4")]
    pub comm: Vec<u8>,
    #[prost(bytes, optional, tag = "5")]
    pub executable: Option<Vec<u8>>,
    #[prost(message, tag = "6")]
    pub args: Option<Args>,
    #[prost(uint32, required, tag = "7")]
    pub source: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Host {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(string, required, tag = "2")]
    pub id: String,
    #[prost(string, required, tag = "3")]
    pub boot_id: String,
    #[prost(string, required, tag = "4")]
    pub kernel: String,
    #[prost(string, required, tag = "5")]
    pub architecture: String,
    #[prost(string, required, tag = "6")]
    pub os_platform: String,
    #[prost(string, required, tag = "7")]
    pub os_name: String,
    #[prost(string, required, tag = "8")]
    pub os_version: String,
    #[prost(string, required, tag = "9")]
    pub os_full: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Loss {
    #[prost(bytes, required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed64, required, tag = "2")]
    pub time: u64,
    #[prost(message, required, tag = "3")]
    pub host: Host,
    #[prost(uint32, required, tag = "4")]
    pub stage: u32,
    #[prost(uint32, required, tag = "5")]
    pub kind: u32,
    #[prost(uint64, required, tag = "6")]
    pub count: u64,
    #[prost(fixed64, required, tag = "7")]
    pub first: u64,
    #[prost(fixed64, required, tag = "8")]
    pub last: u64,
    #[prost(string, optional, tag = "9")]
    pub sink: Option<String>,
    #[prost(bytes, optional, tag = "80")]
    pub cgroup: Option<Vec<u8>>,
    #[prost(string, optional, tag = "110")]
    pub rule: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Exit {
    #[prost(bytes, required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed64, required, tag = "2")]
    pub time: u64,
    #[prost(fixed64, required, tag = "3")]
    pub boot_ns: u64,
    #[prost(fixed64, required, tag = "4")]
    pub read: u64,
    #[prost(uint32, required, tag = "5")]
    pub cpu: u32,
    #[prost(uint64, required, tag = "6")]
    pub sequence: u64,
    #[prost(message, required, tag = "7")]
    pub host: Host,
    #[prost(message, required, tag = "8")]
    pub process: Ancestor,
    #[prost(uint32, required, tag = "9")]
    pub status: u32,
    #[prost(uint64, required, tag = "10")]
    pub duration_ns: u64,
    #[prost(message, repeated, tag = "11")]
    pub ancestry: Vec<Ancestor>,
    #[prost(bool, tag = "12")]
    pub ancestry_cut: bool,
    #[prost(message, optional, tag = "13")]
    pub member: Option<Membership>,
    #[prost(message, repeated, tag = "110")]
    pub matches: Vec<Match>,
}
