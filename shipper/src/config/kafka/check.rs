//! What must hold of the Kafka sink: its brokers, its topic, and that no password is sent readable.

use super::model::OptionValue;
use crate::config::address::{HttpUrl, host_of, is_loopback};
use crate::config::check::field_advice;
use crate::config::problem::{Problems, quote, sanitize};
use crate::config::tls::pairs;
use crate::config::tree::{Node, Value};
use crate::format::template::{Template, TemplateError};

/// Longest name of a topic that Kafka takes.
const TOPIC_BYTES_MAX: usize = 249;

/// Longest text on one line.
const LINE_BYTES_MAX: usize = 1024;

/// Adds what is wrong between the settings of a sink. `path` is where it stands.
pub(in crate::config) fn check(sink: &Node, path: &str, problems: &mut Problems) {
    if let Some(tls) = sink.get("tls") {
        pairs(tls, path, problems);
    }
    if let Some(sasl) = sink.get("sasl") {
        readable(sink, sasl, path, problems);
    }
    let Some(Value::Map(options)) = sink.get("options").map(|options| &options.value) else {
        return;
    };
    for option in options {
        if let Some(OptionValue(value)) = OptionValue::of(&option.value.to_json())
            && let Err(message) = crate::sink::kafka::check_option(&option.key, &value)
        {
            let name = sanitize(&option.key);
            let message = format!("`{path}.options.{name}`: {}", sanitize(&message));
            problems.add(option.at, message);
        }
    }
}

/// Some mechanisms send what everybody on the way could use.
fn readable(sink: &Node, sasl: &Node, path: &str, problems: &mut Problems) {
    let Some(mechanism) = sasl.get("mechanism") else { return };
    let (sent, instead) = match mechanism.text() {
        Some("PLAIN") => ("the password", ", or take `SCRAM-SHA-512`"),
        Some("OAUTHBEARER") => ("the token", ""),
        _ => return,
    };
    let Some(Value::List(brokers)) = sink.get("brokers").map(|brokers| &brokers.value) else {
        return;
    };
    let host = |broker: &Node| broker.text().and_then(host_of).map(is_loopback);
    // What is no broker at all was reported.
    if sink.get("tls").is_none() && brokers.iter().any(|broker| host(broker) == Some(false)) {
        let message = format!(
            "`{path}.sasl.mechanism` sends {sent} readable to everybody on the way; add `tls: {{}}`\
             {instead}"
        );
        problems.add(mechanism.at, message);
    }
}

/// Whether it is `host:port`.
pub(in crate::config) fn is_broker(text: &str) -> bool {
    host_of(text).is_some()
}

/// Whether it is text on one line, not empty and not endless.
pub(in crate::config) fn is_line(text: &str) -> bool {
    (1..=LINE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether secrets may be sent to this URL: encrypted, or not leaving the machine. Without a user in
/// it, since it is shown in messages.
pub(in crate::config) fn is_token_url(url: &str) -> bool {
    HttpUrl::parse(url).is_ok_and(|url| url.encrypted || is_loopback(url.host))
}

/// Why this cannot be the topic, to follow its name; `None` when it can.
pub(in crate::config) fn topic_problem(text: &str) -> Option<String> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(TemplateError::Unknown(name)) => {
            let advice = field_advice(&name, "topic");
            return Some(format!("has an unknown field {}; {advice}", quote(&name)));
        }
        Err(error @ TemplateError::Brace) => return Some(error.to_string()),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: usize = template.texts().map(str::len).sum();
    if !template.texts().all(|text| text.chars().all(allowed)) {
        Some(format!("may hold only letters, digits, `.`, `_` and `-`, but is {}", quote(text)))
    } else if plain > TOPIC_BYTES_MAX {
        Some(format!("must have at most {TOPIC_BYTES_MAX} characters, but has {plain}"))
    } else if matches!(text, "" | "." | "..") {
        Some(format!("must be the name of a topic, but is {}", quote(text)))
    } else {
        None
    }
}
