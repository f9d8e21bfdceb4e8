//! Events in each format, whatever is in them: one line of JSON each, by the table and by the JSON Schema, with
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
use shipper::event::{Ancestor, Bytes, DeniedBy, Event, Failure, WaitStatus};
use shipper::format::reference::{self, Kind};
use shipper::format::{Format, encode};

fn line(format: Format, event: &Event) -> Vec<u8> {
    let mut line = Vec::new();
    encode(format, event, &mut line);
    line
}

fn parsed(format: Format, event: &Event) -> Value {
    serde_json::from_slice(&line(format, event)).expect("JSON")
}

/// Bytes as the event carries them: exact in base64 beside the text when they are not UTF-8.
fn carried(text: &Value, raw: &Value) -> Option<Bytes> {
    match raw {
        Value::Null => Some(text.as_str()?.as_bytes().into()),
        raw => Some(STANDARD.decode(raw.as_str()?).ok()?.into()),
    }
}

fn carried_list(texts: &Value, raws: &Value) -> Option<Vec<Bytes>> {
    match raws {
        Value::Null => texts.as_array()?.iter().map(|text| carried(text, &Value::Null)).collect(),
        raws => raws.as_array()?.iter().map(|raw| carried(raw, raw)).collect(),
    }
}

/// Where a format has text and exact bytes; an empty text may be left out.
fn carries(event: &Value, text: &str, raw: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let at = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null);
    let known = carried(at(text), at(raw)).unwrap_or_default();
    prop_assert_eq!(&*known, bytes, "{} and {}", text, raw);
    Ok(())
}

/// The same of a list.
fn carries_list(event: &Value, text: &str, raw: &str, list: &[Bytes]) -> Result<(), TestCaseError> {
    let at = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null);
    let known = carried_list(at(text), at(raw)).unwrap_or_default();
    prop_assert_eq!(known, list, "{} and {}", text, raw);
    Ok(())
}

