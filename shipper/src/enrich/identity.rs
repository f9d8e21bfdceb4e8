//! Identities: the same process, the same exec, always the same id, on whatever day it is read.

use sha2::{Digest, Sha256};

use crate::event::{Id, ProcessKey, WallTime};

/// Makes ids for one boot of one host.
pub struct Identities {
    /// Hash state after the host's and the boot's id.
    seed: Sha256,
}

impl Identities {
    /// For the host and boot with these ids.
    #[must_use]
    pub fn new(host_id: &str, boot_id: &str) -> Self {
        let mut seed = Sha256::new();
        seed.update(host_id.as_bytes());
        seed.update([0]);
        seed.update(boot_id.as_bytes());
        seed.update([0]);
        Identities { seed }
    }

    /// Entity id of a process: pid and start in ticks tell it from every other of this boot.
    #[must_use]
    pub fn process(&self, key: ProcessKey) -> Id {
        self.hash(b"process", &[u64::from(key.pid), key.start_ticks])
    }

    /// Id of an exec: a process executes once at a time, so its time since boot tells them apart.
    #[must_use]
    pub fn exec(&self, key: ProcessKey, boot_ns: u64) -> Id {
        self.hash(b"exec", &[u64::from(key.pid), key.start_ticks, boot_ns])
    }

    /// Id of the end of a process, which has one.
    #[must_use]
    pub fn exit(&self, key: ProcessKey) -> Id {
        self.hash(b"exit", &[u64::from(key.pid), key.start_ticks])
    }

    /// Id of a report of lost records, by what, where, until when, and which report of this run it
    /// is.
    #[must_use]
    pub fn loss(&self, kind: &str, stage: &str, last: WallTime, number: u64) -> Id {
        self.hash(format!("loss {kind} {stage}").as_bytes(), &[last.0, number])
    }

    fn hash(&self, what: &[u8], numbers: &[u64]) -> Id {
        let mut hash = self.seed.clone();
        hash.update(what);
        for number in numbers {
            hash.update(number.to_le_bytes());
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Id(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_in_every_part_and_repeat_for_the_same() {
        let ids = Identities::new("host", "boot");
        let key = ProcessKey { pid: 7, start_ticks: 100 };
        assert_eq!(ids.process(key), Identities::new("host", "boot").process(key));
        let others = [
            Identities::new("other", "boot").process(key),
            Identities::new("host", "other").process(key),
            ids.process(ProcessKey { pid: 8, ..key }),
            ids.process(ProcessKey { start_ticks: 101, ..key }),
            ids.exec(key, 1),
            ids.exec(key, 2),
            ids.exit(key),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(ids.process(key), *other);
            assert!(!others[..index].contains(other));
        }
        assert_eq!(ids.process(key).to_string().len(), 32);
    }
}
