//! One time so many events to a sink, from a spool that is full until the last is acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shipper::config::settings::DeliverySettings;
use shipper::deliver::Control;
use shipper::sink::Sink;
use shipper::spool::{Compression, Fsync};
use tokio::sync::watch;

use super::append::{SINK, fill, median, open, options};
use super::drain::line;
use super::process;
use super::synthetic::Pool;

/// What it took.
pub struct Run {
    /// Time.
    pub took: Duration,
    /// Processor time of all threads of this process.
    pub cpu: Duration,
}

impl Run {
    /// Measures what is done here.
    pub fn measure(run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Run> {
        let own = std::process::id();
        let before = process::cpu(own)?;
        let begin = Instant::now();
        run()?;
        let took = begin.elapsed();
        let after = process::cpu(own)?;
        Ok(Run { took, cpu: after.user + after.system - before.user - before.system })
    }

    /// Measures the line of the daemon to a sink.
    pub fn deliver(
        dir: &Path,
        pool: &Pool,
        events: u64,
        sink: Box<dyn Sink>,
        settings: DeliverySettings,
    ) -> anyhow::Result<Run> {
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(dir)?;
        let spool_dir = dir.path().join("spool");
        let (writer, spool) = open(options(&spool_dir, Compression::Lz4, Fsync::Never))?;
        fill(writer, pool, events)?;
        let line = line(&spool, SINK, sink, settings, spool_dir)?;
        let runtime = runtime()?;
        let (_control, watched) = watch::channel(Control::default());
        Run::measure(|| {
            let delivered = runtime.block_on(runtime.spawn(line.run(watched)))?;
            anyhow::ensure!(
                delivered.sent == events,
                "{} of {events} were delivered",
                delivered.sent
            );
            Ok(())
        })
    }

    /// For the document.
    pub fn json(&self) -> Value {
        json!({ "ms": self.took.as_millis() as u64, "cpu_ms": self.cpu.as_millis() as u64 })
    }
}

/// A runtime as the daemon has it.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Events a second, by the median of the runs.
pub fn rate(runs: &[Run], events: u64) -> f64 {
    events as f64 / median(runs.iter().map(|run| run.took.as_secs_f64()))
}

/// Processor time of an event in microseconds, by the median of the runs.
pub fn cpu_us(runs: &[Run], events: u64) -> f64 {
    median(runs.iter().map(|run| run.cpu.as_secs_f64())) * 1e6 / events as f64
}
