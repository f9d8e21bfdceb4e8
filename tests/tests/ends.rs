//! Ends of processes, really ended, on this kernel in tracepoint mode with `capture.exit: true`: each
//! gives exactly one event, which says what the parent that waits for it sees.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::os::unix::fs::chown;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::site::{Plan, Site};
use shipper_tests::tiny;

/// An ordinary user.
const USER: u32 = 1000;

const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// Words nobody else on this machine has among their arguments.
fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// With ends as events.
fn daemon() -> Result<Option<Daemon>> {
    Daemon::start_or_skip(|dir| config(dir, "  exit: true\n", ""))
}

fn is_end(event: &Value) -> bool {
    event["event"]["action"] == "end"
}

/// The only end of this process, and its place in the file.
fn the_end<'a>(events: &'a [Value], pid: u32, mark: &str) -> (usize, &'a Value) {
    let is_of = |event: &Value| event["process"]["pid"] == pid && has_arg(event, mark);
    let all = events.iter().enumerate();
    let ends: Vec<_> = all.filter(|(_, event)| is_end(event) && is_of(event)).collect();
    assert_eq!(ends.len(), 1, "ends of {mark}");
    ends[0]
}

/// The executions of this process with their places.
fn execs<'a>(events: &'a [Value], end: &Value) -> Vec<(usize, &'a Value)> {
    let id = &end["process"]["entity_id"];
    let all = events.iter().enumerate();
    all.filter(|(_, event)| !is_end(event) && event["process"]["entity_id"] == *id).collect()
}

/// What the event must say of how it ended.
fn assert_tells(end: &Value, status: ExitStatus) {
    let exit = &end["shipper"]["exit"];
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    assert_eq!(end["process"]["exit_code"], json!(code));
    assert_eq!(exit["signal"], json!(status.signal()));
    assert_eq!(exit["core_dumped"], json!(status.signal().map(|_| status.core_dumped())));
    let name = status.signal().map(|signal| match signal {
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        other => panic!("no case has signal {other}"),
    });
    assert_eq!(exit["signal_name"], json!(name));
    assert_eq!(end["event"]["kind"], "event");
    assert_eq!(end["event"]["category"], json!(["process"]));
    assert_eq!(end["event"]["type"], json!(["end"]));
    assert_eq!(end["process"]["end"], end["@timestamp"]);
    for absent in ["/event/outcome", "/file"] {
        assert_eq!(end.pointer(absent), None);
    }
    assert_eq!(end["user"]["id"], rustix::process::geteuid().as_raw().to_string());
    assert_eq!(end["user"], end["process"]["user"]);
    let ns = exit["duration_ns"].as_u64().expect("a length of time");
    assert_eq!(end["process"]["uptime"], ns / 1_000_000_000);
}

#[test]
fn an_end_says_how_it_ended_and_joins_its_execution() -> Result<()> {
    let Some(daemon) = daemon()? else { return Ok(()) };
    let held = daemon.dir().join("held");
    tiny::write(&held, &tiny::waits_for_input(), 0o755)?;
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(daemon.dir());
        command
    };
    // A core file only where this machine writes one; that is what the parent is told as well.
    let crash = "ulimit -c unlimited; kill -SEGV $$";
    let cases = [
        ("well", shell("exit 0")),
        ("status", shell("exit 7")),
        ("largest", shell("exit 255")),
        ("killed", Command::new(&held)),
        ("crashed", shell("ulimit -c 0; kill -SEGV $$")),
        ("dumped", shell(crash)),
    ];
    let mut ended = Vec::new();
    for (name, mut command) in cases {
        let mark = mark(name);
        let mut child = command.arg(&mark).stdin(Stdio::piped()).spawn()?;
        if name == "killed" {
            daemon.await_event(|event| has_arg(event, &mark))?;
            child.kill()?;
        }
        let pid = child.id();
        ended.push((mark, pid, child.wait()?));
    }
    let own = daemon.pid();
    let events = daemon.stop()?.events()?;
    for (mark, pid, status) in ended {
        let (place, end) = the_end(&events, pid, &mark);
        assert_tells(end, status);
        let execs = execs(&events, end);
        let [(before, exec)] = execs[..] else { panic!("{} executions of {mark}", execs.len()) };
        assert!(before < place, "the end comes after the execution");
        assert_ne!(exec["event"]["id"], end["event"]["id"]);
        for same in ["name", "executable", "args", "args_count", "command_line", "Ext"] {
            assert_eq!(end["process"][same], exec["process"][same], "{same} of {mark}");
        }
        for same in ["pid", "entity_id", "name", "executable", "args"] {
            let parent = |event: &Value| event["process"]["parent"][same].clone();
            assert_eq!(parent(end), parent(exec), "{same} of the parent of {mark}");
        }
        assert_eq!(end["shipper"]["source"], "event");
        assert_eq!(end["process"]["parent"]["pid"], std::process::id());
    }
    // The daemon's own test execution is neither an execution nor an end.
    let of_own = events.iter().filter(|event| event["process"]["parent"]["pid"] == own);
    assert_eq!(of_own.count(), 0);
    Ok(())
}

