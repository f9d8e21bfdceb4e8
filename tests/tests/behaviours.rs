//! The rows of `tests/behaviours/` on this machine, in tracepoint mode: each execution gives exactly
//! one event, and that says what happened.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use shipper_tests::behaviours::{self, Cell, Place, Plan, Results, judge};
use shipper_tests::daemon::{Daemon, config, run_to_end};
use shipper_tests::tiny;
use shipper_tests::tracefs::Tracefs;

/// What no machine may leave out: most rows need nothing but root.
const RUN_MIN: usize = 90;

#[test]
fn every_row_is_as_it_says_on_this_machine() -> Result<()> {
    let rows = behaviours::load()?;
    let place = Place::here();
    // Where no more is allowed than tracepoints, attempts that fail are seen by those of system calls.
    let _tracefs = Tracefs::mounted()?;
    let more = "  failures: all\n  env: [LD_PRELOAD, SSH_CONNECTION]\n  syscall_tracepoints: true";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, more, ""))? else { return Ok(()) };
    let work = std::fs::canonicalize(daemon.dir())?.join("rows");
    std::fs::create_dir(&work)?;
    let path = |name: &str| work.join(name);
    // Under a directory that everybody may search; the build's own may be in somebody's home.
    std::fs::copy(env!("CARGO_BIN_EXE_exec_helper"), path("exec_helper"))?;
    tiny::write(&path("tiny"), &tiny::ends_at_once(), 0o755)?;
    tiny::write(&path("waits"), &tiny::waits_for_input(), 0o755)?;
    tiny::write(&path("tiny32"), &tiny::ends_at_once_32(), 0o755)?;
    std::fs::write(path("script"), behaviours::script(&rows))?;

    let plan = Plan::new(&rows, &place);
    let output = run_to_end(
        Command::new("/bin/sh")
            .arg(path("script"))
            .current_dir(&work)
            .envs([("WORK", work.clone()), ("RESULTS", path("results"))])
            .envs([("HELPER", path("exec_helper")), ("EVENTS", daemon.events_path())])
            .envs([("TINY", path("tiny")), ("WAITS", path("waits")), ("TINY32", path("tiny32"))])
            .env("RUN", format!("row-{}", std::process::id()))
            .envs([("ROWS", &plan.rows), ("SILENT", &plan.silent)]),
    )?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the script ended with {}: {said}", output.status);
    let results = read(&path("results"))?;
    let stopped = daemon.stop()?;
    ensure!(stopped.status.success(), "{}", stopped.log);
    // Nothing is lost on this machine, so nothing is tried twice.
    let cells = judge(&rows, &place, &results, &stopped.events()?, 0)?;

    let mut run = 0;
    let mut failed = String::new();
    for (row, cell) in rows.iter().zip(&cells) {
        match cell {
            Cell::Ok(_) => run += 1,
            Cell::LeftOut(why) => println!("left out: {}: {why}", row.name),
            Cell::Failed(wrong) => {
                failed.push_str(&format!("\n{} ({}):\n  {}", row.name, row.id, wrong.join("\n  ")));
            }
        }
    }
    ensure!(failed.is_empty(), "{failed}");
    println!("{run} of {} rows were run", rows.len());
    ensure!(run >= RUN_MIN, "only {run} of {} rows could be run", rows.len());
    Ok(())
}

fn read(path: &Path) -> Result<Results> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Results::read(&String::from_utf8_lossy(&bytes))
}
