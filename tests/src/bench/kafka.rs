//! Kafka: the line of the daemon beside a bare producer that sends the same records to the same
//! broker, in turn; and the daemon under a steady load, until a consumer has each event.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Value, json};
use shipper::config;
use shipper::config::settings::{SinkKind, SinkSettings};
use shipper::event::Event;
use shipper::event::codec::Decoder;
use shipper::format::ecs;
use shipper::sink::kafka::KafkaSink;

use super::append::SINK;
use super::report::{Aim, Figure};
use super::run::{self, Run};
use super::synthetic::Pool;
use super::{load, noop, process};
use crate::daemon::Daemon;
use crate::kafka::{Cluster, Listener, Plan, Topic};

/// Events of a round.
const EVENTS: u64 = 200_000;

/// Rounds of each.
const ROUNDS: usize = 5;

/// Executions a second of the steady load.
const RATE: u32 = 1000;

/// Length of the steady load.
const LOAD_SECONDS: u32 = 20;

const SHARE_PERCENT: Aim = Aim::AtLeast(85.0);

/// Measures all of it.
///
/// # Errors
/// When there is no Kafka, or an event got lost.
pub fn run(dir: &Path, pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    let plan = Plan::new(1).listener(Listener::Plaintext);
    let cluster = Cluster::start(plan)?.context("there is no Kafka")?;
    let brokers = cluster.bootstrap(Listener::Plaintext);
    for topic in ["bench", "steady"] {
        cluster.admin().create_topic(&Topic::new(topic).partitions(6))?;
    }
    eprintln!("{ROUNDS} times {EVENTS} events to Kafka, by shipper and by a bare producer ...");
    let records = Records::new(pool)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(deliver(dir, pool, &brokers)?);
        bare.push(records.send(&brokers)?);
    }
    let (ours_rate, bare_rate) = (run::rate(&ours, EVENTS), run::rate(&bare, EVENTS));
    let mut figures = vec![
        Figure {
            name: "to Kafka, beside a bare producer",
            value: 100.0 * ours_rate / bare_rate,
            unit: "%",
            aim: Some(SHARE_PERCENT),
            how: format!(
                "{:.0} against {:.0} events/s of {} bytes: from a full spool until the last is \
                 acknowledged, against values encoded before; same key, headers, settings (zstd, \
                 acks=all, idempotent, one request under way), broker on the same machine; medians of {ROUNDS} runs in turn",
                ours_rate, bare_rate, pool.line_bytes
            ),
        },
        Figure {
            name: "CPU to Kafka, an event",
            value: run::cpu_us(&ours, EVENTS),
            unit: "us",
            aim: None,
            how: format!(
                "read, decode, encode, compress, send, all threads; the bare producer {:.1} us",
                run::cpu_us(&bare, EVENTS)
            ),
        },
    ];
    let (steady, detail) = steady(&brokers)?;
    figures.extend(steady);
    let runs = |runs: &[Run]| runs.iter().map(Run::json).collect::<Vec<_>>();
    Ok((figures, json!({ "shipper": runs(&ours), "bare": runs(&bare), "steady": detail })))
}

fn settings(brokers: &str, topic: &str) -> anyhow::Result<SinkSettings> {
    let yaml = format!(
        "sinks:\n  - name: {SINK}\n    type: kafka\n    brokers: [{brokers}]\n    topic: {topic}\n"
    );
    config::parse("bench", &yaml)?.sinks.into_iter().next().context("the sink")
}

/// The line of the daemon with its default settings over a spool that is full.
fn deliver(dir: &Path, pool: &Pool, brokers: &str) -> anyhow::Result<Run> {
    let settings = settings(brokers, "bench")?;
    let SinkKind::Kafka(kafka) = &settings.kind else { anyhow::bail!("a Kafka sink") };
    let sink = KafkaSink::new(kafka, &settings.delivery)?;
    Run::deliver(dir, pool, EVENTS, Box::new(sink), settings.delivery)
}

/// What the bare producer sends.
struct Records(Vec<Record>);

struct Record {
    id: [u8; 32],
    key: Vec<u8>,
    time_ms: i64,
    value: Vec<u8>,
}

impl Records {
    fn new(pool: &Pool) -> anyhow::Result<Records> {
        let mut decoder = Decoder::new();
        let records = (0..Pool::DIFFERENT).map(|number| {
            let event: Event = decoder.decode(pool.record(number))?;
            let mut value = Vec::new();
            ecs::encode(&event, &mut value);
            value.pop();
            Ok(Record {
                id: event.id().hex(),
                key: event.host().id.clone().into_bytes(),
                time_ms: i64::try_from(event.time().0 / 1_000_000)?,
                value,
            })
        });
        Ok(Records(records.collect::<anyhow::Result<_>>()?))
    }

