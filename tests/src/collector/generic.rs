//! A collector of lines or arrays of JSON.

use serde_json::Value;

use super::answer::Answer;
use super::plan::GenericPlan;
use super::request::Request;
use super::state::Shared;
use super::{event_id, has_text};

pub fn answer(plan: &GenericPlan, request: &Request, lost: bool, shared: &Shared) -> Answer {
    match request.method.as_str() {
        "POST" => {}
        // Asked by who only wants to know whether somebody is there.
        "HEAD" => return Answer::new(200, ""),
        _ => return Answer::new(405, "").with("Allow", "POST, HEAD"),
    }
    if plan.body_bytes_max.is_some_and(|max| request.body.len() > max) {
        return Answer::new(413, "");
    }
    let events = match request.content_type() {
        Some("application/x-ndjson") => lines(&request.body),
        Some("application/json") => serde_json::from_slice::<Vec<Value>>(&request.body)
            .map_err(|error| format!("an array of JSON: {error}")),
        other => {
            shared.lock().account.complain(format!("Content-Type: {other:?}"));
            return Answer::new(415, "");
        }
    };
    let events = match events {
        Ok(events) if events.is_empty() => Err("no events".to_owned()),
        other => other,
    };
    let ids = events.and_then(|events| {
        let ids = events.iter().map(|event| event_id(event).ok_or("an event without event.id"));
        Ok((ids.collect::<Result<Vec<String>, _>>()?, events))
    });
    let (ids, events) = match ids {
        Ok(parsed) => parsed,
        Err(what) => return shared.lock().refuse_malformed(what),
    };
    for (text, status) in &plan.refused {
        if events.iter().any(|event| has_text(event, text)) {
            return Answer::new(*status, r#"{"error":"an event that is refused"}"#);
        }
    }
    let mut state = shared.lock();
    let key = request.header("idempotency-key").filter(|_| plan.dedup);
    let known = key.is_some_and(|key| !lost && !state.store.keys.insert(key.to_owned()));
    if !known && !lost {
        for id in ids {
            state.account.take(id);
        }
    }
    Answer::new(200, "")
}

fn lines(body: &[u8]) -> Result<Vec<Value>, String> {
    let text = str::from_utf8(body).map_err(|error| error.to_string())?;
    let text = text.strip_suffix('\n').ok_or("lines without an end of the last")?;
    let parse = |line| serde_json::from_str(line).map_err(|error| format!("a line: {error}"));
    text.split('\n').map(parse).collect()
}
