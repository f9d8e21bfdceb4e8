//! Texts with fields of an event in braces, such as the topic `audit.{event.action}`.
//!
//! Only fields that take few values, and none that whoever runs a program can choose: else anybody
//! on the machine could make topics at will.

use std::fmt::Write as _;

use super::ecs::Class;
use crate::event::Event;

/// Stands for a field that the event does not have.
const NONE: &str = "none";

/// A text with fields, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    EventAction,
    EventKind,
    HostName,
    HostId,
    UserId,
}

/// Every field, by the name it has in ECS.
const FIELDS: [(&str, Field); 5] = [
    ("event.action", Field::EventAction),
    ("event.kind", Field::EventKind),
    ("host.name", Field::HostName),
    ("host.id", Field::HostId),
    ("user.id", Field::UserId),
];

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its counterpart.
    #[error("has a `{{` or `}}` too many; a field is written {{event.action}}")]
    Brace,
    /// A field that is not known, or may not be used. The name is as the user wrote it.
    #[error("has an unknown field {0:?}")]
    Unknown(String),
}

impl Template {
    /// The names of all fields.
    pub fn fields() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|(name, _)| *name)
    }

    /// Reads a text: what is in braces is a field.
    ///
    /// # Errors
    ///
    /// When braces do not match, or a field is not known.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (plain, field) = rest.split_at(brace);
            if !plain.is_empty() {
                parts.push(Part::Text(plain.to_owned()));
            }
            let field = field.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, after) = field.split_once('}').ok_or(TemplateError::Brace)?;
            if name.contains('{') {
                return Err(TemplateError::Brace);
            }
            let known = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = known.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            parts.push(Part::Field(*field));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { parts })
    }

    /// The pieces of text around the fields.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        })
    }

    /// Whether it is the same for every event.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Field(_)))
    }

    /// Appends the text for an event. A field that it does not have is `none`.
    pub fn render(&self, event: &Event, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field) => field.render(event, out),
            }
        }
    }
}

impl Field {
    fn render(self, event: &Event, out: &mut String) {
        match (self, event) {
            (Field::EventAction, _) => out.push_str(Class::of(event).action),
            (Field::EventKind, _) => out.push_str(Class::of(event).kind),
            (Field::HostName, _) => or_none(&event.host().name, out),
            (Field::HostId, _) => or_none(&event.host().id, out),
            (Field::UserId, Event::Exec(exec)) => {
                let written = write!(out, "{}", exec.process.credentials.euid);
                debug_assert!(written.is_ok(), "a string takes everything");
            }
            (Field::UserId, Event::Exit(_) | Event::Loss(_)) => out.push_str(NONE),
        }
    }
}

fn or_none(text: &str, out: &mut String) {
    out.push_str(if text.is_empty() { NONE } else { text });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Host, testing};

    fn rendered(text: &str, event: &Event) -> String {
        let mut out = String::from(">");
        Template::parse(text).expect("a template").render(event, &mut out);
        out
    }

    #[test]
    fn fields_are_filled_from_the_event() {
        let all = "a.{event.action}.{event.kind}-{host.name}{host.id}_{user.id}";
        assert_eq!(rendered(all, &testing::exec()), ">a.exec.event-host-1machine-1_1000");
        assert_eq!(
            rendered(all, &testing::loss()),
            ">a.events-lost.pipeline_error-host-1machine-1_none"
        );
        assert_eq!(rendered(all, &testing::exit()), ">a.end.event-host-1machine-1_none");
        assert_eq!(rendered("", &testing::exec()), ">");
        assert_eq!(rendered("audit", &testing::exec()), ">audit");
    }

    #[test]
    fn a_field_the_machine_does_not_tell_is_none() {
        let Event::Loss(mut loss) = testing::loss() else { unreachable!("a loss") };
        loss.host = Host::default().into();
        assert_eq!(rendered("{host.id}.{host.name}", &Event::Loss(loss)), ">none.none");
    }

    #[test]
    fn braces_that_do_not_match_and_unknown_fields_are_errors() {
        let unknown = |name: &str| TemplateError::Unknown(name.to_owned());
        let cases = [
            ("{", TemplateError::Brace),
            ("a}", TemplateError::Brace),
            ("{a", TemplateError::Brace),
            ("{{event.action}}", TemplateError::Brace),
            ("{event.action}}", TemplateError::Brace),
            ("{}", unknown("")),
            ("{ event.action }", unknown(" event.action ")),
            ("{process.name}", unknown("process.name")),
        ];
        for (text, error) in cases {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn only_a_template_without_fields_is_constant() {
        let template = |text| Template::parse(text).expect("a template");
        assert!(template("a.b").is_constant());
        assert!(!template("a.{host.id}").is_constant());
        assert_eq!(template("a.{host.id}.b").texts().collect::<Vec<_>>(), ["a.", ".b"]);
    }
}
