//! What each capture mode and five deny rules cost in the kernel, held to mode `tracepoint`: in a guest,
//! where all modes can be had. A guest is emulated, so only the ratios say something.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::append::median;
use super::report::Figure;
use crate::guest::{self, Guest};
use crate::tiny;

/// The kernel of Debian 13.
const SERIES: &str = "6.12";

/// A boot and some seven thousand executions take a few minutes.
const LIMIT: Duration = Duration::from_secs(900);

/// Mode and rules.
type Kind = (String, String);

/// Measures it.
///
/// # Errors
/// What could not be run. Where there are no guests that is said, and nothing is measured.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    let kernel = match guest::kernel(SERIES) {
        Ok(kernel) => kernel,
        Err(why) => {
            eprintln!("SKIPPED: modes: {why}");
            return Ok((Vec::new(), json!({ "missing": why })));
        }
    };
    let shipper = guest::static_binary("shipper", "shipper").map_err(anyhow::Error::msg)?;
    let dir = crate::daemon::directory()?;
    let program = dir.path().join("tiny");
    tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
    eprintln!("executions in a guest with Linux {SERIES}, in each mode ...");
    let run = Guest::new(&kernel)
        .file(&shipper, "/usr/bin/shipper", 0o755)
        .file(&program, "/usr/lib/cost/tiny", 0o755)
        .script(include_str!("modes.sh"))
        .run(LIMIT)?;
    ensure!(run.exit_code == 0, "the script failed:\n{}", run.output);
    // The rounds of each, in the order in which it comes first.
    let mut costs: Vec<(Kind, Vec<f64>)> = Vec::new();
    for words in run.output.lines().filter_map(|line| line.strip_prefix("COST ")) {
        let (kind, ns) = cost(words)?;
        match costs.iter_mut().find(|(seen, _)| *seen == kind) {
            Some((_, rounds)) => rounds.push(ns),
            None => costs.push((kind, vec![ns])),
        }
    }
    let costs: Vec<(Kind, f64)> =
        costs.into_iter().map(|(kind, rounds)| (kind, median(rounds.into_iter()))).collect();
    let base = costs.iter().find(|((mode, _), _)| mode == "tracepoint");
    let (_, base_ns) = base.context("no tracepoint mode")?;
    let figures = costs.iter().filter_map(|(kind, ns)| figure(kind, ns / base_ns)).collect();
    let details: serde_json::Map<String, Value> = costs
        .iter()
        .map(|((mode, rules), ns)| (format!("{mode}, rules: {rules}"), ns.round().into()))
        .collect();
    Ok((figures, json!({ "kernel": SERIES, "emulated_ns_an_execution": details })))
}

/// Of one measurement: nanoseconds of one execution.
fn cost(words: &str) -> anyhow::Result<(Kind, f64)> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let [mode, rules, ns, executions] = words[..] else { anyhow::bail!("not a cost: {words:?}") };
    let ns = ns.parse::<f64>()? / executions.parse::<f64>()?;
    Ok(((mode.to_owned(), rules.to_owned()), ns))
}

fn figure((mode, rules): &Kind, ratio: f64) -> Option<Figure> {
    let name = match (mode.as_str(), rules.as_str()) {
        ("fentry", "none") => "in the kernel, fentry to tracepoint",
        ("lsm", "none") => "in the kernel, lsm to tracepoint",
        ("lsm", "five") => "in the kernel, lsm with five deny rules to tracepoint",
        _ => return None,
    };
    Some(Figure {
        name,
        value: ratio,
        unit: "x",
        aim: None,
        how: format!(
            "BPF run statistics in an emulated guest, Linux {SERIES}: fork, exec and exit together; median of \
             three rounds"
        ),
    })
}
