//! Hashes of executed files, by the real daemon in tracepoint mode: each is of the file as it was
//! executed, as `sha256sum` has it, or there is none and the event says why.
//!
//! Where something has to happen between an exec and the reading of its file, the daemon is stopped
//! (SIGSTOP) meanwhile.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::mounted::Mounted;
use shipper_tests::process::until;
use shipper_tests::site::{Plan, Site};
use shipper_tests::{skip, tiny};

/// Not the large programs that others on this machine execute meanwhile: a build with debug assertions
/// takes seconds for one of them.
const ON: &str = "enrich: { hash: sha256, hash_wait_max: 10s, hash_bytes_max: 4MiB }\n";

const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// A daemon that hashes. `None`, and the test is skipped, where this machine allows no capture.
fn daemon(enrich: &str) -> Result<Option<Daemon>> {
    Daemon::start_or_skip(|dir| config(dir, enrich, ""))
}

/// An executable file, all of whose kind differ by `text`, which is no part of what is executed. Old
/// enough to be told from one that is changed after it was executed.
fn program(path: PathBuf, does: Vec<u8>, text: &str) -> Result<PathBuf> {
    tiny::write(&path, &[does, text.into()].concat(), 0o755)?;
    await_age(&path, 50)?;
    Ok(path)
}

/// A script of the same age.
fn script(path: PathBuf, interpreter: &Path, text: &str) -> Result<PathBuf> {
    program(path, format!("#!{}\n", interpreter.display()).into(), text)
}

/// Waits until a file is that old, so many milliseconds.
fn await_age(path: &Path, ms: i64) -> Result<()> {
    let file = std::fs::metadata(path)?;
    let changed_ms = file.ctime() * 1000 + file.ctime_nsec() / 1_000_000;
    until("the file is older", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(i64::try_from(now.as_millis())? > changed_ms + ms)
    })
}

/// As another program has it.
fn sha256(path: &Path) -> Result<Value> {
    let output = Command::new("sha256sum").arg(path).output().context("sha256sum")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(json!(text.get(..64).context("64 digits")?.trim_start_matches('\\')))
}

/// The event of the execution with this argument.
fn event(daemon: &Daemon, mark: &str) -> Result<Value> {
    daemon.await_event(|event| event["event"]["action"] == "exec" && has_arg(event, mark))
}

/// Runs it to its end with this argument.
fn execute(program: &Path, mark: &str) -> Result<()> {
    let status = Command::new(program).arg(mark).status().context(program.display().to_string())?;
    assert!(status.success(), "{status}");
    Ok(())
}

/// Begins it with this argument; it ends when its standard input does.
fn begin(program: &Path, mark: &str) -> Result<Child> {
    Ok(Command::new(program).arg(mark).stdin(Stdio::piped()).spawn()?)
}

/// Ends what [`begin`] began.
fn end(mut child: Child) -> Result<()> {
    drop(child.stdin.take());
    child.wait()?;
    Ok(())
}

/// Stops the daemon, does this, and has it go on.
fn while_stopped(daemon: &Daemon, what: impl FnOnce() -> Result<()>) -> Result<()> {
    daemon.signal(Signal::STOP)?;
    let stat = format!("/proc/{}/stat", daemon.pid());
    until("the daemon stops", || Ok(std::fs::read_to_string(&stat)?.contains(") T ")))?;
    what()?;
    daemon.signal(Signal::CONT)
}

fn assert_hash(event: &Value, sha256: &Value) {
    assert_eq!(&event["file"]["hash"]["sha256"], sha256, "{event}");
    assert!(event["shipper"]["file"]["hash_missing"].is_null(), "{event}");
}

fn assert_missing(event: &Value, why: &str) {
    assert!(event["file"]["hash"].is_null(), "{event}");
    assert_eq!(event["shipper"]["file"]["hash_missing"], why, "{event}");
}

