//! `shipper spool`: looks into the spool, beside a running daemon or without one, and has events
//! delivered again. Only `requeue` changes anything.

mod export;
mod moment;
mod quarantine;
mod requeue;
mod show;
mod status;
mod text;
mod verify;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::CONFIG_DEFAULT;
use crate::config::{self, Settings};
use crate::spool::disk::{Disk, RealDisk};
use crate::spool::inspect;

const EXAMPLES: &str = "\
Examples:
  shipper spool status                          how full it is, and how far each sink has got
  shipper spool status --dir ./run/spool        of `shipper run --local`
  shipper spool verify                          read all of it; exit code 1 when something is damaged
  shipper spool export --from 2h > events.ndjson
  shipper spool quarantine siem                 the events that sink siem refused, and why
  shipper spool requeue siem                    deliver those again (with shipper stopped)
  shipper spool requeue siem --from '2026-11-24 08:00'

The spool belongs to the user of the daemon: run this as root, or as that user.";

/// Look into the spool, and have events delivered again.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SpoolArgs {
    #[command(subcommand)]
    command: SpoolCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum SpoolCommand {
    /// Show how full the spool is, and how far each sink has got
    Status(status::StatusArgs),
    /// Read all of the spool and say what is damaged; exit code 1 when something is
    Verify(verify::VerifyArgs),
    /// Print the events in the spool as NDJSON (ECS)
    Export(export::ExportArgs),
    /// List the events that a sink refused, and why
    Quarantine(quarantine::QuarantineArgs),
    /// Have events delivered again to a sink, with shipper stopped
    Requeue(requeue::RequeueArgs),
}

/// Does what the subcommand says.
pub fn run(args: &SpoolArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        SpoolCommand::Status(args) => status::run(args),
        SpoolCommand::Verify(args) => verify::run(args),
        SpoolCommand::Export(args) => export::run(args),
        SpoolCommand::Quarantine(args) => quarantine::run(args),
        SpoolCommand::Requeue(args) => requeue::run(args),
    }
}

/// Which spool.
#[derive(Clone, Debug, clap::Args)]
struct WhereArgs {
    /// Configuration file that names the spool and the sinks
    #[arg(short, long, value_name = "PATH", default_value = CONFIG_DEFAULT)]
    config: PathBuf,

    /// Directory of the spool, instead of a configuration
    #[arg(short, long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
}

/// A spool that is there.
struct Place {
    dir: PathBuf,
    /// Unless only the directory was named.
    settings: Option<Settings>,
    disk: Arc<dyn Disk>,
}

impl WhereArgs {
    fn open(&self) -> anyhow::Result<Place> {
        let settings = match &self.dir {
            Some(_) => None,
            None => Some(config::load(&self.config)?),
        };
        let named = settings.as_ref().map(|settings| &settings.spool.dir).or(self.dir.as_ref());
        let dir = named.context("no spool is named")?.clone();
        match std::fs::read_dir(inspect::log_directory(&dir)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "{}: there is no spool here. Name its directory with --dir, or a configuration \
                 with --config; shipper makes it when it runs",
                dir.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
                "{}: permission denied; run this as root, or as the user of the daemon",
                dir.display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("{}: cannot be read", dir.display()));
            }
        }
        Ok(Place { dir, settings, disk: Arc::new(RealDisk) })
    }
}

impl Place {
    /// The sink must be configured, or have been once. Without a configuration the spool alone tells.
    fn check_sink(&self, sink: &str) -> anyhow::Result<()> {
        let status = inspect::status(&*self.disk, &self.dir)?;
        let configured = self.settings.iter().flat_map(|settings| &settings.sinks);
        let mut known: Vec<&str> = configured
            .map(|sink| sink.name.as_str())
            .chain(status.cursors.iter().map(|cursor| cursor.sink.as_str()))
            .chain(status.quarantines.iter().map(|entries| entries.sink.as_str()))
            .collect();
        known.sort_unstable();
        known.dedup();
        if known.contains(&sink) {
            return Ok(());
        }
        match known.as_slice() {
            [] => bail!("the spool {} has no sinks yet", self.dir.display()),
            known => bail!(
                "the spool {} has no sink `{}`; its sinks are {}",
                self.dir.display(),
                crate::format::visible::escape(sink),
                known.join(", ")
            ),
        }
    }
}
