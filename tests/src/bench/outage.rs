//! The daemon while a sink is down for the whole run: what it takes in memory, and what it writes.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::append::{blocks, segments_of};
use super::report::{Aim, Figure};
use super::{load, noop, process};
use crate::daemon::Daemon;

/// Executions a second.
const RATE: u32 = 1000;

/// How long.
const SECONDS: u32 = 60;

/// The other sink writes into memory, so that what reaches the disk is the spool alone.
const MEMORY: &str = "/dev/shm";

/// Most memory aimed at.
const MEMORY_MB: Aim = Aim::AtMost(64.0);

/// Measures it.
///
/// # Errors
/// What could not be run.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    anyhow::ensure!(Path::new(MEMORY).is_dir(), "there is no {MEMORY}");
    let up = tempfile::Builder::new().prefix("shipper-bench-").tempdir_in(MEMORY)?;
    let dir = crate::daemon::directory()?;
    let program = dir.path().join("noop");
    noop::write(&program)?;
    let spool = dir.path().join("spool");
    let yaml = format!(
        "spool:\n  dir: {}\n  disk_free_min: 1MiB\nsinks:\n  - name: down\n    type: console\n    \
         output: json\n  - name: up\n    type: file\n    path: {}/events.ndjson\n    \
         rotate: {{ bytes: 8MiB }}\n    compress: none\n    keep: {{ files: 1 }}\n",
        spool.display(),
        up.path().display(),
    );
    // A pipe that nobody reads.
    let daemon = Daemon::start_writing_to(dir, &yaml, Stdio::piped())?;
    let pid = daemon.pid();
    let (at_start, written_before) = (process::memory(pid)?, process::written(pid)?);
    eprintln!("{RATE} executions a second for {SECONDS} s with a sink down ...");
    let mut most = 0;
    for second in 0..SECONDS {
        let numbers = u64::from(RATE);
        load::execute_paced(&program, "outage", numbers, RATE)
            .with_context(|| format!("in second {second}"))?;
        most = most.max(process::memory(pid)?.proportional);
    }
    // What was executed last is synced, acknowledged and saved.
    std::thread::sleep(Duration::from_secs(1));
    let (memory, written) = (process::memory(pid)?, process::written(pid)? - written_before);
    let (mut payload, mut stored, mut records) = (0, 0, 0);
    for path in segments_of(&spool)? {
        let (bytes, of_events, count) =
            sizes(&fs::read(path)?).context("a segment that does not add up")?;
        stored += bytes;
        payload += of_events;
        records += count;
    }
    drop(daemon);
    anyhow::ensure!(records > 0, "nothing is in the spool");
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let figure = |name, bytes, aim, how: &str| Figure {
        name,
        value: mb(bytes),
        unit: "MB",
        aim,
        how: how.to_owned(),
    };
    let figures = vec![
        figure(
            "memory with a sink down",
            most,
            Some(MEMORY_MB),
            &format!(
                "the most Pss each second over {SECONDS} s at {RATE} exec/s; one sink writes to a pipe \
                 that nobody reads, another one works",
            ),
        ),
        figure("memory with a sink down, as VmRSS", memory.resident, Some(MEMORY_MB), "at the end"),
        figure(
            "memory with a sink down, heap and stacks",
            memory.anonymous,
            None,
            &format!("RssAnon at the end; {:.1} MB at the start", mb(at_start.anonymous)),
        ),
        Figure {
            name: "written to the spool at 1,000 exec/s",
            value: written as f64 / payload as f64,
            unit: "",
            aim: None,
            how: format!(
                "write_bytes of /proc/PID/io, segments, cursor and status, a byte of event: {:.1} of \
                 {:.1} MB in {records} records; the blocks themselves are {:.1} MB",
                mb(written),
                mb(payload),
                mb(stored),
            ),
        },
    ];
    let details = json!({
        "memory_at_start": super::steady::memory_json(&at_start),
        "memory_at_end": super::steady::memory_json(&memory),
        "proportional_most_bytes": most,
        "written_bytes": written,
        "stored_bytes": stored,
        "payload_bytes": payload,
        "records": records,
    });
    Ok((figures, details))
}

/// Bytes of the blocks of a segment that is being written, of the events in them, and how many those
/// are.
fn sizes(segment: &[u8]) -> Option<(u64, u64, u64)> {
    let number = |block: &[u8], at: usize| {
        Some(u64::from(u32::from_le_bytes(block.get(at..at + 4)?.try_into().ok()?)))
    };
    let (mut stored, mut payload, mut records) = (0, 0, 0);
    for block in &blocks(segment)?[1..] {
        let count = number(block, 16)?;
        stored += block.len() as u64;
        // Each record has its length before it.
        payload += number(block, 24)? - 4 * count;
        records += count;
    }
    Some((stored, payload, records))
}
