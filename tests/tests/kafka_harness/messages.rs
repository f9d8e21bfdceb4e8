//! What is sent is read back by both consumers; topics come, change and go.

use shipper_tests::kafka::{Acl, Listener, Mechanism, Resource, Topic};
use shipper_tests::process::until;

use crate::{eventually, password, produce, produce_as, shared};

#[test]
fn both_consumers_read_back_what_was_sent() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    cluster.admin().create_topic(&Topic::new("whole").partitions(3))?;
    let lines: String = (0..300).map(|n| format!("host-{}:value {n} ü\n", n % 7)).collect();
    let brokers = cluster.bootstrap(Listener::Plaintext);
    let args = ["-K:", "-H", "event-id=42", "-H", "schema=ecs", "-z", "zstd"];
    produce(&brokers, "whole", &args, &lines)?;

    let by_partition = |messages: &mut Vec<shipper_tests::kafka::Message>| {
        messages.sort_by_key(|message| (message.partition, message.offset));
    };
    let (mut read, mut read_by_kcat) =
        (cluster.consume("whole")?, cluster.consume_with_kcat("whole")?);
    by_partition(&mut read);
    by_partition(&mut read_by_kcat);
    assert_eq!(read, read_by_kcat);

    assert_eq!(read.len(), 300);
    assert_eq!(read[0].header("event-id"), Some(&b"42"[..]));
    assert_eq!(read[0].header("schema"), Some(&b"ecs"[..]));
    let mut texts: Vec<String> = read
        .iter()
        .map(|message| {
            let key = String::from_utf8_lossy(message.key.as_deref().unwrap_or_default());
            format!("{key}:{}\n", message.text())
        })
        .collect();
    texts.sort();
    let mut sent: Vec<&str> = lines.split_inclusive('\n').collect();
    sent.sort_unstable();
    assert_eq!(texts, sent);
    Ok(())
}

#[test]
fn a_topic_takes_what_its_settings_allow() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("small").config("max.message.bytes", "1000"))?;
    let brokers = cluster.bootstrap(Listener::Plaintext);
    let long = "x".repeat(5000);
    let refusal = produce(&brokers, "small", &[], &long).unwrap_err().to_string();
    assert!(refusal.contains("too large"), "{refusal}");
    admin.alter_topic("small", "max.message.bytes", None)?;
    eventually(|| produce(&brokers, "small", &[], &long))?;
    assert_eq!(cluster.consume("small")?.len(), 1);
    Ok(())
}

#[test]
fn who_produces_above_a_quota_is_throttled() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("slow"))?;
    admin.add_acl(&Acl::allow("slow", "all", Resource::Topic("slow".into())))?;
    admin.set_scram("slow", Mechanism::ScramSha256, "secret")?;
    let login = (Listener::SaslPlaintext, Mechanism::ScramSha256);
    let value = "x".repeat(100_000);
    let send = || {
        let options = password("slow", "secret");
        produce_as(cluster, login, ("slow", &value), &options, &[])
    };
    eventually(|| send().map(drop))?;
    admin.set_quota("slow", Some(1000))?;
    until("a quota", || Ok(!send()?.is_zero()))?;
    admin.set_quota("slow", None)?;
    until("no quota", || Ok(send()?.is_zero()))
}

#[test]
fn a_deleted_topic_is_unknown_and_comes_back_empty() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    let brokers = cluster.bootstrap(Listener::Plaintext);
    admin.create_topic(&Topic::new("gone"))?;
    produce(&brokers, "gone", &[], "one\n")?;
    assert_eq!(cluster.consume("gone")?.len(), 1);
    admin.delete_topic("gone")?;
    let refusal = produce(&brokers, "gone", &[], "two\n").unwrap_err().to_string();
    assert!(refusal.contains("Unknown topic"), "{refusal}");
    assert!(cluster.consume("gone").is_err());
    admin.create_topic(&Topic::new("gone"))?;
    assert_eq!(cluster.consume("gone")?, []);
    Ok(())
}
