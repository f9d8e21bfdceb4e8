//! `shipper schema`.

use std::process::ExitCode;

use crate::config;
use crate::format::{Format, reference};

/// Print what a configuration or an event may have in it.
#[derive(Clone, Debug, clap::Args)]
pub struct SchemaArgs {
    #[command(subcommand)]
    of: Of,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Of {
    /// JSON Schema of the configuration file
    Config,
    /// A file of rules
    Rules,
    /// The fields of one event: JSON Schema, or text with meaning, source and example of each
    Event {
        /// Format of the events
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Text for people instead of JSON Schema
        #[arg(long)]
        text: bool,
    },
    /// The page of reference of all formats (Markdown), as docs/events.md has it
    Reference,
}

/// Prints it.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let shown = match args.of {
        Of::Config => format!("{:#}\n", config::schema()),
        Of::Rules => format!("{:#}\n", config::rules_schema()),
        Of::Event { format, text: false } => format!("{:#}\n", reference::json_schema(format)),
        Of::Event { format, text: true } => reference::text(format),
        Of::Reference => reference::page(),
    };
    super::print(&shown)
}
