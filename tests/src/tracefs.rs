//! tracefs, in which the tracepoints of system calls are found. systemd mounts it; a bare machine has it
//! not.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::ensure;

const DIR: &str = "/sys/kernel/tracing";

/// How many tests of this program use what it mounted: they run at the same time.
static USERS: Mutex<usize> = Mutex::new(0);

/// tracefs is there as long as this lives; what this program mounted goes with the last of them.
pub struct Tracefs {
    mounted: bool,
}

impl Tracefs {
    /// Mounts it where it is missing.
    pub fn mounted() -> anyhow::Result<Tracefs> {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let mounted = *users > 0 || !Path::new(DIR).join("events").is_dir();
        if mounted && *users == 0 {
            let status = Command::new("mount").args(["-t", "tracefs", "nodev", DIR]).status()?;
            ensure!(status.success(), "tracefs could not be mounted: {status}");
        }
        *users += usize::from(mounted);
        Ok(Tracefs { mounted })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if !self.mounted {
            return;
        }
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        *users -= 1;
        if *users == 0 {
            let _ = Command::new("umount").args(["--lazy", DIR]).status();
        }
    }
}
