//! `shipper validate --connect`: what it says of each state, and that it changes nothing.

use std::path::Path;
use std::process::Command;

use shipper_tests::daemon::{self, run_to_end};
use shipper_tests::kafka::delivery::sink_yaml;
use shipper_tests::kafka::{
    Acl, Certificate, Cluster, Listener, Mechanism, PLAIN_PASSWORD, PLAIN_USER, Resource,
    TokenEndpoint, Topic, ports,
};
use shipper_tests::process::until;

use super::guarded::{
    MARK, alone, assert_no_secret, bearer, breakable, put, sasl, shared, tls, topic_for,
};

/// Asks about a sink. Gives the exit code and what was said; no secret is in it.
fn ask(brokers: &str, topic: &str, sink: &str) -> anyhow::Result<(Option<i32>, String)> {
    daemon::build()?;
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("shipper.yaml");
    let spool = dir.path().join("spool");
    let sinks = sink_yaml(brokers, topic, sink);
    std::fs::write(&config, format!("spool:\n  dir: {}\nsinks:\n{sinks}", spool.display()))?;
    let output = run_to_end(
        Command::new(daemon::program())
            .env("SHIPPER_LOG", "debug")
            .args(["validate", "--connect", "--config"])
            .arg(&config),
    )?;
    let said = String::from_utf8(output.stdout)?;
    assert_no_secret("what validate says", &said);
    assert_no_secret("the log of validate", &String::from_utf8(output.stderr)?);
    Ok((output.status.code(), said))
}

/// Asserts that the sink is found to be good, with these words.
fn assert_good(brokers: &str, topic: &str, sink: &str, words: &[&str]) -> anyhow::Result<()> {
    assert_said(Some(0), ask(brokers, topic, sink)?, words);
    Ok(())
}

/// Asserts that something is found that has to be mended, with these words.
fn assert_bad(brokers: &str, topic: &str, sink: &str, words: &[&str]) -> anyhow::Result<()> {
    let (code, said) = ask(brokers, topic, sink)?;
    assert!(said.contains("FAIL  siem: "), "{said}");
    assert_said(Some(1), (code, said), words);
    Ok(())
}

fn assert_said(wanted: Option<i32>, (code, said): (Option<i32>, String), words: &[&str]) {
    assert_eq!(code, wanted, "{said}");
    for words in words {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

/// The lines of a sink that logs in by TLS as PLAIN's user with the password in this file.
fn plain(cluster: &Cluster, file: &Path) -> String {
    tls(&cluster.pki().ca_file()) + &sasl(Mechanism::Plain, PLAIN_USER, file)
}

#[test]
fn a_sink_that_would_take_events_is_said_to_and_gets_none() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, PLAIN_USER, "asked")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, PLAIN_PASSWORD)?;
    let brokers = cluster.bootstrap(Listener::SaslSsl);
    let connected = format!("connected to {brokers}, TLS, as plain (PLAIN)");
    let known = ["topic asked: 4 partitions, replicated 1 times", "may write to asked"];
    // What a user without DescribeConfigs is not told is no reason to fail.
    let size = ["grant it the operation DescribeConfigs on topic asked"];
    assert_good(
        &brokers,
        "asked",
        &plain(cluster, &file),
        &[&[connected.as_str()], &known[..], &size].concat(),
    )?;
    // ANONYMOUS may do everything.
    let size = ["topic asked takes 1048588 bytes at once"];
    let open = cluster.bootstrap(Listener::Plaintext);
    assert_good(&open, "asked", "", &[&["not encrypted"], &known[..], &size].concat())?;
    assert_good(&open, "asked.{event.action}", "", &["the topic depends on the event"])?;
    assert_eq!(cluster.consume("asked")?.len(), 0);
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_not_made() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    // By one who may, at brokers that would.
    let open = cluster.bootstrap(Listener::Plaintext);
    assert_bad(&open, "never-made", "", &["there is no topic never-made"])?;
    ask(&open, "never-made.{event.action}", "")?;
    for topic in ["never-made", "shipper"] {
        let described = cluster.admin().describe_topic(topic);
        assert!(described.is_err(), "{topic} was made");
    }
    Ok(())
}

