//! Holds an event to its row.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shipper::format::{Format, reference};

use super::place::Place;
use super::row::Row;

/// Values that the script told, by name.
pub type Told = BTreeMap<String, String>;

/// What may stand in the place of a value.
pub const MATCHERS: [&str; 9] = [
    "present",     // true: any value
    "one_of",      // a list: one of these
    "not",         // another value than this, and there
    "same_as",     // a pointer: what is there too
    "not_same_as", // a pointer: both are there and differ
    "contains",    // a list has this element, a text this part
    "starts_with", // a text begins so
    "ends_with",   // a text ends so
    "at_least",    // a number, or a list of so many
];

/// Programs that execute what a row is about, with the same arguments.
const ON_THE_WAY: [&str; 3] = ["exec_helper", "busybox", "unshare"];

/// Whether an event is the one of the row with this mark, and not of a program on the way to it.
#[must_use]
pub fn is_sought(event: &Value, mark: &str) -> bool {
    let name = event["file"]["name"].as_str().unwrap_or_default();
    let last = event["process"]["args"].as_array().and_then(|args| args.last());
    event["event"]["action"] == "exec"
        && !ON_THE_WAY.contains(&name)
        && (last.is_some_and(|last| last == mark) || name.contains(mark))
}

/// What is wrong with the events of a row there, one line each.
#[must_use]
pub fn verdict(row: &Row, place: &Place, told: &Told, events: &[&Value]) -> Vec<String> {
    let events: Vec<&Value> =
        events.iter().copied().filter(|e| e["event"]["outcome"] == row.outcome()).collect();
    if row.events != events.len() {
        let found = events.iter().map(|event| format!("\n    {event}")).collect::<String>();
        return vec![format!("{} events instead of {}{found}", events.len(), row.events)];
    }
    let Some(event) = events.first() else { return Vec::new() };
    let mut wrong = reference::check(Format::Ecs, event);
    for (pointer, wanted) in &row.wanted(place) {
        match fulfils(event, pointer, wanted, told) {
            Ok(None) => {}
            Ok(Some(fault)) => wrong.push(format!("{pointer} {fault}")),
            Err(fault) => wrong.push(format!("{pointer}: the row itself is wrong: {fault}")),
        }
    }
    wrong
}

/// Expectations that would be met by something else too: none, or the row cannot fail there.
#[must_use]
pub fn indifferent(row: &Row, place: &Place, told: &Told, event: &Value) -> Vec<String> {
    let wanted = row.wanted(place);
    let others = [Value::Null, json!("something else"), json!(["something", "else"])];
    let met = wanted.iter().filter(|(pointer, wanted)| {
        let now = event.pointer(pointer).unwrap_or(&Value::Null);
        others.iter().filter(|other| *other != now).all(|other| {
            let mut changed = event.clone();
            set(&mut changed, pointer, other.clone());
            fulfils(&changed, pointer, wanted, told) == Ok(None)
        })
    });
    met.map(|(pointer, _)| pointer.clone()).collect()
}

/// Puts a value there, with the objects that lead to it.
fn set(event: &mut Value, pointer: &str, value: Value) {
    let mut at = event;
    for part in pointer.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) => {
                let Some(list) = at.as_array_mut() else { return };
                // Up to the one that is meant, as if there were so many.
                list.resize(list.len().max(index + 1), Value::Null);
                &mut list[index]
            }
            _ if at.is_object() || at.is_null() => &mut at[part],
            _ => return,
        };
    }
    *at = value;
}

/// What is wrong; an error is a fault of the row.
fn fulfils(
    event: &Value,
    pointer: &str,
    wanted: &Value,
    told: &Told,
) -> Result<Option<String>, String> {
    let at = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null);
    let found = at(pointer);
    let fault =
        |is: bool, should: String| (!is).then(|| format!("is {found} and should be {should}"));
    let Value::Object(matcher) = wanted else {
        let wanted = resolve(wanted, told)?;
        return Ok(fault(equal(found, &wanted), wanted.to_string()));
    };
    let Some((how, value)) = matcher.iter().next() else { return Err("an empty matcher".into()) };
    let value = resolve(value, told)?;
    let text = || value.as_str().unwrap_or_default();
    let is_text = |test: &dyn Fn(&str) -> bool| found.as_str().is_some_and(test);
    let is = match how.as_str() {
        "present" => !found.is_null(),
        "one_of" => {
            value.as_array().ok_or("one_of wants a list")?.iter().any(|one| equal(found, one))
        }
        "not" => !found.is_null() && !equal(found, &value),
        "same_as" => !found.is_null() && found == at(text()),
        "not_same_as" => !found.is_null() && !at(text()).is_null() && found != at(text()),
        "contains" => match found {
            Value::Array(list) => list.iter().any(|one| equal(one, &value)),
            found => found.as_str().is_some_and(|found| found.contains(text())),
        },
        "starts_with" => is_text(&|found| found.starts_with(text())),
        "ends_with" => is_text(&|found| found.ends_with(text())),
        "at_least" => {
            let number = found.as_array().map(|list| list.len() as u64).or(found.as_u64());
            number >= Some(value.as_u64().ok_or("at_least wants a number")?)
        }
        other => return Err(format!("there is no matcher {other}")),
    };
    let other =
        if how.ends_with("same_as") { format!(", which is {}", at(text())) } else { String::new() };
    Ok(fault(is, format!("{how} {value}{other}")))
}

