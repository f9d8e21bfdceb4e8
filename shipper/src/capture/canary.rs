//! The canary: an exec of our own that proves which hook really fires. Attaching is no proof: on
//! 5.10 an LSM program attaches without an error and never runs unless `bpf` is in `lsm=`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::decode::{ExecRecord, Record, decode, header};
use common::wire::{EXEC_HOOK, ProcessId};

/// A directory cannot be executed (EACCES), whoever tries.
const NOT_EXECUTABLE: &str = "/";

/// First argument of a canary process. The program given must do nothing and exit when it sees it.
pub const CANARY_ARGUMENT: &str = "__canary";

/// An exec that failed, whose record is looked for.
pub struct FailedCanary {
    token: String,
}

impl FailedCanary {
    /// Tries to execute a directory.
    ///
    /// # Errors
    /// No process could be made for that.
    pub fn release() -> std::io::Result<Self> {
        let token = token();
        match Command::new(NOT_EXECUTABLE).args([CANARY_ARGUMENT, &token]).spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Ok(FailedCanary { token })
            }
            Err(error) => Err(error),
            Ok(_) => Err(std::io::Error::other("a directory was executed")),
        }
    }

    /// Whether this record is of that attempt, and which process it is.
    pub fn recognise(&self, record: &[u8]) -> Option<((), ProcessId)> {
        let Ok(Record::Failure(attempt)) = decode(record) else { return None };
        has_token(&attempt, &self.token).then_some(((), attempt.exec.process))
    }
}

fn token() -> String {
    format!(
        "{}-{}",
        std::process::id(),
        rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_nsec
    )
}

fn has_token(exec: &ExecRecord<'_>, token: &str) -> bool {
    let mut args = exec.bytes(exec.exec.argv).split(|&byte| byte == 0).skip(1);
    args.next() == Some(CANARY_ARGUMENT.as_bytes()) && args.next() == Some(token.as_bytes())
}

/// A canary on its way.
pub struct Canary {
    child: Child,
    token: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its exec was reported with what the hook saw.
    WithHook,
    /// Its exec was reported by the tracepoint alone.
    WithoutHook,
}

/// Processes that were canaries: nothing of them is an event, neither their exec nor their end.
#[derive(Default)]
pub struct Canaries {
    processes: Vec<ProcessId>,
    /// Nothing later is of them, nanoseconds since boot.
    until_boot_ns: u64,
}

impl Canaries {
    /// One more.
    pub fn push(&mut self, process: ProcessId) {
        self.processes.push(process);
    }

    /// All of them have ended, before this moment since boot.
    pub fn ended(&mut self, now_boot_ns: u64) {
        self.until_boot_ns = now_boot_ns;
    }

    /// Whether this record is of one of them. They are forgotten at the first record that was made
    /// after their end.
    pub fn made(&mut self, record: &[u8]) -> bool {
        if self.processes.is_empty() {
            return false;
        }
        if header(record).is_some_and(|header| header.boot_ns > self.until_boot_ns) {
            self.processes.clear();
            return false;
        }
        let process = match decode(record) {
            Ok(Record::Fork(_, fork)) => fork.child,
            Ok(Record::Exec(exec) | Record::Failure(exec)) => exec.exec.process,
            Ok(Record::Exit(_, exit)) => exit.process,
            Err(_) => return false,
        };
        let same = |one: &ProcessId| (one.tgid, one.start_ns) == (process.tgid, process.start_ns);
        self.processes.iter().any(same)
    }
}

impl Canary {
    /// Executes `program __canary TOKEN`.
    pub fn release(program: &PathBuf) -> std::io::Result<Self> {
        let token = token();
        let child = Command::new(program)
            .args([OsString::from(CANARY_ARGUMENT), OsString::from(&token)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Canary { child, token })
    }

    /// Whether this record is the canary's exec, and which process it is.
    pub fn recognise(&self, record: &[u8]) -> Option<(Seen, ProcessId)> {
        let Ok(Record::Exec(exec)) = decode(record) else { return None };
        let seen =
            if exec.exec.flags & EXEC_HOOK != 0 { Seen::WithHook } else { Seen::WithoutHook };
        has_token(&exec, &self.token).then_some((seen, exec.exec.process))
    }

    /// Reaps the process. Its last record is in the ring then.
    pub fn finish(mut self) {
        // It exits at once by itself; what it returned does not matter.
        let _ = self.child.wait();
    }
}
