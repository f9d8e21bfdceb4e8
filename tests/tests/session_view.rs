//! What Elastic's Session View puts a session together from, over a real login shell: the fields it asks
//! for, and that they refer to each other (in Kibana, `kubernetes_security` and `session_view` plugins
//! search by `process.entry_leader.entity_id` and build the tree by `process.parent.entity_id`).

#![allow(clippy::panic, reason = "a failing test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config};

/// What each word of the session executes: a pipe, two commands in a subshell, a job in the background.
const WORDS: [&str; 6] = ["left", "right", "first", "second", "behind", "last"];

/// The only execution of `/bin/true` with this word of this run.
fn of<'a>(events: &[&'a Value], word: &str, run: &str) -> &'a Value {
    let args = json!(["/bin/true", format!("{word}-{run}")]);
    let found: Vec<&Value> =
        events.iter().copied().filter(|event| event["process"]["args"] == args).collect();
    assert_eq!(found.len(), 1, "{word}");
    found[0]
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().filter(|text| !text.is_empty()).context("a text")
}

#[test]
fn a_login_session_has_every_field_and_relation_that_session_view_needs() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "  exit: true\n", ""))? else {
        return Ok(());
    };
    let login = daemon.dir().join("sshd");
    std::fs::copy(env!("CARGO_BIN_EXE_exec_helper"), &login)?;
    let run = std::process::id().to_string();
    let word = |word: &str| format!("/bin/true {word}-{run}");
    // Jobs have process groups of their own, as in a shell that somebody types into.
    let script = format!(
        "set -m; {} | {}; ( {}; {}; : ); {} & wait; {}; :",
        word("left"),
        word("right"),
        word("first"),
        word("second"),
        word("behind"),
        word("last")
    );
    let status = Command::new(&login)
        .args(["terminal", "/bin/sh", "-l", "-c", &script, &run])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    assert!(status.success());
    let all = daemon.stop()?.events()?;

    let is_shell = |event: &&Value| event["process"]["args"][4] == *run;
    let shell = all.iter().find(is_shell).context("the shell")?;
    let session = text(&shell["process"]["entity_id"])?;
    let is_in_session = |event: &&Value| event["process"]["entry_leader"]["entity_id"] == session;
    let is_exec = |event: &&Value| event["event"]["action"] == "exec";
    let executed: Vec<&Value> = all.iter().filter(is_in_session).filter(is_exec).collect();
    assert!(executed.len() > WORDS.len(), "the shell and its commands");

    let mut ids = BTreeSet::new();
    for event in &executed {
        let process = &event["process"];
        assert!(ids.insert(text(&event["event"]["id"])?), "an event id is there twice");
        assert_eq!(
            (&event["event"]["kind"], &event["event"]["action"]),
            (&json!("event"), &json!("exec"))
        );
        text(&process["entity_id"])?;
        text(&process["parent"]["entity_id"])?;
        for leader in ["entry_leader", "session_leader"] {
            assert_eq!(process[leader]["start"], shell["process"]["start"], "{leader}");
            assert_eq!(process[leader]["pid"], shell["process"]["pid"], "{leader}");
            assert_eq!(process[leader]["entity_id"], session, "{leader}");
        }
        assert!(process["group_leader"]["pid"].is_u64());
        assert_eq!(process["entry_leader"]["entry_meta"]["type"], "sshd");
        assert_eq!(process["interactive"], true);
        assert!(process["tty"]["char_device"]["major"].is_u64());
        let is_leader = process["entity_id"] == session;
        assert_eq!(process["entry_leader"]["same_as_process"], is_leader);
        // Every branch of the tree leads to the leader, over forks that executed nothing as well.
        let above = process["Ext"]["ancestry"].as_array().context("ancestors")?;
        assert!(is_leader || above.contains(&json!(session)), "{}", process["args"]);
        assert_eq!(above.first(), Some(&process["parent"]["entity_id"]));
    }

    let process = |word: &str| &of(&executed, word, &run)["process"];
    let parent = |word: &str| process(word)["parent"]["entity_id"].clone();
    let group = |word: &str| process(word)["group_leader"]["pid"].clone();
    assert_eq!(parent("left"), session);
    assert_eq!(parent("right"), session);
    assert_eq!(parent("last"), session);
    assert_eq!(group("left"), process("left")["pid"], "the first of a pipe leads its group");
    assert_eq!(group("right"), group("left"), "a pipe is one job");
    assert_eq!(parent("first"), parent("second"), "one subshell");
    assert_ne!(parent("first"), session, "that is a process of its own");
    assert_eq!(group("first"), group("second"));
    assert_ne!(group("behind"), shell["process"]["group_leader"]["pid"], "a job of its own");
    assert_ne!(group("behind"), group("left"));

    // The end of each belongs to it by its entity id, and to the session as its execution does: Session
    // View shows a process by the last of its events.
    let mut ends = BTreeMap::new();
    let is_end = |event: &&Value| event["event"]["action"] == "end";
    for event in all.iter().filter(is_in_session).filter(is_end) {
        assert!(ids.insert(text(&event["event"]["id"])?), "an event id is there twice");
        ends.insert(text(&event["process"]["entity_id"])?, event);
    }
    for word in WORDS {
        let end = ends.get(text(&process(word)["entity_id"])?).context(word)?;
        assert_eq!(end["event"]["kind"], "event");
        assert_eq!(end["process"]["exit_code"], 0);
        for field in ["args", "start", "interactive", "tty"] {
            assert_eq!(end["process"][field], process(word)[field], "{word}: {field}");
        }
        // The first of a pipe may have ended before the second: then its pid is all that is known of it.
        let group_of_end = &end["process"]["group_leader"]["pid"];
        assert_eq!(*group_of_end, group(word), "{word}");
        for leader in ["session_leader", "entry_leader"] {
            for field in ["pid", "entity_id", "start", "same_as_process", "entry_meta"] {
                let (end, exec) = (&end["process"][leader], &process(word)[leader]);
                assert_eq!(end[field], exec[field], "{word}: {leader}.{field}");
            }
        }
        assert_eq!(end["process"]["user"]["id"], process(word)["user"]["id"], "{word}");
        assert_eq!(end["process"]["parent"]["entity_id"], parent(word));
    }
    // The subshell executed nothing: its end says where in the tree it was, and of which job.
    let subshell = parent("first");
    let end = &ends.get(text(&subshell)?).context("the end of the subshell")?["process"];
    assert_eq!(end["parent"]["entity_id"], session);
    assert_eq!(end["group_leader"]["pid"], end["pid"], "it led its group");
    assert_eq!(end["group_leader"]["same_as_process"], true);
    let end = ends.get(session).context("the end of the shell")?;
    assert_eq!(end["process"]["pid"], shell["process"]["pid"]);
    Ok(())
}
