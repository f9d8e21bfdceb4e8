//! Who started it: chains of ancestors of real processes, right even when the parent is gone.

#![allow(clippy::panic, reason = "a failing test panics")]

mod lineage;
mod overflow;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::tiny;

/// Words nobody else on this machine has among their arguments.
fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The only exec of a process with exactly these arguments.
fn the_event<'a>(events: &'a [Value], args: &Value) -> &'a Value {
    let found: Vec<&Value> =
        events.iter().filter(|event| event["process"]["args"] == *args).collect();
    assert_eq!(found.len(), 1, "execs with the arguments {args}");
    found[0]
}

/// The only exec whose arguments end so.
fn the_event_ending<'a>(events: &'a [Value], end: &[&str]) -> &'a Value {
    let ends_so = |event: &&Value| {
        let args = event["process"]["args"].as_array();
        args.is_some_and(|args| {
            args.len() >= end.len() && args[args.len() - end.len()..].iter().eq(end)
        })
    };
    let found: Vec<&Value> = events.iter().filter(ends_so).collect();
    assert_eq!(found.len(), 1, "execs whose arguments end with {end:?}");
    found[0]
}

fn ancestors(event: &Value) -> &Vec<Value> {
    event["shipper"]["ancestry"].as_array().expect("a list of ancestors")
}

/// Both lists of ancestors and the parent agree, and no process is its own ancestor.
fn assert_consistent(event: &Value) {
    let ids: Vec<&Value> = ancestors(event).iter().map(|ancestor| &ancestor["entity_id"]).collect();
    let short = event["process"]["Ext"]["ancestry"].as_array().expect("a list of ids");
    assert_eq!(short.iter().collect::<Vec<_>>(), ids);
    assert_eq!(event["process"]["parent"]["entity_id"], *ids[0]);
    assert!(!ids.contains(&&event["process"]["entity_id"]));
    for ancestor in ancestors(event) {
        let source = ancestor["source"].as_str();
        assert!(matches!(source, Some("kernel" | "event" | "procfs" | "unknown")), "{ancestor}");
    }
}

#[test]
fn a_parent_that_ended_before_its_child_executed_is_named_with_its_program() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let program = daemon.dir().join("orphaned");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    let mark = mark("orphan");
    let helper = env!("CARGO_BIN_EXE_exec_helper");
    let mut parent = Command::new(helper).arg("orphan").arg(&program).arg(&mark).spawn()?;
    let pid = parent.id();
    assert!(parent.wait()?.success());
    let is_child = |event: &Value| event["file"]["name"] == "orphaned" && has_arg(event, &mark);
    daemon.await_event(is_child)?;
    let events = daemon.stop()?.events()?;
    let children: Vec<&Value> = events.iter().filter(|event| is_child(event)).collect();
    assert_eq!(children.len(), 1);
    let child = children[0];
    assert_consistent(child);
    let parent = &child["process"]["parent"];
    let first = &ancestors(child)[0];
    let helper = std::fs::canonicalize(helper)?;
    assert_eq!(parent["pid"], pid);
    assert_eq!(parent["name"], "exec_helper");
    assert_eq!(parent["executable"], json!(helper));
    assert_eq!(parent["args"].as_array().map(Vec::len), Some(4));
    assert_eq!(parent["args"][1], "orphan");
    assert_eq!(parent["args"][3], mark);
    assert_eq!(first["source"], "event");
    assert_eq!(first["args"], parent["args"]);
    let own = events.iter().find(|event| event["process"]["pid"] == pid && has_arg(event, &mark));
    let own = own.context("the event of the parent")?;
    assert_eq!(parent["entity_id"], own["process"]["entity_id"]);
    assert_eq!(ancestors(child)[1..].first().map(|a| &a["pid"]), Some(&json!(std::process::id())));
    Ok(())
}

