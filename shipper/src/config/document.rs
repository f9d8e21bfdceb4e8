//! YAML text to a tree that knows the line and column of every key and value.
//!
//! The tree is built from the parser's events, not by saphyr's loader, which recurses as deep as
//! the text nests and stops at the first doubled key. Size, depth and what aliases expand to are
//! bounded here, so that everything behind may recurse over the tree.

use std::collections::HashMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::problem::{Position, Problems, line_lengths, quote, sanitize};
use super::tree::{Entry, Node, Value};

/// Largest configuration, in bytes: far above any real one, and small enough to read at once.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;

/// Most keys and values, those that aliases repeat included.
const NODES_MAX: usize = 20_000;

/// Deepest nesting. The model needs 5.
const DEPTH_MAX: usize = 32;

/// Reads the one document of `text`, an empty one as `Null`. Problems that leave the rest readable
/// (a key given twice, a tag) are added and reading goes on; after any other, `None`.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > FILE_BYTES_MAX {
        problems.add(Position::START, format!("the file is larger than {FILE_BYTES_MAX} bytes"));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(problems, line_lengths(text));
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                let (info, advice) = (sanitize(error.info()), advice(error.info()));
                let message = format!("this is not valid YAML: {info}{advice}");
                Err((builder.position(*error.marker()), message))
            }
        };
        if let Err((at, message)) = step {
            builder.problems.add(at, message);
            return None;
        }
    }
    Some(builder.root.unwrap_or(Node { at: Position::START, value: Value::Null }))
}

/// What to do about what the parser says, where the cause is likely.
fn advice(info: &str) -> &'static str {
    if info.contains("mapping values are not allowed") {
        "; a text with `: ` in it stands in quotes, or below `>-`"
    } else if info.contains("trailing content after") {
        "; a text that begins with a quote ends with it: put the whole in quotes, or below `>-`"
    } else if info.contains("valid YAML whitespace") || info.contains("tabs") {
        "; YAML wants blanks, not tabs"
    } else {
        ""
    }
}

/// A problem after which the rest of the file has no meaning.
type Fatal = (Position, String);

/// A list or mapping that is not closed yet.
enum Open {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map { at: Position, anchor: usize, entries: Vec<Entry>, key: Option<Key> },
}

/// A key whose value comes next. `name` is `None` for one that was already reported.
struct Key {
    at: Position,
    name: Option<String>,
}

