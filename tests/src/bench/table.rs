//! The memory of the process table: a machine with 100,000 processes, made up. It is measured in this
//! process, as the first part, so that no other part has left free memory behind to be used again.

use anyhow::{Context as _, ensure};
use common::decode::{Record, decode};
use common::wire::{Exec, Fork, Header, ProcessId, RecordKind, Span, WIRE_VERSION};
use serde_json::{Value, json};
use shipper::enrich::{Enricher, StateDirs};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::process;
use super::report::Figure;

/// Processes that live at once.
const PROCESSES: u32 = 100_000;

/// The first pid: above any that a kernel gives (`PID_MAX_LIMIT`), so that none of them is in /proc.
const FIRST: u32 = 1 << 23;

/// Processes below one shell.
const CHILDREN: u32 = 50;

/// What they run: services, shells, builds and workers, by the lengths that machines show.
const COMMANDS: [&[&str]; 5] = [
    &["/usr/bin/bash", "-c", "cd /srv/app/releases/%; exec ./bin/worker --queue default"],
    &["/usr/bin/python3", "/srv/app/venv/bin/celery", "-A", "app", "worker", "-n", "worker-%@host"],
    &[
        "/usr/lib/jvm/java-21-openjdk-amd64/bin/java",
        "-Xms512m",
        "-Xmx4g",
        "-XX:+UseG1GC",
        "-Dservice.instance=%",
        "-Dlog.dir=/var/log/service",
        "-cp",
        "/opt/service/lib/service.jar:/opt/service/lib/metrics.jar:/opt/service/lib/json.jar",
        "org.example.service.Main",
        "--config",
        "/etc/service/service-%.yaml",
    ],
    &["/usr/bin/sleep", "%"],
    &["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/site-%.conf"],
];

/// Measures a table full of processes that each executed, and one of processes that only forked.
///
/// # Errors
/// When the table does not hold them all.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    eprintln!("{PROCESSES} processes in the process table ...");
    // Both are kept: what the first gave back would be no new memory for the second.
    let (executed, _kept) = fill(true)?;
    let (forked, _kept_too) = fill(false)?;
    let figure = |name, filled: &Filled, what: &str| Figure {
        name,
        value: filled.anonymous as f64 / f64::from(PROCESSES),
        unit: "bytes",
        aim: None,
        how: format!(
            "{PROCESSES} {what}: {:.1} MB more heap (RssAnon), {:.1} MB resident (VmRSS) in all",
            filled.anonymous as f64 / 1e6,
            filled.resident as f64 / 1e6
        ),
    };
    let figures = vec![
        figure("process table, a process", &executed, "processes that each executed"),
        figure("process table, a process that only forked", &forked, "processes of one program"),
    ];
    Ok((figures, json!({ "executed": executed.json(), "forked": forked.json() })))
}

/// What a full table takes.
struct Filled {
    /// Bytes of heap and stacks more than before.
    anonymous: u64,
    /// Bytes resident then, of the whole process.
    resident: u64,
    /// Bytes of arguments of one process, in the mean.
    program: f64,
}

impl Filled {
    fn json(&self) -> Value {
        json!({
            "processes": PROCESSES,
            "anonymous_bytes": self.anonymous,
            "resident_bytes": self.resident,
            "program_bytes_mean": self.program,
        })
    }
}

fn fill(execute: bool) -> anyhow::Result<(Filled, Enricher)> {
    let me = std::process::id();
    let mut enricher =
        Enricher::new(16, StateDirs::default()).with_process_table(2 * PROCESSES as usize);
    let before = process::memory(me)?;
    let mut program = 0;
    for number in 0..PROCESSES {
        if let Some(parent) = parent_of(number) {
            enricher.fork(&Fork { parent: process(parent), child: process(number) });
        }
        // The first one runs what all others do that only fork.
        if execute || number == 0 {
            program += executes(&mut enricher, number)?;
        }
    }
    let after = process::memory(me)?;
    let (entries, evicted) = enricher.table_size();
    ensure!((entries, evicted) == (PROCESSES as usize, 0), "{entries} entries, {evicted} evicted");
    let filled = Filled {
        anonymous: after.anonymous.saturating_sub(before.anonymous),
        resident: after.resident,
        program: program as f64 / f64::from(PROCESSES),
    };
    Ok((filled, enricher))
}

/// The number of its parent: of a shell that of the first process, which has none, of others that of a
/// shell.
fn parent_of(number: u32) -> Option<u32> {
    match (number, number % CHILDREN) {
        (0, _) => None,
        (_, 0) => Some(0),
        (_, nth) => Some(number - nth),
    }
}

fn process(number: u32) -> ProcessId {
    ProcessId { start_ns: u64::from(number + 1) * 10_000_000, tgid: FIRST + number, reserved: 0 }
}

/// It executes one of the commands. Returns the bytes of its arguments.
fn executes(enricher: &mut Enricher, number: u32) -> anyhow::Result<usize> {
    let command = COMMANDS[number as usize % COMMANDS.len()];
    let mut heap = Vec::new();
    for argument in command {
        heap.extend_from_slice(argument.replace('%', &number.to_string()).as_bytes());
        heap.push(0);
    }
    let argv = heap.len();
    // The path as the kernel walks it: names from the leaf to the root.
    for name in command[0].rsplit('/').filter(|name| !name.is_empty()) {
        heap.extend_from_slice(name.as_bytes());
        heap.push(0);
    }
    let span = |start: usize, end: usize| -> anyhow::Result<Span> {
        Ok(Span { start: u32::try_from(start)?, bytes: u32::try_from(end - start)? })
    };
    let mut exec = Exec::new_zeroed();
    exec.process = process(number);
    exec.argc = u32::try_from(command.len())?;
    exec.argv_bytes = argv as u64;
    exec.argv = span(0, argv)?;
    exec.binary_path.span = span(argv, heap.len())?;
    exec.binary_path.flags = common::wire::PATH_PRESENT;
    if let Some(parent) = parent_of(number) {
        exec.ancestors_count = 1;
        exec.ancestors[0].process = process(parent);
    }
    let bytes = size_of::<Header>() + size_of::<Exec>() + heap.len();
    let header = Header {
        version: WIRE_VERSION,
        kind: RecordKind::Exec as u16,
        bytes: u32::try_from(bytes)?,
        sequence: u64::from(number) + 1,
        boot_ns: exec.process.start_ns + 1,
        cpu: 0,
        reserved: 0,
    };
    let record = [header.as_bytes(), exec.as_bytes(), &heap].concat();
    let Record::Exec(record) = decode(&record).context("a made-up record")? else {
        anyhow::bail!("not the record of an exec");
    };
    let _ = enricher.exec(&record);
    Ok(argv)
}
