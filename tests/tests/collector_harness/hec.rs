//! The stub of Splunk, by the table of its codes.

use serde_json::{Value, json};
use shipper_tests::collector::{Collector, Dialect, Fault, HecPlan, Plan};

use crate::{Answer, call};

const TOKEN: &str = "Authorization: Splunk secret";
const CHANNEL: &str = "X-Splunk-Request-Channel: 0b1f2c3d-1111-4222-8333-0123456789ab";
const EVENT: (&str, &str) = ("POST", "/services/collector/event");
const ACK: (&str, &str) =
    ("POST", "/services/collector/ack?channel=0b1f2c3d-1111-4222-8333-0123456789AB");

fn start(plan: HecPlan) -> anyhow::Result<Collector> {
    let token = Some("Splunk secret".into());
    Collector::start(Dialect::Hec(plan), Plan { token, ..Plan::default() })
}

fn envelope(id: &str) -> Value {
    json!({"time": 1.5, "host": "h", "source": "shipper", "event": {"event": {"id": id}}})
}

fn post(collector: &Collector, events: &[Value]) -> anyhow::Result<Answer> {
    let body: String = events.iter().map(Value::to_string).collect();
    call(collector, EVENT, &[TOKEN, CHANNEL], body.as_bytes())
}

fn code(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.json()["code"].as_u64().expect("a code"))
}

fn poll(collector: &Collector, ids: &[u64]) -> anyhow::Result<Value> {
    let body = json!({"acks": ids}).to_string();
    let path = ACK.1.replace("AB", "ab");
    Ok(call(collector, (ACK.0, &path), &[TOKEN], body.as_bytes())?.json()["acks"].take())
}

#[test]
fn events_before_the_bad_one_are_indexed_and_it_is_named() -> anyhow::Result<()> {
    let collector = start(HecPlan {
        indexes: ["linux".into()].into(),
        refused: vec![("poison".into(), 6)],
        ..HecPlan::default()
    })?;
    let with = |key: &str, value: Value| {
        let mut envelope = envelope("bad");
        envelope[key] = value;
        envelope
    };
    let cases = [
        (envelope("poison"), 6),
        (json!([1]), 6),
        (with("surprise", json!(1)), 6),
        (with("time", json!("soon")), 6),
        (with("event", json!({"no": "id"})), 6),
        (with("index", json!("windows")), 7),
        (json!({"host": "h"}), 12),
        (with("event", Value::Null), 13),
        (with("event", json!("")), 13),
        (with("fields", json!({"deep": {"er": 1}})), 15),
    ];
    for (place, (bad, number)) in cases.iter().enumerate() {
        let good = envelope(&place.to_string());
        let answer = post(&collector, &[good, bad.clone(), envelope("never")])?;
        assert_eq!(code(&answer), (400, *number), "{bad}");
        assert_eq!(answer.json()["invalid-event-number"], 1, "{bad}");
    }
    let torn = call(&collector, EVENT, &[TOKEN], b"{\"event\":")?;
    assert_eq!((code(&torn), torn.json()["invalid-event-number"].as_u64()), ((400, 6), Some(0)));
    let good = with("index", json!("linux"));
    assert_eq!(code(&post(&collector, &[good, envelope("last")])?), (200, 0));
    let taken = (0..cases.len()).map(|place| place.to_string());
    assert!(collector.account().has_exactly(taken.chain(["bad".into(), "last".into()])));
    Ok(())
}

#[test]
fn who_may_not_or_says_nothing_is_told_so_by_code() -> anyhow::Result<()> {
    let collector = start(HecPlan { body_bytes_max: Some(200), ..HecPlan::default() })?;
    let body = envelope("1").to_string();
    let with = |headers: &[&str], body: &str| -> anyhow::Result<(u16, u64)> {
        Ok(code(&call(&collector, EVENT, headers, body.as_bytes())?))
    };
    assert_eq!(with(&[], &body)?, (401, 2));
    assert_eq!(with(&["Authorization: Bearer secret"], &body)?, (401, 3));
    assert_eq!(with(&["Authorization: Splunk other"], &body)?, (403, 4));
    assert_eq!(with(&[TOKEN], " ")?, (400, 5));
    assert_eq!(call(&collector, EVENT, &[TOKEN], body.repeat(9).as_bytes())?.status, 413);
    assert_eq!(code(&call(&collector, ACK, &[TOKEN], b"{\"acks\":[0]}")?), (400, 14));
    assert_eq!(call(&collector, ("GET", EVENT.1), &[TOKEN], b"")?.status, 405);
    assert_eq!(call(&collector, ("POST", "/elsewhere"), &[TOKEN], b"")?.status, 404);
    assert!(collector.account().events.is_empty());
    assert_eq!(with(&[TOKEN], &body)?, (200, 0));
    Ok(())
}

