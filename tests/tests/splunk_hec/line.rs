//! Made-up events in a spool, and the line of the daemon from there to collectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use shipper::config;
use shipper::config::secret::Secret;
use shipper::config::settings::{
    AuthSettings, Concurrency, DeliverySettings, HttpCompression, ProxySettings, SplunkHecSettings,
    TransportSettings,
};
use shipper::deliver::{Control, Delivered, Line};
use shipper::event::{Event, Host, Id, Loss, LossKind, LossStage, WallTime, codec};
use shipper::format::ecs;
use shipper::sink::splunk_hec::SplunkHecSink;
use shipper::spool::{self, disk::RealDisk};
use shipper_tests::collector::{Collector, Dialect, HecPlan, Plan};
use shipper_tests::process::LIMIT;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SINK: &str = "splunk";

/// The value of `Authorization` that collectors want at first.
pub const TOKEN: &str = "Splunk 12345678-aaaa-bbbb-cccc-1234567890ab";

/// A collector that lets in who has [`TOKEN`].
pub fn collector(plan: HecPlan) -> anyhow::Result<Collector> {
    Collector::start(Dialect::Hec(plan), Plan { token: Some(TOKEN.to_owned()), ..Plan::default() })
}

/// Changes what a collector takes.
pub fn change(collector: &Collector, change: impl FnOnce(&mut HecPlan)) {
    collector.change(|dialect| match dialect {
        Dialect::Hec(plan) => change(plan),
        _ => unreachable!("all of these tests are about Splunk"),
    });
}

/// What is delivered, and how.
pub struct Given {
    /// Events.
    pub events: u64,
    /// Most events of a batch.
    pub batch_events: usize,
    /// Most bytes of a batch.
    pub batch_bytes: usize,
    /// Batches in flight.
    pub concurrency: usize,
    /// With acknowledgement: how long it is waited for.
    pub acknowledgement: Option<Duration>,
}

impl Default for Given {
    fn default() -> Given {
        Given {
            events: 100,
            batch_events: 10,
            batch_bytes: 900_000,
            concurrency: 1,
            acknowledgement: None,
        }
    }
}

/// What the sink is told, with the token in a file.
pub fn settings(
    collectors: &[&Collector],
    token_file: &Path,
    acknowledgement: bool,
) -> SplunkHecSettings {
    SplunkHecSettings {
        transport: TransportSettings {
            urls: collectors.iter().map(|collector| collector.url()).collect(),
            auth: Some(AuthSettings::Splunk(Secret::File(token_file.to_owned()))),
            compression: HttpCompression::Gzip,
            tls: None,
            proxy: ProxySettings::None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(90),
        },
        index: Some("linux".to_owned()),
        source: "shipper".to_owned(),
        sourcetype: "shipper:exec".to_owned(),
        acknowledgement,
    }
}

/// Writes the token of a value of `Authorization` to a file.
pub fn write_token(path: &Path, authorization: &str) -> anyhow::Result<()> {
    let token = authorization.strip_prefix("Splunk ").context("a token")?;
    Ok(std::fs::write(path, token)?)
}

/// A line at work.
pub struct Delivery {
    runtime: tokio::runtime::Runtime,
    line: JoinHandle<Delivered>,
    _control: watch::Sender<Control>,
    _dir: tempfile::TempDir,
    /// Of the events, in their order.
    pub ids: Vec<String>,
    /// Where the sink has its token from.
    pub token_file: PathBuf,
}

