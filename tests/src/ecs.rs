//! The official list of fields of the Elastic Common Schema, and events held to it. The list is
//! never copied into this project; it lies beside it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shipper::format::ecs::ECS_VERSION;
use shipper::format::ecs::schema::FIELDS;
use shipper::format::reference::{Field, Kind};

use crate::skip;

/// Where fields may be that the schema does not have: our own, and two places Elastic's own products
/// use without listing them.
pub const OWN: [&str; 3] = ["shipper.", "process.Ext.", "user.audit."];

/// The schema's fields: name to type and normalization.
pub type Official = HashMap<String, (String, String)>;

/// `None` where the list is not at hand; that has been said then.
pub fn official() -> anyhow::Result<Option<Official>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let path = root.join("../shared/data/ecs/fields.csv");
    if !path.exists() {
        skip("../shared/data/ecs/fields.csv, the official list of ECS fields, is not there");
        return Ok(None);
    }
    let mut reader = csv::Reader::from_path(&path)?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name).context("a column");
    let (version, name) = (column("ECS_Version")?, column("Field")?);
    let (kind, normalization) = (column("Type")?, column("Normalization")?);
    let mut fields = Official::new();
    for row in reader.records() {
        let row = row?;
        ensure!(&row[version] == ECS_VERSION, "events say they follow {ECS_VERSION}");
        fields.insert(row[name].to_owned(), (row[kind].to_owned(), row[normalization].to_owned()));
    }
    ensure!(fields.len() > 1000, "only {} fields were read", fields.len());
    Ok(Some(fields))
}

/// What is wrong with our fields by the official list.
#[must_use]
pub fn deviations(fields: &[Field], official: &Official) -> Vec<String> {
    fields.iter().filter_map(|field| deviation(field, official)).collect()
}

fn deviation(field: &Field, official: &Official) -> Option<String> {
    let Some((kind, normalization)) = official.get(field.name) else {
        let own = OWN.iter().any(|prefix| field.name.starts_with(prefix));
        return (!own).then(|| format!("{} is neither an ECS field nor under {OWN:?}", field.name));
    };
    let fits = match field.kind {
        Kind::Keyword | Kind::Keywords => matches!(kind.as_str(), "keyword" | "constant_keyword"),
        Kind::Wildcard => kind == "wildcard",
        Kind::Text => kind == "match_only_text",
        Kind::Long => kind == "long",
        Kind::Boolean => kind == "boolean",
        Kind::Date => kind == "date",
        Kind::Objects => kind == "nested",
    };
    if !fits {
        return Some(format!("{} is {:?}, ECS has {kind}", field.name, field.kind));
    }
    let list = matches!(field.kind, Kind::Keywords | Kind::Objects);
    (list != (normalization == "array")).then(|| {
        format!("{} is {:?}, ECS has normalization `{normalization}`", field.name, field.kind)
    })
}

/// What is wrong with an event by the official list: the names of fields, with what they should be;
/// never their values.
#[must_use]
pub fn faults(event: &Value, official: &Official) -> Vec<String> {
    let mut faults = Vec::new();
    look("", event, official, &mut faults);
    faults
}

fn look(name: &str, value: &Value, official: &Official, faults: &mut Vec<String>) {
    if let Some(own) = FIELDS.iter().find(|field| field.name == name) {
        let kind = official.get(name).map_or("", |(kind, _)| kind.as_str());
        if !is_of(own.kind, value) {
            faults.push(format!("{name} is not {:?}", own.kind));
        } else if !is_of_type(kind, value) {
            faults.push(format!("{name} is not of type {kind}"));
        }
        return;
    }
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let inside =
                    if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                look(&inside, value, official, faults);
            }
        }
        _ => faults.push(format!("{name} is in no list of fields")),
    }
}

/// Whether a value is what our list says of its field.
fn is_of(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Keyword | Kind::Wildcard | Kind::Text => value.is_string(),
        Kind::Keywords => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        Kind::Long => value.is_i64() || value.is_u64(),
        Kind::Boolean => value.is_boolean(),
        Kind::Date => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        Kind::Objects => value.as_array().is_some_and(|all| all.iter().all(Value::is_object)),
    }
}

/// Whether a value is what the official list says, of a list each element; a type that our fields do
/// not have, and a field that is our own, is not looked at.
fn is_of_type(kind: &str, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Array(all)) if kind != "nested" => all.iter().all(|one| is_of_type(kind, one)),
        ("keyword" | "constant_keyword" | "wildcard" | "date", value) => value.is_string(),
        ("long", value) => value.is_i64() || value.is_u64(),
        ("boolean", value) => value.is_boolean(),
        _ => true,
    }
}
