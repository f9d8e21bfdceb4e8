//! What capture is asked to do.

use std::path::PathBuf;

use common::maps::{FAILURES_ALL, FAILURES_DENIED, FAILURES_NONE};

use super::enforce::Enforce;
use super::filters::Filters;
use super::layout::KERNEL_BTF;
use super::pins::PIN_DIR;

/// How capture is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// LSM hook, tracepoints for the rest.
    Lsm,
    /// fentry on the security function, tracepoints for the rest.
    Fentry,
    /// Raw tracepoints alone.
    Tracepoint,
}

impl Mode {
    /// From the one that knows most to the one that works most often.
    pub const ALL: [Mode; 3] = [Mode::Lsm, Mode::Fentry, Mode::Tracepoint];

    /// The word in the configuration and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Lsm => "lsm",
            Mode::Fentry => "fentry",
            Mode::Tracepoint => "tracepoint",
        }
    }
}

/// Which failed execs are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failures {
    /// None.
    None,
    /// All but those whose file is not there.
    Denied,
    /// All.
    All,
}

impl Failures {
    /// As the kernel programs know it.
    #[must_use]
    pub fn word(self) -> u32 {
        match self {
            Failures::None => FAILURES_NONE,
            Failures::Denied => FAILURES_DENIED,
            Failures::All => FAILURES_ALL,
        }
    }
}

/// What capture is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None`: the best one that is proven.
    pub mode: Option<Mode>,
    /// Size of the ring, a power of two and a multiple of the page size.
    pub ring_buffer_bytes: u32,
    /// Most bytes of argv a record carries.
    pub argv_bytes_max: u32,
    /// Most bytes of the environment a record carries; 0: none of it is read.
    pub env_bytes_max: u32,
    /// Which failed execs are reported.
    pub failures: Failures,
    /// Where fexit is not allowed, failed execs are seen by the tracepoints of the system calls, which
    /// put every system call of every process on a slower path.
    pub syscall_tracepoints: bool,
    /// Deny rules, if there are any. They need mode lsm and failed execs to be reported.
    pub enforce: Option<Enforce>,
    /// What is left out in the kernel.
    pub filters: Filters,
    /// The kernel's BTF.
    pub btf: PathBuf,
    /// Fields treated as missing, `struct.member`: for tests of the fallbacks.
    pub hidden_fields: Vec<String>,
    /// Programs and ring stay in the kernel when this process ends, and the next one takes them over.
    pub pin: bool,
    /// Where they are pinned: a directory that is made when needed, on a bpf file system.
    pub pin_dir: PathBuf,
    /// Program executed as canary: this one, which knows [`CANARY_ARGUMENT`].
    pub canary: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: None,
            ring_buffer_bytes: 16 << 20,
            argv_bytes_max: 32 << 10,
            env_bytes_max: 0,
            failures: Failures::Denied,
            syscall_tracepoints: false,
            enforce: None,
            filters: Filters::default(),
            btf: PathBuf::from(KERNEL_BTF),
            hidden_fields: Vec::new(),
            pin: false,
            pin_dir: PathBuf::from(PIN_DIR),
            canary: PathBuf::from("/proc/self/exe"),
        }
    }
}
