//! The functions of expressions: tests of a text, sizes, lists from files.

use std::str::FromStr as _;

use cel::common::ast::{CallExpr, IdedExpr};

use super::compile::{Checked, Compiler, IN_ONLY, Typed};
use super::node::{Items, Node, Number, Test, Text};

/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// What there is, for whoever writes another name.
const KNOWN: &str = "the functions are startsWith, endsWith, contains, matches, glob, cidr, size and \
                     lines, with `exists` and `all` for lists and `has` for fields";

/// A call by its name.
pub(super) fn call(
    compiler: &mut Compiler<'_>,
    expr: &IdedExpr,
    call: &CallExpr,
) -> Checked<Typed> {
    let args = call.args.as_slice();
    match (call.func_name.as_str(), call.target.as_deref(), args) {
        ("size", Some(of), []) | ("size", None, [of]) => size(compiler, of).map(Typed::Number),
        ("lines", None, [path]) => lines(compiler, path).map(Typed::Items),
        (name @ ("startsWith" | "endsWith" | "contains"), Some(text), [part]) => {
            let text = compiler.text(text)?;
            let part = compiler.text(part)?;
            let test = match name {
                "startsWith" => Test::StartsWith(part),
                "endsWith" => Test::EndsWith(part),
                _ => match part {
                    Text::Literal(part) => {
                        let finder = memchr::memmem::Finder::new(&part).into_owned();
                        Test::ContainsLiteral(Box::new(finder))
                    }
                    part => Test::Contains(part),
                },
            };
            Ok(Typed::Bool(Node::Test { text, test }))
        }
        (name @ ("matches" | "glob" | "cidr"), Some(text), [pattern]) => {
            let text = compiler.text(text)?;
            let test = tested(compiler, name, pattern)?;
            Ok(Typed::Bool(Node::Test { text, test }))
        }
        ("exists" | "all" | "has" | "exists_one" | "existsOne" | "map" | "filter", ..) => {
            compiler.error(expr, "it is `list.exists(x, ...)`, `list.all(x, ...)` or `has(field)`")
        }
        ("size" | "lines", ..) => {
            compiler.error(expr, "it is `size(list)`, `size(text)` or `lines('FILE')`")
        }
        (name @ ("startsWith" | "endsWith" | "contains" | "matches" | "glob" | "cidr"), ..) => {
            compiler.error(expr, format!("it is `text.{name}('...')`"))
        }
        (name, ..) => {
            let shown: String = name.chars().take(64).collect();
            compiler.error(expr, format!("there is no function `{shown}`; {KNOWN}"))
        }
    }
}

fn size(compiler: &mut Compiler<'_>, of: &IdedExpr) -> Checked<Number> {
    match compiler.typed(of)? {
        Typed::Ancestors => Ok(Number::Ancestors),
        Typed::Items(Items::Set(_)) => compiler.error(of, IN_ONLY),
        Typed::Items(items) => Ok(Number::Count(items)),
        Typed::Text(text) => Ok(Number::Length(text)),
        other => compiler
            .error(of, format!("`size` is of a list or a text, but this is {}", other.describe())),
    }
}

/// A text that stands there as it is.
fn literal(compiler: &mut Compiler<'_>, expr: &IdedExpr) -> Checked<String> {
    match compiler.text(expr)? {
        Text::Literal(bytes) => match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(text),
            Err(_) => compiler.error(expr, "this must be UTF-8"),
        },
        _ => compiler.error(expr, "this must be a text in quotes: it is looked at once, at start"),
    }
}

fn lines(compiler: &mut Compiler<'_>, path: &IdedExpr) -> Checked<Items> {
    let name = literal(compiler, path)?;
    match compiler.lists.read(&name) {
        Ok(set) => Ok(Items::Set(set)),
        Err(message) => compiler.error(path, message),
    }
}

fn tested(compiler: &mut Compiler<'_>, name: &str, pattern: &IdedExpr) -> Checked<Test> {
    let text = literal(compiler, pattern)?;
    match name {
        "glob" => {
            let glob = globset::GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            match glob {
                Ok(glob) => Ok(Test::Glob(Box::new(glob.compile_matcher()))),
                Err(error) => {
                    compiler.error(pattern, format!("this is no pattern: {}", error.kind()))
                }
            }
        }
        "matches" => {
            let regex = regex::bytes::RegexBuilder::new(&text)
                .unicode(false)
                .size_limit(PATTERN_BYTES_MAX)
                .dfa_size_limit(PATTERN_BYTES_MAX)
                .build();
            match regex {
                Ok(regex) => Ok(Test::Matches(regex)),
                Err(error) => {
                    // The crate draws the place over several lines; its last says what is wrong.
                    let error = error.to_string();
                    let what = error.lines().last().unwrap_or_default().to_owned();
                    let what = what.trim_start_matches("error: ");
                    compiler.error(pattern, format!("this is no regular expression: {what}"))
                }
            }
        }
        _ => match ipnet::IpNet::from_str(&text) {
            Ok(net) => Ok(Test::Cidr(net)),
            Err(_) => {
                compiler.error(pattern, "this must be a network such as '10.0.0.0/8' or 'fd00::/8'")
            }
        },
    }
}
