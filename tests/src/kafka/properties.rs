//! What a test asks of a cluster, and the server properties that follow.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Pki, ports};
use crate::proxy::Proxy;

/// The user of SASL PLAIN. Its password is in the brokers' properties and cannot be changed.
pub const PLAIN_USER: &str = "plain";
/// Its password.
pub const PLAIN_PASSWORD: &str = "plain-secret";

/// How clients reach a broker. Every SASL listener takes every [`Mechanism`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// No TLS, no authentication; the principal is `User:ANONYMOUS`, who may do everything.
    Plaintext,
    /// TLS; clients need no certificate.
    Ssl,
    /// TLS; clients need a certificate of the harness's authority.
    Mtls,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS; clients need no certificate.
    SaslSsl,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// [`PLAIN_USER`] with [`PLAIN_PASSWORD`].
    Plain,
    /// Users of [`super::Admin::set_scram`].
    ScramSha256,
    /// Users of [`super::Admin::set_scram`].
    ScramSha512,
    /// Tokens of [`super::TokenEndpoint`]: the broker takes any unsigned one that has not expired.
    OAuthBearer,
}

impl Mechanism {
    const ALL: [Mechanism; 4] =
        [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512, Mechanism::OAuthBearer];

    /// As `sasl.mechanism` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// What the broker logs in with. Tokens are looked at by Kafka's validator for unsigned ones,
    /// which is what takes OAUTHBEARER when nothing else is set: it checks subject and expiry as the
    /// one for signed tokens does, and needs no keys from anywhere.
    fn broker_module(self) -> String {
        match self {
            Mechanism::Plain => format!(
                "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_{PLAIN_USER}=\"{PLAIN_PASSWORD}\";"
            ),
            Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
                "org.apache.kafka.common.security.scram.ScramLoginModule required;".into()
            }
            Mechanism::OAuthBearer => {
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                 unsecuredLoginStringClaim_sub=\"broker\";"
                    .into()
            }
        }
    }
}

impl Listener {
    /// Its name in the broker's properties.
    fn name(self) -> &'static str {
        match self {
            Listener::Plaintext => "PLAINTEXT",
            Listener::Ssl => "SSL",
            Listener::Mtls => "MTLS",
            Listener::SaslPlaintext => "SASL_PLAINTEXT",
            Listener::SaslSsl => "SASL_SSL",
        }
    }

    /// As `security.protocol` takes it.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Listener::Mtls => "SSL",
            other => other.name(),
        }
    }

    /// What properties of this listener alone begin with.
    pub(super) fn prefix(self) -> String {
        format!("listener.name.{}.", self.name().to_lowercase())
    }

    pub(super) fn has_tls(self) -> bool {
        matches!(self, Listener::Ssl | Listener::Mtls | Listener::SaslSsl)
    }

    fn has_sasl(self) -> bool {
        matches!(self, Listener::SaslPlaintext | Listener::SaslSsl)
    }
}

/// What a test asks of a cluster: [`Listener::Plaintext`] alone, no authorizer, no proxies, unless
/// told otherwise.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One or three.
    pub brokers: u16,
    listeners: Vec<Listener>,
    authorizer: bool,
    proxied: Option<Listener>,
    server: Vec<(String, String)>,
}

impl Plan {
    /// A cluster of one broker or of three.
    #[must_use]
    pub fn new(brokers: u16) -> Plan {
        let listeners = vec![Listener::Plaintext];
        Plan { brokers, listeners, authorizer: false, proxied: None, server: Vec::new() }
    }

    /// One more listener on every broker.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Plan {
        if !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
        self
    }

    /// Nobody may do anything without an ACL, except `User:ANONYMOUS`, who is a super user: who
    /// comes by [`Listener::Plaintext`] or [`Listener::Ssl`].
    #[must_use]
    pub fn authorizer(mut self) -> Plan {
        self.authorizer = true;
        self
    }

    /// A [`Proxy`] before this listener of every broker, which the broker gives out as its address.
    #[must_use]
    pub fn proxied(mut self, listener: Listener) -> Plan {
        self.proxied = Some(listener);
        self.listener(listener)
    }

    /// A server property, in the place of the harness's where it sets the same.
    #[must_use]
    pub fn server(mut self, name: &str, value: &str) -> Plan {
        self.server.push((name.into(), value.into()));
        self
    }
}

/// Where one node of a cluster listens and writes.
pub(super) struct Node {
    pub id: u16,
    pub cluster_id: String,
    pub data: PathBuf,
    pub properties: PathBuf,
    pub log: PathBuf,
    pub harness_port: u16,
    controller_port: u16,
    pub listeners: Vec<(Listener, u16)>,
    pub proxy: Option<(Listener, Proxy)>,
    /// `1@127.0.0.1:...,...`: all nodes, as each must know them.
    voters: String,
}

