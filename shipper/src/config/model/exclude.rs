//! What is not recorded: left out in the kernel, and counted.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use common::filters::{
    EXCLUDED_CGROUPS_MAX, EXCLUDED_NAMESPACES_MAX, EXCLUDED_TREES_MAX, EXCLUDED_UIDS_MAX,
};
use common::limits::{CGROUP_DEPTH_MAX, NAME_BYTES_MAX};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::super::units::UnitError;

/// Value of `format` in the schema by which the check knows user ids.
pub const UIDS_FORMAT: &str = "uids";

/// Value of `format` in the schema by which the check knows the path of a cgroup.
pub const CGROUP_PATH_FORMAT: &str = "cgroup-path";

/// Value of `format` in the schema by which the check knows the path of a program.
pub const PROGRAM_PATH_FORMAT: &str = "program-path";

/// What user ids must look like, in words for messages.
pub const UIDS_EXPECTED: &str = "a user id such as `997` or a range such as `1000-1999`";

/// What the path of a cgroup must look like, in words for messages.
pub const CGROUP_PATH_EXPECTED: &str =
    "the path of a cgroup below the root, such as `/system.slice/build.service`";

/// What the path of a program must look like, in words for messages.
pub const PROGRAM_PATH_EXPECTED: &str = "the absolute path of a program";

/// Most of a cgroup's rate: beyond it a limit in whole nanoseconds would be far from what was asked.
const PER_SECOND_MAX: u32 = 1_000_000;

/// Most at once.
const BURST_MAX: u32 = 10_000_000;

/// What is not recorded: executions, attempts that fail, and ends of processes. All is counted, and
/// the counts are events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exclude {
    /// Users, by the effective id that the program runs with, ids or ranges of them; at most 64.
    #[schemars(length(max = EXCLUDED_UIDS_MAX))]
    pub uids: Vec<Uids>,
    /// Cgroups with all below, by the path that events show; at most 64. They need not exist yet.
    #[schemars(length(max = EXCLUDED_CGROUPS_MAX))]
    pub cgroups: Vec<CgroupPath>,
    /// Namespaces, by kind and inode number, as `readlink /proc/PID/ns/pid` shows it; at most 16.
    #[schemars(length(max = EXCLUDED_NAMESPACES_MAX))]
    pub namespaces: Vec<NamespaceRule>,
    /// Programs whose processes are not recorded, nor any descendant of them; at most 64. The very
    /// files that have these paths when the daemon starts.
    #[schemars(length(max = EXCLUDED_TREES_MAX))]
    pub trees: Vec<ProgramPath>,
}

/// Most that one cgroup may execute. What is more is not recorded, and counted; ends of processes have
/// as much again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitPerCgroup {
    /// In a second, over time, 1 to 1000000.
    #[schemars(range(min = 1, max = PER_SECOND_MAX))]
    pub per_second: u32,
    /// At once, after a rest, 1 to 10000000.
    #[schemars(range(min = 1, max = BURST_MAX))]
    pub burst: u32,
}

/// One namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceRule {
    /// Of pids.
    Pid(#[schemars(range(min = 1, max = u32::MAX))] u32),
    /// Of mounts.
    Mnt(#[schemars(range(min = 1, max = u32::MAX))] u32),
    /// Of the network.
    Net(#[schemars(range(min = 1, max = u32::MAX))] u32),
    /// Of users.
    User(#[schemars(range(min = 1, max = u32::MAX))] u32),
}

/// The path of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = CGROUP_PATH_FORMAT, "pattern" = "^/+[^/]"))]
pub struct CgroupPath(pub PathBuf);

/// The path of a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = PROGRAM_PATH_FORMAT, "pattern" = "^/.*[^/]$"))]
pub struct ProgramPath(pub PathBuf);

/// User ids, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    /// The first.
    pub first: u32,
    /// The last, not below the first.
    pub last: u32,
}

impl FromStr for Uids {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = |digits: &str| {
            // Digits alone: u32 would take a sign as well.
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse().map_err(|_| UnitError) } else { Err(UnitError) }
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        if first <= last { Ok(Uids { first, last }) } else { Err(UnitError) }
    }
}

impl fmt::Display for Uids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uids { first, last } = self;
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl Serialize for Uids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UidsVisitor;

        impl Visitor<'_> for UidsVisitor {
            type Value = Uids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(UIDS_EXPECTED)
            }

            fn visit_u64<E: serde::de::Error>(self, uid: u64) -> Result<Uids, E> {
                let uid = u32::try_from(uid);
                let uid = uid.map_err(|_| E::custom("a user id has at most 32 bits"))?;
                Ok(Uids { first: uid, last: uid })
            }

            fn visit_i64<E: serde::de::Error>(self, uid: i64) -> Result<Uids, E> {
                let unsigned = u64::try_from(uid);
                self.visit_u64(
                    unsigned
                        .map_err(|_| E::invalid_value(Unexpected::Signed(uid), &UIDS_EXPECTED))?,
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uids, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(UidsVisitor).map_err(D::Error::custom)
    }
}

impl JsonSchema for Uids {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Uids".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "format": UIDS_FORMAT,
            "pattern": "^[0-9]+(-[0-9]+)?$",
            "minimum": 0,
            "maximum": u32::MAX,
            "examples": [997, "1000-1999"],
        })
    }
}

/// Whether the kernel programs can find a cgroup by this path.
#[must_use]
pub fn is_cgroup_path(path: &str) -> bool {
    let names = || path.split('/').filter(|name| !name.is_empty());
    let fits = |name: &str| {
        name.len() < NAME_BYTES_MAX as usize && !matches!(name, "." | "..") && !name.contains('\0')
    };
    // One level is kept for the root itself.
    path.starts_with('/')
        && (1..CGROUP_DEPTH_MAX as usize).contains(&names().count())
        && names().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_a_number_or_a_range_that_goes_up() {
        let cases = [
            ("0", Some((0, 0))),
            ("997", Some((997, 997))),
            ("1000-1999", Some((1000, 1999))),
            ("7-7", Some((7, 7))),
            ("4294967295", Some((u32::MAX, u32::MAX))),
            ("4294967296", None),
            ("7-6", None),
            ("-7", None),
            ("7-", None),
            ("+7", None),
            ("root", None),
            ("1 - 2", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let uids = text.parse::<Uids>().ok();
            assert_eq!(uids.map(|uids| (uids.first, uids.last)), expected, "{text:?}");
        }
    }

    #[test]
    fn the_path_of_a_cgroup_begins_at_the_root_and_is_not_the_root() {
        let deep = "/a".repeat(15);
        let too_deep = "/a".repeat(16);
        let (long, too_long) = (format!("/{}", "a".repeat(255)), format!("/{}", "a".repeat(256)));
        for path in ["/a", "/a/b.service/", "//a", &deep, &long] {
            assert!(is_cgroup_path(path), "{path}");
        }
        for path in ["", "/", "//", "a", "/a/../b", "/.", "/a\0", &too_deep, &too_long] {
            assert!(!is_cgroup_path(path), "{path}");
        }
    }
}
