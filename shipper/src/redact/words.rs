//! Splits the text of a command as a shell does, as far as is needed to see what belongs together.

use std::ops::Range;

/// A line that goes on in the next.
const CONTINUED: &[u8] = b"\\\n";

/// How far before a reference of a shell its quote is looked for.
const QUOTE_BYTES_MAX: usize = 256;

/// What is open at a place of a text: quotes, and `$(...)` between double ones, in which quotes begin anew.
#[derive(Default)]
struct Open {
    /// What closes each of them.
    closed_by: Vec<u8>,
    is_escaped: bool,
}

impl Open {
    fn is_plain(&self) -> bool {
        self.closed_by.is_empty() && !self.is_escaped
    }

    /// Goes on by one byte.
    fn see(&mut self, before: Option<u8>, byte: u8) {
        let last = self.closed_by.last().copied();
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if last != Some(b'\'') => self.is_escaped = true,
            _ if last == Some(byte) => {
                self.closed_by.pop();
            }
            b'\'' | b'"' if matches!(last, None | Some(b')')) => self.closed_by.push(byte),
            b'(' if last == Some(b')') || last == Some(b'"') && before == Some(b'$') => {
                self.closed_by.push(b')');
            }
            _ => {}
        }
    }
}

/// The commands in a part of a text, each as the places of its words. Quotes around a whole word are not
/// part of it; quotes within a word are. A quote that is not closed, since the text was cut, lasts to the
/// end. A line that ends with a backslash goes on in the next, and so does a word.
pub(super) fn commands(text: &[u8], within: Range<usize>) -> Vec<Vec<Range<usize>>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut begun: Option<usize> = None;
    let mut open = Open::default();
    let mut goes_on = false;
    let mut before = None;
    for at in within.clone() {
        let byte = text[at];
        let is_plain = open.is_plain();
        let is_continued = std::mem::take(&mut goes_on);
        goes_on = is_plain && begun.is_none() && text[at..within.end].starts_with(CONTINUED);
        let ends_command = is_plain && !is_continued && b"\n;|&()`".contains(&byte);
        let ends_word = goes_on || byte.is_ascii_whitespace() || b"<>".contains(&byte);
        if ends_command || is_plain && ends_word {
            words.extend(word(text, begun.take(), at));
            if ends_command {
                commands.push(std::mem::take(&mut words));
            }
        } else {
            begun.get_or_insert(at);
            open.see(before, byte);
        }
        before = Some(byte);
    }
    words.extend(word(text, begun, within.end));
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

/// The commands between the quotes of a word, as in `x="$(run this)"`.
pub(super) fn commands_in_quotes(text: &[u8], place: Range<usize>) -> Vec<Vec<Range<usize>>> {
    quoted(text, place).into_iter().flat_map(|part| commands(text, part)).collect()
}

/// What stands between quotes in a word.
fn quoted(text: &[u8], place: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut open = Open::default();
    let (mut begun, mut before) = (None, None);
    for at in place.clone() {
        open.see(before, text[at]);
        before = Some(text[at]);
        match begun {
            None if !open.closed_by.is_empty() => begun = Some(at + 1),
            Some(begin) if open.closed_by.is_empty() => {
                parts.push(begin..at);
                begun = None;
            }
            _ => {}
        }
    }
    parts.extend(begun.map(|begin| begin..place.end));
    parts
}

/// Whether a shell puts something else in place of all of it: `$NAME`, `${NAME}`, `$(...)`. Between single
/// quotes it does not; the quote is looked for in the same word, not far.
pub(super) fn is_reference(text: &[u8], at: Range<usize>) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let is_written_so = match &text[at.clone()] {
        [b'$', b'{', name @ .., b'}'] => is_name(name),
        [b'$', b'(', rest @ ..] => {
            rest.iter().position(|byte| *byte == b')').is_none_or(|end| end + 1 == rest.len())
        }
        [b'`', rest @ .., b'`'] => !rest.contains(&b'`'),
        [b'$'] => text.get(at.end) == Some(&b'('),
        [b'$', name @ ..] => is_name(name),
        _ => false,
    };
    let before = &text[at.start.saturating_sub(QUOTE_BYTES_MAX)..at.start];
    let word = before.iter().rev().take_while(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    is_written_so && word.into_iter().find(|byte| b"'\"".contains(byte)) != Some(&b'\'')
}

