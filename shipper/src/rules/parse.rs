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
                let message = error.msg.trim_start_matches("Syntax error: ");
                ExpressionError::new(
                    offset(text, line, column),
                    format!("this is no expression: {message}"),
                )
            }
            None => ExpressionError::new(0, "this is no expression"),
        }
    })
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
    while let Some((at, c)) = chars.next() {
        match c {
            // Else what is text to the parser and what is text here could differ.
            '"' | '\'' if matches!(previous, 'r' | 'R') => {
                let message = "raw texts have no meaning here; write each backslash twice";
                return Err(ExpressionError::new(at, message));
            }
            '"' | '\'' if matches!(previous, '"' | '\'') => {
                return Err(ExpressionError::new(at, "a text has one quote on each side"));
            }
            '"' | '\'' => skip_text(&mut chars, c).map_err(|()| {
                ExpressionError::new(at, "the text that begins here has no closing quote")
            })?,
            '/' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                return Err(ExpressionError::new(at, "a comment has no meaning here; remove it"));
            }
            '=' if !matches!(previous, '=' | '!' | '<' | '>')
                && chars.peek().is_none_or(|(_, next)| *next != '=') =>
            {
                return Err(ExpressionError::new(at, "to compare, write `==`"));
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
    }
    Ok(())
}

/// Skips the rest of a text that a quote has begun.
fn skip_text(chars: &mut impl Iterator<Item = (usize, char)>, quote: char) -> Result<(), ()> {
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            c if c == quote => return Ok(()),
            _ => {}
        }
    }
    Err(())
}
