//! One simulated machine: a disk, two sinks, and daemons that begin and end on it, one after the
//! other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::capture::Ring;
use super::dice::Dice;
use super::remote::{Kind, Near, Remote};
use crate::config::settings::{Concurrency, DeliverySettings, RateLimit};
use crate::deliver::{Control, Delivered, Line};
use crate::rules::{Expression, Lists, Place};
use crate::spool::disk::Disk;
use crate::spool::disk::sim::{Op, SimDisk};
use crate::spool::requeue::requeue_quarantined;
use crate::spool::{self, Compression, FreeMin, Fsync, Now, Options, Spool, WhenFull, Writer};

pub const DIR: &str = "/spool";
pub const SINKS: [&str; 2] = ["a", "b"];

/// Longest time in which sinks that take everything get everything.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);

/// What goes wrong in a simulation, apart from the sinks.
#[derive(Clone, Copy, Debug)]
pub struct Troubles {
    /// The disk fails at times.
    pub faults: bool,
    /// The daemon is killed.
    pub kills: bool,
    /// The machine loses power.
    pub power: bool,
    /// Bits flip in segments.
    pub rot: bool,
    /// The spool or the disk is small.
    pub full: bool,
    /// What is in a quarantine is delivered again.
    pub requeue: bool,
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    Power,
}

pub struct World {
    pub dice: Dice,
    pub disk: SimDisk,
    pub options: Options,
    pub settings: [DeliverySettings; 2],
    pub remotes: [Arc<Remote>; 2],
    pub ring: Ring,
    pub troubles: Troubles,
    /// Ring and programs are pinned.
    is_pinned: bool,
    begun: Instant,
    /// Power was lost since the last daemon that began.
    was_power_lost: bool,
    /// Where each cursor was, and how far the log was durable.
    confirmed: [u64; 2],
    durable: u64,
    pub lives: u64,
    pub requeued: bool,
}

type Lines = Pin<Box<dyn Future<Output = (Delivered, Delivered)>>>;