#[test]
fn a_binary_and_a_script_with_its_interpreter_have_the_hashes_of_their_content() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let at = |name: &str| daemon.dir().join(name);
    let small = program(at("small"), tiny::ends_at_once(), "")?;
    let large = program(at("large"), tiny::ends_at_once(), &"large ".repeat(500_000))?;
    let script = script(at("script"), &small, "nothing\n")?;
    for (path, mark) in [(&small, "of-small"), (&large, "of-large"), (&script, "of-script")] {
        execute(path, mark)?;
        assert_hash(&event(&daemon, mark)?, &sha256(path)?);
    }
    assert_eq!(event(&daemon, "of-large")?["process"]["hash"]["sha256"], sha256(&large)?);
    let of_script = event(&daemon, "of-script")?;
    for hash in [&of_script["process"]["hash"], &of_script["shipper"]["interpreter"]["hash"]] {
        assert_eq!(hash["sha256"], sha256(&small)?, "{of_script}");
    }
    Ok(())
}

#[test]
fn nothing_is_hashed_unless_it_is_asked_for() -> Result<()> {
    let Some(daemon) = daemon("")? else { return Ok(()) };
    let file = program(daemon.dir().join("plain"), tiny::ends_at_once(), "")?;
    execute(&file, "plain")?;
    let event = event(&daemon, "plain")?;
    assert!(event["file"]["hash"].is_null() && event["process"]["hash"].is_null(), "{event}");
    assert!(event["shipper"]["file"]["hash_missing"].is_null(), "{event}");
    Ok(())
}

#[test]
fn what_is_not_as_it_was_executed_has_no_hash_and_says_why() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let make = |name: &str| program(daemon.dir().join(name), tiny::ends_at_once(), "as executed");
    let (written, dated) = (make("written")?, make("dated")?);
    let (removed, replaced, fifo) = (make("removed")?, make("replaced")?, make("fifo")?);
    let script = script(daemon.dir().join("script"), &written, "as executed\n")?;
    let other = [tiny::ends_at_once(), b"as EXECUTED".into()].concat();
    while_stopped(&daemon, || {
        for path in [&written, &dated, &removed, &replaced, &fifo, &script] {
            execute(path, &path.to_string_lossy())?;
        }
        // What was executed last is a tick older than what is done now.
        tiny::write(&daemon.dir().join("new"), &other, 0o755)?;
        await_age(&daemon.dir().join("new"), 20)?;
        std::fs::write(&written, &other)?;
        // The time of the content is as it was; that of the inode cannot be.
        let modified = std::fs::metadata(&dated)?.modified()?;
        std::fs::write(&dated, &other)?;
        File::options().write(true).open(&dated)?.set_modified(modified)?;
        std::fs::remove_file(&removed)?;
        std::fs::rename(daemon.dir().join("new"), &replaced)?;
        std::fs::remove_file(&fifo)?;
        assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
        std::fs::write(&script, "#!/bin/true\nas EXECUTED\n")?;
        Ok(())
    })?;
    let event = |path: &Path| event(&daemon, &path.to_string_lossy());
    assert_missing(&event(&written)?, "changed");
    assert_missing(&event(&dated)?, "changed");
    assert_missing(&event(&removed)?, "gone");
    assert_missing(&event(&replaced)?, "gone");
    assert_missing(&event(&fifo)?, "not_a_file");
    let of_script = event(&script)?;
    assert_missing(&of_script, "changed");
    assert_eq!(of_script["shipper"]["interpreter"]["hash_missing"], "changed", "{of_script}");
    Ok(())
}

#[test]
fn what_may_have_been_changed_in_the_same_tick_of_the_clock_has_no_hash_unless_it_runs()
-> Result<()> {
    const TRIES: usize = 100;
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let copy = program(daemon.dir().join("copy"), tiny::waits_for_input(), "")?;
    let sha256 = sha256(&copy)?;
    let tick = jiff::SignedDuration::from_millis(10);
    let (mut fresh_and_ended, mut fresh_and_running) = (false, false);
    for number in 0..TRIES {
        let path = daemon.dir().join(format!("fresh-{number}"));
        std::fs::copy(&copy, &path)?;
        let running = begin(&path, "fresh")?;
        let is_running = number % 2 == 1;
        let name = json!(format!("fresh-{number}"));
        let ended = if is_running {
            Some(running)
        } else {
            end(running)?;
            None
        };
        let event = daemon.await_event(|event| event["file"]["name"] == name)?;
        ended.map_or(Ok(()), end)?;
        let time = |value: &Value| -> Result<jiff::Timestamp> {
            Ok(value.as_str().context("a time")?.parse()?)
        };
        let age = time(&event["@timestamp"])?.duration_since(time(&event["file"]["ctime"])?);
        if is_running {
            fresh_and_running |= age < tick;
            assert_hash(&event, &sha256);
        } else if age < tick {
            fresh_and_ended = true;
            let why = &event["shipper"]["file"]["hash_missing"];
            // It may be read before it has ended.
            assert!(*why == "unsure" || event["file"]["hash"]["sha256"] == sha256, "{event}");
        } else {
            assert_hash(&event, &sha256);
        }
        if fresh_and_ended && fresh_and_running {
            return Ok(());
        }
    }
    skip("this machine is too slow to execute a file within 10 ms after it was written");
    Ok(())
}

