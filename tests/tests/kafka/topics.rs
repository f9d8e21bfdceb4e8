//! What a record is, and topics that are missing, made anew, small.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shipper_tests::daemon::{has_arg, parse_whole};
use shipper_tests::kafka::delivery::{Delivery, sink_yaml};
use shipper_tests::kafka::{Acl, Cluster, Listener, Mechanism, Message, Plan, Resource, Topic};
use shipper_tests::process::until;
use shipper_tests::site::Pace;

use super::HELPER;

/// One broker for all cases, on topics of their own. It ends with this process.
pub fn shared() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        let plan = Plan::new(1).listener(Listener::SaslPlaintext).authorizer();
        Cluster::start(plan).expect("a broker")
    };
    CLUSTER.get_or_init(start).as_ref()
}

/// A sink of this name and topic, with these further lines.
fn sink(cluster: &Cluster, listener: Listener, name: &str, topic: &str, more: &str) -> String {
    let brokers = cluster.addresses(listener).join(", ");
    sink_yaml(&brokers, topic, more).replace("name: siem", &format!("name: {name}"))
}

/// The events of the file, by id.
fn filed(delivery: &Delivery) -> anyhow::Result<HashMap<String, Value>> {
    let events = parse_whole(&std::fs::read(delivery.site.events_path())?)?;
    let id = |event: &Value| Some(event["event"]["id"].as_str()?.to_owned());
    events.into_iter().map(|event| Ok((id(&event).context("an id")?, event))).collect()
}

/// Milliseconds since 1970 of the time of an event.
fn time_ms(event: &Value) -> anyhow::Result<i64> {
    let time: jiff::Timestamp = event["@timestamp"].as_str().context("a time")?.parse()?;
    Ok(time.as_millisecond())
}

/// The event that a record carries, as the file has it.
fn event_of<'a>(
    events: &'a HashMap<String, Value>,
    message: &Message,
) -> anyhow::Result<&'a Value> {
    let id = std::str::from_utf8(message.header("event-id").context("an id")?)?;
    events.get(id).context("an event that is not in the file")
}

#[test]
fn a_record_is_as_it_was_asked_for_in_every_way_and_both_consumers_read_it() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    for topic in ["by-host", "by-event", "by-entity", "by-none", "hec", "fields.exec"] {
        cluster.admin().create_topic(&Topic::new(topic).partitions(3))?;
    }
    let kinds = [
        ("e", "by-event", "    key: event_id\n    compression: gzip\n"),
        ("p", "by-entity", "    key: entity_id\n    compression: snappy\n"),
        ("n", "by-none", "    key: none\n    compression: lz4\n    timestamp: ship\n"),
        (
            "s",
            "hec",
            "    compression: zstd\n    envelope: splunk_hec\n    splunk: { index: audit, source: \
             here, sourcetype: its }\n",
        ),
        ("f", "fields.{event.action}", "    compression: none\n"),
    ];
    let more: String = kinds
        .iter()
        .map(|(name, topic, more)| sink(cluster, Listener::Plaintext, name, topic, more))
        .collect();
    // The first is one more sink.
    let options = "    options: { reconnect.backoff.max.ms: 500 }\n";
    let first = format!("    splunk: {{ index: audit, sourcetype: its }}\n{options}{more}");
    let delivery = Delivery::new("ways", cluster, Listener::Plaintext, "by-host", &first)?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(process) = delivery.start_or_skip()? else { return Ok(()) };
    let begun_ms = jiff::Timestamp::now().as_millisecond();
    let mut stream = delivery.stream(HELPER)?;
    stream.await_more(100)?;
    let count = stream.end()?;
    delivery.settle(process, count, cluster)?.assert_exact();
    let events = filed(&delivery)?;

    for topic in ["by-host", "by-event", "by-entity", "by-none", "hec", "fields.exec"] {
        let mut messages = cluster.consume(topic)?;
        let mut by_kcat = cluster.consume_with_kcat(topic)?;
        for read in [&mut messages, &mut by_kcat] {
            read.sort_by_key(|message| (message.partition, message.offset));
        }
        ensure!(messages == by_kcat, "kcat reads topic {topic} differently");
        if topic != "hec" {
            delivery.account(&messages)?.assert_exact();
        }
        ensure!(messages.len() == events.len(), "{} in {topic}", messages.len());
        for message in &messages {
            check(topic, message, event_of(&events, message)?, begun_ms)
                .with_context(|| format!("topic {topic}, offset {}", message.offset))?;
        }
    }
    Ok(())
}

