//! The rules that matched an event, as marks of its line.

use anstyle::Style;
use serde_json::Value;

use super::{DANGER, NOTE, WARNING, text, value};
use crate::event::Severity;

/// Most rules shown with an event: its command needs room, too.
const MATCHES_SHOWN_MAX: usize = 3;

/// The rules that matched, the gravest first.
pub(super) fn marks(event: &Value) -> Vec<(Style, String)> {
    let rules = event.pointer("/shipper/rules").and_then(Value::as_array);
    let mut found: Vec<(Option<Severity>, &str)> = rules
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|rule| {
            let severity = text(rule, "/severity").and_then(Severity::of_word);
            Some((severity, text(rule, "/id")?))
        })
        .collect();
    found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let mark = |(severity, id): (Option<Severity>, &str)| {
        let style = match severity {
            Some(Severity::High | Severity::Critical) => DANGER,
            Some(Severity::Medium) => WARNING,
            _ => NOTE,
        };
        (style, format!("{}: {}", severity.map_or("rule", Severity::as_str), value(id)))
    };
    found.into_iter().take(MATCHES_SHOWN_MAX).map(mark).collect()
}