#[test]
fn rights_that_are_missing_are_named() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let secret = format!("{MARK}-nobody");
    cluster.admin().set_scram("nobody", Mechanism::ScramSha512, &secret)?;
    let topic = "guarded-from-nobody";
    cluster.admin().create_topic(&Topic::new(topic))?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, &secret)?;
    let sink = sasl(Mechanism::ScramSha512, "nobody", &file);
    let brokers = cluster.bootstrap(Listener::SaslPlaintext);
    let words =
        "this user may not write to topic guarded-from-nobody: grant it the operation Write";
    // It does not see the topic; then it does, and that alone.
    assert_bad(&brokers, topic, &sink, &["connected to ", words])?;
    let describe = Acl::allow("nobody", "describe", Resource::Topic(topic.into()));
    cluster.admin().add_acl(&describe)?;
    let partitions = format!("topic {topic}: 1 partition");
    until("it is seen", || Ok(ask(&brokers, topic, &sink)?.1.contains(&partitions)))?;
    assert_bad(&brokers, topic, &sink, &["connected to ", words])
}

#[test]
fn logins_that_are_refused_are_told_from_brokers_that_are_not_there() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, PLAIN_USER, "logins")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    let brokers = cluster.bootstrap(Listener::SaslSsl);
    let sink = plain(cluster, &file);
    assert_bad(&brokers, "logins", &sink, &["the secret in ", "must be able to read it"])?;
    put(&file, &format!("{MARK}-wrong"))?;
    let refused = ["cannot connect to ", "the brokers do not accept these credentials (`sasl:`)"];
    assert_bad(&brokers, "logins", &sink, &refused)?;
    let tokens = TokenEndpoint::start()?;
    let by_token = tls(&cluster.pki().ca_file()) + &bearer(&tokens.url(), &file);
    assert_bad(&brokers, "logins", &by_token, &["no token can be had (see `sasl.token_url`"])?;

    put(&file, PLAIN_PASSWORD)?;
    let untrusting = tls(&cluster.pki().other_ca_file()) + &sasl(Mechanism::Plain, "plain", &file);
    assert_bad(&brokers, "logins", &untrusting, &["its authority is not in `tls.ca_file`"])?;
    let certificate = "wants one (`tls.cert_file`)";
    let mutual = cluster.bootstrap(Listener::Mtls);
    assert_bad(&mutual, "logins", &tls(&cluster.pki().ca_file()), &[certificate])?;

    let nobody = format!("127.0.0.1:{}", ports::free()?);
    assert_bad(&nobody, "logins", "", &["cannot connect to ", "Connection refused"])?;
    assert_bad("kafka.invalid:9092", "logins", "", &["Failed to resolve 'kafka.invalid:9092'"])
}

#[test]
fn a_certificate_of_the_broker_that_has_expired_is_told() -> anyhow::Result<()> {
    let Some(cluster) = breakable() else { return Ok(()) };
    let _alone = alone();
    topic_for(cluster, PLAIN_USER, "expired")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, PLAIN_PASSWORD)?;
    let (brokers, sink) = (cluster.bootstrap(Listener::SaslSsl), plain(cluster, &file));
    assert_good(&brokers, "expired", &sink, &["may write to expired"])?;
    cluster.present(Certificate::Expired)?;
    let words = "the broker's certificate is not accepted: it has expired, ";
    until("the expired one", || Ok(ask(&brokers, "expired", &sink)?.1.contains(words)))?;
    cluster.present(Certificate::Valid)?;
    until("the good one", || Ok(ask(&brokers, "expired", &sink)?.0 == Some(0)))
}
