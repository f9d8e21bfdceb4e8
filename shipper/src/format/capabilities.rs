//! Capability sets and securebits, by name and as digits.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::text;
use crate::event::Capabilities;

/// Names of the capabilities by bit, from `linux/capability.h` (6.18; none was added since 5.9).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Every capability that has a name.
const ALL: u64 = (1 << CAPABILITIES.len()) - 1;

/// Names of the `SECBIT_*` by bit, from `linux/securebits.h`.
const SECUREBITS: [&str; 12] = [
    "SECBIT_NOROOT",
    "SECBIT_NOROOT_LOCKED",
    "SECBIT_NO_SETUID_FIXUP",
    "SECBIT_NO_SETUID_FIXUP_LOCKED",
    "SECBIT_KEEP_CAPS",
    "SECBIT_KEEP_CAPS_LOCKED",
    "SECBIT_NO_CAP_AMBIENT_RAISE",
    "SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED",
    "SECBIT_EXEC_RESTRICT_FILE",
    "SECBIT_EXEC_RESTRICT_FILE_LOCKED",
    "SECBIT_EXEC_DENY_INTERACTIVE",
    "SECBIT_EXEC_DENY_INTERACTIVE_LOCKED",
];

/// The securebits that are set, by name.
pub struct SecureBits(pub u32);

impl SecureBits {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl Serialize for SecureBits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named(&SECUREBITS, self.0.into(), serializer)
    }
}

/// A capability set as names. A bit without a name shows in `shipper.credentials.capabilities`.
pub struct CapabilityNames(pub u64);

impl CapabilityNames {
    /// The capabilities that a bounding set lacks.
    pub fn dropped(bounding: u64) -> Self {
        CapabilityNames(ALL & !bounding)
    }

    /// Whether none has a name.
    pub fn is_empty(&self) -> bool {
        self.0 & ALL == 0
    }
}

impl Serialize for CapabilityNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named(&CAPABILITIES, self.0, serializer)
    }
}

/// The names of the bits that are set.
fn named<S: Serializer>(names: &[&str], bits: u64, serializer: S) -> Result<S::Ok, S::Error> {
    let set = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    serializer.collect_seq(set.map(|(_, name)| name))
}

/// The five sets as 16 hexadecimal digits each, as /proc/PID/status shows them.
pub struct CapabilitySets(pub Capabilities);

impl Serialize for CapabilitySets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Capabilities { inheritable, permitted, effective, bounding, ambient } = self.0;
        let mut map = serializer.serialize_map(Some(5))?;
        for (name, set) in [
            ("inheritable", inheritable),
            ("permitted", permitted),
            ("effective", effective),
            ("bounding", bounding),
            ("ambient", ambient),
        ] {
            map.serialize_entry(name, &Hex(set))?;
        }
        map.end()
    }
}

/// 16 hexadecimal digits.
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(self.0 >> (60 - 4 * place) & 0xf) as usize];
        }
        serializer.serialize_str(text::ascii(&digits))
    }
}
