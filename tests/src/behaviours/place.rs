//! Where rows are executed: kernel, capture mode, cgroups.

use serde::Deserialize;

/// How cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroups {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy alone.
    V2,
}

/// A kernel in a capture mode.
#[derive(Debug, Clone)]
pub struct Place {
    /// `lsm`, `fentry` or `tracepoint`.
    pub mode: String,
    /// Version of the kernel: major, minor.
    pub kernel: (u32, u32),
    /// Its cgroups.
    pub cgroups: Cgroups,
    /// A guest, and not this machine.
    pub guest: bool,
}

impl Place {
    /// This machine in tracepoint mode, the only one that works everywhere.
    #[must_use]
    pub fn here() -> Place {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        Place {
            mode: "tracepoint".into(),
            kernel: version(&release).unwrap_or_default(),
            cgroups: if unified { Cgroups::V2 } else { Cgroups::V1 },
            guest: false,
        }
    }
}

/// The first two numbers of a version or a kernel release.
#[must_use]
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
