//! What `enrich.hash` costs: a steady load with and without it, of one program, which is read once, and of
//! a new file at each execution, the worst case.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::noop;
use super::report::Figure;
use super::steady::{self, Steady};
use crate::daemon::{Daemon, directory};

/// Length of each load.
const SECONDS: u32 = 10;

/// Bytes of a new file: programs in /usr/bin are mostly of some ten KB.
const NEW_FILE_BYTES: u64 = 64 << 10;

/// One load.
struct Load {
    rate: u32,
    /// Whether files are hashed.
    hash: bool,
    /// Whether each execution is one of a file of its own.
    new_files: bool,
    /// Names of the figures: CPU, latency.
    names: [&'static str; 2],
}

const LOADS: [Load; 6] = [
    Load { rate: 200, hash: false, new_files: false, names: ["CPU, 200/s", "latency p99, 200/s"] },
    Load {
        rate: 200,
        hash: true,
        new_files: false,
        names: ["CPU, 200/s, hash", "latency p99, 200/s, hash"],
    },
    Load {
        rate: 1000,
        hash: false,
        new_files: false,
        names: ["CPU, 1,000/s", "latency p99, 1,000/s"],
    },
    Load {
        rate: 1000,
        hash: true,
        new_files: false,
        names: ["CPU, 1,000/s, hash", "latency p99, 1,000/s, hash"],
    },
    Load {
        rate: 200,
        hash: false,
        new_files: true,
        names: ["CPU, 200/s of new files", "latency p99, 200/s of new files"],
    },
    Load {
        rate: 200,
        hash: true,
        new_files: true,
        names: ["CPU, 200/s of new files, hash", "latency p99, 200/s of new files, hash"],
    },
];

/// Measures it.
///
/// # Errors
/// What could not be run.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    let mut figures = Vec::new();
    let mut details = Vec::new();
    for load in &LOADS {
        let steady = load.run()?;
        let what = match (load.hash, load.new_files) {
            (false, false) => "one program, no hashes".to_owned(),
            (true, false) => "one program, enrich.hash: sha256".to_owned(),
            (hash, true) => format!(
                "a new file of {} KiB each time, {}",
                NEW_FILE_BYTES >> 10,
                if hash { "enrich.hash: sha256" } else { "no hashes" }
            ),
        };
        let [cpu, latency] = load.names;
        figures.push(Figure {
            name: cpu,
            value: steady.cpu_percent(),
            unit: "% of a core",
            aim: None,
            how: format!("{what}; {SECONDS} s"),
        });
        figures.push(Figure {
            name: latency,
            value: steady.latency_ms(0.99),
            unit: "ms",
            aim: None,
            how: "as above".to_owned(),
        });
        details.push(json!({ "load": what, "rate": load.rate, "outcome": steady.json() }));
    }
    Ok((figures, details.into()))
}

impl Load {
    fn count(&self) -> u64 {
        u64::from(self.rate * SECONDS)
    }

    fn run(&self) -> anyhow::Result<Steady> {
        let dir = directory()?;
        let path = dir.path().to_owned();
        noop::write(&path.join("noop"))?;
        if self.new_files {
            for number in 0..self.count() {
                new_file(&path, number)?;
            }
        }
        let more = if self.hash { "enrich:\n  hash: sha256\n" } else { "" };
        let yaml = steady::one_file(&path, more);
        let daemon = Daemon::start_with(dir, &yaml)?;
        let program = |number: u64| {
            if self.new_files { new_path(&path, number) } else { path.join("noop") }
        };
        Ok(Steady::measure(daemon, program, self.count(), self.rate)?.0)
    }
}

fn new_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("noop-{number}"))
}

/// The program with zeros behind it.
fn new_file(dir: &Path, number: u64) -> anyhow::Result<()> {
    let path = new_path(dir, number);
    noop::write(&path)?;
    fs::OpenOptions::new().write(true).open(&path)?.set_len(NEW_FILE_BYTES)?;
    Ok(())
}
