//! Our table of fields, held to the official list of the Elastic Common Schema. The list is never
//! copied into this project; it lies beside it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use shipper::format::ecs::ECS_VERSION;
use shipper::format::ecs::schema::{FIELDS, Field, Kind};
use shipper_tests::skip;

/// Where fields may be that the schema does not have: our own, and two places Elastic's own products
/// use without listing them.
const OWN: [&str; 3] = ["shipper.", "process.Ext.", "user.audit."];

/// The schema's fields: name to type and normalization.
type Official = HashMap<String, (String, String)>;

/// `None` where the list is not at hand; that has been said then.
fn official() -> Result<Option<Official>> {
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
        assert_eq!(&row[version], ECS_VERSION, "events say they follow this version");
        fields.insert(row[name].to_owned(), (row[kind].to_owned(), row[normalization].to_owned()));
    }
    assert!(fields.len() > 1000, "only {} fields were read", fields.len());
    Ok(Some(fields))
}

/// What is wrong with our fields by the official list.
fn deviations(fields: &[Field], official: &Official) -> Vec<String> {
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

#[test]
fn every_field_is_in_ecs_with_its_type_and_shape_or_in_a_namespace_of_its_own() -> Result<()> {
    let Some(official) = official()? else {
        return Ok(());
    };
    assert_eq!(deviations(FIELDS, &official), [""; 0]);
    let in_ecs = FIELDS.iter().filter(|field| official.contains_key(field.name)).count();
    assert!(in_ecs > FIELDS.len() / 3, "only {in_ecs} of our fields are in ECS");
    Ok(())
}

#[test]
fn no_field_is_listed_twice_and_none_is_inside_another() {
    for (at, field) in FIELDS.iter().enumerate() {
        for other in &FIELDS[..at] {
            assert_ne!(field.name, other.name);
            let inside =
                field.name.strip_prefix(other.name).is_some_and(|rest| rest.starts_with('.'));
            assert!(!inside || other.kind == Kind::Objects, "{} is in {}", field.name, other.name);
        }
    }
}

#[test]
fn a_wrong_type_a_wrong_shape_and_an_unknown_name_are_found() {
    let official = Official::from([
        ("process.pid".to_owned(), ("long".to_owned(), String::new())),
        ("process.args".to_owned(), ("keyword".to_owned(), "array".to_owned())),
    ]);
    let field = |name, kind| Field { name, kind, meaning: "" };
    let wrong = [
        field("process.pid", Kind::Keyword),
        field("process.args", Kind::Keyword),
        field("process.ancestry", Kind::Keywords),
        field("shipperish", Kind::Long),
    ];
    assert_eq!(deviations(&wrong, &official).len(), wrong.len());
    let right = [
        field("process.pid", Kind::Long),
        field("process.args", Kind::Keywords),
        field("process.Ext.ancestry", Kind::Keywords),
        field("shipper.cpu", Kind::Long),
    ];
    assert_eq!(deviations(&right, &official), [""; 0]);
}
