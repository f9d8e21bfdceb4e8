//! A real daemon for a test: its own configuration and files in a temporary directory, started,
//! awaited, stopped, and its events read back.
//!
//! Capture sees the whole machine. What is not the test's own is dropped on reading: events are
//! looked for by a marker in their arguments or by an ancestor.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::process::{Ended, LIMIT, Process};

/// What the daemon logs when it captures.
pub const BEGUN: &str = "capture has begun";

/// What the daemon says where the kernel or a sandbox refuses it capture altogether.
const REFUSALS: [&str; 2] = ["the kernel programs cannot be loaded", "cannot be attached"];

/// A temporary directory that every user may search.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::Builder::new().prefix("shipper-test-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// A configuration in tracepoint mode whose one sink writes `events.ndjson` in `dir`. `more` are
/// lines of the sections before the sinks, `sink` lines of the sink, indented by four.
#[must_use]
pub fn config(dir: &Path, more: &str, sink: &str) -> String {
    format!(
        "capture:\n  mode: tracepoint\n{more}\n{}sinks:\n  - name: local\n    type: file\n    \
         path: {}/events.ndjson\n{sink}",
        spool(dir),
        dir.display()
    )
}

/// The section `spool` of a configuration whose spool is in `dir`. The disk may be nearly full. And
/// time enough at the end for a slow build on a busy machine to deliver all there is.
#[must_use]
pub fn spool(dir: &Path) -> String {
    format!("shutdown_timeout: 5m\nspool:\n  dir: {}/spool\n  disk_free_min: 1MiB\n", dir.display())
}

/// Whether a start failed since this machine allows no capture.
#[must_use]
pub fn is_refusal(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    REFUSALS.iter().any(|refusal| text.contains(refusal))
}

/// Runs a command that is to end by itself, and returns how it did; kills it at a limit.
pub fn run_to_end(command: &mut Command) -> anyhow::Result<std::process::Output> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the program under test cannot be started")?;
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, output) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match output.recv_timeout(LIMIT) {
        Ok(output) => Ok(output?),
        Err(_) => {
            // Not reaped yet, so the pid is still its own.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            let output = output.recv()??;
            bail!("it did not end; it said:\n{}", String::from_utf8_lossy(&output.stderr))
        }
    }
}

/// A daemon at work with its directory. Dropping it kills it.
pub struct Daemon {
    process: Process,
    dir: tempfile::TempDir,
}

/// Reads the events of a file as they come.
pub struct Follower {
    path: PathBuf,
    file: Option<std::fs::File>,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Follower {
    /// From the beginning of the file, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Follower {
        Follower { path, file: None, rest: Vec::new() }
    }

    /// The events since the last call; when the file was moved away, those of the new one with the
    /// next call.
    pub fn more(&mut self) -> anyhow::Result<Vec<Value>> {
        let named = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => std::fs::File::open(&self.path)?,
        };
        file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let events = parse_lines(&self.rest[..whole])?;
        self.rest.drain(..whole);
        if file.metadata()?.ino() == named.ino() {
            self.file = Some(file);
        }
        Ok(events)
    }
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

/// The build of this workspace that is tested: the one like this harness itself.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// The program under test: `SHIPPER_BIN`, or the build of this workspace.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("SHIPPER_BIN").map_or_else(
        || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
            root.join("target").join(PROFILE).join("shipper")
        },
        PathBuf::from,
    )
}

/// Builds the program under test once for all tests of a test binary, unless `SHIPPER_BIN` names it.
pub fn build() -> anyhow::Result<()> {
    static BUILT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let built = *BUILT.get_or_init(|| {
        std::env::var_os("SHIPPER_BIN").is_some()
            || crate::cargo()
                .args(["build", "--quiet", "--package", "shipper", "--bin", "shipper"])
                .args((PROFILE == "release").then_some("--release"))
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
            "{more_yaml}\n{}sinks:\n  - name: local\n    type: file\n    path: {}\n",
            spool(dir.path()),
            events.display()
        );
        Daemon::start_with(dir, &yaml)
    }

    /// As [`Daemon::start_with`], in a new directory that every user may search: `yaml` gets its
    /// path. `None`, and the test is skipped, where this machine allows no capture.
    pub fn start_or_skip(yaml: impl FnOnce(&Path) -> String) -> anyhow::Result<Option<Daemon>> {
        if !rustix::process::geteuid().is_root() {
            crate::skip("capture needs root");
            return Ok(None);
        }
        let dir = directory()?;
        let yaml = yaml(dir.path());
        match Daemon::start_with(dir, &yaml) {
            Ok(daemon) => Ok(Some(daemon)),
            Err(error) if is_refusal(&error) => {
                crate::skip(&error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a daemon with this whole configuration, which may name files in `dir`.
    pub fn start_with(dir: tempfile::TempDir, yaml: &str) -> anyhow::Result<Daemon> {
        Daemon::start_writing_to(dir, yaml, Stdio::null())
    }

    /// The same, with its standard output there.
    pub fn start_writing_to(
        dir: tempfile::TempDir,
        yaml: &str,
        stdout: Stdio,
    ) -> anyhow::Result<Daemon> {
        build()?;
        let config = dir.path().join("shipper.yaml");
        std::fs::write(&config, yaml)?;
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(&config).stdout(stdout);
        let mut process = Process::spawn(&mut command)?;
        process.await_log(BEGUN)?;
        Ok(Daemon { process, dir })
    }

    /// Waits until a line with this text is logged.
    pub fn await_log(&mut self, text: &str) -> anyhow::Result<()> {
        self.process.await_log(text)
    }

    /// Process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
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
        self.process.signal(signal)
    }

    /// Waits until an event of the file satisfies this, and returns it. Looks from the beginning of
    /// the file, and follows it when it is rotated.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + LIMIT;
        let mut follower = Follower::new(self.events_path());
        loop {
            if let Some(event) = follower.more()?.into_iter().find(&wanted) {
                return Ok(event);
            }
            if Instant::now() >= deadline {
                bail!("the event did not arrive; the log is:\n{}", self.process.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and waits for its end: everything captured before is in the file afterwards.
    pub fn stop(self) -> anyhow::Result<Stopped> {
        let Daemon { process, dir } = self;
        let Ended { status, log } = process.stop()?;
        Ok(Stopped { status, log, dir })
    }
}

impl Stopped {
    /// The events of `events.ndjson`. Fails on a line that is not one JSON object, or torn.
    pub fn events(&self) -> anyhow::Result<Vec<Value>> {
        let path = self.dir.path().join("events.ndjson");
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        parse_whole(&bytes)
    }

    /// The events of `events.ndjson` and of all files rotated away from it that are not compressed,
    /// in no order.
    pub fn events_of_all_files(&self) -> anyhow::Result<Vec<Value>> {
        let mut events = Vec::new();
        for entry in std::fs::read_dir(self.dir.path())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("events") && name.ends_with(".ndjson") {
                let bytes = std::fs::read(entry.path())?;
                events.extend(parse_whole(&bytes).with_context(|| name)?);
            }
        }
        Ok(events)
    }
}

/// The events of a file that is complete. Fails on a line that is not one JSON object, or torn.
pub fn parse_whole(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bail!("the last line is torn");
    }
    parse_lines(bytes)
}

/// The events of a file that is being written: whole lines only.
pub fn read_events(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    whole_lines(&bytes)
}

/// The events of a file or stream whose end may be torn.
pub fn whole_lines(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    parse_lines(&bytes[..whole])
}

fn parse_lines(bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
    bytes
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
