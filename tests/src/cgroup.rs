//! Where cgroups of a test's own can be made.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Mount points of the hierarchies a cgroup path may come from.
pub fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut found = Vec::new();
    for line in mounts.lines() {
        // `ID PARENT DEVICE ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS`
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let point = left.split(' ').nth(4).context("a mount point")?;
        let options = right.rsplit(' ').next().unwrap_or_default();
        let has_pids = options.split(',').any(|option| option == "pids");
        match right.split(' ').next() {
            Some("cgroup2") => found.push(PathBuf::from(point)),
            Some("cgroup") if has_pids => found.push(PathBuf::from(point)),
            _ => {}
        }
    }
    Ok(found)
}