impl Node {
    /// The nodes that a plan asks for, with ports and proxies of their own.
    pub fn all(plan: &Plan, directory: &Path) -> anyhow::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for id in 1..=plan.brokers {
            let (mut listeners, mut proxy) = (Vec::new(), None);
            for &listener in &plan.listeners {
                let port = ports::free()?;
                listeners.push((listener, port));
                if plan.proxied == Some(listener) {
                    proxy = Some((listener, Proxy::start(ports::free()?, port)?));
                }
            }
            nodes.push(Node {
                id,
                // Any sixteen bytes in base64: the clusters of tests never meet.
                cluster_id: "c2hpcHBlci10ZXN0cy0tLQ".into(),
                data: directory.join(format!("data-{id}")),
                properties: directory.join(format!("{id}.properties")),
                log: directory.join(format!("{id}.log")),
                harness_port: ports::free()?,
                controller_port: ports::free()?,
                listeners,
                proxy,
                voters: String::new(),
            });
        }
        let voters: Vec<String> = nodes
            .iter()
            .map(|node| format!("{}@127.0.0.1:{}", node.id, node.controller_port))
            .collect();
        for node in &mut nodes {
            node.voters = voters.join(",");
        }
        Ok(nodes)
    }

    /// The port that a client of this listener is told.
    pub fn client_port(&self, listener: Listener) -> Option<u16> {
        let (_, port) = self.listeners.iter().find(|(found, _)| *found == listener)?;
        match &self.proxy {
            Some((proxied, proxy)) if *proxied == listener => Some(proxy.port()),
            _ => Some(*port),
        }
    }

    /// The file that the node is started with.
    pub fn server_properties(&self, plan: &Plan, pki: &Pki) -> String {
        let replication = plan.brokers;
        let mut listen = format!(
            "HARNESS://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
            self.harness_port, self.controller_port
        );
        let mut advertised = format!("HARNESS://127.0.0.1:{}", self.harness_port);
        let mut protocols = String::from("HARNESS:PLAINTEXT,CONTROLLER:PLAINTEXT");
        let mut text = String::new();
        let mut set = |name: &str, value: &str| {
            // A string takes everything.
            let _ = writeln!(text, "{name}={value}");
        };
        for &(listener, port) in &self.listeners {
            let name = listener.name();
            let told = self.client_port(listener).unwrap_or(port);
            let _ = write!(listen, ",{name}://127.0.0.1:{port}");
            let _ = write!(advertised, ",{name}://127.0.0.1:{told}");
            let _ = write!(protocols, ",{name}:{}", listener.protocol());
            let prefix = listener.prefix();
            if listener.has_tls() {
                set(&format!("{prefix}ssl.keystore.type"), "PEM");
                set(
                    &format!("{prefix}ssl.keystore.location"),
                    &pki.server_file().to_string_lossy(),
                );
            }
            if listener == Listener::Mtls {
                set(&format!("{prefix}ssl.client.auth"), "required");
                set(&format!("{prefix}ssl.truststore.type"), "PEM");
                set(&format!("{prefix}ssl.truststore.location"), &pki.ca_file().to_string_lossy());
            }
            if listener.has_sasl() {
                let names = Mechanism::ALL.map(Mechanism::name).join(",");
                set(&format!("{prefix}sasl.enabled.mechanisms"), &names);
                for mechanism in Mechanism::ALL {
                    let name = mechanism.name().to_lowercase();
                    set(&format!("{prefix}{name}.sasl.jaas.config"), &mechanism.broker_module());
                }
            }
        }
        set("process.roles", "broker,controller");
        set("node.id", &self.id.to_string());
        set("controller.quorum.voters", &self.voters);
        set("listeners", &listen);
        set("advertised.listeners", &advertised);
        set("listener.security.protocol.map", &protocols);
        set("inter.broker.listener.name", "HARNESS");
        set("controller.listener.names", "CONTROLLER");
        set("log.dirs", &self.data.to_string_lossy());
        // Topics are there when a test made them, and leaders where it put them.
        set("auto.create.topics.enable", "false");
        set("auto.leader.rebalance.enable", "false");
        // A broker that is gone is known to be after two seconds, not nine.
        set("broker.heartbeat.interval.ms", "500");
        set("broker.session.timeout.ms", "2000");
        // Or the certificate of another host would not be presented.
        set("ssl.allow.san.changes", "true");
        // For a few clients, not for a service.
        set("num.network.threads", "2");
        set("num.io.threads", "4");
        set("offsets.topic.num.partitions", "1");
        set("offsets.topic.replication.factor", &replication.to_string());
        set("transaction.state.log.num.partitions", "1");
        set("transaction.state.log.replication.factor", &replication.to_string());
        set("transaction.state.log.min.isr", "1");
        set("group.initial.rebalance.delay.ms", "0");
        if plan.authorizer {
            set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
            set("super.users", "User:ANONYMOUS");
        }
        // The last of two that set the same counts.
        for (name, value) in &plan.server {
            set(name, value);
        }
        text
    }
}
