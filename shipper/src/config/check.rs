//! Holds a document to the JSON Schema of the model and collects everything that is wrong: keys,
//! types, words, bounds (those of values without parts in `scalar`). What no schema can say (names
//! that must differ) is checked in `sinks`.
//!
//! This is no general validator. It knows the forms that schemars derives from the model, so that
//! each message can name the one thing that is wrong; a test fails when the model gains another.

use std::fmt::Display;

use serde_json::Value as Json;

use super::problem::{Problems, quote};
use super::scalar::is_file_path;
use super::secret::{SECRET_FORMAT, is_variable_name};
use super::tree::{Entry, Node, Value};
use crate::format::template::Template;

/// Longest key or word for which a similar one is sought: the search takes time and memory with
/// the square, and none of ours is half as long.
const SIMILAR_BYTES_MAX: usize = 64;

/// Adds every way in which `root` breaks `schema`.
pub(super) fn check(root: &Node, schema: &Json, problems: &mut Problems) {
    let mut check = Check { schema, problems };
    match root.value {
        // A file without any setting lacks keys; that it is no mapping would be a riddle.
        Value::Null => check.object(root, &[], &Fields::of(schema), ""),
        _ => check.value(root, schema, ""),
    }
}

/// The known word most like `word`, if one is like enough that it was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SIMILAR_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |known: &str| {
        let begun = word.len() >= 3 && (known.starts_with(&word) || word.starts_with(known));
        if begun { 1 } else { strsim::damerau_levenshtein(&word, &known.to_lowercase()) }
    };
    let near = known.into_iter().map(|known| (distance(known), known));
    near.filter(|(distance, known)| *distance <= (known.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// What is said of an unknown field in the template of a `holder`, such as a topic.
pub(super) fn field_advice(name: &str, holder: &str) -> String {
    if let Some(nearest) = nearest(name, Template::fields()) {
        return format!("did you mean `{{{nearest}}}`?");
    }
    let all: Vec<&str> = Template::fields().collect();
    format!("the fields a {holder} may hold are {}", all.join(", "))
}

/// The keys a mapping may and must have.
struct Fields<'a> {
    known: Vec<(&'a str, &'a Json)>,
    required: Vec<&'a str>,
    /// Keys beside the known ones are not reported.
    open: bool,
    /// What is written here may be a secret, even as a key.
    holds_secrets: bool,
}

impl<'a> Fields<'a> {
    fn of(schema: &'a Json) -> Self {
        let known = schema["properties"].as_object().into_iter().flatten();
        let required = schema["required"].as_array().into_iter().flatten();
        Fields {
            known: known.map(|(key, schema)| (key.as_str(), schema)).collect(),
            required: required.filter_map(Json::as_str).collect(),
            open: false,
            holds_secrets: schema["x-holds-secrets"] == true,
        }
    }

    /// What can be said when it is not known which of the branches is meant: a key may be from any,
    /// and only those must be there that every branch wants.
    fn of_any(branches: &'a [Json], open: bool) -> Self {
        let mut any =
            Fields { known: Vec::new(), required: Vec::new(), open, holds_secrets: false };
        let all: Vec<Fields<'a>> = branches.iter().map(Fields::of).collect();
        for (key, schema) in all.iter().flat_map(|fields| &fields.known) {
            if any.get(key).is_none() {
                any.known.push((key, schema));
            }
        }
        if let Some((first, rest)) = all.split_first() {
            let everywhere = |key: &&&str| rest.iter().all(|fields| fields.required.contains(key));
            any.required.extend(first.required.iter().filter(everywhere));
        }
        any
    }

    fn get(&self, key: &str) -> Option<&'a Json> {
        self.known.iter().find(|(known, _)| *known == key).map(|(_, schema)| *schema)
    }
}

pub(super) struct Check<'a> {
    schema: &'a Json,
    problems: &'a mut Problems,
}

