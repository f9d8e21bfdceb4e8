//! The schema of `schema.rs` as a later version might have it.

use prost::Message;

use super::schema::Leader;

/// A later version: fields were added, in each form that there is.
#[derive(Clone, PartialEq, Message)]
pub struct Later {
    #[prost(message, tag = "1")]
    pub exec: Option<LaterExec>,
    #[prost(message, tag = "2")]
    pub loss: Option<LaterLoss>,
    #[prost(message, tag = "3")]
    pub exit: Option<LaterExit>,
    #[prost(bytes, optional, tag = "900")]
    pub added: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LaterExec {
    #[prost(bytes, required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed64, required, tag = "2")]
    pub time: u64,
    #[prost(fixed64, required, tag = "3")]
    pub boot_ns: u64,
    #[prost(fixed64, required, tag = "4")]
    pub read: u64,
    #[prost(uint32, optional, tag = "5")]
    pub cpu: Option<u32>,
    #[prost(uint64, required, tag = "6")]
    pub sequence: u64,
    #[prost(bytes, optional, tag = "7")]
    pub host: Option<Vec<u8>>,
    #[prost(bytes, optional, tag = "8")]
    pub process: Option<Vec<u8>>,
    #[prost(bytes, required, tag = "9")]
    pub file: Vec<u8>,
    #[prost(bytes, optional, tag = "10")]
    pub interpreter: Option<Vec<u8>>,
    #[prost(bytes, repeated, tag = "11")]
    pub ancestry: Vec<Vec<u8>>,
    #[prost(bool, tag = "12")]
    pub ancestry_cut: bool,
    #[prost(string, optional, tag = "13")]
    pub container_id: Option<String>,
    #[prost(bytes, optional, tag = "14")]
    pub failure: Option<Vec<u8>>,
    #[prost(bytes, optional, tag = "15")]
    pub container: Option<Vec<u8>>,
    #[prost(bytes, optional, tag = "16")]
    pub entry_leader: Option<Vec<u8>>,
    #[prost(string, optional, tag = "70")]
    pub enforcement_rule: Option<String>,
    #[prost(uint32, optional, tag = "71")]
    pub enforcement_action: Option<u32>,
    #[prost(bytes, repeated, tag = "110")]
    pub matches: Vec<Vec<u8>>,
    #[prost(uint64, repeated, tag = "100")]
    pub numbers: Vec<u64>,
    #[prost(fixed32, optional, tag = "101")]
    pub fixed: Option<u32>,
    #[prost(message, tag = "102")]
    pub message: Option<Leader>,
    #[prost(double, optional, tag = "103")]
    pub double: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LaterLoss {
    #[prost(bytes, required, tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed64, required, tag = "2")]
    pub time: u64,
    #[prost(bytes, required, tag = "3")]
    pub host: Vec<u8>,
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
    #[prost(sint64, optional, tag = "77")]
    pub added: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LaterExit {
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
    #[prost(bytes, required, tag = "7")]
    pub host: Vec<u8>,
    #[prost(bytes, optional, tag = "8")]
    pub process: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "9")]
    pub status: Option<u32>,
    #[prost(uint64, required, tag = "10")]
    pub duration_ns: u64,
    #[prost(bytes, repeated, tag = "11")]
    pub ancestry: Vec<Vec<u8>>,
    #[prost(bool, tag = "12")]
    pub ancestry_cut: bool,
    #[prost(bytes, optional, tag = "13")]
    pub member: Option<Vec<u8>>,
    #[prost(bytes, repeated, tag = "110")]
    pub matches: Vec<Vec<u8>>,
    #[prost(string, optional, tag = "78")]
    pub added: Option<String>,
}

impl Later {
    /// Fills what was added from these bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.added = Some(bytes.to_vec());
        let number = bytes.len() as u64;
        if let Some(exec) = &mut self.exec {
            exec.numbers = vec![number, u64::MAX];
            exec.fixed = Some(u32::MAX);
            exec.message =
                Some(Leader { pid: 1, entity_id: Some(bytes.to_vec()), ..Leader::default() });
            exec.double = Some(1.5);
        }
        if let Some(loss) = &mut self.loss {
            loss.added = Some(-1);
        }
        if let Some(exit) = &mut self.exit {
            exit.added = Some(format!("{number}"));
        }
    }
}