    fn send(&self, brokers: &str) -> anyhow::Result<Run> {
        let mut config = ClientConfig::new();
        for (name, value) in [
            ("bootstrap.servers", brokers),
            ("compression.codec", "zstd"),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("message.timeout.ms", "0"),
            ("max.in.flight", "1"),
            ("partitioner", "murmur2_random"),
        ] {
            config.set(name, value);
        }
        let delivered = Arc::new(AtomicU64::new(0));
        let producer: ThreadedProducer<Count> =
            config.create_with_context(Count(delivered.clone()))?;
        Run::measure(|| {
            for number in 0..EVENTS {
                let record = &self.0[(number % Pool::DIFFERENT) as usize];
                while !record.produce(&producer)? {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            producer.flush(Duration::from_secs(300))?;
            let delivered = delivered.load(Ordering::Relaxed);
            anyhow::ensure!(delivered == EVENTS, "{delivered} of {EVENTS} were delivered");
            Ok(())
        })
    }
}

impl Record {
    /// False when the queue is full.
    fn produce(&self, producer: &ThreadedProducer<Count>) -> anyhow::Result<bool> {
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header { key: "event-id", value: Some(&self.id) })
            .insert(Header { key: "schema", value: Some("ecs/9.4.0") })
            .insert(Header { key: "content-type", value: Some("application/json") });
        let record = BaseRecord::to("bench")
            .key(&self.key)
            .payload(&self.value)
            .timestamp(self.time_ms)
            .headers(headers);
        match producer.send(record) {
            Ok(()) => Ok(true),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                Ok(false)
            }
            Err((error, _)) => Err(error.into()),
        }
    }
}

/// Counts what is acknowledged.
struct Count(Arc<AtomicU64>);

impl rdkafka::ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The daemon at a steady rate, with a consumer that reads along.
fn steady(brokers: &str) -> anyhow::Result<(Vec<Figure>, Value)> {
    let dir = crate::daemon::directory()?;
    let program = dir.path().join("noop");
    noop::write(&program)?;
    let yaml = format!(
        "spool:\n  dir: {}\n  disk_free_min: 1MiB\nshutdown_timeout: 1m\nsinks:\n  - name: bench\n    \
         type: kafka\n    brokers: [{brokers}]\n    topic: steady\n",
        dir.path().join("spool").display(),
    );
    let daemon = Daemon::start_with(dir, &yaml)?;
    let pid = daemon.pid();
    let consumer = consumer(brokers)?;
    // The first event waits for the connection; the steady load does not.
    load::execute(&program, "first", 0..1)?;
    read_along(&consumer, "first", 1, &AtomicBool::new(true))?;
    eprintln!("{RATE} executions a second for {LOAD_SECONDS} s ...");
    let count = u64::from(RATE) * u64::from(LOAD_SECONDS);
    let done = AtomicBool::new(false);
    let before = process::cpu(pid)?;
    let (took, mut latencies) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| read_along(&consumer, "steady", count, &done));
        let took = load::execute_paced(&program, "steady", count, RATE);
        done.store(true, Ordering::Relaxed);
        let latencies = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        anyhow::Ok((took?, latencies?))
    })?;
    let after = process::cpu(pid)?;
    let memory = process::memory(pid)?;
    let stopped = daemon.stop()?;
    anyhow::ensure!(stopped.status.success(), "the daemon failed:\n{}", stopped.log);
    anyhow::ensure!(latencies.len() as u64 == count, "{} of {count} came", latencies.len());
    latencies.sort_unstable();
    let ms = |share| load::quantile(&latencies, share).map_or(f64::NAN, |ns| ns as f64 / 1e6);
    let cpu = (after.user + after.system - before.user - before.system).as_secs_f64();
    let figure =
        |name, value, unit, how: &str| Figure { name, value, unit, aim: None, how: how.to_owned() };
    let how = "1,000 exec/s, from shipper.boot_ns of the event to its record being read by a consumer, \
               which is after its acknowledgement";
    let figures = vec![
        figure("exec to Kafka, latency p50", ms(0.5), "ms", how),
        figure("exec to Kafka, latency p99", ms(0.99), "ms", "as above"),
        figure(
            "CPU of the daemon with Kafka at 1,000 exec/s",
            100.0 * cpu / took.as_secs_f64(),
            "% of a core",
            "utime + stime of /proc/PID/stat",
        ),
        figure(
            "memory with Kafka",
            memory.proportional as f64 / 1e6,
            "MB",
            "Pss of /proc/PID/smaps_rollup after the load",
        ),
    ];
    let detail = json!({
        "latency_ms": { "p50": ms(0.5), "p90": ms(0.9), "p99": ms(0.99), "max": ms(1.0) },
        "memory": super::steady::memory_json(&memory),
    });
    Ok((figures, detail))
}

fn consumer(brokers: &str) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "5")
        .create()?;
    consumer.subscribe(&["steady"])?;
    // It has its partitions once it has polled for a while.
    let deadline = Instant::now() + crate::process::LIMIT;
    while consumer.assignment()?.count() == 0 {
        anyhow::ensure!(Instant::now() < deadline, "the consumer gets no partitions");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message?;
        }
    }
    Ok(consumer)
}

/// Nanoseconds from each execution of the load to its record being here.
fn read_along(
    consumer: &BaseConsumer,
    mark: &str,
    count: u64,
    done: &AtomicBool,
) -> anyhow::Result<Vec<u64>> {
    let mut latencies: HashMap<String, u64> = HashMap::new();
    let mut last = Instant::now();
    while (latencies.len() as u64) < count {
        let is_over = done.load(Ordering::Relaxed) && last.elapsed() > crate::process::LIMIT;
        anyhow::ensure!(!is_over, "{} of {count} came", latencies.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let now = load::boot_now_ns()?;
        let event: Value = serde_json::from_slice(message?.payload().context("a value")?)?;
        let args = &event["process"]["args"];
        if args[1] == mark
            && let Some(number) = args[2].as_str()
        {
            let executed = event["shipper"]["boot_ns"].as_u64().context("no shipper.boot_ns")?;
            let again = latencies.insert(number.to_owned(), now.saturating_sub(executed));
            anyhow::ensure!(again.is_none(), "number {number} came twice");
            last = Instant::now();
        }
    }
    Ok(latencies.into_values().collect())
}
