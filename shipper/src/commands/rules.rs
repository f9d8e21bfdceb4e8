//! `shipper rules`: lists rules, checks them with their tests, and says which fields there are.

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::CONFIG_DEFAULT;
use crate::config::{self, TestedRule};
use crate::event::Severity;
use crate::format::visible::escape;
use crate::rules::field::{AncestorText, Field};

const EXAMPLES: &str = "\
Examples:
  shipper rules list                       those of the configuration
  shipper rules list config/rules          those of files or directories
  shipper rules lint my-rules.yaml         everything that is wrong, and each test that fails
  shipper rules fields                     what an expression may ask for

Exit codes: 0 as asked, 1 a test fails, 2 wrong usage or a rule that is not valid.";

/// List rules, or check them with their tests.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum RulesCommand {
    /// Show each rule with its severity, name and tags
    List(WhichArgs),
    /// Check rules and try their tests; exit code 1 when one fails
    Lint(WhichArgs),
    /// Show the fields that an expression may ask for
    Fields,
}

/// Which rules.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WhichArgs {
    /// Files of rules, or directories of them, instead of those of the configuration
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
}

impl WhichArgs {
    /// The rules of these files, or of the configuration where there are none.
    pub(super) fn load(&self) -> anyhow::Result<Vec<TestedRule>> {
        load(&self.paths, &self.config)
    }
}

/// The rules of these files, or of the configuration where none is named.
pub(super) fn load(paths: &[PathBuf], config: &std::path::Path) -> anyhow::Result<Vec<TestedRule>> {
    Ok(match paths {
        [] => config::load_with_rules(config)?.1,
        paths => config::rules::load(paths)?,
    })
}

/// Does what the subcommand says.
pub fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        RulesCommand::List(which) => list(&which.load()?),
        RulesCommand::Lint(which) => lint(&which.load()?),
        RulesCommand::Fields => fields(),
    }
}

/// How a severity is shown.
pub(super) fn style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => AnsiColor::Red.on_default().bold(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Informational => Style::new().dimmed(),
    }
}

fn list(rules: &[TestedRule]) -> anyhow::Result<ExitCode> {
    let width = rules.iter().map(|tested| tested.rule.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for TestedRule { rule, .. } in rules {
        let (style, severity) = (style(rule.severity), rule.severity.as_str());
        let (name, tags) = (escape(&rule.name), escape(&rule.tags.join(" ")));
        text.push_str(&format!(
            "{style}{severity:13}{style:#} {:width$}  {}  {tags}\n",
            rule.id, name
        ));
    }
    show(&text)
}

/// Writes to standard output, without styles where it is no terminal.
pub(super) fn show(text: &str) -> anyhow::Result<ExitCode> {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => {
            super::print(&anstream::adapter::strip_str(text).to_string())
        }
        _ => super::print(text),
    }
}

fn lint(rules: &[TestedRule]) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    let (mut tests, mut failed) = (0, 0);
    let (note, bad) = (AnsiColor::Yellow.on_default(), AnsiColor::Red.on_default());
    for tested in rules {
        let TestedRule { rule, file, line, .. } = tested;
        tests += tested.tests.len();
        for failure in tested.failures() {
            failed += 1;
            let failure = escape(&failure);
            text.push_str(&format!("{bad}FAIL{bad:#}  {file}:{line}: {}: {failure}\n", rule.id));
        }
        for wanted in [true, false] {
            if tested.tests.iter().all(|test| test.matches != wanted) {
                let what = if wanted { "matches" } else { "does not match" };
                text.push_str(&format!(
                    "{note}note{note:#}  {file}:{line}: {}: no test says what it {what}\n",
                    rule.id
                ));
            }
        }
    }
    let count = rules.len();
    text.push_str(&format!("rules that are valid: {count}; of {tests} tests {failed} failed\n"));
    show(&text)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fields() -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    let mut row = |name: &str, kind: &str, meaning: &str| {
        text.push_str(&format!("{name:38} {kind:14} {meaning}\n"));
    };
    for (name, kind, meaning) in Field::all() {
        row(name, kind, meaning);
    }
    row("env.NAME, env['NAME']", "text", "Value of a recorded environment variable (capture.env)");
    row("severity", "severity", "Gravest of the rules that matched; in `when` of a sink");
    row("ancestors", "list", "Ancestors, the parent first: ancestors.exists(a, ...)");
    for ancestor in AncestorText::TABLE {
        row(&format!("  a.{}", ancestor.name), "text", ancestor.meaning);
    }
    row("  a.pid", "number", "Its process id");
    row("  a.args", "list of texts", "Its arguments, at most 4096 bytes");
    super::print(&text)
}
