//! From the text of an expression to its syntax tree, by the crate `cel`. What is deep or long enough
//! to make the crate, or us behind it, recurse without bound is refused before it sees it.

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

/// Largest expression, in bytes: twenty lines.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Deepest nesting: brackets, and operators and dots in a row that are no `&&`, `||` or comma. The parser
/// takes some 12 KiB of stack a level, and a thread has 2 MiB.
const DEPTH_MAX: usize = 24;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ExpressionError {
    /// At a place.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        ExpressionError { at, message: message.into() }
    }
}

/// The tree, and where its nodes stand in the text.
pub(super) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), ExpressionError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(ExpressionError::new(0, message));
    }
    if text.trim().is_empty() {
        return Err(ExpressionError::new(0, "the expression is empty"));
    }
    look(text)?;
    let depth_max = u16::try_from(DEPTH_MAX).unwrap_or(u16::MAX);
    Parser::new().max_recursion_depth(depth_max).parse_with_source_info(text).map_err(|errors| {
        match errors.errors.first() {
            Some(error) => {
                let (line, column) = error.pos;
                let message = format!("this is no expression: {}", plain(&error.msg));
                ExpressionError::new(offset(text, line, column), message)
            }
            None => ExpressionError::new(0, "this is no expression"),
        }
    })
}

/// What the parser says, in words: it lists each token that might stand there instead.
fn plain(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or_default();
    let token = || Some(&message[message.find('\'')? + 1..message.rfind('\'')?]);
    let is = |begin: &str| message.starts_with(begin);
    match token().map(|token| token.replace("<EOF>", "its end")) {
        Some(token) if is("missing") => {
            let missing = token.split('\'').next().unwrap_or_default();
            format!("a `{missing}` is missing")
        }
        Some(token) if is("mismatched input") || is("extraneous input") => {
            format!("`{token}` does not belong here")
        }
        Some(token) if is("no viable alternative") => format!("it makes no sense at `{token}`"),
        Some(token) if is("token recognition error") => {
            format!("`{}` has no meaning here", token.escape_debug())
        }
        _ if is("invalid argument to has()") => {
            "`has` takes a field, such as has(env.NAME); of a list ask `size(...) > 0`".to_owned()
        }
        _ if message.contains("Recursion limit") => {
            "this is nested too deep; break it up, or use `in [...]` and `exists`".to_owned()
        }
        _ if is("invalid string literal") => {
            "this text has a character that there is not".to_owned()
        }
        _ => message.to_owned(),
    }
}

/// What the words and signs of other languages are in this one.
const ELSEWHERE: [(&str, &str); 14] = [
    ("and", "for `and`, write `&&`"),
    ("AND", "for `AND`, write `&&`"),
    ("or", "for `or`, write `||`"),
    ("OR", "for `OR`, write `||`"),
    ("not", "for `not`, write `!` before it; for `not in`, `!(x in list)`"),
    ("NOT", "for `NOT`, write `!` before it"),
    ("<>", "for `<>`, write `!=`"),
    ("=>", "for `=>`, write `>=`"),
    ("=<", "for `=<`, write `<=`"),
    ("===", "to compare, write `==`"),
    ("\u{2018}", "texts stand in straight quotes, ' or \""),
    ("\u{2019}", "texts stand in straight quotes, ' or \""),
    ("\u{201c}", "texts stand in straight quotes, ' or \""),
    ("\u{201d}", "texts stand in straight quotes, ' or \""),
];

/// What stands at the beginning of `rest` and is written otherwise here. `previous` is before it.
fn elsewhere(rest: &str, previous: char) -> Option<&'static str> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let is_here = |sign: &str| match rest.strip_prefix(sign) {
        Some(after) if sign.is_ascii() && sign.starts_with(char::is_alphabetic) => {
            !in_name(previous) && !after.starts_with(|c| in_name(c) || c == '(')
        }
        after => after.is_some(),
    };
    ELSEWHERE.iter().find(|(sign, _)| is_here(sign)).map(|(_, advice)| *advice)
}

