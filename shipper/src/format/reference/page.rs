//! The fields as text: of one format for a terminal, of all for docs/events.md.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Kind, Row, examples, rows};
use crate::format::Format;
use crate::format::native::schema::FACTS;

/// Most characters of an example on the page.
const EXAMPLE_CHARS_MAX: usize = 80;

/// What stands above the fields of each format.
fn about(format: Format) -> &'static str {
    match format {
        Format::Ecs => {
            "`format: ecs`, the default. Fields of the Elastic Common Schema 9.4.0, and our own below \
             `shipper`, `process.Ext` and `user.audit`."
        }
        Format::Ocsf => {
            "`format: ocsf`. Process Activity (1007) for executions and ends of processes, Event Log \
             Activity (1008) for reports of records that were lost or left out. Below \
             `unmapped.shipper` are the facts that OCSF 1.8.0 has no place for, under their native names."
        }
        Format::Cim => {
            "`format: cim`. The names of Splunk's data set Endpoint.Processes, and below `shipper` the \
             whole event in the native format."
        }
        Format::Native => {
            "`format: native`. Every fact that shipper has, under its own name, and nothing that follows \
             from others."
        }
    }
}

/// The fields of a format, for people.
#[must_use]
pub fn text(format: Format) -> String {
    let examples = examples(format);
    let mut text = String::new();
    for row in rows(format) {
        let Row { name, kind, meaning, source, .. } = &row;
        line(&mut text, &format!("{name} ({})", kind.as_str()));
        line(&mut text, &format!("    {meaning}"));
        line(&mut text, &format!("    from: {source}"));
        if let Some(example) = example(&row, &examples) {
            line(&mut text, &format!("    example: {example}"));
        }
    }
    text
}

/// The page of reference for all formats, Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Fields of events\n\n\
         Written by `shipper schema reference > docs/events.md`; a test holds it to the program.\n\n\
         Times are RFC 3339 in UTC with nine digits of the second where nothing else is said. Bytes that \
         are not UTF-8 are there twice: with U+FFFD in their place, and exact in base64 in the field that \
         the table names. What was cut, could not be read or was looked up afterwards has a mark. A field \
         that is not known is left out.\n\n\
         Where a fact comes from is a structure and field of the kernel, a helper that the kernel \
         program calls, a file, or `shipper` for what it works out or decides itself. An executed script \
         in mode `tracepoint` is looked up in /proc afterwards: `source` says so.\n\n\
         ## The same fact in each format\n\n\
         | native | ECS | OCSF | CIM |\n|---|---|---|---|\n",
    );
    let [ecs, ocsf, cim] = [Format::Ecs, Format::Ocsf, Format::Cim].map(named);
    for fact in FACTS {
        let of = |names: &HashMap<&str, Vec<String>>| {
            names.get(fact.name).map_or_else(String::new, |names| names.join(", "))
        };
        line(
            &mut page,
            &format!("| `{}` | {} | {} | {} |", fact.name, of(&ecs), of(&ocsf), of(&cim)),
        );
    }
    for format in [Format::Ecs, Format::Ocsf, Format::Cim, Format::Native] {
        let examples = examples(format);
        line(&mut page, &format!("\n## {}\n\n{}\n", format.schema(), about(format)));
        line(&mut page, "| field | type | meaning | from | example |\n|---|---|---|---|---|");
        for row in rows(format) {
            let example = example(&row, &examples).map(|text| format!("`{text}`"));
            let cells = [row.meaning, row.source, example.as_deref().unwrap_or_default()]
                .map(|cell| cell.replace('|', "\\|"));
            line(
                &mut page,
                &format!("| `{}` | {} | {} |", row.name, row.kind.as_str(), cells.join(" | ")),
            );
        }
    }
    page
}

/// The fields of a format by the fact that they show.
fn named(format: Format) -> HashMap<&'static str, Vec<String>> {
    let mut names: HashMap<_, Vec<String>> = HashMap::new();
    for row in rows(format) {
        names.entry(row.of).or_default().push(format!("`{}`", row.name));
    }
    names
}

/// An example of a field on one line; of a list of objects its fields have some.
fn example(row: &Row, examples: &HashMap<String, Value>) -> Option<String> {
    if row.kind == Kind::Objects {
        return None;
    }
    let text = examples.get(&*row.name)?.to_string();
    let cut = text.char_indices().nth(EXAMPLE_CHARS_MAX).map(|(at, _)| &text[..at]);
    Some(cut.map_or_else(|| text.clone(), |cut| format!("{cut}…")))
}

fn line(out: &mut String, text: &str) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
