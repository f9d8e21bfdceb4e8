//! What is wrong with a configuration, and where: positions, the list of problems, and how words of
//! the user's file are shown in a message.

use std::fmt;
use std::sync::Arc;

/// Most characters of the user's own text shown in a message.
const QUOTED_CHARS_MAX: usize = 60;

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Position {
    /// The first character of the file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// Characters in each line of `text`. A line ends as in YAML: CR, LF, or both.
pub(super) fn line_lengths(text: &str) -> Vec<usize> {
    let mut lengths = vec![0];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' => lengths.push(0),
            _ => {
                if let Some(last) = lengths.last_mut() {
                    *last += 1;
                }
            }
        }
    }
    lengths
}

/// One thing that is wrong. Shown as `FILE:LINE:COLUMN: message`, always one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub at: Position,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.at;
        write!(f, "{}:{line}:{column}: {}", self.file, self.message)
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Problems {
    file: Arc<str>,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Problems { file: file.into(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Position, message: impl Into<String>) {
        self.found.push(Problem { file: self.file.clone(), at, message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems in the order of the file, each once: what is wrong in an anchored part would
    /// otherwise be repeated for each of its aliases.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        self.found.dedup();
        self.found
    }
}

/// The user's text between back ticks, on one line, harmless to a terminal and not too long.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == QUOTED_CHARS_MAX {
            quoted.push('…');
            break;
        }
        quoted.push_str(&printable(c));
    }
    quoted.push('`');
    quoted
}

/// A message of a library that may repeat text of the file, harmless to a terminal.
pub(super) fn sanitize(message: &str) -> String {
    message.chars().map(printable).collect()
}

fn printable(c: char) -> String {
    // Format characters that turn the direction of text are not control characters to Unicode.
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { c.escape_default().to_string() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_stays_on_one_line_and_is_cut() {
        assert_eq!(quote("plain é"), "`plain é`");
        assert_eq!(quote("a\nb\u{1b}[31m\u{202e}"), r"`a\nb\u{1b}[31m\u{202e}`");
        assert_eq!(quote(&"x".repeat(1000)).chars().count(), QUOTED_CHARS_MAX + 3);
    }

    #[test]
    fn lines_end_with_cr_or_lf_or_both() {
        assert_eq!(line_lengths(""), [0]);
        assert_eq!(line_lengths("é\r\nbc\rd\n"), [1, 2, 1, 0]);
    }

    #[test]
    fn problems_come_sorted_by_position_and_once() {
        let mut problems = Problems::new("f.yaml");
        let at = |line, column| Position { line, column };
        problems.add(at(10, 1), "third");
        problems.add(at(2, 7), "second");
        problems.add(at(2, 3), "first");
        problems.add(at(2, 7), "second");
        let lines: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["f.yaml:2:3: first", "f.yaml:2:7: second", "f.yaml:10:1: third"]);
    }
}