/// Holds a record to what the sink of its topic was told.
fn check(topic: &str, message: &Message, event: &Value, begun_ms: i64) -> anyhow::Result<()> {
    let header = |name: &str| String::from_utf8_lossy(message.header(name).unwrap_or_default());
    ensure!(header("schema") == "ecs/9.4.0");
    ensure!(header("content-type") == "application/json");
    let key = match topic {
        "by-event" => &event["event"]["id"],
        "by-entity" => &event["process"]["entity_id"],
        "by-none" => &Value::Null,
        _ => &event["host"]["id"],
    };
    ensure!(message.key.as_deref() == key.as_str().map(str::as_bytes), "another key");
    match topic {
        "by-none" => ensure!(message.timestamp_ms >= begun_ms, "not the time of sending"),
        _ => ensure!(message.timestamp_ms == time_ms(event)?, "not the time of the event"),
    }
    let splunk: Vec<&str> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
    let expected: &[&str] = match topic {
        "by-host" => &["splunk.header.index", "splunk.header.sourcetype"],
        _ => &[],
    };
    ensure!(splunk[..3] == ["event-id", "schema", "content-type"] && splunk[3..] == *expected);
    if topic == "by-host" {
        ensure!(header("splunk.header.index") == "audit");
        ensure!(header("splunk.header.sourcetype") == "its");
    }
    if topic == "hec" {
        let value: Value = serde_json::from_slice(message.value.as_deref().context("a value")?)?;
        ensure!(value["event"] == *event, "another event in the envelope");
        ensure!(value["index"] == "audit" && value["source"] == "here");
        ensure!(value["sourcetype"] == "its" && value["host"] == event["host"]["name"]);
        let seconds: f64 = value["time"].as_str().context("a time")?.parse()?;
        ensure!((seconds * 1000.0 - time_ms(event)? as f64).abs() < 2.0, "another time");
        ensure!(value.as_object().context("an object")?.len() == 6);
    }
    Ok(())
}

#[test]
fn a_topic_that_is_missing_is_told_and_once_it_is_made_gets_everything_whole() -> anyhow::Result<()>
{
    let Some(cluster) = shared() else { return Ok(()) };
    let delivery = Delivery::new(
        "late",
        cluster,
        Listener::Plaintext,
        "late",
        "    compression: none\n    options: { topic.metadata.propagation.max.ms: 500 }\n",
    )?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(mut process) = delivery.start_or_skip()? else { return Ok(()) };
    let mut stream = delivery.stream(HELPER)?;
    process.await_log(
        "there is no topic late, or this user may not see it: create it, or grant the operation \
         Describe on it",
    )?;
    stream.await_more(300)?;
    // It takes much less at once than waits by now: what is sent at once has to shrink, and no event
    // is to be cut for it.
    cluster.admin().create_topic(&Topic::new("late").config("max.message.bytes", "40000"))?;
    process.await_log("the topic takes less at once than was sent")?;
    process.await_log("delivering again")?;
    stream.await_more(100)?;
    let count = stream.end()?;
    let account = delivery.settle(process, count, cluster)?;
    account.assert_exact();
    // Another program may execute something that is larger.
    assert!(account.shortened.iter().all(|bytes| *bytes > 39_000), "{account:?}");
    Ok(())
}

