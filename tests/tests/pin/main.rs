//! Pinned capture: what is executed while nobody reads is read by the next one, once; losses are
//! counted once, whoever dies in between; an upgrade neither loses nor repeats; `unpin` leaves
//! nothing.
//!
//! A reader here is [`Capture`] itself, with what the daemon keeps in its spool kept in a vector, and
//! dropped where the daemon would be killed: nothing is done at that moment but closing files. One
//! test kills a process to show that this is so.

#![allow(clippy::panic, reason = "a failing test panics")]

mod reader;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use common::filters::Reason;
use common::wire::{RecordKind, WIRE_VERSION};
use shipper::capture::{self, Capture, Filters, Options, Reading};
use shipper_tests::daemon;

use reader::{Bpffs, Reader, Spool};

/// The variable that makes a test a process of its own, for another test to kill.
const CHILD: &str = "SHIPPER_TEST_PIN_DIR";

/// And its spool.
const CHILD_SPOOL: &str = "SHIPPER_TEST_PIN_SPOOL";

/// And how many events at most it keeps waiting in the ring.
const CHILD_KEEPS: &str = "SHIPPER_TEST_PIN_KEEPS";

#[test]
fn what_is_executed_while_nobody_reads_is_read_by_the_next_one() -> Result<()> {
    const COUNT: u32 = 777;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let mut spool = Spool::default();
    Reader::start(&pins.options(), &mut spool)?.drain(&mut spool)?;
    pins.storm("unread", 0, COUNT)?;
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    reader.drain(&mut spool)?;
    spool.assert_all("unread", 0..COUNT);
    pins.storm("unread", COUNT, 3)?;
    reader.drain(&mut spool)?;
    spool.assert_all("unread", 0..COUNT + 3);
    spool.assert_no_loss();
    Ok(())
}

#[test]
fn a_killed_process_leaves_its_programs_at_work() -> Result<()> {
    const COUNT: u32 = 100;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "--nocapture", "child_that_is_killed"])
        .env(CHILD, pins.options().pin_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let ready = lines.map_while(Result::ok).find(|line| line.contains("capturing"));
    assert!(ready.is_some(), "the child does not capture");
    pins.storm("killed", 0, COUNT)?;

    let refused = Reader::start(&pins.options(), &mut Spool::default());
    let message = refused.err().context("two readers of one ring")?.to_string();
    assert!(message.contains(&format!("process {}", child.id())), "{message}");
    let refused = capture::unpin(&pins.options().pin_dir).err().context("unpinned")?.to_string();
    assert!(refused.contains(&format!("process {}", child.id())), "{refused}");

    child.kill()?;
    child.wait()?;
    pins.storm("killed", COUNT, COUNT)?;
    let mut spool = Spool::default();
    Reader::start(&pins.options(), &mut spool)?.drain(&mut spool)?;
    spool.assert_all("killed", 0..2 * COUNT);
    Ok(())
}