impl<'a> Check<'a> {
    fn value(&mut self, node: &Node, schema: &'a Json, path: &str) {
        let schema = self.resolve(schema);
        if schema["format"] == SECRET_FORMAT {
            return self.secret(node, path);
        }
        if let Some(branches) = schema["oneOf"].as_array() {
            let words: Vec<&str> =
                branches.iter().filter_map(|branch| branch["const"].as_str()).collect();
            let mapping = branches.iter().find(|branch| branch["const"].is_null());
            match (mapping, &node.value) {
                (None, _) => self.word(node, &words, path, ""),
                (Some(mapping), _) if words.is_empty() && tag(mapping).is_some() => {
                    self.tagged(node, branches, schema, path);
                }
                (Some(_), _) if words.is_empty() => self.keyed(node, branches, schema, path),
                (Some(mapping), Value::Map(entries)) => {
                    let holds_secrets = schema["x-holds-secrets"] == true;
                    let fields = Fields { holds_secrets, ..Fields::of(mapping) };
                    self.object(node, entries, &fields, path);
                }
                (Some(mapping), _) => {
                    let keys = Fields::of(mapping).required.join(", ");
                    let beside = format!(", or a mapping with {keys}");
                    if schema["x-holds-secrets"] != true {
                        self.word(node, &words, path, &beside);
                    } else if !node.text().is_some_and(|word| words.contains(&word)) {
                        let message =
                            format!("`{path}` must be one of {}{beside}", words.join(", "));
                        self.say(node, &message);
                    }
                }
            }
            return;
        }
        match (schema["type"].as_str(), &node.value) {
            (Some("object"), Value::Map(entries)) if schema["additionalProperties"].is_object() => {
                for Entry { key, value, .. } in entries {
                    // `"X-Api-Key: ..."` in quotes is a key as a whole.
                    let hidden = schema["x-holds-secrets"] == true && !is_plain(key);
                    let key = if hidden { "…".to_owned() } else { quote(key) };
                    let path = format!("{path}.{}", key.trim_matches('`'));
                    self.value(value, &schema["additionalProperties"], &path);
                }
            }
            (Some("object"), Value::Map(entries)) => {
                self.object(node, entries, &Fields::of(schema), path);
            }
            (Some("object"), _) => self.no_mapping(node, schema, path),
            (Some("array"), Value::List(items)) => self.list(node, items, schema, path),
            (Some("array"), _) => self.wrong(node, path, "a list (`- …`)", ""),
            _ => self.scalar(node, schema, path),
        }
    }

