//! The answer to a `_bulk` request: what became of each event, and what there is to do where it was
//! not taken. An answer is believed only if it is about exactly the events that were sent.

use std::time::Duration;

use serde::Deserialize;

use crate::format::visible;
use crate::sink::Outcome;

/// Most characters of a reason that are repeated.
const REASON_CHARS_MAX: usize = 300;

/// Why an answer is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelievable {
    /// It cannot be read.
    #[error("what it said is not the answer to _bulk ({0})")]
    NotBulk(String),
    /// Some events are not in it, or there are others.
    #[error("it answered for {answered} of {count} events")]
    Count {
        /// Events in the answer.
        answered: usize,
        /// Events that were sent.
        count: usize,
    },
    /// It says that something went wrong, but not with what.
    #[error("it said that there were errors, and named none")]
    HiddenErrors,
}

/// What was said of each event.
#[derive(Debug)]
pub struct Items(Vec<Said>);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is there now.
    Created,
    /// It was there already.
    Duplicate,
    /// Trying again may help.
    Again,
    /// Not the event is to blame but the index, or rights on it.
    Held,
    /// The event is refused for good.
    Rejected,
}

#[derive(Debug, Deserialize)]
struct Body {
    errors: bool,
    #[serde(default)]
    items: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct Action {
    create: Said,
}

#[derive(Debug, Deserialize)]
struct Said {
    status: u16,
    #[serde(default)]
    error: Option<Fault>,
}

#[derive(Debug, Default, Deserialize)]
struct Fault {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Items {
    /// Reads the answer to a request with so many events.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn read(body: &[u8], count: usize) -> Result<Items, Unbelievable> {
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            // Without what it quotes of the text.
            let what = if error.is_data() { "other JSON" } else { "no JSON, or cut off" };
            Unbelievable::NotBulk(format!("{what}, column {}", error.column()))
        })?;
        let said: Vec<Said> = body.items.into_iter().map(|action| action.create).collect();
        if said.len() != count {
            return Err(Unbelievable::Count { answered: said.len(), count });
        }
        if body.errors && said.iter().all(|said| said.fate() == Fate::Created) {
            return Err(Unbelievable::HiddenErrors);
        }
        Ok(Items(said))
    }

    /// How many were there already, are refused for good, come again.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |fates: &[Fate]| self.0.iter().filter(|it| fates.contains(&it.fate())).count();
        (count(&[Fate::Duplicate]), count(&[Fate::Rejected]), count(&[Fate::Again, Fate::Held]))
    }

    /// What became of a batch for `data_stream`. `answered` says who answered, `after` when to come
    /// again; `without` leaves secrets out of a text of the other side.
    #[must_use]
    pub fn outcome(
        &self,
        answered: &str,
        after: Option<Duration>,
        data_stream: &str,
        without: &dyn Fn(&str) -> String,
    ) -> Outcome {
        let count = self.0.len();
        let (mut rejected, mut again, mut held) = (Vec::new(), Vec::new(), 0);
        let mut first: Option<&Said> = None;
        for (place, said) in self.0.iter().enumerate() {
            match said.fate() {
                Fate::Created | Fate::Duplicate => {}
                Fate::Rejected => rejected.push((place, said.words(data_stream, without))),
                fate => {
                    // What somebody has to mend is to be read first.
                    if first.is_none() || (fate == Fate::Held && held == 0) {
                        first = Some(said);
                    }
                    held += usize::from(fate == Fate::Held);
                    again.push(place);
                }
            }
        }
        let cause = first.map_or_else(String::new, |said| {
            let words = said.words(data_stream, without);
            format!("{answered}, but did not take {} of {count} events: {words}", again.len())
        });
        if rejected.is_empty() && again.is_empty() {
            Outcome::Sent { position: Vec::new() }
        } else if held == count {
            Outcome::Blocked { cause }
        } else if again.len() == count {
            Outcome::Retry { cause, after }
        } else {
            Outcome::Mixed { rejected, again, cause: Some(cause), after }
        }
    }
}

impl Said {
    fn kind(&self) -> &str {
        self.error.as_ref().and_then(|error| error.kind.as_deref()).unwrap_or_default()
    }

    fn reason(&self) -> &str {
        self.error.as_ref().and_then(|error| error.reason.as_deref()).unwrap_or_default()
    }

    fn fate(&self) -> Fate {
        match self.status {
            200..300 => Fate::Created,
            409 => Fate::Duplicate,
            401 | 403 | 404 | 405 => Fate::Held,
            400..500 if self.is_of_index() => Fate::Held,
            408 | 425 | 429 => Fate::Again,
            400..500 => Fate::Rejected,
            _ => Fate::Again,
        }
    }

    /// Whether the index is at fault, and would refuse any event.
    fn is_of_index(&self) -> bool {
        match self.kind() {
            "cluster_block_exception"
            | "index_not_found_exception"
            | "index_closed_exception"
            | "invalid_index_name_exception"
            | "security_exception" => true,
            // That type stands for anything: only the reason tells.
            "illegal_argument_exception" => {
                let reason = self.reason();
                MISSING_PIPELINE.iter().all(|part| reason.contains(part))
                    || reason.contains(NO_WRITE_INDEX)
            }
            _ => false,
        }
    }

