//! The tree of a YAML document: values with the place in the file of each key and value.

use serde_json::{Map, Value as Json};

use super::problem::{Position, quote, sanitize};

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// A value as YAML's core schema understands it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is not a 64-bit integer, as it was written: no setting takes one.
    Float(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

/// What an alias costs when it repeats a node.
pub(super) struct Weight {
    /// Keys and values.
    pub(super) nodes: usize,
    /// Levels of nesting, 1 for a scalar.
    pub(super) depth: usize,
    /// Text of keys and values.
    pub(super) bytes: usize,
}

impl Node {
    /// The value of a key, when this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    /// The text, when this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same tree without positions.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::from(*value),
            Value::Integer(value) => Json::from(*value),
            Value::Float(text) => Json::from(text.parse::<f64>().unwrap_or(f64::NAN)),
            Value::Text(text) => Json::from(text.as_str()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// What repeating this node costs.
    pub(super) fn weigh(&self) -> Weight {
        let mut weight = Weight { nodes: 1, depth: 1, bytes: 0 };
        match &self.value {
            Value::Text(text) | Value::Float(text) => weight.bytes = text.len(),
            Value::List(items) => items.iter().for_each(|item| weight.hold(item.weigh())),
            Value::Map(entries) => entries.iter().for_each(|entry| {
                weight.nodes += 1;
                weight.bytes += entry.key.len();
                weight.hold(entry.value.weigh());
            }),
            Value::Null | Value::Bool(_) | Value::Integer(_) => {}
        }
        weight
    }
}

impl Value {
    /// The scalar as the user would write it; `None` for lists, mappings and nothing.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Value::Bool(value) => Some(quote(&value.to_string())),
            Value::Integer(value) => Some(quote(&value.to_string())),
            Value::Float(text) | Value::Text(text) => Some(quote(text)),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, in words: `the number 7`, `a list`.
    pub(super) fn describe(&self) -> String {
        match self {
            Value::Null => "empty".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(text) => format!("the number {}", sanitize(text)),
            Value::Text(text) => format!("the text {}", quote(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

impl Weight {
    fn hold(&mut self, child: Weight) {
        self.nodes += child.nodes;
        self.depth = self.depth.max(child.depth + 1);
        self.bytes += child.bytes;
    }
}