#[test]
fn what_a_process_runs_is_hashed_when_it_has_no_name_any_more() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let file = program(daemon.dir().join("deleted"), tiny::waits_for_input(), "deleted")?;
    let copy = program(daemon.dir().join("copy"), tiny::waits_for_input(), "deleted")?;
    let mut running = None;
    while_stopped(&daemon, || {
        running = Some(begin(&file, "deleted-and-running")?);
        Ok(std::fs::remove_file(&file)?)
    })?;
    assert_hash(&event(&daemon, "deleted-and-running")?, &sha256(&copy)?);
    running.map_or(Ok(()), end)?;

    let memfd = Command::new(HELPER)
        .args(["memfd".as_ref(), copy.as_os_str(), "in-memory".as_ref(), "of-memfd".as_ref()])
        .stdin(Stdio::piped())
        .spawn()?;
    let of_memfd = daemon.await_event(|event| {
        event["shipper"]["file"]["memfd"] == true && has_arg(event, "of-memfd")
    })?;
    assert_hash(&of_memfd, &sha256(&copy)?);
    end(memfd)?;

    while_stopped(&daemon, || {
        let mut short = Command::new(HELPER)
            .args(["memfd".as_ref(), copy.as_os_str(), "in-memory".as_ref(), "short".as_ref()])
            .stdin(Stdio::null())
            .spawn()?;
        assert!(short.wait()?.success());
        Ok(())
    })?;
    let of_memfd = daemon.await_event(|event| {
        event["shipper"]["file"]["memfd"] == true && has_arg(event, "short")
    })?;
    assert_missing(&of_memfd, "gone");
    Ok(())
}

#[test]
fn a_file_larger_than_the_limit_is_not_read() -> Result<()> {
    let limit = "enrich: { hash: sha256, hash_bytes_max: 4KiB }\n";
    let Some(daemon) = daemon(limit)? else { return Ok(()) };
    let padding = 4096 - tiny::ends_at_once().len();
    let at = |name: &str| daemon.dir().join(name);
    let fits = program(at("fits"), tiny::ends_at_once(), &"x".repeat(padding))?;
    let larger = program(at("larger"), tiny::ends_at_once(), &"x".repeat(padding + 1))?;
    execute(&fits, "fits")?;
    execute(&larger, "larger")?;
    assert_hash(&event(&daemon, "fits")?, &sha256(&fits)?);
    assert_missing(&event(&daemon, "larger")?, "too_large");
    Ok(())
}

#[test]
fn another_file_under_the_same_path_of_the_host_is_never_taken() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let outside = program(daemon.dir().join("same"), tiny::waits_for_input(), "outside")?;
    let root = daemon.dir().join("root");
    let inside = root.join(outside.strip_prefix("/")?);
    std::fs::create_dir_all(inside.parent().context("a directory")?)?;
    program(inside.clone(), tiny::waits_for_input(), "inside")?;
    let in_chroot = |mark: &str, stdin: Stdio| -> Result<Child> {
        let mut command = Command::new(HELPER);
        command.arg("chroot").arg(&root).arg("/").arg(&outside).arg(mark);
        Ok(command.stdin(stdin).spawn()?)
    };
    let of_program = |mark: &str| {
        daemon.await_event(|event| event["file"]["name"] == "same" && has_arg(event, mark))
    };
    while_stopped(&daemon, || {
        assert!(in_chroot("ended-in-chroot", Stdio::null())?.wait()?.success());
        Ok(())
    })?;
    assert_missing(&of_program("ended-in-chroot")?, "gone");
    let running = in_chroot("runs-in-chroot", Stdio::piped())?;
    assert_hash(&of_program("runs-in-chroot")?, &sha256(&inside)?);
    end(running)?;
    execute(&outside, "outside")?;
    assert_hash(&of_program("outside")?, &sha256(&outside)?);
    Ok(())
}

