//! By which way it came: the entry leader and the leaders of group and session of real processes.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, directory, has_arg};

/// Words nobody else on this machine has among their arguments.
fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The only exec of `/bin/true` with this word.
fn the_event<'a>(events: &'a [Value], word: &str) -> &'a Value {
    let args = json!(["/bin/true", word]);
    let found: Vec<&Value> =
        events.iter().filter(|event| event["process"]["args"] == args).collect();
    assert_eq!(found.len(), 1, "execs of /bin/true {word}");
    found[0]
}

/// The only exec of a shell whose `$0` is this word.
fn the_shell<'a>(events: &'a [Value], word: &str) -> &'a Value {
    let is_shell = |event: &&Value| event["process"]["args"][3] == *word;
    let found: Vec<&Value> = events.iter().filter(is_shell).collect();
    assert_eq!(found.len(), 1, "shells called {word}");
    found[0]
}

/// A program of this name that gives what it executes a session and a terminal of its own.
fn login_program(dir: &Path, name: &str) -> Result<PathBuf> {
    let program = dir.join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_exec_helper"), &program)?;
    Ok(program)
}

/// What a plain child of this test is told to have come by.
fn entry_of_this_test(events: &[Value], word: &str) -> Value {
    let entry = the_event(events, word)["process"]["entry_leader"].clone();
    assert!(entry["entity_id"].is_string(), "this test itself came from somewhere: {entry}");
    entry
}

#[test]
fn a_login_is_the_entry_of_all_it_executes_also_of_what_outlives_its_parent() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let helper = env!("CARGO_BIN_EXE_exec_helper");
    for (name, kind) in [("sshd", "sshd"), ("sshd-session", "sshd"), ("ssm-session-worker", "ssm")]
    {
        let program = login_program(daemon.dir(), name)?;
        let (inside, orphan, shell) =
            (mark(&format!("in-{name}")), mark(&format!("orphan-{name}")), mark(name));
        let script = format!("/bin/true {inside}; setsid {helper} orphan /bin/true {orphan}; :");
        let status = Command::new(&program)
            .args(["terminal", "/bin/sh", "-c", &script, &shell])
            .stdout(Stdio::null())
            .status()?;
        assert!(status.success());
        daemon.await_event(|event| event["process"]["args"] == json!(["/bin/true", orphan]))?;
        let events = whole_file(&daemon)?;
        let shell = &the_shell(&events, &shell)["process"];
        assert_eq!(shell["entry_leader"]["same_as_process"], true);
        assert_eq!(shell["session_leader"]["same_as_process"], true);
        assert_eq!(shell["parent"]["name"], name);
        for word in [&inside, &orphan] {
            let process = &the_event(&events, word)["process"];
            let entry = &process["entry_leader"];
            assert_eq!(entry["entry_meta"]["type"], kind, "{word}");
            for field in ["pid", "entity_id", "start", "name", "executable", "args", "args_count"] {
                assert_eq!(entry[field], shell[field], "{word}: {field}");
            }
            assert_eq!(entry["user"]["id"], "0");
            assert_eq!(entry["interactive"], true);
            assert_eq!(entry["same_as_process"], false);
        }
        let inside = &the_event(&events, &inside)["process"];
        assert_eq!(inside["session_leader"]["entity_id"], shell["entity_id"]);
        assert_eq!(inside["session_leader"]["args"], shell["args"]);
        assert_eq!(inside["interactive"], true);
        // It began a session of its own, and gave up the terminal: the entry is the same.
        let orphan = &the_event(&events, &orphan)["process"];
        assert_ne!(orphan["session_leader"]["pid"], shell["pid"]);
        assert_eq!(orphan["interactive"], false);
    }
    daemon.stop()?;
    Ok(())
}

/// The events there are by now.
fn whole_file(daemon: &Daemon) -> Result<Vec<Value>> {
    shipper_tests::daemon::read_events(&daemon.events_path())
}

#[test]
fn sessions_and_terminals_that_nobody_logged_in_by_belong_to_the_entry_around_them() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (plain, session, window) = (mark("plain"), mark("session"), mark("window"));
    assert!(Command::new("/bin/true").arg(&plain).status()?.success());
    let script = format!("/bin/true {session}; :");
    let status = Command::new("setsid").args(["-w", "sh", "-c", &script, &session]).status()?;
    assert!(status.success());
    let terminal = login_program(daemon.dir(), "terminal-emulator")?;
    let status = Command::new(terminal)
        .args(["terminal", "/bin/true", &window])
        .stdout(Stdio::null())
        .status()?;
    assert!(status.success());
    let events = daemon.stop()?.events()?;
    let around = entry_of_this_test(&events, &plain);
    for word in [&session, &window] {
        let entry = &the_event(&events, word)["process"]["entry_leader"];
        assert_eq!(entry["entity_id"], around["entity_id"], "{word}");
        assert_eq!(entry["entry_meta"], around["entry_meta"], "{word}");
    }
    let process = &the_event(&events, &session)["process"];
    let shell = &the_shell(&events, &session)["process"];
    assert_eq!(process["session_leader"]["entity_id"], shell["entity_id"]);
    assert_eq!(process["session_leader"]["same_as_process"], false);
    assert_eq!(process["group_leader"]["entity_id"], shell["entity_id"]);
    assert_eq!(process["group_leader"]["executable"], shell["executable"]);
    let process = &the_event(&events, &window)["process"];
    assert_eq!(process["session_leader"]["same_as_process"], true);
    assert_eq!(process["interactive"], true);
    Ok(())
}

#[test]
fn a_login_older_than_the_daemon_is_the_entry_all_the_same() -> Result<()> {
    let dir = directory()?;
    let program = login_program(dir.path(), "sshd")?;
    let go = dir.path().join("go");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, mode, 0)?;
    let word = mark("older");
    let script = format!("read go < {}; /bin/true {word}; :", go.display());
    let mut login = Command::new(&program)
        .args(["terminal", "/bin/sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut shell = String::new();
    // Kept: the helper has more to say.
    let mut said = BufReader::new(login.stdout.take().context("a pipe")?);
    said.read_line(&mut shell)?;
    let shell: u32 = shell.trim().strip_prefix("PID=").context("a pid")?.parse()?;
    let daemon = Daemon::start_or_skip(|dir| config(dir, "", ""));
    // An event comes when all older processes are known.
    let is_ready = match &daemon {
        Ok(Some(daemon)) => {
            let ready = mark("ready");
            assert!(Command::new("/bin/true").arg(&ready).status()?.success());
            daemon.await_event(|event| has_arg(event, &ready)).map(|_| ())
        }
        _ => Ok(()),
    };
    // Whatever becomes of the daemon, the login comes to its end.
    std::fs::write(&go, "go\n")?;
    assert!(login.wait()?.success());
    is_ready?;
    let Some(daemon) = daemon? else { return Ok(()) };
    daemon.await_event(|event| has_arg(event, &word))?;
    let events = daemon.stop()?.events()?;
    let process = &the_event(&events, &word)["process"];
    let entry = &process["entry_leader"];
    assert_eq!((&entry["pid"], &entry["entry_meta"]["type"]), (&json!(shell), &json!("sshd")));
    assert_eq!(entry["args"], json!(["/bin/sh", "-c", script]));
    assert_eq!(entry["executable"], json!(std::fs::canonicalize("/bin/sh")?));
    assert_eq!((&entry["user"]["id"], &entry["interactive"]), (&json!("0"), &json!(true)));
    assert_eq!(entry["start"], process["session_leader"]["start"]);
    assert_eq!(process["session_leader"]["entity_id"], entry["entity_id"]);
    Ok(())
}
