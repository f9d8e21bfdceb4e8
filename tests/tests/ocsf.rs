//! Events in OCSF, held to the official schema, whatever is in them; and that the validator finds what
//! is wrong.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../shipper/tests/formats/events.rs"]
mod events;

use anyhow::{Context as _, Result};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shipper::event::{DeniedBy, Enforcement, EnforcementAction, Event, Failure};
use shipper::format::ocsf;
use shipper_tests::ocsf::Schema;

/// Each has some hundred fields, most of them there or not.
const EVENTS: usize = 2000;

fn encoded(event: &Event) -> Result<Value> {
    let mut line = Vec::new();
    ocsf::encode(event, &mut line);
    Ok(serde_json::from_slice(&line)?)
}

/// A made-up event of this kind, always the same.
fn generated(kind: fn(&Event) -> bool) -> Result<Event> {
    let mut runner = TestRunner::deterministic();
    for _ in 0..EVENTS {
        let event = events::event().new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        if kind(&event) {
            return Ok(event);
        }
    }
    anyhow::bail!("no such event was made")
}

#[test]
fn any_event_is_as_the_official_schema_says() -> Result<()> {
    let Some(schema) = Schema::official()? else { return Ok(()) };
    let mut runner = TestRunner::deterministic();
    for number in 0..EVENTS {
        let event = events::event().new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        let faults = schema.faults(&encoded(&event)?);
        assert_eq!(faults, [""; 0], "event {number}");
    }
    Ok(())
}

/// What the validator says, and what breaks an event so.
type Break = (&'static str, fn(&mut Value));

#[test]
fn the_validator_finds_what_is_wrong() -> Result<()> {
    let Some(schema) = Schema::official()? else { return Ok(()) };
    let Event::Exec(mut exec) = generated(|event| matches!(event, Event::Exec(_)))? else {
        anyhow::bail!("no execution")
    };
    exec.process.executable.bytes = b"/bin/ls".as_slice().into();
    exec.file.path.bytes = b"/bin/ls".as_slice().into();
    exec.process.vpid = Some(7);
    exec.container_id = Some("5d3a".to_owned());
    exec.host = shipper::event::Host {
        boot_id: "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(),
        ..(*exec.host).clone()
    }
    .into();
    exec.enforcement =
        Some(Enforcement { rule: "r".to_owned(), action: EnforcementAction::Denied });
    let right = encoded(&Event::Exec(exec))?;
    assert_eq!(schema.faults(&right), [""; 0]);
    let breaks: [Break; 22] = [
        ("class_uid is none", |event| event["class_uid"] = json!(1999)),
        ("category_uid is not", |event| event["category_uid"] = json!(2)),
        ("class_name is not", |event| event["class_name"] = json!("Processes")),
        ("type_uid is not", |event| event["type_uid"] = json!(100_702)),
        ("activity_id is none", |event| event["activity_id"] = json!(7)),
        ("metadata.version is not", |event| event["metadata"]["version"] = json!("1.7.0")),
        ("metadata.product is required", |event| remove(&mut event["metadata"], "product")),
        ("actor is required", |event| remove(event, "actor")),
        ("time is not of type", |event| event["time"] = json!("2026-01-01T00:00:00Z")),
        ("colour is not in the schema", |event| event["colour"] = json!("red")),
        ("process.pid is not of type", |event| event["process"]["pid"] = json!("7")),
        ("process.ancestry is no list", |event| event["process"]["ancestry"] = json!({})),
        ("process.file.name is required", |event| remove(&mut event["process"]["file"], "name")),
        ("process.file.type_id is none", |event| event["process"]["file"]["type_id"] = json!(42)),
        ("has another caption", |event| event["launch_type"] = json!("Fork")),
        ("process.tid is deprecated", |event| event["process"]["tid"] = json!(7)),
        ("process.cpid is no UUID", |event| event["process"]["cpid"] = json!("7")),
        ("process.user has none of", |event| event["process"]["user"] = json!({})),
        ("needs a profile", |event| event["metadata"]["profiles"] = json!(["container"])),
        ("which is no profile", |event| event["metadata"]["profiles"][0] = json!("shipper")),
        ("is no object of type", |event| event["device"]["os"] = json!("Linux")),
        ("process.pid is not of type", |event| event["process"]["pid"] = Value::Null),
    ];
    for (said, change) in breaks {
        let mut wrong = right.clone();
        change(&mut wrong);
        let faults = schema.faults(&wrong);
        assert!(faults.iter().any(|fault| fault.contains(said)), "{said}: {faults:?}");
    }
    Ok(())
}

fn remove(from: &mut Value, name: &str) {
    from.as_object_mut().expect("an object").remove(name);
}

#[test]
fn what_became_of_an_execution_is_in_status_and_action() -> Result<()> {
    let Event::Exec(exec) = generated(|event| matches!(event, Event::Exec(_)))? else {
        anyhow::bail!("no execution")
    };
    let shown = |failure: Option<Failure>, enforcement: Option<EnforcementAction>| {
        let mut exec = exec.clone();
        exec.failure = failure;
        exec.enforcement =
            enforcement.map(|action| Enforcement { rule: "no-user-files".to_owned(), action });
        let event = encoded(&Event::Exec(exec))?;
        let names = ["status_id", "status_code", "status_detail", "action_id", "disposition_id"];
        Ok::<_, anyhow::Error>(names.map(|name| event[name].clone()))
    };
    let failed = |denied_by| Some(Failure { errno: 13, denied_by });
    let null = Value::Null;
    assert_eq!(
        shown(None, None)?,
        [json!(1), null.clone(), null.clone(), null.clone(), null.clone()]
    );
    let eacces = [json!(2), json!("EACCES"), json!("Permission denied")];
    let [id, code, detail] = eacces.clone();
    assert_eq!(shown(failed(None), None)?, [id, code, detail, null.clone(), null.clone()]);
    let [id, code, detail] = eacces;
    let by_module = shown(failed(Some(DeniedBy::SecurityModule)), None)?;
    assert_eq!(by_module, [id, code, detail, json!(2), json!(2)]);
    let denied = shown(failed(Some(DeniedBy::Shipper)), Some(EnforcementAction::Denied))?;
    assert_eq!(denied, [json!(2), json!("EACCES"), json!("denied by shipper"), json!(2), json!(2)]);
    let dry_run = shown(None, Some(EnforcementAction::WouldDeny))?;
    assert_eq!(dry_run, [json!(1), null.clone(), null, json!(3), json!(17)]);
    Ok(())
}

#[test]
fn an_end_is_a_termination_by_the_process_itself() -> Result<()> {
    let event = encoded(&generated(|event| matches!(event, Event::Exit(_)))?)?;
    assert_eq!((&event["class_uid"], &event["activity_id"]), (&json!(1007), &json!(2)));
    assert_eq!(event["actor"]["process"]["uid"], event["process"]["uid"]);
    let ended = event["process"]["terminated_time"].as_i64().context("a time")?;
    assert_eq!(Some(ended), event["time"].as_i64());
    Ok(())
}