/// A running daemon.
struct Daemon {
    writer: Writer,
    spool: Spool,
    control: watch::Sender<Control>,
    lines: Lines,
    begun: Instant,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let faults = dice.percent(40);
        let troubles = Troubles {
            faults,
            kills: dice.percent(60),
            power: dice.percent(40),
            rot: !faults && dice.percent(30),
            full: dice.percent(30),
            requeue: dice.percent(25),
        };
        let disk = SimDisk::default();
        let ring = Ring::default();
        let kinds = [Kind::Plain, dice.pick(&[Kind::Plain, Kind::Positioned])];
        let remotes =
            kinds.map(|kind| Remote::new(kind, dice.fork(), Arc::clone(&ring.read), disk.clone()));
        World {
            options: options(&mut dice, troubles),
            settings: kinds.map(|kind| settings(&mut dice, kind)),
            is_pinned: dice.percent(70),
            dice,
            disk,
            remotes,
            ring,
            troubles,
            begun: Instant::now(),
            was_power_lost: true,
            confirmed: [1; 2],
            durable: 0,
            lives: 0,
            requeued: false,
        }
    }

    pub async fn run(&mut self) {
        for _ in 0..self.dice.below(6) {
            self.live().await;
        }
        self.last().await;
    }

    /// A daemon from its beginning to its end.
    async fn live(&mut self) {
        if self.troubles.kills && self.dice.percent(20) {
            self.disk.stop_after(self.dice.below(30));
        }
        if self.troubles.faults && self.dice.percent(20) {
            self.fail();
        }
        let Some(mut daemon) = self.begin() else {
            assert!(self.troubles.faults || self.troubles.kills, "it does not begin");
            self.disk.heal();
            self.end(None).await;
            return;
        };
        for _ in 0..self.dice.within(1..=40) {
            self.step(&mut daemon);
            let pause = self.dice.pick(&[0, 0, 1, 5, 20, 20, 200, 200, 5_000, 60_000, 1_800_000]);
            let pause = Duration::from_millis(self.dice.within(0..=pause));
            tokio::select! {
                biased;
                _ = &mut daemon.lines => panic!("a line ended while the spool is open"),
                () = stopped(&self.disk) => break,
                () = sleep(pause) => {}
            }
        }
        self.end(Some(daemon)).await;
    }

    /// Opens the spool; none where the disk refuses.
    fn begin(&mut self) -> Option<Daemon> {
        self.lives += 1;
        if self.troubles.requeue && self.dice.percent(50) {
            for sink in SINKS {
                let moved = requeue_quarantined(&self.disk, DIR.as_ref(), sink);
                self.requeued |= moved.unwrap_or(true);
            }
        }
        let names = SINKS.map(str::to_owned);
        let opened = spool::open(self.options.clone(), Arc::new(self.disk.clone()), &names);
        let (writer, spool) = match opened {
            Ok(opened) if !self.disk.is_stopped() => opened,
            _ => return None,
        };
        let was_killed = !std::mem::take(&mut self.was_power_lost);
        self.ring.resume(&writer, was_killed, was_killed && self.is_pinned);
        tracing::debug!(next = self.ring.next, "opened");
        let is_synced = self.options.fsync != Fsync::Never;
        assert!(!is_synced || writer.durable() >= self.durable, "durable and gone");
        let (control, watched) = watch::channel(Control::default());
        let line = |at: usize| self.line(&spool, at);
        let (a, b) = (line(0)?, line(1)?);
        for (at, line) in [&a, &b].into_iter().enumerate() {
            let next = line.cursor.next();
            assert!(next >= self.confirmed[at], "cursor {at} went back to {next}");
        }
        let (a, b) = (a.run(watched.clone()), b.run(watched));
        let lines = Box::pin(async move { tokio::join!(a, b) });
        Some(Daemon { writer, spool, control, lines, begun: Instant::now() })
    }

    fn line(&self, spool: &Spool, at: usize) -> Option<Line> {
        let (name, settings) = (SINKS[at], &self.settings[at]);
        let (reader, cursor) = spool.cursor(name).expect("a sink of the spool");
        self.remotes[at].begin(name, settings);
        Some(Line {
            name: name.to_owned(),
            sink: Box::new(Near(Arc::clone(&self.remotes[at]))),
            reader,
            cursor,
            // The disk may fail here, too.
            replay: spool.replay(name).ok()?,
            quarantine: spool.quarantine(name, settings.quarantine_bytes_max).ok()?,
            settings: settings.clone(),
            status_dir: None,
        })
    }

    fn now(&self, daemon: &Daemon) -> Now {
        let wall = Duration::from_secs(1_000_000) + self.begun.elapsed();
        Now { monotonic: daemon.begun.elapsed(), wall_ns: wall.as_nanos() as u64 }
    }

    /// One thing that happens.
    fn step(&mut self, daemon: &mut Daemon) {
        let now = self.now(daemon);
        let Troubles { faults, kills, rot, full, .. } = self.troubles;
        match self.dice.below(100) {
            0..50 => {
                let count = self.dice.within(1..=12);
                self.ring.append(&mut daemon.writer, count);
                if self.dice.percent(80) {
                    self.write(daemon);
                }
            }
            50..75 => {
                self.write(daemon);
                self.ring.tick(&mut daemon.writer, now);
                self.ring.report(&mut daemon.writer);
            }
            75..80 => daemon.control.send_modify(|control| control.reopens += 1),
            80..85 if faults => self.fail(),
            85..87 if faults => self.disk.heal(),
            87..90 if kills => self.disk.stop_after(self.dice.below(40)),
            90..92 if full => self.disk.set_total(self.dice.pick(&[300_000, 320_000, 1 << 30])),
            92..95 if rot => self.rot(),
            95 if self.dice.percent(3) => self.ring.append_too_large(&mut daemon.writer),
            _ => {}
        }
        if let Some(lags) = self.lags(&daemon.spool)
            && !self.disk.is_stopped()
        {
            let next = daemon.spool.usage().next;
            self.confirmed = lags.map(|lag| next - lag);
            self.durable = next - 1;
        }
        let bytes = daemon.spool.usage().bytes;
        // A repair after a failure asks nobody for room.
        assert!(faults || bytes <= self.options.bytes_max + 64, "{bytes} bytes");
    }

    fn lags(&self, spool: &Spool) -> Option<[u64; 2]> {
        let [a, b] = SINKS.map(|sink| spool.lag(sink));
        Some([a?, b?])
    }

    fn write(&mut self, daemon: &mut Daemon) -> bool {
        let now = self.now(daemon);
        let disk = self.disk.clone();
        self.ring.write(&mut daemon.writer, now, move || disk.is_stopped())
    }

    fn fail(&mut self) {
        let op = self.dice.pick(&[
            Op::Read,
            Op::Write,
            Op::Write,
            Op::Sync,
            Op::Sync,
            Op::SyncDir,
            Op::Create,
            Op::Rename,
            Op::Remove,
        ]);
        // A place that cannot be read three times is given up.
        let times = if op == Op::Read { 1 } else { self.dice.within(1..=4) };
        let errno = self.dice.pick(&[Errno::IO, Errno::NOSPC]);
        self.disk.fail(op, self.dice.below(10), times, errno);
    }

    /// Flips a bit in a segment that is not written any more.
    fn rot(&mut self) {
        let mut segments: Vec<_> =
            self.disk.files().into_iter().filter(|path| path.starts_with("/spool/log")).collect();
        segments.pop();
        if segments.is_empty() {
            return;
        }
        let path = self.dice.pick(&segments);
        let bits = self.disk.content(&path).len() as u64 * 8;
        let bit = self.dice.below(bits) as usize;
        tracing::debug!(path = %path.display(), byte = bit / 8, "rots");
        self.disk.tamper(&path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    async fn end(&mut self, daemon: Option<Daemon>) {
        let is_stopped = self.disk.is_stopped() || daemon.is_none();
        let ended = match self.dice.below(3) {
            0 if self.troubles.power => End::Power,
            1 if self.troubles.kills => End::Kill,
            _ if is_stopped => End::Kill,
            _ => End::Close,
        };
        tracing::debug!(?ended, "ends");
        self.was_power_lost |= ended == End::Power;
        match (ended, daemon) {
            (End::Close, Some(daemon)) => self.close(daemon).await,
            (End::Power, daemon) => {
                let dice = &mut self.dice;
                self.disk.crash(|bound| dice.below(bound));
                drop(daemon);
            }
            (_, daemon) => {
                self.disk.kill();
                drop(daemon);
            }
        }
    }

    /// As at SIGTERM. What is in the open block then is in the ring still.
    async fn close(&mut self, mut daemon: Daemon) {
        self.write(&mut daemon);
        let now = self.now(&daemon);
        let Daemon { writer, mut lines, control, spool, .. } = daemon;
        let closed = writer.close(now);
        assert!(closed.is_ok() || self.troubles.faults || self.disk.is_stopped());
        if closed.is_err() {
            // The daemon has said so: there is no place left to note it.
            self.ring.forget_dropped();
        }
        let timeout = Duration::from_millis(self.dice.pick(&[0, 100, 10_000]));
        control.send_modify(|control| control.deadline = Some(Instant::now() + timeout));
        let limit = timeout + Duration::from_secs(1);
        let ended = tokio::time::timeout(limit, &mut lines).await;
        assert!(ended.is_ok() || self.disk.is_stopped(), "the lines do not end");
        drop((lines, spool));
        // Where it was not stopped it has let go of everything by itself.
        match self.disk.is_stopped() {
            true => self.disk.kill(),
            false => self.disk.stop_after(u64::MAX),
        }
    }

    /// Everything is mended, and a last daemon delivers all there is.
    async fn last(&mut self) {
        self.disk.heal();
        self.disk.set_total(1 << 40);
        self.remotes.iter().for_each(|remote| remote.mend());
        self.settings.iter_mut().for_each(|settings| settings.quarantine_bytes_max = 1 << 40);
        self.troubles.requeue = false;
        let mut daemon = self.begin().expect("a good disk");
        self.ring.append(&mut daemon.writer, 5);
        let limit = Instant::now() + DRAIN_MAX;
        let mut quiet = 0;
        while quiet < 3 {
            assert!(Instant::now() < limit, "it does not come to an end");
            let next = self.ring.next;
            self.write(&mut daemon);
            let now = self.now(&daemon);
            self.ring.tick(&mut daemon.writer, now);
            self.ring.report(&mut daemon.writer);
            tokio::select! {
                biased;
                _ = &mut daemon.lines => panic!("a line ended while the spool is open"),
                () = sleep(Duration::from_secs(30)) => {}
            }
            let is_quiet = next == self.ring.next && self.lags(&daemon.spool) == Some([0; 2]);
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
        let now = self.now(&daemon);
        let Daemon { writer, lines, control: _control, .. } = daemon;
        writer.close(now).expect("a good disk");
        let ended = tokio::time::timeout(Duration::from_secs(1), lines).await;
        let (a, b) = ended.expect("all is delivered");
        assert!(a.complete && b.complete);
    }

    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }
}

/// Waits for the end of the daemon, which is seen whenever its lines did something.
async fn stopped(disk: &SimDisk) {
    let look = |_: &mut Context<'_>| match disk.is_stopped() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    };
    std::future::poll_fn(look).await;
}

fn options(dice: &mut Dice, troubles: Troubles) -> Options {
    let segment_bytes = dice.pick(&[2_000, 8_000, 64_000]);
    let interval = Duration::from_millis(dice.pick(&[1, 20, 1_000]));
    Options {
        dir: DIR.into(),
        // With less, one block could fill it: the last segment never goes.
        bytes_max: match troubles.full {
            true => (segment_bytes * dice.within(2..=6)).max(12_000),
            false => 1 << 30,
        },
        disk_free_min: FreeMin::Bytes(dice.pick(&[0, 10_000])),
        when_full: dice.pick(&[WhenFull::Block, WhenFull::DropNewest, WhenFull::DropOldest]),
        fsync: dice.pick(&[
            Fsync::Always,
            Fsync::Interval(interval),
            Fsync::Interval(interval),
            Fsync::Never,
        ]),
        compression: dice.pick(&[Compression::None, Compression::Lz4, Compression::Zstd]),
        segment_bytes,
    }
}

fn settings(dice: &mut Dice, kind: Kind) -> DeliverySettings {
    DeliverySettings {
        batch_events_max: dice.pick(&[1, 3, 10, 1_000]),
        batch_bytes_max: dice.pick(&[60, 1_000, 1 << 20]),
        linger: Duration::from_millis(dice.pick(&[0, 50, 2_000])),
        retry_initial: Duration::from_millis(dice.pick(&[10, 500])),
        retry_max: Duration::from_secs(dice.pick(&[1, 60, 3_600])),
        concurrency: match kind {
            Kind::Positioned => Concurrency::Fixed(1),
            Kind::Plain => {
                let max = dice.within(1..=4) as usize;
                dice.pick(&[Concurrency::Fixed(max), Concurrency::Adaptive(max)])
            }
        },
        rate_limit: RateLimit {
            requests: dice.pick(&[None, None, None, Some(1), Some(50)]),
            bytes: dice.pick(&[None, None, None, Some(1_000), Some(20_000)]),
        },
        when: dice.pick(&[None, Some(not_root_owned())]),
        quarantine_bytes_max: dice.pick(&[1_000, 64 << 20]),
    }
}

/// Files that root does not own, and those whose owner is not known.
fn not_root_owned() -> Expression {
    let lists = &mut Lists::new(std::path::Path::new("/"));
    Expression::new("!(file.uid == 0)", Place::Sink, lists).expect("valid")
}