    /// Status, type and reason on one line, with what there is to do.
    fn words(&self, data_stream: &str, without: &dyn Fn(&str) -> String) -> String {
        let mut words = self.status.to_string();
        if !self.kind().is_empty() {
            words = format!("{words} {}", shorten(&without(self.kind())));
        }
        if !self.reason().is_empty() {
            words = format!("{words}: {}", shorten(&without(self.reason())));
        }
        if let Some(advice) = self.advice(data_stream) {
            words = format!("{words} ({advice})");
        }
        words
    }

    fn advice(&self, data_stream: &str) -> Option<String> {
        let text = match self.kind() {
            "index_not_found_exception" => format!(
                "there is no {data_stream}, and the cluster makes none by itself; run `shipper setup elasticsearch`, or see `action.auto_create_index` of the cluster"
            ),
            "cluster_block_exception" if self.reason().contains("flood-stage") => {
                "a disk of the cluster is nearly full; when there is room again, a recent Elasticsearch or OpenSearch takes back the block by itself".to_owned()
            }
            "cluster_block_exception" => format!(
                "{data_stream} or the whole cluster is closed to writing; see `index.blocks` in its settings"
            ),
            "index_closed_exception" => format!("open {data_stream}"),
            "security_exception" => missing_privilege(data_stream),
            "mapper_parsing_exception"
            | "document_parsing_exception"
            | "strict_dynamic_mapping_exception" => {
                "the index has other fields or types than these events; `shipper setup elasticsearch` installs the right ones, which count from the next index or rollover on".to_owned()
            }
            "illegal_argument_exception"
                if MISSING_PIPELINE.iter().all(|part| self.reason().contains(part)) =>
            {
                "run `shipper setup elasticsearch`".to_owned()
            }
            _ if self.status == 401 || self.status == 403 => missing_privilege(data_stream),
            _ => return None,
        };
        Some(text)
    }
}

/// What a reason has when the pipeline of an index is not there.
const MISSING_PIPELINE: [&str; 2] = ["pipeline with id [", "does not exist"];

/// What a reason has when an alias leads nowhere.
const NO_WRITE_INDEX: &str = "no write index is defined for alias";

/// What these credentials need.
#[must_use]
pub fn missing_privilege(data_stream: &str) -> String {
    format!(
        "grant these credentials `create_doc` and `auto_configure` on {data_stream}, or the action group `write` of OpenSearch"
    )
}

