//! Disks that are full, and disks that fail: what each policy says happens, and no more.

use std::process::Stdio;

use anyhow::Result;
use shipper_tests::mounted::Mounted;
use shipper_tests::site::{Plan, Site};

use super::{CANARIES, HELPER, IN_BULK, IN_HEAPS, turn};

/// A spool whose disk really is full before any limit is reached.
fn plan_on(disk: &Mounted, when_full: &str) -> Plan {
    Plan {
        spool_dir: Some(disk.path().join("spool")),
        spool: format!(
            "  bytes_max: 16MiB\n  disk_free_min: 0B\n  compression: none\n  when_full: {when_full}\n"
        ),
        local: "    rotate: { bytes: 1GiB }\n".to_owned(),
        ..Plan::default()
    }
}

#[test]
fn with_drop_newest_a_full_disk_costs_what_is_counted_until_there_is_room() -> Result<()> {
    let _turn = turn();
    let Some(disk) = Mounted::tmpfs(6 << 20)? else { return Ok(()) };
    let Some(site) = Site::new("newest", &plan_on(&disk, "drop_newest"))? else { return Ok(()) };
    let Some(mut process) = site.start_or_skip()? else { return Ok(()) };
    let stream = site.stream(HELPER, IN_BULK)?;
    site.await_event(|event| site.number(event).is_some())?;
    disk.fill("ballast", 0)?;
    process.await_log("the spool takes no more records")?;
    std::fs::remove_file(disk.path().join("ballast"))?;
    process.await_log("the spool takes records again")?;
    site.execute_on_each_cpu(HELPER)?;
    let count = stream.end()?;
    assert!(process.stop()?.status.success());
    let outcome = site.outcome()?;
    let (full, ring) = (outcome.lost("spool_full", None), outcome.lost("ring_full", None));
    println!("{} of {count} arrived; {full} dropped, {ring} lost", outcome.numbers.len());
    assert!(full > 0);
    assert_eq!(outcome.missing_of_all_programs(), full + ring + CANARIES);
    Ok(())
}

#[test]
fn with_block_a_full_disk_fills_the_ring_and_the_kernel_counts() -> Result<()> {
    /// 256 KiB hold a hundred.
    const RING_HOLDS_LESS: u64 = 300;
    let _turn = turn();
    let Some(disk) = Mounted::tmpfs(6 << 20)? else { return Ok(()) };
    let plan =
        Plan { capture: "  ring_buffer_bytes: 256KiB\n".to_owned(), ..plan_on(&disk, "block") };
    let Some(site) = Site::new("block", &plan)? else { return Ok(()) };
    let Some(mut process) = site.start_or_skip()? else { return Ok(()) };
    let mut stream = site.stream(HELPER, IN_BULK)?;
    site.await_event(|event| site.number(event).is_some())?;
    disk.fill("ballast", 0)?;
    process.await_log("the spool takes no more records")?;
    stream.await_more(RING_HOLDS_LESS)?;
    std::fs::remove_file(disk.path().join("ballast"))?;
    process.await_log("the spool takes records again")?;
    let count = stream.end()?;
    site.execute_on_each_cpu(HELPER)?;
    assert!(process.stop()?.status.success());
    let outcome = site.outcome()?;
    let ring = outcome.lost("ring_full", None);
    println!("{} of {count} arrived; {ring} lost", outcome.numbers.len());
    assert!(ring > 0);
    assert_eq!(outcome.lost("spool_full", None), 0);
    assert_eq!(outcome.missing_of_all_programs(), ring + CANARIES);
    Ok(())
}

