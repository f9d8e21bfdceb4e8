//! What the kernel programs cost, by the kernel's own count.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use aya::programs::loaded_programs;

/// Runs of one program, and the time they took together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    /// How often it ran.
    pub count: u64,
    /// Nanoseconds, those of the counting included.
    pub ns: u64,
}

/// Has the kernel count the runs of BPF programs and their time, while `work` is done, and says what
/// each program of this process cost meanwhile, by name.
///
/// The count is switched on through a descriptor, not through `kernel.bpf_stats_enabled`: the kernel
/// switches it off again when this process ends, in whatever way.
pub fn during(
    pid: u32,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<BTreeMap<String, Runs>> {
    let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .context("the kernel's statistics of BPF programs cannot be enabled")?;
    let before = read(pid)?;
    work()?;
    let mut runs = read(pid)?;
    for (name, after) in &mut runs {
        let before = before.get(name).copied().unwrap_or_default();
        *after = Runs { count: after.count - before.count, ns: after.ns - before.ns };
    }
    Ok(runs)
}

/// Nanoseconds that each of so many executions cost in all programs of this process together, sorted.
/// Those during which something else executed, forked or ended are left out.
pub fn each(
    pid: u32,
    times: u64,
    execute: impl Fn(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u64>> {
    let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .context("the kernel's statistics of BPF programs cannot be enabled")?;
    let mut costs = Vec::new();
    let mut before = read(pid)?;
    for number in 0..times {
        execute(number)?;
        let after = read(pid)?;
        let (mut ns, mut most) = (0, 0);
        for (name, after) in &after {
            let before = before.get(name).copied().unwrap_or_default();
            ns += after.ns - before.ns;
            most = most.max(after.count - before.count);
        }
        if most == 1 {
            costs.push(ns);
        }
        before = after;
    }
    costs.sort_unstable();
    Ok(costs)
}

/// The counts of every program this process holds.
fn read(pid: u32) -> anyhow::Result<BTreeMap<String, Runs>> {
    let mut names = BTreeMap::new();
    for program in loaded_programs() {
        // One that was unloaded while the list is read is none of ours.
        let Ok(program) = program else { continue };
        names.insert(u64::from(program.id()), program.name_as_str().unwrap_or("?").to_owned());
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // The descriptor may have been closed since the directory was read.
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        let value = |key: &str| -> Option<u64> {
            let line = info.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse().ok()
        };
        if let (Some(id), Some(ns), Some(count)) =
            (value("prog_id:"), value("run_time_ns:"), value("run_cnt:"))
            && let Some(name) = names.get(&id)
        {
            found.insert(name.clone(), Runs { count, ns });
        }
    }
    anyhow::ensure!(!found.is_empty(), "the daemon holds no BPF program that tells its run time");
    Ok(found)
}
