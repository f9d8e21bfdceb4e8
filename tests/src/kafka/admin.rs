//! The harness's hand on a cluster: `tests/kafka/Admin.java`, kept running, spoken to in lines.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::message::Message;
use super::properties::{Listener, Mechanism};
use super::{Pki, broker, log_tail, open_log, owned};
use crate::process::LIMIT;

/// A topic to create: one partition, one replica, the broker's settings, unless told otherwise.
#[derive(Debug, Clone)]
pub struct Topic {
    name: String,
    partitions: u16,
    replication: u16,
    configs: BTreeMap<String, String>,
}

impl Topic {
    /// A topic of this name.
    #[must_use]
    pub fn new(name: &str) -> Topic {
        Topic { name: name.into(), partitions: 1, replication: 1, configs: BTreeMap::new() }
    }

    /// How many partitions.
    #[must_use]
    pub fn partitions(mut self, count: u16) -> Topic {
        self.partitions = count;
        self
    }

    /// How many brokers hold each partition.
    #[must_use]
    pub fn replication(mut self, count: u16) -> Topic {
        self.replication = count;
        self
    }

    /// A setting, such as `min.insync.replicas`.
    #[must_use]
    pub fn config(mut self, name: &str, value: &str) -> Topic {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// The state of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 0.
    pub partition: i32,
    /// The broker that leads it; None while none does.
    pub leader: Option<u16>,
    /// The brokers that are to hold it, the preferred leader first.
    pub replicas: Vec<u16>,
    /// Those of them that are in sync.
    pub in_sync: Vec<u16>,
}

/// What an ACL is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A topic, or `*` for all.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// The cluster.
    Cluster,
}

/// A rule of who may do what, from any host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// `User:` and a SASL user name, or the subject of a client certificate such as `CN=shipper`.
    pub principal: String,
    /// What it is about.
    pub resource: Resource,
    /// `write`, `read`, `describe`, `idempotent_write`, `all`, ...
    pub operation: String,
    /// Whether it allows or denies.
    pub allow: bool,
}

impl Acl {
    /// Allows `User:user` an operation.
    #[must_use]
    pub fn allow(user: &str, operation: &str, resource: Resource) -> Acl {
        let (principal, operation) = (format!("User:{user}"), operation.into());
        Acl { principal, resource, operation, allow: true }
    }

    /// Denies `User:user` an operation, whatever allows it.
    #[must_use]
    pub fn deny(user: &str, operation: &str, resource: Resource) -> Acl {
        Acl { allow: false, ..Acl::allow(user, operation, resource) }
    }
}

/// Changes a cluster. What concerns topics and leaders waits until every broker shows it; ACLs,
/// users, quotas and settings are committed when the call returns and reach the brokers within
/// milliseconds, so a test of their effect tries until it sees it.
///
/// Used from several threads, the calls queue.
pub struct Admin {
    process: Mutex<Conversation>,
    log: PathBuf,
}

