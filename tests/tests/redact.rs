//! Secrets by the real daemon in tracepoint mode: a program is executed with some in its arguments, and
//! nothing that the daemon has written has them, neither the events nor the spool.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::tiny;

/// An environment variable that is recorded. Its name is not that of a secret.
const VARIABLE: &str = "SHIPPER_TEST_HEADER";

/// Whether a file in this directory, or below it, has these bytes.
fn is_below(dir: &Path, bytes: &[u8]) -> Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            is_below(&path, bytes)?
        } else {
            std::fs::read(&path)?.windows(bytes.len()).any(|window| window == bytes)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_exec(event: &Value, mark: &str) -> bool {
    event["event"]["action"] == "exec" && has_arg(event, mark)
}

#[test]
fn secrets_of_a_process_and_its_parent_are_neither_in_events_nor_in_the_spool() -> Result<()> {
    // Without compression the spool shows what is in it.
    let Some(daemon) = Daemon::start_or_skip(|dir| {
        config(dir, &format!("  env: [{VARIABLE}]\nredact: {{ enabled: true }}"), "")
            .replace("disk_free_min: 1MiB\n", "disk_free_min: 1MiB\n  compression: none\n")
    })?
    else {
        return Ok(());
    };
    // Nobody else on this machine has these words.
    let word = |what: &str| format!("{what}{}", std::process::id());
    let (secret, mark) = (word("hunter"), word("mark"));
    let program = daemon.dir().join("program");
    tiny::write(&program, &tiny::waits_for_input(), 0o755)?;
    let url = format!("https://me:{secret}@host/");
    // Not the last command, which the shell would become.
    let script = format!("{} {mark} --password={secret} {url}; exit 0", program.display());
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .env(VARIABLE, format!("Authorization: Bearer {secret}"))
        .stdin(Stdio::piped())
        .spawn()?;
    // The parent lives until its child's event was written.
    let event =
        daemon.await_event(|event| is_exec(event, &mark) && event["process"]["name"] == "program");
    drop(shell.stdin.take());
    assert!(shell.wait()?.success());
    let event = event?;

    assert_eq!(event["process"]["args"][2], "--password=[redacted:password_option]");
    assert_eq!(event["process"]["args"][3], "https://me:[redacted:url_userinfo]@host/");
    assert_eq!(
        event["process"]["env_vars"],
        json!([format!("{VARIABLE}=Authorization: Bearer [redacted:authorization_header]")])
    );
    let kinds = json!(["authorization_header", "password_option", "url_userinfo"]);
    assert_eq!(event["shipper"]["redacted"], kinds);
    let parent = event["process"]["parent"]["args"][2].as_str().context("the script")?;
    assert!(parent.contains(&mark) && parent.contains("[redacted:url_userinfo]"), "{parent}");
    let args = [&program.display().to_string(), &mark, &format!("--password={secret}"), &url];
    let bytes: usize = args.iter().map(|arg| arg.len() + 1).sum();
    assert_eq!(event["shipper"]["args_bytes"], bytes, "as they were");

    assert!(is_below(daemon.dir(), mark.as_bytes())?, "the test looks where the events are");
    let stopped = daemon.stop()?;
    assert!(is_below(&stopped.dir.path().join("spool"), mark.as_bytes())?, "the spool can be read");
    assert!(!is_below(stopped.dir.path(), secret.as_bytes())?);
    assert!(!stopped.log.contains(&secret));
    Ok(())
}
