//! The daemon under a steady load: cost in the kernel and of the daemon, loss, latency, memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::kernel::{self, Runs};
use super::load::{self, Arrived};
use super::noop;
use super::process::{self, Cpu, Memory};
use super::report::{Aim, Figure};
use crate::daemon::{Daemon, has_arg};

/// Executions for the cost in the kernel: enough for a mean.
const KERNEL_EXECS: u64 = 5000;

/// Executions a second of the steady load.
const RATE: u32 = 1000;

/// Length of the steady load.
const LOAD_SECONDS: u32 = 20;

/// What is aimed at.
mod aim {
    use super::Aim;
    pub const KERNEL_NS: Aim = Aim::AtMost(5000.0);
    pub const CPU_PERCENT: Aim = Aim::AtMost(4.0);
    pub const LOST: Aim = Aim::AtMost(0.0);
    pub const MEMORY_MB: Aim = Aim::AtMost(40.0);
    pub const LATENCY_P99_MS: Aim = Aim::AtMost(100.0);
}

/// Measures it.
///
/// # Errors
/// What could not be run.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    let dir = crate::daemon::directory()?;
    let program = dir.path().join("noop");
    noop::write(&program)?;
    let yaml = one_file(dir.path(), "");
    let daemon = Daemon::start_with(dir, &yaml)?;
    let pid = daemon.pid();
    let at_start = process::memory(pid)?;

    eprintln!("{KERNEL_EXECS} executions for the cost in the kernel ...");
    let runs = kernel::during(pid, || load::execute(&program, "kernel", 0..KERNEL_EXECS))?;
    // The steady load begins with nothing left to do.
    let last = (KERNEL_EXECS - 1).to_string();
    daemon.await_event(|event| has_arg(event, "kernel") && has_arg(event, &last))?;

    let (steady, memory) =
        Steady::measure(daemon, |_| program.clone(), u64::from(RATE * LOAD_SECONDS), RATE)?;
    let mut figures = kernel_figures(&runs);
    figures.extend(steady.figures());
    figures.extend(memory_figures(&memory));
    let details = json!({
        "kernel_programs": programs_json(&runs),
        "steady_load": steady.json(),
        "memory_at_start": memory_json(&at_start),
        "memory_at_end": memory_json(&memory),
    });
    Ok((figures, details))
}

/// A configuration, with more sections, that writes one file for the whole load, so that lines can be found
/// by their place in it.
pub(super) fn one_file(dir: &Path, more: &str) -> String {
    format!(
        "{more}spool:\n  dir: {}\n  disk_free_min: 1MiB\nsinks:\n  - name: bench\n    type: file\n    \
         path: {}\n    rotate: {{ bytes: 16GiB }}\n",
        dir.join("spool").display(),
        dir.join("events.ndjson").display()
    )
}

/// The steady load and what became of it.
pub(super) struct Steady {
    count: u64,
    took: Duration,
    cpu: Cpu,
    arrived: Arrived,
}

