//! What must hold between sinks and no schema can say: each has its own name and its own output.
//!
//! It looks at the document, not at the model, so that these problems are told together with all
//! others; what is not what it should be is passed over, `check` has reported it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::path::Path;

use super::problem::{Position, Problems, quote};
use super::tree::{Node, Value};

/// Adds every sink that takes what an earlier one has.
pub(super) fn check(root: &Node, problems: &mut Problems) {
    let Some(Value::List(sinks)) = root.get("sinks").map(|sinks| &sinks.value) else {
        return;
    };
    let (mut names, mut paths, mut consoles) = (HashMap::new(), HashMap::new(), HashMap::new());
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
        let Some((kind_node, kind)) = text(sink, "type") else {
            continue;
        };
        // Paths are equal to the standard library when their components are: `a//b` is `a/b`.
        if kind == "file"
            && let Some((node, path)) = text(sink, "path")
            && let Some(first) = earlier(&mut paths, Path::new(path), node.at)
        {
            let message = format!(
                "`sinks[{index}].path` must be a file of its own, but line {first} has it already"
            );
            problems.add(node.at, message);
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
