//! What following executions costs whoever executes: a loop that spawns, with and without it, in turn;
//! beside auditd and execsnoop on the same machine.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::append::median;
use super::contender::{Contender, Running};
use super::kernel;
use super::load;
use super::noop;
use super::report::{Aim, Figure};

/// Executions of one loop: half a second to a second.
const SPAWNS: u64 = 2000;

/// Loops with each. An odd number, so that the median is one of them.
const TURNS: usize = 15;

/// Executions for the median in the kernel.
const KERNEL_EXECS: u64 = 500;

/// What is aimed at.
mod aim {
    use super::Aim;
    pub const SLOWER_PERCENT: Aim = Aim::AtMost(1.0);
    pub const KERNEL_NS: Aim = Aim::AtMost(3000.0);
}

/// In this order. Once auditd was at work, the kernel prepares an audit record for each new process until
/// the next boot, so it comes last and the loops without anything are made anew for it.
const CONTENDERS: [Contender; 5] = [
    Contender::Shipper("lsm"),
    Contender::Shipper("fentry"),
    Contender::Shipper("tracepoint"),
    Contender::Execsnoop,
    Contender::Auditd,
];

/// What came out for one.
struct Outcome {
    contender: Contender,
    /// Time of the loop with it, as a share of that without, turn by turn.
    ratios: Vec<f64>,
    /// Its processor time for one execution, in microseconds.
    cpu_us: f64,
    /// In the kernel, nanoseconds of the median exec; of this daemon only.
    kernel_ns: Option<u64>,
}

/// Measures it.
///
/// # Errors
/// What could not be run. What this machine cannot have is left out, and why is said.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    let dir = crate::daemon::directory()?;
    let program = dir.path().join("noop");
    noop::write(&program)?;
    let mut outcomes = Vec::new();
    let mut missing = serde_json::Map::new();
    for contender in CONTENDERS {
        let name = contender.name();
        match contender.start(&program) {
            Ok(running) => {
                eprintln!("{SPAWNS} executions with and without {name}, {TURNS} times ...");
                let kernel_ns = kernel_median(&running, &program)?;
                running.stop()?;
                outcomes.push(Outcome { kernel_ns, ..compare(contender, &program)? });
            }
            Err(why) => {
                let why = format!("{why:#}");
                eprintln!("SKIPPED: {name}: {}", why.lines().last().unwrap_or_default());
                missing.insert(name, why.into());
            }
        }
    }
    let auditd = outcomes.iter().find(|outcome| outcome.contender == Contender::Auditd);
    let auditd_us = auditd.map(|auditd| auditd.cpu_us);
    let figures = outcomes.iter().flat_map(|outcome| outcome.figures(auditd_us)).collect();
    let compared: serde_json::Map<String, Value> =
        outcomes.iter().map(|outcome| (outcome.contender.name(), outcome.json())).collect();
    Ok((figures, json!({ "compared": compared, "missing": missing })))
}

fn kernel_median(running: &Running, program: &Path) -> anyhow::Result<Option<u64>> {
    let Some(pid) = running.daemon() else { return Ok(None) };
    let costs =
        kernel::each(pid, KERNEL_EXECS, |number| load::execute_one(program, "each", number))?;
    Ok(load::quantile(&costs, 0.5))
}

fn spawn_loop(program: &Path) -> anyhow::Result<f64> {
    let begin = Instant::now();
    load::execute(program, "loop", 0..SPAWNS)?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Without, with, without, with, ..., without: each loop with it is held to the mean of its neighbours.
fn compare(contender: Contender, program: &Path) -> anyhow::Result<Outcome> {
    let mut before = spawn_loop(program)?;
    let (mut ratios, mut cpu_us, mut execs) = (Vec::new(), 0.0, 0);
    for turn in 0..TURNS {
        let mut running = contender.start(program)?;
        let cpu = running.cpu()?;
        let with = spawn_loop(program)?;
        execs += SPAWNS + running.await_seen(program, &format!("end-of-turn-{turn}"))?;
        cpu_us += (running.cpu()? - cpu).as_secs_f64() * 1e6;
        running.stop()?;
        let after = spawn_loop(program)?;
        ratios.push(2.0 * with / (before + after));
        before = after;
    }
    Ok(Outcome { contender, ratios, cpu_us: cpu_us / execs as f64, kernel_ns: None })
}

impl Outcome {
    fn slower_percent(&self) -> f64 {
        100.0 * (median(self.ratios.iter().copied()) - 1.0)
    }

    /// Names of the figures: slower, CPU, in the kernel.
    fn names(&self) -> [&'static str; 3] {
        match self.contender {
            Contender::Shipper("lsm") => {
                ["spawn loop slower, lsm", "CPU an exec, lsm", "in the kernel, median exec, lsm"]
            }
            Contender::Shipper("fentry") => [
                "spawn loop slower, fentry",
                "CPU an exec, fentry",
                "in the kernel, median exec, fentry",
            ],
            Contender::Shipper(_) => [
                "spawn loop slower, tracepoint",
                "CPU an exec, tracepoint",
                "in the kernel, median exec, tracepoint",
            ],
            Contender::Auditd => ["spawn loop slower, auditd", "CPU an exec, auditd", ""],
            Contender::Execsnoop => ["spawn loop slower, execsnoop", "CPU an exec, execsnoop", ""],
        }
    }

    fn figures(&self, auditd_us: Option<f64>) -> Vec<Figure> {
        let is_ours = matches!(self.contender, Contender::Shipper(_));
        let [slower, cpu, in_kernel] = self.names();
        let mut figures = vec![
            Figure {
                name: slower,
                value: self.slower_percent(),
                unit: "%",
                aim: is_ours.then_some(aim::SLOWER_PERCENT),
                how: format!(
                    "time of {SPAWNS} spawns of a program that only exits, with it and without in turn; \
                     median of {TURNS} turns"
                ),
            },
            Figure {
                name: cpu,
                value: self.cpu_us,
                unit: "us",
                aim: auditd_us.filter(|_| is_ours).map(Aim::AtMost),
                how: format!(
                    "utime + stime of its processes{} over these loops{}",
                    if self.contender == Contender::Auditd { " and of kauditd" } else { "" },
                    if is_ours { "; aim: what auditd takes" } else { "" }
                ),
            },
        ];
        figures.extend(self.kernel_ns.map(|ns| Figure {
            name: in_kernel,
            value: ns as f64,
            unit: "ns",
            aim: Some(aim::KERNEL_NS),
            how: format!(
                "BPF run statistics of all programs, of {KERNEL_EXECS} executions one by one: fork, exec \
                 and exit together"
            ),
        }));
        figures
    }

    fn json(&self) -> Value {
        json!({
            "spawns_a_turn": SPAWNS,
            "time_with_to_without": self.ratios,
            "slower_percent": self.slower_percent(),
            "cpu_us_an_exec": self.cpu_us,
            "kernel_ns_of_the_median_exec": self.kernel_ns,
        })
    }
}