#[test]
fn a_process_ends_with_its_last_thread_and_once() -> Result<()> {
    const ROUNDS: usize = 50;
    let Some(daemon) = daemon()? else { return Ok(()) };
    let together = mark("together");
    let mut ended = Vec::new();
    // What the parent sees need not be what the last thread ended with: where all end one by one, kernels
    // differ in whose code counts, and not every thread has the mark of a core file.
    for (name, how) in [
        ("leader", &["leader-first", "9", "3"][..]),
        ("one-by-one", &["leader-first", "0", "3"]),
        ("aborted", &["abort-threads", "8"]),
    ] {
        let mark = mark(name);
        let mut helper = Command::new(HELPER);
        let child = helper.args(how).arg(&mark).current_dir(daemon.dir()).spawn()?;
        let pid = child.id();
        let status = wait(child)?;
        ended.push((mark, pid, status));
    }
    for _ in 0..ROUNDS {
        assert!(Command::new(HELPER).args(["together", "8", &together]).status()?.success());
    }
    let events = daemon.stop()?.events()?;
    for (mark, pid, status) in ended {
        assert_tells(the_end(&events, pid, &mark).1, status);
    }
    let ends = events.iter().filter(|event| is_end(event) && has_arg(event, &together));
    let mut ids: Vec<String> = ends.map(|end| end["process"]["entity_id"].to_string()).collect();
    assert_eq!(ids.len(), ROUNDS);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), ROUNDS, "one end of each process");
    Ok(())
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    Ok(child.wait()?)
}

#[test]
fn a_process_that_executed_twice_ends_as_the_last_program() -> Result<()> {
    let Some(daemon) = daemon()? else { return Ok(()) };
    let mark = mark("twice");
    let script = format!("exec sh -c 'exit 4' {mark}");
    let child = Command::new("sh").args(["-c", &script]).spawn()?;
    let pid = child.id();
    let status = wait(child)?;
    let events = daemon.stop()?.events()?;
    let (_, end) = the_end(&events, pid, &mark);
    assert_tells(end, status);
    assert_eq!(end["process"]["args"], json!(["sh", "-c", "exit 4", mark]));
    assert_eq!(execs(&events, end).len(), 2);
    Ok(())
}

#[test]
fn a_process_that_never_executed_ends_as_what_its_parent_ran() -> Result<()> {
    let Some(daemon) = daemon()? else { return Ok(()) };
    let mark = mark("subshell");
    // A subshell is a process that is only forked; `true` keeps the shell from ending with it.
    let child = Command::new("sh").args(["-c", "(exit 5); true", &mark]).spawn()?;
    let pid = child.id();
    assert!(wait(child)?.success());
    let events = daemon.stop()?.events()?;
    let (_, shell) = the_end(&events, pid, &mark);
    let is_forked =
        |event: &&Value| is_end(event) && has_arg(event, &mark) && event["process"]["pid"] != pid;
    let forked: Vec<&Value> = events.iter().filter(is_forked).collect();
    let [end] = forked[..] else { panic!("{} ends of the subshell", forked.len()) };
    assert_eq!(end["process"]["exit_code"], 5);
    assert_eq!(end["process"]["args"], shell["process"]["args"]);
    assert_eq!(end["process"]["parent"]["entity_id"], shell["process"]["entity_id"]);
    assert!(execs(&events, end).is_empty());
    Ok(())
}

