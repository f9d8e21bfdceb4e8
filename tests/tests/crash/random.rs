//! SIGKILL at any moment, from outside.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use shipper_tests::daemon::BEGUN;
use shipper_tests::process::Process;
use shipper_tests::site::{Plan, Site};

use super::{HELPER, IN_BURSTS, is_torture, turn};

/// Moments at which a daemon is killed; each is drawn from a span that is longer than what it does
/// there.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While it starts.
    Starting,
    /// While it reads, writes and delivers, or waits for something to read.
    Working,
    /// After SIGTERM.
    Stopping,
}

const MOMENTS: [(Moment, Duration); 3] = [
    (Moment::Starting, Duration::from_millis(500)),
    (Moment::Working, Duration::from_millis(250)),
    (Moment::Stopping, Duration::from_millis(60)),
];

/// A sequence that a number decides: SplitMix64.
struct Random(u64);

impl Random {
    /// From `SHIPPER_SEED`, or the clock; prints it.
    fn seeded() -> Result<Random> {
        let seed = match std::env::var("SHIPPER_SEED") {
            Ok(text) => text.parse().context("SHIPPER_SEED is no number")?,
            Err(_) => SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64,
        };
        println!("SHIPPER_SEED={seed} gives the same moments again");
        Ok(Random(seed))
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Each daemon keeps the spool in a way of its own: what the one before wrote is read by all.
fn plan(random: &mut Random) -> Plan {
    let compression = random.one_of(&["none", "lz4", "zstd"]);
    let hash = random.one_of(&["none", "sha256"]);
    let fsync = random.one_of(&["{ interval: 20ms }", "always", "never"]);
    Plan {
        pin: true,
        spool: format!("  bytes_max: 64MiB\n  compression: {compression}\n  fsync: {fsync}\n"),
        local: "    rotate: { bytes: 1MiB }\n    keep: { files: 100000, bytes: 100GiB }\n"
            .to_owned(),
        more: format!("enrich: {{ hash: {hash} }}\n"),
        ..Plan::default()
    }
}

/// Starts a daemon and kills it at a moment. Returns whether it was still there to be killed.
fn start_and_kill(site: &Site, random: &mut Random) -> Result<(Moment, bool)> {
    let (moment, span) = random.one_of(&MOMENTS);
    let pause = Duration::from_micros(random.below(span.as_micros() as u64));
    let mut process = Process::spawn(&mut site.command())?;
    if !matches!(moment, Moment::Starting) {
        process.await_log(BEGUN)?;
    }
    if matches!(moment, Moment::Stopping) {
        process.signal(Signal::TERM)?;
    }
    // Nothing is waited for: the moment is what is tested.
    std::thread::sleep(pause);
    let ended = process.kill()?;
    let stopped = matches!(moment, Moment::Stopping) && ended.status.success();
    assert!(ended.was_killed() || stopped, "it ended with {}:\n{}", ended.status, ended.log);
    Ok((moment, ended.was_killed()))
}

#[test]
fn killed_at_any_moment_again_and_again_it_loses_nothing_and_repeats_nothing() -> Result<()> {
    let kills = if is_torture() { 2000 } else { 200 };
    let _turn = turn();
    let mut random = Random::seeded()?;
    let Some(site) = Site::new("random", &plan(&mut random))? else { return Ok(()) };
    let Some(first) = site.start_or_skip()? else { return Ok(()) };
    let begun = Instant::now();
    let stream = site.stream(HELPER, IN_BURSTS)?;
    first.kill()?;
    let mut killed = [0; MOMENTS.len()];
    while killed.iter().sum::<u32>() < kills {
        site.configure(&plan(&mut random))?;
        let (moment, was_there) = start_and_kill(&site, &mut random)?;
        killed[moment as usize] += u32::from(was_there);
    }
    let process = site.start()?;
    let count = stream.end()?;
    println!(
        "{count} executed; killed starting, working, stopping: {killed:?}; {} s",
        begun.elapsed().as_secs()
    );
    site.settle(process, count)?;
    Ok(())
}

#[test]
fn without_pins_a_kill_takes_only_what_was_not_read() -> Result<()> {
    const KILLS: usize = 8;
    let _turn = turn();
    let Some(site) = Site::new("unpinned", &Plan::default())? else { return Ok(()) };
    let Some(mut process) = site.start_or_skip()? else { return Ok(()) };
    let mut random = Random::seeded()?;
    let stream = site.stream(HELPER, IN_BURSTS)?;
    let mut before = BTreeSet::new();
    // A daemon captures once something newer than all of before arrives.
    let await_newer = |before: &BTreeSet<u64>| {
        let last = before.last().copied();
        site.await_event(|event| site.number(event) > last)
    };
    for _ in 0..KILLS {
        await_newer(&before)?;
        std::thread::sleep(Duration::from_millis(random.below(200)));
        process.kill()?;
        let now = site.outcome_of_killed()?.numbers;
        assert!(now.is_superset(&before), "a number that was in the file is gone");
        before = now;
        process = site.start()?;
    }
    await_newer(&before)?;
    let count = stream.end()?;
    assert!(process.stop()?.status.success());
    let numbers = site.outcome()?.numbers;
    assert!(numbers.is_superset(&before), "a number that was in the file is gone");
    // What each daemon read is there without a hole: what is missing lies between two daemons.
    let holes = numbers.iter().zip(numbers.iter().skip(1)).filter(|(a, b)| **b != **a + 1).count();
    println!("{} of {count} arrived, {holes} holes", numbers.len());
    assert!(holes <= KILLS, "{holes} holes after {KILLS} kills");
    assert_eq!(numbers.last().map(|last| last + 1), Some(count), "what came last");
    Ok(())
}
