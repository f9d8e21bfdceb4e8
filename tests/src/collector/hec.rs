//! Splunk's HTTP event collector: envelopes, codes, partial acceptance, acknowledgement, health.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::plan::HecPlan;
use super::request::Request;
use super::state::{Shared, State};
use super::{event_id, has_text};

/// The acknowledgements of each channel.
pub type Channels = HashMap<String, Channel>;

/// What a channel has been promised.
#[derive(Default)]
pub struct Channel {
    next_ack_id: u64,
    /// Those that were not told `true`; the others are forgotten.
    pending: BTreeMap<u64, Pending>,
}

struct Pending {
    /// `None`: the events are lost, and it is never told `true`.
    events: Option<Vec<String>>,
    polls: u32,
}

/// The status and text that Splunk's table has for a code.
pub fn code(code: u16) -> (u16, &'static str) {
    match code {
        0 => (200, "Success"),
        1 => (403, "Token disabled"),
        2 => (401, "Token is required"),
        3 => (401, "Invalid authorization"),
        4 => (403, "Invalid token"),
        5 => (400, "No data"),
        6 => (400, "Invalid data format"),
        7 => (400, "Incorrect index"),
        8 => (500, "Internal server error"),
        9 => (503, "Server is busy"),
        10 => (400, "Data channel is missing"),
        11 => (400, "Invalid data channel"),
        12 => (400, "Event field is required"),
        13 => (400, "Event field cannot be blank"),
        14 => (400, "ACK is disabled"),
        15 => (400, "Error in handling indexed fields"),
        16 => (400, "Query string authorization is not enabled"),
        17 => (200, "HEC is healthy"),
        18 => (503, "HEC is unhealthy, queues are full"),
        19 => (503, "HEC is unhealthy, ack service unavailable"),
        20 => (503, "HEC is unhealthy, queues are full, ack service unavailable"),
        21 => (400, "Invalid token"),
        22 => (400, "Token disabled"),
        23 => (503, "Server is shutting down"),
        26 => (429, "Queue at capacity"),
        27 => (429, "ACK channel at capacity"),
        _ => (400, "Unknown code"),
    }
}

fn coded(number: u16) -> Answer {
    let (status, text) = code(number);
    Answer::new(status, json!({"text": text, "code": number}).to_string())
}

pub fn answer(plan: &HecPlan, request: &Request, lost: bool, shared: &Shared) -> Answer {
    let path = request.path().strip_suffix("/1.0").unwrap_or(request.path());
    let method = request.method.as_str();
    let outcome = match (path, method) {
        ("/services/collector/health", "GET") => return coded(plan.health),
        ("/services/collector" | "/services/collector/event", "POST") => {
            take(plan, request, lost, shared)
        }
        ("/services/collector/ack", "POST") => tell_acks(plan, request, shared),
        ("/services/collector" | "/services/collector/event" | "/services/collector/ack", _) => {
            return Answer::new(405, "").with("Allow", "POST");
        }
        _ => return Answer::new(404, r#"{"text":"not found on this server","code":404}"#),
    };
    outcome.unwrap_or_else(coded)
}

/// Whether the token lets the request in; the error is a code.
fn authorize(request: &Request, state: &State) -> Result<(), u16> {
    let given = request.header("authorization").ok_or(2_u16)?;
    if !given.starts_with("Splunk ") {
        return Err(3);
    }
    if state.token.as_ref().is_some_and(|token| token != given) {
        return Err(4);
    }
    Ok(())
}

fn channel(request: &Request) -> Result<&str, u16> {
    let header = request.header("x-splunk-request-channel");
    let channel = header.or_else(|| request.query("channel")).ok_or(10_u16)?;
    // 8-4-4-4-12 hexadecimal digits.
    let groups: Vec<&str> = channel.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if lengths == [8, 4, 4, 4, 12] && hex { Ok(channel) } else { Err(11) }
}

/// Indexes the events of a request, up to the first that is bad.
fn take(plan: &HecPlan, request: &Request, lost: bool, shared: &Shared) -> Result<Answer, u16> {
    authorize(request, &shared.lock())?;
    let channel = if plan.ack { Some(channel(request)?) } else { None };
    if let Some(max) = plan.body_bytes_max.filter(|max| request.body.len() > *max) {
        let text = format!("Content-Length of {} too large (maximum is {max})", request.body.len());
        return Ok(Answer::new(413, text));
    }
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Err(5);
    }
    let (mut ids, mut bad) = (Vec::new(), None);
    let envelopes = serde_json::Deserializer::from_slice(&request.body).into_iter::<Value>();
    for (place, envelope) in envelopes.enumerate() {
        match envelope.map_err(|_| 6).and_then(|envelope| examine(plan, &envelope)) {
            Ok(id) => ids.push(id),
            Err(code) => {
                bad = Some((place, code));
                break;
            }
        }
    }
    let mut state = shared.lock();
    if !lost {
        for id in &ids {
            state.account.take(id.clone());
        }
    }
    if let Some((place, number)) = bad {
        let (status, text) = code(number);
        let body = json!({"text": text, "code": number, "invalid-event-number": place});
        return Ok(Answer::new(status, body.to_string()));
    }
    let mut body = json!({"text": "Success", "code": 0});
    if let Some(channel) = channel {
        let channel = state.store.channels.entry(channel.to_owned()).or_default();
        let ack_id = channel.next_ack_id;
        channel.next_ack_id += 1;
        let events = (!lost).then_some(ids);
        channel.pending.insert(ack_id, Pending { events, polls: 0 });
        body["ackId"] = ack_id.into();
    }
    Ok(Answer::new(200, body.to_string()))
}

