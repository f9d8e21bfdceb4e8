//! Which attempts that fail are recorded, as the operator asks.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::tracefs::Tracefs;

/// Tries what is not there and what may not be executed, and returns whether each became an event.
/// `None`, and the test is skipped, where capture is not allowed.
fn recorded(settings: &str) -> Result<Option<(bool, bool)>> {
    let mark = |what: &str| format!("attempt-{what}-{}", std::process::id());
    let _tracefs = Tracefs::mounted()?;
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, settings, ""))? else {
        return Ok(None);
    };
    let refused = daemon.dir().join("refused");
    std::fs::write(&refused, "#!/bin/sh\n")?;
    let (absent, refused_mark, last) = (mark("absent"), mark("refused"), mark("last"));
    ensure!(Command::new("/nonexistent/program").arg(&absent).status().is_err());
    ensure!(Command::new(&refused).arg(&refused_mark).status().is_err());
    ensure!(Command::new("/bin/true").arg(&last).status()?.success());
    daemon.await_event(|event| has_arg(event, &last))?;
    let stopped = daemon.stop()?;
    ensure!(stopped.status.success(), "{}", stopped.log);
    let events = stopped.events()?;
    let failed = |mark: &str| -> Vec<&Value> {
        events.iter().filter(|event| has_arg(event, mark)).collect()
    };
    for (mark, code) in [(&absent, "ENOENT"), (&refused_mark, "EACCES")] {
        for event in failed(mark) {
            assert_eq!(event["event"]["outcome"], "failure");
            assert_eq!(event["event"]["type"], json!(["info"]), "it started nothing");
            assert_eq!(event["error"]["code"], code);
        }
    }
    let once = |mark: &str| {
        let count = failed(mark).len();
        assert!(count <= 1, "{mark} came {count} times");
        count == 1
    };
    Ok(Some((once(&absent), once(&refused_mark))))
}

#[test]
fn what_is_refused_is_recorded_and_what_is_not_there_only_where_all_is_asked_for() -> Result<()> {
    for (failures, wanted) in [
        ("", (false, true)),
        ("  failures: all\n", (true, true)),
        ("  failures: none\n", (false, false)),
    ] {
        let settings = format!("{failures}  syscall_tracepoints: true");
        let Some(found) = recorded(&settings)? else { return Ok(()) };
        assert_eq!(found, wanted, "{settings}");
    }
    Ok(())
}

/// A file system from which nothing is executed; it goes when this is dropped.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn what_a_mount_forbids_is_told_of_the_file_that_was_refused() -> Result<()> {
    let _tracefs = Tracefs::mounted()?;
    let settings = "  syscall_tracepoints: true";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, settings, ""))? else {
        return Ok(());
    };
    let mounted = Mounted(daemon.dir().join("mounted"));
    std::fs::create_dir(&mounted.0)?;
    let mount = ["-t", "tmpfs", "-o", "noexec,nosuid,mode=755", "none"];
    ensure!(Command::new("mount").args(mount).arg(&mounted.0).status()?.success());
    let program = mounted.0.join("program");
    std::fs::copy("/bin/true", &program)?;
    std::os::unix::fs::chown(&program, Some(1000), None)?;
    let mark = format!("attempt-mounted-{}", std::process::id());
    ensure!(Command::new(&program).arg(&mark).status().is_err());
    let event = daemon.await_event(|event| has_arg(event, &mark))?;
    daemon.stop()?;
    assert_eq!(event["error"]["code"], "EACCES");
    assert_eq!(event["file"]["uid"], "1000");
    assert_eq!(event["shipper"]["file_not_root_owned"], true);
    for (field, wanted) in [("noexec", true), ("nosuid", true), ("read_only", false)] {
        assert_eq!(event["shipper"]["file"][field], wanted, "{field}");
    }
    Ok(())
}

#[test]
fn without_the_tracepoints_of_system_calls_that_mode_sees_none_and_says_so() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let log = daemon.stop()?.log;
    ensure!(log.contains("executions that fail are not seen"), "{log}");
    ensure!(log.contains("set capture.syscall_tracepoints: true"), "{log}");
    Ok(())
}
