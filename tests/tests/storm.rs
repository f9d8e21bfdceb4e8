//! Storms of executions: each is in the files exactly once, or is counted as lost.
//!
//! The machine's other programs execute meanwhile and may be lost as well. So the account is made
//! with the kernel's own numbers: each exec takes the next number of its CPU, delivered or not. At
//! the end a program is executed on every CPU, which shows the last number of each; what is missing
//! below must be what the loss events count, and one more: the canary, which shows that capture
//! works and is no event.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;
use shipper_tests::daemon::{Daemon, Follower, config, has_arg};
use shipper_tests::{skip, tiny};

/// Execs of which capture makes records that are no events: one canary for the one mode tried.
const CANARIES: u64 = 1;

/// How long a daemon may take to read what a storm left in the ring.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(300);

/// Storms take turns: each is to have the machine's speed for itself.
static TURN: Mutex<()> = Mutex::new(());

struct Storm {
    program: PathBuf,
    mark: String,
}

impl Storm {
    fn new(dir: &Path, name: &str) -> Result<Storm> {
        let program = dir.join("no-op");
        tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
        Ok(Storm { program, mark: format!("{name}-{}", std::process::id()) })
    }

    /// Executes the program with each of these numbers.
    fn rage(&self, first: u32, count: u32) -> Result<()> {
        let status = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
            .arg("storm")
            .args([self.program.as_os_str(), self.mark.as_ref()])
            .args([first.to_string(), count.to_string()])
            .status()?;
        assert!(status.success(), "the driver ended with {status}");
        Ok(())
    }

    fn execute(&self, cpu: u64, word: &str) -> Result<()> {
        let status = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
            .args(["on-cpu", &cpu.to_string()])
            .arg(&self.program)
            .arg(word)
            .status()?;
        assert!(status.success());
        Ok(())
    }

    /// Executes the program on every CPU once the daemon has caught up, so that none of these is
    /// lost and the last number of each CPU is known.
    fn show_last_numbers(&self, daemon: &Daemon, cpus: &BTreeSet<u64>) -> Result<()> {
        let first = *cpus.first().context("a CPU")?;
        let word = format!("probe-{}", self.mark);
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        let mut follower = Follower::new(daemon.events_path());
        // A probe may be lost itself while the ring is full.
        loop {
            self.execute(first, &word)?;
            let events = follower.more()?;
            if events.iter().any(|event| is_of(event, "no-op") && has_arg(event, &word)) {
                break;
            }
            assert!(Instant::now() < deadline, "the daemon does not catch up");
            std::thread::sleep(Duration::from_millis(20));
        }
        cpus.iter().try_for_each(|&cpu| self.execute(cpu, &format!("cpu-{}", self.mark)))
    }

    /// The numbers that arrived, each exactly once.
    fn arrived(&self, events: &[Value]) -> BTreeSet<u32> {
        let mut numbers = BTreeSet::new();
        for event in events.iter().filter(|event| is_of(event, "no-op")) {
            let args = &event["process"]["args"];
            if args[1] != *self.mark {
                continue;
            }
            let number = args[2].as_str().and_then(|number| number.parse().ok()).expect("a number");
            assert!(numbers.insert(number), "number {number} arrived twice");
        }
        numbers
    }
}

fn is_of(event: &Value, name: &str) -> bool {
    event["file"]["name"] == name
}

/// CPUs a program may be put on; `None` where some of the machine's are out of reach, and with them
/// their last numbers.
fn cpus() -> Result<Option<BTreeSet<u64>>> {
    let list = |text: &str| -> Option<BTreeSet<u64>> {
        let mut cpus = BTreeSet::new();
        for range in text.trim().split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            cpus.extend(first.parse::<u64>().ok()?..=last.parse().ok()?);
        }
        Some(cpus)
    };
    let online = list(&std::fs::read_to_string("/sys/devices/system/cpu/online")?);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mine = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(mine.and_then(list).filter(|mine| Some(mine) == online.as_ref()))
}

/// Execs reported as lost, those with a number.
fn lost(events: &[Value]) -> u64 {
    let losses = events.iter().map(|event| &event["shipper"]["loss"]);
    losses
        .filter(|loss| loss["kind"] == "exec")
        .inspect(|loss| assert_eq!(loss["stage"], "ring_full", "{loss}"))
        .filter_map(|loss| loss["count"].as_u64())
        .sum()
}

/// Execs of one CPU that arrived: when each was executed, by its number.
type Lane<'a> = BTreeMap<u64, &'a str>;

