//! Golden files: what the event of each behaviour says in each format.
//!
//! A whole event has some 200 values, of which most are the same in all rows and many differ by machine:
//! 500 files of that nobody would read. So a golden file has, for each row of a group, those fields that
//! show the facts the row is about: what it expects by its ECS names, found in every format by
//! [`reference::rows`]. What the script told stands there by its name, `$PID`, and what the row does not
//! pin down by its type, `<string>`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use shipper::format::{Format, reference};

use crate::behaviours::{Place, Row, Told};

/// With this variable set, the files are written instead of compared.
pub const UPDATE: &str = "SHIPPER_GOLDEN_UPDATE";

/// Facts that differ by machine: names depend on its users, and on whether it has any of that id.
const FACTS_OF_MACHINE: [&str; 2] = ["process.names.", ".user"];

/// A field that tells of all that was cut, the chain of ancestors too, which is longer on some machines.
const FIELD_OF_MACHINE: &str = "metadata.is_truncated";

/// The expectations of a format: group, row, field, value.
pub type Golden = BTreeMap<String, BTreeMap<String, Map<String, Value>>>;

/// A value is cut where it has more characters: it is there to be read.
const CHARS_MAX: usize = 160;

/// So many of them stay then.
const CHARS_KEPT: usize = 40;

/// A list is cut where it is longer.
const ITEMS_MAX: usize = 12;

/// What the golden file of a format has of a row.
#[must_use]
pub fn shown(
    format: Format,
    row: &Row,
    place: &Place,
    told: &Told,
    event: &Value,
) -> Map<String, Value> {
    let ecs = reference::rows(Format::Ecs);
    let rows = reference::rows(format);
    let mut wanted = row.wanted_everywhere(place);
    wanted.entry("/event/outcome").or_insert_with(|| row.outcome().into());
    let names = Names::new(told, &wanted);
    let mut shown = Map::new();
    for (pointer, wanted) in &wanted {
        let Some(Pointer { name, item }) = Pointer::parse(pointer) else { continue };
        let Some(fact) = ecs.iter().find(|row| row.name == name).map(|row| row.of) else {
            continue;
        };
        if FACTS_OF_MACHINE.iter().any(|part| fact.contains(part)) {
            continue;
        }
        for row in rows.iter().filter(|row| row.of == fact && row.name != FIELD_OF_MACHINE) {
            let Some(value) = at(event, &row.name) else { continue };
            let (name, value) = match (item, value) {
                (None, value) if is_exact(wanted) => (row.name.to_string(), names.replace(value)),
                (Some(item), Value::Array(list)) if is_exact(wanted) => {
                    let value = list.get(item).map_or(Value::Null, |value| names.replace(value));
                    (format!("{}[{item}]", row.name), value)
                }
                (_, value) => (row.name.to_string(), of_type(value)),
            };
            shown.insert(name, value);
        }
    }
    shown
}

/// A place in an event, by the name of a field.
struct Pointer {
    name: String,
    /// Of a list of texts, which one.
    item: Option<usize>,
}

impl Pointer {
    /// `None` where it leads to another object of a list than the first, the only one that is shown.
    fn parse(pointer: &str) -> Option<Pointer> {
        let mut parts: Vec<&str> = pointer.split('/').skip(1).collect();
        let item = parts.last().and_then(|part| part.parse().ok());
        parts.truncate(parts.len() - usize::from(item.is_some()));
        let indices: Vec<usize> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        let names = parts.into_iter().filter(|part| part.parse::<usize>().is_err());
        let name = names.collect::<Vec<_>>().join(".");
        indices.iter().all(|index| *index == 0).then_some(Pointer { name, item })
    }
}

/// The value of a field; of a list of objects that of the first.
fn at<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(event, |value, part| {
        let value = value.as_array().map_or(Some(value), |list| list.first())?;
        value.get(part)
    })
}

/// Whether the row says exactly what is there.
fn is_exact(wanted: &Value) -> bool {
    !wanted.is_object()
}

fn of_type(value: &Value) -> Value {
    match value {
        Value::String(_) => json!("<string>"),
        Value::Number(_) => json!("<integer>"),
        Value::Bool(_) => json!("<boolean>"),
        Value::Array(_) => json!("<list>"),
        Value::Object(_) | Value::Null => json!("<object>"),
    }
}

