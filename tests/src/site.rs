//! One place in which a daemon is started again and again, whatever ends it: configuration, spool,
//! files, pins, a stream of numbered executions, and the account of what became of them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::daemon::{self, read_events};
use crate::mounted::Mounted;
use crate::outcome::{self, Outcome};
use crate::process::{LIMIT, LOOK_INTERVAL, Process};
use crate::{skip, tiny};

/// A configuration with its files.
pub struct Site {
    dir: tempfile::TempDir,
    /// With capture pinned, where.
    pins: Option<Mounted>,
    /// What is executed.
    program: PathBuf,
    /// The first argument of what is executed for this site and no other.
    mark: String,
}

/// What a site's configuration has beyond the common.
#[derive(Clone, Default)]
pub struct Plan {
    /// Whether capture is pinned.
    pub pin: bool,
    /// Lines of the section `capture`, indented by two.
    pub capture: String,
    /// Where the spool is; in the site's own directory unless said.
    pub spool_dir: Option<PathBuf>,
    /// Lines of the section `spool`, indented by two. A size of what must stay free is there already.
    pub spool: String,
    /// Lines of the sink `local`, a file sink, indented by four.
    pub local: String,
    /// How long the end may take; ample unless said.
    pub shutdown_timeout: Option<&'static str>,
    /// More lines after it: further sinks, indented by two, or sections.
    pub more: String,
}

impl Plan {
    /// The same with a further sink, written like this, to be held to the file of `local`.
    #[must_use]
    pub fn with_sink(self, sink: &str) -> Plan {
        // One file, however long it takes: it is read as the measure.
        let local = "    rotate: { bytes: 1TiB }\n".to_owned() + &self.local;
        Plan { local, more: sink.to_owned() + &self.more, ..self }
    }
}

/// Numbered executions that go on until they are ended.
pub struct Stream {
    child: Child,
    /// How many there were, row by row.
    counts: mpsc::Receiver<u64>,
    count: u64,
}

impl Site {
    /// `None`, and the test is skipped, where capture or mounting is not allowed. `mark` is a word.
    pub fn new(mark: &str, plan: &Plan) -> anyhow::Result<Option<Site>> {
        if !rustix::process::geteuid().is_root() {
            skip("capture needs root");
            return Ok(None);
        }
        daemon::build()?;
        let dir = daemon::directory()?;
        let pins = match plan.pin {
            true => match Mounted::bpf()? {
                None => return Ok(None),
                mounted => mounted,
            },
            false => None,
        };
        let program = dir.path().join("no-op");
        tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
        let mark = format!("{mark}-{}", std::process::id());
        let site = Site { dir, pins, program, mark };
        site.configure(plan)?;
        Ok(Some(site))
    }

    /// Has the next start find this configuration. Whether capture is pinned stays as it was.
    pub fn configure(&self, plan: &Plan) -> anyhow::Result<()> {
        Ok(std::fs::write(self.config_path(), self.yaml(plan))?)
    }

    fn yaml(&self, plan: &Plan) -> String {
        let Plan { pin: _, capture, spool_dir, spool, local, shutdown_timeout, more } = plan;
        let pin = self.pins.is_some();
        let spool_dir = spool_dir.clone().unwrap_or_else(|| self.dir.path().join("spool"));
        // The disk may be full of other things; what a test itself sets comes instead.
        let free = if spool.contains("disk_free_min") { "" } else { "  disk_free_min: 1MiB\n" };
        let shutdown_timeout = shutdown_timeout.unwrap_or("10m");
        format!(
            "capture:\n  mode: tracepoint\n  pin: {pin}\n{capture}\
             spool:\n  dir: {}\n{free}{spool}\
             shutdown_timeout: {shutdown_timeout}\n\
             sinks:\n  - name: local\n    type: file\n    path: {}\n{local}{more}",
            spool_dir.display(),
            self.events_path().display(),
        )
    }

    fn config_path(&self) -> PathBuf {
        self.dir.path().join("shipper.yaml")
    }

