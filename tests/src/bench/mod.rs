//! The benchmark, in parts: the daemon of the release build under a known load, and the spool and
//! the line to a sink as fast as they go. No figure makes it fail; it fails when it cannot be run.

mod append;
mod backlog;
mod beside;
mod contender;
mod drain;
mod hash;
mod http;
mod kafka;
mod kernel;
mod load;
mod modes;
mod noop;
mod outage;
mod process;
mod report;
mod run;
mod steady;
pub mod synthetic;
mod table;

use anyhow::Context as _;
use serde_json::Value;

use report::Figure;

/// What can be measured, in this order.
pub const PARTS: [&str; 11] = [
    "table", "steady", "beside", "modes", "hash", "append", "drain", "outage", "backlog", "kafka",
    "http",
];

/// Ancestors of a made-up event. Without any its ECS line is as short as there are: 2.3 KB.
const ANCESTORS: u32 = 0;

/// Runs these parts: the document, and the table.
///
/// # Errors
/// What could not be run.
pub fn run(parts: &[&str]) -> anyhow::Result<(Value, String)> {
    let dir = tempfile::Builder::new().prefix("shipper-bench-").tempdir()?;
    let pool = synthetic::Pool::new(ANCESTORS);
    let mut figures: Vec<Figure> = Vec::new();
    let mut details = serde_json::Map::new();
    for part in parts {
        let (more, detail) = match *part {
            "table" => table::run(),
            "steady" => steady::run(),
            "beside" => beside::run(),
            "modes" => modes::run(),
            "hash" => hash::run(),
            "append" => append::run(dir.path(), &pool),
            "drain" => drain::run(dir.path(), &pool),
            "outage" => outage::run(),
            "backlog" => backlog::run(&pool),
            "kafka" => kafka::run(dir.path(), &pool),
            "http" => http::run(dir.path(), &pool),
            _ => anyhow::bail!("no part is called {part}; there are {}", PARTS.join(", ")),
        }
        .with_context(|| format!("while measuring {part}"))?;
        figures.extend(more);
        details.insert((*part).to_owned(), detail);
    }
    Ok((report::document(&figures, details.into()), report::table(&figures)))
}
