//! The small field sets that ECS events are put together from.

use serde::{Serialize, Serializer};

use super::super::text::{self, Long, Sha256, Shown};
use super::rules::severity;
use crate::event::{Enforcement, Event, Exec, ExecutedFile, Exit, Host, Id, Loss, WallTime};

/// What tells the kinds of events apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// `event.kind`.
    pub kind: &'static str,
    /// `event.action`.
    pub action: &'static str,
}

impl Class {
    const EXEC: Class = Class { kind: "event", action: "exec" };
    const EXIT: Class = Class { kind: "event", action: "end" };
    const LOSS: Class = Class { kind: "pipeline_error", action: "events-lost" };
    const LEFT_OUT: Class = Class { kind: "metric", action: "events-left-out" };

    /// The class of an event.
    #[must_use]
    pub fn of(event: &Event) -> Class {
        match event {
            Event::Exec(_) => Class::EXEC,
            Event::Exit(_) => Class::EXIT,
            Event::Loss(loss) => Class::of_loss(loss),
        }
    }

    fn of_loss(loss: &Loss) -> Class {
        if loss.stage.is_wanted() { Class::LEFT_OUT } else { Class::LOSS }
    }
}

/// `event.*`.
#[derive(Serialize)]
pub struct EventFields<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    category: &'a [&'static str],
    #[serde(rename = "type", skip_serializing_if = "<[_]>::is_empty")]
    types: &'a [&'static str],
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<u8>,
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Long>,
    module: &'static str,
    dataset: &'static str,
}

impl<'a> EventFields<'a> {
    /// Of an execution, or of an attempt: that started nothing, and who looks for what was started asks
    /// for the type alone.
    pub fn exec(exec: &'a Exec) -> Self {
        let is_failure = exec.failure.is_some();
        EventFields {
            kind: Class::EXEC.kind,
            category: &["process"],
            types: if is_failure { &["info"] } else { &["start"] },
            action: Class::EXEC.action,
            outcome: Some(if is_failure { "failure" } else { "success" }),
            reason: exec.enforcement.as_ref().map(Enforcement::sentence),
            severity: severity(&exec.matches),
            id: exec.id,
            created: Some(exec.read),
            sequence: Some(Long(exec.sequence)),
            module: "shipper",
            dataset: "shipper.process",
        }
    }

    /// Of the end of a process. Whether that was a success is for whoever knows the program to say.
    pub fn exit(exit: &Exit) -> Self {
        EventFields {
            kind: Class::EXIT.kind,
            category: &["process"],
            types: &["end"],
            action: Class::EXIT.action,
            outcome: None,
            reason: None,
            severity: severity(&exit.matches),
            id: exit.id,
            created: Some(exit.read),
            sequence: Some(Long(exit.sequence)),
            module: "shipper",
            dataset: "shipper.process",
        }
    }

    /// Of a report of records that were lost or left out.
    pub fn loss(loss: &Loss) -> Self {
        let Class { kind, action } = Class::of_loss(loss);
        EventFields {
            kind,
            category: &[],
            types: &[],
            action,
            outcome: None,
            reason: Some(loss.sentence()),
            severity: None,
            id: loss.id,
            created: None,
            sequence: None,
            module: "shipper",
            dataset: "shipper.process",
        }
    }
}

/// `host.*`. Empty strings, what the machine does not tell, are left out.
#[derive(Serialize)]
pub struct HostFields<'a> {
    name: &'a str,
    hostname: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    architecture: &'a str,
    boot: Keyed<&'a str>,
    os: OsFields<'a>,
}

#[derive(Serialize)]
struct OsFields<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    kernel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    platform: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    full: &'a str,
}

impl<'a> HostFields<'a> {
    /// Of this machine.
    pub fn new(host: &'a Host) -> Self {
        HostFields {
            name: &host.name,
            hostname: &host.name,
            id: &host.id,
            architecture: &host.architecture,
            boot: Keyed { id: &host.boot_id },
            os: OsFields {
                kind: "linux",
                kernel: &host.kernel,
                platform: &host.os_platform,
                name: &host.os_name,
                version: &host.os_version,
                full: &host.os_full,
            },
        }
    }
}

/// `{ "id": ... }`.
#[derive(Serialize)]
pub struct Keyed<T> {
    /// The id.
    pub id: T,
}

/// A user or group: id and, where known, name.
#[derive(Serialize)]
pub struct Ids<'a> {
    id: Shown<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> Ids<'a> {
    /// With or without a name.
    pub fn new(id: u32, name: Option<&'a str>) -> Self {
        Ids { id: Shown(id), name }
    }
}

/// `process.tty`.
#[derive(Serialize)]
pub struct Terminal {
    char_device: CharDevice,
}

#[derive(Serialize)]
struct CharDevice {
    major: u32,
    minor: u32,
}

impl Terminal {
    /// By device number.
    pub fn new((major, minor): (u32, u32)) -> Self {
        Terminal { char_device: CharDevice { major, minor } }
    }
}

/// Permission bits as four octal digits.
pub struct Mode(pub u32);

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = [9, 6, 3, 0].map(|shift| b'0' + (self.0 >> shift & 7) as u8);
        serializer.serialize_str(text::ascii(&digits))
    }
}

/// Hashes of a file.
#[derive(Serialize)]
pub(super) struct Hash<'a> {
    sha256: Sha256<'a>,
}

impl<'a> Hash<'a> {
    /// Of a file, if its hash is known.
    pub(super) fn of(file: &'a ExecutedFile) -> Option<Self> {
        Sha256::of(file).map(|sha256| Hash { sha256 })
    }
}