#[test]
fn a_program_in_a_mount_namespace_of_its_own_is_hashed_through_its_parent() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let outside = program(daemon.dir().join("bound"), tiny::ends_at_once(), "outside")?;
    let inside = program(daemon.dir().join("inside"), tiny::ends_at_once(), "inside")?;
    let mut shell = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(
            "mount --bind \"$1\" \"$2\" && kill -STOP \"$3\" && \"$2\" in-a-namespace && \
              kill -CONT \"$3\" && read line",
        )
        .arg("sh")
        .args([&inside, &outside])
        .arg(daemon.pid().to_string())
        .stdin(Stdio::piped())
        .spawn()?;
    if let Ok(Some(status)) = shell.try_wait() {
        skip(&format!("no mount namespace may be made here: {status}"));
        return Ok(());
    }
    let event = daemon.await_event(|event| {
        event["file"]["name"] == "bound" && has_arg(event, "in-a-namespace")
    })?;
    assert_hash(&event, &sha256(&inside)?);
    end(shell)
}

#[test]
fn a_file_of_either_layer_of_an_overlay_is_hashed() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let Some(lower) = Mounted::tmpfs(1 << 20)? else { return Ok(()) };
    let Some(disk) = Mounted::tmpfs(1 << 20)? else { return Ok(()) };
    let (upper, work) = (disk.path().join("upper"), disk.path().join("work"));
    std::fs::create_dir(&upper)?;
    std::fs::create_dir(&work)?;
    program(lower.path().join("below"), tiny::ends_at_once(), "below")?;
    let Some(overlay) = Mounted::overlay(lower.path(), &upper, &work)? else { return Ok(()) };
    program(overlay.path().join("above"), tiny::ends_at_once(), "above")?;
    for name in ["below", "above"] {
        let path = overlay.path().join(name);
        execute(&path, name)?;
        let event = daemon.await_event(|event| event["file"]["name"] == name)?;
        assert_hash(&event, &sha256(&path)?);
    }
    Ok(())
}

#[test]
fn a_file_that_does_not_change_is_read_once() -> Result<()> {
    const TIMES: usize = 20;
    let plan = Plan { more: ON.to_owned(), ..Plan::default() };
    let Some(site) = Site::new("read-once", &plan)? else { return Ok(()) };
    let mut command = site.command();
    command.env("SHIPPER_LOG", "info,shipper::enrich::hash=debug");
    let Some(process) = Site::begin_or_skip(&mut command)? else { return Ok(()) };
    let file = program(site.dir().join("again"), tiny::ends_at_once(), "again")?;
    // One that was written lately is read again each time.
    await_age(&file, 2500)?;
    for number in 0..TIMES {
        execute(&file, &format!("again-{number}"))?;
    }
    let sha256 = sha256(&file)?;
    for number in 0..TIMES {
        let mark = format!("again-{number}");
        site.await_event(|event| {
            has_arg(event, &mark) && event["file"]["hash"]["sha256"] == sha256
        })?;
    }
    let ended = process.stop()?;
    let read = ended.log.lines().filter(|line| line.contains(&*file.to_string_lossy()));
    assert_eq!(read.filter(|line| line.contains("hashed")).count(), 1, "{}", ended.log);
    Ok(())
}

/// Whether the daemon has a point at which its reading can be held.
fn has_points() -> bool {
    if !cfg!(debug_assertions) {
        skip("a release build has no point at which reading hangs");
    }
    cfg!(debug_assertions)
}

