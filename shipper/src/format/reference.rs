//! What the fields of each format mean: name, type, meaning, where it comes from, example. `shipper
//! schema`, `docs/events.md` and the tests read it.
//!
//! A [`Fact`] is a field of the typed event, under its native name, with its source. The fields of the
//! other formats name the fact that they show, and have its source from there. Examples are no text of
//! ours: they are taken from made-up events, encoded in that format.

mod json_schema;
mod page;
mod sample;

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::{Format, cim, ecs, encode, native, ocsf};

pub use self::json_schema::json_schema;
pub use self::page::{page, text};
pub use self::sample::samples;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string that is matched whole.
    Keyword,
    /// A list of them.
    Keywords,
    /// A long string that is searched with wildcards.
    Wildcard,
    /// A text in words, which is searched by them.
    Text,
    /// A whole number of 64 bits, signed.
    Long,
    /// True or false.
    Boolean,
    /// RFC 3339 in UTC, nine digits of the second.
    Date,
    /// A list of objects whose fields follow in the table.
    Objects,
}

impl Kind {
    /// It in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Keyword => "string",
            Kind::Keywords => "strings",
            Kind::Wildcard => "string (wildcard)",
            Kind::Text => "string (text)",
            Kind::Long => "integer",
            Kind::Boolean => "boolean",
            Kind::Date => "time",
            Kind::Objects => "objects",
        }
    }
}

/// A field of the typed event.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Dotted name in the native format.
    pub name: &'static str,
    /// Its type there.
    pub kind: Kind,
    /// Structure and field or function of the kernel, file or system call that it comes from.
    pub source: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// A field of a format.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The fact that it shows, or follows from in the first place.
    pub of: &'static str,
    /// What it says; empty where it says what the fact says.
    pub meaning: &'static str,
}

/// A table of fields: name, type, fact, meaning.
macro_rules! fields {
    ($($name:literal $kind:ident $of:literal $meaning:literal,)*) => {
        &[$(Field { name: $name, kind: Kind::$kind, of: $of, meaning: $meaning },)*]
    };
}
pub(super) use fields;

/// A field of a format with all that is to be said of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Dotted name.
    pub name: Cow<'static, str>,
    /// Its type.
    pub kind: Kind,
    /// The fact that it shows.
    pub of: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// Every field that an event can have in a format, in its order.
#[must_use]
pub fn rows(format: Format) -> Vec<Row> {
    let facts: HashMap<&str, &Fact> =
        native::schema::FACTS.iter().map(|fact| (fact.name, fact)).collect();
    let known = |field: &Field| {
        // A test holds the tables to each other.
        let fact = facts.get(field.of);
        Row {
            name: field.name.into(),
            kind: field.kind,
            of: field.of,
            meaning: match field.meaning {
                "" => fact.map_or("", |fact| fact.meaning),
                meaning => meaning,
            },
            source: fact.map_or("", |fact| fact.source),
        }
    };
    let below = |prefix: &str, left_out: &[&str]| {
        let facts = native::schema::FACTS.iter().filter(|fact| !left_out.contains(&fact.name));
        let row = |fact: &Fact| Row {
            name: format!("{prefix}{}", fact.name).into(),
            kind: fact.kind,
            of: fact.name,
            meaning: fact.meaning,
            source: fact.source,
        };
        facts.map(row).collect::<Vec<Row>>()
    };
    let (fields, rest) = match format {
        Format::Ecs => (ecs::schema::FIELDS, Vec::new()),
        Format::Ocsf => (ocsf::schema::FIELDS, below("unmapped.shipper.", ocsf::schema::MAPPED)),
        Format::Cim => (cim::schema::FIELDS, below("shipper.", &[])),
        Format::Native => (&[][..], below("", &[])),
    };
    fields.iter().map(known).chain(rest).collect()
}

/// An example of each field of a format that the made-up events have.
#[must_use]
pub fn examples(format: Format) -> HashMap<String, Value> {
    let mut examples = HashMap::new();
    for event in samples() {
        let mut line = Vec::new();
        encode(format, &event, &mut line);
        if let Ok(event) = serde_json::from_slice(&line) {
            gather(String::new(), &event, &mut examples);
        }
    }
    examples
}

fn gather(name: String, value: &Value, examples: &mut HashMap<String, Value>) {
    let inside = |value: &Value, examples: &mut HashMap<String, Value>| {
        for (key, value) in value.as_object().into_iter().flatten() {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            gather(name, value, examples);
        }
    };
    match value {
        Value::Object(_) => return inside(value, examples),
        Value::Array(list) => list.iter().for_each(|value| inside(value, examples)),
        _ => {}
    }
    // The first event is the most usual one; what is empty shows little.
    let is_empty = |value: &Value| matches!(value, Value::Array(list) if list.is_empty());
    let shown = examples.entry(name).or_insert_with(|| value.clone());
    if is_empty(shown) {
        shown.clone_from(value);
    }
}

/// What in an event is not as the table of its format says: unknown fields, wrong types, nulls. Empty
/// when all is.
#[must_use]
pub fn check(format: Format, event: &Value) -> Vec<String> {
    let rows = rows(format);
    let kinds = rows.iter().map(|row| (&*row.name, row.kind)).collect();
    let mut wrong = Vec::new();
    walk(event, String::new(), &kinds, &mut wrong);
    wrong
}

fn walk(value: &Value, name: String, kinds: &HashMap<&str, Kind>, wrong: &mut Vec<String>) {
    let known = kinds.get(&*name).copied();
    let strings = |list: &[Value]| list.iter().all(Value::is_string);
    let inside = |value: &Value, wrong: &mut Vec<String>| {
        for (key, value) in value.as_object().into_iter().flatten() {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            walk(value, name, kinds, wrong);
        }
    };
    match (value, known) {
        (Value::Object(_), None) => inside(value, wrong),
        (Value::Array(list), Some(Kind::Objects)) => {
            list.iter().for_each(|item| inside(item, wrong));
        }
        (Value::Array(list), Some(Kind::Keywords)) if strings(list) => {}
        (Value::String(text), Some(Kind::Date)) if text.parse::<jiff::Timestamp>().is_ok() => {}
        (Value::String(_), Some(Kind::Keyword | Kind::Wildcard | Kind::Text))
        | (Value::Bool(_), Some(Kind::Boolean)) => {}
        (Value::Number(number), Some(Kind::Long)) if number.is_i64() => {}
        (_, None) => wrong.push(format!("{name} is not in the table")),
        (value, Some(kind)) => wrong.push(format!("{name} is not {kind:?}: {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_shows_a_fact_and_has_meaning_and_source() {
        let facts: Vec<&str> = native::schema::FACTS.iter().map(|fact| fact.name).collect();
        for format in Format::ALL {
            let rows = rows(format);
            for row in &rows {
                assert!(facts.contains(&row.of), "{format:?}: {} shows {:?}", row.name, row.of);
                assert!(!row.meaning.is_empty() && !row.source.is_empty(), "{}", row.name);
            }
        }
    }

    #[test]
    fn every_field_has_an_example() {
        for format in Format::ALL {
            let examples = examples(format);
            let without: Vec<_> =
                rows(format).into_iter().filter(|row| !examples.contains_key(&*row.name)).collect();
            let names: Vec<_> = without.iter().map(|row| &*row.name).collect();
            assert_eq!(names, [""; 0], "{format:?}");
        }
    }
}
