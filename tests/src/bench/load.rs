//! A steady load, and what becomes of it in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// How often the length of the file is looked at: the error of a latency, upwards.
const LOOK: Duration = Duration::from_millis(1);

/// Executes the program so often, one after the other, the number as the last argument.
pub fn execute(program: &Path, mark: &str, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    for number in numbers {
        execute_one(program, mark, number)?;
    }
    Ok(())
}

/// As [`execute_each_paced`], always the same program.
pub fn execute_paced(
    program: &Path,
    mark: &str,
    count: u64,
    rate: u32,
) -> anyhow::Result<Duration> {
    execute_each_paced(|_| program.to_owned(), mark, count, rate)
}

/// Executes the program of each number at this rate, by absolute deadlines: one that comes late does
/// not delay the next. How long it took.
pub fn execute_each_paced(
    program: impl Fn(u64) -> PathBuf,
    mark: &str,
    count: u64,
    rate: u32,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    for number in 0..count {
        let due = begin + Duration::from_secs(number) / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        execute_one(&program(number), mark, number)?;
    }
    Ok(begin.elapsed())
}

/// Executes the program once, the number as the last argument.
pub fn execute_one(program: &Path, mark: &str, number: u64) -> anyhow::Result<()> {
    let status = Command::new(program).arg(mark).arg(number.to_string()).status()?;
    anyhow::ensure!(status.success(), "{} failed: {status}", program.display());
    Ok(())
}

/// How long the file was, and since when (nanoseconds since boot).
pub type Lengths = Vec<(u64, u64)>;

/// Notes the length of a file each time it has grown, until `done` and it has stayed the same for a
/// second.
pub fn watch(path: &Path, done: &AtomicBool) -> anyhow::Result<Lengths> {
    let mut lengths: Lengths = Vec::new();
    let mut grew = Instant::now();
    while !done.load(Ordering::Relaxed) || grew.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(LOOK);
        let len = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if lengths.last().map_or(0, |(last, _)| *last) < len {
            lengths.push((len, boot_now_ns()?));
            grew = Instant::now();
        }
    }
    Ok(lengths)
}

/// What arrived of a load.
#[derive(Debug, Default)]
pub struct Arrived {
    /// Executions of the load in the file, each counted once.
    pub own: u64,
    /// Executions of the load that are in the file more than once.
    pub repeated: u64,
    /// Executions of the whole machine between the first and the last of the load.
    pub all: u64,
    /// Executions that the daemon itself reported as lost.
    pub reported_lost: u64,
    /// Bytes of the lines of the load.
    pub bytes: u64,
    /// From the exec to the line being in the file, in nanoseconds, sorted.
    pub latencies_ns: Vec<u64>,
}

/// Reads the file, and tells when each line of the load was first seen in it.
pub fn arrived(path: &Path, mark: &str, lengths: &Lengths) -> anyhow::Result<Arrived> {
    let mut arrived = Arrived::default();
    let mut times: HashMap<String, u64> = HashMap::new();
    let mut all: Vec<u64> = Vec::new();
    let mut end = 0u64;
    let mut file = BufReader::new(File::open(path)?);
    let mut line = String::new();
    while file.read_line(&mut line)? > 0 {
        end += line.len() as u64;
        let event: Value = serde_json::from_str(&line).context("a line is not JSON")?;
        let lost = &event["shipper"]["loss"];
        if lost["kind"] == "exec" {
            arrived.reported_lost += lost["count"].as_u64().context("a loss without a count")?;
        }
        if let Some(executed) = event["shipper"]["boot_ns"].as_u64() {
            all.push(executed);
        }
        let args = &event["process"]["args"];
        if args[1] == mark
            && let Some(number) = args[2].as_str()
        {
            let executed = event["shipper"]["boot_ns"].as_u64().context("no shipper.boot_ns")?;
            if times.insert(number.to_owned(), executed).is_some() {
                arrived.repeated += 1;
            }
            let seen = lengths[..].partition_point(|(len, _)| *len < end);
            if let Some((_, seen)) = lengths.get(seen) {
                arrived.latencies_ns.push(seen.saturating_sub(executed));
            }
            arrived.bytes += line.len() as u64;
        }
        line.clear();
    }
    arrived.own = times.len() as u64;
    let first = times.values().min().copied().unwrap_or(0);
    let last = times.values().max().copied().unwrap_or(0);
    arrived.all = all.iter().filter(|executed| (first..=last).contains(*executed)).count() as u64;
    arrived.latencies_ns.sort_unstable();
    Ok(arrived)
}

/// The value that this share of the sorted values does not exceed.
pub fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied()
}

/// The clock that `shipper.boot_ns` is of, in nanoseconds.
pub fn boot_now_ns() -> anyhow::Result<u64> {
    let now = clock_gettime(ClockId::Boottime);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_arrives_when_the_file_is_first_seen_to_hold_all_of_it() {
        let line = |number: u64, boot_ns: u64| {
            format!(
                "{{\"process\":{{\"args\":[\"noop\",\"m\",\"{number}\"]}},\"shipper\":{{\"boot_ns\":{boot_ns}}}}}\n"
            )
        };
        let (first, second) = (line(1, 100), line(2, 150));
        let loss = "{\"shipper\":{\"loss\":{\"kind\":\"exec\",\"count\":3}}}\n";
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [&first, &second, loss, &line(2, 150)].concat())
            .expect("writable");
        let lengths =
            vec![(first.len() as u64, 1100), (first.len() as u64 + 5, 1200), (9999, 2150)];
        let arrived = arrived(file.path(), "m", &lengths).expect("readable");
        assert_eq!((arrived.own, arrived.repeated, arrived.all), (2, 1, 3));
        assert_eq!(arrived.reported_lost, 3);
        assert_eq!(arrived.latencies_ns, [1000, 2000, 2000]);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(quantile(&values, 0.5), Some(100));
        assert_eq!(quantile(&values, 0.99), Some(198));
        assert_eq!(quantile(&values, 1.0), Some(200));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
