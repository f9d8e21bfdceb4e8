//! `shipper validate`: the configuration, and with `--connect` what is behind it.

use std::process::ExitCode;

use anyhow::Context as _;

use super::ConfigArg;
use super::rules::unrecorded;
use crate::capture::{self, EnforceError};
use crate::config;
use crate::config::settings::{HashKeyError, RedactSettings, SinkKind, SinkSettings};
use crate::sink::{Finding, Grade, elasticsearch, http, kafka, splunk_hec};

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
        Some(Err(error @ HashKeyError::Unreadable(_))) => format!("{error}\n"),
        Some(Err(error)) => anyhow::bail!("{}: {error}", path.display()),
    };
    let valid = format!("{}: valid; delivers to {}\n", path.display(), names.join(", "));
    let matching = match settings.rules.len() {
        0 => String::new(),
        count => format!("rules: {count}\n"),
    };
    let unrecorded =
        settings.unrecorded().map(|(rule, name)| format!("rules: {}\n", unrecorded(rule, name)));
    super::print(&(valid + &rules + &matching + &unrecorded.collect::<String>() + &redaction))?;
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
        SinkKind::File(file) => vec![Finding::good(format!("writes {}", file.path.display()))],
        SinkKind::Http(settings) => http::check_connection(settings).await,
        SinkKind::Elasticsearch(settings) => elasticsearch::check_connection(settings).await,
        SinkKind::SplunkHec(settings) => splunk_hec::check_connection(settings).await,
        SinkKind::Console(_) => vec![Finding::good("writes to standard output".to_owned())],
    }
}
