//! `shipper setup`: installs in a SIEM what it needs to take events as they are meant.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::ConfigArg;
use crate::config;
use crate::config::settings::{ElasticsearchSettings, Settings, SinkKind};
use crate::sink::Grade;
use crate::sink::elasticsearch::Setup;

/// Install in a SIEM what it needs to take events.
#[derive(Clone, Debug, clap::Args)]
pub struct SetupArgs {
    #[command(subcommand)]
    of: Of,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Of {
    /// Install the ingest pipeline and the templates in the cluster of a sink, Elasticsearch or
    /// OpenSearch
    ///
    /// With the URL, TLS, proxy and credentials of the sink. What is there is replaced, but for the
    /// component template shipper-process-custom, which is yours.
    Elasticsearch(ElasticsearchArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ElasticsearchArgs {
    #[command(flatten)]
    config: ConfigArg,

    /// Which sink; all of type elasticsearch unless said
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Sets up; the exit code is 1 when a step failed.
pub fn run(args: &SetupArgs) -> anyhow::Result<ExitCode> {
    let Of::Elasticsearch(args) = &args.of;
    let settings = config::load(&args.config.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let mut is_good = true;
    for (name, sink) in chosen(&settings, args.sink.as_deref())? {
        let setup = Setup::new(sink)?;
        if args.dry_run {
            super::print(&requests(name, &setup))?;
            continue;
        }
        runtime.block_on(setup.run(|finding| {
            is_good &= finding.grade != Grade::Bad;
            super::show(name, &finding);
        }));
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen<'a>(
    settings: &'a Settings,
    wanted: Option<&str>,
) -> anyhow::Result<Vec<(&'a str, &'a ElasticsearchSettings)>> {
    let of_type: Vec<(&str, &ElasticsearchSettings)> = settings
        .sinks
        .iter()
        .filter_map(|sink| match &sink.kind {
            SinkKind::Elasticsearch(settings) => Some((sink.name.as_str(), &**settings)),
            _ => None,
        })
        .collect();
    if of_type.is_empty() {
        bail!("the configuration has no sink of type elasticsearch");
    }
    let Some(wanted) = wanted else { return Ok(of_type) };
    match of_type.iter().find(|(name, _)| *name == wanted) {
        Some(sink) => Ok(vec![*sink]),
        None => {
            let names: Vec<&str> = of_type.iter().map(|(name, _)| *name).collect();
            bail!("no sink of type elasticsearch is called {wanted}; there is {}", names.join(", "))
        }
    }
}

/// As one would type them into the console of Kibana or OpenSearch Dashboards.
fn requests(name: &str, setup: &Setup) -> String {
    let mut text = format!("# {name}\n");
    for step in setup.steps() {
        if step.is_operators {
            text.push_str("# only where it is not there yet\n");
        }
        let _ = writeln!(text, "PUT {}\n{}", step.path, step.body);
    }
    text
}
