//! How fast a sink is served: reading, decoding and encoding alone, and the whole way from a source
//! as fast as it goes to the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use shipper::config;
use shipper::config::settings::{DeliverySettings, SinkKind};
use shipper::deliver::{Control, Line};
use shipper::event::codec::Decoder;
use shipper::format::ecs;
use shipper::sink::Sink;
use shipper::sink::file::FileSink;
use shipper::spool::{Compression, Fsync, Spool};
use tokio::sync::watch;

use super::append::{FSYNC, SINK, fill, median, open, options};
use super::process;
use super::report::{Aim, Figure};
use super::synthetic::Pool;

/// Events of a round.
const EVENTS: u64 = 300_000;

/// Rounds of each.
const ROUNDS: usize = 5;

/// 150,000 lines of 1 KB a second. The shortest line there is has more than twice that, so it is the
/// bytes that are compared.
const AIM: Aim = Aim::AtLeast(150.0);

/// Where files are in memory: what the processor can do when the disk is no limit.
const MEMORY: &str = "/dev/shm";

/// Measures all of it.
///
/// # Errors
/// When a directory cannot be used, or an event got lost.
pub fn run(dir: &Path, pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    eprintln!("{ROUNDS} times {EVENTS} events from a spool, and from a source to a file ...");
    let mut drained = Vec::new();
    let (mut to_disk, mut to_memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        drained.push(drain(dir, pool)?.as_secs_f64());
        to_disk.push(deliver(dir, pool)?);
        if Path::new(MEMORY).is_dir() {
            to_memory.push(deliver(Path::new(MEMORY), pool)?);
        }
    }
    let rate = |seconds: f64| EVENTS as f64 / seconds;
    let mb_a_second = |rate: f64| rate * pool.line_bytes as f64 / 1e6;
    let seconds = |runs: &[Run]| median(runs.iter().map(|run| run.took.as_secs_f64()));
    let mut figures = vec![Figure {
        name: "drain",
        value: rate(median(drained.iter().copied())),
        unit: "events/s",
        aim: None,
        how: format!(
            "one thread: read from the spool, decode, encode as ECS lines of {} bytes; median of \
             {ROUNDS} times {EVENTS} events",
            pool.line_bytes
        ),
    }];
    let places: [(&'static str, _, &[Run]); 2] = [
        ("source to file", "default batches, each synced to the disk", &to_disk),
        (
            "source to file, in memory",
            "default batches in /dev/shm, where no disk is waited for",
            &to_memory,
        ),
    ];
    for (name, how, runs) in places {
        if !runs.is_empty() {
            let rate = rate(seconds(runs));
            figures.push(Figure {
                name,
                value: mb_a_second(rate),
                unit: "MB/s",
                aim: Some(AIM),
                how: format!(
                    "{rate:.0} events/s: one thread appends, one line delivers to a file sink, until \
                     the last line is in it; {how}; median of {} runs",
                    runs.len(),
                ),
            });
        }
    }
    if let Some(run) = to_disk.first() {
        let payload = (0..EVENTS).map(|number| pool.record(number).len() as u64).sum::<u64>();
        figures.push(Figure {
            name: "written to the spool, full rate",
            value: run.written.saturating_sub(run.file_bytes) as f64 / payload as f64,
            unit: "",
            aim: None,
            how: "write_bytes of /proc/self/io less the sink's file, a byte of event: segments, \
                  cursor, status"
                .to_owned(),
        });
    }
    let details = json!({
        "drain_ms": drained.iter().map(|seconds| (seconds * 1e3) as u64).collect::<Vec<_>>(),
        "to_disk": to_disk.iter().map(Run::json).collect::<Vec<_>>(),
        "to_memory": to_memory.iter().map(Run::json).collect::<Vec<_>>(),
    });
    Ok((figures, details))
}

/// Reads, decodes and encodes what was appended before.
fn drain(dir: &Path, pool: &Pool) -> anyhow::Result<Duration> {
    let dir = tempfile::Builder::new().prefix("drain-").tempdir_in(dir)?;
    let spool = options(&dir.path().join("spool"), Compression::Lz4, Fsync::Never);
    let (writer, spool) = open(spool)?;
    fill(writer, pool, EVENTS)?;
    let (mut reader, _cursor) = spool.cursor(SINK)?;
    let mut decoder = Decoder::new();
    let (mut line, mut count) = (Vec::new(), 0);
    let begin = Instant::now();
    while let Some(block) = reader.try_next()? {
        for (_, record) in block.records() {
            line.clear();
            ecs::encode(&decoder.decode(record)?, &mut line);
            count += 1;
        }
    }
    let took = begin.elapsed();
    anyhow::ensure!(count == EVENTS, "{count} of {EVENTS} events came back");
    Ok(took)
}

/// One time from source to file.
struct Run {
    took: Duration,
    /// Processor time of all threads.
    cpu: Duration,
    /// Of the lines.
    file_bytes: u64,
    /// What the kernel counted as written by this process.
    written: u64,
}

impl Run {
    fn json(&self) -> Value {
        json!({
            "ms": self.took.as_millis() as u64,
            "cpu_ms": self.cpu.as_millis() as u64,
            "line_bytes": self.file_bytes,
            "written_bytes": self.written,
        })
    }
}

/// The line of the daemon with its default settings, over a spool that is filled meanwhile.
fn deliver(dir: &Path, pool: &Pool) -> anyhow::Result<Run> {
    let dir = tempfile::Builder::new().prefix("shipper-bench-").tempdir_in(dir)?;
    let path = dir.path().join("events.ndjson");
    let yaml = format!(
        "sinks:\n  - name: {SINK}\n    type: file\n    path: {}\n    rotate: {{ bytes: 16GiB }}\n",
        path.display()
    );
    let settings = config::parse("bench", &yaml)?;
    let settings = settings.sinks.into_iter().next().context("the sink")?;
    let SinkKind::File(file) = settings.kind else { anyhow::bail!("a file sink") };
    let (sink, _housekeeper) = FileSink::new(file);
    let dir = dir.path().join("spool");
    let (writer, spool) = open(options(&dir, Compression::Lz4, Fsync::Interval(FSYNC)))?;
    let line = line(&spool, SINK, Box::new(sink), settings.delivery, dir)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (_control, watched) = watch::channel(Control::default());

    let own = std::process::id();
    let (cpu_before, written_before) = (process::cpu(own)?, process::written(own)?);
    let begin = Instant::now();
    let delivered = std::thread::scope(|scope| {
        let source = scope.spawn(|| fill(writer, pool, EVENTS));
        let delivered = runtime.block_on(runtime.spawn(line.run(watched)))?;
        source.join().map_err(|_| anyhow::anyhow!("the source panicked"))??;
        anyhow::Ok(delivered)
    })?;
    let took = begin.elapsed();
    let (cpu, written) = (process::cpu(own)?, process::written(own)?);
    anyhow::ensure!(delivered.sent == EVENTS, "{} of {EVENTS} were delivered", delivered.sent);
    Ok(Run {
        took,
        cpu: cpu.user + cpu.system - cpu_before.user - cpu_before.system,
        file_bytes: std::fs::metadata(&path)?.len(),
        written: written - written_before,
    })
}

/// The line of the daemon over a spool, to this sink.
pub fn line(
    spool: &Spool,
    name: &str,
    sink: Box<dyn Sink>,
    settings: DeliverySettings,
    spool_dir: PathBuf,
) -> anyhow::Result<Line> {
    let (reader, cursor) = spool.cursor(name)?;
    Ok(Line {
        name: name.to_owned(),
        sink,
        reader,
        cursor,
        replay: spool.replay(name)?,
        quarantine: spool.quarantine(name, settings.quarantine_bytes_max)?,
        settings,
        status_dir: Some(spool_dir),
    })
}
