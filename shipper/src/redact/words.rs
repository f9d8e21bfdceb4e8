//! Splits the text of a command as a shell does, as far as is needed to see what belongs together.

use std::ops::Range;

/// The commands in a part of a text, each as the places of its words. Quotes around a whole word are not
/// part of it; quotes within a word are. A quote that is not closed, since the text was cut, lasts to the
/// end.
pub(super) fn commands(text: &[u8], within: Range<usize>) -> Vec<Vec<Range<usize>>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut begun: Option<usize> = None;
    let mut quote: Option<u8> = None;
    let mut is_escaped = false;
    for at in within.clone() {
        let byte = text[at];
        let is_plain = quote.is_none() && !is_escaped;
        let ends_command = is_plain && b"\n;|&()`".contains(&byte);
        if ends_command || is_plain && (byte.is_ascii_whitespace() || b"<>".contains(&byte)) {
            words.extend(word(text, begun.take(), at));
            if ends_command {
                commands.push(std::mem::take(&mut words));
            }
            continue;
        }
        begun.get_or_insert(at);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if quote != Some(b'\'') => is_escaped = true,
            b'\'' | b'"' if quote.is_none() => quote = Some(byte),
            _ if quote == Some(byte) => quote = None,
            _ => {}
        }
    }
    words.extend(word(text, begun, within.end));
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

fn word(text: &[u8], begun: Option<usize>, end: usize) -> Option<Range<usize>> {
    begun.map(|begun| unquoted(text, begun..end))
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
        let cases: [(&str, &[&[&str]]); 11] = [
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
            (" ;; ", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text), words, "{text}");
        }
    }
}
