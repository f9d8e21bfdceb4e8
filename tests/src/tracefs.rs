//! tracefs, in which the tracepoints of system calls are found. systemd mounts it; a bare machine has it
//! not.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

const DIR: &str = "/sys/kernel/tracing";

/// tracefs is there as long as this lives; what this mounted goes with it.
pub struct Tracefs {
    mounted: bool,
}

impl Tracefs {
    /// Mounts it where it is missing.
    pub fn mounted() -> anyhow::Result<Tracefs> {
        let mounted = !Path::new(DIR).join("events").is_dir();
        if mounted {
            let status = Command::new("mount").args(["-t", "tracefs", "nodev", DIR]).status()?;
            ensure!(status.success(), "tracefs could not be mounted: {status}");
        }
        Ok(Tracefs { mounted })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").args(["--lazy", DIR]).status();
        }
    }
}
