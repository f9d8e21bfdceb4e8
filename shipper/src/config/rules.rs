//! Rules from the configuration and from files of their own: read, checked with the place of everything
//! that is wrong, and made ready to be tried.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::{DedupRule, EventRule, Grade, RuleTest, RulesFile};
use super::problem::{Position, Problem, Problems, quote};
use super::tree::{Node, Value};
use super::{ConfigError, check, document, nearest};
use crate::event::Severity;
use crate::rules::field::Field;
use crate::rules::{Dedup, Expression, Lists, Place, Record, Rule};

/// A rule that is valid, and the tests that stand with it.
#[derive(Clone, Debug)]
pub struct TestedRule {
    /// The rule.
    pub rule: Rule,
    /// Its tests.
    pub tests: Vec<RuleTest>,
    /// Where it stands.
    pub file: Arc<str>,
    /// Its line there.
    pub line: usize,
}

impl TestedRule {
    /// Tries its tests; each that is not as it says, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failed = |(index, test): (usize, &RuleTest)| {
            let fields = test.event.iter().map(|(name, value)| (name, &value.0));
            let what = match Record::made(fields) {
                Err(error) => error,
                Ok(record) => match (self.rule.matches(&record), test.matches) {
                    (true, false) => "it matches and must not".to_owned(),
                    (false, true) => "it does not match and must".to_owned(),
                    _ => return None,
                },
            };
            let name = test.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            Some(format!("tests[{index}]{name}: {what}"))
        };
        self.tests.iter().enumerate().filter_map(failed).collect()
    }
}

/// What is gathered over all files.
#[derive(Default)]
pub(super) struct Gathered {
    /// Rules so far.
    pub(super) rules: Vec<TestedRule>,
    ids: HashMap<String, (Arc<str>, usize)>,
    files: HashSet<PathBuf>,
}

/// A document with what is needed to tell places in it.
pub(super) struct Text<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

/// Reads files of rules, or all `*.yaml` and `*.yml` of a directory, in the order of their names.
///
/// # Errors
/// When one cannot be read, or anything in one is wrong: everything that is.
pub fn load(paths: &[PathBuf]) -> Result<Vec<TestedRule>, ConfigError> {
    let mut gathered = Gathered::default();
    let mut found = Vec::new();
    for path in paths {
        for file in files(path).map_err(|source| unreadable(path, source))? {
            gathered.file(&file, &mut found)?;
        }
    }
    if found.is_empty() { Ok(gathered.rules) } else { Err(ConfigError::Invalid(found)) }
}

fn unreadable(path: &Path, source: std::io::Error) -> ConfigError {
    if source.kind() == std::io::ErrorKind::NotFound {
        return ConfigError::NoRules(path.into());
    }
    ConfigError::Unreadable { path: path.into(), source }
}

/// The file itself, or those of a directory. What is hidden there is not meant: editors leave such.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let file = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_yaml = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_yaml && !is_hidden {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

impl Gathered {
    /// Reads one file of rules.
    fn file(&mut self, path: &Path, found: &mut Vec<Problem>) -> Result<(), ConfigError> {
        // A pipe might never end, and opening one might wait for ever.
        let kind = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if !kind.is_file() {
            let source = std::io::Error::other("it is no regular file");
            return Err(ConfigError::Unreadable { path: path.into(), source });
        }
        let bytes = super::read(path)?;
        let name = path.to_string_lossy();
        let mut problems = Problems::new(&name);
        let whole = path.canonicalize().map_err(|source| unreadable(path, source))?;
        if !self.files.insert(whole) {
            problems.add(Position::START, "this file of rules is named twice");
            found.extend(problems.into_sorted());
            return Ok(());
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.text(&Text { name: &name, text }, &mut problems),
            Err(_) => problems.add(Position::START, "this is not UTF-8 text"),
        }
        found.extend(problems.into_sorted());
        Ok(())
    }