#[test]
fn with_drop_oldest_a_dead_sink_loses_what_is_counted_for_it_and_the_other_nothing() -> Result<()> {
    /// What the sink had in hand when it was dropped is counted, and delivered all the same: a batch
    /// and the rest of a block, which is what came in 10 ms or so.
    const IN_HAND_MAX: u64 = 100;
    let _turn = turn();
    let Some(disk) = Mounted::tmpfs(6 << 20)? else { return Ok(()) };
    let plan = Plan {
        more: "  - name: dead\n    type: console\n    output: json\n    batch: { events: 5 }\n"
            .to_owned(),
        ..plan_on(&disk, "drop_oldest")
    };
    let Some(site) = Site::new("oldest", &plan)? else { return Ok(()) };
    // A pipe that nobody reads.
    let begun = Site::begin_or_skip(site.command().stdout(Stdio::piped()))?;
    let Some(mut process) = begun else { return Ok(()) };
    let stream = site.stream(HELPER, IN_HEAPS)?;
    process.await_log("lost to sink dead: the spool was full")?;
    let reader = super::read_to_end(process.stdout());
    let count = stream.end()?;
    assert!(process.stop()?.status.success());
    let shown = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let outcome = site.outcome()?;
    let lost = outcome.lost("spool_full", Some("dead"));
    println!("{count} executed; the dead sink lost {lost} events and got {}", shown.len());
    outcome.assert_none_missing(count);
    let (accounted, all) = (shown.len() as u64 + lost, outcome.events);
    assert!((all..=all + IN_HAND_MAX).contains(&accounted), "{accounted} of {all}");
    assert_eq!(outcome.lost("spool_full", None), 0);
    assert_eq!(outcome.lost("spool_full", Some("local")), 0);
    Ok(())
}

#[test]
fn a_sink_whose_disk_is_full_loses_nothing_and_holds_up_no_other() -> Result<()> {
    let _turn = turn();
    let Some(disk) = Mounted::tmpfs(1 << 20)? else { return Ok(()) };
    let there = disk.path().join("events.ndjson");
    let plan = Plan {
        local: "    rotate: { bytes: 1GiB }\n".to_owned(),
        more: format!(
            "  - name: full\n    type: file\n    path: {}\n    rotate: {{ bytes: 1GiB }}\n    \
             retry: {{ initial: 50ms, max: 200ms }}\n",
            there.display()
        ),
        ..Plan::default()
    };
    let Some(site) = Site::new("two", &plan)? else { return Ok(()) };
    let Some(mut process) = site.start_or_skip()? else { return Ok(()) };
    let mut stream = site.stream(HELPER, IN_BULK)?;
    process.await_log("no space left for")?;
    let next = stream.await_more(1)?;
    site.await_event(|event| site.number(event) >= Some(next))?;
    disk.resize(1 << 30)?;
    process.await_log("delivering again")?;
    let count = stream.end()?;
    let outcome = site.settle(process, count)?;
    let other = site.outcome_in(disk.path())?;
    assert_eq!(outcome.numbers, other.numbers);
    assert_eq!(outcome.events, other.events);
    Ok(())
}

#[test]
fn a_disk_that_fails_now_and_then_costs_nothing_and_repeats_nothing() -> Result<()> {
    const ONCE: [&str; 11] = [
        "spool.reserve:2",
        "spool.reserve.after:5",
        "spool.dirsync:5",
        "spool.dirsync.after:6",
        "spool.write:12",
        "spool.write.after:25",
        "spool.fsync:10",
        "spool.fsync.after:20",
        "spool.seal:1",
        "spool.cursor:5",
        "file.rotate:2",
    ];
    let once = |error: &str| ONCE.map(|point| format!("{point}={error}")).join(",");
    for fault in [once("eio"), once("enospc"), "spool.write=eio".to_owned()] {
        fails_with(&fault)?;
    }
    Ok(())
}

fn fails_with(fault: &str) -> Result<()> {
    let _turn = turn();
    if !cfg!(debug_assertions) {
        shipper_tests::skip("a release build has no points that can fail");
        return Ok(());
    }
    let plan = Plan {
        spool: "  bytes_max: 64MiB\n  compression: none\n  when_full: block\n".to_owned(),
        local: "    rotate: { bytes: 512KiB }\n    keep: { files: 100000, bytes: 100GiB }\n    \
                retry: { initial: 50ms, max: 200ms }\n"
            .to_owned(),
        ..Plan::default()
    };
    let Some(site) = Site::new("failing", &plan)? else { return Ok(()) };
    let begun = Site::begin_or_skip(site.command().env("SHIPPER_FAULT", fault))?;
    let Some(mut process) = begun else { return Ok(()) };
    let mut stream = site.stream(HELPER, IN_BULK)?;
    for item in fault.split(',') {
        let name = item.split([':', '=']).next().unwrap_or_default();
        process.await_log(&format!("SHIPPER_FAULT: {name} fails"))?;
    }
    stream.await_more(300)?;
    let count = stream.end()?;
    println!("{count} executed with {fault}");
    site.settle(process, count)?;
    Ok(())
}
