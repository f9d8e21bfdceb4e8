//! The machine that events are of.

/// The machine, as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// /etc/machine-id.
    pub id: String,
    /// Random id of this boot.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture, as uname tells it.
    pub architecture: String,
    /// `ID` of os-release.
    pub os_platform: String,
    /// `NAME` of os-release.
    pub os_name: String,
    /// `VERSION_ID` of os-release.
    pub os_version: String,
    /// `PRETTY_NAME` of os-release.
    pub os_full: String,
}