/// What the script told is text; the event may have it as a number.
fn equal(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::String(wanted)) => found.to_string() == *wanted,
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| equal(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

/// The value with `$NAME` replaced. A text that is a name alone, told as nothing, is absent.
fn resolve(value: &Value, told: &Told) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let resolved = substitute(text, told)?;
            Ok(if resolved.is_empty() && !text.is_empty() { Value::Null } else { resolved.into() })
        }
        Value::Array(list) => {
            let list: Result<_, String> = list.iter().map(|one| resolve(one, told)).collect();
            list.map(Value::Array)
        }
        other => Ok(other.clone()),
    }
}

fn substitute(text: &str, told: &Told) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        out.push_str(told.get(name).ok_or_else(|| format!("the script told no {name:?}"))?);
        rest = &rest[end..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({ "process": { "pid": 7, "name": "su", "args": ["/bin/su", "m"] }, "file": { "uid": "0" } })
    }

    fn meets(pointer: &str, wanted: Value) -> bool {
        let told = Told::from([("PID".into(), "7".into()), ("NONE".into(), String::new())]);
        fulfils(&event(), pointer, &wanted, &told).unwrap().is_none()
    }

    #[test]
    fn each_matcher_says_yes_to_what_is_so_and_no_to_what_is_not() {
        for (pointer, good, bad) in [
            ("/file/uid", json!("0"), json!("1")),
            ("/file/uid", json!("0"), json!(null)),
            ("/file/gid", json!(null), json!("0")),
            ("/file/gid", json!("$NONE"), json!("$PID")),
            ("/process/pid", json!("$PID"), json!("1$PID")),
            ("/process/args", json!(["/bin/su", "m"]), json!(["/bin/su"])),
            ("/process/pid", json!({"present": true}), json!({"not": "$PID"})),
            ("/process/name", json!({"one_of": ["su", "sh"]}), json!({"one_of": ["sh"]})),
            ("/process/name", json!({"not": "sh"}), json!({"not": "su"})),
            ("/file/uid", json!({"same_as": "/file/uid"}), json!({"same_as": "/process/name"})),
            (
                "/file/uid",
                json!({"not_same_as": "/process/name"}),
                json!({"not_same_as": "/file/uid"}),
            ),
            ("/process/args", json!({"contains": "m"}), json!({"contains": "su"})),
            ("/process/args/0", json!({"contains": "in/s"}), json!({"contains": "m"})),
            ("/process/args/0", json!({"starts_with": "/bin"}), json!({"starts_with": "su"})),
            ("/process/args/0", json!({"ends_with": "/su"}), json!({"ends_with": "/bin"})),
            ("/process/pid", json!({"at_least": 7}), json!({"at_least": 8})),
            ("/process/args", json!({"at_least": 2}), json!({"at_least": 3})),
        ] {
            assert!(meets(pointer, good.clone()), "{pointer} {good}");
            assert!(!meets(pointer, bad.clone()), "{pointer} {bad}");
        }
        for matcher in ["present", "not", "same_as", "not_same_as", "contains", "at_least"] {
            let wanted =
                json!({ matcher: if matcher == "at_least" { json!(0) } else { json!("/a") } });
            assert!(!meets("/file/gid", wanted), "{matcher} of what is absent");
        }
    }

    #[test]
    fn a_value_that_the_script_did_not_tell_is_a_fault_of_the_row() {
        let fault = fulfils(&event(), "/file/uid", &json!("$UNTOLD"), &Told::new()).unwrap_err();
        assert!(fault.contains("UNTOLD"), "{fault}");
    }

    #[test]
    fn programs_on_the_way_and_other_marks_are_not_what_is_sought() {
        let exec = |name: &str, last: &str| {
            json!({ "event": { "action": "exec" }, "file": { "name": name },
                    "process": { "args": ["x", last] } })
        };
        assert!(is_sought(&exec("su", "mark-1"), "mark-1"));
        assert!(is_sought(&exec("su-mark-1", "x"), "mark-1"));
        assert!(!is_sought(&exec("su", "mark-12"), "mark-1"));
        assert!(!is_sought(&exec("exec_helper", "mark-1"), "mark-1"));
        let mut end = exec("su", "mark-1");
        end["event"]["action"] = json!("end");
        assert!(!is_sought(&end, "mark-1"));
    }
}
