//! Who descends from whom, as the events say it.

use serde_json::Value;

/// Ancestors used of one event; more than the daemon ever lists.
const ANCESTORS_MAX: usize = 64;
/// Longest entity id: ours have 32 digits. Longer ones are no ids, and would only take memory.
const ENTITY_ID_BYTES_MAX: usize = 64;

/// A process and its ancestors.
pub struct Lineage<'a> {
    /// Entity id of the process.
    pub id: Option<&'a str>,
    /// Entity id and description of the ancestors, the oldest first.
    pub ancestors: Vec<(&'a str, &'a Value)>,
}

impl<'a> Lineage<'a> {
    /// Reads it from an event: from `shipper.ancestry`, or the parent alone where that is missing.
    #[must_use]
    pub(crate) fn of(event: &'a Value) -> Lineage<'a> {
        let listed = event.pointer("/shipper/ancestry").and_then(Value::as_array);
        let mut ancestors: Vec<_> = listed
            .into_iter()
            .flatten()
            .take(ANCESTORS_MAX)
            .filter_map(|ancestor| Some((entity_id(ancestor)?, ancestor)))
            .collect();
        ancestors.reverse();
        if ancestors.is_empty() {
            let parent = event.pointer("/process/parent");
            ancestors.extend(parent.and_then(|parent| Some((entity_id(parent)?, parent))));
        }
        Lineage { id: event.get("process").and_then(entity_id), ancestors }
    }
}

fn entity_id(process: &Value) -> Option<&str> {
    let id = process.get("entity_id")?.as_str()?;
    (!id.is_empty() && id.len() <= ENTITY_ID_BYTES_MAX).then_some(id)
}

/// Whether the event reports that records were lost or left out: it belongs to no process.
#[must_use]
pub fn is_loss(event: &Value) -> bool {
    event.pointer("/shipper/loss").is_some()
        || event.pointer("/event/kind").and_then(Value::as_str) == Some("pipeline_error")
}

#[cfg(test)]
pub(super) mod fixture {
    //! Events with just what the trees look at. Names serve as entity ids; pids are depths.

    use serde_json::{Value, json};

    use crate::format::pretty::Pretty;

    pub(crate) fn exec(name: &str, ancestors: &[&str]) -> Value {
        let ancestry: Vec<Value> = ancestors
            .iter()
            .enumerate()
            .map(|(at, name)| json!({"entity_id": name, "pid": at + 1, "name": name, "args": [name, "-x"]}))
            .rev()
            .collect();
        json!({
            "@timestamp": "1970-01-01T00:00:00Z",
            "event": {"kind": "event"},
            "user": {"name": "alice"},
            "process": {"entity_id": name, "pid": ancestors.len() + 1, "args": [name, "-x"]},
            "file": {"path": format!("/bin/{name}")},
            "shipper": {"ancestry": ancestry},
        })
    }

    /// The end of such a process.
    pub(crate) fn end(name: &str, ancestors: &[&str], exit_code: u8) -> Value {
        let mut event = exec(name, ancestors);
        event["event"]["action"] = "end".into();
        event["process"]["exit_code"] = exit_code.into();
        event["user"] = Value::Null;
        event["file"] = Value::Null;
        event
    }

    pub(crate) fn loss() -> Value {
        json!({
            "@timestamp": "1970-01-01T00:00:00Z",
            "event": {"kind": "pipeline_error"},
            "shipper": {"loss": {"count": 12}},
        })
    }

    pub(crate) fn pretty() -> Pretty {
        Pretty { zone: jiff::tz::TimeZone::UTC, columns: 120, colour: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_parent_stands_in_where_no_ancestry_is_listed() {
        let event = json!({"process": {"entity_id": "a", "parent": {"entity_id": "b"}}});
        let lineage = Lineage::of(&event);
        assert_eq!(lineage.id, Some("a"));
        assert_eq!(lineage.ancestors[0].0, "b");
    }

    #[test]
    fn what_is_no_entity_id_is_no_ancestor() {
        let event = json!({
            "process": {"entity_id": 7},
            "shipper": {"ancestry": [{"entity_id": "x".repeat(65)}, {"entity_id": ""}, 5, {}]},
        });
        let lineage = Lineage::of(&event);
        assert_eq!(lineage.id, None);
        assert!(lineage.ancestors.is_empty());
    }
}