/// Captures, reads nothing, and waits to be killed; ends by itself when the other test is gone.
#[test]
fn child_that_is_killed() -> Result<()> {
    let Some(pin_dir) = std::env::var_os(CHILD) else { return Ok(()) };
    let options = Options { pin_dir: pin_dir.into(), ..Bpffs::options_anywhere() };
    let _reader = Reader::start(&options, &mut Spool::default())?;
    println!("capturing");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

#[test]
fn many_kills_at_any_moment_neither_lose_nor_repeat_and_count_what_did_not_fit() -> Result<()> {
    kill_at_any_moment(0)
}

#[test]
fn many_kills_while_events_wait_neither_lose_nor_repeat_and_count_what_did_not_fit() -> Result<()> {
    kill_at_any_moment(30)
}

fn kill_at_any_moment(kept_max: usize) -> Result<()> {
    const KILLS: u32 = 40;
    const PART: u32 = 100;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let file = pins.files().join("spool");
    // Each sees the executions of all tests that run at the same time.
    let mark = format!("kills{kept_max}of{}", std::process::id());
    // A few of the parts do not fit while nobody reads.
    let options = Options { ring_buffer_bytes: 128 << 10, ..pins.options() };
    drop(Reader::start(&options, &mut Spool::default())?);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "child_that_reads_until_killed"])
            .env(CHILD, &options.pin_dir)
            .env(CHILD_SPOOL, &file)
            .env(CHILD_KEEPS, kept_max.to_string())
            .stdout(Stdio::null())
            .spawn()?;
        let length = || std::fs::metadata(&file).map_or(0, |file| file.len());
        // One in five is killed while it starts; the others somewhere in the storm.
        let mut storm = if kill % 5 == 4 {
            pins.begin_storm(&mark, kill * PART, PART)?
        } else {
            let before = length();
            while length() == before {
                assert!(child.try_wait()?.is_none(), "the child ended by itself");
                std::thread::yield_now();
            }
            let storm = pins.begin_storm(&mark, kill * PART, PART)?;
            let wanted = length() + u64::from(kill % 7) * 500;
            let deadline = Instant::now() + Duration::from_secs(60);
            while length() < wanted && Instant::now() < deadline {
                std::thread::yield_now();
            }
            storm
        };
        child.kill()?;
        child.wait()?;
        assert!(storm.wait()?.success());
    }
    let mut spool = Spool::in_file(&file)?;
    let blocks = spool.blocks();
    Reader::start(&options, &mut spool)?.settle(&mut spool, &pins)?;
    let (arrived, lost) = (spool.numbers(&mark).len(), spool.lost(RecordKind::Exec));
    println!("{blocks} blocks, {arrived} of {} arrived, {lost} execs lost", KILLS * PART);
    assert!(arrived as u64 + lost >= u64::from(KILLS * PART), "{arrived} arrived, {lost} lost");
    let canaries =
        spool.missing_execs().checked_sub(lost).context("counted as lost, and arrived")?;
    assert!(canaries <= reader::CANARIES, "{canaries} neither arrived nor are counted as lost");
    Ok(())
}

/// Reads into a spool in a file until it is killed.
#[test]
fn child_that_reads_until_killed() -> Result<()> {
    let (Some(pin_dir), Some(file)) = (std::env::var_os(CHILD), std::env::var_os(CHILD_SPOOL))
    else {
        return Ok(());
    };
    let options = Options {
        pin_dir: pin_dir.into(),
        ring_buffer_bytes: 128 << 10,
        ..Bpffs::options_anywhere()
    };
    let mut spool = Spool::in_file(file.as_ref())?;
    let kept_max = std::env::var(CHILD_KEEPS)?.parse()?;
    Reader::start(&options, &mut spool)?.read_until_killed(&mut spool, kept_max)
}

#[test]
fn what_was_stored_is_not_read_again_and_what_was_only_read_is() -> Result<()> {
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let mut spool = Spool::default();
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    pins.storm("again", 0, 10)?;
    reader.read_all(&mut spool);
    spool.store(&reader);
    // Killed between the write to the spool and the release.
    drop(reader);
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    pins.storm("again", 10, 10)?;
    reader.read_all(&mut spool);
    // Killed before the write.
    drop(reader);
    spool.crash();
    spool.assert_all("again", 0..10);
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    pins.storm("again", 20, 10)?;
    reader.drain(&mut spool)?;
    drop(reader);
    Reader::start(&pins.options(), &mut spool)?.drain(&mut spool)?;
    spool.assert_all("again", 0..30);
    spool.assert_no_loss();
    Ok(())
}

