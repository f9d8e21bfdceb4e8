//! The `_bulk` API: lines of `create` with an id, an answer for each.

use serde_json::{Value, json};

use super::answer::Answer;
use super::has_text;
use super::plan::ElasticsearchPlan;
use super::request::Request;
use super::state::Shared;

/// A line of action with the event that follows it.
struct Create {
    index: String,
    id: String,
    event: Value,
}

pub fn answer(plan: &ElasticsearchPlan, request: &Request, lost: bool, shared: &Shared) -> Answer {
    let path = request.path();
    let index = match path.strip_suffix("/_bulk") {
        Some(index) => index.trim_start_matches('/'),
        None if path == "/" => {
            let about = json!({"name": "collector", "version": {"number": "9.3.0"}});
            return Answer::new(200, about.to_string());
        }
        None => return error(404, "resource_not_found_exception", path),
    };
    if !matches!(request.method.as_str(), "POST" | "PUT") {
        return error(405, "method_not_allowed", &request.method);
    }
    let types = ["application/x-ndjson", "application/json"];
    if !request.content_type().is_some_and(|given| types.contains(&given)) {
        shared.lock().account.complain(format!("Content-Type: {:?}", request.content_type()));
        return error(406, "media_type_header_exception", "Content-Type");
    }
    if plan.body_bytes_max.is_some_and(|max| request.body.len() > max) {
        return Answer::new(413, "");
    }
    let items = match parse(&request.body, index) {
        Ok(items) => items,
        Err(what) => {
            shared.lock().account.complain(what.clone());
            return error(400, "illegal_argument_exception", &what);
        }
    };
    let mut state = shared.lock();
    let (mut errors, mut answered) = (false, Vec::new());
    for item in items {
        state.store.items += 1;
        let refusal = plan.refused.iter().find(|(text, _)| has_text(&item.event, text));
        let status = match (plan.items.get(&state.store.items), refusal) {
            (Some(status), _) => *status,
            (None, Some((_, status))) => *status,
            (None, None) if state.account.taken.contains_key(&item.id) => 409,
            (None, None) => 201,
        };
        if status == 201 && !lost {
            state.account.take(item.id.clone());
        }
        errors |= status != 201;
        answered.push(json!({"create": outcome(&item, status)}));
    }
    Answer::new(200, json!({"took": 1, "errors": errors, "items": answered}).to_string())
}

fn parse(body: &[u8], path_index: &str) -> Result<Vec<Create>, String> {
    let text = str::from_utf8(body).map_err(|error| error.to_string())?;
    let text =
        text.strip_suffix('\n').ok_or("The bulk request must be terminated by a newline [\\n]")?;
    let mut lines = text.split('\n');
    let mut items = Vec::new();
    while let Some(action) = lines.next() {
        let action: Value =
            serde_json::from_str(action).map_err(|error| format!("an action: {error}"))?;
        let keys = action.as_object().map(|action| action.keys().collect::<Vec<_>>());
        if keys.is_none_or(|keys| keys != ["create"]) {
            return Err(format!("an action that is not create: {action}"));
        }
        let create = &action["create"];
        let event = lines.next().ok_or("an action without an event")?;
        let event: Value =
            serde_json::from_str(event).map_err(|error| format!("an event: {error}"))?;
        let index = create["_index"].as_str().unwrap_or(path_index);
        let id = create["_id"].as_str().ok_or("an action without _id")?;
        if index.is_empty() || !event.is_object() {
            return Err("an action without _index, or an event that is no object".to_owned());
        }
        items.push(Create { index: index.to_owned(), id: id.to_owned(), event });
    }
    Ok(items)
}

fn outcome(item: &Create, status: u16) -> Value {
    let mut outcome = json!({"_index": item.index, "_id": item.id, "status": status});
    if status == 201 {
        outcome["result"] = "created".into();
        return outcome;
    }
    let kind = match status {
        400 => "document_parsing_exception",
        409 => "version_conflict_engine_exception",
        429 => "es_rejected_execution_exception",
        _ => "unavailable_shards_exception",
    };
    outcome["error"] = json!({"type": kind, "reason": format!("[{}]: as scripted", item.id)});
    outcome
}

fn error(status: u16, kind: &str, reason: &str) -> Answer {
    let body = json!({"error": {"type": kind, "reason": reason}, "status": status});
    Answer::new(status, body.to_string())
}