/// The first characters, on one line.
#[must_use]
pub fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(REASON_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    visible::escape(&short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn outcome(body: &Value, count: usize) -> Result<Outcome, Unbelievable> {
        let items = Items::read(body.to_string().as_bytes(), count)?;
        let after = Some(Duration::from_secs(7));
        Ok(items.outcome("it answered", after, "logs-x", &str::to_owned))
    }

    fn created() -> Value {
        json!({ "create": { "status": 201 } })
    }

    fn failed(status: u16, kind: &str, reason: &str) -> Value {
        json!({ "create": { "status": status, "error": { "type": kind, "reason": reason } } })
    }

    fn answer(items: &[Value]) -> Value {
        let is_fine = |item: &Value| item["create"]["status"] == 201;
        json!({ "errors": !items.iter().all(is_fine), "items": items })
    }

    fn of(items: &[Value]) -> Outcome {
        outcome(&answer(items), items.len()).unwrap()
    }

    const SENT: Outcome = Outcome::Sent { position: Vec::new() };

    #[test]
    fn an_event_is_delivered_when_it_was_created_or_is_there_already() {
        let there = failed(409, "version_conflict_engine_exception", "document already exists");
        assert_eq!(of(&[created(), created()]), SENT);
        assert_eq!(of(&[created(), there.clone()]), SENT);
        assert_eq!(of(&[there.clone(), there.clone()]), SENT);
        let items = Items::read(answer(&[there, created()]).to_string().as_bytes(), 2).unwrap();
        assert_eq!(items.counts(), (1, 0, 0));
    }

    #[test]
    fn each_event_gets_its_own_due() {
        let Outcome::Mixed { rejected, again, cause: Some(cause), after } = of(&[
            created(),
            failed(400, "document_parsing_exception", "failed to parse field [a]\nof type [long]"),
            failed(429, "es_rejected_execution_exception", "queue is full"),
            failed(503, "unavailable_shards_exception", "primary shard is not active"),
        ]) else {
            panic!("not mixed")
        };
        let [(1, reason)] = &rejected[..] else { panic!("{rejected:?}") };
        assert!(
            reason.starts_with("400 document_parsing_exception: failed to parse field [a]\\nof")
        );
        assert!(reason.contains("shipper setup elasticsearch"), "{reason}");
        assert_eq!(again, [2, 3]);
        assert!(cause.starts_with("it answered, but did not take 2 of 4 events: 429 es_rej"));
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_queue_that_is_full_for_all_is_tried_again_after_the_pause_it_asks_for() {
        let full = failed(429, "rejected_execution_exception", "full");
        let Outcome::Retry { cause, after } = of(&[full.clone(), full]) else {
            panic!("not again")
        };
        assert!(cause.contains("2 of 2") && cause.contains("429"), "{cause}");
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn what_is_wrong_with_the_index_costs_no_event() {
        let flood = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block]";
        for (status, kind, reason, advice) in [
            (404, "index_not_found_exception", "no such index [x]", "shipper setup elasticsearch"),
            (403, "cluster_block_exception", "blocked by: [FORBIDDEN/8/index write]", "blocks"),
            (429, "cluster_block_exception", flood, "nearly full"),
            (403, "security_exception", "action is unauthorized", "`create_doc`"),
            (401, "", "", "`create_doc`"),
            (400, "index_closed_exception", "closed", "open logs-x"),
            (400, "illegal_argument_exception", "pipeline with id [p] does not exist", "setup"),
            (400, "illegal_argument_exception", "no write index is defined for alias [x].", "400"),
            (405, "odd", "", "405"),
        ] {
            let item = failed(status, kind, reason);
            let Outcome::Blocked { cause } = of(&[item.clone(), item.clone()]) else {
                panic!("{kind} does not block")
            };
            assert!(cause.contains(advice), "{cause}");
            // Others of the batch went through, so this one comes again alone.
            let Outcome::Mixed { rejected, again, .. } = of(&[created(), item]) else {
                panic!("{kind}")
            };
            assert_eq!((rejected.len(), &again[..]), (0, &[1][..]), "{kind}");
        }
    }

    #[test]
    fn an_answer_that_is_not_about_these_events_is_not_believed() {
        let count = |answered, count| Err(Unbelievable::Count { answered, count });
        assert_eq!(outcome(&answer(&[created()]), 2), count(1, 2));
        assert_eq!(outcome(&answer(&[created(), created()]), 1), count(2, 1));
        assert_eq!(outcome(&json!({ "errors": false }), 1), count(0, 1));
        assert_eq!(outcome(&json!({ "errors": true }), 1), count(0, 1));
        let hidden = json!({ "errors": true, "items": [created()] });
        assert_eq!(outcome(&hidden, 1), Err(Unbelievable::HiddenErrors));
        for body in ["", "{", "null", "[]", "<html>", "{\"took\":1}", "\"items\"", "\u{0}"] {
            assert!(matches!(Items::read(body.as_bytes(), 1), Err(Unbelievable::NotBulk(_))));
        }
        for item in [json!({}), json!({ "index": { "status": 201 } }), json!({ "create": {} })] {
            let body = json!({ "errors": false, "items": [item] });
            assert!(matches!(outcome(&body, 1), Err(Unbelievable::NotBulk(_))), "{body}");
        }
        let whole = answer(&[created(), created()]).to_string();
        for end in 0..whole.len() {
            assert!(Items::read(&whole.as_bytes()[..end], 2).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn a_long_reason_is_told_in_short_on_one_line() {
        let reason = "\x1b[31m\n".repeat(1000);
        let Outcome::Mixed { rejected, .. } = of(&[created(), failed(400, "odd", &reason)]) else {
            panic!("not mixed")
        };
        assert!(!rejected[0].1.contains(['\n', '\x1b']), "{rejected:?}");
        assert!(rejected[0].1.len() < 2000, "{}", rejected[0].1.len());
    }

    fn any_item() -> impl Strategy<Value = Value> {
        let kind = proptest::option::of(prop_oneof![
            Just("cluster_block_exception".to_owned()),
            Just("illegal_argument_exception".to_owned()),
            Just("mapper_parsing_exception".to_owned()),
            ".*",
        ]);
        (100..700_u16, kind, proptest::option::of(".*")).prop_map(|(status, kind, reason)| {
            json!({ "create": { "status": status, "error": { "type": kind, "reason": reason } } })
        })
    }

    proptest! {
        #[test]
        fn no_event_is_taken_as_delivered_that_was_not_said_to_be(
            items in proptest::collection::vec(any_item(), 1..20),
            errors in any::<bool>(),
            count in 1..20_usize,
        ) {
            let body = json!({ "errors": errors, "items": items });
            let statuses = items.iter().map(|item| item["create"]["status"].as_u64().unwrap());
            let done: Vec<bool> = statuses.map(|it| (200..300).contains(&it) || it == 409).collect();
            let Ok(outcome) = outcome(&body, count) else { return Ok(()) };
            prop_assert_eq!(items.len(), count);
            let delivered: Vec<bool> = match outcome {
                Outcome::Sent { .. } => vec![true; count],
                Outcome::Mixed { rejected, again, .. } => (0..count)
                    .map(|at| !again.contains(&at) && !rejected.iter().any(|it| it.0 == at))
                    .collect(),
                _ => vec![false; count],
            };
            prop_assert_eq!(delivered, done);
        }

        #[test]
        fn any_bytes_are_read_without_harm(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            text in "\\{\"errors\":(true|false|1),\"items\":\\[.{0,40}\\]\\}",
            count in 1..4_usize,
        ) {
            prop_assert!(Items::read(&body, count).is_err());
            let _ = Items::read(text.as_bytes(), count);
        }
    }
}
