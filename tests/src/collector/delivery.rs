//! A daemon that delivers to collectors and, as the measure, to a file; and the account of what came
//! to them. The file has every event once, in the order of the spool.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Collector;
use crate::daemon::parse_whole;
use crate::process::{Process, until};
use crate::site::{Pace, Plan, Site, Stream};

/// Some 250 executions a second: faults hold a sink up, and all has to be delivered in the end.
const PACE: Pace = Pace { in_a_row: 10, pause_ms: 40, padding_bytes: 100 };

/// A site whose second sink, `siem`, delivers to collectors.
pub struct Delivery {
    /// The place of the daemon.
    pub site: Site,
}

/// What collectors have taken together, held to what is in the file.
#[derive(Debug, Default)]
pub struct Balance {
    /// Events in the file.
    pub events: usize,
    /// Events that were taken more often than once, each time but the first.
    pub duplicates: usize,
    /// Events that were not taken.
    pub missing: usize,
    /// Events that were taken and are not in the file.
    pub unknown: usize,
    /// Whether they were first taken in the order of the file; of several collectors it is not known.
    pub in_order: bool,
}

/// The daemon at work, with numbered executions.
pub struct Work {
    /// Its place.
    pub delivery: Delivery,
    /// The daemon.
    pub process: Process,
    /// The executions.
    pub stream: Stream,
}

impl Delivery {
    /// `None`, and the test is skipped, where capture is not allowed. `sink` are the lines of a sink
    /// as [`http_sink`] makes them; `mark` is a word.
    pub fn new(mark: &str, sink: &str, plan: Plan) -> anyhow::Result<Option<Delivery>> {
        let site = Site::new(mark, &plan.with_sink(sink))?;
        Ok(site.map(|site| Delivery { site }))
    }

    /// Has the next start find this configuration.
    pub fn configure(&self, sink: &str, plan: Plan) -> anyhow::Result<()> {
        self.site.configure(&plan.with_sink(sink))
    }

    /// Numbered executions from now on. `helper` is the program `exec_helper`.
    pub fn stream(&self, helper: &str) -> anyhow::Result<Stream> {
        self.site.stream(helper, PACE)
    }

    /// The status that an operator reads of the sink; `Null` before there is one.
    pub fn status(&self) -> anyhow::Result<Value> {
        match std::fs::read(self.status_path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
            other => Ok(serde_json::from_slice(&other?)?),
        }
    }

    /// Where that is.
    #[must_use]
    pub fn status_path(&self) -> PathBuf {
        self.site.dir().join("spool/status/siem.json")
    }

    /// Waits until the status says this of the sink, and of why.
    pub fn await_state(&self, state: &str, words: &str) -> anyhow::Result<()> {
        let mut last = Value::Null;
        let seen = until("a state", || {
            last = self.status()?;
            let error = last["last_error"].as_str().unwrap_or_default();
            Ok(last["state"] == state && error.contains(words))
        });
        seen.with_context(|| format!("not {state} by `{words}`; the status is {last}"))
    }

    /// The balance of the file as it is.
    pub fn balance(&self, collectors: &[&Collector]) -> anyhow::Result<Balance> {
        let mut ids = Vec::new();
        for event in parse_whole(&std::fs::read(self.site.events_path())?)? {
            ids.push(event["event"]["id"].as_str().context("an event without an id")?.to_owned());
        }
        let known: HashSet<&str> = ids.iter().map(String::as_str).collect();
        ensure!(known.len() == ids.len(), "the file has an event twice");
        let mut taken = HashSet::new();
        let mut times = 0;
        for collector in collectors {
            let account = collector.account();
            ensure!(account.malformed == 0, "not by the protocol: {:?}", account.complaints);
            ensure!(account.key_violations.is_empty(), "keys: {:?}", account.key_violations);
            times += account.taken.values().sum::<usize>();
            taken.extend(account.events);
        }
        let in_order = match collectors {
            [collector] => collector.look(|account| account.has_exactly(&ids)),
            _ => false,
        };
        Ok(Balance {
            events: ids.len(),
            duplicates: times - taken.len(),
            missing: ids.iter().filter(|id| !taken.contains(*id)).count(),
            unknown: taken.iter().filter(|id| !known.contains(id.as_str())).count(),
            in_order,
        })
    }
}

impl Work {
    /// A daemon with this sink, and a stream of which something has come. `None`, and the test is
    /// skipped, where capture is not allowed.
    pub fn begin(helper: &str, mark: &str, sink: &str) -> anyhow::Result<Option<Work>> {
        Work::begin_with(helper, mark, sink, Plan::default(), |_| {})
    }

    /// The same with more configuration and, say, an environment.
    pub fn begin_with(
        helper: &str,
        mark: &str,
        sink: &str,
        plan: Plan,
        prepare: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Option<Work>> {
        let Some(delivery) = Delivery::new(mark, sink, plan)? else { return Ok(None) };
        let mut command = delivery.site.command();
        prepare(&mut command);
        let Some(process) = Site::begin_or_skip(&mut command)? else { return Ok(None) };
        let mut stream = delivery.stream(helper)?;
        stream.await_more(50)?;
        Ok(Some(Work { delivery, process, stream }))
    }

    /// Ends the stream, and the daemon, which delivers what is left. Every execution is in the file,
    /// or the test fails. Gives the balance, the log, and the place.
    pub fn end(self, collectors: &[&Collector]) -> anyhow::Result<(Balance, String, Delivery)> {
        let Work { delivery, process, stream } = self;
        let count = stream.end()?;
        let ended = process.stop()?;
        ensure!(ended.status.success(), "it ended with {}:\n{}", ended.status, ended.log);
        delivery.site.outcome()?.assert_all(count);
        Ok((delivery.balance(collectors)?, ended.log, delivery))
    }

    /// The same; everything was taken once.
    ///
    /// # Panics
    /// When it was not.
    pub fn end_exact(self, collectors: &[&Collector]) -> anyhow::Result<()> {
        self.end(collectors)?.0.assert_exact();
        Ok(())
    }
}

impl Balance {
    /// Everything was taken, and nothing else.
    ///
    /// # Panics
    /// When something is missing or unknown.
    pub fn assert_complete(&self) {
        assert_eq!((self.missing, self.unknown), (0, 0), "{self:?}");
        assert!(self.events > 0, "{self:?}");
    }

    /// Everything was taken once.
    ///
    /// # Panics
    /// When something is missing, unknown or doubled.
    pub fn assert_exact(&self) {
        self.assert_complete();
        assert_eq!(self.duplicates, 0, "{self:?}");
    }
}

/// A sink `siem` of type `http`, quick to try again, with these further lines, indented by four.
/// Batches are small, so that there are many.
#[must_use]
pub fn http_sink(url: &str, more: &str) -> String {
    sink("http", &format!("    url: \"{url}\"\n{more}"))
}

/// The same of another type, and without its URL.
#[must_use]
pub fn sink(kind: &str, more: &str) -> String {
    let mut yaml = format!("  - name: siem\n    type: {kind}\n{more}");
    if !more.contains("    retry:") {
        yaml.push_str("    retry: { initial: 50ms, max: 200ms }\n");
    }
    if !more.contains("    batch:") {
        yaml.push_str("    batch: { events: 20, linger: 20ms }\n");
    }
    yaml
}
