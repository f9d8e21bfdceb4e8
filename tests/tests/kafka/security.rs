//! Logins and rights: taken, refused, changed while the daemon runs.

use shipper_tests::kafka::{
    CLIENT_ID, CLIENT_SECRET, Listener, Mechanism, PLAIN_PASSWORD, PLAIN_USER, TokenEndpoint,
};

use super::guarded::{Guarded, MARK, bearer, put, sasl, shared, tls, topic_for};

/// Delivers executions to a topic as this user, all of them once.
fn deliver(user: &str, topic: &str, listener: Listener, sink: &str) -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, user, topic)?;
    // What librdkafka logs about itself is searched for secrets too.
    let sink = format!("{sink}    options: {{ debug: \"conf,security\" }}\n");
    let Some(guarded) = Guarded::new(cluster, listener, topic, &sink)? else { return Ok(()) };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    stream.await_more(100)?;
    process.await_log("librdkafka: ")?;
    guarded.await_state("delivering", "")?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn passwords_are_shown_in_each_way_that_a_broker_knows() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    let tls = tls(&cluster.pki().ca_file());
    put(&file, PLAIN_PASSWORD)?;
    let plain = tls.clone() + &sasl(Mechanism::Plain, PLAIN_USER, &file);
    deliver(PLAIN_USER, "by-plain", Listener::SaslSsl, &plain)?;

    let secret = format!("{MARK}-both");
    put(&file, &secret)?;
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        cluster.admin().set_scram("both", mechanism, &secret)?;
        let topic = format!("by-{}", mechanism.name().to_lowercase());
        let scram = tls.clone() + &sasl(mechanism, "both", &file);
        deliver("both", &topic, Listener::SaslSsl, &scram)?;
    }
    Ok(())
}

#[test]
fn tokens_are_fetched_and_shown() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("client-secret");
    put(&file, CLIENT_SECRET)?;
    let tokens = TokenEndpoint::start()?;
    let sink = tls(&cluster.pki().ca_file()) + &bearer(&tokens.url(), &file);
    deliver(CLIENT_ID, "by-token", Listener::SaslSsl, &sink)
}
