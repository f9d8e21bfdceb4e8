//! Logins and rights: taken, refused, changed while the daemon runs.

use shipper_tests::kafka::{
    Acl, CLIENT_ID, CLIENT_SECRET, Listener, Mechanism, PLAIN_PASSWORD, PLAIN_USER, Resource,
    TokenEndpoint, Topic, ports,
};

use super::guarded::{
    Guarded, MARK, alone, bearer, breakable, may_write, put, reconnect, sasl, shared, tls,
    topic_for,
};

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

#[test]
fn a_secret_that_is_not_there_yet_holds_the_sink_and_not_the_capture() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let secret = format!("{MARK}-late");
    cluster.admin().set_scram("late", Mechanism::ScramSha512, &secret)?;
    topic_for(cluster, "late", "late")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    let sink = sasl(Mechanism::ScramSha512, "late", &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslPlaintext, "late", &sink)? else {
        return Ok(());
    };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    process.await_log("cannot deliver: the secret in ")?;
    guarded.await_state("blocked", "the user shipper runs as must be able to read it")?;
    stream.await_more(100)?;
    put(&file, &format!("{MARK}-wrong"))?;
    process.await_log("cannot deliver: the brokers do not accept these credentials")?;
    guarded.await_state("blocked", "(`sasl:`)")?;
    stream.await_more(100)?;
    put(&file, &secret)?;
    guarded.await_state("delivering", "")?;
    stream.await_more(100)?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn a_password_that_was_changed_is_found_when_it_is_in_the_file() -> anyhow::Result<()> {
    let Some(cluster) = breakable() else { return Ok(()) };
    let _alone = alone();
    let admin = cluster.admin();
    let scram =
        |word: &str| admin.set_scram("rotated", Mechanism::ScramSha512, &format!("{MARK}-{word}"));
    scram("old")?;
    topic_for(cluster, "rotated", "rotated")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, &format!("{MARK}-old"))?;
    let sink = tls(&cluster.pki().ca_file()) + &sasl(Mechanism::ScramSha512, "rotated", &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslSsl, "rotated", &sink)? else {
        return Ok(());
    };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    stream.await_more(100)?;
    guarded.await_state("delivering", "")?;

    // A connection that is there goes on.
    scram("new")?;
    stream.await_more(100)?;
    guarded.await_state("delivering", "")?;
    reconnect(cluster)?;
    process.await_log("cannot deliver: the brokers do not accept these credentials")?;
    guarded.await_state("blocked", "do not accept these credentials")?;
    stream.await_more(100)?;
    put(&file, &format!("{MARK}-new"))?;
    guarded.await_state("delivering", "")?;
    stream.await_more(100)?;
    guarded.settle(stream, process, cluster)?.assert_complete();
    Ok(())
}

#[test]
fn a_password_that_the_broker_takes_again_is_tried_again() -> anyhow::Result<()> {
    let Some(cluster) = breakable() else { return Ok(()) };
    let _alone = alone();
    let admin = cluster.admin();
    let scram =
        |word: &str| admin.set_scram("back", Mechanism::ScramSha256, &format!("{MARK}-{word}"));
    scram("old")?;
    topic_for(cluster, "back", "back")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, &format!("{MARK}-old"))?;
    let sink = tls(&cluster.pki().ca_file()) + &sasl(Mechanism::ScramSha256, "back", &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslSsl, "back", &sink)? else {
        return Ok(());
    };
    let Some(process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    stream.await_more(100)?;
    guarded.await_state("delivering", "")?;
    scram("other")?;
    reconnect(cluster)?;
    guarded.await_state("blocked", "do not accept these credentials")?;
    stream.await_more(100)?;
    scram("old")?;
    guarded.await_state("delivering", "")?;
    // The producer is the same all the time, so it knows what it has sent.
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn a_right_to_write_that_is_taken_and_given_back_is_waited_for() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let secret = format!("{MARK}-writer");
    cluster.admin().set_scram("writer", Mechanism::ScramSha512, &secret)?;
    cluster.admin().create_topic(&Topic::new("guarded").partitions(4))?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, &secret)?;
    let sink = sasl(Mechanism::ScramSha512, "writer", &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslPlaintext, "guarded", &sink)? else {
        return Ok(());
    };
    // At first it may not even see the topic.
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    process.await_log("cannot deliver: this user may not write to ")?;
    guarded.await_state("blocked", "grant it the operation Write on the topic")?;

    // Then it sees and writes, then it only sees.
    let write = may_write("writer", "guarded");
    let describe = Acl::allow("writer", "describe", Resource::Topic("guarded".into()));
    cluster.admin().add_acl(&describe)?;
    for _ in 0..2 {
        cluster.admin().add_acl(&write)?;
        guarded.await_state("delivering", "")?;
        stream.await_more(200)?;
        cluster.admin().remove_acl(&write)?;
        guarded.await_state("blocked", "grant it the operation Write on the topic")?;
        stream.await_more(100)?;
    }
    cluster.admin().add_acl(&write)?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn tokens_are_fetched_again_when_the_endpoint_gives_none() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, CLIENT_ID, "tokens")?;
    let port = ports::free()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("client-secret");
    put(&file, &format!("{MARK}-wrong"))?;
    let url = format!("http://127.0.0.1:{port}/token");
    let sink = tls(&cluster.pki().ca_file()) + &bearer(&url, &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslSsl, "tokens", &sink)? else {
        return Ok(());
    };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    process.await_log("cannot deliver: no token can be had")?;
    guarded.await_state("blocked", "Could not connect to server")?;
    let tokens = TokenEndpoint::start_at(port)?;
    guarded.await_state("blocked", "invalid_client")?;
    stream.await_more(100)?;
    put(&file, CLIENT_SECRET)?;
    guarded.await_state("delivering", "")?;
    stream.await_more(100)?;
    assert!(tokens.issued() > 0);
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}
