//! Formats: an event, or its JSON, turned into the bytes that a sink or a person gets.

mod alike;
mod capabilities;
pub mod cim;
pub mod ecs;
mod errno;
pub mod hec;
pub mod native;
pub mod ocsf;
pub mod pretty;
pub mod reference;
pub mod template;
mod text;
pub mod visible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;

/// How events are written, one JSON object each.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Elastic Common Schema.
    #[default]
    Ecs,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Common Information Model of Splunk.
    Cim,
    /// shipper's own words, complete.
    Native,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Ecs, Format::Ocsf, Format::Cim, Format::Native];

    /// The word the configuration has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Ecs => "ecs",
            Format::Ocsf => "ocsf",
            Format::Cim => "cim",
            Format::Native => "native",
        }
    }

    /// The format of an event that was read; `None` where that cannot be told.
    #[must_use]
    pub fn of(event: &Value) -> Option<Format> {
        let has = |pointer: &str| event.pointer(pointer).is_some();
        match () {
            () if has("/ecs/version") => Some(Format::Ecs),
            () if has("/class_uid") => Some(Format::Ocsf),
            () if has("/shipper/schema") => Some(Format::Cim),
            () if has("/schema") => Some(Format::Native),
            () => None,
        }
    }

    /// Which schema in which version its events follow.
    #[must_use]
    pub fn schema(self) -> String {
        match self {
            Format::Ecs => format!("ecs/{}", ecs::ECS_VERSION),
            Format::Ocsf => format!("ocsf/{}", ocsf::OCSF_VERSION),
            Format::Cim => format!("cim/{}", cim::CIM_VERSION),
            Format::Native => native::NATIVE_SCHEMA.to_owned(),
        }
    }

    /// The source type by which Splunk reads it; `config/siem/splunk` knows each.
    #[must_use]
    pub fn sourcetype(self) -> &'static str {
        match self {
            Format::Ecs => "shipper:exec",
            Format::Ocsf => "shipper:ocsf",
            Format::Cim => "shipper:cim",
            Format::Native => "shipper:native",
        }
    }
}

/// Appends the event in a format, as one JSON object and a newline.
pub fn encode(format: Format, event: &Event, out: &mut Vec<u8>) {
    match format {
        Format::Ecs => ecs::encode(event, out),
        Format::Ocsf => ocsf::encode(event, out),
        Format::Cim => cim::encode(event, out),
        Format::Native => native::encode(event, out),
    }
}

/// Appends a document as one JSON object and a newline.
fn write_line(document: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, document);
    // Memory does not fail, and no map here has a key that is not a string.
    debug_assert!(written.is_ok(), "{written:?}");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testing;

    #[test]
    fn the_format_of_every_event_can_be_told() {
        for event in [testing::exec(), testing::exit(), testing::loss()] {
            for format in Format::ALL {
                let mut line = Vec::new();
                encode(format, &event, &mut line);
                let event = serde_json::from_slice(&line).expect("JSON");
                assert_eq!(Format::of(&event), Some(format));
            }
        }
        assert_eq!(Format::of(&serde_json::json!({"process": {"pid": 7}})), None);
    }
}
