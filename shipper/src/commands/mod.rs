//! The subcommands. `anyhow` is used here and nowhere else.

mod doctor;
mod rules;
mod run;
mod schema;
mod setup;
mod spool;
pub mod tail;
mod test_rules;
mod unpin;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::capture::{Deny, DenyRule, Enforce};
use crate::config::settings::{EnforceSettings, HashKeyError, RuleSettings};
use crate::config::{ConfigError, model};
use crate::sink::{Finding, Grade};

/// Where the configuration is looked for.
const CONFIG_DEFAULT: &str = "/etc/shipper/shipper.yaml";

const ABOUT: &str = "Record every program execution on this machine and deliver the records";

const EXAMPLES: &str = "\
Examples:
  sudo shipper run --local             capture, print, and write ./run/events/shipper.ndjson
  sudo shipper run                     with the configuration in /etc/shipper/shipper.yaml
  shipper validate --config new.yaml   everything that is wrong with a configuration
  shipper validate --connect           and whether each sink would take events
  shipper setup elasticsearch          install pipeline and templates in the cluster of a sink
  sudo shipper doctor                  what this machine allows, and which mode would be used
  shipper tail --tree                  follow the events as a process tree
  shipper rules lint config/rules      check rules, and try their tests
  shipper test-rules events.ndjson     which recorded events the rules match
  sudo shipper spool status            how far each sink has got

Exit codes: 0 as asked, 1 something failed at run time, 2 wrong usage or configuration.
Environment: SHIPPER_LOG=debug for more on standard error (error, warn, info, debug);
NO_COLOR=1 for no colours.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "shipper", version, about = ABOUT, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Capture executions and deliver them, until Ctrl-C or SIGTERM
    Run(run::RunArgs),
    /// Check a configuration and say everything that is wrong with it
    Validate(validate::ValidateArgs),
    /// Install in a SIEM what it needs to take events
    Setup(setup::SetupArgs),
    /// Show what this machine allows, and which capture mode would be used
    Doctor(doctor::DoctorArgs),
    /// Remove the programs and the ring that `capture.pin: true` left in the kernel
    Unpin(unpin::UnpinArgs),
    /// Print the JSON Schema of the configuration, or the fields of events in each format
    Schema(schema::SchemaArgs),
    /// Follow the event log and show each event as a line for people
    Tail(tail::TailArgs),
    /// List rules, or check them with their tests
    Rules(rules::RulesArgs),
    /// Show which recorded events rules match
    TestRules(test_rules::TestRulesArgs),
    /// Look into the spool, and have events delivered again
    Spool(spool::SpoolArgs),
}

/// Deny rules as capture takes them.
fn enforce(settings: &EnforceSettings) -> Enforce {
    let rule = |rule: &RuleSettings| DenyRule {
        id: rule.id.clone(),
        deny: match rule.deny {
            model::Deny::NotRootOwned => Deny::NotRootOwned,
            model::Deny::WritableByOthers => Deny::WritableByOthers,
            model::Deny::Memfd => Deny::Memfd,
            model::Deny::Deleted => Deny::Deleted,
            model::Deny::Any => Deny::Any,
        },
        path_prefix: rule.path_prefix.clone(),
        except_uids: rule.except_uids.clone(),
        except_cgroups: rule.except_cgroups.clone(),
    };
    Enforce {
        rules: settings.rules.iter().map(rule).collect(),
        dry_run: settings.dry_run,
        keep: settings.keep,
    }
}

#[derive(Clone, Debug, clap::Args)]
struct ConfigArg {
    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
}

/// Reads the command line, does what it says, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Setup(args) => setup::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Unpin(args) => unpin::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Rules(args) => rules::run(args),
        Command::TestRules(args) => test_rules::run(args),
        Command::Spool(args) => spool::run(args),
        Command::Tail(args) => tail::run(args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        let mut stderr = anstream::stderr();
        let style = anstyle::AnsiColor::Red.on_default().bold();
        // Without standard error there is nobody to tell.
        let _ = std::io::Write::write_fmt(
            &mut stderr,
            format_args!("{style}error:{style:#} {}\n", with_causes(&error)),
        );
        let is_wrong_usage = error.is::<ConfigError>() || error.is::<HashKeyError>();
        if is_wrong_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}

/// The message and those of its causes that it does not repeat by itself.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Writes to standard output; a reader that has gone away ends the program quietly.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Says on a line of its own what was found about a sink.
fn show(sink: &str, Finding { grade, text }: &Finding) {
    use anstyle::AnsiColor::{Green, Red, Yellow};
    let (word, colour) = match grade {
        Grade::Good => ("ok", Green),
        Grade::Note => ("note", Yellow),
        Grade::Bad => ("FAIL", Red),
    };
    let style = colour.on_default();
    let line = format!("{style}{word:4}{style:#}  {sink}: {text}\n");
    // A reader that has gone away wants nothing more.
    let _ = std::io::Write::write_all(&mut anstream::stdout(), line.as_bytes());
}