    /// Follows a reference into the schema's definitions.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
        target.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }

    fn object(&mut self, node: &Node, entries: &[Entry], fields: &Fields<'a>, path: &str) {
        let mut meant = Vec::new();
        for Entry { key, at, value } in entries {
            if let Some(schema) = fields.get(key) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                self.value(value, schema, &path);
            } else if key == "<<" {
                self.problems.add(*at, "merge keys (`<<`) are not known; write the keys out");
            } else if !fields.open {
                let free = fields.known.iter().map(|(known, _)| *known);
                let free = free.filter(|known| entries.iter().all(|entry| entry.key != *known));
                let nearest = nearest(key, free);
                let advice = match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => {
                        let known: Vec<&str> = fields.known.iter().map(|(key, _)| *key).collect();
                        format!("the keys here are {}", known.join(", "))
                    }
                };
                let shown = if fields.holds_secrets && (nearest.is_none() || !is_plain(key)) {
                    String::new()
                } else {
                    format!(" {}", quote(key))
                };
                self.problems.add(*at, format!("unknown key{shown}; {advice}"));
                meant.extend(nearest);
            }
        }
        for key in &fields.required {
            // A misspelt key was reported where it stands.
            if !meant.contains(key) && entries.iter().all(|entry| entry.key != *key) {
                let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
                self.problems.add(node.at, format!("missing key `{key}`{place}"));
            }
        }
    }

    /// A mapping whose kind is told by one of its keys, such as the `type` of a sink.
    fn tagged(&mut self, node: &Node, branches: &'a [Json], schema: &Json, path: &str) {
        let Value::Map(entries) = &node.value else {
            return self.no_mapping(node, schema, path);
        };
        let tags: Vec<(&str, &str)> = branches.iter().filter_map(tag).collect();
        let Some((key, _)) = tags.first() else { return };
        let words: Vec<&str> = tags.iter().map(|(_, word)| *word).collect();
        let fields = match entries.iter().find(|entry| entry.key == *key) {
            None => Fields::of_any(branches, false),
            Some(Entry { value, .. }) => {
                self.word(value, &words, &format!("{path}.{key}"), "");
                let meant = value.text().and_then(|word| {
                    words
                        .iter()
                        .copied()
                        .find(|known| *known == word)
                        .or_else(|| nearest(word, words.iter().copied()))
                });
                match branches.iter().find(|branch| tag(branch).map(|(_, word)| word) == meant) {
                    Some(branch) if meant.is_some() => Fields::of(branch),
                    _ => Fields::of_any(branches, true),
                }
            }
        };
        self.object(node, entries, &fields, path);
    }

    /// A mapping that has one key of several, such as the `auth` of a sink.
    fn keyed(&mut self, node: &Node, branches: &'a [Json], schema: &Json, path: &str) {
        let Value::Map(entries) = &node.value else {
            return self.no_mapping(node, schema, path);
        };
        let holds_secrets = schema["x-holds-secrets"] == true;
        let fields = Fields { holds_secrets, ..Fields::of_any(branches, false) };
        self.object(node, entries, &fields, path);
        let given = entries.iter().filter(|entry| fields.get(&entry.key).is_some()).count();
        // A key that is not known was reported.
        if given > 1 || entries.is_empty() {
            let keys: Vec<&str> = fields.known.iter().map(|(key, _)| *key).collect();
            let message = format!("`{path}` must have one of {}, but has {given}", keys.join(", "));
            self.say(node, &message);
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'a Json, path: &str) {
        let (min, max) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let count = items.len() as u64;
        if outside(&count, min.as_ref(), max.as_ref())
            && let Some(range) = range(min.as_ref(), max.as_ref())
        {
            self.problems
                .add(node.at, format!("`{path}` must have {range} entries, but has {count}"));
        }
        for (index, item) in items.iter().enumerate() {
            self.value(item, &schema["items"], &format!("{path}[{index}]"));
        }
    }

    /// `beside`: what may stand instead of a word.
    fn word(&mut self, node: &Node, words: &[&str], path: &str, beside: &str) {
        let word = node.text();
        if word.is_some_and(|word| words.contains(&word)) {
            return;
        }
        let nearest = word.and_then(|word| nearest(word, words.iter().copied()));
        let hint = nearest.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
        self.bad(node, path, &format!("one of {}{beside}", words.join(", ")), &hint);
    }

    /// Something else than a mapping, which is not repeated where it may be a secret.
    fn no_mapping(&mut self, node: &Node, schema: &Json, path: &str) {
        if schema["x-holds-secrets"] == true && !matches!(node.value, Value::Null) {
            self.problems.add(node.at, format!("`{path}` must be a mapping (`key: value`)"));
        } else {
            self.wrong(node, path, "a mapping (`key: value`)", "");
        }
    }

    /// Where a secret is. Nothing of what stands there is repeated: it may be the secret.
    fn secret(&mut self, node: &Node, path: &str) {
        let file = |node: &Node| node.text().is_some_and(is_file_path);
        let variable = |node: &Node| node.text().is_some_and(is_variable_name);
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let message = match entries {
            [Entry { key, value, .. }] if key == "env" => {
                if variable(value) {
                    return;
                }
                "must have the name of an environment variable in `env`, of letters, digits and `_`"
            }
            [Entry { key, value, .. }] if key == "file" => {
                if file(value) {
                    return;
                }
                "must have the path of a file in `file`"
            }
            _ => {
                "is a secret and must not stand here; put it into the environment or a file and \
                 write `{ env: NAME }` or `{ file: PATH }`"
            }
        };
        self.problems.add(node.at, format!("`{path}` {message}"));
    }

    /// A message as it is.
    pub(super) fn say(&mut self, node: &Node, message: &str) {
        self.problems.add(node.at, message);
    }

    /// A value of another type than expected.
    pub(super) fn wrong(&mut self, node: &Node, path: &str, expected: &str, hint: &str) {
        let what = if path.is_empty() { "the file".into() } else { format!("`{path}`") };
        let found = node.value.describe();
        self.problems.add(node.at, format!("{what} must be {expected}, but is {found}{hint}"));
    }

    /// A value of the right type that is not allowed.
    pub(super) fn bad(&mut self, node: &Node, path: &str, expected: &str, hint: &str) {
        match node.value.shown() {
            None => self.wrong(node, path, expected, hint),
            Some(found) => {
                let message = format!("`{path}` must be {expected}, but is {found}{hint}");
                self.problems.add(node.at, message);
            }
        }
    }
}

