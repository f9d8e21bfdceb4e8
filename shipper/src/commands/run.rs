//! `shipper run`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use common::limits::ENV_BYTES_MAX;
use tracing_subscriber::EnvFilter;

use super::CONFIG_DEFAULT;
use crate::capture::{Failures, Filters, Mode, Namespace, Options, PIN_DIR, RateLimit};
use crate::config;
use crate::config::model::{self, NamespaceRule};
use crate::config::settings::CaptureSettings;
use crate::pipeline;

const EXAMPLES: &str = "\
Examples:
  sudo shipper run --local
  sudo shipper run --config /etc/shipper/shipper.yaml

SIGHUP reopens the files; configuration and rules are read at start alone. SIGINT or SIGTERM
stops: what was captured is delivered first, for at most 5 seconds; a second signal leaves at once.
Nothing stays loaded in the kernel, unless capture.pin is set: then capture goes on there, and the
next start takes it over.";

/// Capture executions and deliver them.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RunArgs {
    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = CONFIG_DEFAULT)]
    config: PathBuf,

    /// Use the built-in configuration instead
    ///
    /// Prints each event and writes ./run/events/shipper.ndjson. Needs no server and no file.
    #[arg(long, conflicts_with = "config")]
    local: bool,

    /// Where `capture.pin` pins programs and ring, on a bpf file system
    #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
    pin_dir: PathBuf,
}

/// Runs until a signal.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = if args.local { config::local() } else { config::load(&args.config)? };
    let filter = EnvFilter::try_from_env("SHIPPER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
    let options = Options {
        enforce: settings.enforce.as_ref().map(super::enforce),
        mode: match settings.capture.mode {
            model::Mode::Auto => None,
            model::Mode::Lsm => Some(Mode::Lsm),
            model::Mode::Fentry => Some(Mode::Fentry),
            model::Mode::Tracepoint => Some(Mode::Tracepoint),
        },
        ring_buffer_bytes: settings.capture.ring_buffer_bytes,
        argv_bytes_max: settings.capture.argv_bytes_max,
        env_bytes_max: if settings.capture.env.is_empty() { 0 } else { ENV_BYTES_MAX },
        failures: match settings.capture.failures {
            model::Failures::Denied => Failures::Denied,
            model::Failures::All => Failures::All,
            model::Failures::None => Failures::None,
        },
        syscall_tracepoints: settings.capture.syscall_tracepoints,
        filters: filters(&settings.capture),
        pin: settings.capture.pin,
        pin_dir: args.pin_dir.clone(),
        ..Options::default()
    };
    pipeline::run(&settings, &options)?;
    Ok(ExitCode::SUCCESS)
}

fn filters(capture: &CaptureSettings) -> Filters {
    let exclude = &capture.exclude;
    let namespace = |rule: &NamespaceRule| match *rule {
        NamespaceRule::Pid(inode) => (Namespace::Pid, inode),
        NamespaceRule::Mnt(inode) => (Namespace::Mnt, inode),
        NamespaceRule::Net(inode) => (Namespace::Net, inode),
        NamespaceRule::User(inode) => (Namespace::User, inode),
    };
    let limit = capture.rate_limit_per_cgroup;
    Filters {
        uids: exclude.uids.iter().map(|uids| uids.first..=uids.last).collect(),
        cgroups: exclude.cgroups.iter().map(|path| path.0.clone()).collect(),
        namespaces: exclude.namespaces.iter().map(namespace).collect(),
        trees: exclude.trees.iter().map(|path| path.0.clone()).collect(),
        rate_limit: limit
            .map(|limit| RateLimit { per_second: limit.per_second, burst: limit.burst }),
        ends: capture.exit,
    }
}
