//! The account of a stream of numbered executions: what is in the files of a sink, and what its loss
//! events count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::daemon::parse_whole;

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many events there are, of all kinds and programs.
    pub events: u64,
    /// The numbers of the stream among them, each of which was there once.
    pub numbers: BTreeSet<u64>,
    losses: Vec<Loss>,
    /// CPU and number of each exec of all programs.
    execs: Vec<(u64, u64)>,
}

/// A loss that is reported.
#[derive(Debug)]
struct Loss {
    stage: String,
    kind: String,
    sink: Option<String>,
    count: u64,
}

/// Number of the stream with this mark that an event is of.
#[must_use]
pub fn number(event: &Value, mark: &str) -> Option<u64> {
    let args = &event["process"]["args"];
    // The end of a process has the arguments of its execution.
    if args[1] != *mark || event["event"]["action"] == "end" {
        return None;
    }
    args[2].as_str()?.parse().ok()
}

impl Outcome {
    /// Reads all of a sink that writes `events.ndjson` in this directory, rotated and compressed files
    /// too. Fails on a line that is torn or no object, and on a number of the stream with this mark
    /// that is there twice.
    pub fn read(dir: &Path, mark: &str) -> anyhow::Result<Outcome> {
        Outcome::read_with(dir, mark, |bytes| bytes)
    }

    /// The same of a daemon that was killed: its last line may be torn until the next start.
    pub fn read_killed(dir: &Path, mark: &str) -> anyhow::Result<Outcome> {
        Outcome::read_with(dir, mark, |bytes| {
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            &bytes[..whole]
        })
    }

    fn read_with(
        dir: &Path,
        mark: &str,
        lines: impl Fn(&[u8]) -> &[u8],
    ) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        for (name, paths) in files(dir)? {
            let bytes = content(&paths[0])?;
            // A compression that was ended between its last two steps leaves both.
            for other in &paths[1..] {
                if content(other)? != bytes {
                    bail!("{name} and its compressed copy differ");
                }
            }
            for event in parse_whole(lines(&bytes)).with_context(|| name.clone())? {
                outcome.add(&event, mark).with_context(|| name.clone())?;
            }
        }
        Ok(outcome)
    }

    fn add(&mut self, event: &Value, mark: &str) -> anyhow::Result<()> {
        self.events += 1;
        if let Some(number) = number(event, mark)
            && !self.numbers.insert(number)
        {
            bail!("number {number} is in the files twice");
        }
        if event["event"]["action"] == "exec" {
            let cpu = event["shipper"]["cpu"].as_u64().context("a CPU")?;
            let number = event["event"]["sequence"].as_u64().context("a number of the CPU")?;
            self.execs.push((cpu, number));
        }
        let loss = &event["shipper"]["loss"];
        if !loss.is_null() {
            let text = |name: &str| loss[name].as_str().map(str::to_owned);
            self.losses.push(Loss {
                stage: text("stage").context("a stage")?,
                kind: text("kind").context("a kind")?,
                sink: text("sink"),
                count: loss["count"].as_u64().context("a count")?,
            });
        }
        Ok(())
    }

    /// How many were lost at this stage to all sinks, or to this one. Forks and exits do not count.
    #[must_use]
    pub fn lost(&self, stage: &str, sink: Option<&str>) -> u64 {
        let is_event = |loss: &&Loss| matches!(&*loss.kind, "exec" | "record");
        let losses = self.losses.iter().filter(is_event);
        losses
            .filter(|loss| loss.stage == stage && loss.sink.as_deref() == sink)
            .map(|loss| loss.count)
            .sum()
    }

    /// Every number below `count` is there, or the ring was full and at least as many execs of all
    /// programs are counted. An event that was put aside is none of ours; nothing else was lost.
    ///
    /// # Panics
    /// When that is not so.
    pub fn assert_all(&self, count: u64) {
        let is_known = |loss: &Loss| ["ring_full", "quarantined"].contains(&&*loss.stage);
        assert!(self.losses.iter().all(is_known), "{:?}", self.losses);
        self.assert_none_missing(count);
    }

    /// The same, whatever else is counted as lost.
    ///
    /// # Panics
    /// When that is not so.
    pub fn assert_none_missing(&self, count: u64) {
        let missing: Vec<u64> = (0..count).filter(|n| !self.numbers.contains(n)).collect();
        let counted = self.lost("ring_full", None);
        assert!(
            missing.len() as u64 <= counted,
            "{} of {count} are missing, from {:?} to {:?}; {counted} are counted as lost",
            missing.len(),
            missing.first(),
            missing.last(),
        );
        let beyond = self.numbers.last().is_some_and(|&last| last >= count);
        assert!(!beyond, "a number that was never executed");
    }

    /// Execs of all programs that took a number in the kernel and are not here. Each CPU counts from
    /// 1, so what was lost at its end is seen when something later of it arrived.
    ///
    /// # Panics
    /// When one is here twice.
    #[must_use]
    pub fn missing_of_all_programs(&self) -> u64 {
        let mut seen: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for &(cpu, number) in &self.execs {
            assert!(seen.entry(cpu).or_default().insert(number), "{number} of CPU {cpu} twice");
        }
        seen.values().map(|numbers| numbers.last().unwrap_or(&0) - numbers.len() as u64).sum()
    }
}

/// The files of a sink, by their names without what compression adds.
fn files(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        // Others have an end of their own: what a compression had not come to the end of.
        if plain.starts_with("events") && plain.ends_with(".ndjson") {
            files.entry(plain.to_owned()).or_default().push(path);
        }
    }
    Ok(files)
}

fn content(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let read = flate2::read::GzDecoder::new(file).read_to_end(&mut bytes);
        read.with_context(|| path.display().to_string())?;
    } else {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