/// Three shells, each started by the one before, and a program: `; :` keeps a shell from executing
/// its last command in its own place. The name of each is its `$0`.
fn run_chain(mark: &str) -> Result<[Value; 4]> {
    let leaf = format!("/bin/true {mark}");
    let low = format!("{leaf}; :");
    let middle = format!("sh -c '{low}' low-{mark}; :");
    let top = format!("sh -c \"{middle}\" middle-{mark}; :");
    let top_name = format!("top-{mark}");
    assert!(Command::new("sh").args(["-c", &top, &top_name]).status()?.success());
    Ok([
        json!(["/bin/true", mark]),
        json!(["sh", "-c", low, format!("low-{mark}")]),
        json!(["sh", "-c", middle, format!("middle-{mark}")]),
        json!(["sh", "-c", top, top_name]),
    ])
}

#[test]
fn a_chain_of_shells_is_listed_from_the_parent_up_to_processes_older_than_the_daemon() -> Result<()>
{
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let args = run_chain(&mark("chain"))?;
    let events = daemon.stop()?.events()?;
    let leaf = the_event(&events, &args[0]);
    assert_consistent(leaf);
    let chain = ancestors(leaf);
    let shell = std::fs::canonicalize("/bin/sh")?;
    for (index, args) in args[1..].iter().enumerate() {
        let ancestor = &chain[index];
        assert_eq!(ancestor["args"], *args);
        assert_eq!(ancestor["source"], "event");
        assert_eq!(ancestor["name"], "sh");
        assert_eq!(ancestor["executable"], json!(shell));
        // It has an event of its own, in which it is the same process.
        let own = the_event(&events, args);
        assert_consistent(own);
        assert_eq!(own["process"]["entity_id"], ancestor["entity_id"]);
        assert_eq!(own["process"]["start"], ancestor["start"]);
        assert_eq!(own["process"]["parent"]["entity_id"], chain[index + 1]["entity_id"]);
    }
    // This test is older than the daemon, and so is everything above it.
    let older = &chain[3..];
    assert_eq!(older[0]["pid"], std::process::id());
    assert_eq!(older[0]["executable"], json!(std::fs::read_link("/proc/self/exe")?));
    assert_eq!(older[0]["args"], json!(std::env::args().collect::<Vec<_>>()));
    for ancestor in older {
        assert_eq!(ancestor["source"], "procfs", "{ancestor}");
    }
    let whole = leaf["shipper"]["ancestry_cut"] != true;
    assert_eq!(whole, chain.last().is_some_and(|top| top["pid"] == 1));
    Ok(())
}

#[test]
fn a_chain_longer_than_asked_for_is_cut_with_a_mark() -> Result<()> {
    let depth = "enrich:\n  ancestry_depth_max: 2\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, depth, ""))? else { return Ok(()) };
    let args = run_chain(&mark("cut"))?;
    let events = daemon.stop()?.events()?;
    let leaf = the_event(&events, &args[0]);
    assert_consistent(leaf);
    let listed: Vec<&Value> = ancestors(leaf).iter().map(|ancestor| &ancestor["args"]).collect();
    assert_eq!(listed, [&args[1], &args[2]]);
    assert_eq!(leaf["shipper"]["ancestry_cut"], true);
    Ok(())
}

#[test]
fn a_process_that_executes_twice_stays_the_same_process() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let mark = mark("twice");
    let script = format!("exec /bin/true {mark}");
    let child = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).spawn()?;
    let pid = child.id();
    assert!({ child }.wait()?.success());
    let events = daemon.stop()?.events()?;
    let first = the_event(&events, &json!(["sh", "-c", script]));
    let second = the_event(&events, &json!(["/bin/true", mark]));
    for event in [first, second] {
        assert_eq!(event["process"]["pid"], pid);
        assert_eq!(event["process"]["parent"]["pid"], std::process::id());
        assert_consistent(event);
    }
    assert_eq!(first["process"]["entity_id"], second["process"]["entity_id"]);
    assert_ne!(first["event"]["id"], second["event"]["id"]);
    Ok(())
}