/// What is told of an ancestor below a pointer, in native words.
fn carries_ancestor(event: &Value, at: &str, ancestor: &Ancestor) -> Result<(), TestCaseError> {
    let source = event.pointer(&format!("{at}/source"));
    prop_assert_eq!(source, Some(&json!(ancestor.source.as_str())));
    let start = event.pointer(&format!("{at}/start_time"));
    prop_assert_eq!(start, Some(&json!(ancestor.start)));
    if let Some(args) = &ancestor.args {
        let [list, raw] = ["list", "list_base64"].map(|name| format!("{at}/args/{name}"));
        carries_list(event, &list, &raw, &args.list)?;
        let truncated = event.pointer(&format!("{at}/args/truncated"));
        prop_assert_eq!(truncated, Some(&json!(args.truncated)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_event_is_one_line_of_json_as_the_table_says(event in events::event()) {
        for format in Format::ALL {
            let line = line(format, &event);
            let ends = line.iter().filter(|&&byte| byte == b'\n').count();
            prop_assert!(ends == 1 && line.ends_with(b"\n"), "{ends} line ends");
            let value: Value = serde_json::from_slice(&line)?;
            prop_assert!(value.is_object());
            // A null is not of any type in the table, so this finds nulls as well.
            prop_assert_eq!(reference::check(format, &value), Vec::<String>::new());
        }
    }

    #[test]
    fn any_event_satisfies_the_json_schema(event in events::event()) {
        for format in Format::ALL {
            let schema = reference::json_schema(format);
            let violations = json_schema::violations(&schema, &parsed(format, &event));
            prop_assert_eq!(violations, Vec::<String>::new());
        }
    }

    #[test]
    fn bytes_arrive_exactly_whether_they_are_utf8_or_not(exec in events::exec()) {
        let process = exec.process.clone();
        let (file, ancestry) = (exec.file.path.bytes.clone(), exec.ancestry.clone());
        let event = Event::Exec(Box::new(exec));
        // Format, and where it has name, binary, directory, file, cgroup, arguments and variables: the
        // text, and what is exact of it.
        let places = [
            (Format::Ecs, [
                ("/process/name", "/shipper/raw/name"),
                ("/process/executable", "/shipper/raw/executable"),
                ("/process/working_directory", "/shipper/raw/working_directory"),
                ("/file/path", "/shipper/raw/file_path"),
                ("/shipper/cgroup/path", "/shipper/raw/cgroup_path"),
                ("/process/args", "/shipper/raw/args"),
                ("/process/env_vars", "/shipper/raw/env_vars"),
            ]),
            (Format::Ocsf, [
                ("/process/name", "/unmapped/shipper/process/comm_base64"),
                ("/process/path", "/unmapped/shipper/process/executable_base64"),
                ("/process/working_directory",
                 "/unmapped/shipper/process/working_directory_base64"),
                ("/process/file/path", "/unmapped/shipper/file/path_base64"),
                ("/unmapped/shipper/process/cgroup/path",
                 "/unmapped/shipper/process/cgroup/path_base64"),
                ("/unmapped/shipper/process/args/list",
                 "/unmapped/shipper/process/args/list_base64"),
                ("", "/unmapped/shipper/process/env/list_base64"),
            ]),
            (Format::Cim, [
                ("/process_name", "/shipper/process/comm_base64"),
                ("/process_path", "/shipper/process/executable_base64"),
                ("/process_current_directory", "/shipper/process/working_directory_base64"),
                ("/shipper/file/path", "/shipper/file/path_base64"),
                ("/shipper/process/cgroup/path", "/shipper/process/cgroup/path_base64"),
                ("/shipper/process/args/list", "/shipper/process/args/list_base64"),
                ("/shipper/process/env/list", "/shipper/process/env/list_base64"),
            ]),
            (Format::Native, [
                ("/process/comm", "/process/comm_base64"),
                ("/process/executable", "/process/executable_base64"),
                ("/process/working_directory", "/process/working_directory_base64"),
                ("/file/path", "/file/path_base64"),
                ("/process/cgroup/path", "/process/cgroup/path_base64"),
                ("/process/args/list", "/process/args/list_base64"),
                ("/process/env/list", "/process/env/list_base64"),
            ]),
        ];
        for (format, [name, executable, directory, path, cgroup, args, env]) in places {
            let value = parsed(format, &event);
            carries(&value, name.0, name.1, &process.comm)?;
            carries(&value, executable.0, executable.1, &process.executable.bytes)?;
            carries(&value, directory.0, directory.1, &process.working_directory.bytes)?;
            carries(&value, path.0, path.1, &file)?;
            carries(&value, cgroup.0, cgroup.1, &process.cgroup)?;
            carries_list(&value, args.0, args.1, &process.args.list)?;
            if !env.0.is_empty() {
                carries_list(&value, env.0, env.1, &process.env.list)?;
            } else if let Some(variables) = value.pointer("/process/environment_variables") {
                // Name and value apart; a variable without `=` has an empty value.
                let joined = |variable: &Value| {
                    let text = |key: &str| variable[key].as_str().unwrap_or_default().to_owned();
                    text("name") + "=" + &text("value")
                };
                let joined: Vec<String> =
                    variables.as_array().into_iter().flatten().map(joined).collect();
                let expected = process.env.list.iter().map(|variable| {
                    let text = String::from_utf8_lossy(variable).into_owned();
                    if variable.contains(&b'=') { text } else { text + "=" }
                });
                prop_assert_eq!(joined, expected.collect::<Vec<_>>());
            }
            let below = match format {
                Format::Ecs => continue,
                Format::Ocsf => "/unmapped/shipper",
                Format::Cim => "/shipper",
                Format::Native => "",
            };
            for (at, ancestor) in ancestry.iter().enumerate() {
                carries_ancestor(&value, &format!("{below}/ancestry/{at}"), ancestor)?;
            }
            for mark in ["truncated", "faulted"] {
                let known = value.pointer(&format!("{below}/process/args/{mark}"));
                let args = &process.args;
                let set = if mark == "truncated" { args.truncated } else { args.faulted };
                prop_assert_eq!(known, Some(&json!(set)));
            }
        }
    }

    #[test]
    fn of_an_end_they_arrive_exactly_as_well(exit in events::exit()) {
        let process = exit.process.clone();
        let event = Event::Exit(Box::new(exit));
        let value = parsed(Format::Ecs, &event);
        carries(&value, "/process/name", "/shipper/raw/name", &process.comm)?;
        let executable = process.executable.as_deref().unwrap_or_default();
        carries(&value, "/process/executable", "/shipper/raw/executable", executable)?;
        if let Some(args) = &process.args {
            carries_list(&value, "/process/args", "/shipper/raw/args", &args.list)?;
        }
        let all = [
            (Format::Ocsf, "/unmapped/shipper/process"),
            (Format::Cim, "/shipper/process"),
            (Format::Native, "/process"),
        ];
        for (format, at) in all {
            carries_ancestor(&parsed(format, &event), at, &process)?;
        }
    }

    #[test]
    fn the_flat_names_of_cim_are_all_there_of_an_execution(mut exec in events::exec()) {
        // What is not known is left out; here all is.
        exec.process.comm = b"ls".as_slice().into();
        exec.process.executable.bytes = b"/usr/bin/ls".as_slice().into();
        exec.process.working_directory.bytes = b"/".as_slice().into();
        (exec.interpreter, exec.failure) = (None, None);
        exec.file.hash = Some(shipper::event::FileHash::Sha256([7; 32]));
        exec.ancestry.truncate(1);
        for parent in &mut exec.ancestry {
            parent.comm = b"sh".as_slice().into();
            parent.executable = Some(b"/bin/sh".as_slice().into());
            parent.args = Some(std::sync::Arc::default());
        }
        let (has_parent, has_match) = (!exec.ancestry.is_empty(), !exec.matches.is_empty());
        let value = parsed(Format::Cim, &Event::Exec(Box::new(exec)));
        let names = "action dest os process process_current_directory process_exec process_guid \
            process_hash process_id process_name process_path user user_id vendor_product";
        let parent = "parent_process parent_process_exec parent_process_guid parent_process_id \
            parent_process_name parent_process_path";
        for name in names.split_whitespace() {
            prop_assert!(value.get(name).is_some(), "{name}");
        }
        for name in parent.split_whitespace() {
            prop_assert_eq!(value.get(name).is_some(), has_parent, "{}", name);
        }
        for name in ["severity", "signature", "signature_id"] {
            prop_assert_eq!(value.get(name).is_some(), has_match, "{}", name);
        }
    }
}

#[test]
fn an_attempt_that_failed_is_no_start() {
    let mut runner = TestRunner::deterministic();
    let mut exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let mut told = |failure: Option<Failure>| {
        exec.failure = failure;
        let value = parsed(Format::Ecs, &Event::Exec(Box::new(exec.clone())));
        ["action", "type", "outcome"].map(|name| value["event"][name].clone())
    };
    assert_eq!(told(None), [json!("exec"), json!(["start"]), json!("success")]);
    for denied_by in [None, Some(DeniedBy::SecurityModule), Some(DeniedBy::Shipper)] {
        let failed = told(Some(Failure { errno: 13, denied_by }));
        assert_eq!(failed, [json!("exec"), json!(["info"]), json!("failure")]);
    }
}

#[test]
fn an_attempt_is_blocked_in_cim_only_where_it_was_refused() {
    let mut runner = TestRunner::deterministic();
    let mut exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let mut action = |failure: Option<Failure>| {
        exec.failure = failure;
        let value = parsed(Format::Cim, &Event::Exec(Box::new(exec.clone())));
        value["action"].clone()
    };
    let failed = |errno, denied_by| Some(Failure { errno, denied_by });
    assert_eq!(action(None), "allowed");
    for errno in [1, 13] {
        assert_eq!(action(failed(errno, None)), "blocked", "{errno}");
    }
    for errno in [2, 7, 8, 26] {
        assert_eq!(action(failed(errno, None)), Value::Null, "{errno}");
        assert_eq!(action(failed(errno, Some(DeniedBy::SecurityModule))), "blocked", "{errno}");
    }
}

#[test]
fn an_end_tells_how_it_ended_and_a_signal_only_where_there_was_one() {
    let mut runner = TestRunner::deterministic();
    let exit = events::exit().new_tree(&mut runner).expect("generates").current();
    let end = |status| {
        let mut exit = exit.clone();
        (exit.status, exit.duration_ns) = (WaitStatus(status), 2_999_999_999);
        let value = parsed(Format::Ecs, &Event::Exit(Box::new(exit)));
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
    let all = |format| {
        let rows = reference::rows(format).into_iter();
        rows.map(|row| row.name.into_owned()).collect::<BTreeSet<String>>()
    };
    let mut missing = Format::ALL.map(|format| (format, all(format)));
    for _ in 0..500 {
        let event = events::event().new_tree(&mut runner).expect("generates").current();
        for (format, missing) in &mut missing {
            let mut names = BTreeSet::new();
            collect(&parsed(*format, &event), "", &mut names);
            missing.retain(|name| !names.contains(name));
        }
        if missing.iter().all(|(_, missing)| missing.is_empty()) {
            return;
        }
    }
    assert_eq!(missing, Format::ALL.map(|format| (format, BTreeSet::new())), "no event has these");
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
    for format in Format::ALL {
        let schema = reference::json_schema(format);
        for row in reference::rows(format) {
            let mut at = &schema;
            for part in row.name.split('.') {
                let inside = if at["type"] == "array" {
                    &at["items"]["properties"]
                } else {
                    &at["properties"]
                };
                at = &inside[part];
            }
            assert_eq!(at["description"], row.meaning, "{}", row.name);
            let expected = match row.kind {
                Kind::Keyword | Kind::Wildcard | Kind::Text | Kind::Date => "string",
                Kind::Keywords | Kind::Objects => "array",
                Kind::Long => "integer",
                Kind::Boolean => "boolean",
            };
            assert_eq!(at["type"], expected, "{}", row.name);
        }
    }
}

#[test]
fn the_page_of_reference_is_the_one_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");
    let committed = std::fs::read_to_string(path).expect("docs/events.md");
    assert!(
        committed == reference::page(),
        "docs/events.md is not current; run: shipper schema reference > docs/events.md"
    );
}

#[test]
fn what_the_table_does_not_say_is_found() {
    let mut runner = TestRunner::deterministic();
    let exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let right = parsed(Format::Ecs, &Event::Exec(Box::new(exec)));
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
        assert_eq!(reference::check(Format::Ecs, &event).len(), 1, "by the table, case {at}");
        assert_eq!(
            json_schema::violations(&reference::json_schema(Format::Ecs), &event).len(),
            1,
            "by the JSON Schema, case {at}"
        );
    }
}
