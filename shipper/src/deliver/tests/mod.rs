//! The engine on a real spool in a temporary directory, with a scripted sink and a paused clock.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kafka;
mod large;
mod order;
mod pace;
mod refused;
mod retry;
mod simulation;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::{Control, Delivered, Line};
use crate::config::settings::{Concurrency, DeliverySettings, RateLimit};
use crate::event::{Event, Host, Id, Loss, LossKind, LossStage, WallTime, codec};
use crate::sink::{Batch, Outcome, Sink};
use crate::spool::disk::{Disk, RealDisk};
use crate::spool::{self, Compression, FreeMin, Fsync, Now, Spool, WhenFull, Writer};

pub const NAME: &str = "scripted";

/// A spool with `count` numbered events, closed: a line over it ends by itself.
pub struct Setup {
    pub directory: tempfile::TempDir,
    pub settings: DeliverySettings,
}

impl Setup {
    pub fn new(count: u64) -> Setup {
        let setup = Setup {
            directory: tempfile::tempdir().unwrap(),
            settings: DeliverySettings {
                batch_events_max: 100,
                batch_bytes_max: 1 << 20,
                linger: Duration::from_millis(50),
                retry_initial: Duration::from_millis(500),
                retry_max: Duration::from_secs(60),
                concurrency: Concurrency::Fixed(1),
                rate_limit: RateLimit::default(),
                when: None,
                quarantine_bytes_max: 64 << 20,
            },
        };
        let (mut writer, _spool) = open(setup.directory.path());
        for number in 1..=count {
            put(&mut writer, &numbered(number));
        }
        writer.close(now()).unwrap();
        setup
    }

    /// Runs the line once over what is in the spool, as one life of the daemon does.
    pub async fn run(&mut self, sink: &Arc<Scripted>) -> Delivered {
        let (_control, watched) = watch::channel(Control::default());
        self.run_with(sink, watched).await
    }

    pub async fn run_with(
        &mut self,
        sink: &Arc<Scripted>,
        watched: watch::Receiver<Control>,
    ) -> Delivered {
        let (writer, spool) = open(self.directory.path());
        writer.close(now()).unwrap();
        self.line(&spool, sink).run(watched).await
    }

    pub fn line(&self, spool: &Spool, sink: &Arc<Scripted>) -> Line {
        let (reader, cursor) = spool.cursor(NAME).unwrap();
        Line {
            name: NAME.to_owned(),
            sink: Box::new(Shared(Arc::clone(sink))),
            reader,
            cursor,
            replay: spool.replay(NAME).unwrap(),
            quarantine: spool.quarantine(NAME, self.settings.quarantine_bytes_max).unwrap(),
            settings: self.settings.clone(),
            status_dir: None,
        }
    }
}

pub fn open(directory: &Path) -> (Writer, Spool) {
    open_on(Arc::new(RealDisk), directory)
}

pub fn open_on(disk: Arc<dyn Disk>, directory: &Path) -> (Writer, Spool) {
    let options = spool::Options {
        dir: directory.join("spool"),
        bytes_max: 64 << 20,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Never,
        compression: Compression::Lz4,
        segment_bytes: 1 << 20,
    };
    spool::open(options, disk, &[NAME.to_owned()]).unwrap()
}

pub fn now() -> Now {
    Now { monotonic: Duration::ZERO, wall_ns: 1_000_000_000 }
}

pub fn put(writer: &mut Writer, event: &Event) {
    let mut bytes = Vec::new();
    codec::encode(event, &mut bytes);
    writer.append(&bytes);
    writer.write(b"", now());
}

/// The event whose record has this number.
pub fn numbered(count: u64) -> Event {
    let host = Arc::new(Host::default());
    Event::Loss(Loss {
        id: Id(u128::from(count).to_be_bytes()),
        time: WallTime(0),
        host,
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        cgroup: None,
        rule: None,
        count,
        first: WallTime(0),
        last: WallTime(0),
    })
}

type Script = Box<dyn FnMut(&[u64]) -> Outcome + Send>;

/// A sink whose other side does what a script says, given the numbers of a batch. It keeps what it
/// accepted, as the other side would.
pub struct Scripted {
    script: Mutex<Script>,
    pub got: Mutex<Vec<u64>>,
    /// The numbers of each call.
    pub calls: Mutex<Vec<Vec<u64>>>,
    pub reopened: Mutex<usize>,
    pub resumed: Mutex<Vec<Vec<u8>>>,
    /// How long a call takes.
    pub takes: Duration,
    /// Calls under way at once: now, and at most.
    pub under_way: Mutex<(usize, usize)>,
}

/// The engine owns its sink; the test looks at it from outside.
struct Shared(Arc<Scripted>);

pub fn sent() -> Outcome {
    Outcome::Sent { position: Vec::new() }
}

pub fn retry() -> Outcome {
    Outcome::Retry { cause: "away".to_owned(), after: None }
}

pub fn blocked() -> Outcome {
    Outcome::Blocked { cause: "no right to write".to_owned() }
}

pub fn refused() -> Outcome {
    Outcome::Refused { cause: "mapping failed".to_owned() }
}

impl Scripted {
    pub fn new(script: impl FnMut(&[u64]) -> Outcome + Send + 'static) -> Arc<Scripted> {
        Scripted::slow(Duration::ZERO, script)
    }

    pub fn slow(
        takes: Duration,
        script: impl FnMut(&[u64]) -> Outcome + Send + 'static,
    ) -> Arc<Scripted> {
        Arc::new(Scripted {
            script: Mutex::new(Box::new(script)),
            got: Mutex::default(),
            calls: Mutex::default(),
            reopened: Mutex::default(),
            resumed: Mutex::default(),
            takes,
            under_way: Mutex::default(),
        })
    }

    /// Gives these answers first, and accepts everything afterwards.
    pub fn answers(answers: Vec<Outcome>) -> Arc<Scripted> {
        let mut answers = answers.into_iter();
        Scripted::new(move |_| answers.next().unwrap_or_else(sent))
    }

    pub fn got(&self) -> Vec<u64> {
        self.got.lock().unwrap().clone()
    }

    pub fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

#[async_trait::async_trait]
impl Sink for Shared {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let Event::Loss(loss) = event else { unreachable!("not one of ours") };
        out.extend_from_slice(&loss.count.to_be_bytes());
    }

    async fn resume(&self, position: &[u8]) {
        self.0.resumed.lock().unwrap().push(position.to_vec());
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        let sink = &self.0;
        {
            let mut under_way = sink.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        tokio::time::sleep(sink.takes).await;
        sink.under_way.lock().unwrap().0 -= 1;
        let numbers: Vec<u64> = batch
            .events()
            .map(|(item, bytes)| {
                let number = u64::from_be_bytes(bytes.try_into().unwrap());
                assert_eq!(item.id, Id(u128::from(number).to_be_bytes()));
                number
            })
            .collect();
        sink.calls.lock().unwrap().push(numbers.clone());
        let outcome = (sink.script.lock().unwrap())(&numbers);
        let mut got = sink.got.lock().unwrap();
        match &outcome {
            Outcome::Sent { .. } => got.extend(numbers),
            Outcome::Mixed { rejected, again, .. } => {
                let named = |place: &usize| {
                    rejected.iter().any(|(rejected, _)| rejected == place) || again.contains(place)
                };
                got.extend((0..numbers.len()).filter(|place| !named(place)).map(|at| numbers[at]));
            }
            _ => {}
        }
        outcome
    }

    async fn reopen(&self) {
        *self.0.reopened.lock().unwrap() += 1;
    }
}

pub fn all(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}
