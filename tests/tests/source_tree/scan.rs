//! A source file as tokens, each with its line: without comments, string literals and test code.

/// A Rust source file, read for what its code names.
pub struct Source {
    /// Path below the workspace, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Identifiers, `::`, and single characters of punctuation, outside `#[cfg(test)]` items.
    tokens: Vec<Token>,
    /// Lines that are not in a `#[cfg(test)]` item.
    pub lines: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    /// Reads it.
    pub fn new(path: &str, text: &str) -> Source {
        let all = tokens(text);
        let (kept, test_lines) = without_tests(&all);
        let lines = text.lines().count() - test_lines;
        Source { path: path.to_owned(), text: text.to_owned(), tokens: kept, lines }
    }

    /// Lines that name the module or crate in a path: `name::x`, `crate::name`, `use name`.
    pub fn names(&self, name: &str) -> Vec<usize> {
        let mut in_use = false;
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "use" => in_use = true,
                ";" => in_use = false,
                text if text == name => {
                    let path = in_use || self.is(at + 1, "::") || (at > 0 && self.is(at - 1, "::"));
                    if path && !self.declares(name) {
                        found.push(token.line);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Lines where this sequence of tokens begins.
    pub fn sequences(&self, wanted: &[&str]) -> Vec<usize> {
        (0..self.tokens.len())
            .filter(|&at| wanted.iter().enumerate().all(|(n, text)| self.is(at + n, text)))
            .map(|at| self.tokens[at].line)
            .collect()
    }

    /// Lines that start a thread or a task. A process is spawned without arguments.
    pub fn spawns(&self) -> Vec<usize> {
        let called = |name, at| self.is(at, name) && self.is(at + 1, "(");
        (0..self.tokens.len())
            .filter(|&at| {
                (called("spawn", at) && !self.is(at + 2, ")"))
                    || called("spawn_blocking", at)
                    || called("spawn_local", at)
                    || (called("scope", at) && at > 1 && self.is(at - 2, "thread"))
            })
            .map(|at| self.tokens[at].line)
            .collect()
    }

    /// Lines with an `unsafe` block, function or impl that no comment `SAFETY:` stands above: in the
    /// eight lines before, without an empty line between.
    pub fn unexplained_unsafe(&self) -> Vec<usize> {
        let lines: Vec<&str> = self.text.lines().collect();
        let explained = |line: usize| {
            let above = lines[..line].iter().rev().take(9);
            above
                .take_while(|text| !text.trim().is_empty())
                // What a caller of an unsafe function must see to stands in its documentation.
                .any(|text| text.contains("// SAFETY: ") || text.contains("/// # Safety"))
        };
        (0..self.tokens.len())
            .filter(|&at| self.is(at, "unsafe") && !self.is(at + 1, "("))
            .map(|at| self.tokens[at].line)
            .filter(|&line| !explained(line))
            .collect()
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == text)
    }

    /// It has a child module of that name, which is then meant.
    fn declares(&self, name: &str) -> bool {
        !self.sequences(&["mod", name, ";"]).is_empty()
            && self.sequences(&["crate", "::", name]).is_empty()
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let (length, keep) = if rest.starts_with(b"//") {
            (rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()), false)
        } else if let Some(length) = raw_string(rest) {
            (length, false)
        } else if word > 0 {
            (word, true)
        } else if rest[0] == b'"' {
            (string(rest), false)
        } else if rest[0] == b'\'' {
            (character(rest), false)
        } else if rest.starts_with(b"::") {
            (2, true)
        } else {
            (1, !rest[0].is_ascii_whitespace())
        };
        if keep {
            let text = String::from_utf8_lossy(&rest[..length]).into_owned();
            tokens.push(Token { text, line });
        }
        line += rest[..length].iter().filter(|&&b| b == b'\n').count();
        at += length;
    }
    tokens
}

/// Length of `"..."` with escapes.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of `r"..."`, `br#"..."#` and the like.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = usize::from(rest[0] == b'b');
    if rest.get(start) != Some(&b'r') {
        return None;
    }
    let hashes = rest[start + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = start + 1 + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let end = rest[open + 1..].windows(close.len()).position(|window| window == close)?;
    Some(open + 1 + end + close.len())
}

/// Length of a character literal; 1 for the quote of a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|&b| b == b'\'');
        return end.map_or(1, |end| end + 4);
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(5)]).into_owned();
    let first = text.chars().next().map_or(1, char::len_utf8);
    if rest.get(1 + first) == Some(&b'\'') { first + 2 } else { 1 }
}