#[test]
fn a_file_system_that_does_not_answer_costs_hashes_and_no_events() -> Result<()> {
    const COUNT: u32 = 200;
    if !has_points() {
        return Ok(());
    }
    let enrich = "enrich: { hash: sha256, hash_wait_max: 300ms }\n";
    let plan = Plan { more: enrich.to_owned(), ..Plan::default() };
    let Some(site) = Site::new("hangs", &plan)? else { return Ok(()) };
    let mut command = site.command();
    command.env("SHIPPER_FAULT", "hash.read=hang");
    let Some(mut process) = Site::begin_or_skip(&mut command)? else { return Ok(()) };
    let file = program(site.dir().join("hangs"), tiny::ends_at_once(), "hangs")?;
    let mark = format!("hangs-{}", std::process::id());
    let status = Command::new(HELPER)
        .arg("storm")
        .args([file.as_os_str(), mark.as_ref()])
        .args(["0".to_owned(), COUNT.to_string()])
        .status()?;
    assert!(status.success());
    process.await_log("takes longer than enrich.hash_wait_max")?;
    execute(&file, &format!("{mark}-last"))?;
    site.await_event(|event| has_arg(event, &format!("{mark}-last")))?;
    let ended = process.stop()?;
    assert!(ended.status.success(), "{}", ended.log);
    assert_eq!(ended.log.matches("takes longer than").count(), 1, "{}", ended.log);
    let events = shipper_tests::daemon::read_events(&site.events_path())?;
    let mine: Vec<&Value> =
        events.iter().filter(|event| event["process"]["args"][1] == *mark).collect();
    assert_eq!(mine.len(), COUNT as usize);
    mine.iter().for_each(|event| assert_missing(event, "late"));
    for cpu in 0..std::thread::available_parallelism()?.get() {
        let of_cpu = events.iter().filter(|event| event["shipper"]["cpu"] == cpu);
        let numbers = of_cpu.filter_map(|event| event["event"]["sequence"].as_u64());
        assert!(numbers.is_sorted(), "events of CPU {cpu} are not in the order of the executions");
    }
    Ok(())
}

#[test]
fn what_still_waits_at_the_end_is_delivered_without_its_hash() -> Result<()> {
    if !has_points() {
        return Ok(());
    }
    let plan = Plan { more: ON.to_owned(), ..Plan::default() };
    let Some(site) = Site::new("waits", &plan)? else { return Ok(()) };
    let mut command = site.command();
    command.env("SHIPPER_FAULT", "hash.read=hang");
    let Some(process) = Site::begin_or_skip(&mut command)? else { return Ok(()) };
    let file = program(site.dir().join("waits"), tiny::ends_at_once(), "waits")?;
    let mark = format!("waits-{}", std::process::id());
    execute(&file, &mark)?;
    let ended = process.stop()?;
    assert!(ended.status.success(), "{}", ended.log);
    let events = shipper_tests::daemon::read_events(&site.events_path())?;
    let [event] = &events.iter().filter(|event| has_arg(event, &mark)).collect::<Vec<_>>()[..]
    else {
        panic!("one event");
    };
    assert_missing(event, "late");
    Ok(())
}

#[test]
fn the_time_of_the_last_access_is_left_alone() -> Result<()> {
    let Some(daemon) = daemon(ON)? else { return Ok(()) };
    let Some(strict) = Mounted::tmpfs(1 << 20)? else { return Ok(()) };
    let flags = rustix::mount::MountFlags::STRICTATIME;
    rustix::mount::mount_remount(strict.path(), flags, c"")?;
    let file = program(strict.path().join("accessed"), tiny::waits_for_input(), "accessed")?;
    let (mut running, mut before) = (None, None);
    while_stopped(&daemon, || {
        let child = begin(&file, "accessed")?;
        // It was mapped, which is an access as well, and waits for its input.
        let stat = format!("/proc/{}/stat", child.id());
        until("it waits", || Ok(std::fs::read_to_string(&stat)?.contains(") S ")))?;
        before = Some(std::fs::metadata(&file)?);
        running = Some(child);
        Ok(())
    })?;
    let before = before.context("it was looked at")?;
    let event = event(&daemon, "accessed")?;
    let after = std::fs::metadata(&file)?;
    assert_eq!((before.atime(), before.atime_nsec()), (after.atime(), after.atime_nsec()));
    running.map_or(Ok(()), end)?;
    assert_hash(&event, &sha256(&file)?);
    Ok(())
}
