//! The real daemon with real executions, delivering to a collector over HTTP, whatever fails there.
//! Each time: nothing lost, and duplicates only where an answer was lost.

mod taken;
mod faults;
mod credentials;
mod refused;
mod failover;
mod ways;
mod pressure;
mod restarts;
mod together;
mod validate;
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The program that executes numbered programs.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// Puts a secret into a file as an operator does: at once, readable for nobody else.
fn put(file: &Path, secret: &str) -> anyhow::Result<()> {
    let written = file.with_extension("new");
    fs::write(&written, format!("{secret}\n"))?;
    fs::set_permissions(&written, fs::Permissions::from_mode(0o600))?;
    Ok(fs::rename(written, file)?)
}