#[test]
fn a_topic_that_is_deleted_and_made_anew_gets_all_that_the_old_one_had_not() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("anew"))?;
    let options = "    options: { topic.metadata.propagation.max.ms: 500 }\n";
    let delivery = Delivery::new("anew", cluster, Listener::Plaintext, "anew", options)?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(mut process) = delivery.start_or_skip()? else { return Ok(()) };
    let mut stream = delivery.stream(HELPER)?;
    stream.await_more(100)?;
    until("the first events are delivered", || Ok(cluster.consume("anew")?.len() >= 100))?;
    admin.delete_topic("anew")?;
    stream.await_more(100)?;
    process.await_log("there is no topic anew")?;
    admin.create_topic(&Topic::new("anew"))?;
    process.await_log("delivering again")?;
    stream.await_more(100)?;
    let count = stream.end()?;
    let account = delivery.settle(process, count, cluster)?;
    // What was acknowledged went with the old topic: all that is missing was before all that is
    // there.
    let messages = cluster.consume("anew")?;
    let events = parse_whole(&std::fs::read(delivery.site.events_path())?)?;
    let first = event_of(&filed(&delivery)?, &messages[0])?["event"]["id"].clone();
    let place = events.iter().position(|event| event["event"]["id"] == first);
    assert_eq!(Some(account.missing), place, "{account:?}");
    assert!(account.missing >= 100 && account.messages >= 100, "{account:?}");
    assert_eq!(account.duplicates, 0, "{account:?}");
    Ok(())
}

#[test]
fn an_event_larger_than_a_topic_takes_arrives_shortened_in_its_place() -> anyhow::Result<()> {
    const TOPICS: [&str; 3] = ["small", "guarded", "capped"];
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    for topic in ["small", "guarded"] {
        admin.create_topic(&Topic::new(topic).config("max.message.bytes", "30000"))?;
    }
    admin.create_topic(&Topic::new("capped"))?;
    // May write, and may not see how much a topic takes.
    admin.set_scram("writer", Mechanism::ScramSha256, "secret")?;
    admin.add_acl(&Acl::allow("writer", "write", Resource::Topic("guarded".into())))?;
    let mut password = tempfile::NamedTempFile::new()?;
    password.write_all(b"secret")?;
    let sasl = format!(
        "    compression: none\n    sasl: {{ mechanism: SCRAM-SHA-256, username: writer, password: \
         {{ file: {} }} }}\n",
        password.path().display()
    );
    let capped = "    options: { message.max.bytes: 30000, batch.size: 30000 }\n";
    let first = format!(
        "    compression: none\n    options: {{ reconnect.backoff.max.ms: 500 }}\n{}{}",
        sink(cluster, Listener::SaslPlaintext, "guarded", "guarded", &sasl),
        sink(cluster, Listener::Plaintext, "capped", "capped", capped),
    );
    let delivery = Delivery::new("large", cluster, Listener::Plaintext, "small", &first)?;
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(mut process) = delivery.start_or_skip()? else { return Ok(()) };
    let pace = Pace { in_a_row: 5, pause_ms: 20, padding_bytes: 100 };
    let mut stream = delivery.site.stream(HELPER, pace)?;
    stream.await_more(50)?;
    let mark = format!("large-argument-{}-", std::process::id());
    let args = (0..10).map(|n| format!("{mark}{n}{}", "x".repeat(2_500)));
    ensure!(Command::new("/bin/true").args(args).status()?.success());
    stream.await_more(50)?;
    for sink in ["siem", "guarded", "capped"] {
        process.await_log(&format!("sink=\"{sink}\""))?;
    }
    let count = stream.end()?;
    delivery.settle(process, count, cluster)?;

    let whole: Vec<Value> =
        filed(&delivery)?.into_values().filter(|event| has_arg(event, &mark)).collect();
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0]["process"]["args"].as_array().map(Vec::len), Some(11));
    assert_ne!(whole[0]["shipper"]["args_truncated"], true);
    for topic in TOPICS {
        let messages = cluster.consume(topic)?;
        let account = delivery.account(&messages)?;
        account.assert_exact();
        // No event that fits, whatever other programs execute.
        assert!(account.shortened.iter().all(|bytes| *bytes > 29_000), "{topic}: {account:?}");
        let id = whole[0]["event"]["id"].as_str().context("an id")?;
        let cut = messages.iter().find(|found| found.header("event-id") == Some(id.as_bytes()));
        let value = cut.and_then(|cut| cut.value.as_deref()).context("the event")?;
        assert!(value.len() > 10_000, "{topic}: only {} bytes are left", value.len());
        let cut: Value = serde_json::from_slice(value)?;
        assert_eq!(cut["shipper"]["args_truncated"], true, "{topic}");
        assert_eq!(cut["process"]["args_count"], 11, "{topic}");
    }
    Ok(())
}
