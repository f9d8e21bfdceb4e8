//! What the script said of each row.
//!
//! A line `@ ID ATTEMPT CODE` begins a run (`@ all 0 0`: values for all rows), `NAME=value` is what it
//! told, `! text` what it said on standard error.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use super::check::Told;

/// One try of a row.
#[derive(Debug, Default)]
pub struct Run {
    /// Which row.
    pub id: String,
    /// From 1 on.
    pub attempt: u32,
    /// The exit code of its script; 77: it cannot be done there.
    pub code: i32,
    /// What it told, with what was told for all.
    pub told: Told,
    /// What it said on standard error.
    pub complaints: String,
}

/// All runs, by the id of the row, in the order of the attempts.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<String, Vec<Run>>);

impl Results {
    /// Reads the file.
    pub fn read(text: &str) -> anyhow::Result<Results> {
        let mut all = Told::new();
        let mut results = Results::default();
        let mut current: Option<Run> = None;
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("@ ") {
                if let Some(done) = current.take() {
                    results.add(done, &mut all);
                }
                let words: Vec<&str> = head.split(' ').collect();
                let [id, attempt, code] = words[..] else { bail!("no head of a run: {line}") };
                current = Some(Run {
                    id: id.to_owned(),
                    attempt: attempt.parse().context("an attempt")?,
                    code: code.parse().context("an exit code")?,
                    told: all.clone(),
                    complaints: String::new(),
                });
                continue;
            }
            let run = current.as_mut().context("a line before the first run")?;
            if let Some(said) = line.strip_prefix("! ") {
                run.complaints.push_str(said);
                run.complaints.push('\n');
            } else {
                let (name, value) =
                    line.split_once('=').with_context(|| format!("not understood: {line}"))?;
                run.told.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(done) = current {
            results.add(done, &mut all);
        }
        Ok(results)
    }

    fn add(&mut self, run: Run, all: &mut Told) {
        if run.id == "all" {
            *all = run.told;
        } else {
            self.0.entry(run.id.clone()).or_default().push(run);
        }
    }

    /// The runs of a row.
    #[must_use]
    pub fn of(&self, id: &str) -> &[Run] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    #[test]
    fn runs_have_what_they_told_and_what_was_told_for_all() {
        let text = "@ all 0 0\nSH=/bin/dash\n@ a_00 1 0\nPID=7\n! oh\n@ b_00 1 77\nCANNOT=x=y\n@ a_00 2 1\n";
        let results = Results::read(text).unwrap();
        let [first, second] = results.of("a_00") else { panic!("{results:?}") };
        assert_eq!((first.told["SH"].as_str(), first.told["PID"].as_str()), ("/bin/dash", "7"));
        assert_eq!((first.complaints.as_str(), second.code, second.attempt), ("oh\n", 1, 2));
        assert_eq!(results.of("b_00")[0].told["CANNOT"], "x=y");
        assert!(results.of("c_00").is_empty());
        assert!(Results::read("PID=7\n").is_err());
        assert!(Results::read("@ a 1 0\nwhat\n").is_err());
    }
}
