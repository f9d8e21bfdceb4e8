//! The same events to a file, to Kafka and over HTTP at once, all three well or one of them dead: how
//! fast the others are.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use shipper::config;
use shipper::config::settings::{SinkKind, SinkSettings};
use shipper::deliver::Control;
use shipper::sink::Sink;
use shipper::sink::file::FileSink;
use shipper::sink::http::HttpSink;
use shipper::sink::kafka::KafkaSink;
use shipper::spool::disk::RealDisk;
use shipper::spool::{self, Compression, Fsync};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::append::{fill, median, options};
use super::super::drain::line;
use super::super::report::Figure;
use super::super::run::runtime;
use super::super::synthetic::Pool;
use super::server::Server;
use crate::kafka::{Cluster, Listener, Plan, Topic};
use crate::mounted::Mounted;

/// Events of a round.
const EVENTS: u64 = 150_000;

/// Rounds of each.
const ROUNDS: usize = 3;

const SINKS: [&str; 3] = ["file", "kafka", "http"];

/// Room of the file system on which the dead file sink stands: too little for a batch.
const TINY_BYTES: u64 = 64 << 10;

/// Where nobody answers: the port of a service that no machine of today has (discard).
const NOBODY: &str = "127.0.0.1:9";

/// Measures all of it.
///
/// # Errors
/// When there is no Kafka, or an event got lost.
pub fn run(dir: &Path, pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    let plan = Plan::new(1).listener(Listener::Plaintext);
    let cluster = Cluster::start(plan)?.context("there is no Kafka")?;
    cluster.admin().create_topic(&Topic::new("bench").partitions(6))?;
    let places = Places {
        brokers: cluster.bootstrap(Listener::Plaintext),
        server: Server::start(false)?,
        full: Mounted::tmpfs(TINY_BYTES)?.context("a small file system cannot be mounted")?,
    };
    eprintln!(
        "{ROUNDS} times {EVENTS} events to three sinks at once, none or one of them dead ..."
    );
    let mut rounds: [Vec<[f64; 3]>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (dead, round) in rounds.iter_mut().enumerate() {
            round.push(places.deliver(dir, pool, SINKS.get(dead).copied())?);
        }
    }
    let rate = |dead: usize, sink: usize| {
        EVENTS as f64 / median(rounds[dead].iter().map(|seconds| seconds[sink]))
    };
    let well = SINKS.len();
    let mut figures = Vec::new();
    for (dead, names) in [
        (0, ["with a dead file sink, Kafka", "with a dead file sink, HTTP"]),
        (1, ["with a dead Kafka, file", "with a dead Kafka, HTTP"]),
        (2, ["with a dead HTTP collector, file", "with a dead HTTP collector, Kafka"]),
    ] {
        let others = (0..SINKS.len()).filter(|sink| *sink != dead);
        for (name, sink) in names.into_iter().zip(others) {
            figures.push(Figure {
                name,
                value: 100.0 * rate(dead, sink) / rate(well, sink),
                unit: "% of its rate with all well",
                aim: None,
                how: format!(
                    "{:.0} against {:.0} events/s, from one full spool to three sinks at once on two \
                     cores; medians of {ROUNDS} times {EVENTS} events",
                    rate(dead, sink),
                    rate(well, sink)
                ),
            });
        }
    }
    let names = ["file dead", "kafka dead", "http dead", "all well"];
    let detail = names.into_iter().zip(&rounds).map(|(name, round)| {
        (name.to_owned(), json!(round.iter().map(|seconds| json!(seconds)).collect::<Vec<_>>()))
    });
    Ok((figures, Value::Object(detail.collect())))
}

struct Places {
    brokers: String,
    server: Server,
    full: Mounted,
}

impl Places {
    fn settings(&self, dir: &Path, dead: Option<&str>) -> anyhow::Result<Vec<SinkSettings>> {
        let is_dead = |name| dead == Some(name);
        let directory = if is_dead("file") { self.full.path() } else { dir };
        let brokers = if is_dead("kafka") { NOBODY } else { &self.brokers };
        let url =
            if is_dead("http") { format!("http://{NOBODY}") } else { self.server.url.clone() };
        let yaml = format!(
            "sinks:\n  - {{ name: file, type: file, path: {}, rotate: {{ bytes: 16GiB }} }}\n  \
             - {{ name: kafka, type: kafka, brokers: [\"{brokers}\"], topic: bench }}\n  \
             - {{ name: http, type: http, url: \"{url}\" }}\n",
            directory.join("events.ndjson").display()
        );
        Ok(config::parse("bench", &yaml)?.sinks)
    }

    /// Seconds until each sink has all events; nothing for the dead one.
    fn deliver(&self, dir: &Path, pool: &Pool, dead: Option<&str>) -> anyhow::Result<[f64; 3]> {
        let dir = tempfile::Builder::new().prefix("fan-out-").tempdir_in(dir)?;
        let spool_dir = dir.path().join("spool");
        let options = options(&spool_dir, Compression::Lz4, Fsync::Never);
        let names = SINKS.map(str::to_owned);
        let (writer, spool) = spool::open(options, std::sync::Arc::new(RealDisk), &names)?;
        fill(writer, pool, EVENTS)?;
        let runtime = runtime()?;
        let (control, watched) = watch::channel(Control::default());
        let mut lines = Vec::new();
        for settings in self.settings(dir.path(), dead)? {
            let sink: Box<dyn Sink> = match &settings.kind {
                SinkKind::File(file) => Box::new(FileSink::new(file.clone()).0),
                SinkKind::Kafka(kafka) => Box::new(KafkaSink::new(kafka, &settings.delivery)?),
                SinkKind::Http(http) => Box::new(HttpSink::new(http)?),
                other => anyhow::bail!("{other:?} is not measured"),
            };
            lines.push(line(&spool, &settings.name, sink, settings.delivery, spool_dir.clone())?);
        }
        let begin = Instant::now();
        let took = runtime.block_on(async {
            let mut running = JoinSet::new();
            for line in lines {
                let (name, watched) = (line.name.clone(), watched.clone());
                running.spawn(async move { (name, line.run(watched).await, begin.elapsed()) });
            }
            let mut took = [0.0; 3];
            let mut left = SINKS.len() - usize::from(dead.is_some());
            while let Some(ended) = running.join_next().await {
                let (name, delivered, elapsed): (String, _, Duration) = ended?;
                if dead == Some(&name) {
                    continue;
                }
                anyhow::ensure!(delivered.sent == EVENTS, "{} came to {name}", delivered.sent);
                let place = SINKS.iter().position(|sink| *sink == name).context("a sink")?;
                took[place] = elapsed.as_secs_f64();
                left -= 1;
                if left == 0 {
                    // The dead one is not waited for.
                    let now = tokio::time::Instant::now();
                    control.send_modify(|control| control.deadline = Some(now));
                }
            }
            anyhow::Ok(took)
        })?;
        Ok(took)
    }
}