    /// Directory of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file that the sink `local` writes.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.dir.path().join("events.ndjson")
    }

    /// The command `run`, to be given an environment and a standard output.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(daemon::program());
        command.arg("run").arg("--config").arg(self.config_path()).stdout(Stdio::null());
        if let Some(pins) = &self.pins {
            command.arg("--pin-dir").arg(pins.path().join("shipper"));
        }
        command
    }

    /// Starts a daemon, and waits until it captures.
    pub fn start(&self) -> anyhow::Result<Process> {
        Site::begin(&mut self.command())
    }

    /// The same with [`Site::command`], to which something was added.
    pub fn begin(command: &mut Command) -> anyhow::Result<Process> {
        let mut process = Process::spawn(command)?;
        process.await_log(daemon::BEGUN)?;
        Ok(process)
    }

    /// As [`Site::begin`]; `None`, and the test is skipped, where this machine allows no capture.
    pub fn begin_or_skip(command: &mut Command) -> anyhow::Result<Option<Process>> {
        match Site::begin(command) {
            Ok(process) => Ok(Some(process)),
            Err(error) if daemon::is_refusal(&error) => {
                skip(&error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Site::start`]; `None`, and the test is skipped, where this machine allows no capture.
    pub fn start_or_skip(&self) -> anyhow::Result<Option<Process>> {
        Site::begin_or_skip(&mut self.command())
    }

    /// Has daemons deliver what is left of `count` executions, and accounts for all of them: one that
    /// stops leaves in a pinned ring what it does not read within a second.
    ///
    /// # Panics
    /// When one is missing and not counted as lost.
    pub fn settle(&self, mut process: Process, count: u64) -> anyhow::Result<Outcome> {
        const STARTS_MAX: u32 = 10;
        for _ in 0..STARTS_MAX {
            let ended = process.stop()?;
            if !ended.status.success() {
                bail!("it ended with {}:\n{}", ended.status, ended.log);
            }
            let outcome = self.outcome()?;
            if self.pins.is_none() || outcome.numbers.last().map_or(0, |last| last + 1) == count {
                outcome.assert_all(count);
                return Ok(outcome);
            }
            process = self.start()?;
        }
        bail!("the last of {count} executions did not come in {STARTS_MAX} starts")
    }

    /// Executes the program with numbers from 0 on: so many in a row, then a pause, again and again.
    /// Each has so many bytes of further arguments.
    ///
    /// `helper` is the program `exec_helper`.
    pub fn stream(&self, helper: &str, pace: Pace) -> anyhow::Result<Stream> {
        let mut child = Command::new(helper)
            .arg("stream")
            .args([self.program.as_os_str(), self.mark.as_ref()])
            .args(
                [pace.in_a_row, pace.pause_ms, pace.padding_bytes].map(|number| number.to_string()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let (sender, counts) = mpsc::channel();
        std::thread::spawn(move || {
            let counts = lines.map_while(Result::ok).map_while(|line| line.parse().ok());
            counts.take_while(|count| sender.send(*count).is_ok()).for_each(drop);
        });
        Ok(Stream { child, counts, count: 0 })
    }

    /// Executes the program on every CPU that this process may use, so that the last number of each
    /// is known; after the daemon has shown that it reads again.
    pub fn execute_on_each_cpu(&self, helper: &str) -> anyhow::Result<()> {
        for cpu in 0..std::thread::available_parallelism()?.get() {
            let status = Command::new(helper)
                .args(["on-cpu", &cpu.to_string()])
                .arg(&self.program)
                .arg(format!("cpu-{}", self.mark))
                .status()?;
            if !status.success() {
                bail!("nothing could be executed on CPU {cpu}");
            }
        }
        Ok(())
    }

    /// Waits until the file that the sink `local` writes now has an event like this.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !read_events(&self.events_path())?.iter().any(&wanted) {
            if Instant::now() >= deadline {
                bail!("the event did not arrive in {}", self.events_path().display());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Number of the stream that this event is of.
    #[must_use]
    pub fn number(&self, event: &Value) -> Option<u64> {
        outcome::number(event, &self.mark)
    }

    /// What the sink `local` has written; see [`Outcome::read`].
    pub fn outcome(&self) -> anyhow::Result<Outcome> {
        self.outcome_in(self.dir.path())
    }

    /// What a daemon that was killed has left of it.
    pub fn outcome_of_killed(&self) -> anyhow::Result<Outcome> {
        Outcome::read_killed(self.dir(), &self.mark)
    }

    /// As [`Site::outcome`], of a sink that writes `events.ndjson` in another directory.
    pub fn outcome_in(&self, dir: &Path) -> anyhow::Result<Outcome> {
        Outcome::read(dir, &self.mark)
    }
}

/// How a stream goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Executions in a row.
    pub in_a_row: u32,
    /// Milliseconds before the next row.
    pub pause_ms: u32,
    /// Bytes of the last argument of each.
    pub padding_bytes: u32,
}

impl Stream {
    /// Waits for so many more executions. The numbers from the one returned on are still to come.
    pub fn await_more(&mut self, count: u64) -> anyhow::Result<u64> {
        self.count = self.counts.try_iter().last().unwrap_or(self.count);
        let wanted = self.count + count;
        while self.count < wanted {
            self.count = self.counts.recv_timeout(LIMIT).context("the stream does not go on")?;
        }
        Ok(self.count)
    }

    /// Ends it, and says how many were executed: the numbers below that.
    pub fn end(mut self) -> anyhow::Result<u64> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the stream ended with {status}");
        }
        Ok(self.counts.iter().last().unwrap_or(self.count))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Ended and reaped already after `end`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