#[test]
fn what_waits_while_later_losses_are_stored_is_read_again_and_the_losses_are_not() -> Result<()> {
    const PART: u32 = 400;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let options = Options { ring_buffer_bytes: 64 << 10, ..pins.options() };
    let mut spool = Spool::default();
    let mut reader = Reader::start(&options, &mut spool)?;
    reader.drain(&mut spool)?;
    drop(reader);
    pins.storm("waits", 0, PART)?;
    let mut reader = Reader::start(&options, &mut spool)?;
    reader.read_all(&mut spool);
    reader.store(&mut spool, 0);
    // These show what did not fit, and wait.
    pins.storm("after", 0, 20)?;
    reader.read_all(&mut spool);
    reader.account(&mut spool, Reading::Empty)?;
    reader.store(&mut spool, usize::MAX);
    assert_eq!(spool.numbers("after").len(), 0);
    assert!(spool.lost(RecordKind::Exec) > 0, "a ring of 64 KiB cannot have held {PART} execs");
    drop(reader);
    Reader::start(&options, &mut spool)?.settle(&mut spool, &pins)?;
    spool.assert_all("after", 0..20);
    assert_eq!(spool.missing_execs(), spool.lost(RecordKind::Exec) + reader::CANARIES);
    Ok(())
}

#[test]
fn what_a_full_ring_lost_while_nobody_read_is_counted_once() -> Result<()> {
    const PART: u32 = 400;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let options = Options { ring_buffer_bytes: 64 << 10, ..pins.options() };
    let mut spool = Spool::default();
    let mut reader = Reader::start(&options, &mut spool)?;
    reader.drain(&mut spool)?;
    drop(reader);
    for part in 0..2 {
        pins.storm("full", part * PART, PART)?;
        let mut reader = Reader::start(&options, &mut spool)?;
        reader.drain(&mut spool)?;
        reader.account(&mut spool, Reading::Empty)?;
        pins.execute_on_each_cpu("after", part)?;
        reader.drain(&mut spool)?;
        reader.account(&mut spool, Reading::Empty)?;
        if part == 0 {
            // Killed after the loss was handed out and before it was stored: it is found again.
            drop(reader);
            spool.crash();
            reader = Reader::start(&options, &mut spool)?;
            reader.read_all(&mut spool);
            reader.account(&mut spool, Reading::Empty)?;
            reader.account(&mut spool, Reading::Empty)?;
            spool.store(&reader);
            // Killed after it was stored and before the release: it is not.
        }
    }
    Reader::start(&options, &mut spool)?.settle(&mut spool, &pins)?;
    let arrived = spool.numbers("full").len() as u64;
    let lost = spool.lost(RecordKind::Exec);
    println!("{arrived} of {} arrived, {lost} lost", 2 * PART);
    assert!(lost > 0, "a ring of 64 KiB cannot have held {PART} execs");
    assert!(arrived + lost >= u64::from(2 * PART), "{arrived} arrived, {lost} lost");
    assert_eq!(spool.missing_execs(), lost + reader::CANARIES);
    Ok(())
}

#[test]
fn an_upgrade_in_the_middle_of_a_storm_loses_nothing_and_repeats_nothing() -> Result<()> {
    const PART: u32 = 1000;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let mut spool = Spool::default();
    drop(Reader::start(&pins.options(), &mut spool)?);
    for upgrade in 0..6 {
        let options = Options { argv_bytes_max: 4096 + upgrade, ..pins.options() };
        let mut storm = pins.begin_storm("upgrade", upgrade * PART, PART)?;
        let mut reader = Reader::start(&options, &mut spool)?;
        if upgrade == 3 {
            // Killed while the old ring is read, half of it stored.
            reader.read(&mut spool, 100);
            spool.store(&reader);
            reader.read(&mut spool, 100);
            drop(reader);
            spool.crash();
            reader = Reader::start(&options, &mut spool)?;
        }
        if upgrade == 4 {
            // Killed when the old ring was read and the new one not.
            reader.read_old(&mut spool)?;
            spool.store(&reader);
            drop(reader);
            reader = Reader::start(&options, &mut spool)?;
        }
        assert!(storm.wait()?.success());
        // Some are left to the next one.
        pins.storm("rest", upgrade * 10, 5)?;
        reader.drain(&mut spool)?;
        pins.storm("rest", upgrade * 10 + 5, 5)?;
        assert_eq!(capture::pinned(&options.pin_dir).context("pinned")?.sets, 1);
    }
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    reader.drain(&mut spool)?;
    spool.assert_all("upgrade", 0..6 * PART);
    spool.assert_all("rest", 0..60);
    spool.assert_no_loss();
    Ok(())
}