/// Whether it may be a key, and no line of something else.
fn is_plain(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// The key that tells the kind of a mapping in this branch, and its word.
fn tag(branch: &Json) -> Option<(&str, &str)> {
    let mut properties = branch["properties"].as_object()?.iter();
    properties.find_map(|(key, schema)| Some((key.as_str(), schema["const"].as_str()?)))
}

pub(super) fn outside<T: PartialOrd>(value: &T, min: Option<&T>, max: Option<&T>) -> bool {
    min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max)
}

/// The bounds in words, if there are any.
pub(super) fn range<T: Display>(min: Option<&T>, max: Option<&T>) -> Option<String> {
    match (min, max) {
        (Some(min), Some(max)) => Some(format!("from {min} to {max}")),
        (Some(min), None) => Some(format!("at least {min}")),
        (None, Some(max)) => Some(format!("at most {max}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_was_probably_meant() {
        let keys =
            ["name", "path", "rotate", "compress", "ancestry_depth_max", "ring_buffer_bytes"];
        let cases = [
            ("rotat", Some("rotate")),
            ("PATH", Some("path")),
            ("nmae", Some("name")),
            ("compression", Some("compress")),
            ("ring_buffer", Some("ring_buffer_bytes")),
            ("ancestor_depth", Some("ancestry_depth_max")),
            ("brokers", None),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, keys), expected, "{word:?}");
        }
        assert_eq!(nearest(&"name".repeat(100_000), keys), None);
    }

    /// Else a value of that kind would go unchecked, and serde's message would have no place.
    #[test]
    fn every_kind_of_value_in_the_model_is_one_the_check_knows() {
        use crate::config::scalar::Scalar;

        fn walk(schema: &Json, path: &str) {
            let parts = ["properties", "$defs"].map(|part| schema[part].as_object());
            for (key, part) in parts.into_iter().flatten().flatten() {
                walk(part, &format!("{path}/{key}"));
            }
            let branches = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
            branches.iter().for_each(|branch| walk(branch, path));
            let mappings = branches.iter().filter(|branch| branch["const"].is_null());
            let untagged = mappings.clone().filter(|mapping| tag(mapping).is_none()).count();
            let keyed = |mapping: &Json| mapping["required"].as_array().map(Vec::len) == Some(1);
            let known = untagged == 0
                || untagged == 1 && mappings.clone().count() == 1
                || untagged == branches.len() && mappings.clone().all(keyed);
            assert!(
                known,
                "{path}: neither words, with a mapping or not, nor tagged mappings, nor one key of several"
            );
            let is_known = schema["$ref"].is_string()
                || schema["const"].is_string()
                || schema["oneOf"].is_array()
                || schema["type"] == "object"
                || schema["type"] == "array" && schema["items"].is_object()
                || Scalar::of(schema).is_some();
            assert!(is_known, "{path}: {schema}");
        }
        walk(&crate::config::schema(), "#");
    }
}
