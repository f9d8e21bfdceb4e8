//! A daemon as a process: started, awaited, signalled, ended; its log is read as it comes.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a daemon may take for anything. It takes a fraction of a second; a loaded machine more.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How often is looked at what cannot be waited for.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Looks until it is so. Fails after [`LIMIT`], naming what was waited for, or when looking fails.
pub fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !is_so()? {
        if Instant::now() >= deadline {
            bail!("waited in vain: {what}");
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// A daemon at work. Dropping it kills it.
pub struct Process {
    child: Child,
    /// Everything it logged so far arrives here, line by line.
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it logged.
    pub log: String,
}

impl Ended {
    /// Whether SIGKILL ended it.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(Signal::KILL.as_raw())
    }
}

impl Process {
    /// Starts a command that logs to standard error; at level `info`, unless it says otherwise.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Process> {
        if !command.get_envs().any(|(name, _)| name == "SHIPPER_LOG") {
            command.env("SHIPPER_LOG", "info");
        }
        let mut child = command
            .stdin(Stdio::null())
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
        Ok(Process { child, log, seen: Vec::new() })
    }

    /// Waits until a line with this text is logged.
    pub fn await_log(&mut self, text: &str) -> anyhow::Result<()> {
        self.await_log_times(text, 1)
    }

    /// Waits until so many lines with this text were logged since it began.
    pub fn await_log_times(&mut self, text: &str, times: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.seen.iter().filter(|line| line.contains(text)).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => bail!("`{text}` was not logged; the log is:\n{}", self.log()),
            }
        }
        Ok(())
    }

    /// How many lines with this text were logged by now.
    pub fn logged(&mut self, text: &str) -> usize {
        self.seen.extend(self.log.try_iter());
        self.seen.iter().filter(|line| line.contains(text)).count()
    }

    /// What was logged, as far as it was waited for.
    #[must_use]
    pub fn log(&self) -> String {
        self.seen.join("\n")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, if that is a pipe and was not taken before.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // Not reaped yet, so the pid is still its own.
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                self.seen.extend(self.log.try_iter());
                bail!("the daemon did not end; the log is:\n{}", self.log());
            }
            std::thread::sleep(LOOK_INTERVAL);
        };
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(5)) {
            self.seen.push(line);
        }
        Ok(Ended { status, log: self.log() })
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(mut self) -> anyhow::Result<Ended> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(mut self) -> anyhow::Result<Ended> {
        self.child.kill()?;
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended and reaped after `wait`; then both fail, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
