//! As much of JSON Schema as our own schema uses. A keyword that is not known here is a violation,
//! so that none goes unchecked.

use serde_json::Value;

/// What in a value the schema does not allow.
pub fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, value, "", &mut found);
    found
}

fn walk(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        found.push(format!("{at}: there is no schema for it"));
        return;
    };
    for (keyword, says) in keywords {
        let holds = match (keyword.as_str(), value) {
            ("$schema" | "title" | "description", _) => true,
            ("type", value) => says.as_str().is_some_and(|name| is(name, value)),
            ("format", Value::String(text)) if says == "date-time" => {
                text.parse::<jiff::Timestamp>().is_ok()
            }
            ("minimum", Value::Number(number)) => number.as_i128() >= says.as_i64().map(i128::from),
            ("maximum", Value::Number(number)) => number.as_i128() <= says.as_i64().map(i128::from),
            ("required", Value::Object(map)) => names(says).all(|name| map.contains_key(name)),
            ("additionalProperties", Value::Object(map)) => {
                *says == false && map.keys().all(|key| schema["properties"][key].is_object())
            }
            ("properties", Value::Object(map)) => {
                for (key, inner) in map.iter().filter(|(key, _)| says[key].is_object()) {
                    walk(&says[key], inner, &format!("{at}/{key}"), found);
                }
                true
            }
            ("items", Value::Array(list)) => {
                for inner in list {
                    walk(says, inner, &format!("{at}/*"), found);
                }
                true
            }
            // These say nothing about a value of another type, which `type` reports.
            ("format" | "minimum" | "maximum", _) => true,
            ("required" | "additionalProperties" | "properties" | "items", _) => true,
            _ => false,
        };
        if !holds {
            found.push(format!("{at}: `{keyword}: {says}` does not hold for {value}"));
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