impl Delivery {
    /// Starts it.
    pub fn start(collectors: &[&Collector], given: &Given) -> anyhow::Result<Delivery> {
        let dir = tempfile::tempdir()?;
        let token_file = dir.path().join("token");
        write_token(&token_file, TOKEN)?;
        let settings = settings(collectors, &token_file, given.acknowledgement.is_some());
        let sink = match given.acknowledgement {
            None => SplunkHecSink::new(&settings)?,
            Some(patience) => SplunkHecSink::with_patience(&settings, patience)?,
        };
        let (ids, spool) = fill(&dir.path().join("spool"), given.events)?;
        let delivery = delivery(given)?;
        let (reader, cursor) = spool.cursor(SINK)?;
        let line = Line {
            name: SINK.to_owned(),
            sink: Box::new(sink),
            reader,
            cursor,
            replay: spool.replay(SINK)?,
            quarantine: spool.quarantine(SINK, delivery.quarantine_bytes_max)?,
            settings: delivery,
            status_dir: None,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (control, watched) = watch::channel(Control::default());
        let line = runtime.spawn(line.run(watched));
        Ok(Delivery { runtime, line, _control: control, _dir: dir, ids, token_file })
    }

    /// Waits until all is delivered or put aside.
    pub fn finish(&mut self) -> anyhow::Result<Delivered> {
        let line = &mut self.line;
        let delivered = self.runtime.block_on(async { tokio::time::timeout(LIMIT, line).await });
        let delivered = delivered.context("it does not come to an end")??;
        anyhow::ensure!(delivered.complete, "{delivered:?}");
        Ok(delivered)
    }

    /// Waits until all is delivered.
    pub fn finish_all(&mut self) -> anyhow::Result<()> {
        let delivered = self.finish()?;
        let all = self.ids.len() as u64;
        anyhow::ensure!((delivered.sent, delivered.quarantined) == (all, 0), "{delivered:?}");
        Ok(())
    }
}

fn delivery(given: &Given) -> anyhow::Result<DeliverySettings> {
    let defaults = config::parse("test", "sinks: [{ name: a, type: file, path: /nowhere/a }]")?;
    let sink = defaults.sinks.into_iter().next().context("the sink")?;
    Ok(DeliverySettings {
        batch_events_max: given.batch_events,
        batch_bytes_max: given.batch_bytes,
        linger: Duration::ZERO,
        retry_initial: Duration::from_millis(10),
        retry_max: Duration::from_millis(50),
        concurrency: Concurrency::Fixed(given.concurrency),
        ..sink.delivery
    })
}

/// A spool with so many events, which is complete; with their ids.
fn fill(dir: &Path, events: u64) -> anyhow::Result<(Vec<String>, spool::Spool)> {
    let options = spool::Options {
        dir: dir.to_owned(),
        bytes_max: 1 << 30,
        disk_free_min: spool::FreeMin::Bytes(0),
        when_full: spool::WhenFull::Block,
        fsync: spool::Fsync::Never,
        compression: spool::Compression::Lz4,
        segment_bytes: spool::Options::segment_bytes_for(1 << 30),
    };
    let (mut writer, spool) = spool::open(options, Arc::new(RealDisk), &[SINK.to_owned()])?;
    let now = || spool::Now { monotonic: Duration::ZERO, wall_ns: 0 };
    let host = Arc::new(Host { name: "helsinki".to_owned(), ..Host::default() });
    let (mut ids, mut record, mut line) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..events {
        let event = event(number, &host);
        record.clear();
        codec::encode(&event, &mut record);
        writer.append(&record);
        if writer.is_block_full() || number + 1 == events {
            let wrote = writer.write(&[], now());
            anyhow::ensure!(matches!(wrote, spool::Wrote::Done), "{wrote:?}");
        }
        line.clear();
        ecs::encode(&event, &mut line);
        let ecs: Value = serde_json::from_slice(&line)?;
        ids.push(ecs["event"]["id"].as_str().context("an id")?.to_owned());
    }
    writer.close(now())?;
    Ok((ids, spool))
}

fn event(number: u64, host: &Arc<Host>) -> Event {
    Event::Loss(Loss {
        id: Id((u128::from(number) << 64 | 0x5eed).to_be_bytes()),
        time: WallTime(1_795_500_000_000_000_000 + number),
        host: Arc::clone(host),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        count: number + 1,
        first: WallTime(0),
        last: WallTime(0),
    })
}
