//! The schema of OCSF as the validator needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::skip;

/// All that events are held to.
#[derive(Debug)]
pub struct Schema {
    pub(super) version: String,
    pub(super) objects: HashMap<String, Entity>,
    pub(super) profiles: BTreeSet<String>,
    classes: HashMap<i64, Class>,
    types: Map<String, Value>,
}

/// A class of events.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) category: i64,
    /// Names of category and class.
    pub(super) captions: [String; 2],
    pub(super) entity: Entity,
}

/// An object or a class with everything it inherits and includes.
#[derive(Clone, Debug, Default)]
pub(super) struct Entity {
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) at_least_one: Vec<String>,
    pub(super) just_one: Vec<String>,
}

/// One attribute there.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    /// A type of the dictionary, or an object.
    pub(super) kind: String,
    pub(super) is_array: bool,
    pub(super) required: bool,
    pub(super) is_deprecated: bool,
    /// The profile without which it must not be there.
    pub(super) profile: Option<String>,
    /// Values that are allowed, with their captions.
    pub(super) captions: Option<BTreeMap<String, String>>,
    /// The attribute that has the caption.
    pub(super) sibling: Option<String>,
}

/// Attributes, and what stands beside them, before they are understood.
#[derive(Clone, Default)]
struct Raw {
    attributes: Map<String, Value>,
    constraints: Map<String, Value>,
}

struct Reader {
    root: PathBuf,
    dictionary: Map<String, Value>,
}

