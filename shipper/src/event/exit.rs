//! The end of a process: which one, how it ended, and after how long.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Ancestor, Host, Id, Membership, RuleMatch, WallTime};

/// Low bits of a wait status: the signal that ended the process, 0 for none.
const SIGNAL_BITS: u16 = 0x7f;

/// Bit of a wait status: its memory was written to a core file.
const CORE_DUMPED: u16 = 0x80;

/// What a shell adds to the number of a signal for its `$?`.
const SHELL_SIGNAL_BASE: u16 = 128;

/// Names of the signals from 1 on, as `asm-generic/signal.h` numbers them: x86-64 and arm64 do.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The first real-time signal that programs have; the C library keeps 32 and 33 to itself.
const SIGNAL_REAL_TIME_MIN: u8 = 34;

/// The last signal there is.
const SIGNAL_MAX: u8 = 64;

/// A process ended, with the last of its threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The same end read twice has the same id.
    pub id: Id,
    /// When it ended, wall clock as the daemon had it on reading.
    pub time: WallTime,
    /// The same moment in nanoseconds since boot, which no clock change moves.
    pub boot_ns: u64,
    /// When the daemon read the record.
    pub read: WallTime,
    /// CPU of the record; sequence numbers count per CPU.
    pub cpu: u32,
    /// Number of this end on its CPU since capture began.
    pub sequence: u64,
    /// The machine.
    pub host: Arc<Host>,
    /// The process, told as an ancestor is: by what the process table knew of it last.
    pub process: Ancestor,
    /// Its leaders, terminal and user.
    pub member: Membership,
    /// How it ended.
    pub status: WaitStatus,
    /// How long it was there, in nanoseconds; suspend counts.
    pub duration_ns: u64,
    /// Ancestors, the parent first.
    pub ancestry: Vec<Ancestor>,
    /// The chain goes on above the last ancestor listed.
    pub ancestry_cut: bool,
    /// Rules that matched, in the order in which they are configured.
    pub matches: Vec<RuleMatch>,
}

impl Exit {
    /// It had a controlling terminal. What terminal it had is known of a process whose session is.
    #[must_use]
    pub fn interactive(&self) -> Option<bool> {
        (self.member.session_leader.pid != 0).then_some(self.member.tty.is_some())
    }
}

/// How a process ended, as wait(2) shows it: the exit status in the high byte, or the signal that
/// ended it in the low 7 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStatus(pub u16);

impl WaitStatus {
    /// From the kernel's record. A kernel thread may leave any number there, a negative one
    /// too: beyond 16 bits there is no signal, and the exit status is what a shell would make of it.
    #[must_use]
    pub fn of_record(exit_code: u32) -> WaitStatus {
        WaitStatus(u16::try_from(exit_code).unwrap_or((exit_code & 0xff00) as u16))
    }

    /// The signal that ended it, 1 to 127.
    #[must_use]
    pub fn signal(self) -> Option<u8> {
        let signal = (self.0 & SIGNAL_BITS) as u8;
        (signal != 0).then_some(signal)
    }

    /// The name of that signal, where it has one.
    #[must_use]
    pub fn signal_name(self) -> Option<Cow<'static, str>> {
        let signal = self.signal()?;
        if let Some(name) = SIGNALS.get(usize::from(signal) - 1) {
            return Some(Cow::Borrowed(name));
        }
        match signal.checked_sub(SIGNAL_REAL_TIME_MIN)? {
            0 => Some(Cow::Borrowed("SIGRTMIN")),
            above if signal <= SIGNAL_MAX => Some(Cow::Owned(format!("SIGRTMIN+{above}"))),
            _ => None,
        }
    }

    /// Whether a signal ended it and a core file was written.
    #[must_use]
    pub fn core_dumped(self) -> bool {
        self.signal().is_some() && self.0 & CORE_DUMPED != 0
    }

    /// The exit status, the high byte; 0 where a signal ended it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// What a shell has in `$?`: the exit status, or 128 and the number of the signal.
    #[must_use]
    pub fn code(self) -> u16 {
        match self.signal() {
            Some(signal) => SHELL_SIGNAL_BASE + u16::from(signal),
            None => self.exit_code().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_a_shell_reads_it() {
        let cases = [
            (0, 0, None, false),
            (7 << 8, 7, None, false),
            (255 << 8, 255, None, false),
            (9, 137, Some("SIGKILL"), false),
            (11, 139, Some("SIGSEGV"), false),
            (11 | 0x80, 139, Some("SIGSEGV"), true),
            (31, 159, Some("SIGSYS"), false),
            (32, 160, None, false),
            (34, 162, Some("SIGRTMIN"), false),
            (64, 192, Some("SIGRTMIN+30"), false),
            (65, 193, None, false),
            // No signal, so no core file either.
            (0x80, 0, None, false),
        ];
        for (raw, code, name, core_dumped) in cases {
            let status = WaitStatus::of_record(raw);
            let seen = (status.code(), status.signal_name(), status.core_dumped());
            assert_eq!(seen, (code, name.map(Cow::Borrowed), core_dumped), "{raw:#x}");
        }
    }

    #[test]
    fn what_a_kernel_thread_returned_is_no_signal() {
        let status = WaitStatus::of_record(-4_i32 as u32); // -EINTR, by kthread() before 5.17.
        assert_eq!((status.signal(), status.core_dumped(), status.code()), (None, false, 255));
    }
}
