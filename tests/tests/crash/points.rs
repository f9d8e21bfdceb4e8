//! The named points of `shipper::fault`: SIGKILL at each of them, by the daemon itself.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use shipper::fault::POINTS;
use shipper::spool::{self, disk::RealDisk};
use shipper_tests::outcome::Outcome;
use shipper_tests::process::Process;
use shipper_tests::site::{Plan, Site, Stream};
use shipper_tests::{skip, tiny};

use super::{HELPER, IN_BULK, turn};

/// At which passing a daemon is killed: at the first, and later, when there is something to lose.
/// Those that come once a segment are not waited for long.
const PASSINGS: [(&str, &[u32]); 19] = [
    ("hash.read", &[1, 1, 2]),
    ("spool.reserve", &[1, 2]),
    ("spool.reserve.after", &[1, 2]),
    ("spool.dirsync", &[1, 2]),
    ("spool.dirsync.after", &[1, 2]),
    ("spool.write", &[1, 30]),
    ("spool.write.after", &[1, 30]),
    ("spool.fsync", &[1, 30]),
    ("spool.fsync.after", &[1, 30]),
    ("spool.seal", &[1, 3]),
    ("spool.seal.after", &[1, 3]),
    ("spool.cursor", &[1, 2, 10]),
    ("spool.cursor.after", &[1, 2, 10]),
    ("spool.delete", &[1, 2]),
    ("spool.delete.after", &[1, 2]),
    ("spool.quarantine", &[1]),
    ("spool.quarantine.after", &[1]),
    ("file.rotate", &[1, 5]),
    ("file.rotate.after", &[1, 5]),
];

/// Everything comes soon: segments of 1 MiB, which is the least, and files that hold few events. A slow
/// machine has room for all that it is behind.
fn plan() -> Plan {
    Plan {
        pin: true,
        spool: "  bytes_max: 64MiB\n  compression: none\n".to_owned(),
        local: "    rotate: { bytes: 512KiB }\n    keep: { files: 100000, bytes: 100GiB }\n"
            .to_owned(),
        more: "enrich: { hash: sha256 }\n".to_owned(),
        ..Plan::default()
    }
}

/// Whether the daemon has points at all.
fn has_points() -> bool {
    if !cfg!(debug_assertions) {
        skip("a release build has no points at which it can be killed");
    }
    cfg!(debug_assertions)
}

/// Starts a daemon that is to die at a point, and waits until it has.
fn die_at(site: &Site, fault: &str) -> Result<()> {
    let mut process = Process::spawn(site.command().env("SHIPPER_FAULT", format!("{fault}=kill")))?;
    let ended = process.wait().with_context(|| format!("{fault} was never passed"))?;
    assert!(ended.was_killed(), "{fault}: it ended with {}:\n{}", ended.status, ended.log);
    Ok(())
}

/// Starts a daemon that nothing ends, ends the stream, and accounts for it.
fn settle(site: &Site, stream: Stream, points: &str) -> Result<Outcome> {
    let process = site.start()?;
    let count = stream.end()?;
    println!("{points}: {count} executed");
    site.settle(process, count).with_context(|| points.to_owned())
}

#[test]
fn every_point_has_its_passings_here() {
    let known: BTreeSet<&str> = POINTS.into_iter().collect();
    let tested: BTreeSet<&str> = PASSINGS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, tested);
}

/// Points of this prefix, one daemon after the other in one place.
fn kill_at_each(prefix: &str) -> Result<()> {
    let _turn = turn();
    if !has_points() {
        return Ok(());
    }
    let Some(site) = Site::new("point", &plan())? else { return Ok(()) };
    let Some(first) = site.start_or_skip()? else { return Ok(()) };
    let stream = site.stream(HELPER, IN_BULK)?;
    first.kill()?;
    // A file is read once, and the stream has but one: the next daemon finds another in the ring.
    let other = site.dir().join("other");
    tiny::write(&other, &tiny::ends_at_once(), 0o755)?;
    for (name, passings) in PASSINGS.iter().filter(|(name, _)| name.starts_with(prefix)) {
        for passing in *passings {
            tiny::spawn(&mut Command::new(&other))?.wait()?;
            die_at(&site, &format!("{name}:{passing}"))?;
        }
    }
    settle(&site, stream, prefix)?;
    Ok(())
}

#[test]
fn killed_where_a_file_is_read_for_which_events_wait_it_loses_nothing_and_repeats_nothing()
-> Result<()> {
    kill_at_each("hash.")
}

#[test]
fn killed_where_a_segment_is_made_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    kill_at_each("spool.reserve")?;
    kill_at_each("spool.dirsync")
}

#[test]
fn killed_where_events_are_written_and_synced_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    kill_at_each("spool.write")?;
    kill_at_each("spool.fsync")
}

#[test]
fn killed_where_a_segment_ends_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    kill_at_each("spool.seal")?;
    kill_at_each("spool.delete")
}

#[test]
fn killed_where_a_cursor_is_saved_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    kill_at_each("spool.cursor")
}

#[test]
fn killed_where_a_file_is_rotated_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    kill_at_each("file.")
}

/// No sink of this machine refuses an event; but one that cannot be decoded is put aside.
#[test]
fn killed_where_an_event_is_put_aside_it_goes_on_after_it_and_has_it_aside() -> Result<()> {
    let _turn = turn();
    if !has_points() {
        return Ok(());
    }
    for (name, passings) in PASSINGS.iter().filter(|(name, _)| name.contains("quarantine")) {
        let Some(site) = Site::new("aside", &plan())? else { return Ok(()) };
        let Some(first) = site.start_or_skip()? else { return Ok(()) };
        let stream = site.stream(HELPER, IN_BULK)?;
        first.kill()?;
        write_what_is_no_event(&site)?;
        for passing in *passings {
            die_at(&site, &format!("{name}:{passing}"))?;
        }
        let outcome = settle(&site, stream, name)?;
        assert_eq!(outcome.lost("quarantined", Some("local")), 1, "{name}");
        let aside = site.dir().join("spool/quarantine/local");
        assert!(std::fs::read_dir(aside)?.next().is_some(), "{name}");
    }
    Ok(())
}

/// As a later version might: a record that this one does not know.
fn write_what_is_no_event(site: &Site) -> Result<()> {
    let options = spool::Options {
        dir: site.dir().join("spool"),
        bytes_max: 64 << 20,
        disk_free_min: spool::FreeMin::Bytes(1 << 20),
        when_full: spool::WhenFull::Block,
        fsync: spool::Fsync::Always,
        compression: spool::Compression::None,
        segment_bytes: spool::Options::segment_bytes_for(64 << 20),
    };
    let (mut writer, spool) = spool::open(options, Arc::new(RealDisk), &["local".to_owned()])?;
    let now = spool::Now { monotonic: std::time::Duration::ZERO, wall_ns: 1 };
    let mark = writer.last_mark().unwrap_or_default().to_vec();
    writer.append(b"\xff\xff\xff no event");
    assert!(matches!(writer.write(&mark, now), spool::Wrote::Done));
    writer.close(now)?;
    drop(spool);
    Ok(())
}