impl Schema {
    pub(super) fn read() -> Result<Option<Schema>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
        let root = root.join("../shared/data/ocsf");
        if !root.exists() {
            skip("../shared/data/ocsf, the official schema of OCSF, is not there");
            return Ok(None);
        }
        let dictionary = object(&load(&root.join("dictionary.json"))?["attributes"])?;
        let types = load(&root.join("dictionary.json"))?["types"]["attributes"].clone();
        let reader = Reader { root, dictionary };
        let mut objects = HashMap::new();
        // `object` is the base of all, and as a type any object at all.
        let all = names(&reader.root.join("objects"))?;
        for name in all.into_iter().filter(|name| name != "object") {
            let raw = reader.resolve("objects", &name)?;
            objects.insert(name, reader.entity(raw)?);
        }
        let mut classes = HashMap::new();
        for name in names(&reader.root.join("events/system"))? {
            let own = load(&reader.root.join(format!("events/system/{name}.json")))?;
            let Some(uid) = own["uid"].as_i64() else { continue };
            let categories = load(&reader.root.join("categories.json"))?;
            let system = &categories["attributes"]["system"];
            let category = system["uid"].as_i64().context("a uid")?;
            let caption = |of: &Value| of["caption"].as_str().unwrap_or_default().to_owned();
            let captions = [caption(system), caption(&own)];
            let mut entity = reader.entity(reader.resolve("events/system", &name)?)?;
            // The values that the base of all events has there are for that one alone.
            for own in ["category_uid", "class_uid"] {
                let attribute = entity.attributes.get_mut(own).context(own)?;
                attribute.captions = None;
            }
            classes.insert(category * 1000 + uid, Class { category, captions, entity });
        }
        let mut profiles: BTreeSet<String> =
            names(&reader.root.join("profiles"))?.into_iter().collect();
        let linux = names(&reader.root.join("extensions/linux/profiles"))?;
        profiles.extend(linux.into_iter().map(|name| format!("linux/{name}")));
        let version = load(&reader.root.join("version.json"))?;
        let version = version["version"].as_str().context("a version")?.to_owned();
        ensure!(objects.len() > 100 && classes.len() > 5, "the schema was not read");
        let types = object(&types)?;
        Ok(Some(Schema { version, objects, profiles, classes, types }))
    }

    pub(super) fn class(&self, uid: i64) -> Option<&Class> {
        self.classes.get(&uid)
    }

    /// Whether a value is of a type of the dictionary; what is wrong when not.
    pub(super) fn is_of_type(&self, value: &Value, kind: &str) -> Result<(), String> {
        let is = match kind {
            "string_t" => value.is_string(),
            "integer_t" | "long_t" => value.is_i64(),
            "float_t" => value.is_number(),
            "boolean_t" => value.is_boolean(),
            "json_t" => true,
            // Any object at all; the schema says no more of it.
            "object" => value.is_object(),
            _ => {
                let known = self.types.get(kind).ok_or(format!("has the unknown type {kind}"))?;
                self.is_of_type(value, known["type"].as_str().unwrap_or_default())?;
                return self.is_in_bounds(value, kind, known);
            }
        };
        if is { Ok(()) } else { Err(format!("is not of type {kind}")) }
    }

    fn is_in_bounds(&self, value: &Value, kind: &str, known: &Value) -> Result<(), String> {
        let length = value.as_str().map(|text| text.len() as u64);
        if known["max_len"].as_u64().is_some_and(|max| length > Some(max)) {
            return Err("is too long".to_owned());
        }
        match (kind, value.as_str()) {
            ("uuid_t", Some(text)) if !is_uuid(text) => Err("is no UUID".to_owned()),
            ("uuid_t", _) => Ok(()),
            // None of ours has another one.
            _ if known["regex"].is_string() => {
                Err(format!("has the type {kind}, whose pattern is not checked here"))
            }
            _ => Ok(()),
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text.chars().all(|digit| digit == '-' || digit.is_ascii_hexdigit())
}

impl Reader {
    /// An object or a class with what it extends and includes.
    fn resolve(&self, folder: &str, name: &str) -> Result<Raw> {
        let path = self.root.join(folder).join(format!("{name}.json"));
        // Classes of a category extend one of the whole schema in the end.
        let path = if path.exists() { path } else { self.root.join(format!("events/{name}.json")) };
        let own = load(&path)?;
        let mut raw = match own["extends"].as_str() {
            Some(base) if base != name => self.resolve(folder, base)?,
            _ => Raw::default(),
        };
        self.add(&own, &mut raw)?;
        if folder == "objects" {
            let patch = self.root.join(format!("extensions/linux/objects/{name}.json"));
            if patch.exists() {
                self.add(&load(&patch)?, &mut raw)?;
            }
        }
        Ok(raw)
    }

    fn add(&self, own: &Value, raw: &mut Raw) -> Result<()> {
        // Given anew they replace those that were inherited, also by none.
        if let Some(constraints) = own["constraints"].as_object() {
            raw.constraints.clone_from(constraints);
        }
        let own = object(&own["attributes"]).unwrap_or_default();
        for file in own.get("$include").and_then(Value::as_array).into_iter().flatten() {
            self.include(file.as_str().context("a path")?, raw)?;
        }
        for (name, attribute) in own.iter().filter(|(name, _)| !name.starts_with('$')) {
            merge(raw.attributes.entry(name).or_insert_with(|| Map::new().into()), attribute);
        }
        Ok(())
    }

    /// The attributes of a profile, marked with its name.
    fn include(&self, file: &str, raw: &mut Raw) -> Result<()> {
        let of_extension = self.root.join("extensions/linux").join(file);
        let (path, prefix) = match of_extension.exists() {
            true => (of_extension, "linux/"),
            false => (self.root.join(file), ""),
        };
        let profile = load(&path)?;
        let name = format!("{prefix}{}", profile["name"].as_str().context("a name")?);
        for (attribute, value) in object(&profile["attributes"]).unwrap_or_default() {
            let mut value = value;
            value["profile"] = name.as_str().into();
            merge(raw.attributes.entry(attribute).or_insert_with(|| Map::new().into()), &value);
        }
        Ok(())
    }

    fn entity(&self, raw: Raw) -> Result<Entity> {
        let list = |name: &str| -> Vec<String> {
            let list = raw.constraints.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (at_least_one, just_one) = (list("at_least_one"), list("just_one"));
        let mut attributes = BTreeMap::new();
        for (name, own) in &raw.attributes {
            let Some(general) = self.dictionary.get(name) else {
                bail!("{name}: not in dictionary")
            };
            let mut all = general.clone();
            merge(&mut all, own);
            let text = |key: &str| all[key].as_str().map(str::to_owned);
            let captions = all["enum"].as_object().map(|values| {
                let caption = |value: &Value| value["caption"].as_str().unwrap_or("").to_owned();
                values.iter().map(|(key, value)| (key.clone(), caption(value))).collect()
            });
            let attribute = Attribute {
                kind: text("type").with_context(|| format!("{name}: a type"))?,
                is_array: all["is_array"] == true,
                required: all["requirement"] == "required",
                is_deprecated: all["@deprecated"].is_object(),
                profile: text("profile"),
                captions,
                sibling: text("sibling"),
            };
            attributes.insert(name.clone(), attribute);
        }
        Ok(Entity { attributes, at_least_one, just_one })
    }
}

/// What is given later holds; values of an enum are added to those that are there.
fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (key, value) in from {
        match (key.as_str(), into.get_mut(key)) {
            ("enum", Some(Value::Object(known))) => {
                known.extend(value.as_object().cloned().unwrap_or_default());
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn load(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn object(value: &Value) -> Result<Map<String, Value>> {
    value.as_object().cloned().context("an object")
}

/// The names of the JSON files in a directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            names.push(path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.into());
        }
    }
    Ok(names)
}
