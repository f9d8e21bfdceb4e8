//! A real daemon for a test: its own configuration and files in a temporary directory, started,
//! awaited, stopped, and its events read back.
//!
//! Capture sees the whole machine. What is not the test's own is dropped on reading: events are
//! looked for by a marker in their arguments or by an ancestor.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// How long a daemon may take to begin or to end. It takes a fraction of a second; a loaded machine
/// more.
const LIMIT: Duration = Duration::from_secs(60);

/// A daemon at work. Dropping it kills it.
pub struct Daemon {
    child: Child,
    /// Everything it logged so far arrives here, line by line.
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
    dir: tempfile::TempDir,
}

/// What a daemon left behind.
pub struct Stopped {
    /// How it ended.
    pub status: ExitStatus,
    /// What it logged.
    pub log: String,
    /// Its directory, with `events.ndjson` and rotated files.
    pub dir: tempfile::TempDir,
}

/// The program under test: `SHIPPER_BIN`, or the debug build of this workspace.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("SHIPPER_BIN").map_or_else(
        || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
            root.join("target/debug/shipper")
        },
        PathBuf::from,
    )
}

/// Builds the program under test once for all tests of a test binary, unless `SHIPPER_BIN` names it.
pub fn build() -> anyhow::Result<()> {
    static BUILT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let built = *BUILT.get_or_init(|| {
        std::env::var_os("SHIPPER_BIN").is_some()
            || Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "shipper", "--bin", "shipper"])
                .status()
                .is_ok_and(|status| status.success())
    });
    if built { Ok(()) } else { bail!("the program under test cannot be built") }
}

impl Daemon {
    /// Starts a daemon whose one sink writes `events.ndjson`, with these lines put before the sinks
    /// in its YAML, and waits until capture has begun.
    pub fn start(more_yaml: &str) -> anyhow::Result<Daemon> {
        let dir = tempfile::Builder::new().prefix("shipper-test-").tempdir()?;
        let events = dir.path().join("events.ndjson");
        let yaml = format!(
            "{more_yaml}\nsinks:\n  - name: local\n    type: file\n    path: {}\n",
            events.display()
        );
        Daemon::start_with(dir, &yaml)
    }

    /// Starts a daemon with this whole configuration, which may name files in `dir`.
    pub fn start_with(dir: tempfile::TempDir, yaml: &str) -> anyhow::Result<Daemon> {
        build()?;
        let config = dir.path().join("shipper.yaml");
        std::fs::write(&config, yaml)?;
        let mut child = Command::new(program())
            .arg("run")
            .arg("--config")
            .arg(&config)
            .env("SHIPPER_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the program under test cannot be started")?;
        let stderr = child.stderr.take().context("its standard error")?;
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut daemon = Daemon { child, log, seen: Vec::new(), dir };
        daemon.await_log("capture has begun")?;
        Ok(daemon)
    }

    /// Waits until a line with this text is logged.
    pub fn await_log(&mut self, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !self.seen.iter().any(|line| line.contains(text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => bail!("`{text}` was not logged; the log is:\n{}", self.seen.join("\n")),
            }
        }
        Ok(())
    }

    /// Process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Directory of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file its sink writes.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.dir.path().join("events.ndjson")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("a pid")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits until an event of the file satisfies this, and returns it.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(event) = read_events(&self.events_path())?.into_iter().find(&wanted) {
                return Ok(event);
            }
            if Instant::now() >= deadline {
                bail!("the event did not arrive; the log is:\n{}", self.seen.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and waits for its end: everything captured before is in the file afterwards.
    pub fn stop(mut self) -> anyhow::Result<Stopped> {
        self.signal(rustix::process::Signal::TERM)?;
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!("the daemon did not end; the log is:\n{}", self.seen.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(5)) {
            self.seen.push(line);
        }
        let log = self.seen.join("\n");
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir()?);
        Ok(Stopped { status, log, dir })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended and reaped after `stop`; then both fail, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stopped {
    /// The events of `events.ndjson`. Fails on a line that is not one JSON object, or torn.
    pub fn events(&self) -> anyhow::Result<Vec<Value>> {
        let path = self.dir.path().join("events.ndjson");
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bail!("the last line is torn");
        }
        read_events(&path)
    }
}

/// The events of a file that is being written: whole lines only.
pub fn read_events(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    bytes[..whole]
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| {
            let value: Value = serde_json::from_slice(line).context("a line is not JSON")?;
            if value.is_object() { Ok(value) } else { bail!("a line is not a JSON object") }
        })
        .collect()
}

/// Whether an argument of this exec contains the text.
#[must_use]
pub fn has_arg(event: &Value, text: &str) -> bool {
    event["process"]["args"]
        .as_array()
        .is_some_and(|args| args.iter().any(|arg| arg.as_str().is_some_and(|a| a.contains(text))))
}
