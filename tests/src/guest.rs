//! Linux guests under QEMU: a kernel of the test's choice, an initramfs of busybox and the test's
//! files, a script that runs as root, and back come its output, its exit code and the files it
//! hands out. No disk, no network, no modules, nothing kept.
//!
//! `tests/kernels.sh` installs the tools and fetches the kernels; [`kernel`] finds them.
//!
//! ```no_run
//! # use shipper_tests::guest::{self, Guest};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let run = Guest::new(&guest::kernel("6.1")?)
//!     .file(&guest::static_binary("shipper", "shipper")?, "/usr/bin/shipper", 0o755)
//!     .script("shipper doctor --json >/tmp/doctor; emit_file doctor.json /tmp/doctor")
//!     .run(std::time::Duration::from_secs(120))?;
//! assert_eq!(run.exit_code, 0);
//! assert!(!run.files["doctor.json"].is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! The guest: host name `guest`; users root and alice (uid and gid 1000, home /home/alice);
//! /etc/machine-id and /etc/os-release; proc, sysfs, devtmpfs, securityfs, bpffs, cgroup2 and, where
//! the kernel has it, tracefs in their usual places (with `cgroups=v1` on
//! the kernel's command line three controllers of cgroup v1 instead of cgroup2); tmpfs on /tmp and /run; `lo` up; every busybox
//! applet in /bin.

mod initramfs;
mod transfer;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use initramfs::{GuestFile, Source};

/// Enough for a kernel, an initramfs of a few tens of MiB (it is in memory twice while it is
/// unpacked) and a ring buffer.
const MEMORY_MIB_DEFAULT: u32 = 512;

/// The most that is read back from one serial port. A guest that prints without end must not fill
/// the memory of the test.
const SERIAL_BYTES_MAX: u64 = 64 << 20;

/// How much of the end of a log goes into an error.
const TAIL_LINES: usize = 40;

/// Why a guest gave no result. The text of each shows the end of what the guest printed.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The guest was never started: the test asks for something impossible, or a tool is missing.
    #[error("the guest cannot be started: {0}")]
    Setup(String),
    /// The kernel panicked or had an oops (which is a panic here).
    #[error("the guest's kernel panicked{}", tails(.output, .console))]
    Panic {
        /// What the script had printed.
        output: String,
        /// The kernel's console.
        console: String,
    },
    /// The guest was still running at the limit and was killed.
    #[error("the guest was killed at its limit of {limit:?}{}", tails(.output, .console))]
    TimeLimit {
        /// The limit that was given.
        limit: Duration,
        /// What the script had printed.
        output: String,
        /// The kernel's console.
        console: String,
    },
    /// QEMU ended without a result from the script, or with a damaged one.
    #[error("the guest gave no whole result: {reason}{}", tails(.output, .console))]
    NoResult {
        /// What is missing, with QEMU's own messages.
        reason: String,
        /// What the script had printed.
        output: String,
        /// The kernel's console.
        console: String,
    },
}

/// What came out of a guest whose script ran to its end.
#[derive(Debug)]
pub struct GuestRun {
    /// The script's exit code, as the shell gives it (128 + signal for a death by signal).
    pub exit_code: i32,
    /// What the script printed, on either stream.
    pub output: String,
    /// The kernel's console.
    pub console: String,
    /// What the script handed out with `emit_file NAME PATH`, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A guest to run.
#[derive(Debug, Clone)]
pub struct Guest {
    kernel: PathBuf,
    files: Vec<GuestFile>,
    append: Vec<String>,
    script: String,
    memory_mib: u32,
}

impl Guest {
    /// A guest of this kernel image, with a script that does nothing.
    pub fn new(kernel: &Path) -> Self {
        Guest {
            kernel: kernel.to_owned(),
            files: Vec::new(),
            append: Vec::new(),
            script: String::new(),
            memory_mib: MEMORY_MIB_DEFAULT,
        }
    }