/// Characters before a line and column, both from 1.
fn offset(text: &str, line: isize, column: isize) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let before =
        text.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum::<usize>();
    (before + usize::try_from(column - 1).unwrap_or(0)).min(text.chars().count())
}

/// Walks over the text: how deep it is, and that its quotes end.
fn look(text: &str) -> Result<(), ExpressionError> {
    // What each open bracket has gathered since the last `&&`, `||` or comma in it.
    let mut open = vec![0usize];
    let mut depth = 0;
    let mut chars = text.chars().enumerate().peekable();
    let mut previous = ' ';
    let mut rest = text;
    while let Some((at, c)) = chars.next() {
        if let Some(advice) = elsewhere(rest, previous) {
            return Err(ExpressionError::new(at, advice));
        }
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            // Else what is text to the parser and what is text here could differ.
            '"' | '\'' if matches!(previous, 'r' | 'R') => {
                let message = "raw texts have no meaning here; write each backslash twice";
                return Err(ExpressionError::new(at, message));
            }
            '"' | '\'' if matches!(previous, '"' | '\'') => {
                return Err(ExpressionError::new(at, "a text has one quote on each side"));
            }
            '"' | '\'' => skip_text(&mut chars, at, c)?,
            '/' if next == Some('/') => {
                return Err(ExpressionError::new(at, "a comment has no meaning here; remove it"));
            }
            '=' if !matches!(previous, '=' | '!' | '<' | '>') && next != Some('=') => {
                return Err(ExpressionError::new(at, "to compare, write `==`"));
            }
            '&' | '|' if previous != c && next != Some(c) => {
                return Err(ExpressionError::new(at, format!("for `{c}`, write `{c}{c}`")));
            }
            '(' | '[' | '{' => {
                open.push(1);
                depth += 1;
            }
            ')' | ']' | '}' => {
                depth -= if open.len() > 1 { open.pop().unwrap_or(0) } else { 0 };
            }
            '&' | '|' | ',' => {
                let gathered = open.last_mut().map(std::mem::take).unwrap_or(0);
                depth -= gathered;
                // The bracket itself goes on to count.
                if open.len() > 1 {
                    open.last_mut().into_iter().for_each(|gathered| *gathered = 1);
                    depth += 1;
                }
            }
            '.' | '!' | '-' | '+' | '*' | '/' | '%' | '<' | '>' | '=' | '?' | ':' => {
                open.last_mut().into_iter().for_each(|gathered| *gathered += 1);
                depth += 1;
            }
            // `a in b in c`: a word of its own.
            'i' if !previous.is_alphanumeric() => {
                open.last_mut().into_iter().for_each(|gathered| *gathered += 1);
                depth += 1;
            }
            _ => {}
        }
        if depth > DEPTH_MAX {
            let message = "this is nested too deep; break it up, or use `in [...]` and `exists`";
            return Err(ExpressionError::new(at, message));
        }
        previous = c;
        rest = match chars.peek() {
            Some((next, _)) => rest.char_indices().nth(next - at).map_or("", |(at, _)| &rest[at..]),
            None => "",
        };
    }
    Ok(())
}

/// Skips the rest of a text that a quote has begun, at `begin`.
fn skip_text(
    chars: &mut impl Iterator<Item = (usize, char)>,
    begin: usize,
    quote: char,
) -> Result<(), ExpressionError> {
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) if !"abfnrtv\\'\"`?xXuU0123".contains(escaped) => {
                    let message = format!(
                        "`\\{}` is nothing; in a text each backslash is written twice",
                        escaped.escape_debug()
                    );
                    return Err(ExpressionError::new(at, message));
                }
                _ => {}
            },
            '\n' | '\r' => {
                let message = "a text ends in the line in which it begins; a line break is \\n";
                return Err(ExpressionError::new(at, message));
            }
            c if c == quote => return Ok(()),
            _ => {}
        }
    }
    Err(ExpressionError::new(begin, "the text that begins here has no closing quote"))
}