#[test]
fn the_ring_of_another_version_is_read_and_removed() -> Result<()> {
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let pin_dir = pins.options().pin_dir;
    let mut spool = Spool::default();
    drop(Reader::start(&pins.options(), &mut spool)?);
    pins.storm("other", 0, 20)?;
    let [set] = &pins.sets()?[..] else { panic!("one set of pins") };
    let other = set.replace(&format!("-w{WIRE_VERSION}-"), "-w60000-");
    assert_ne!(*set, other);
    std::fs::rename(pin_dir.join(set), pin_dir.join(other))?;
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    reader.drain(&mut spool)?;
    spool.assert_all("other", 0..20);
    assert_eq!(pins.sets()?.len(), 1);
    Ok(())
}

#[test]
fn unpin_says_what_was_there_and_leaves_nothing() -> Result<()> {
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let pin_dir = pins.options().pin_dir;
    daemon::build()?;
    let unpin = || -> Result<String> {
        let output = daemon::run_to_end(
            Command::new(daemon::program()).arg("unpin").arg("--pin-dir").arg(&pin_dir),
        )?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    assert_eq!(unpin()?, "nothing is pinned\n");
    let mut spool = Spool::default();
    let mut reader = Reader::start(&pins.options(), &mut spool)?;
    let refused = daemon::run_to_end(
        Command::new(daemon::program()).arg("unpin").arg("--pin-dir").arg(&pin_dir),
    )?;
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    reader.drain(&mut spool)?;
    drop(reader);
    pins.storm("unpin", 0, 50)?;
    let programs = pins.programs()?;
    assert!(programs.iter().all(|&id| reader::is_loaded(id)));
    let said = unpin()?;
    let execs =
        said.lines().find_map(|line| line.strip_suffix(" exec records were in it, not read: gone"));
    assert!(
        execs.and_then(|count| count.parse().ok()).is_some_and(|count: u64| count >= 50),
        "{said}"
    );
    assert!(!pin_dir.exists());
    assert_eq!(unpin()?, "nothing is pinned\n");
    reader::await_unloaded(&programs);
    Ok(())
}

#[test]
fn a_start_that_fails_leaves_no_pins() -> Result<()> {
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let no_canary = Options { canary: "/nonexistent".into(), ..pins.options() };
    assert!(Reader::start(&no_canary, &mut Spool::default()).is_err());
    assert_eq!(pins.sets()?, [""; 0]);
    Reader::start(&pins.options(), &mut Spool::default())?;
    let programs: BTreeSet<u32> = pins.programs()?.into_iter().collect();
    drop(pins);
    reader::await_unloaded(&programs.into_iter().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn what_was_left_out_is_told_once_it_is_stored_and_again_where_it_was_not() -> Result<()> {
    const USER: u32 = 54_323;
    let Some(pins) = Bpffs::mount()? else { return Ok(()) };
    let filters = Filters { uids: vec![USER..=USER], ..Filters::default() };
    let options = Options { filters, ..pins.options() };
    let told = |capture: &mut Capture| -> Result<u64> {
        let left_out = capture.left_out(0, false)?;
        assert!(left_out.iter().all(|each| each.reason == Reason::User));
        Ok(left_out.iter().map(|each| each.count).sum())
    };
    let mut capture = Capture::start(&options)?;
    pins.execute_as(USER, 3)?;
    assert_eq!(told(&mut capture)?, 3);
    let stored = capture.mark(None);
    pins.execute_as(USER, 2)?;
    drop(capture);
    pins.execute_as(USER, 1)?;
    for _ in 0..2 {
        let mut next = Capture::start(&options)?;
        next.resume(&stored)?;
        assert_eq!(told(&mut next)?, 3, "told, and killed before that was stored");
    }
    let removed = capture::unpin(&options.pin_dir)?;
    assert_eq!(removed.left_out, 3);
    Ok(())
}