fn word(text: &[u8], begun: Option<usize>, end: usize) -> Option<Range<usize>> {
    begun.map(|begun| {
        let word = &text[begun..end];
        unquoted(text, begun..begun + word.strip_suffix(CONTINUED).unwrap_or(word).len())
    })
}

/// Without the quotes around it, also where the closing one was cut off.
pub(super) fn unquoted(text: &[u8], place: Range<usize>) -> Range<usize> {
    match text[place.clone()] {
        [open @ (b'\'' | b'"'), .., close] if open == close => place.start + 1..place.end - 1,
        [open @ (b'\'' | b'"'), ref rest @ ..] if !rest.contains(&open) => {
            place.start + 1..place.end
        }
        _ => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Vec<&str>> {
        let shown =
            |words: Vec<Range<usize>>| words.into_iter().map(|place| &text[place]).collect();
        commands(text.as_bytes(), 0..text.len()).into_iter().map(shown).collect()
    }

    #[test]
    fn a_text_is_split_as_a_shell_splits_it() {
        let cases: [(&str, &[&[&str]]); 15] = [
            ("ls -l  x\ty", &[&["ls", "-l", "x", "y"]]),
            ("a; b && c | d\ne (f)", &[&["a"], &["b"], &["c"], &["d"], &["e"], &["f"]]),
            ("a <b >c 2>&1", &[&["a", "b", "c", "2"], &["1"]]),
            ("x 'a b' \"c;d\"", &[&["x", "a b", "c;d"]]),
            ("x --y='a b' z", &[&["x", "--y='a b'", "z"]]),
            (r#"x "a\" b" c"#, &[&["x", r#"a\" b"#, "c"]]),
            (r"x a\ b \;c", &[&["x", r"a\ b", r"\;c"]]),
            ("x 'cut off", &[&["x", "cut off"]]),
            ("x -p'cut off", &[&["x", "-p'cut off"]]),
            (r"x '\' y", &[&["x", r"\", "y"]]),
            ("x \\\n -y\\\n z\\\nz", &[&["x", "-y", "z\\\nz"]]),
            ("x \\\\\ny", &[&["x", r"\\"], &["y"]]),
            ("x=\"$(a \"b c\" (d) e)\" f", &[&["x=\"$(a \"b c\" (d) e)\"", "f"]]),
            ("\"(a\" b", &[&["(a", "b"]]),
            (" ;; ", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn what_quotes_in_a_word_hold_together_is_a_script() {
        let cases: [(&str, &[&[&str]]); 4] = [
            ("x=\"a b\"'c; d'", &[&["a", "b"], &["c"], &["d"]]),
            ("x=\"$(a -p\"b\" c)\"", &[&["$"], &["a", "-p\"b\"", "c"]]),
            ("x=\"cut off", &[&["cut", "off"]]),
            (r"a\ b", &[]),
        ];
        for (text, words) in cases {
            let shown = |words: Vec<Range<usize>>| -> Vec<_> {
                words.into_iter().map(|place| &text[place]).collect()
            };
            let seen: Vec<_> =
                commands_in_quotes(text.as_bytes(), 0..text.len()).into_iter().map(shown).collect();
            assert_eq!(seen, words, "{text}");
        }
    }

    #[test]
    fn what_a_shell_replaces_as_a_whole_is_a_reference() {
        let cases = [
            ("«$NAME»", true),
            ("x \"«${NAME}»\"", true),
            ("'y' «$1»", true),
            ("«$(cat f)»", true),
            ("«$»(cat f)", true),
            ("«`cat f`»", true),
            ("'«$NAME»'", false),
            ("-u'a:«$NAME»'", false),
            ("«$NAME-x»", false),
            ("«${NAME:-x}»", false),
            ("«$(cat f) x»", false),
            ("«$»", false),
            ("«NAME»", false),
        ];
        for (row, expected) in cases {
            let (before, rest) = row.split_once('«').expect("a value");
            let (value, after) = rest.split_once('»').expect("its end");
            let at = before.len()..before.len() + value.len();
            let text = format!("{before}{value}{after}");
            assert_eq!(is_reference(text.as_bytes(), at), expected, "{row}");
        }
    }
}
