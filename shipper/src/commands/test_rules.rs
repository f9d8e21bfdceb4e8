//! `shipper test-rules`: which recorded events rules match.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::CONFIG_DEFAULT;
use super::rules::{load, show, style};
use crate::config::TestedRule;
use crate::format::Format;
use crate::format::visible::{cut, escape};
use crate::rules::Record;

/// Longest line that is read as an event, in bytes: far more than one has.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Lines that are no events and told one by one; of another file each line may be one.
const TOLD_MAX: u64 = 10;

/// Columns of the command of an event.
const COMMAND_COLUMNS: usize = 80;

const EXAMPLES: &str = "\
Examples:
  shipper test-rules events.ndjson                          with the rules of the configuration
  shipper test-rules events.ndjson --rules config/rules     with these
  shipper spool export --from 1d | shipper test-rules - --rules new.yaml

Events are read as the file sink writes them and `shipper spool export` prints them (ECS). Nothing is
folded: `dedup` of a rule is left aside.
Exit codes: 0 all was read, 1 lines are no events, 2 wrong usage or a rule that is not valid.";

/// Show which recorded events rules match.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TestRulesArgs {
    /// Recorded events, one JSON object a line; `-` for standard input
    #[arg(value_name = "FILE")]
    events: PathBuf,

    /// Files of rules, or directories of them, instead of those of the configuration
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,

    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
}

/// How often a rule matched.
#[derive(Clone, Copy, Default)]
struct Count {
    matched: u64,
    suppressed: u64,
}

/// Prints a line a match and the counts; exit code 1 when lines are no events.
pub fn run(args: &TestRulesArgs) -> anyhow::Result<ExitCode> {
    let rules = load(&args.rules, &args.config)?;
    let shown = args.events.display();
    let mut input: Box<dyn BufRead> = if args.events.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.events).with_context(|| shown.to_string())?))
    };
    let mut counts = vec![Count::default(); rules.len()];
    let (mut events, mut reports, mut unreadable) = (0_u64, 0_u64, 0_u64);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.with_context(|| shown.to_string())? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event: serde_json::Result<Value> = serde_json::from_slice(&line);
        let problem = match &event {
            Err(error) => format!("this is no JSON object: {error}"),
            Ok(event) => match (Record::of_ecs(event), Format::of(event)) {
                (Some(record), _) => {
                    events += 1;
                    matches(&rules, &record, event, number, &mut counts)?;
                    continue;
                }
                (None, Some(other)) if other != Format::Ecs => {
                    format!("this is in format {}; test-rules reads ecs", other.as_str())
                }
                (None, _) if event.pointer("/shipper/loss").is_some() => {
                    reports += 1;
                    continue;
                }
                (None, _) => "this is no event of shipper".to_owned(),
            },
        };
        unreadable += 1;
        if unreadable <= TOLD_MAX {
            eprintln!("warning: {shown}:{number}: {problem}");
        }
    }
    if unreadable > TOLD_MAX {
        eprintln!("warning: {} more such lines are not told", unreadable - TOLD_MAX);
    }
    show(&summary(&rules, &counts, events, reports, unreadable))?;
    Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn matches(
    rules: &[TestedRule],
    record: &Record,
    event: &Value,
    number: u64,
    counts: &mut [Count],
) -> anyhow::Result<()> {
    for (TestedRule { rule, .. }, count) in rules.iter().zip(counts) {
        if !rule.when.holds(record) {
            continue;
        }
        if rule.is_suppressed(record) {
            count.suppressed += 1;
            continue;
        }
        count.matched += 1;
        let (style, severity) = (style(rule.severity), rule.severity.as_str());
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
        let command = cut(escape(text("/process/command_line")), COMMAND_COLUMNS);
        let time = escape(text("/@timestamp"));
        show(&format!("{number}: {time} {style}{severity}{style:#} {}: {command}\n", rule.id))?;
    }
    Ok(())
}

fn summary(
    rules: &[TestedRule],
    counts: &[Count],
    events: u64,
    reports: u64,
    unreadable: u64,
) -> String {
    let mut text = format!(
        "\n{events} events, {reports} reports of what was lost or left out, {unreadable} unreadable\n"
    );
    let width = rules.iter().map(|tested| tested.rule.id.len()).max().unwrap_or(0);
    for (TestedRule { rule, .. }, Count { matched, suppressed }) in rules.iter().zip(counts) {
        if matched + suppressed > 0 {
            let suppressed = match suppressed {
                0 => String::new(),
                count => format!(", {count} suppressed"),
            };
            text.push_str(&format!("  {:width$}  {matched} matched{suppressed}\n", rule.id));
        }
    }
    text
}
