//! What must hold between settings and no schema can say: each sink has its own name and its own
//! output, outside the spool, and pauses that grow.
//!
//! It looks at the document, not at the model, so that these problems are told together with all
//! others; what is not what it should be is passed over, `check` has reported it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::path::{Component, Path, PathBuf};

use super::model::SPOOL_DIR_DEFAULT;
use super::problem::{Position, Problems, quote};
use super::tree::{Node, Value};
use super::units::Span;

/// Adds every sink that takes what an earlier one or the spool has.
pub(super) fn check(root: &Node, problems: &mut Problems) {
    let Some(Value::List(sinks)) = root.get("sinks").map(|sinks| &sinks.value) else {
        return;
    };
    let (mut names, mut paths, mut consoles) = (HashMap::new(), HashMap::new(), HashMap::new());
    let spool = root.get("spool").and_then(|spool| text(spool, "dir"));
    let spool = spool.map_or(SPOOL_DIR_DEFAULT, |(_, dir)| dir);
    for (index, sink) in sinks.iter().enumerate() {
        if let Some((node, name)) = text(sink, "name")
            && let Some(first) = earlier(&mut names, name, node.at)
        {
            let name = quote(name);
            let message = format!(
                "`sinks[{index}].name` must be unique, but the sink in line {first} is {name} too"
            );
            problems.add(node.at, message);
        }
        pauses(sink, index, problems);
        let Some((kind_node, kind)) = text(sink, "type") else {
            continue;
        };
        let path = format!("sinks[{index}]");
        format(sink, kind, &path, problems);
        match kind {
            "kafka" => super::kafka::check::check(sink, &path, problems),
            "http" | "elasticsearch" | "splunk_hec" => {
                super::http::check::check(sink, kind, &path, problems);
            }
            _ => {}
        }
        if kind == "file"
            && let Some((node, path)) = text(sink, "path")
            && let Some(first) = earlier(&mut paths, plain(path), node.at)
        {
            let message = format!(
                "`sinks[{index}].path` must be a file of its own, but line {first} has it already"
            );
            problems.add(node.at, message);
        }
        if kind == "file"
            && let Some((node, path)) = text(sink, "path")
        {
            place(node, path, spool, index, problems);
        }
        if kind == "console"
            && let Some(first) = earlier(&mut consoles, (), kind_node.at)
        {
            let message = format!(
                "`sinks[{index}]` is a second console, but there is one terminal; the first is in \
                 line {first}"
            );
            problems.add(kind_node.at, message);
        }
    }
}

/// Where a file sink writes: not into the spool, and not where a directory is.
fn place(node: &Node, path: &str, spool: &str, index: usize, problems: &mut Problems) {
    let message = if plain(path).starts_with(plain(spool)) {
        format!("must not be in the directory of the spool, {}", quote(spool))
    } else if Path::new(path).is_dir() {
        "is a directory; name a file in it, such as shipper.ndjson".to_owned()
    } else {
        return;
    };
    problems.add(node.at, format!("`sinks[{index}].path` {message}"));
}

/// Where `format` would change nothing, or the other side could not take it.
fn format(sink: &Node, kind: &str, path: &str, problems: &mut Problems) {
    let Some((node, format)) = text(sink, "format") else { return };
    let is_json = text(sink, "output").is_some_and(|(_, output)| output == "json");
    let message = match kind {
        "elasticsearch" if format != "ecs" => format!(
            "`{path}.format` must be ecs, since a data stream wants `@timestamp` and the mappings are \
             for ECS; for {} take a sink of type http or kafka",
            quote(format)
        ),
        "console" if !is_json => {
            format!("`{path}.format` is for JSON; add `output: json`, or leave it out")
        }
        _ => return,
    };
    problems.add(node.at, message);
}

/// The path without `.` and `..`, so that two of the same file compare.
fn plain(path: &str) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The first pause must not be longer than the longest. With one of them left out, its default
/// counts.
fn pauses(sink: &Node, index: usize, problems: &mut Problems) {
    let Some(retry) = sink.get("retry") else { return };
    let default = super::model::Retry::default();
    let given = |key| match text(retry, key) {
        Some((node, text)) => text.parse::<Span>().ok().map(|span| (Some(node.at), span)),
        None => retry.get(key).is_none().then_some((None, default_of(&default, key))),
    };
    if let (Some((initial_at, initial)), Some((max_at, max))) = (given("initial"), given("max"))
        && initial > max
        && let Some(at) = initial_at.or(max_at)
    {
        problems.add(
            at,
            format!(
                "`sinks[{index}].retry.initial` must not be longer than `retry.max`, but {initial} \
                 is longer than {max}"
            ),
        );
    }
}

fn default_of(retry: &super::model::Retry, key: &str) -> Span {
    if key == "max" { retry.max } else { retry.initial }
}

fn text<'a>(sink: &'a Node, key: &str) -> Option<(&'a Node, &'a str)> {
    let node = sink.get(key)?;
    Some((node, node.text()?))
}

/// The line in which an earlier sink has `key`; the first to ask has it from now on.
fn earlier<K: Eq + Hash>(seen: &mut HashMap<K, usize>, key: K, at: Position) -> Option<usize> {
    match seen.entry(key) {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(free) => {
            free.insert(at.line);
            None
        }
    }
}
