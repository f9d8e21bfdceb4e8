//! The rows of `tests/behaviours/` on this machine, in tracepoint mode: each execution gives exactly
//! one event, and that says what happened, in each format as its schema and its golden file say.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shipper::format::{Format, reference};
use shipper_tests::behaviours::{self, Cell, Place, Plan, Results, Row, Told, is_sought, judge};
use shipper_tests::daemon::{Daemon, config, parse_whole, run_to_end};
use shipper_tests::ecs::{faults as ecs_faults, official};
use shipper_tests::golden::{self, Golden};
use shipper_tests::ocsf::Schema;
use shipper_tests::tiny;
use shipper_tests::tracefs::Tracefs;

/// What no machine may leave out: most rows need nothing but root.
const RUN_MIN: usize = 90;

/// What the data model wants of every execution and is always known, beside `action`.
const CIM_ALWAYS: [&str; 9] = [
    "dest",
    "os",
    "process",
    "process_guid",
    "process_id",
    "process_name",
    "user",
    "user_id",
    "vendor_product",
];

#[test]
fn every_row_is_as_it_says_on_this_machine() -> Result<()> {
    let rows = behaviours::load()?;
    let place = Place::here();
    // Where no more is allowed than tracepoints, attempts that fail are seen by those of system calls.
    let _tracefs = Tracefs::mounted()?;
    let more = "  failures: all\n  env: [LD_PRELOAD, SSH_CONNECTION]\n  syscall_tracepoints: true";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, more, &sinks(dir)))? else {
        return Ok(());
    };
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
    let events = stopped.events()?;
    let cells = judge(&rows, &place, &results, &events, 0)?;

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
    let ran: Vec<Ran> = rows
        .iter()
        .zip(&cells)
        .filter_map(|(row, cell)| {
            let run = results.of(&row.id).last()?;
            let id = matches!(cell, Cell::Ok(_)).then(|| the_event(row, &run.told, &events))??;
            Some(Ran { row, told: &run.told, id })
        })
        .collect();
    for format in Format::ALL {
        let events = match format {
            Format::Ecs => events.clone(),
            _ => parse_whole(&std::fs::read(file(stopped.dir.path(), format))?)?,
        };
        let faults = faults(format, &events)?;
        ensure!(faults.is_empty(), "{format:?}: {faults:#?}");
        let wrong = golden::settle(format, &seen(format, &ran, &place, &events)?, &rows)?;
        ensure!(wrong.is_empty(), "set {} when that is meant: {wrong:#?}", golden::UPDATE);
    }
    Ok(())
}

/// A row that was run, with what its script told and the id of its event.
struct Ran<'a> {
    row: &'a Row,
    told: &'a Told,
    id: &'a str,
}

/// The id of the event of a row, where it has one.
fn the_event<'a>(row: &Row, told: &Told, events: &'a [Value]) -> Option<&'a str> {
    let mark = told.get("MARK").filter(|_| row.events == 1)?;
    let mut own = events.iter().filter(|event| is_sought(event, mark));
    own.find(|event| event["event"]["outcome"] == row.outcome())?["event"]["id"].as_str()
}

/// The file with the events in a format.
fn file(dir: &Path, format: Format) -> PathBuf {
    dir.join(format!("{}.ndjson", format.as_str()))
}

/// A sink for each format but the one that the configuration has anyway.
fn sinks(dir: &Path) -> String {
    let sink = |format: Format| {
        let (name, path) = (format.as_str(), file(dir, format));
        format!(
            "  - name: {name}\n    type: file\n    path: {}\n    format: {name}\n",
            path.display()
        )
    };
    [Format::Ocsf, Format::Cim, Format::Native].map(sink).concat()
}

/// What is wrong with any event by our table and by the official schema, each once; never a value.
fn faults(format: Format, events: &[Value]) -> Result<BTreeSet<String>> {
    let (ecs, ocsf) = (official()?, Schema::official()?);
    let mut faults = BTreeSet::new();
    for event in events {
        ensure!(Format::of(event) == Some(format), "an event of another format");
        let by_table = reference::check(format, event).into_iter();
        // It says the value as well, which may be somebody else's.
        faults
            .extend(by_table.map(|fault| fault.split(": ").next().unwrap_or_default().to_owned()));
        match (format, &ecs, &ocsf) {
            (Format::Ecs, Some(official), _) => faults.extend(ecs_faults(event, official)),
            (Format::Ocsf, _, Some(schema)) => faults.extend(schema.faults(event)),
            (Format::Cim, ..) if event["shipper"]["kind"] == "exec" => {
                let missing = CIM_ALWAYS.iter().filter(|name| event.get(**name).is_none());
                faults.extend(missing.map(|name| format!("{name} is missing")));
                // What failed and was refused by nobody was neither allowed nor blocked.
                if event.get("action").is_none() && event["shipper"]["failure"].is_null() {
                    faults.insert("action is missing".to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(faults)
}

/// What the event of each row says in this format.
fn seen(format: Format, ran: &[Ran<'_>], place: &Place, events: &[Value]) -> Result<Golden> {
    let id = match format {
        Format::Ecs => "/event/id",
        Format::Ocsf => "/metadata/uid",
        Format::Cim => "/shipper/id",
        Format::Native => "/id",
    };
    let of = |event: &Value| event.pointer(id).and_then(Value::as_str).map(str::to_owned);
    let by_id: HashMap<Option<String>, &Value> =
        events.iter().map(|event| (of(event), event)).collect();
    let mut golden = Golden::new();
    for Ran { row, told, id } in ran {
        let event =
            by_id.get(&Some((*id).to_owned())).with_context(|| format!("{format:?} {id}"))?;
        let shown = golden::shown(format, row, place, told, event);
        golden.entry(row.group.clone()).or_default().insert(row.name.clone(), shown);
    }
    Ok(golden)
}

fn read(path: &Path) -> Result<Results> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Results::read(&String::from_utf8_lossy(&bytes))
}
