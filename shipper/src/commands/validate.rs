//! `shipper validate`: the configuration, and with `--connect` what is behind it.

use std::process::ExitCode;

use anyhow::Context as _;

use super::ConfigArg;
use crate::capture::{self, EnforceError};
use crate::config;
use crate::config::settings::{HashKeyError, RedactSettings, SinkKind, SinkSettings};
use crate::sink::{Finding, Grade, elasticsearch, file, http, kafka, splunk_hec};

/// Check a configuration and say everything that is wrong with it.
#[derive(Clone, Debug, clap::Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    config: ConfigArg,

    /// Also connect to each sink and check that it would take events; nothing is written there
    #[arg(long)]
    connect: bool,
}

/// Checks a configuration; everything wrong with it is in the error. With `--connect` the exit code
/// is 1 when a sink would not take events.
pub fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let path = &args.config.config;
    let settings = config::load(path)?;
    let names: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let rules = match settings.enforce.as_ref().map(super::enforce) {
        None => String::new(),
        Some(enforce) => match capture::forbid_nothing_vital(&enforce) {
            Ok(()) => {
                "enforce: no rule would deny what init, sshd and shipper run on this machine\n"
                    .to_owned()
            }
            // `run` has the rights that this user lacks.
            Err(error @ EnforceError::Unreadable { .. }) => format!("enforce: {error}\n"),
            Err(error) => anyhow::bail!("{}: enforce: {error}", path.display()),
        },
    };
    let redaction = match settings.redact.as_ref().map(RedactSettings::redactor) {
        None | Some(Ok(_)) => String::new(),
        // `run` has the rights, and the environment, that this user lacks.
        Some(Err(error @ HashKeyError::Unreadable(_))) => format!("note: {error}\n"),
        Some(Err(error)) => {
            return Err(anyhow::Error::new(error).context(path.display().to_string()));
        }
    };
    let valid = format!("{}: valid; delivers to {}\n", path.display(), names.join(", "));
    let matching = format!("rules: {}\n", settings.rules.len());
    let notes: String = settings.notes().iter().map(|note| format!("note: {note}\n")).collect();
    super::print(&(valid + &rules + &matching + &notes + &redaction))?;
    if !args.connect {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let mut is_good = true;
    for sink in &settings.sinks {
        let findings = runtime.block_on(look(sink));
        is_good &= findings.iter().all(|finding| finding.grade != Grade::Bad);
        findings.iter().for_each(|finding| super::show(&sink.name, finding));
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(sink: &SinkSettings) -> Vec<Finding> {
    match &sink.kind {
        SinkKind::Kafka(settings) => kafka::check_connection(settings).await,
        SinkKind::File(settings) => vec![file::check_place(&settings.path)],
        SinkKind::Http(settings) => http::check_connection(settings).await,
        SinkKind::Elasticsearch(settings) => elasticsearch::check_connection(settings).await,
        SinkKind::SplunkHec(settings) => splunk_hec::check_connection(settings).await,
        SinkKind::Console(_) => vec![Finding::good("writes to standard output".to_owned())],
    }
}
