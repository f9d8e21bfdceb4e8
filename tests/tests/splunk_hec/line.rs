//! Made-up events in a spool, and the line of the daemon from there to collectors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use shipper::config;
use shipper::config::settings::{Concurrency, DeliverySettings, SinkKind, SplunkHecSettings};
use shipper::deliver::{Control, Delivered};
use shipper::sink::splunk_hec::SplunkHecSink;
use shipper_tests::collector::{Collector, Dialect, HecPlan, Plan};
use shipper_tests::process::LIMIT;
use shipper_tests::spooled::{self, Spooled};
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
) -> anyhow::Result<SplunkHecSettings> {
    let urls: Vec<String> = collectors.iter().map(|collector| collector.url()).collect();
    let yaml = format!(
        "sinks:\n  - {{ name: siem, type: splunk_hec, urls: [\"{}\"], index: linux, proxy: none, \
         token: {{ file: {} }}, acknowledgement: {acknowledgement} }}\n",
        urls.join("\", \""),
        token_file.display()
    );
    let sink = config::parse("test", &yaml)?.sinks.into_iter().next().context("the sink")?;
    let SinkKind::SplunkHec(settings) = sink.kind else { unreachable!("a sink for Splunk") };
    Ok(*settings)
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
    /// What is delivered.
    pub spooled: Spooled,
    /// Where the sink has its token from.
    pub token_file: PathBuf,
}

impl Delivery {
    /// Starts it.
    pub fn start(collectors: &[&Collector], given: &Given) -> anyhow::Result<Delivery> {
        let dir = tempfile::tempdir()?;
        let token_file = dir.path().join("token");
        write_token(&token_file, TOKEN)?;
        let settings = settings(collectors, &token_file, given.acknowledgement.is_some())?;
        let sink = match given.acknowledgement {
            None => SplunkHecSink::new(&settings)?,
            Some(patience) => SplunkHecSink::with_patience(&settings, patience)?,
        };
        let spooled = Spooled::numbered(given.events)?;
        let line = spooled.line(Box::new(sink), delivery(given)?)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (control, watched) = watch::channel(Control::default());
        let line = runtime.spawn(line.run(watched));
        Ok(Delivery { runtime, line, _control: control, spooled, _dir: dir, token_file })
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
        let all = self.spooled.ids.len() as u64;
        anyhow::ensure!((delivered.sent, delivered.quarantined) == (all, 0), "{delivered:?}");
        Ok(())
    }
}

fn delivery(given: &Given) -> anyhow::Result<DeliverySettings> {
    Ok(DeliverySettings {
        batch_events_max: given.batch_events,
        batch_bytes_max: given.batch_bytes,
        linger: Duration::ZERO,
        retry_initial: Duration::from_millis(10),
        retry_max: Duration::from_millis(50),
        concurrency: Concurrency::Fixed(given.concurrency),
        ..spooled::delivery()?
    })
}
