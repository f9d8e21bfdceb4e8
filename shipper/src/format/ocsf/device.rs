//! The machine as a device of OCSF.

use serde::Serialize;

use crate::event::Host;

#[derive(Serialize)]
pub(super) struct Device<'a> {
    hostname: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    boot_uid: &'a str,
    /// Whether it is a server or a desktop it does not tell.
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    os: Os<'a>,
}

#[derive(Serialize)]
struct Os<'a> {
    name: &'a str,
    type_id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kernel_release: &'a str,
}

impl<'a> Device<'a> {
    /// This machine.
    pub(super) fn new(host: &'a Host) -> Self {
        Device {
            hostname: &host.name,
            uid: &host.id,
            boot_uid: &host.boot_id,
            type_id: 0,
            kind: "Unknown",
            os: Os {
                // It must have a name.
                name: if host.os_name.is_empty() { "Linux" } else { &host.os_name },
                type_id: 200,
                kind: "Linux",
                version: &host.os_version,
                kernel_release: &host.kernel,
            },
        }
    }
}