/// The id of the event in an envelope, or the code for what is wrong with it.
fn examine(plan: &HecPlan, envelope: &Value) -> Result<String, u16> {
    const KEYS: [&str; 7] = ["time", "host", "source", "sourcetype", "index", "event", "fields"];
    let object = envelope.as_object().ok_or(6_u16)?;
    if object.keys().any(|key| !KEYS.contains(&key.as_str())) {
        return Err(6);
    }
    let event = object.get("event").ok_or(12_u16)?;
    if event.is_null() || event.as_str() == Some("") {
        return Err(13);
    }
    if let Some((_, code)) = plan.refused.iter().find(|(text, _)| has_text(event, text)) {
        return Err(*code);
    }
    let time_is_good = match object.get("time") {
        None | Some(Value::Number(_)) => true,
        Some(Value::String(text)) => text.parse::<f64>().is_ok(),
        Some(_) => false,
    };
    let texts = ["host", "source", "sourcetype", "index"];
    if !time_is_good || texts.iter().any(|key| object.get(*key).is_some_and(|v| !v.is_string())) {
        return Err(6);
    }
    let index = object.get("index").and_then(Value::as_str);
    if index.is_some_and(|index| !plan.indexes.is_empty() && !plan.indexes.contains(index)) {
        return Err(7);
    }
    if object.get("fields").is_some_and(|fields| !fields.as_object().is_some_and(is_flat)) {
        return Err(15);
    }
    event_id(event).ok_or(6)
}

/// Indexed fields are texts, numbers, truths, or lists of them.
fn is_flat(fields: &Map<String, Value>) -> bool {
    fields.values().all(|value| match value {
        Value::Array(values) => !values.iter().any(|value| value.is_array() || value.is_object()),
        Value::Object(_) => false,
        _ => true,
    })
}

/// Tells which acknowledgements are there; each that is, once.
fn tell_acks(plan: &HecPlan, request: &Request, shared: &Shared) -> Result<Answer, u16> {
    let mut state = shared.lock();
    authorize(request, &state)?;
    if !plan.ack {
        return Err(14);
    }
    let channel = channel(request)?;
    let asked: Option<Vec<u64>> = serde_json::from_slice::<Value>(&request.body)
        .ok()
        .and_then(|body| body["acks"].as_array()?.iter().map(Value::as_u64).collect());
    let Some(asked) = asked else {
        state.account.complain("a poll without acks".to_owned());
        return Err(6);
    };
    let State { store, account, .. } = &mut *state;
    let mut told = Map::new();
    for ack_id in asked {
        let known = store.channels.get_mut(channel);
        let events = known.and_then(|channel| channel.poll(ack_id, plan.false_polls));
        told.insert(ack_id.to_string(), events.is_some().into());
        account.acked.extend(events.into_iter().flatten());
    }
    Ok(Answer::new(200, json!({"acks": told}).to_string()))
}

impl Channel {
    /// The events that are acknowledged now, which is then forgotten.
    fn poll(&mut self, ack_id: u64, false_polls: u32) -> Option<Vec<String>> {
        let pending = self.pending.get_mut(&ack_id)?;
        if pending.polls < false_polls || pending.events.is_none() {
            pending.polls = pending.polls.saturating_add(1);
            return None;
        }
        self.pending.remove(&ack_id)?.events
    }
}
