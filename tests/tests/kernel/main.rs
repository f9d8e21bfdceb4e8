//! The real program in guests of several kernels, in each capture mode.
//!
//! One boot a kernel goes through all modes (`guest.sh` is what the guest runs); the tests then look
//! at what came out, each at one behaviour in all kernels and modes. To run it, as any user:
//!
//!     tests/kernels.sh target/guest-kernels 6.1 5.10      # once; as root where QEMU is missing
//!     cargo test --package shipper-tests --test kernel
//!
//! `SHIPPER_GUEST_KERNEL_SERIES="5.10 6.12 newest"` says which kernels; without it 6.1 and 5.10, and
//! those that were fetched. One that is named and not there is a skip, which fails in CI. 7.3 skips a
//! kernel program now and then (`Capture::allowed_to_lose`): a row whose event is missing is tried
//! again in the guest.

#![allow(clippy::panic, reason = "a failing test panics")]

mod boots;

use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use shipper_tests::behaviours::{Cell, Column, matrix, names_in};

use boots::{Capture, Daemon, boots, expect, in_every_mode, is_marked, rows};

/// How many programs the storm runs.
const STORM: usize = 500;

#[test]
fn doctor_says_which_modes_work_and_why_the_others_do_not() -> Result<()> {
    for booted in boots() {
        let doctor = &booted.doctor;
        let look = || -> Result<()> {
            expect(doctor, "/mode", booted.boot.auto)?;
            expect(doctor, "/missing_privileges", Value::Null)?;
            expect(doctor, "/btf/usable", true)?;
            expect(doctor, "/btf/missing_fields", json!([]))?;
            for (index, mode) in ["lsm", "fentry", "tracepoint"].into_iter().enumerate() {
                let works = mode != "lsm" || booted.lsm_works();
                expect(doctor, &format!("/modes/{index}/mode"), mode)?;
                expect(doctor, &format!("/modes/{index}/works"), works)?;
                let reason = doctor["modes"][index]["reason"].as_str().unwrap_or_default();
                ensure!(works == reason.is_empty(), "{reason}");
                ensure!(works || reason.contains("did not run for a test exec"), "{reason}");
                ensure!(works || reason.contains("boot with lsm=...,bpf"), "{reason}");
            }
            let text = &booted.doctor_text;
            ensure!(text.contains(&format!("would use {}", booted.boot.auto)), "{text}");
            ensure!(text.contains("did not run for a test exec") != booted.lsm_works(), "{text}");
            Ok(())
        };
        look().with_context(|| booted.name())?;
    }
    Ok(())
}

