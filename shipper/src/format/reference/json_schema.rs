//! JSON Schema (2020-12) of one event.

use serde_json::{Map, Value, json};

use super::{Kind, Row, rows};
use crate::format::Format;

/// JSON Schema (2020-12) of one event in a format.
#[must_use]
pub fn json_schema(format: Format) -> Value {
    let mut root = object();
    for row in rows(format) {
        let mut at = &mut root;
        let mut parts = row.name.split('.').peekable();
        while let Some(part) = parts.next() {
            if at["type"] == "array" {
                at = &mut at["items"];
            }
            let properties = &mut at["properties"];
            if !properties[part].is_object() {
                properties[part] = if parts.peek().is_some() { object() } else { leaf(&row) };
            }
            at = &mut properties[part];
        }
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!(format!("shipper event ({})", format.schema()));
    root["required"] = match format {
        Format::Ecs => json!(["@timestamp", "ecs", "event", "agent", "host", "shipper"]),
        Format::Ocsf => json!([
            "activity_id",
            "category_uid",
            "class_uid",
            "type_uid",
            "severity_id",
            "time",
            "metadata",
            "device",
            "unmapped"
        ]),
        Format::Cim => json!(["time", "vendor_product", "dest", "os", "shipper"]),
        Format::Native => json!(["schema", "kind", "id", "time", "host"]),
    };
    root
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": Map::new() })
}

fn leaf(row: &Row) -> Value {
    let mut leaf = match row.kind {
        Kind::Keyword | Kind::Wildcard | Kind::Text => json!({ "type": "string" }),
        Kind::Keywords => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Long => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Date => json!({ "type": "string", "format": "date-time" }),
        Kind::Objects => json!({ "type": "array", "items": object() }),
    };
    leaf["description"] = json!(row.meaning);
    leaf
}
