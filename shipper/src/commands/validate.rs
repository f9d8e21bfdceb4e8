//! `shipper validate`.

use std::path::Path;
use std::process::ExitCode;

use crate::config;

/// Checks a configuration; everything wrong with it is in the error.
pub fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let settings = config::load(path)?;
    let names: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    super::print(&format!("{}: valid; delivers to {}\n", path.display(), names.join(", ")))
}
