//! Proves the Kafka harness, with kcat as the producer: nothing here depends on the sink that the
//! harness is for.

mod access;
mod messages;
mod network;
mod three;
mod tls;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::ensure;
use shipper_tests::kafka::{Cluster, Listener, Mechanism, Plan, kcat};
use shipper_tests::process::until;

/// One broker for all cases that leave it as it was, on topics and users of their own. It ends with
/// this process.
fn shared() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        let plan = Plan::new(1)
            .listener(Listener::Ssl)
            .listener(Listener::Mtls)
            .listener(Listener::SaslPlaintext)
            .listener(Listener::SaslSsl)
            .authorizer();
        Cluster::start(plan).expect("a broker")
    };
    CLUSTER.get_or_init(start).as_ref()
}

/// Has kcat produce lines, a message each. The error is what kcat said.
fn produce(brokers: &str, topic: &str, args: &[&str], lines: &str) -> anyhow::Result<()> {
    let mut all = vec!["-P", "-b", brokers, "-t", topic];
    // A refusal must show in seconds; what succeeds takes a fraction of one.
    all.extend(["-X", "message.timeout.ms=5000", "-X", "topic.metadata.propagation.max.ms=500"]);
    all.extend(args);
    let output = kcat(&all, lines.as_bytes())?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It leaves with success when it could not deliver what it had taken.
    ensure!(output.status.success() && !said.contains("Delivery failed"), "{said}");
    Ok(())
}

/// Tries until it succeeds; the error is that of the last try.
fn eventually(mut attempt: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut last = None;
    let outcome = until("success", || {
        last = attempt().err();
        Ok(last.is_none())
    });
    outcome.map_err(|limit| last.unwrap_or(limit))
}

/// Has Kafka's own producer send a message after a SASL login with these options of its module. Says
/// for how long the broker throttles it.
fn produce_as(
    cluster: &Cluster,
    (listener, mechanism): (Listener, Mechanism),
    (topic, value): (&str, &str),
    options: &str,
    more: &[(&str, &str)],
) -> anyhow::Result<Duration> {
    let package = "org.apache.kafka.common.security";
    let module = match mechanism {
        Mechanism::Plain => "plain.PlainLoginModule",
        Mechanism::ScramSha256 | Mechanism::ScramSha512 => "scram.ScramLoginModule",
        Mechanism::OAuthBearer => "oauthbearer.OAuthBearerLoginModule",
    };
    let login = format!("{package}.{module} required {options};");
    let brokers = cluster.bootstrap(listener);
    let mut properties = vec![
        ("bootstrap.servers", brokers.as_str()),
        ("security.protocol", listener.protocol()),
        ("sasl.mechanism", mechanism.name()),
        ("sasl.jaas.config", login.as_str()),
    ];
    properties.extend(more);
    cluster.admin().produce(topic, value, &properties)
}

/// The options of a login with a password.
fn password(user: &str, password: &str) -> String {
    format!("username=\"{user}\" password=\"{password}\"")
}