struct Builder<'p> {
    problems: &'p mut Problems,
    /// Characters in each line of the text.
    lines: Vec<usize>,
    open: Vec<Open>,
    /// Nodes that can be repeated, by the parser's number of the anchor.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Bytes of text that aliases have repeated.
    repeated_bytes: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'p> Builder<'p> {
    fn new(problems: &'p mut Problems, lines: Vec<usize>) -> Self {
        Builder {
            problems,
            lines,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            repeated_bytes: 0,
            documents: 0,
            root: None,
        }
    }

    /// Where the parser is. It counts a line too many at the end of the text, and a column too many
    /// behind some characters that are not allowed; nobody could look there.
    fn position(&self, marker: Marker) -> Position {
        let line = marker.line().clamp(1, self.lines.len());
        let end = self.lines[line - 1] + 1;
        let column = if marker.line() > line { end } else { end.min(marker.col() + 1) };
        Position { line, column }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        let at = self.position(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second YAML document begins here; a configuration is one \
                                   document, remove this and what follows";
                    return Err((at, message.into()));
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let value = self.scalar(&text, style, tag.as_deref(), at);
                self.close(Node { at, value }, anchor);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.container(tag.as_deref(), "seq", at)?;
                self.open.push(Open::List { at, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                self.container(tag.as_deref(), "map", at)?;
                self.open.push(Open::Map { at, anchor, entries: Vec::new(), key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                match self.open.pop() {
                    Some(Open::List { at, anchor, items }) => {
                        self.close(Node { at, value: Value::List(items) }, anchor);
                    }
                    Some(Open::Map { at, anchor, entries, .. }) => {
                        self.close(Node { at, value: Value::Map(entries) }, anchor);
                    }
                    None => return Err((at, "this is not valid YAML: nothing to close".into())),
                }
                Ok(())
            }
        }
    }

    /// Takes a finished node to where it belongs.
    fn close(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                None => *key = Some(read_key(node, entries, self.problems)),
                Some(Key { at, name: Some(key) }) => entries.push(Entry { key, at, value: node }),
                Some(Key { name: None, .. }) => {}
            },
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Value {
        let core = tag.filter(|tag| tag.is_yaml_core_schema());
        if core.is_none() {
            self.refuse_tag(tag, at);
        }
        let core = core.cloned().map(std::borrow::Cow::Owned);
        match Scalar::parse_from_cow_and_metadata(text.into(), style, core.as_ref()) {
            Some(Scalar::Null) => Value::Null,
            Some(Scalar::Boolean(value)) => Value::Bool(value),
            Some(Scalar::Integer(value)) => Value::Integer(value),
            Some(Scalar::FloatingPoint(_)) => Value::Float(text.to_owned()),
            Some(Scalar::String(text)) => Value::Text(text.into_owned()),
            None => {
                // Neither text nor tag is repeated, here or below: who writes down a secret, and
                // begins it with `!`, has written a tag.
                self.problems.add(at, "this is not what its tag (`!!…`) says");
                Value::Text(text.to_owned())
            }
        }
    }

    fn container(&mut self, tag: Option<&Tag>, core: &str, at: Position) -> Result<(), Fatal> {
        self.count(1, at)?;
        if self.open.len() >= DEPTH_MAX {
            return Err((at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.refuse_tag(tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == core)), at);
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, at: Position) {
        if tag.is_some() {
            let message = "a tag (`!…`) has no meaning here; remove it, or put the text in quotes";
            self.problems.add(at, message);
        }
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Fatal> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err((at, "this alias stands inside what it repeats".into()));
        };
        let weight = node.weigh();
        self.count(weight.nodes, at)?;
        self.repeated_bytes += weight.bytes;
        if self.repeated_bytes > FILE_BYTES_MAX {
            return Err((at, format!("aliases repeat more than {FILE_BYTES_MAX} bytes")));
        }
        if self.open.len() + weight.depth > DEPTH_MAX {
            return Err((at, format!("nested deeper than {DEPTH_MAX} levels by this alias")));
        }
        self.close(node, 0);
        Ok(())
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err((at, format!("more than {NODES_MAX} keys and values")));
        }
        Ok(())
    }
}

/// A node in the place of a key. What cannot be one is reported, and its value will be dropped.
fn read_key(node: Node, entries: &[Entry], problems: &mut Problems) -> Key {
    let Node { at, value } = node;
    let name = match value {
        Value::Text(name) => name,
        other => {
            let message = match other.shown() {
                Some(text) => format!("the key {text} must be text; put it in quotes"),
                None => format!("a key must be text, but this is {}", other.describe()),
            };
            problems.add(at, message);
            return Key { at, name: None };
        }
    };
    if let Some(first) = entries.iter().find(|entry| entry.key == name) {
        let message =
            format!("key {} is given twice, first in line {}", quote(&name), first.at.line);
        problems.add(at, message);
        return Key { at, name: None };
    }
    Key { at, name: Some(name) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn read_all(text: &str) -> (Option<Json>, Vec<String>) {
        let mut problems = Problems::new("f");
        let root = read(text, &mut problems).map(|root| root.to_json());
        (root, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_and_value_knows_its_line_and_column() {
        let mut problems = Problems::new("f");
        let root = read("# head\na:\n  - b: é\n    'c': [1, 2]\n", &mut problems).expect("valid");
        let item = |node: &Node| match &node.value {
            Value::List(items) => items[0].clone(),
            other => unreachable!("a list, not {other:?}"),
        };
        let at = |node: &Node| (node.at.line, node.at.column);
        let list = root.get("a").expect("a");
        let map = item(list);
        let Value::Map(entries) = &map.value else { unreachable!("a mapping") };
        assert_eq!(at(list), (3, 3));
        assert_eq!(at(&map), (3, 5));
        assert_eq!((entries[1].at.line, entries[1].at.column), (4, 5));
        assert_eq!(at(&entries[0].value), (3, 8));
        assert_eq!(at(&item(&entries[1].value)), (4, 11));
    }

    #[test]
    fn scalars_are_understood_by_the_core_schema() {
        let (json, problems) = read_all("[~, true, 7, -0x1, 1.5, '7', no, !!str 7, \"\"]");
        let expected = serde_json::json!([null, true, 7, "-0x1", 1.5, "7", "no", "7", ""]);
        assert_eq!((json, problems), (Some(expected), vec![]));
    }

    #[test]
    fn doubled_keys_odd_keys_and_tags_are_all_reported_and_reading_goes_on() {
        let (json, problems) = read_all("a: 1\na: 2\n1: x\n[b]: y\n~: z\nc: !secret d\n? a\n");
        assert_eq!(json, Some(serde_json::json!({"a": 1, "c": "d"})));
        assert_eq!(
            problems,
            [
                "f:2:1: key `a` is given twice, first in line 1",
                "f:3:1: the key `1` must be text; put it in quotes",
                "f:4:1: a key must be text, but this is a list",
                "f:5:1: a key must be text, but this is empty",
                "f:6:4: a tag (`!…`) has no meaning here; remove it, or put the text in quotes",
                "f:7:3: key `a` is given twice, first in line 1",
            ]
        );
    }

    #[test]
    fn an_alias_repeats_its_anchor() {
        let (json, problems) = read_all("a: &x { b: 1 }\nc: *x\n");
        assert_eq!(json, Some(serde_json::json!({"a": {"b": 1}, "c": {"b": 1}})));
        assert!(problems.is_empty());
    }

    #[test]
    fn what_cannot_be_read_gives_one_problem_with_its_place() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                    e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
        let long = format!("a: &a {}\nb: [*a, *a]\n", "x".repeat(FILE_BYTES_MAX - 100));
        let tower: String = "a0: &a0 [[[[]]]]\n".to_owned()
            + &(1..9).map(|i| format!("a{i}: &a{i} [[[[*a{}]]]]\n", i - 1)).collect::<String>();
        let cases = [
            (
                "a: b: c\n",
                "f:1:5: this is not valid YAML: mapping values are not allowed in this context; a \
                 text with `: ` in it stands in quotes, or below `>-`",
            ),
            (
                "a: 'b' in c\n",
                "f:1:8: this is not valid YAML: invalid trailing content after double-quoted scalar; \
                 a text that begins with a quote ends with it: ",
            ),
            (
                "a:\tb: c\n",
                "f:1:4: this is not valid YAML: ':' must be followed by a valid YAML whitespace; YAML \
                 wants blanks, not tabs",
            ),
            (
                "a:\n\t- b\n",
                "f:2:2: this is not valid YAML: tabs disallowed within this context (block \
                 indentation); YAML wants blanks, not tabs",
            ),
            ("a: [1, 2\nb: 3\n", "f:"),
            ("a: 1\n---\nb: 2\n", "f:2:1: a second YAML document begins here; "),
            (&"[".repeat(100), "f:1:33: nested deeper than 32 levels"),
            (&"- ".repeat(100_000), "f:1:65: nested deeper than 32 levels"),
            ("a: *b\n", "f:1:4: this is not valid YAML: while parsing node, found unknown anchor"),
            ("&a [*a]\n", "f:1:5: this alias stands inside what it repeats"),
            (bomb, "f:5:5: more than 20000 keys and values"),
            (&long, "f:2:9: aliases repeat more than 1048576 bytes"),
            (&tower, "f:8:13: nested deeper than 32 levels by this alias"),
            (&"x ".repeat(FILE_BYTES_MAX), "f:1:1: the file is larger than 1048576 bytes"),
        ];
        for (text, start) in cases {
            let (json, problems) = read_all(text);
            assert!(json.is_none() && problems.len() == 1, "{problems:?}");
            assert!(problems[0].starts_with(start), "{} is not {start}", problems[0]);
        }
    }
}
