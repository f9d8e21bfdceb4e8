//! A validator of OCSF events, built from the official schema, which lies beside this project and is
//! never copied into it.
//!
//! `schema` reads dictionary, objects, event classes, profiles and the Linux extension and resolves
//! what they inherit and include; here an event is held to that: known and required attributes, types,
//! enums and their captions, constraints, profiles, deprecated names.

mod schema;

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Map, Value};

pub use schema::Schema;
use schema::{Attribute, Entity};

/// The value that says "something else": its caption is whatever the event says.
const OTHER: i64 = 99;

impl Schema {
    /// The schema, or `None` where it is not at hand; that has been said then.
    pub fn official() -> Result<Option<Schema>> {
        Schema::read()
    }

    /// What is wrong with an event: where, and what. Never a value of it.
    #[must_use]
    pub fn faults(&self, event: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let Some(class) = event["class_uid"].as_i64().and_then(|uid| self.class(uid)) else {
            return vec!["class_uid is none of a class".to_owned()];
        };
        if event["category_uid"].as_i64() != Some(class.category) {
            faults.push("category_uid is not that of the class".to_owned());
        }
        let numbers = ["class_uid", "activity_id", "type_uid"].map(|name| event[name].as_i64());
        if let [Some(class), Some(activity), type_uid] = numbers
            && type_uid != Some(class * 100 + activity)
        {
            faults.push("type_uid is not made of class and activity".to_owned());
        }
        for (name, caption) in ["category_name", "class_name"].iter().zip(&class.captions) {
            if event.get(name).is_some_and(|said| said != caption.as_str()) {
                faults.push(format!("{name} is not the caption"));
            }
        }
        if event["metadata"]["version"].as_str() != Some(&self.version) {
            faults.push("metadata.version is not that of the schema".to_owned());
        }
        let profiles: BTreeSet<&str> = event["metadata"]["profiles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for profile in profiles.iter().filter(|profile| !self.profiles.contains(**profile)) {
            faults.push(format!("metadata.profiles has {profile}, which is no profile"));
        }
        let mut check = Check { schema: self, profiles: &profiles, faults };
        match event {
            Value::Object(event) => check.entity("", event, &class.entity),
            _ => check.say("", "is no object"),
        }
        check.faults
    }
}

struct Check<'a> {
    schema: &'a Schema,
    profiles: &'a BTreeSet<&'a str>,
    faults: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, at: &str, what: &str) {
        self.faults.push(format!("{at} {what}"));
    }

    fn entity(&mut self, at: &str, object: &Map<String, Value>, entity: &Entity) {
        let place =
            |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        for (name, value) in object {
            match entity.attributes.get(name) {
                None => self.say(&place(name), "is not in the schema"),
                Some(attribute) if !self.is_enabled(attribute) => {
                    self.say(&place(name), "needs a profile that the event does not name");
                }
                Some(attribute) => {
                    self.attribute(&place(name), value, attribute);
                    self.caption(&place(name), value, attribute, object);
                }
            }
        }
        for (name, attribute) in &entity.attributes {
            if attribute.required && self.is_enabled(attribute) && !object.contains_key(name) {
                self.say(&place(name), "is required and missing");
            }
        }
        let of = |names: &[String]| names.iter().filter(|name| object.contains_key(*name)).count();
        if !entity.at_least_one.is_empty() && of(&entity.at_least_one) == 0 {
            self.say(at, &format!("has none of {}", entity.at_least_one.join(", ")));
        }
        if !entity.just_one.is_empty() && of(&entity.just_one) != 1 {
            self.say(at, &format!("must have one of {}", entity.just_one.join(", ")));
        }
    }

    fn is_enabled(&self, attribute: &Attribute) -> bool {
        attribute.profile.as_deref().is_none_or(|profile| self.profiles.contains(profile))
    }

    fn attribute(&mut self, at: &str, value: &Value, attribute: &Attribute) {
        if attribute.is_deprecated {
            self.say(at, "is deprecated");
        }
        match (attribute.is_array, value) {
            (true, Value::Array(list)) => {
                for value in list {
                    self.value(at, value, attribute);
                }
            }
            (true, _) => self.say(at, "is no list"),
            (false, value) => self.value(at, value, attribute),
        }
    }

    fn value(&mut self, at: &str, value: &Value, attribute: &Attribute) {
        if let Some(entity) = self.schema.objects.get(&attribute.kind) {
            match value {
                Value::Object(object) => self.entity(at, object, entity),
                _ => self.say(at, &format!("is no object of type {}", attribute.kind)),
            }
        } else if let Err(what) = self.schema.is_of_type(value, &attribute.kind) {
            self.say(at, &what);
        }
        if let Some(captions) = &attribute.captions {
            let key = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
            if !captions.contains_key(&key) {
                self.say(at, "is none of the values of its enum");
            }
        }
    }

    /// The words beside a number of an enum are its caption.
    fn caption(
        &mut self,
        at: &str,
        value: &Value,
        attribute: &Attribute,
        object: &Map<String, Value>,
    ) {
        let Some(sibling) = &attribute.sibling else { return };
        let Some(said) = object.get(sibling) else { return };
        let caption = attribute.captions.as_ref().and_then(|all| all.get(&value.to_string()));
        if value.as_i64() != Some(OTHER) && caption.is_some_and(|caption| said != caption.as_str())
        {
            self.say(at, &format!("has another caption than {sibling} says"));
        }
    }
}