fn lanes(events: &[Value]) -> BTreeMap<u64, Lane<'_>> {
    let mut lanes: BTreeMap<u64, Lane<'_>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"]["action"] == "exec") {
        let cpu = event["shipper"]["cpu"].as_u64().expect("a CPU");
        let number = event["event"]["sequence"].as_u64().expect("a number");
        let time = event["@timestamp"].as_str().expect("a time");
        let second = lanes.entry(cpu).or_default().insert(number, time);
        assert_eq!(second, None, "{number} of CPU {cpu} twice");
    }
    lanes
}

/// Execs that took a number and did not arrive, of all programs of the machine.
fn missing(events: &[Value]) -> u64 {
    lanes(events)
        .values()
        .map(|lane| lane.keys().next_back().unwrap_or(&0) - lane.len() as u64)
        .sum()
}

/// Numbers of any CPU that are missing between two that arrived, and that no loss event may be about:
/// each says from when to when it counted.
fn unexplained(events: &[Value]) -> Vec<String> {
    let losses = events.iter().map(|event| &event["shipper"]["loss"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spans: Vec<(String, String)> = losses
        .filter(|loss| loss["kind"] == "exec")
        .map(|loss| (text(&loss["first"]), text(&loss["last"])))
        .collect();
    let mut unexplained = Vec::new();
    for (cpu, lane) in lanes(events) {
        for ((number, before), (next, after)) in lane.iter().zip(lane.iter().skip(1)) {
            // All have nine digits of the second and end with Z, so their order is that of time.
            let is_reported = spans
                .iter()
                .any(|(first, last)| first.as_str() <= *after && *before <= last.as_str());
            if next - number > 1 && !is_reported {
                unexplained.push(format!("CPU {cpu}: {number} to {next}, {before} to {after}"));
            }
        }
    }
    unexplained
}

#[test]
fn every_exec_of_a_storm_arrives_once_or_is_counted_as_lost() -> Result<()> {
    const COUNT: u32 = 20_000;
    let _turn = TURN.lock();
    let Some(cpus) = cpus()? else {
        skip("this process may not use every CPU");
        return Ok(());
    };
    let sink = "    rotate: { bytes: 8MiB }\n    compress: none\n    \
                keep: { files: 1000, bytes: 10GiB }\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", sink))? else { return Ok(()) };
    let storm = Storm::new(daemon.dir(), "storm")?;
    storm.rage(0, COUNT)?;
    storm.show_last_numbers(&daemon, &cpus)?;
    let stopped = daemon.stop()?;
    assert!(stopped.status.success(), "{}", stopped.log);
    let events = stopped.events_of_all_files()?;
    let arrived = storm.arrived(&events);
    let lost = lost(&events);
    println!("{} of {COUNT} arrived, {lost} execs lost", arrived.len());
    assert_eq!(missing(&events), lost + CANARIES);
    let own_missing = u64::from(COUNT) - arrived.len() as u64;
    assert!(own_missing <= lost, "{own_missing} did not arrive, {lost} are counted as lost");
    Ok(())
}

#[test]
fn what_a_full_ring_loses_is_counted_to_the_last_one() -> Result<()> {
    const PART: u32 = 1500;
    let _turn = TURN.lock();
    let Some(cpus) = cpus()? else {
        skip("this process may not use every CPU");
        return Ok(());
    };
    let ring = "  ring_buffer_bytes: 64KiB\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, ring, ""))? else { return Ok(()) };
    let storm = Storm::new(daemon.dir(), "full")?;
    storm.rage(0, PART)?;
    daemon.signal(Signal::STOP)?;
    storm.rage(PART, PART)?;
    daemon.signal(Signal::CONT)?;
    storm.rage(2 * PART, PART)?;
    storm.show_last_numbers(&daemon, &cpus)?;
    let stopped = daemon.stop()?;
    assert!(stopped.status.success(), "{}", stopped.log);
    let events = stopped.events_of_all_files()?;
    let arrived = storm.arrived(&events);
    let lost = lost(&events);
    println!("{} of {} arrived, {lost} execs lost", arrived.len(), 3 * PART);
    assert!(lost > 0, "a ring of 64 KiB cannot have held {PART} execs");
    // To the last one, of all programs, by the numbers of each CPU; and each gap at a time at which
    // losses are reported.
    assert_eq!(missing(&events), lost + CANARIES);
    assert_eq!(unexplained(&events), [""; 0]);
    let own_missing = u64::from(3 * PART) - arrived.len() as u64;
    assert!(0 < own_missing && own_missing <= lost, "{own_missing} did not arrive, {lost} counted");
    Ok(())
}
