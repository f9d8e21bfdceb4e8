//! The part of the check that looks at values without parts: sizes, lengths of time, numbers, names
//! and paths, each with its bounds.

use std::fmt::Display;

use serde_json::Value as Json;

use super::check::{Check, outside, range};
use super::enforce::{is_path_prefix, is_rule_id};
use super::http::text::Text;
use super::kafka::check::{is_broker, is_line, is_token_url, topic_problem};
use super::kafka::model::{
    BROKER_FORMAT, LINE_FORMAT, OPTION_FORMAT, OptionValue, TOKEN_URL_FORMAT, TOPIC_FORMAT,
};
use super::model::{
    CGROUP_PATH_EXPECTED, CGROUP_PATH_FORMAT, DIRECTORY_PATH_FORMAT, EXPRESSION_FORMAT,
    FIELD_VALUE_FORMAT, FILE_PATH_FORMAT, KIND_NAME_FORMAT, PATH_PREFIX_FORMAT,
    PROGRAM_PATH_EXPECTED, PROGRAM_PATH_FORMAT, PROSE_BYTES_MAX, PROSE_FORMAT,
    RECORDED_VARIABLE_FORMAT, REGEX_FORMAT, RULE_ID_FORMAT, RULES_PATH_FORMAT, SINK_NAME_FORMAT,
    TAG_FORMAT, UIDS_EXPECTED, UIDS_FORMAT, Uids, is_cgroup_path, is_recorded_variable,
};
use super::problem::sanitize;
use super::redact::regex_problem;
use super::secret::VARIABLE_FORMAT;
use super::tree::{Node, Value};
use super::units::{
    BYTE_SIZE_EXPECTED, BYTE_SIZE_FORMAT, ByteSize, FREE_SPACE_EXPECTED, FREE_SPACE_FORMAT,
    FreeSpace, SPAN_EXPECTED, SPAN_FORMAT, Span,
};
use crate::redact::is_kind_name;

/// Longest path: PATH_MAX less its NUL.
const PATH_BYTES_MAX: usize = 4095;

/// A value without parts, by what must be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    ByteSize,
    FreeSpace,
    Span,
    SinkName,
    FilePath,
    DirectoryPath,
    RuleId,
    Tag,
    Expression,
    Prose,
    FieldValue,
    PathPrefix,
    Uids,
    CgroupPath,
    ProgramPath,
    Broker,
    Topic,
    TokenUrl,
    Line,
    OptionValue,
    Http(Text),
    VariableName,
    RecordedVariable,
    KindName,
    Regex,
    Integer,
    Boolean,
}

impl Scalar {
    /// `None` for what has parts, or is not known here.
    pub(super) fn of(schema: &Json) -> Option<Scalar> {
        if let Some(text) = schema["format"].as_str().and_then(Text::of) {
            return Some(Scalar::Http(text));
        }
        match (schema["format"].as_str(), schema["type"].as_str()) {
            (Some(BYTE_SIZE_FORMAT), _) => Some(Scalar::ByteSize),
            (Some(FREE_SPACE_FORMAT), _) => Some(Scalar::FreeSpace),
            (Some(SPAN_FORMAT), _) => Some(Scalar::Span),
            (Some(SINK_NAME_FORMAT), _) => Some(Scalar::SinkName),
            (Some(FILE_PATH_FORMAT), _) => Some(Scalar::FilePath),
            (Some(DIRECTORY_PATH_FORMAT), _) => Some(Scalar::DirectoryPath),
            (Some(RULE_ID_FORMAT), _) => Some(Scalar::RuleId),
            (Some(TAG_FORMAT), _) => Some(Scalar::Tag),
            (Some(EXPRESSION_FORMAT), _) => Some(Scalar::Expression),
            (Some(PROSE_FORMAT), _) => Some(Scalar::Prose),
            (Some(FIELD_VALUE_FORMAT), _) => Some(Scalar::FieldValue),
            (Some(RULES_PATH_FORMAT), _) => Some(Scalar::DirectoryPath),
            (Some(PATH_PREFIX_FORMAT), _) => Some(Scalar::PathPrefix),
            (Some(UIDS_FORMAT), _) => Some(Scalar::Uids),
            (Some(CGROUP_PATH_FORMAT), _) => Some(Scalar::CgroupPath),
            (Some(PROGRAM_PATH_FORMAT), _) => Some(Scalar::ProgramPath),
            (Some(BROKER_FORMAT), _) => Some(Scalar::Broker),
            (Some(TOPIC_FORMAT), _) => Some(Scalar::Topic),
            (Some(TOKEN_URL_FORMAT), _) => Some(Scalar::TokenUrl),
            (Some(LINE_FORMAT), _) => Some(Scalar::Line),
            (Some(OPTION_FORMAT), _) => Some(Scalar::OptionValue),
            (Some(VARIABLE_FORMAT), _) => Some(Scalar::VariableName),
            (Some(RECORDED_VARIABLE_FORMAT), _) => Some(Scalar::RecordedVariable),
            (Some(KIND_NAME_FORMAT), _) => Some(Scalar::KindName),
            (Some(REGEX_FORMAT), _) => Some(Scalar::Regex),
            (_, Some("integer")) => Some(Scalar::Integer),
            (_, Some("boolean")) => Some(Scalar::Boolean),
            _ => None,
        }
    }
}