impl Steady {
    /// Executes the program of each number at this rate, under a daemon whose one file has it all, and ends
    /// the daemon. What came of it, and the daemon's memory before its end.
    pub(super) fn measure(
        daemon: Daemon,
        program: impl Fn(u64) -> PathBuf,
        count: u64,
        rate: u32,
    ) -> anyhow::Result<(Steady, Memory)> {
        let seconds = count / u64::from(rate);
        eprintln!("{rate} executions a second for {seconds} s ...");
        let (pid, events) = (daemon.pid(), daemon.events_path());
        let done = AtomicBool::new(false);
        let before = process::cpu(pid)?;
        let (took, lengths) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| load::watch(&events, &done));
            let took = load::execute_each_paced(program, "steady", count, rate);
            done.store(true, Ordering::Relaxed);
            let lengths = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
            anyhow::Ok((took?, lengths?))
        })?;
        let after = process::cpu(pid)?;
        let memory = process::memory(pid)?;
        let stopped = daemon.stop()?;
        anyhow::ensure!(stopped.status.success(), "the daemon failed:\n{}", stopped.log);
        let arrived = load::arrived(&stopped.dir.path().join("events.ndjson"), "steady", &lengths)?;
        let cpu = Cpu { user: after.user - before.user, system: after.system - before.system };
        Ok((Steady { count, took, cpu, arrived }, memory))
    }

    /// Milliseconds from the exec to its line that this share does not exceed.
    pub(super) fn latency_ms(&self, share: f64) -> f64 {
        load::quantile(&self.arrived.latencies_ns, share).map_or(f64::NAN, |ns| ns as f64 / 1e6)
    }

    /// Processor time as a share of one core, over the time of the load.
    pub(super) fn cpu_percent(&self) -> f64 {
        100.0 * (self.cpu.user + self.cpu.system).as_secs_f64() / self.took.as_secs_f64()
    }

    fn rate(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }

    fn figures(&self) -> Vec<Figure> {
        let Arrived { own, all, reported_lost, .. } = &self.arrived;
        let rate = self.rate();
        let latency = "from shipper.boot_ns of the event to its whole line being in the file, looked \
                       for every millisecond";
        vec![
            Figure {
                name: "CPU of the daemon at 1,000 exec/s",
                value: self.cpu_percent(),
                unit: "% of a core",
                aim: Some(aim::CPU_PERCENT),
                how: format!(
                    "utime + stime of /proc/PID/stat; {rate:.0} exec/s of a program that only exits, \
                     for {:.1} s; {all} executions on the whole machine meanwhile",
                    self.took.as_secs_f64()
                ),
            },
            Figure {
                name: "events lost",
                value: (self.count - own) as f64,
                unit: "",
                aim: Some(aim::LOST),
                how: format!(
                    "numbers of {} that are not in the file; the daemon reported {reported_lost}",
                    self.count
                ),
            },
            Figure {
                name: "latency p50",
                value: self.latency_ms(0.5),
                unit: "ms",
                aim: None,
                how: latency.to_owned(),
            },
            Figure {
                name: "latency p99",
                value: self.latency_ms(0.99),
                unit: "ms",
                aim: Some(aim::LATENCY_P99_MS),
                how: "as above".to_owned(),
            },
        ]
    }

    pub(super) fn json(&self) -> Value {
        let arrived = &self.arrived;
        let ms = |share| load::quantile(&arrived.latencies_ns, share).map(|ns| ns as f64 / 1e6);
        json!({
            "executions": self.count,
            "executions_a_second": self.rate(),
            "cpu_user_ms": self.cpu.user.as_millis() as u64,
            "cpu_system_ms": self.cpu.system.as_millis() as u64,
            "arrived": arrived.own,
            "arrived_again": arrived.repeated,
            "reported_lost": arrived.reported_lost,
            "executions_of_the_machine_meanwhile": arrived.all,
            "line_bytes_mean": arrived.bytes / arrived.own.max(1),
            "latency_ms": { "p50": ms(0.5), "p90": ms(0.9), "p99": ms(0.99), "max": ms(1.0) },
        })
    }
}

/// Each program that runs for an execution of a new process runs once for it, so the sum of their
/// means is what one costs.
fn kernel_figures(runs: &BTreeMap<String, Runs>) -> Vec<Figure> {
    let mut parts = Vec::new();
    let mut sum = 0.0;
    for (name, runs) in runs.iter().filter(|(_, runs)| runs.count > 0) {
        sum += mean_ns(*runs);
        parts.push(format!("{} {:.0}", name.trim_start_matches("shipper_"), mean_ns(*runs)));
    }
    vec![Figure {
        name: "in the kernel, an exec",
        value: sum,
        unit: "ns",
        aim: Some(aim::KERNEL_NS),
        how: format!("BPF run statistics over {KERNEL_EXECS} execs, means: {}", parts.join(" + ")),
    }]
}

fn memory_figures(memory: &Memory) -> Vec<Figure> {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let figure = |name, bytes, aim, how: &str| Figure {
        name,
        value: mb(bytes),
        unit: "MB",
        aim,
        how: how.to_owned(),
    };
    vec![
        figure(
            "memory",
            memory.proportional,
            Some(aim::MEMORY_MB),
            "Pss of /proc/PID/smaps_rollup after the load: the ring (16 MiB) and the program included, \
             each page once",
        ),
        figure(
            "memory, as VmRSS",
            memory.resident,
            Some(aim::MEMORY_MB),
            "the kernel maps the ring twice in a row, and VmRSS counts it twice",
        ),
        figure(
            "memory, as VmHWM",
            memory.resident_peak,
            Some(aim::MEMORY_MB),
            "the most VmRSS ever was: at start, while the kernel's types are read",
        ),
        figure("memory, heap and stacks", memory.anonymous, None, "RssAnon"),
    ]
}

fn programs_json(runs: &BTreeMap<String, Runs>) -> Value {
    let programs = runs.iter().map(|(name, runs)| {
        let value = json!({ "runs": runs.count, "ns_a_run": mean_ns(*runs) });
        (name.clone(), value)
    });
    Value::Object(programs.collect())
}

pub(super) fn memory_json(memory: &Memory) -> Value {
    json!({
        "resident_bytes": memory.resident,
        "resident_peak_bytes": memory.resident_peak,
        "proportional_bytes": memory.proportional,
        "anonymous_bytes": memory.anonymous,
    })
}

fn mean_ns(runs: Runs) -> f64 {
    runs.ns as f64 / runs.count.max(1) as f64
}