struct Conversation {
    child: Child,
    input: ChildStdin,
    answers: mpsc::Receiver<String>,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Admin {
    pub(super) fn start(jars: &Path, bootstrap: &str, log: &Path) -> anyhow::Result<Admin> {
        let messages = open_log(log)?;
        let mut child = owned::spawn("java", |command| {
            command.args(broker::java_options(jars)).args(["-Xmx256m", "Admin", bootstrap]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(messages);
        })?;
        let input = child.stdin.take().context("its standard input")?;
        let output = child.stdout.take().context("its standard output")?;
        // A bounded queue: a topic that is read must not be in memory twice.
        let (sender, answers) = mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let process = Mutex::new(Conversation { child, input, answers });
        Ok(Admin { process, log: log.into() })
    }

    /// The ids of the brokers that serve.
    pub fn brokers(&self) -> anyhow::Result<Vec<u16>> {
        ids(&self.run(&json!({"command": "brokers"}))?)
    }

    /// Creates a topic and waits until every broker knows its leaders.
    pub fn create_topic(&self, topic: &Topic) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "create-topic", "topic": topic.name, "partitions": topic.partitions,
            "replication": topic.replication, "configs": topic.configs,
        }))?;
        Ok(())
    }

    /// Deletes a topic and waits until no broker knows it.
    pub fn delete_topic(&self, topic: &str) -> anyhow::Result<()> {
        self.run(&json!({"command": "delete-topic", "topic": topic}))?;
        Ok(())
    }

    /// The state of each partition of a topic.
    pub fn describe_topic(&self, topic: &str) -> anyhow::Result<Vec<Partition>> {
        let answer = self.run(&json!({"command": "describe-topic", "topic": topic}))?;
        let partitions = answer.as_array().context("a list of partitions")?;
        partitions
            .iter()
            .map(|partition| {
                Ok(Partition {
                    partition: i32::try_from(partition["partition"].as_i64().context("number")?)?,
                    leader: partition["leader"].as_u64().map(u16::try_from).transpose()?,
                    replicas: ids(&partition["replicas"])?,
                    in_sync: ids(&partition["isr"])?,
                })
            })
            .collect()
    }

    /// Makes another of its replicas the leader of a partition, and waits until it is.
    pub fn move_leader(&self, topic: &str, partition: i32, leader: u16) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "move-leader", "topic": topic, "partition": partition, "leader": leader,
        }))?;
        Ok(())
    }

    /// Sets a setting of a topic; None goes back to the broker's.
    pub fn alter_topic(&self, topic: &str, name: &str, value: Option<&str>) -> anyhow::Result<()> {
        self.alter("topic", topic, &json!({name: value}))
    }

    /// Sets a setting of a broker that can be changed while it runs; None goes back to the one it
    /// was started with.
    pub fn alter_broker(&self, id: u16, name: &str, value: Option<&str>) -> anyhow::Result<()> {
        self.alter("broker", &id.to_string(), &json!({name: value}))
    }

    fn alter(&self, kind: &str, name: &str, configs: &Value) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "alter-configs", "type": kind, "name": name, "configs": configs,
        }))?;
        Ok(())
    }

    /// Has a broker read the key store file of a listener again.
    pub(super) fn reload_key_store(
        &self,
        id: u16,
        listener: Listener,
        pki: &Pki,
    ) -> anyhow::Result<()> {
        // Naming the same file again is what makes it look.
        let name = format!("{}ssl.keystore.location", listener.prefix());
        self.alter_broker(id, &name, Some(&pki.server_file().to_string_lossy()))
    }

    /// Adds an ACL; one that is there already stays.
    pub fn add_acl(&self, acl: &Acl) -> anyhow::Result<()> {
        self.acl("add-acl", acl)
    }

    /// Removes an ACL.
    pub fn remove_acl(&self, acl: &Acl) -> anyhow::Result<()> {
        self.acl("remove-acl", acl)
    }

    fn acl(&self, command: &str, acl: &Acl) -> anyhow::Result<()> {
        let (kind, name) = match &acl.resource {
            Resource::Topic(name) => ("topic", name.as_str()),
            Resource::Group(name) => ("group", name.as_str()),
            Resource::Cluster => ("cluster", "kafka-cluster"),
        };
        let permission = if acl.allow { "allow" } else { "deny" };
        self.run(&json!({
            "command": command, "principal": acl.principal, "type": kind, "name": name,
            "operation": acl.operation, "permission": permission,
        }))?;
        Ok(())
    }

    /// Adds a SCRAM user, or changes its password. Connections that are open stay.
    pub fn set_scram(&self, user: &str, kind: Mechanism, password: &str) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "set-scram", "user": user, "mechanism": kind.name(), "password": password,
        }))?;
        Ok(())
    }

    /// Removes a SCRAM user. Connections that are open stay.
    pub fn remove_scram(&self, user: &str, mechanism: Mechanism) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "remove-scram", "user": user, "mechanism": mechanism.name(),
        }))?;
        Ok(())
    }

    /// Limits what a user may produce, in bytes a second on each broker; None lifts it. Who does not
    /// authenticate is `ANONYMOUS`.
    pub fn set_quota(&self, user: &str, producer_byte_rate: Option<u32>) -> anyhow::Result<()> {
        self.run(&json!({
            "command": "set-quota", "user": user, "producer_byte_rate": producer_byte_rate,
        }))?;
        Ok(())
    }

    /// Sends one message by Kafka's own producer with these properties, and says for how long the
    /// broker throttles it; what it was refused for is in the error. For what kcat cannot do: Debian's is too old to log in to Kafka 4 by SCRAM.
    pub fn produce(
        &self,
        topic: &str,
        value: &str,
        properties: &[(&str, &str)],
    ) -> anyhow::Result<Duration> {
        let properties: BTreeMap<_, _> = properties.iter().copied().collect();
        let throttle_ms = self.run(&json!({
            "command": "produce", "topic": topic, "value": value, "properties": properties,
        }))?;
        Ok(Duration::from_millis(throttle_ms.as_u64().context("milliseconds")?))
    }

    pub(super) fn await_broker(&self, id: u16, address: &str) -> anyhow::Result<()> {
        self.run(&json!({"command": "await-broker", "broker": id, "bootstrap": address}))?;
        Ok(())
    }

    pub(super) fn consume(&self, topic: &str) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        let count = self.converse(&json!({"command": "consume", "topic": topic}), |line| {
            messages.push(Message::from_json(line)?);
            Ok(())
        })?;
        if count.as_u64() != Some(messages.len() as u64) {
            bail!("{count} messages were read and {} came through", messages.len());
        }
        Ok(messages)
    }

    fn run(&self, command: &Value) -> anyhow::Result<Value> {
        self.converse(command, |line| bail!("what is {line}?"))
    }

    /// Sends a command and gives `each` what comes before its answer.
    fn converse(
        &self,
        command: &Value,
        mut each: impl FnMut(&Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<Value> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = || format!("{command}: the admin program: {}", log_tail(&self.log));
        writeln!(process.input, "{command}").with_context(broken)?;
        process.input.flush().with_context(broken)?;
        let mut outcome = Ok(());
        loop {
            let line = process.answers.recv_timeout(LIMIT).with_context(broken)?;
            let line: Value = serde_json::from_str(&line).with_context(broken)?;
            if let Some(error) = line["error"].as_str() {
                bail!("{command}: {error}");
            }
            match line.get("ok") {
                Some(answer) => return outcome.map(|()| answer.clone()),
                // Read on after a failure, or the next command would be answered by the rest.
                None if outcome.is_ok() => outcome = each(&line),
                None => {}
            }
        }
    }
}

fn ids(value: &Value) -> anyhow::Result<Vec<u16>> {
    let list = value.as_array().context("a list of ids")?;
    list.iter().map(|id| Ok(u16::try_from(id.as_u64().context("an id")?)?)).collect()
}