#[test]
fn the_end_of_an_orphan_names_the_parent_that_is_gone() -> Result<()> {
    let Some(daemon) = daemon()? else { return Ok(()) };
    let program = daemon.dir().join("orphaned");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    let mark = mark("orphan");
    let child = Command::new(HELPER).arg("orphan").arg(&program).arg(&mark).spawn()?;
    let pid = child.id();
    assert!(wait(child)?.success());
    let is_orphan = |event: &Value| {
        is_end(event) && has_arg(event, &mark) && event["process"]["name"] == "orphaned"
    };
    daemon.await_event(is_orphan)?;
    let events = daemon.stop()?.events()?;
    let orphan = events.iter().find(|event| is_orphan(event)).context("its end")?;
    let (_, parent) = the_end(&events, pid, &mark);
    assert_eq!(orphan["process"]["parent"]["pid"], pid);
    assert_eq!(orphan["process"]["parent"]["entity_id"], parent["process"]["entity_id"]);
    assert_eq!(orphan["process"]["parent"]["args"], parent["process"]["args"]);
    assert_eq!(orphan["shipper"]["ancestry"][1]["pid"], std::process::id());
    Ok(())
}

#[test]
fn a_process_older_than_the_daemon_ends_with_what_proc_said_of_it() -> Result<()> {
    let dir = shipper_tests::daemon::directory()?;
    let program = dir.path().join("older");
    tiny::write(&program, &tiny::waits_for_input(), 0o755)?;
    let mark = mark("older");
    let mut child = tiny::spawn(Command::new(&program).arg(&mark).stdin(Stdio::piped()))?;
    let Some(daemon) = daemon()? else {
        drop(child.stdin.take());
        return wait(child).map(|_| ());
    };
    // Its first event comes when it has looked through /proc.
    assert!(Command::new("true").arg(format!("seen-{mark}")).status()?.success());
    daemon.await_event(|event| has_arg(event, &format!("seen-{mark}")))?;
    drop(child.stdin.take());
    let (pid, status) = (child.id(), wait(child)?);
    let events = daemon.stop()?.events()?;
    let (_, end) = the_end(&events, pid, &mark);
    assert_tells(end, status);
    assert_eq!(end["shipper"]["source"], "procfs");
    assert_eq!(end["process"]["executable"], json!(program));
    assert_eq!(end["process"]["args"], json!([program, mark]));
    assert_eq!(end["process"]["parent"]["pid"], std::process::id());
    assert!(execs(&events, end).is_empty());
    Ok(())
}

/// A second file sink, which wants executions of some files only.
fn choosy(dir: &Path) -> String {
    let path = dir.join("choosy.ndjson");
    format!(
        "  - name: choosy\n    type: file\n    path: {}\n    when: event.action == 'exec' && !(file.uid == 0)\n",
        path.display()
    )
}

#[test]
fn a_sink_that_asks_for_some_files_gets_no_ends() -> Result<()> {
    let yaml = |dir: &Path| config(dir, "  exit: true\n", &choosy(dir));
    let Some(daemon) = Daemon::start_or_skip(yaml)? else { return Ok(()) };
    let program = daemon.dir().join("users");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    chown(&program, Some(USER), Some(USER))?;
    let mark = mark("choosy");
    let child = Command::new(&program).arg(&mark).spawn()?;
    let pid = child.id();
    assert!(wait(child)?.success());
    let stopped = daemon.stop()?;
    the_end(&stopped.events()?, pid, &mark);
    let text = std::fs::read(stopped.dir.path().join("choosy.ndjson"))?;
    let chosen = shipper_tests::daemon::parse_whole(&text)?;
    assert_eq!(chosen.iter().filter(|event| has_arg(event, &mark)).count(), 1);
    assert!(!chosen.iter().any(is_end));
    Ok(())
}

#[test]
fn ends_are_no_events_unless_asked_for() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let mark = mark("unasked");
    assert!(Command::new("true").arg(&mark).status()?.success());
    let events = daemon.stop()?.events()?;
    assert!(events.iter().any(|event| has_arg(event, &mark)));
    assert!(!events.iter().any(is_end));
    Ok(())
}

