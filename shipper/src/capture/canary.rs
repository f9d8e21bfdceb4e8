//! The canary: an exec of our own that proves which hook really fires. Attaching is no proof: on
//! 5.10 an LSM program attaches without an error and never runs unless `bpf` is in `lsm=`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::decode::{ExecRecord, Record, decode};
use common::wire::EXEC_HOOK;

/// First argument of a canary process. The program given must do nothing and exit when it sees it.
pub const CANARY_ARGUMENT: &str = "__canary";

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

impl Canary {
    /// Executes `program __canary TOKEN`.
    pub fn release(program: &PathBuf) -> std::io::Result<Self> {
        let token = format!(
            "{}-{}",
            std::process::id(),
            rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_nsec
        );
        let child = Command::new(program)
            .args([OsString::from(CANARY_ARGUMENT), OsString::from(&token)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Canary { child, token })
    }

    /// Whether this record is the canary's exec.
    pub fn recognise(&self, record: &[u8]) -> Option<Seen> {
        let Ok(Record::Exec(exec)) = decode(record) else { return None };
        let seen =
            if exec.exec.flags & EXEC_HOOK != 0 { Seen::WithHook } else { Seen::WithoutHook };
        self.is_mine(&exec).then_some(seen)
    }

    fn is_mine(&self, exec: &ExecRecord<'_>) -> bool {
        let mut args = exec.bytes(exec.exec.argv).split(|&byte| byte == 0).skip(1);
        args.next() == Some(CANARY_ARGUMENT.as_bytes())
            && args.next() == Some(self.token.as_bytes())
    }

    /// Reaps the process.
    pub fn finish(mut self) {
        // It exits at once by itself; what it returned does not matter.
        let _ = self.child.wait();
    }
}