    /// Puts a copy of a file of the host into the guest, owned by root. A program must be static.
    /// The guest's path is absolute and not under /proc, /sys, /dev, /tmp or /run.
    pub fn file(mut self, host_path: &Path, guest_path: impl Into<PathBuf>, mode: u32) -> Self {
        self.files.push(GuestFile {
            source: Source::Host(host_path.to_owned()),
            path: guest_path.into(),
            mode,
        });
        self
    }

    /// Puts a file with these contents into the guest; for the rest as [`Guest::file`].
    pub fn text(
        mut self,
        contents: impl Into<String>,
        guest_path: impl Into<PathBuf>,
        mode: u32,
    ) -> Self {
        self.files.push(GuestFile {
            source: Source::Text(contents.into()),
            path: guest_path.into(),
            mode,
        });
        self
    }

    /// Adds to the kernel's command line, after the harness's own, so that `lsm=...` is what the
    /// test says and `loglevel=7` shows the whole boot.
    pub fn append(mut self, arguments: impl Into<String>) -> Self {
        self.append.push(arguments.into());
        self
    }

    /// What the guest runs, as root, with `/bin/sh`, from a file: the `#!` line does not matter.
    /// `emit_file NAME PATH` is a command there, also for programs that the script starts.
    pub fn script(mut self, sh: impl Into<String>) -> Self {
        self.script = sh.into();
        self
    }

    /// The guest's memory, in MiB; 512 unless told.
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Boots the guest, runs its script and powers it off; kills it at `limit`, the boot included.
    /// The guest dies with the thread that called this.
    pub fn run(&self, limit: Duration) -> Result<GuestRun, GuestError> {
        let work = tempfile::tempdir().map_err(setup("a temporary directory"))?;
        let path = |name: &str| work.path().join(name);
        let staging = path("tree");
        fs::create_dir(&staging).map_err(setup("a temporary directory"))?;
        if !self.kernel.is_file() {
            return Err(GuestError::Setup(format!("no kernel at {}", self.kernel.display())));
        }
        let busybox = find_program("busybox").ok_or_else(|| missing("busybox"))?;
        let initramfs = path("initramfs");
        initramfs::pack(&busybox, &self.script, &self.files, &staging, &initramfs)
            .map_err(GuestError::Setup)?;

        let ports = ["console", "output", "reports"].map(path);
        let qemu_log = path("qemu");
        let log = File::create(&qemu_log).map_err(setup("QEMU's log"))?;
        let child = self
            .qemu(&initramfs, &ports)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(setup("QEMU's log"))?)
            .stderr(log)
            .spawn()
            .map_err(setup("qemu-system-x86_64"))?;
        let ended = Qemu(child).wait(limit).map_err(setup("the wait for QEMU"))?;

        let [console, output, reports] = ports.map(|port| read_capped(&port));
        let [console, output] =
            [console, output].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let reports = transfer::read(&reports);
        if console.contains("Kernel panic") || console.contains("Oops") {
            return Err(GuestError::Panic { output, console });
        }
        if !ended {
            return Err(GuestError::TimeLimit { limit, output, console });
        }
        match (reports.exit_code, reports.damage) {
            (Some(exit_code), None) => {
                Ok(GuestRun { exit_code, output, console, files: reports.files })
            }
            (_, damage) => {
                let qemu = String::from_utf8_lossy(&read_capped(&qemu_log)).into_owned();
                let reason = damage.unwrap_or_else(|| "it ended before its script did".into());
                Err(GuestError::NoResult {
                    reason: format!("{reason}; QEMU says: {:?}", qemu.trim()),
                    output,
                    console,
                })
            }
        }
    }