#[test]
fn any_code_is_answered_with_the_status_of_the_table() -> anyhow::Result<()> {
    let collector = start(HecPlan::default())?;
    let table = [
        (1, 403),
        (2, 401),
        (3, 401),
        (4, 403),
        (5, 400),
        (6, 400),
        (7, 400),
        (8, 500),
        (9, 503),
        (10, 400),
        (11, 400),
        (12, 400),
        (13, 400),
        (14, 400),
        (15, 400),
        (16, 400),
        (18, 503),
        (19, 503),
        (20, 503),
        (21, 400),
        (22, 400),
        (23, 503),
        (26, 429),
        (27, 429),
    ];
    collector.script(table.map(|(number, _)| Fault::hec(number)));
    for (number, status) in table {
        assert_eq!(code(&post(&collector, &[envelope("1")])?), (status, u64::from(number)));
    }
    assert!(collector.account().events.is_empty());
    Ok(())
}

#[test]
fn an_acknowledgement_is_told_once_and_only_for_what_is_indexed() -> anyhow::Result<()> {
    let collector = start(HecPlan { ack: true, false_polls: 1, ..HecPlan::default() })?;
    collector.script([Fault::Well, Fault::Lost]);
    for (place, id) in ["1", "2", "3"].into_iter().enumerate() {
        let answer = post(&collector, &[envelope(id)])?;
        assert_eq!(
            (code(&answer), answer.json()["ackId"].as_u64()),
            ((200, 0), Some(place as u64))
        );
    }
    let told = |ids: &[u64]| poll(&collector, ids);
    assert_eq!(told(&[0, 1, 7])?, json!({"0": false, "1": false, "7": false}));
    assert!(collector.account().acked.is_empty());
    assert_eq!(told(&[0, 1, 2])?, json!({"0": true, "1": false, "2": false}));
    assert_eq!(told(&[0, 1, 2])?, json!({"0": false, "1": false, "2": true}));
    let account = collector.account();
    assert!(account.has_exactly(["1", "3"]));
    assert_eq!(account.acked, ["1".to_owned(), "3".to_owned()].into());

    // Its end takes the promises along; numbers begin anew.
    post(&collector, &[envelope("4")])?;
    collector.die();
    collector.revive()?;
    assert_eq!(told(&[3])?, json!({"3": false}));
    assert_eq!(told(&[3])?, json!({"3": false}));
    assert_eq!(post(&collector, &[envelope("4")])?.json()["ackId"], 0);
    assert_eq!(collector.account().taken["4"], 2);
    Ok(())
}

#[test]
fn each_channel_has_its_own_numbers_and_there_must_be_one() -> anyhow::Result<()> {
    let collector = start(HecPlan { ack: true, ..HecPlan::default() })?;
    let body = envelope("1").to_string();
    let with = |headers: &[&str]| call(&collector, EVENT, headers, body.as_bytes());
    assert_eq!(code(&with(&[TOKEN])?), (400, 10));
    assert_eq!(code(&with(&[TOKEN, "X-Splunk-Request-Channel: mine"])?), (400, 11));
    let other = "X-Splunk-Request-Channel: 0b1f2c3d-1111-4222-8333-000000000000";
    for channel in [CHANNEL, other] {
        assert_eq!(with(&[TOKEN, channel])?.json()["ackId"], 0);
    }
    // That of another channel, and no channel at all.
    assert_eq!(poll(&collector, &[0])?, json!({"0": true}));
    let unnamed = ("POST", "/services/collector/ack");
    assert_eq!(code(&call(&collector, unnamed, &[TOKEN], b"{\"acks\":[0]}")?), (400, 10));
    assert_eq!(code(&call(&collector, ACK, &[TOKEN], b"[0]")?), (400, 6));
    assert_eq!(
        call(&collector, unnamed, &[TOKEN, other], b"{\"acks\":[0]}")?.json(),
        json!({"acks": {"0": true}})
    );
    Ok(())
}

#[test]
fn health_is_told_to_anybody() -> anyhow::Result<()> {
    let collector = start(HecPlan::default())?;
    let health = || call(&collector, ("GET", "/services/collector/health"), &[], b"");
    assert_eq!(code(&health()?), (200, 17));
    collector
        .change(|dialect| *dialect = Dialect::Hec(HecPlan { health: 18, ..HecPlan::default() }));
    assert_eq!(code(&health()?), (503, 18));
    Ok(())
}
