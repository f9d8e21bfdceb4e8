//! ECS events, whatever is in them: one line of JSON each, by the table and by the JSON Schema, with
//! nothing lost that is not UTF-8.

mod events;
mod json_schema;
mod shorten;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shipper::event::{Bytes, Event, WaitStatus};
use shipper::format::ecs::{encode, schema};

fn line(event: &Event) -> Vec<u8> {
    let mut line = Vec::new();
    encode(event, &mut line);
    line
}

fn parsed(event: &Event) -> Value {
    serde_json::from_slice(&line(event)).expect("JSON")
}

/// Bytes as the event carries them: exact in base64 under `shipper.raw` when they are not UTF-8.
fn carried(text: &Value, raw: &Value) -> Option<Bytes> {
    match raw {
        Value::Null => Some(text.as_str()?.as_bytes().into()),
        raw => Some(STANDARD.decode(raw.as_str()?).ok()?.into()),
    }
}

fn carried_list(texts: &Value, raws: &Value) -> Option<Vec<Bytes>> {
    let texts = texts.as_array()?;
    match raws {
        Value::Null => texts.iter().map(|text| carried(text, &Value::Null)).collect(),
        raws => {
            let raws = raws.as_array().filter(|raws| raws.len() == texts.len())?;
            texts.iter().zip(raws).map(|(text, raw)| carried(text, raw)).collect()
        }
    }
}

proptest! {
    #[test]
    fn any_event_is_one_line_of_json_as_the_table_says(event in events::event()) {
        let line = line(&event);
        let ends = line.iter().filter(|&&byte| byte == b'\n').count();
        prop_assert!(ends == 1 && line.ends_with(b"\n"), "{ends} line ends");
        let value: Value = serde_json::from_slice(&line)?;
        prop_assert!(value.is_object());
        // A null is not of any type in the table, so this finds nulls as well.
        prop_assert_eq!(schema::check(&value), Vec::<String>::new());
    }

    #[test]
    fn any_event_satisfies_the_json_schema(event in events::event()) {
        let schema = schema::schema();
        prop_assert_eq!(json_schema::violations(&schema, &parsed(&event)), Vec::<String>::new());
    }

    #[test]
    fn bytes_arrive_exactly_whether_they_are_utf8_or_not(exec in events::exec()) {
        let process = exec.process.clone();
        let file = exec.file.path.bytes.clone();
        let value = parsed(&Event::Exec(Box::new(exec)));
        let (shown, raw) = (&value["process"], &value["shipper"]["raw"]);
        prop_assert_eq!(carried_list(&shown["args"], &raw["args"]), Some(process.args.list));
        prop_assert_eq!(carried(&shown["name"], &raw["name"]), Some(process.comm));
        // An empty path is left out.
        let path = |bytes: Bytes| (!bytes.is_empty()).then_some(bytes);
        prop_assert_eq!(
            carried(&shown["executable"], &raw["executable"]), path(process.executable.bytes));
        prop_assert_eq!(
            carried(&shown["working_directory"], &raw["working_directory"]),
            path(process.working_directory.bytes));
        prop_assert_eq!(carried(&value["file"]["path"], &raw["file_path"]), path(file));
        prop_assert_eq!(
            carried(&value["shipper"]["cgroup"]["path"], &raw["cgroup_path"]),
            Some(process.cgroup));
    }

    #[test]
    fn of_an_end_they_arrive_exactly_as_well(exit in events::exit()) {
        let process = exit.process.clone();
        let value = parsed(&Event::Exit(Box::new(exit)));
        let (shown, raw) = (&value["process"], &value["shipper"]["raw"]);
        let known = |bytes: Option<Bytes>| bytes.filter(|bytes| !bytes.is_empty());
        prop_assert_eq!(carried(&shown["name"], &raw["name"]), known(Some(process.comm)));
        prop_assert_eq!(
            carried(&shown["executable"], &raw["executable"]), known(process.executable));
        prop_assert_eq!(
            carried_list(&shown["args"], &raw["args"]),
            process.args.map(|args| args.list.clone()));
    }
}

