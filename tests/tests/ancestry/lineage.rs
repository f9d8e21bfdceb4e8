//! Lineages that are hard to tell: nobody above is left, a pid is used twice, there are threads or
//! another pid namespace in between, the daemon comes late.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::tiny;

use super::{ancestors, assert_consistent, mark, run_chain, the_event, the_event_ending};

pub const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// A program that ends at once, with the daemon's files.
pub fn leaf(daemon: &Daemon) -> Result<PathBuf> {
    let program = daemon.dir().join("leaf");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    Ok(program)
}

/// What a command printed as `NAME=`, in order.
fn printed(output: &std::process::Output, name: &str) -> Result<Vec<u32>> {
    let text = String::from_utf8_lossy(&output.stdout);
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(|value| value.parse().context("a number")).collect()
}

fn pids(event: &Value) -> Vec<&Value> {
    ancestors(event).iter().map(|ancestor| &ancestor["pid"]).collect()
}

#[test]
fn forks_without_an_exec_are_listed_each_although_all_of_them_have_ended() -> Result<()> {
    const DEPTH: usize = 5;
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (program, mark) = (leaf(&daemon)?, mark("forks"));
    // What is alive while the daemon begins to look around is known by /proc.
    assert!(Command::new(&program).arg(format!("first-{mark}")).status()?.success());
    daemon.await_event(|event| has_arg(event, &mark))?;
    // The last one prints after this one has ended: the file is read when the event is there.
    let said = daemon.dir().join("said");
    let helper = Command::new(HELPER)
        .args(["forks", &DEPTH.to_string()])
        .arg(&program)
        .arg(&mark)
        .stdout(std::fs::File::create(&said)?)
        .status()?;
    assert!(helper.success());
    daemon.await_event(|event| event["process"]["args"] == json!([program, mark]))?;
    let events = daemon.stop()?;
    let text = std::fs::read_to_string(events.dir.path().join("said"))?;
    let mut forked: Vec<Value> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("FORKED=")) {
        forked.insert(0, json!(line.parse::<u32>()?));
    }
    assert_eq!(forked.len(), DEPTH + 1);
    let events = events.events()?;
    let leaf = the_event(&events, &json!([program, mark]));
    assert_consistent(leaf);
    assert_eq!(leaf["process"]["pid"], forked[0]);
    let chain = ancestors(leaf);
    for (ancestor, pid) in chain.iter().zip(&forked[1..]) {
        assert_eq!(ancestor["pid"], *pid);
        assert_eq!(ancestor["name"], "exec_helper");
        assert_eq!(ancestor["args"][1], "forks");
        assert_eq!(ancestor["source"], "event");
    }
    assert_eq!(chain[DEPTH]["pid"], std::process::id());
    let ids: BTreeSet<&str> = chain.iter().filter_map(|one| one["entity_id"].as_str()).collect();
    assert_eq!(ids.len(), chain.len(), "each is another process");
    Ok(())
}

#[test]
fn a_chain_that_had_ended_when_the_daemon_read_of_it_is_named_whole() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    daemon.signal(Signal::STOP)?;
    let args = run_chain(&mark("before"))?;
    daemon.signal(Signal::CONT)?;
    let events = daemon.stop()?.events()?;
    let leaf = the_event(&events, &args[0]);
    assert_consistent(leaf);
    for (ancestor, args) in ancestors(leaf).iter().zip(&args[1..]) {
        assert_eq!(ancestor["args"], *args);
        assert_eq!(ancestor["source"], "event");
        assert_eq!(ancestor["entity_id"], the_event(&events, args)["process"]["entity_id"]);
    }
    assert_eq!(ancestors(leaf)[3]["pid"], std::process::id());
    Ok(())
}

/// `clone3` gives the second process the very pid that the first one had.
#[test]
fn a_pid_that_is_used_again_is_another_process_also_for_a_child_of_the_first() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (program, mark) = (leaf(&daemon)?, mark("reuse"));
    let output = Command::new(HELPER).arg("reuse").arg(&program).arg(&mark).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (pid, middle) = (printed(&output, "REUSED")?[0], printed(&output, "MIDDLE")?[0]);
    let events = daemon.stop()?.events()?;
    // Tries in which somebody else took the pid left events as well: the last of each counts.
    let last = |args: [&str; 2]| -> Result<&Value> {
        let is_it = |event: &&Value| {
            event["process"]["args"]
                .as_array()
                .is_some_and(|all| all.ends_with(&args.map(Value::from)))
        };
        events.iter().rev().find(is_it).with_context(|| format!("an event of {args:?}"))
    };
    let of = |name: &str| -> Result<(&Value, [&Value; 2])> {
        let children = [format!("early-{name}"), format!("late-{name}")];
        let [early, late] = children.each_ref().map(|child| last([&mark, child]));
        Ok((last([&mark, name])?, [early?, late?]))
    };
    let mut ids = Vec::new();
    let mut makers = Vec::new();
    for name in ["first", "second"] {
        let (own, children) = of(name)?;
        assert_consistent(own);
        assert_eq!(own["process"]["pid"], pid);
        for child in children {
            assert_consistent(child);
            let parent = &child["process"]["parent"];
            assert_eq!(parent["pid"], pid);
            assert_eq!(parent["entity_id"], own["process"]["entity_id"], "{name}");
            assert_eq!(parent["args"], own["process"]["args"], "{name}");
            assert_eq!(ancestors(child)[0]["source"], "event");
            assert_eq!(pids(child)[1..], pids(own)[..], "{name}");
        }
        ids.push(&own["process"]["entity_id"]);
        makers.push(pids(own)[0]);
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(*makers[1], middle);
    assert_ne!(makers[0], makers[1]);
    Ok(())
}