impl Check<'_> {
    /// Checks a value without parts.
    pub(super) fn scalar(&mut self, node: &Node, schema: &Json, path: &str) {
        match Scalar::of(schema) {
            Some(Scalar::ByteSize) => self.byte_size(node, schema, path),
            Some(Scalar::FreeSpace) => self.free_space(node, path),
            Some(Scalar::Span) => self.span(node, schema, path),
            Some(Scalar::Integer) => self.integer(node, schema, path),
            Some(Scalar::SinkName) => {
                self.named(node, path, is_sink_name, "1 to 64 letters, digits, `-` or `_`")
            }
            Some(Scalar::FilePath) => self.named(node, path, is_file_path, "the path of a file"),
            Some(Scalar::DirectoryPath) => {
                self.named(node, path, is_directory_path, "the path of a directory")
            }
            Some(Scalar::Expression) => self.expression(node, path),
            Some(Scalar::Prose) => {
                self.named(node, path, is_prose, "1 to 4096 bytes of text")
            }
            // Held to its field where the test is run.
            Some(Scalar::FieldValue) => {
                if matches!(node.value, Value::Null | Value::Map(_)) {
                    self.wrong(node, path, "text, a number, `true`, `false` or a list", "");
                }
            }
            Some(Scalar::RuleId | Scalar::Tag) => {
                self.named(node, path, is_rule_id, "1 to 64 letters, digits, `-`, `_` or `.`")
            }
            Some(Scalar::PathPrefix) => self.named(
                node,
                path,
                is_path_prefix,
                "an absolute path below `/`, at most 127 bytes, without `.`, `..` or a `/` at its end",
            ),
            Some(Scalar::Uids) => self.uids(node, path),
            Some(Scalar::CgroupPath) => {
                self.named(node, path, is_cgroup_path, CGROUP_PATH_EXPECTED)
            }
            Some(Scalar::ProgramPath) => {
                self.named(node, path, is_program_path, PROGRAM_PATH_EXPECTED)
            }
            Some(Scalar::Broker) => self.broker(node, path),
            Some(Scalar::Topic) => self.topic(node, path),
            Some(Scalar::TokenUrl) => self.token_url(node, path),
            Some(Scalar::Line) => {
                self.named(node, path, is_line, "1 to 1024 bytes of text on one line")
            }
            Some(Scalar::RecordedVariable) => self.named(
                node,
                path,
                is_recorded_variable,
                "the whole name of an environment variable, without blanks, `=` and `*`",
            ),
            Some(Scalar::KindName) => self.named(
                node,
                path,
                is_kind_name,
                "1 to 32 lower-case letters, digits or `_`",
            ),
            Some(Scalar::Regex) => self.regex(node, path),
            Some(Scalar::OptionValue) => self.option_value(node, path),
            Some(Scalar::Http(text)) => self.http_text(node, text, path),
            Some(Scalar::Boolean) => self.boolean(node, path),
            // Checked with the secret it belongs to.
            Some(Scalar::VariableName) | None => {}
        }
    }

    fn byte_size(&mut self, node: &Node, schema: &Json, path: &str) {
        let size = match &node.value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            Value::Text(text) => text.parse::<ByteSize>().ok().map(|size| size.0),
            _ => None,
        };
        let Some(size) = size else {
            return self.bad(node, path, BYTE_SIZE_EXPECTED, "");
        };
        let bound = |key: &str| schema[key].as_u64().map(ByteSize);
        if self.bounded(node, path, ByteSize(size), bound("minimum"), bound("maximum"))
            && schema["x-power-of-two"] == true
            && !size.is_power_of_two()
        {
            let above = size.next_power_of_two();
            let hint = format!("; near it are {} and {}", ByteSize(above / 2), ByteSize(above));
            self.bad(node, path, "a power of two", &hint);
        }
    }

    fn free_space(&mut self, node: &Node, path: &str) {
        let valid = match &node.value {
            Value::Integer(bytes) => *bytes >= 0,
            Value::Text(text) => text.parse::<FreeSpace>().is_ok(),
            _ => false,
        };
        if !valid {
            self.bad(node, path, FREE_SPACE_EXPECTED, "");
        }
    }

    fn uids(&mut self, node: &Node, path: &str) {
        let valid = match &node.value {
            Value::Integer(uid) => u32::try_from(*uid).is_ok(),
            Value::Text(text) => text.parse::<Uids>().is_ok(),
            _ => false,
        };
        if !valid {
            self.bad(node, path, UIDS_EXPECTED, "");
        }
    }

    fn boolean(&mut self, node: &Node, path: &str) {
        if !matches!(node.value, Value::Bool(_)) {
            self.bad(node, path, "`true` or `false`", "");
        }
    }

    fn span(&mut self, node: &Node, schema: &Json, path: &str) {
        let Some(span) = node.text().and_then(|text| text.parse::<Span>().ok()) else {
            let bare = matches!(node.value, Value::Integer(_) | Value::Float(_));
            return self.bad(node, path, SPAN_EXPECTED, if bare { "; add a unit" } else { "" });
        };
        let bound = |key: &str| schema[key].as_str().and_then(|text| text.parse::<Span>().ok());
        self.bounded(node, path, span, bound("x-minimum"), bound("x-maximum"));
    }

    fn integer(&mut self, node: &Node, schema: &Json, path: &str) {
        match &node.value {
            Value::Integer(value) => {
                let bound = |key: &str| schema[key].as_i64();
                self.bounded(node, path, *value, bound("minimum"), bound("maximum"));
            }
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                self.wrong(node, path, "a whole number", "; remove the quotes");
            }
            _ => self.wrong(node, path, "a whole number", ""),
        }
    }

    fn broker(&mut self, node: &Node, path: &str) {
        // `[::1]:9092` is YAML for something else.
        if !node.text().is_some_and(is_broker) {
            self.bad(node, path, "`host:port` such as `kafka1:9093`", unquoted(node));
        }
    }

    fn topic(&mut self, node: &Node, path: &str) {
        let expected = "the name of a topic";
        match &node.value {
            Value::Text(text) => {
                if let Some(problem) = topic_problem(text) {
                    self.say(node, &format!("`{path}` {problem}"));
                }
            }
            // `{event.action}` is YAML for something else.
            Value::Map(_) => self.bad(node, path, expected, unquoted(node)),
            _ => self.named(node, path, |_| true, expected),
        }
    }

    /// Whatever stands here instead may have a password in it.
    fn token_url(&mut self, node: &Node, path: &str) {
        if !node.text().is_some_and(is_token_url) {
            let message = format!(
                "`{path}` must be an `https://` URL without a user in it (`http://` only to this \
                 machine itself)"
            );
            self.say(node, &message);
        }
    }

    /// Some properties are secrets.
    fn option_value(&mut self, node: &Node, path: &str) {
        if OptionValue::of(&node.to_json()).is_none() {
            self.say(node, &format!("`{path}` must be text, a number, `true` or `false`"));
        }
    }

    /// What stands here may have a secret in it.
    fn http_text(&mut self, node: &Node, expected: Text, path: &str) {
        let problem = match &node.value {
            Value::Text(text) => expected.problem(text),
            Value::Null => Some("must be text, but is empty".to_owned()),
            _ => Some("must be text; put it in quotes".to_owned()),
        };
        if let Some(problem) = problem {
            self.say(node, &format!("`{path}` {problem}"));
        }
    }

    fn regex(&mut self, node: &Node, path: &str) {
        match &node.value {
            Value::Text(regex) => {
                if let Some(problem) = regex_problem(regex) {
                    self.say(node, &format!("`{path}` {}", sanitize(&problem)));
                }
            }
            // `[a-z]{8}` is YAML for something else.
            _ => self.say(node, &format!("`{path}` must be text; put it in single quotes")),
        }
    }

    /// That it is text; `rules` looks into it.
    fn expression(&mut self, node: &Node, path: &str) {
        match &node.value {
            Value::Text(_) => {}
            Value::Bool(_) => self.wrong(node, path, "an expression", "; put it in quotes"),
            // `{a: b}` and `[a]` are YAML for something else, and so is what begins with `!`.
            _ => self.wrong(node, path, "an expression", unquoted(node)),
        }
    }

    fn named(&mut self, node: &Node, path: &str, valid: fn(&str) -> bool, expected: &str) {
        match &node.value {
            Value::Text(text) if valid(text) => {}
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                self.wrong(node, path, "text", "; put it in quotes");
            }
            _ => self.bad(node, path, expected, ""),
        }
    }

    /// Reports a value outside its bounds; whether it is inside.
    fn bounded<T: PartialOrd + Display>(
        &mut self,
        node: &Node,
        path: &str,
        value: T,
        min: Option<T>,
        max: Option<T>,
    ) -> bool {
        let (min, max) = (min.as_ref(), max.as_ref());
        let outside = outside(&value, min, max);
        if outside && let Some(range) = range(min, max) {
            self.bad(node, path, &range, "");
        }
        !outside
    }
}

/// What to do with text that YAML took for more than text.
fn unquoted(node: &Node) -> &'static str {
    match node.value {
        Value::List(_) | Value::Map(_) => "; put it in quotes",
        _ => "",
    }
}

fn is_sink_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

pub(super) fn is_file_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.len() <= PATH_BYTES_MAX && !path.contains('\0') && !matches!(name, "" | "." | "..")
}

fn is_prose(text: &str) -> bool {
    (1..=PROSE_BYTES_MAX).contains(&text.len())
}

fn is_program_path(path: &str) -> bool {
    path.starts_with('/') && is_file_path(path)
}

fn is_directory_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= PATH_BYTES_MAX && !path.contains('\0')
}
