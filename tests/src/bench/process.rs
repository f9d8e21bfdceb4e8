//! What the daemon takes: processor time and memory, by /proc.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

/// Processor time of a process with all its threads, those that ended included, in user and in
/// kernel mode.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Running the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident. The ring counts twice in it, since it is mapped twice in a row so that no record
    /// is ever broken at its end.
    pub resident: u64,
    /// The most that ever was resident.
    pub resident_peak: u64,
    /// Resident, each page counted once: the process's share.
    pub proportional: u64,
    /// Heap and stacks.
    pub anonymous: u64,
}

/// Processor time taken so far.
pub fn cpu(pid: u32) -> anyhow::Result<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no `)` in stat")?;
    let ticks_a_second = rustix::param::clock_ticks_per_second();
    let time = |index: usize| -> anyhow::Result<Duration> {
        let ticks: u64 = fields.split_ascii_whitespace().nth(index).context("stat")?.parse()?;
        Ok(Duration::from_secs(ticks) / u32::try_from(ticks_a_second)?)
    };
    // utime and stime are fields 14 and 15; the first after the name is field 3.
    Ok(Cpu { user: time(11)?, system: time(12)? })
}

/// Memory now.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = read_kib(format!("/proc/{pid}/status").into())?;
    let rollup = read_kib(format!("/proc/{pid}/smaps_rollup").into())?;
    Ok(Memory {
        resident: status("VmRSS:")?,
        resident_peak: status("VmHWM:")?,
        anonymous: status("RssAnon:")?,
        proportional: rollup("Pss:")?,
    })
}

/// Bytes that went to the disk on behalf of a process and those of its threads, or will; what it
/// writes to files in memory does not count.
pub fn written(pid: u32) -> anyhow::Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(bytes.context("no write_bytes in io")?.trim().parse()?)
}

/// A file of `Key:  N kB` lines, as a function from key to bytes.
fn read_kib(path: PathBuf) -> anyhow::Result<impl Fn(&str) -> anyhow::Result<u64>> {
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(move |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_suffix("kB"));
        let value = value.with_context(|| format!("{} has no {key}", path.display()))?;
        Ok(value.trim().parse::<u64>()? * 1024)
    })
}