#[test]
fn what_threads_make_and_execute_descends_from_their_process() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (program, mark) = (leaf(&daemon)?, mark("threads"));
    // Two threads that are not the first make a child each.
    let mut makes = Command::new(HELPER)
        .args(["storm".as_ref(), program.as_os_str(), mark.as_ref(), "0".as_ref(), "2".as_ref()])
        .spawn()?;
    let maker = makes.id();
    assert!(makes.wait()?.success());
    // And one executes a shell, in the place of all threads.
    let script = format!("{} {mark} below; :", program.display());
    let output = Command::new(HELPER).args(["thread", "/bin/sh", "-c", &script]).output()?;
    assert!(output.status.success());
    let (pid, tid) = (printed(&output, "PID")?[0], printed(&output, "TID")?[0]);
    let events = daemon.stop()?.events()?;
    for number in ["0", "1"] {
        let child = the_event_ending(&events, &[&mark, number]);
        assert_consistent(child);
        assert_eq!(child["process"]["parent"]["pid"], maker);
        assert_eq!(*pids(child)[1], std::process::id());
    }
    let below = the_event_ending(&events, &[&mark, "below"]);
    assert_consistent(below);
    let parent = &below["process"]["parent"];
    assert_eq!(parent["pid"], pid);
    assert_eq!(parent["args"], json!(["/bin/sh", "-c", script]));
    assert_eq!(*pids(below)[1], std::process::id());
    let shell = the_event(&events, &json!(["/bin/sh", "-c", script]));
    assert_eq!(shell["process"]["thread"]["id"], tid);
    assert_eq!(shell["process"]["entity_id"], parent["entity_id"]);
    Ok(())
}

/// As in a container: the first process of a pid namespace adopts what is left behind in it.
#[test]
fn in_another_pid_namespace_the_maker_is_named_and_the_chain_goes_on_outside() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (program, mark) = (leaf(&daemon)?, mark("inside"));
    let outside = Command::new(HELPER)
        .args(["unshare", "pid", HELPER, "subreaper"])
        .arg(&program)
        .arg(&mark)
        .stdout(Stdio::piped())
        .spawn()?;
    let outer = outside.id();
    let output = outside.wait_with_output()?;
    assert!(output.status.success());
    let events = daemon.stop()?.events()?;
    let leaf = the_event(&events, &json!([program, mark]));
    assert_consistent(leaf);
    // Its maker had ended; then the first process in there, which adopted it; then the one outside.
    let init = the_event(&events, &json!([HELPER, "subreaper", program, mark]));
    let chain = ancestors(leaf);
    let adopter = &init["process"];
    assert_eq!((printed(&output, "REAPER")?, printed(&output, "MIDDLE")?), (vec![1], vec![2]));
    assert_eq!(chain[1]["entity_id"], adopter["entity_id"]);
    assert_eq!(chain[1]["pid"], adopter["pid"]);
    assert_eq!(chain[2]["pid"], outer);
    assert_eq!(chain[3]["pid"], std::process::id());
    for ancestor in &chain[..2] {
        assert_eq!(ancestor["args"], adopter["args"]);
        assert_eq!(ancestor["source"], "event");
    }
    assert!(![&adopter["pid"], &json!(outer)].contains(&&chain[0]["pid"]));
    Ok(())
}

/// Who made it nobody can say any more: by /proc its parent is whoever adopted it.
#[test]
fn an_orphan_older_than_the_daemon_has_the_parent_that_adopted_it() -> Result<()> {
    let (dir, mark) = (shipper_tests::daemon::directory()?, mark("older"));
    let program = dir.path().join("leaf");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    let script = "exec 3<&0; \"$0\" once-told \"$@\" <&3 & echo \"ORPHAN=$!\"";
    let (told, mut tell) = std::io::pipe()?;
    let mut shell = Command::new("/bin/sh")
        .args(["-c", script, HELPER])
        .arg(&program)
        .arg(&mark)
        .stdin(told)
        .stdout(Stdio::piped())
        .spawn()?;
    // Both have said what they say, in whatever order.
    let output = BufReader::new(shell.stdout.take().context("its output")?).lines().take(2);
    let said = output.collect::<std::io::Result<Vec<String>>>()?;
    let orphan = said.iter().find_map(|line| line.strip_prefix("ORPHAN=")).context("its pid")?;
    let orphan: u32 = orphan.parse()?;
    assert!(said.iter().any(|line| line == "READY"), "{said:?}");
    assert!(shell.wait()?.success());
    let stat = std::fs::read_to_string(format!("/proc/{orphan}/stat"))?;
    let after_name = stat.rsplit_once(") ").context("a name")?.1;
    let adopter: u32 = after_name.split(' ').nth(1).context("a parent")?.parse()?;
    let daemon = Daemon::start_or_skip(|dir| config(dir, "", ""))?;
    let Some(daemon) = daemon else { return Ok(()) };
    tell.write_all(b"\n")?;
    daemon.await_event(|event| event["process"]["args"] == json!([program, mark]))?;
    drop(tell);
    let events = daemon.stop()?.events()?;
    let leaf = the_event(&events, &json!([program, mark]));
    assert_consistent(leaf);
    let chain = ancestors(leaf);
    assert_eq!((&chain[0]["pid"], &chain[1]["pid"]), (&json!(orphan), &json!(adopter)));
    assert_eq!(chain[0]["args"], json!([HELPER, "once-told", program, mark]));
    for ancestor in &chain[..2] {
        assert_eq!(ancestor["source"], "procfs");
    }
    Ok(())
}