#[test]
fn what_ends_while_the_daemon_is_away_is_told_once_by_the_next() -> Result<()> {
    let plan = Plan { pin: true, capture: "  exit: true\n".to_owned(), ..Plan::default() };
    let Some(site) = Site::new("away", &plan)? else { return Ok(()) };
    let Some(first) = site.start_or_skip()? else { return Ok(()) };
    let mark = mark("away");
    let run = |name: &str| -> Result<u32> {
        let child = Command::new("sh").args(["-c", "exit 6", &mark, name]).spawn()?;
        let pid = child.id();
        wait(child)?;
        Ok(pid)
    };
    let is_told = |event: &Value| is_end(event) && has_arg(event, &mark);
    let mut pids = vec![run("before")?];
    site.await_event(is_told)?;
    first.kill()?;
    pids.push(run("meanwhile")?);
    let second = site.start()?;
    pids.push(run("after")?);
    let ended = second.stop()?;
    assert!(ended.status.success(), "{}", ended.log);
    let events = shipper_tests::daemon::read_events(&site.events_path())?;
    for pid in pids {
        let (_, end) = the_end(&events, pid, &mark);
        assert_eq!(end["process"]["exit_code"], 6);
        assert_eq!(execs(&events, end).len(), 1, "its execution is joined across the restart");
    }
    Ok(())
}

/// A rule on ends and one on executions, and a sink that wants what is grave.
fn ruled(dir: &Path, mark: &str) -> String {
    let path = dir.join("grave.ndjson");
    format!(
        "  - name: grave\n    type: file\n    path: {}\n    when: severity >= high\n\
         rules:\n\
         - {{ id: test.failed, severity: high, tags: [t], when: \"'{mark}' in process.args && process.exit_code != 0\" }}\n\
         - id: test.ran\n  severity: low\n  when: event.action == 'exec' && '{mark}' in process.args\n  \
           suppress: \"'quiet' in process.args\"\n  dedup: {{ by: [process.name], window: 1h }}\n",
        path.display()
    )
}

#[test]
fn what_rules_match_is_in_the_event_and_what_they_leave_out_is_told() -> Result<()> {
    let mark = mark("ruled");
    let yaml = |dir: &Path| config(dir, "  exit: true\n", &ruled(dir, &mark));
    let Some(daemon) = Daemon::start_or_skip(yaml)? else { return Ok(()) };
    for status in ["0", "3"] {
        Command::new("sh").args(["-c", &format!("exit {status}"), &mark]).status()?;
    }
    Command::new("sh").args(["-c", "exit 0", &mark, "quiet"]).status()?;
    let stopped = daemon.stop()?;
    let events = stopped.events()?;
    let matched = |id: &str| -> Vec<&Value> {
        let rules = |event: &Value| event["shipper"]["rules"].as_array().cloned();
        let has = |event: &&Value| {
            rules(event).is_some_and(|rules| rules.iter().any(|rule| rule["id"] == id))
        };
        events.iter().filter(has).collect()
    };
    let failed = matched("test.failed");
    assert_eq!(failed.len(), 1);
    assert!(is_end(failed[0]) && failed[0]["process"]["exit_code"] == 3);
    assert_eq!(failed[0]["event"]["severity"], 73);
    assert_eq!(
        (&failed[0]["rule"]["id"], &failed[0]["tags"]),
        (&json!("test.failed"), &json!(["t"]))
    );
    assert_eq!(matched("test.ran").len(), 1, "the second is folded, the third suppressed");
    for (stage, count) in [("rule_folded", 1), ("rule_suppressed", 1)] {
        let is_told = |event: &&Value| {
            let loss = &event["shipper"]["loss"];
            loss["stage"] == stage && loss["rule"] == "test.ran" && loss["count"] == count
        };
        assert_eq!(events.iter().filter(is_told).count(), 1, "{stage}");
    }
    let text = std::fs::read(stopped.dir.path().join("grave.ndjson"))?;
    let grave = shipper_tests::daemon::parse_whole(&text)?;
    let (reports, others): (Vec<_>, Vec<_>) =
        grave.iter().partition(|event| event["shipper"]["loss"].is_object());
    assert!(reports.len() >= 2, "reports pass whatever the sink asks for");
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["event"]["id"], failed[0]["event"]["id"]);
    Ok(())
}