/// What the script told, by name, the longest first: one may be a part of another.
struct Names {
    /// Replaced wherever they stand in a text: paths, the mark, and what the row names.
    anywhere: Vec<(String, String)>,
}

impl Names {
    fn new(told: &Told, wanted: &Map<String, Value>) -> Names {
        let mut named = BTreeSet::from(["MARK".to_owned()]);
        wanted.values().for_each(|wanted| variables(wanted, &mut named));
        let mut anywhere: Vec<(String, String)> = told
            .iter()
            .filter(|(name, value)| {
                value.len() > 1 && (value.starts_with('/') || named.contains(*name))
            })
            .map(|(name, value)| (format!("${name}"), value.clone()))
            .collect();
        // Where all rows have their directories.
        let work = told.get("D").and_then(|dir| std::path::Path::new(dir).parent());
        anywhere.extend(work.map(|work| ("$WORK".to_owned(), work.display().to_string())));
        anywhere.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Names { anywhere }
    }

    fn replace(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.replace_in(text).into(),
            Value::Number(number) => {
                let number = number.to_string();
                let told = self.anywhere.iter().find(|(_, value)| *value == number);
                told.map_or_else(|| value.clone(), |(name, _)| name.as_str().into())
            }
            Value::Array(list) => {
                let mut shown: Vec<Value> =
                    list.iter().take(ITEMS_MAX).map(|value| self.replace(value)).collect();
                if list.len() > ITEMS_MAX {
                    shown.push(format!("<{} in all>", list.len()).into());
                }
                shown.into()
            }
            other => other.clone(),
        }
    }

    fn replace_in(&self, text: &str) -> String {
        let file = |value: &str| value.starts_with('/') && value.rsplit('/').next() == Some(text);
        if let Some((name, _)) = self.anywhere.iter().find(|(_, value)| file(value)) {
            return format!("<file name of {name}>");
        }
        let is_number = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit());
        let mut shown = text.to_owned();
        for (name, value) in &self.anywhere {
            // A number may stand in others by chance.
            if is_number(value) && shown == *value {
                shown.clone_from(name);
            } else if !is_number(value) {
                shown = shown.replace(value, name);
            }
        }
        let text = shown;
        let length = text.chars().count();
        if length <= CHARS_MAX {
            return text;
        }
        let kept: String = text.chars().take(CHARS_KEPT).collect();
        format!("{kept}<{length} characters in all>")
    }
}

/// The names in the texts of an expectation.
fn variables(wanted: &Value, names: &mut BTreeSet<String>) {
    match wanted {
        Value::String(text) => {
            for part in text.split('$').skip(1) {
                let is_name = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_';
                names.insert(part.chars().take_while(is_name).collect());
            }
        }
        Value::Array(list) => list.iter().for_each(|wanted| variables(wanted, names)),
        _ => {}
    }
}

fn path(format: Format, group: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    dir.join(format.as_str()).join(format!("{group}.json"))
}

/// Compares what was seen with the files, or writes them. Rows that could not be run here stay as they
/// are there, those that no more exist do not.
pub fn settle(format: Format, golden: &Golden, rows: &[Row]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let exists = |name: &str| rows.iter().any(|row| row.name == name);
    for (group, rows) in golden {
        let path = path(format, group);
        let mut known: BTreeMap<String, Map<String, Value>> = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        if std::env::var_os(UPDATE).is_some() {
            known.retain(|name, _| exists(name));
            known.extend(rows.clone());
            std::fs::create_dir_all(path.parent().context("a directory")?)?;
            std::fs::write(&path, serde_json::to_string_pretty(&known)? + "\n")?;
            continue;
        }
        let gone = known.keys().filter(|name| !exists(name));
        wrong.extend(gone.map(|name| format!("{} has {name:?}, which is no row", path.display())));
        for (row, seen) in rows {
            match known.get(row) {
                Some(known) if known == seen => {}
                Some(known) => wrong.push(format!(
                    "{}, {row}:\n    is {}\n    and should be {}",
                    path.display(),
                    json!(seen),
                    json!(known)
                )),
                None => wrong.push(format!("{} has no {row:?}", path.display())),
            }
        }
    }
    Ok(wrong)
}
