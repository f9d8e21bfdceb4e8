//! What the ring lost in between: forks and executions of which no record came. Afterwards no ancestor is
//! shown with a program that it does not run any more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};

use super::lineage::{HELPER, leaf};
use super::{ancestors, assert_consistent, mark, the_event_ending};

/// Executions that fill a ring of 64 KiB several times.
const STORM: &str = "1500";

/// A process that waits for a line before it goes on.
struct Told {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Told {
    fn start(command: &mut Command) -> Result<Told> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Told { child, input, output })
    }

    /// A shell that executes the helper in its own place when it is told to go on.
    fn shell(how: &str, program: &Path, mark: &str, name: &str) -> Result<Told> {
        let script = "echo READY; read line; exec \"$0\" \"$@\"";
        let mut told = Told::start(
            Command::new("/bin/sh")
                .args(["-c", script, HELPER, how])
                .arg(program)
                .args([mark, name]),
        )?;
        told.await_ready()?;
        Ok(told)
    }

    fn await_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line == "READY\n", "it said {line:?}");
        Ok(())
    }

    fn go_on(&mut self) -> Result<()> {
        Ok(self.input.write_all(b"\n")?)
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        ensure!(self.child.wait()?.success(), "it failed");
        Ok(())
    }
}

/// Executes the program on and on until one of these executions arrives: the daemon has read all that was
/// in the ring before.
fn catch_up(daemon: &Daemon, program: &Path, mark: &str) -> Result<()> {
    shipper_tests::process::until("an execution after the overflow", || {
        ensure!(Command::new(program).args([mark, "probe"]).status()?.success(), "it failed");
        let events = shipper_tests::daemon::read_events(&daemon.events_path())?;
        Ok(events.iter().any(|event| has_arg(event, mark) && has_arg(event, "probe")))
    })
}

#[test]
fn after_an_overflow_every_ancestor_has_the_program_it_runs_or_none() -> Result<()> {
    let ring = "  ring_buffer_bytes: 64KiB\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, ring, ""))? else { return Ok(()) };
    let (program, mark) = (leaf(&daemon)?, mark("overflow"));
    // Known as shells; they will execute something else of which no record comes.
    let mut shell = Told::shell("once-told", &program, &mark, "of-shell")?;
    let mut leaving = Told::shell("once-told-orphan", &program, &mark, "of-gone")?;
    daemon.await_event(|event| has_arg(event, &mark) && has_arg(event, "of-gone"))?;
    daemon.signal(Signal::STOP)?;
    let storm =
        Command::new(HELPER).arg("storm").arg(&program).args([&mark, "0", STORM]).status()?;
    assert!(storm.success());
    for told in [&mut shell, &mut leaving] {
        told.go_on()?;
        told.await_ready()?;
    }
    // And one that is made meanwhile.
    let mut made =
        Told::start(Command::new(HELPER).arg("once-told").arg(&program).args([&*mark, "of-made"]))?;
    made.await_ready()?;
    daemon.signal(Signal::CONT)?;
    catch_up(&daemon, &program, &mark)?;
    let (shell_pid, made_pid) = (shell.child.id(), made.child.id());
    let mut all = [shell, leaving, made];
    all.iter_mut().try_for_each(Told::go_on)?;
    let is_leaf =
        |event: &Value, name: &str| event["file"]["name"] == "leaf" && has_arg(event, name);
    for name in ["of-shell", "of-made", "of-gone"] {
        daemon.await_event(|event| is_leaf(event, name))?;
    }
    all.into_iter().try_for_each(Told::end)?;
    let events = daemon.stop()?.events()?;

    let lost = events.iter().any(|event| event["shipper"]["loss"]["stage"] == "ring_full");
    assert!(lost, "a ring of 64 KiB cannot have held {STORM} execs");
    for (name, pid) in [("of-shell", shell_pid), ("of-made", made_pid)] {
        let leaf = the_leaf(&events, &mark, name);
        assert_consistent(leaf);
        let parent = &leaf["process"]["parent"];
        assert_eq!(parent["pid"], pid, "{name}");
        assert_eq!(parent["name"], "exec_helper", "{name}");
        assert_eq!(parent["args"][1], "once-told", "{name}");
        assert_eq!(ancestors(leaf)[0]["source"], "procfs", "{name}: no record of it came");
        assert_eq!(ancestors(leaf)[1]["pid"], std::process::id(), "{name}");
    }
    // It has ended when its child executes, and what it ran last may be known or not.
    let orphan = the_leaf(&events, &mark, "of-gone");
    assert_consistent(orphan);
    let parent = &orphan["process"]["parent"];
    let (name, executable) = (&parent["name"], &parent["executable"]);
    let helper = json!(std::fs::canonicalize(HELPER)?);
    assert!(name.is_null() || *name == "" || *name == "exec_helper", "{parent}");
    assert!(executable.is_null() || *executable == helper, "{parent}");
    // The shell's own event, from before, is of the same process.
    let before =
        the_event_ending(&events, &["once-told", &program.to_string_lossy(), &mark, "of-shell"]);
    let after = &the_leaf(&events, &mark, "of-shell")["process"]["parent"]["entity_id"];
    assert_eq!(before["process"]["entity_id"], *after);
    Ok(())
}

fn the_leaf<'a>(events: &'a [Value], mark: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> = events
        .iter()
        .filter(|event| {
            event["process"]["args"].as_array().is_some_and(|args| args[1..] == [mark, name])
        })
        .collect();
    assert_eq!(found.len(), 1, "execs with {name}");
    found[0]
}
