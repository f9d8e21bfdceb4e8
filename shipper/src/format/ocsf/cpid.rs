//! The Common Process Identifier of OCSF (ocsf/common-process-id, specification.md): every product that
//! knows a process gives it the same one.

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::event::{Host, Process};

/// A UUID of version 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpid(Uuid);

impl Cpid {
    /// `None` where not all is known that it is made of: id of the boot, pid namespace, start, and pid in
    /// that namespace. So an ancestor has none: no more of it than its pid in the initial namespace is
    /// known.
    pub(super) fn of(process: &Process, host: &Host) -> Option<Cpid> {
        let boot = Uuid::parse_str(&host.boot_id).ok()?;
        let namespace = u64::from(process.namespaces.pid);
        let pid = i64::from(process.vpid?);
        (namespace != 0).then(|| Cpid::new(boot, namespace, process.key.start_ticks, pid))
    }

    fn new(boot: Uuid, namespace: u64, start_ticks: u64, pid: i64) -> Cpid {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(boot.as_bytes())
            .chain_update(namespace.to_ne_bytes())
            .chain_update(start_ticks.to_ne_bytes())
            .chain_update(pid.to_ne_bytes())
            .finalize()
            .into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // Sets version and variant.
        Cpid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl Serialize for Cpid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, testing};

    const BOOT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    /// Worked out apart from this code: SHA-256 over the 40 bytes, the first 16 with version and variant.
    #[test]
    fn it_is_what_the_specification_makes_of_these_numbers() {
        let boot = Uuid::parse_str(BOOT).expect("a UUID");
        let cpid = Cpid::new(boot, 4_026_531_836, 123_456, 4242);
        assert_eq!(cpid.0.to_string(), "bd09055c-4cde-840a-a6d9-b24a8f357526");
        assert_eq!(cpid.0.get_version_num(), 8);
    }

    #[test]
    fn there_is_none_where_something_is_not_known() {
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("an exec") };
        let mut host = Host { boot_id: BOOT.to_owned(), ..Host::default() };
        (exec.process.vpid, exec.process.namespaces.pid) = (Some(7), 4_026_531_836);
        let cpid = |process: &Process, host: &Host| Cpid::of(process, host).is_some();
        assert!(cpid(&exec.process, &host));
        exec.process.namespaces.pid = 0;
        assert!(!cpid(&exec.process, &host));
        (exec.process.vpid, exec.process.namespaces.pid) = (None, 4_026_531_836);
        assert!(!cpid(&exec.process, &host));
        exec.process.vpid = Some(7);
        host.boot_id.clear();
        assert!(!cpid(&exec.process, &host));
    }
}