    /// Takes in the text of a file of rules.
    fn text(&mut self, text: &Text<'_>, problems: &mut Problems) {
        let Some(root) = document::read(text.text, problems) else { return };
        check::check(&root, &super::schema_of::<RulesFile>(), problems);
        let sound = problems.is_empty();
        if let Some(rules) = root.get("rules") {
            self.list(rules, sound, text, problems);
        }
    }

    /// Takes in a list of rules. `sound`: the schema has found nothing wrong with it.
    pub(super) fn list(
        &mut self,
        list: &Node,
        sound: bool,
        text: &Text<'_>,
        problems: &mut Problems,
    ) {
        let Value::List(items) = &list.value else { return };
        let dir = Path::new(text.name).parent().unwrap_or(Path::new(""));
        let mut lists = Lists::new(dir);
        for (index, node) in items.iter().enumerate() {
            self.unique(node, index, text, problems);
            let mut expression = |key: &str| {
                let path = format!("rules[{index}].{key}");
                expression(node.get(key)?, &path, Place::Rule, &mut lists, text, problems)
            };
            let (when, suppress) = (expression("when"), expression("suppress"));
            let by = node.get("dedup").and_then(|dedup| dedup.get("by"));
            let by = by.and_then(|by| fields(by, index, problems));
            // A value that the schema has refused was reported by it.
            if !sound {
                continue;
            }
            let model = serde_json::from_value::<EventRule>(node.to_json());
            if let (Ok(model), Some(when)) = (model, when) {
                self.rules.push(TestedRule {
                    rule: rule(&model, when, suppress, by),
                    tests: model.tests,
                    file: text.name.into(),
                    line: node.at.line,
                });
            }
        }
    }

    fn unique(&mut self, node: &Node, index: usize, text: &Text<'_>, problems: &mut Problems) {
        let Some(at) = node.get("id") else { return };
        let Some(id) = at.text() else { return };
        if let Some((file, line)) = self.ids.get(id) {
            let message = format!(
                "`rules[{index}].id` must be unique, but the rule in {file}:{line} is {} too",
                quote(id)
            );
            problems.add(at.at, message);
        } else {
            self.ids.insert(id.to_owned(), (text.name.into(), at.at.line));
        }
    }

    /// Rules of the configuration, and of the files that it names.
    pub(super) fn configuration(
        &mut self,
        root: &Node,
        text: &Text<'_>,
        problems: &mut Problems,
    ) -> Vec<Problem> {
        let sound = problems.is_empty();
        if let Some(rules) = root.get("rules") {
            self.list(rules, sound, text, problems);
        }
        let mut elsewhere = Vec::new();
        let Some(Value::List(paths)) = root.get("rules_files").map(|paths| &paths.value) else {
            return elsewhere;
        };
        for (index, node) in paths.iter().enumerate() {
            let Some(path) = node.text() else { continue };
            let files = files(Path::new(path)).map_err(|source| {
                let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
                format!("{}: {source}", whole.display())
            });
            let read = files.and_then(|files| {
                files.iter().try_for_each(|file| {
                    self.file(file, &mut elsewhere).map_err(|error| error.to_string())
                })
            });
            if let Err(error) = read {
                let message = format!("`rules_files[{index}]` cannot be read: {error}");
                problems.add(node.at, message);
            }
        }
        elsewhere
    }
}

/// The expressions by which sinks choose, in the order of the sinks.
pub(super) fn of_sinks(
    root: &Node,
    text: &Text<'_>,
    problems: &mut Problems,
) -> Vec<Option<Expression>> {
    let Some(Value::List(sinks)) = root.get("sinks").map(|sinks| &sinks.value) else {
        return Vec::new();
    };
    let mut lists = Lists::new(Path::new(text.name).parent().unwrap_or(Path::new("")));
    let mut each = |(index, sink): (usize, &Node)| {
        let path = format!("sinks[{index}].when");
        expression(sink.get("when")?, &path, Place::Sink, &mut lists, text, problems)
    };
    sinks.iter().enumerate().map(&mut each).collect()
}

