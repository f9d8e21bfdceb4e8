//! The daemon's line of delivery through a script, killed and started again, and what must hold.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use shipper::config::settings::{
    AuthSettings, Concurrency, DeliverySettings, ElasticsearchSettings, HttpCompression,
    HttpEncoding, HttpSettings, HttpTlsSettings, ProxySettings, Secret, SplunkHecSettings,
    TlsSettings, TransportSettings,
};
use shipper::deliver::{Control, Delivered};
use shipper::format::Format;
use shipper::sink::Sink;
use shipper::sink::elasticsearch::ElasticsearchSink;
use shipper::sink::http::HttpSink;
use shipper::sink::splunk_hec::SplunkHecSink;
use shipper_tests::collector::{Collector, Dialect, GenericPlan, HecPlan, Plan};
use shipper_tests::pki::Certificate;
use shipper_tests::process::LIMIT;
use shipper_tests::spooled::{self, Spooled};
use tokio::sync::watch;

use super::script::{Kind, Script, Stretch};

/// How long an answer may take, long enough for a busy machine and short enough for a stall.
const PATIENCE: Duration = Duration::from_millis(400);

/// How often the requests are counted.
const LOOK: Duration = Duration::from_millis(1);

pub struct Life {
    script: Script,
    collector: Collector,
    spooled: Spooled,
    _dir: tempfile::TempDir,
    /// The file with what Splunk wants to hear.
    token: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Life {
    pub fn new(script: Script) -> anyhow::Result<Life> {
        let tls = matches!(script.kind, Kind::Http { tls: true, .. }).then_some(Certificate::Valid);
        let plan = Plan { tls, ..Plan::default() };
        let dialect = match script.kind {
            Kind::Http { .. } => {
                Dialect::Generic(GenericPlan { dedup: script.dedup, ..GenericPlan::default() })
            }
            Kind::Elasticsearch => Dialect::elasticsearch(),
            Kind::Splunk { acknowledgement: ack } => {
                Dialect::Hec(HecPlan { ack, false_polls: 1, ..HecPlan::default() })
            }
        };
        let collector = Collector::start(dialect, plan)?;
        let dir = tempfile::Builder::new().prefix("shipper-scripts-").tempdir()?;
        let token = dir.path().join("token");
        std::fs::write(&token, "a token that anybody may have")?;
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let spooled = Spooled::numbered(script.events)?;
        Ok(Life { script, collector, spooled, _dir: dir, token, runtime })
    }

    /// All lives one after the other, then one in which all is well.
    pub fn run(self) -> anyhow::Result<()> {
        for stretch in &self.script.lives {
            self.stretch(stretch)?;
        }
        self.collector.script([]);
        let (complete, delivered) = self.live(usize::MAX, None)?;
        ensure!(complete, "it came to no end");
        self.nothing_is_claimed().context("at the end")?;
        let account = self.collector.account();
        let quarantined = self.quarantined()?;
        let taken: HashSet<&String> = match self.script.kind {
            Kind::Splunk { acknowledgement: true } => account.acked.iter().collect(),
            _ => account.events.iter().collect(),
        };
        for id in &self.spooled.ids {
            ensure!(
                taken.contains(id) || quarantined.contains(id),
                "{id} is nowhere; {delivered:?}"
            );
        }
        ensure!(account.events.len() <= self.spooled.ids.len(), "events that there never were");
        ensure!(account.key_violations.is_empty(), "keys: {:?}", account.key_violations);
        ensure!(account.malformed == 0, "malformed: {:?}", account.complaints);
        let is_once = match self.script.kind {
            Kind::Http { .. } => {
                // Another life may put other events together.
                self.script.dedup && self.script.lives.len() == 1 && !self.script.refuses()
            }
            Kind::Elasticsearch => true,
            Kind::Splunk { .. } => false,
        };
        if is_once {
            ensure!(account.repeated() == 0, "{} events were taken twice", account.repeated());
        }
        if self.script.concurrency == 1 && !self.script.refuses() {
            let order: Vec<&String> =
                self.spooled.ids.iter().filter(|id| taken.contains(id)).collect();
            let came = account.events.iter().filter(|id| taken.contains(id));
            let came: Vec<&String> = came.collect();
            ensure!(order == came, "not in order");
        }
        Ok(())
    }

    fn stretch(&self, stretch: &Stretch) -> anyhow::Result<()> {
        self.collector.script(stretch.faults.iter().cloned());
        self.live(stretch.killed_after, stretch.dies_after)?;
        self.nothing_is_claimed()
    }

    /// Delivers until all is delivered, or for so many requests; whether all is, and what was.
    fn live(
        &self,
        requests: usize,
        dies_after: Option<usize>,
    ) -> anyhow::Result<(bool, Delivered)> {
        let (control, watched) = watch::channel(Control::default());
        let line = self.spooled.line(self.sink()?, self.delivery()?)?;
        let begun = self.collector.look(|account| account.requests);
        let deadline = Instant::now() + LIMIT;
        let running = self.runtime.spawn(line.run(watched));
        let mut dies_after = dies_after;
        while !running.is_finished() {
            let came = self.collector.look(|account| account.requests) - begun;
            if dies_after.is_some_and(|after| came >= after) {
                dies_after = None;
                self.collector.die();
                self.collector.revive()?;
            }
            if came >= requests {
                break;
            }
            ensure!(Instant::now() < deadline, "it comes to no end");
            std::thread::sleep(LOOK);
        }
        let now = tokio::time::Instant::now();
        control.send_modify(|control| control.deadline = Some(now));
        let delivered = self.runtime.block_on(running)?;
        Ok((delivered.complete, delivered))
    }

    fn delivery(&self) -> anyhow::Result<DeliverySettings> {
        Ok(DeliverySettings {
            batch_events_max: self.script.batch_events,
            linger: Duration::ZERO,
            retry_initial: Duration::from_millis(1),
            retry_max: Duration::from_millis(4),
            concurrency: Concurrency::Adaptive(self.script.concurrency),
            ..spooled::delivery()?
        })
    }

    fn sink(&self) -> anyhow::Result<Box<dyn Sink>> {
        let files =
            TlsSettings { ca_file: Some(self.collector.ca_file()), ..TlsSettings::default() };
        let transport = TransportSettings {
            urls: vec![self.collector.url()],
            auth: Some(AuthSettings::Splunk(Secret::File(self.token.clone()))),
            compression: HttpCompression::Gzip,
            tls: Some(HttpTlsSettings { files, server_name: None }),
            proxy: ProxySettings::None,
            connect_timeout: PATIENCE,
            request_timeout: PATIENCE,
            idle_timeout: Duration::from_secs(60),
        };
        Ok(match self.script.kind {
            Kind::Http { array, .. } => {
                let encoding = if array { HttpEncoding::Json } else { HttpEncoding::Ndjson };
                let settings =
                    HttpSettings { transport, format: Format::Ecs, encoding, headers: Vec::new() };
                Box::new(HttpSink::new(&settings)?)
            }
            Kind::Elasticsearch => {
                let data_stream = "logs-shipper.process-default".to_owned();
                let settings = ElasticsearchSettings { transport, data_stream };
                Box::new(ElasticsearchSink::new(&settings)?)
            }
            Kind::Splunk { acknowledgement } => {
                let settings = SplunkHecSettings {
                    transport,
                    index: None,
                    source: "shipper".to_owned(),
                    format: Format::Ecs,
                    sourcetype: "shipper:exec".to_owned(),
                    acknowledgement,
                };
                Box::new(SplunkHecSink::with_patience(&settings, PATIENCE)?)
            }
        })
    }

    /// What the cursor has passed was taken, or is in the quarantine.
    fn nothing_is_claimed(&self) -> anyhow::Result<()> {
        let quarantined = self.quarantined()?;
        self.collector.look(|account| {
            for id in self.spooled.done_with()? {
                let is_taken = match self.script.kind {
                    Kind::Splunk { acknowledgement: true } => account.acked.contains(id),
                    _ => account.taken.contains_key(id),
                };
                let is_there = is_taken || quarantined.contains(id);
                ensure!(is_there, "{id} counts as delivered, but is nowhere");
            }
            Ok(())
        })
    }

    fn quarantined(&self) -> anyhow::Result<HashSet<String>> {
        Ok(self.spooled.quarantined()?.into_iter().map(|aside| aside.id).collect())
    }
}
