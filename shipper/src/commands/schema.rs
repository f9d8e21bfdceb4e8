//! `shipper schema`.

use std::process::ExitCode;

use crate::config;
use crate::format::ecs;

/// Print a JSON Schema.
#[derive(Clone, Debug, clap::Args)]
pub struct SchemaArgs {
    /// Which one
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// The configuration file
    Config,
    /// A file of rules
    Rules,
    /// One event, as file and console sinks write it
    Event,
}

/// Prints it.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let schema = match args.of {
        Of::Config => config::schema(),
        Of::Rules => config::rules_schema(),
        Of::Event => ecs::schema::schema(),
    };
    super::print(&format!("{schema:#}\n"))
}