    fn qemu(&self, initramfs: &Path, ports: &[PathBuf; 3]) -> Command {
        // Software emulation works everywhere; where KVM does, `kvm` is several times faster.
        let accel = std::env::var("SHIPPER_GUEST_ACCEL").unwrap_or_else(|_| "tcg".into());
        // A panic, and an oops made one, ends QEMU at once: reboot immediately, and -no-reboot.
        let mut command_line =
            vec!["console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on".to_owned()];
        command_line.extend(self.append.iter().cloned());

        // setpriv becomes QEMU, which is then killed with the thread that waits for it: a test run
        // that is killed leaves no guest behind.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-accel", &accel, "-cpu", "max"])
            .args(["-smp", "1", "-m", &self.memory_mib.to_string()])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", &command_line.join(" ")]);
        for port in ports {
            // A comma ends a file name in QEMU's syntax unless doubled.
            let file = port.to_string_lossy().replace(',', ",,");
            command.arg("-serial").arg(format!("file:{file}"));
        }
        command
    }
}

/// A running QEMU; killed when dropped.
struct Qemu(Child);

impl Qemu {
    /// Waits for the end; false when it did not come within the limit.
    fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        let pidfd = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty())?;
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether guests can be run here: the directory of the kernels, or what is missing and how to get
/// it. The directory is `$SHIPPER_GUEST_KERNELS`, or `target/guest-kernels` of the workspace.
pub fn available() -> Result<PathBuf, String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(format!(
            "the guests are x86_64 and this machine is {}",
            std::env::consts::ARCH
        ));
    }
    let directory = std::env::var_os("SHIPPER_GUEST_KERNELS")
        .map_or_else(|| workspace().join("target/guest-kernels"), PathBuf::from);
    for program in ["qemu-system-x86_64", "busybox", "cpio", "setpriv"] {
        if find_program(program).is_none() {
            return Err(format!(
                "{program} is not installed; run: tests/kernels.sh {} 6.1",
                directory.display()
            ));
        }
    }
    Ok(directory)
}

/// Whether guests are to be few (`SHIPPER_GUEST_FEW`): each takes minutes, and `make test-kernel` boots
/// them all.
#[must_use]
pub fn are_few_wanted() -> bool {
    std::env::var_os("SHIPPER_GUEST_FEW").is_some()
}

/// The kernel image that `tests/kernels.sh` fetched as `version` (`5.10`, `6.1`, `newest`, ...), or
/// what is missing and how to get it.
pub fn kernel(version: &str) -> Result<PathBuf, String> {
    let directory = available()?;
    let image = directory.join(version).join("vmlinuz");
    if image.is_file() {
        return Ok(image);
    }
    Err(format!(
        "there is no guest kernel {version}; run: tests/kernels.sh {} {version}",
        directory.display()
    ))
}

/// A statically linked build of a program of the workspace, as a guest needs it.
///
/// `$SHIPPER_STATIC` names one that is built already: the program itself, or the directory that
/// holds it. What is not there, cargo builds into `target/static`.
pub fn static_binary(package: &str, bin: &str) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("SHIPPER_STATIC").map(PathBuf::from) {
        let program = if given.is_dir() { given.join(bin) } else { given };
        if program.ends_with(bin) && program.is_file() {
            return Ok(program);
        }
    }
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let target_dir = workspace().join("target/static");
    let status = crate::cargo()
        .args(["build", "--profile", "guest", "--package", package, "--bin", bin])
        // An explicit target keeps the flag away from build scripts and procedural macros.
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .current_dir(workspace())
        // Stronger than RUSTFLAGS where it is set.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo could not build a static {bin} (its messages are above)"));
    }
    Ok(target_dir.join(TARGET).join("guest").join(bin))
}

fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

fn missing(program: &str) -> GuestError {
    GuestError::Setup(format!("{program} is not installed; run tests/kernels.sh"))
}

fn setup(what: &str) -> impl Fn(io::Error) -> GuestError {
    move |error| GuestError::Setup(format!("{what}: {error}"))
}

/// A port's file; nothing where QEMU came to an end before it made one.
fn read_capped(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What could be read until an error is still worth showing.
        let _ = file.take(SERIAL_BYTES_MAX).read_to_end(&mut bytes);
    }
    bytes
}

fn tails(output: &str, console: &str) -> String {
    let tail = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    };
    format!(
        "\n--- end of the script's output\n{}\n--- end of the console\n{}",
        tail(output),
        tail(console)
    )
}