#[test]
fn an_end_tells_how_it_ended_and_a_signal_only_where_there_was_one() {
    let mut runner = TestRunner::deterministic();
    let exit = events::exit().new_tree(&mut runner).expect("generates").current();
    let end = |status| {
        let mut exit = exit.clone();
        (exit.status, exit.duration_ns) = (WaitStatus(status), 2_999_999_999);
        let value = parsed(&Event::Exit(Box::new(exit)));
        assert_eq!(value["event"]["action"], "end");
        assert_eq!(value["event"]["type"], json!(["end"]));
        assert_eq!(value["event"]["outcome"], Value::Null);
        assert_eq!(value["process"]["end"], value["@timestamp"]);
        assert_eq!(value["process"]["uptime"], 2);
        (value["process"]["exit_code"].clone(), value["shipper"]["exit"].clone())
    };
    let ns = 2_999_999_999_u64;
    assert_eq!(end(7 << 8), (json!(7), json!({"duration_ns": ns})));
    let killed = json!({
        "signal": 9, "signal_name": "SIGKILL", "core_dumped": false, "duration_ns": ns,
    });
    assert_eq!(end(9), (json!(137), killed));
    let dumped = json!({
        "signal": 11, "signal_name": "SIGSEGV", "core_dumped": true, "duration_ns": ns,
    });
    assert_eq!(end(11 | 0x80), (json!(139), dumped));
}

#[test]
fn every_field_of_the_table_is_in_some_event() {
    let mut runner = TestRunner::deterministic();
    let mut missing: BTreeSet<&str> = schema::FIELDS.iter().map(|field| field.name).collect();
    for _ in 0..500 {
        let event = events::event().new_tree(&mut runner).expect("generates").current();
        let mut names = BTreeSet::new();
        collect(&parsed(&event), "", &mut names);
        missing.retain(|name| !names.contains(*name));
        if missing.is_empty() {
            return;
        }
    }
    assert_eq!(missing, BTreeSet::new(), "no event has these");
}

/// Names of all values and of all that they are in.
fn collect(value: &Value, name: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let inner_name =
                    if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                names.insert(inner_name.clone());
                collect(inner, &inner_name, names);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, name, names)),
        _ => {}
    }
}

#[test]
fn the_json_schema_has_every_field_at_its_place_with_its_type() {
    let schema = schema::schema();
    for field in schema::FIELDS {
        let mut at = &schema;
        for part in field.name.split('.') {
            at = if at["type"] == "array" { &at["items"]["properties"] } else { &at["properties"] };
            at = &at[part];
        }
        assert_eq!(at["description"], field.meaning, "{}", field.name);
        let expected = match field.kind {
            schema::Kind::Keyword
            | schema::Kind::Wildcard
            | schema::Kind::Text
            | schema::Kind::Date => "string",
            schema::Kind::Keywords | schema::Kind::Objects => "array",
            schema::Kind::Long => "integer",
            schema::Kind::Boolean => "boolean",
        };
        assert_eq!(at["type"], expected, "{}", field.name);
    }
}

#[test]
fn what_the_table_does_not_say_is_found() {
    let mut runner = TestRunner::deterministic();
    let exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let right = parsed(&Event::Exec(Box::new(exec)));
    let wrong: [fn(&mut Value); 6] = [
        |event| event["process"]["pid"] = Value::Null,
        |event| event["process"]["pid"] = "7".into(),
        |event| event["process"]["args"] = "ls -l".into(),
        |event| event["process"]["title"] = "ls".into(),
        |event| event["@timestamp"] = "yesterday".into(),
        |event| event["file"]["size"] = u64::MAX.into(),
    ];
    for (at, change) in wrong.into_iter().enumerate() {
        let mut event = right.clone();
        change(&mut event);
        assert_eq!(schema::check(&event).len(), 1, "by the table, case {at}");
        assert_eq!(
            json_schema::violations(&schema::schema(), &event).len(),
            1,
            "by the JSON Schema, case {at}"
        );
    }
}