/// `None` where it is not valid, which is added to the problems, or no text, which the schema finds.
fn expression(
    node: &Node,
    path: &str,
    place: Place,
    lists: &mut Lists,
    text: &Text<'_>,
    problems: &mut Problems,
) -> Option<Expression> {
    let source = node.text()?;
    match Expression::new(source, place, lists) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let at = within(text.text, node.at, source, error.at).unwrap_or(node.at);
            let column = error.at + 1;
            problems.add(at, format!("`{path}`, character {column}: {}", error.message));
            None
        }
    }
}

/// Where in the file a character of a text is, however the text is quoted or folded: both are walked
/// over in step, without the blanks. `None` where they do not agree.
fn within(file: &str, at: Position, text: &str, before: usize) -> Option<Position> {
    let mut place = Position { line: at.line, column: 0 };
    let line_start = file.split_inclusive('\n').take(at.line - 1).map(str::len).sum::<usize>();
    let mut chars = file[line_start..].chars().skip(at.column - 1).peekable();
    place.column = at.column;
    let mut step = |chars: &mut std::iter::Peekable<_>| -> Option<(char, Position)> {
        let here = place;
        let c: char = Iterator::next(chars)?;
        if c == '\n' {
            place = Position { line: place.line + 1, column: 1 };
        } else {
            place.column += 1;
        }
        Some((c, here))
    };
    let quote = chars.peek().copied().filter(|c| matches!(c, '"' | '\''));
    if quote.is_some() {
        step(&mut chars)?;
    } else if matches!(chars.peek(), Some('|' | '>')) {
        while step(&mut chars)?.0 != '\n' {}
    }
    let wanted = text.chars().enumerate().filter(|(_, c)| !c.is_whitespace());
    let mut last = None;
    for (index, c) in wanted {
        let here = loop {
            let (found, here) = step(&mut chars)?;
            if found == c {
                // A quote within quotes is written twice.
                if quote == Some('\'') && c == '\'' {
                    step(&mut chars)?;
                }
                break here;
            }
            if !(found.is_whitespace() || (quote == Some('"') && found == '\\')) {
                return None;
            }
        };
        if index >= before {
            return Some(here);
        }
        last = Some(Position { line: here.line, column: here.column + 1 });
    }
    // Something is missing at its end.
    last
}

/// Fields by which matches are alike.
fn fields(list: &Node, index: usize, problems: &mut Problems) -> Option<Vec<Field>> {
    let Value::List(items) = &list.value else { return None };
    let mut fields = Vec::new();
    for (place, node) in items.iter().enumerate() {
        let name = node.text()?;
        match Field::of_name(name) {
            Some(Field::List(field)) if field.is_of_matches() => problems.add(
                node.at,
                format!(
                    "`rules[{index}].dedup.by[{place}]` must be a field of the event, but is {}",
                    quote(name)
                ),
            ),
            Some(field) => fields.push(field),
            None => {
                let advice = match nearest(name, Field::all().map(|(known, ..)| known)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "`shipper rules fields` lists all".to_owned(),
                };
                problems.add(
                    node.at,
                    format!(
                        "`rules[{index}].dedup.by[{place}]`: there is no field {}; {advice}",
                        quote(name)
                    ),
                );
            }
        }
    }
    Some(fields)
}

fn rule(
    model: &EventRule,
    when: Expression,
    suppress: Option<Expression>,
    by: Option<Vec<Field>>,
) -> Rule {
    let dedup = |dedup: &DedupRule| Dedup { by: by.unwrap_or_default(), window: dedup.window.0 };
    Rule {
        id: model.id.as_str().into(),
        name: model.name.as_ref().unwrap_or(&model.id).as_str().into(),
        severity: match model.severity {
            Grade::Informational => Severity::Informational,
            Grade::Low => Severity::Low,
            Grade::Medium => Severity::Medium,
            Grade::High => Severity::High,
            Grade::Critical => Severity::Critical,
        },
        tags: model.tags.iter().map(|tag| tag.0.as_str().into()).collect(),
        when,
        suppress,
        dedup: model.dedup.as_ref().map(dedup),
    }
}

#[cfg(test)]
mod tests;
