//! Our table of fields, held to the official list of the Elastic Common Schema.

use anyhow::Result;
use serde_json::json;
use shipper::format::ecs::schema::FIELDS;
use shipper::format::reference::{Field, Kind};
use shipper_tests::ecs::{Official, deviations, faults, official};

#[test]
fn every_field_is_in_ecs_with_its_type_and_shape_or_in_a_namespace_of_its_own() -> Result<()> {
    let Some(official) = official()? else {
        return Ok(());
    };
    assert_eq!(deviations(FIELDS, &official), [""; 0]);
    let in_ecs = FIELDS.iter().filter(|field| official.contains_key(field.name)).count();
    assert!(in_ecs > FIELDS.len() / 3, "only {in_ecs} of our fields are in ECS");
    Ok(())
}

#[test]
fn no_field_is_listed_twice_and_none_is_inside_another() {
    for (at, field) in FIELDS.iter().enumerate() {
        for other in &FIELDS[..at] {
            assert_ne!(field.name, other.name);
            let inside =
                field.name.strip_prefix(other.name).is_some_and(|rest| rest.starts_with('.'));
            assert!(!inside || other.kind == Kind::Objects, "{} is in {}", field.name, other.name);
        }
    }
}

#[test]
fn a_wrong_type_a_wrong_shape_and_an_unknown_name_are_found() {
    let official = Official::from([
        ("process.pid".to_owned(), ("long".to_owned(), String::new())),
        ("process.args".to_owned(), ("keyword".to_owned(), "array".to_owned())),
    ]);
    let field = |name, kind| Field { name, kind, of: "", meaning: "" };
    let wrong = [
        field("process.pid", Kind::Keyword),
        field("process.args", Kind::Keyword),
        field("process.ancestry", Kind::Keywords),
        field("shipperish", Kind::Long),
    ];
    assert_eq!(deviations(&wrong, &official).len(), wrong.len());
    let right = [
        field("process.pid", Kind::Long),
        field("process.args", Kind::Keywords),
        field("process.Ext.ancestry", Kind::Keywords),
        field("shipper.cpu", Kind::Long),
    ];
    assert_eq!(deviations(&right, &official), [""; 0]);
}

#[test]
fn an_event_with_an_unknown_field_or_a_wrong_value_is_found() -> Result<()> {
    let Some(official) = official()? else {
        return Ok(());
    };
    let right = json!({"@timestamp": "2026-01-01T00:00:00Z", "process": {"pid": 1, "args": ["a"]}});
    assert_eq!(faults(&right, &official), [""; 0]);
    for wrong in [
        json!({"@timestamp": "yesterday"}),
        json!({"process": {"pid": "1"}}),
        json!({"process": {"args": "a"}}),
        json!({"process": {"args": [1]}}),
        json!({"process": {"colour": "red"}}),
        json!({"process": "sh"}),
    ] {
        assert_eq!(faults(&wrong, &official).len(), 1, "{wrong}");
    }
    Ok(())
}
