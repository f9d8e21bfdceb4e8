//! Daemons and sinks beside each other: two on one spool, one that is dead, one that is told to hurry.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;

use anyhow::Result;
use rustix::process::Signal;
use shipper_tests::daemon::{read_events, run_to_end};
use shipper_tests::mounted::Mounted;
use shipper_tests::site::{Plan, Site};

use super::{HELPER, IN_BULK, read_to_end, turn};

#[test]
fn a_second_daemon_on_a_spool_is_refused_with_the_pid_of_the_first() -> Result<()> {
    let _turn = turn();
    let Some(site) = Site::new("second", &Plan::default())? else { return Ok(()) };
    let Some(process) = site.start_or_skip()? else { return Ok(()) };
    let refused = run_to_end(&mut site.command())?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [format!("pid {}", process.pid()), "spool.dir".to_owned()] {
        assert!(said.contains(&part), "`{part}` is missing: {said}");
    }
    let stream = site.stream(HELPER, IN_BULK)?;
    site.await_event(|event| site.number(event).is_some())?;
    let count = stream.end()?;
    site.settle(process, count)?;
    Ok(())
}

#[test]
fn a_spool_that_cannot_be_written_says_what_to_do() -> Result<()> {
    let _turn = turn();
    let Some(disk) = Mounted::tmpfs(4 << 20)? else { return Ok(()) };
    let plan = Plan { spool_dir: Some(disk.path().join("spool")), ..Plan::default() };
    let Some(site) = Site::new("read-only", &plan)? else { return Ok(()) };
    let Some(process) = site.start_or_skip()? else { return Ok(()) };
    assert!(process.stop()?.status.success());
    disk.make_read_only()?;
    let refused = run_to_end(&mut site.command())?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let place = disk.path().join("spool").display().to_string();
    for part in [&place, "mount the file system writable, or name another spool.dir"] {
        assert!(said.contains(part), "`{part}` is missing: {said}");
    }
    Ok(())
}

#[test]
fn a_dead_sink_holds_up_no_other_and_a_second_signal_leaves_its_events_to_the_next_start()
-> Result<()> {
    let _turn = turn();
    let plan = Plan {
        more: "  - name: dead\n    type: console\n    output: json\n".to_owned(),
        ..Plan::default()
    };
    let Some(site) = Site::new("hurry", &plan)? else { return Ok(()) };
    // A pipe that nobody reads.
    let begun = Site::begin_or_skip(site.command().stdout(Stdio::piped()))?;
    let Some(mut process) = begun else { return Ok(()) };
    let mut stream = site.stream(HELPER, IN_BULK)?;
    process.await_log("standard output is not being read")?;
    let next = stream.await_more(1)?;
    site.await_event(|event| site.number(event) >= Some(next))?;
    let count = stream.end()?;
    site.await_event(|event| site.number(event) == count.checked_sub(1))?;
    process.signal(Signal::TERM)?;
    process.await_log("stopping")?;
    process.signal(Signal::TERM)?;
    let ended = process.wait()?;
    assert!(ended.status.success(), "it ended with {}:\n{}", ended.status, ended.log);
    assert!(ended.log.contains("second signal"), "{}", ended.log);
    let mut shown = read_to_end(process.stdout()).join().expect("no panic")?;

    let path = site.dir().join("shown");
    let process = Site::begin(site.command().stdout(File::create(&path)?))?;
    let outcome = site.settle(process, count)?;
    shown.extend(read_events(&path)?);
    let numbers: BTreeSet<u64> = shown.iter().filter_map(|event| site.number(event)).collect();
    assert_eq!(numbers, outcome.numbers);
    Ok(())
}
