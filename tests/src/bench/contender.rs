//! What follows executions, for a comparison: started, seen to be at work, ended with nothing left behind.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::load;
use super::process;
use super::steady;
use crate::daemon::{Daemon, directory};
use crate::process::until;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// This daemon, in a capture mode.
    Shipper(&'static str),
    /// auditd with a rule for `execve` and `execveat`.
    Auditd,
    /// execsnoop of bpftrace.
    Execsnoop,
}

/// One at work.
pub struct Running {
    /// Processes whose processor time it takes, threads of the kernel included.
    pids: Vec<u32>,
    /// The file that it writes what it sees to.
    output: PathBuf,
    what: What,
}

enum What {
    Daemon(Daemon),
    Guarded(Guarded),
}

/// A script that undoes everything when its standard input ends, also when this process is killed.
struct Guarded {
    script: Child,
    _dir: tempfile::TempDir,
}

impl Contender {
    /// As figures name it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Contender::Shipper(mode) => format!("shipper, mode {mode}"),
            Contender::Auditd => "auditd".to_owned(),
            Contender::Execsnoop => "execsnoop (bpftrace)".to_owned(),
        }
    }

    /// Starts it, and waits until what is executed shows in its output. The error says why this machine
    /// cannot have it.
    pub fn start(self, program: &Path) -> anyhow::Result<Running> {
        let dir = directory()?;
        let mut running = match self {
            Contender::Shipper(mode) => {
                let output = dir.path().join("events.ndjson");
                let capture = format!("capture:\n  mode: {mode}\n");
                let yaml = steady::one_file(dir.path(), &capture);
                let daemon = Daemon::start_with(dir, &yaml)?;
                Running { pids: vec![daemon.pid()], output, what: What::Daemon(daemon) }
            }
            Contender::Auditd => guarded(dir, include_str!("auditd.sh"))?,
            Contender::Execsnoop => guarded(dir, include_str!("execsnoop.sh"))?,
        };
        running.await_seen(program, "begun")?;
        Ok(running)
    }
}

/// Runs a script in a session of its own, so that Ctrl-C does not keep it from undoing what it did; in a
/// mount namespace of its own.
fn guarded(dir: tempfile::TempDir, script: &str) -> anyhow::Result<Running> {
    let mut script = Command::new("unshare")
        .args(["--mount", "setsid", "--wait", "/bin/sh", "-c", script, "sh"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("unshare and setsid of util-linux are needed")?;
    let mut line = String::new();
    BufReader::new(script.stdout.take().context("its output")?).read_line(&mut line)?;
    let output = dir.path().join("out");
    let what = What::Guarded(Guarded { script, _dir: dir });
    let mut running = Running { pids: Vec::new(), output, what };
    let Some(pids) = line.strip_prefix("READY ") else {
        bail!("{}", line.strip_prefix("CANNOT ").unwrap_or(&line).trim());
    };
    running.pids = pids.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(running)
}

impl Running {
    /// Executes the program with this word until that shows in the output: all before it were handled. One
    /// may be missed, at the beginning or by what loses some under load. How many it took.
    pub fn await_seen(&mut self, program: &Path, word: &str) -> anyhow::Result<u64> {
        // Longer lines than this are split by nothing that is compared here.
        const OVERLAP_BYTES: u64 = 256;
        let mut from = std::fs::metadata(&self.output).map_or(0, |metadata| metadata.len());
        let mut executed = 0;
        until("an execution in its output", || {
            load::execute_one(program, word, 0)?;
            executed += 1;
            if !self.pids.iter().all(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
                let said = self.output.with_file_name("said");
                bail!("it ended: {}", std::fs::read_to_string(said).unwrap_or_default());
            }
            let Ok(mut file) = std::fs::File::open(&self.output) else { return Ok(false) };
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)?;
            let is_there = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            from = (from + bytes.len() as u64).saturating_sub(OVERLAP_BYTES);
            Ok(is_there)
        })?;
        Ok(executed)
    }

    /// Processor time so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for &pid in &self.pids {
            let cpu = process::cpu(pid)?;
            sum += cpu.user + cpu.system;
        }
        Ok(sum)
    }

    /// The daemon's pid, where it is ours.
    #[must_use]
    pub fn daemon(&self) -> Option<u32> {
        match &self.what {
            What::Daemon(daemon) => Some(daemon.pid()),
            What::Guarded(_) => None,
        }
    }

    /// Ends it, and waits until nothing of it is left.
    pub fn stop(self) -> anyhow::Result<()> {
        match self.what {
            What::Daemon(daemon) => {
                let stopped = daemon.stop()?;
                ensure!(stopped.status.success(), "the daemon failed:\n{}", stopped.log);
            }
            What::Guarded(mut guarded) => {
                drop(guarded.script.stdin.take());
                let status = guarded.script.wait()?;
                ensure!(status.success(), "its script ended with {status}");
            }
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Never killed: it undoes what it did, and then ends by itself. Done already after `stop`.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
