//! A real Apache Kafka for tests: brokers as processes of their own on loopback, with whatever a
//! failure asks for: TLS, SASL, ACLs, quotas, brokers killed and paused, a proxy before each.
//!
//! `tests/kafka.sh target/kafka` fetches it; where that was not run or could not be, a test is
//! skipped.
//!
//! ```no_run
//! # use shipper_tests::kafka::{Cluster, Listener, Mechanism, Plan, Topic};
//! # fn main() -> anyhow::Result<()> {
//! let plan = Plan::new(3).listener(Listener::SaslSsl).authorizer();
//! let Some(cluster) = Cluster::start(plan)? else { return Ok(()) };
//! cluster.admin().create_topic(&Topic::new("audit").replication(3))?;
//! cluster.admin().set_scram("shipper", Mechanism::ScramSha512, "secret")?;
//! let brokers: Vec<String> = cluster.addresses(Listener::SaslSsl);
//! let ca_file = cluster.pki().ca_file();
//! // ... send with what is tested ...
//! cluster.broker(1).kill()?;
//! cluster.start_broker(1)?;
//! assert_eq!(cluster.consume("audit")?.len(), 500);
//! # Ok(())
//! # }
//! ```
//!
//! Every node is broker and controller in one and has the id 1 to 3; three nodes are a quorum of
//! three, so one of them can be gone. Between themselves and for the harness they speak plain text
//! on listeners of their own, which no proxy stands before. Nothing of a cluster outlives the
//! process of the test, however that ends.

mod admin;
mod broker;
pub mod delivery;
mod kcat;
mod message;
pub(crate) mod owned;
mod properties;
mod tokens;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use owned::Directory;
use properties::Node;

pub use crate::pki::{Certificate, Pair, Pki};
pub use crate::ports;
pub use admin::{Acl, Admin, Partition, Resource, Topic};
pub use broker::Broker;
pub use kcat::{consume_with_kcat, kcat};
pub use message::Message;
pub use properties::{Listener, Mechanism, PLAIN_PASSWORD, PLAIN_USER, Plan};
pub use tokens::{CLIENT_ID, CLIENT_SECRET, TokenEndpoint};

/// A cluster at work. Dropping it kills its brokers and removes what they stored.
pub struct Cluster {
    // In the order in which they end: the brokers before the directory that they write to.
    admin: Admin,
    brokers: Vec<Broker>,
    pki: Pki,
    _directory: Directory,
}

impl Cluster {
    /// Starts the brokers and waits until all serve; one takes about three seconds. None where
    /// Kafka cannot be had on this machine: the test is then skipped and returns.
    pub fn start(plan: Plan) -> anyhow::Result<Option<Cluster>> {
        ensure!(matches!(plan.brokers, 1 | 3), "a cluster has one broker or three");
        let Some(jars) = jars() else { return Ok(None) };
        let directory = Directory::new()?;
        let pki = Pki::new(&directory.path().join("pki"))?;
        let nodes = Node::all(&plan, directory.path())?;
        // All at once: with three voters none serves before two are there.
        let brokers = nodes
            .into_iter()
            .map(|node| Broker::launch(node, &plan, &jars, &pki))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let harness: Vec<&str> = brokers.iter().map(Broker::harness_address).collect();
        let admin = Admin::start(&jars, &harness.join(","), &directory.path().join("admin.log"))?;
        for broker in &brokers {
            broker.await_serving(&admin)?;
        }
        Ok(Some(Cluster { admin, brokers, pki, _directory: directory }))
    }

    /// `host:port` of each broker, as a client of this listener is to be told; the proxies' where
    /// the plan puts proxies before it.
    ///
    /// # Panics
    ///
    /// When the plan has no such listener.
    #[must_use]
    pub fn addresses(&self, listener: Listener) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.address(listener)).collect()
    }

    /// [`Cluster::addresses`] as one list with commas.
    #[must_use]
    pub fn bootstrap(&self, listener: Listener) -> String {
        self.addresses(listener).join(",")
    }

    /// The broker with this id, from 1.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn broker(&self, id: u16) -> &Broker {
        &self.brokers[usize::from(id) - 1]
    }

    /// All brokers.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Starts a broker that was killed or stopped, on its old ports and with its old data, and waits
    /// until it serves.
    pub fn start_broker(&self, id: u16) -> anyhow::Result<()> {
        let broker = self.broker(id);
        broker.relaunch()?;
        broker.await_serving(&self.admin)
    }

    /// Topics, ACLs, users, quotas, leaders.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The certificates of brokers and clients.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Has every broker that runs present another certificate on its TLS listeners, to the
    /// connections made from now on.
    pub fn present(&self, certificate: Certificate) -> anyhow::Result<()> {
        self.pki.present(certificate)?;
        for broker in self.brokers.iter().filter(|broker| broker.is_running()) {
            for listener in broker.tls_listeners() {
                self.admin.reload_key_store(broker.id(), listener, &self.pki)?;
            }
        }
        Ok(())
    }

    /// Every committed message of a topic, from the beginning to the end as it is now, in the order
    /// of each partition; read by Kafka's own consumer.
    pub fn consume(&self, topic: &str) -> anyhow::Result<Vec<Message>> {
        self.admin.consume(topic)
    }

    /// The same by kcat, which is librdkafka's consumer.
    pub fn consume_with_kcat(&self, topic: &str) -> anyhow::Result<Vec<Message>> {
        consume_with_kcat(&self.harness_bootstrap(), topic, &[])
    }

    /// The addresses past every proxy and without any authentication, for what tests a test.
    #[must_use]
    pub fn harness_bootstrap(&self) -> String {
        let addresses: Vec<&str> = self.brokers.iter().map(Broker::harness_address).collect();
        addresses.join(",")
    }
}

/// Where Kafka's jars are. None, after saying so, where they are not.
fn jars() -> Option<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tests.parent().unwrap_or(tests).join("target/kafka");
    if directory.join("classes/Node.class").is_file() {
        return Some(directory);
    }
    crate::skip("there is no Kafka; run: tests/kafka.sh target/kafka");
    None
}

/// Reads the end of a log for the text of an error.
fn log_tail(path: &Path) -> String {
    const TAIL_LINES: usize = 40;
    let log = std::fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Opens a log to append to.
fn open_log(path: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))
}