#[test]
fn auto_takes_the_best_mode_that_fires_and_says_why_not_a_better_one() -> Result<()> {
    for booted in boots() {
        let (auto, log) = (booted.boot.auto, &booted.daemons["auto"].log);
        let name = booted.name();
        ensure!(log.contains(&format!("capture has begun mode=\"{auto}\"")), "{name}: {log}");
        let says_why = log.contains("capture mode lsm is not used: the program was attached and");
        ensure!(says_why != booted.lsm_works(), "{name}: {log}");
        let capture = Capture { booted, mode: auto, daemon: &booted.daemons["auto"] };
        capture.event("auto").with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn lsm_is_refused_where_its_hook_never_fires() -> Result<()> {
    for booted in boots().iter().filter(|booted| !booted.lsm_works()) {
        let Daemon { exit_code, log, events, .. } = &booted.daemons["lsm"];
        ensure!(*exit_code == 1, "exit code {exit_code}: {log}");
        ensure!(log.contains("did not run for a test exec"), "{log}");
        ensure!(events.is_empty(), "{events:?}");
    }
    Ok(())
}

#[test]
fn every_row_is_as_it_says_on_every_kernel_in_every_mode() -> Result<()> {
    let mut failed = String::new();
    let columns = Mutex::new(Vec::new());
    in_every_mode(|capture| {
        let said = || {
            let log = capture.daemon.log.lines();
            log.filter(|line| line.contains("not seen")).collect::<String>()
        };
        let cells = capture.judge().with_context(said)?;
        let (major, minor) = capture.booted.kernel;
        let kernel = format!("{major}.{minor}{}", capture.booted.boot.note);
        columns.lock().map_err(|_| anyhow!("a test panicked"))?.push((
            (major, minor, capture.booted.boot.note),
            Column { kernel, mode: capture.mode.to_owned(), cells },
        ));
        Ok(())
    })?;
    let mut columns = columns.into_inner()?;
    columns.sort_by_key(|(order, _)| *order);
    let columns: Vec<Column> = columns.into_iter().map(|(_, column)| column).collect();
    for column in &columns {
        for (row, cell) in rows().iter().zip(&column.cells) {
            if let Cell::Failed(wrong) = cell {
                let Column { kernel, mode, .. } = column;
                let (name, id, wrong) = (&row.name, &row.id, wrong.join("\n  "));
                failed.push_str(&format!("\n{kernel} {mode}: {name} ({id}):\n  {wrong}"));
            }
        }
    }
    if !columns.is_empty() {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernel-matrix.md");
        std::fs::write(&target, matrix(rows(), &columns))?;
    }
    ensure!(failed.is_empty(), "{failed}");
    Ok(())
}

#[test]
fn the_table_of_the_readme_has_the_rows_that_there_are() -> Result<()> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme)?;
    let begin = readme.find("<!-- behaviours -->").context("the table of README.md")?;
    let names: Vec<&str> = rows().iter().map(|row| row.name.as_str()).collect();
    ensure!(
        names_in(&readme[begin..]) == names,
        "the table of README.md is not of these rows: make test-kernel, then make readme-table"
    );
    ensure!(!readme.contains("FAILED"), "the table of README.md is of a run that failed");
    Ok(())
}

#[test]
fn the_ancestors_are_named_from_the_parent_up_to_the_first_process() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("last")?;
        expect(event, "/process/parent/executable", "/bin/busybox")?;
        expect(event, "/process/parent/args", json!(["sh", "/script"]))?;
        let ancestry = event["shipper"]["ancestry"].as_array().context("ancestry")?;
        ensure!(ancestry.len() == 2, "{event:#}");
        expect(&ancestry[1], "/pid", 1)
    })
}

#[test]
fn a_storm_repeats_nothing_and_loses_nothing_that_is_not_reported() -> Result<()> {
    in_every_mode(|capture| {
        let mut times = vec![0; STORM];
        for event in &capture.daemon.events {
            let last = event["process"]["args"].as_array().and_then(|args| args.last());
            let number = last.and_then(Value::as_str).and_then(|arg| arg.strip_prefix("storm-"));
            if let Some(number) = number {
                times[number.parse::<usize>()?] += 1;
            }
        }
        ensure!(times.iter().all(|&count| count <= 1), "{times:?}");
        let missing = times.iter().filter(|&&count| count == 0).count();
        ensure!(u64::try_from(missing)? <= capture.allowed_to_lose()?, "{missing} are missing");
        Ok(())
    })
}

/// Programs run while capture begins, so that records come in before the test exec's.
#[test]
fn nothing_is_reported_as_lost_when_everything_arrived_from_begin_to_end() -> Result<()> {
    in_every_mode(|capture| {
        let Daemon { exit_code, log, events, .. } = capture.daemon;
        ensure!(*exit_code == 0, "exit code {exit_code}: {log}");
        let execs = events.iter().filter(|event| event["event"]["kind"] == "event").count();
        let lost = capture.allowed_to_lose()?;
        ensure!(log.contains(&format!("execs={execs} lost={lost}")), "{log}");
        Ok(())
    })
}

