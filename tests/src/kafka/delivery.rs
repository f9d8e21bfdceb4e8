//! A daemon that delivers to a cluster and, as the measure, to a file; and the account of what came
//! to the topic. The file has every event once, in the order of the spool.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{Cluster, Listener, Message};
use crate::daemon::parse_whole;
use crate::process::Process;
use crate::site::{Pace, Plan, Site, Stream};

/// A site whose second sink is Kafka.
pub struct Delivery {
    /// The place of the daemon.
    pub site: Site,
    topic: String,
    /// The lines of the Kafka sink.
    sink: String,
}

/// What is in a topic, held to what is in the file.
#[derive(Debug)]
pub struct Account {
    /// Events in the file.
    pub events: usize,
    /// Messages in the topic.
    pub messages: usize,
    /// Messages whose event came before.
    pub duplicates: usize,
    /// Events that are not in the topic.
    pub missing: usize,
    /// Bytes in the file of each event of which the topic has a shorter form.
    pub shortened: Vec<usize>,
}

impl Delivery {
    /// `None`, and the test is skipped, where capture is not allowed. `sink` are further lines of the
    /// Kafka sink, indented by four; brokers, topic, quick retries are there already.
    pub fn new(
        mark: &str,
        cluster: &Cluster,
        listener: Listener,
        topic: &str,
        sink: &str,
    ) -> anyhow::Result<Option<Delivery>> {
        Delivery::with(mark, cluster, listener, topic, sink, Plan::default())
    }

    /// The same with a configuration that has more than this sink.
    pub fn with(
        mark: &str,
        cluster: &Cluster,
        listener: Listener,
        topic: &str,
        sink: &str,
        plan: Plan,
    ) -> anyhow::Result<Option<Delivery>> {
        let brokers = cluster.addresses(listener).join(", ");
        let sink = sink_yaml(&brokers, topic, sink);
        let Some(site) = Site::new(mark, &plan.with_sink(&sink))? else { return Ok(None) };
        Ok(Some(Delivery { site, topic: topic.to_owned(), sink }))
    }

    /// Has the next start find the same Kafka sink in another configuration.
    pub fn configure(&self, plan: Plan) -> anyhow::Result<()> {
        self.site.configure(&plan.with_sink(&self.sink))
    }

    /// Starts a daemon; `None`, and the test is skipped, where this machine allows no capture.
    pub fn start_or_skip(&self) -> anyhow::Result<Option<Process>> {
        self.site.start_or_skip()
    }

    /// A stream of numbered executions at some 500 a second. `helper` is the program `exec_helper`.
    pub fn stream(&self, helper: &str) -> anyhow::Result<Stream> {
        self.site.stream(helper, Pace { in_a_row: 10, pause_ms: 20, padding_bytes: 100 })
    }

    /// Stops the daemon, which delivers what is left of `count` executions to both sinks, and gives
    /// the account. Every execution is in the file, or the test fails.
    pub fn settle(
        &self,
        process: Process,
        count: u64,
        cluster: &Cluster,
    ) -> anyhow::Result<Account> {
        self.site.settle(process, count)?;
        self.account(&cluster.consume(&self.topic)?)
    }

    /// The account of messages against the file as it is.
    pub fn account(&self, messages: &[Message]) -> anyhow::Result<Account> {
        let bytes = std::fs::read(self.site.events_path())?;
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let mut places = HashMap::new();
        for (place, event) in parse_whole(&bytes)?.iter().enumerate() {
            ensure!(places.insert(id(event)?, place).is_none(), "the file has an event twice");
        }
        let mut seen = vec![false; lines.len()];
        let mut newest: HashMap<i32, usize> = HashMap::new();
        let mut account = Account {
            events: lines.len(),
            messages: messages.len(),
            duplicates: 0,
            missing: 0,
            shortened: Vec::new(),
        };
        for message in messages {
            let value = message.value.as_deref().context("a message without a value")?;
            let event: Value = serde_json::from_slice(value).context("a value is not JSON")?;
            let event_id = id(&event)?;
            ensure!(
                message.header("event-id") == Some(event_id.as_bytes()),
                "another id in the header"
            );
            ensure!(message.header("content-type") == Some(&b"application/json"[..]));
            let Some(&place) = places.get(&event_id) else {
                bail!("an event that is not in the file of {} events", lines.len())
            };
            if value != lines[place].trim_ascii_end() {
                ensure!(value.len() < lines[place].len(), "another event under the same id");
                account.shortened.push(lines[place].len());
            }
            if std::mem::replace(&mut seen[place], true) {
                account.duplicates += 1;
                continue;
            }
            let newest = newest.entry(message.partition).or_default();
            ensure!(place >= *newest, "partition {} has an event late", message.partition);
            *newest = place;
        }
        account.missing = seen.iter().filter(|seen| !**seen).count();
        Ok(account)
    }
}

/// A Kafka sink `siem`, quick to try again, with these further lines.
#[must_use]
pub fn sink_yaml(brokers: &str, topic: &str, more: &str) -> String {
    let mut yaml = format!(
        "  - name: siem\n    type: kafka\n    brokers: [{brokers}]\n    topic: \"{topic}\"\n    \
         retry: {{ initial: 100ms, max: 1s }}\n{more}"
    );
    if !more.contains("options:") {
        yaml.push_str("    options: { reconnect.backoff.max.ms: 500 }\n");
    }
    yaml
}

fn id(event: &Value) -> anyhow::Result<String> {
    Ok(event["event"]["id"].as_str().context("an event without an id")?.to_owned())
}

impl Account {
    /// Everything is there.
    ///
    /// # Panics
    /// When something is missing.
    pub fn assert_complete(&self) {
        assert_eq!(self.missing, 0, "{self:?}");
    }

    /// Everything is there, once.
    ///
    /// # Panics
    /// When something is missing or doubled.
    pub fn assert_exact(&self) {
        self.assert_complete();
        assert_eq!(self.duplicates, 0, "{self:?}");
    }
}
