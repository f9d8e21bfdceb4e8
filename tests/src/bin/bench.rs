//! `make bench`: prints a table, and writes the same figures to target/bench.json. With `--json` it
//! prints the JSON instead of the table. Names of parts run those alone.

use std::path::Path;

use anyhow::{Context as _, bail};
use shipper_tests::bench;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (options, parts): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with('-'));
    let json = match options[..] {
        [] => false,
        ["--json"] => true,
        _ => bail!("usage: bench [--json] [PART...]; the parts are {}", bench::PARTS.join(", ")),
    };
    let (document, table) = bench::run(if parts.is_empty() { &bench::PARTS } else { &parts })?;
    let text = serde_json::to_string_pretty(&document)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let path = root.join("target/bench.json");
    std::fs::write(&path, format!("{text}\n")).with_context(|| path.display().to_string())?;
    if json {
        println!("{text}");
    } else {
        print!("{table}");
    }
    eprintln!("{} has these figures and more", path.display());
    Ok(())
}