/// The tokens outside `#[cfg(test)]` items, and how many lines those items have.
fn without_tests(all: &[Token]) -> (Vec<Token>, usize) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut lines, mut at) = (Vec::new(), 0, 0);
    while at < all.len() {
        if !MARK
            .iter()
            .enumerate()
            .all(|(n, text)| all.get(at + n).is_some_and(|t| t.text == *text))
        {
            kept.push(all[at].clone());
            at += 1;
            continue;
        }
        let begin = all[at].line;
        at += MARK.len();
        let mut depth = 0usize;
        while at < all.len() {
            match all[at].text.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = depth == 0 && matches!(all[at].text.as_str(), "}" | ";");
            at += 1;
            if ends {
                break;
            }
        }
        lines += all[at - 1].line - begin + 1;
    }
    (kept, lines)
}

#[test]
fn only_code_counts_not_comments_strings_or_tests() {
    let source = Source::new(
        "x.rs",
        r##"
//! aya::Ebpf
use std::fmt; // aya::Ebpf
const A: &str = "aya::Ebpf \" aya::Ebpf";
const B: &[u8] = br#"aya::Ebpf " "#;
fn f<'a>(x: &'a str) -> char { let q = '"'; let r = '\''; aya::load(q, r) }
#[cfg(test)]
mod tests {
    use aya::Ebpf;
}
fn g() { aya::load() }
"##,
    );
    assert_eq!(source.names("aya"), [6, 11]);
    assert_eq!(source.names("std"), [3]);
    assert_eq!(source.lines, 11 - 4);
}

#[test]
fn a_module_is_found_in_every_form_of_path_and_a_variable_is_none() {
    let names = |text| Source::new("x.rs", text).names("spool").len();
    for named in [
        "use crate::spool::Frame;",
        "use crate::{event, spool};",
        "use super::super::spool;",
        "fn f() { crate::spool::open() }",
        "fn f(x: spool::Frame) {}",
    ] {
        assert_eq!(names(named), 1, "{named}");
    }
    for other in
        ["fn f(spool: u8) { spool + 1 }", "use crate::spooler;", "mod spool; use spool::X;"]
    {
        assert_eq!(names(other), 0, "{other}");
    }
}

#[test]
fn threads_and_tasks_are_found_and_processes_are_not() {
    let spawns = |text| Source::new("x.rs", text).spawns().len();
    assert_eq!(spawns("fn f() { std::thread::spawn(|| 1); runtime.spawn(async {}) }"), 2);
    assert_eq!(spawns("fn f() { std::thread::scope(|s| 1); tokio::task::spawn_blocking(f) }"), 2);
    assert_eq!(spawns("fn f() { Command::new(\"ls\").spawn()? }"), 0);
}

#[test]
fn an_unsafe_block_needs_its_comment_and_an_attribute_none() {
    let unexplained = |text| Source::new("x.rs", text).unexplained_unsafe();
    assert_eq!(unexplained("fn f() {\n    unsafe { g() }\n}"), [2]);
    assert_eq!(unexplained("// SAFETY: far away.\n\nfn f() { unsafe { g() } }"), [3]);
    assert!(unexplained("// SAFETY: it is fine.\nfn f() { unsafe { g() } }").is_empty());
    assert!(unexplained("#[unsafe(no_mangle)]\nfn f() {}").is_empty());
}