#[test]
fn pinned_programs_outlive_a_killed_daemon_and_leave_nothing_once_removed() -> Result<()> {
    in_every_mode(|capture| {
        let booted = capture.booted;
        let name = format!("{}-pinned", capture.mode);
        let daemon = booted.daemons.get(&name).context("capture could not be pinned")?;
        ensure!(daemon.exit_code == 0, "{}", daemon.log);
        ensure!(daemon.log.contains("is taken over"), "{}", daemon.log);
        let pinned = Capture { booted, mode: capture.mode, daemon };
        let lost = pinned.allowed_to_lose()?;
        let mut missing = 0;
        for number in 0..80 {
            let mark = format!("pinned-{number}");
            match daemon.events.iter().filter(|event| is_marked(event, &mark)).count() {
                0 => missing += 1,
                1 => {}
                _ => bail!("{mark} came more than once"),
            }
        }
        ensure!(missing <= lost, "{missing} are missing, {lost} are reported as lost");
        let said = &booted.unpinned[capture.mode];
        ensure!(said.contains("removed the pinned programs"), "{said}");
        let left: Vec<&str> = said.lines().filter(|line| line.contains("shipper")).collect();
        ensure!(left.is_empty(), "{said}");
        Ok(())
    })
}

#[test]
fn what_is_excluded_is_left_out_and_counted_and_the_limit_holds() -> Result<()> {
    in_every_mode(|capture| {
        let booted = capture.booted;
        let daemon = &booted.daemons[&format!("{}-filters", capture.mode)];
        ensure!(daemon.exit_code == 0, "{}", daemon.log);
        let recorded = |mark: &str| {
            // The helper that becomes the user has the mark among its arguments, too.
            let exec = |event: &&Value| {
                event["event"]["action"] == "exec"
                    && event["file"]["path"] == "/opt/program"
                    && is_marked(event, mark)
            };
            daemon.events.iter().filter(exec).count() as u64
        };
        let count = |action: &str, stage: &str, kind: &str| {
            let of = |event: &&Value| {
                let loss = &event["shipper"]["loss"];
                event["event"]["action"] == action
                    && (stage.is_empty() || loss["stage"] == stage)
                    && loss["kind"] == kind
            };
            let all = daemon.events.iter().filter(of);
            all.map(|event| event["shipper"]["loss"]["count"].as_u64().unwrap_or(0)).sum::<u64>()
        };
        let left_out = |stage: &str| count("events-left-out", stage, "exec");
        // What else the guest executes meanwhile has a limit of its own.
        let over_limit = {
            let of = |event: &&Value| {
                let loss = &event["shipper"]["loss"];
                loss["stage"] == "rate_limited"
                    && loss["kind"] == "exec"
                    && loss["cgroup"] == "/limited"
            };
            let all = daemon.events.iter().filter(of);
            all.map(|event| event["shipper"]["loss"]["count"].as_u64().unwrap_or(0)).sum::<u64>()
        };
        // The kernel may skip a program, and with it a filter: see `allowed_to_lose`.
        let lost = count("events-lost", "", "exec");
        ensure!(lost == 0 || booted.boot.series == "newest", "{}", daemon.log);
        for mark in ["filters-user", "filters-cgroup", "filters-tree"] {
            ensure!(recorded(mark) == 0, "{mark}: {}", daemon.log);
        }
        // A shell, two programs and an attempt; two programs; the root and a program; a shell and
        // twenty programs.
        let limited = recorded("filters-limited");
        ensure!((1..20).contains(&limited), "{limited} of a burst of 10: {}", daemon.log);
        let sums = [
            (left_out("excluded_user"), 4),
            (left_out("excluded_cgroup"), 2),
            (left_out("excluded_tree"), 2),
            (limited + 1 + over_limit, 21),
        ];
        for (index, (found, wanted)) in sums.into_iter().enumerate() {
            let bounds = wanted - lost.min(wanted)..=wanted;
            ensure!(bounds.contains(&found), "{index}: {sums:?}, {lost} lost: {}", daemon.log);
        }
        ensure!(count("events-left-out", "excluded_tree", "exit") >= 1, "{}", daemon.log);
        Ok(())
    })
}
