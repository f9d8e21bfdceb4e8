//! Text of strangers made safe to look at. Whoever starts a program chooses its arguments, so they
//! may hold escape sequences that drive a terminal, bidirectional overrides that reorder a line and
//! characters of no width that hide. Everything that does not print as itself is spelled out.
//!
//! Only looks are decided here: what is kept in the log stays as it was.

use std::fmt::Write as _;

/// Letters and symbols that print as nothing or as a blank although Unicode counts them as visible:
/// the fillers of Hangul and the empty Braille pattern.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// Whether the character prints as itself, alone, and moves the cursor by its own width. Combining
/// marks do not: they change what stands before them.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // The standard library escapes what is unassigned, private, a separator, a format or control
    // character, or extends a grapheme.
    c.escape_debug().len() == 1 && !BLANK.contains(&c)
}

/// Text on one line, with `\x1b`, `\n`, `\u{202e}` for what does not print, and `\\` for a
/// backslash, so that no text can be taken for another.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(&mut out, c));
    out
}

/// As [`escape`], for bytes: `\xff` for those that are not UTF-8.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut out, c));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_plain(c) => out.push(c),
        c if c.is_ascii() => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// One word of a command line, quoted so that bash and zsh read back exactly this text: bare where
/// that is safe, else in `'...'`, else, when something does not print, in `$'...'`.
#[must_use]
pub fn word(text: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.chars().all(is_plain) {
        return ansi_c_word(text);
    }
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn ansi_c_word(text: &str) -> String {
    let mut out = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            c if c.is_ascii() || is_plain(c) => push_escaped(&mut out, c),
            // Fixed widths: a digit that follows must not be taken into the number.
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('\'');
    out
}

/// Columns that a plain character takes at most. East Asian letters and emoji take two; counting
/// some narrow symbols as wide only makes a line shorter than it had to be. What we print ourselves
/// is counted exactly.
fn columns_of(c: char) -> usize {
    match c {
        '…' | '›' | '\u{2500}'..='\u{257f}' => 1,
        c if u32::from(c) < 0x1100 => 1,
        _ => 2,
    }
}

/// Columns that escaped text takes at most.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Escaped text cut to `columns_max` columns, at least 1; a cut one ends in `…`.
#[must_use]
pub fn cut(mut text: String, columns_max: usize) -> String {
    let mut used = 0;
    let mut keep = 0;
    for (at, c) in text.char_indices() {
        used += columns_of(c);
        if used > columns_max {
            text.truncate(keep);
            text.push('…');
            return text;
        }
        if used < columns_max {
            keep = at + c.len_utf8();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_print_is_spelled_out() {
        for (raw, shown) in [
            ("plain text, 'quoted'", "plain text, 'quoted'"),
            ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            ("a\nb\tc\rd\x7f", "a\\nb\\tc\\rd\\x7f"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("exe\u{202e}fdp", "exe\\u{202e}fdp"),
            ("no\u{200b}space\u{feff}", "no\\u{200b}space\\u{feff}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("e\u{301}", "e\\u{301}"),
            ("\u{3164}", "\\u{3164}"),
            ("back\\slash", "back\\\\slash"),
            ("grüße 日本 ✓", "grüße 日本 ✓"),
        ] {
            assert_eq!(escape(raw), shown);
        }
        assert_eq!(escape_bytes(b"a\xff\xc3b\x1b"), "a\\xff\\xc3b\\x1b");
    }

    #[test]
    fn a_word_is_quoted_only_where_a_shell_needs_it() {
        for (raw, shown) in [
            ("./deploy.sh", "./deploy.sh"),
            ("--key=a:b,c", "--key=a:b,c"),
            ("größe", "größe"),
            ("", "''"),
            ("x y", "'x y'"),
            ("$HOME;`id`", "'$HOME;`id`'"),
            ("it's", "'it'\\''s'"),
            ("…", "'…'"),
            ("a\nb", "$'a\\nb'"),
            ("it's\x1b1", "$'it\\'s\\x1b1'"),
            ("\u{202e}1\u{e0041}1", "$'\\u202e1\\U000e00411'"),
        ] {
            assert_eq!(word(raw), shown);
        }
    }

    #[test]
    fn bash_reads_a_word_back_as_it_was() {
        for raw in ["it's $HOME \"x\" !1", "a\nb\t\x1b[0m\\n", "~", "-n", "*?[a]{b,c}", "é\u{301}"]
        {
            let out = std::process::Command::new("bash")
                .env("LC_ALL", "C.UTF-8")
                .args(["-c", &format!("printf %s {}", word(raw))])
                .output()
                .expect("bash is there");
            assert_eq!(String::from_utf8_lossy(&out.stdout), raw);
        }
    }

    #[test]
    fn a_cut_text_fits_and_says_so() {
        assert_eq!(cut("abcdef".to_owned(), 6), "abcdef");
        assert_eq!(cut("abcdefg".to_owned(), 6), "abcde…");
        assert_eq!(cut("日本語".to_owned(), 5), "日本…");
        assert_eq!(cut("abc".to_owned(), 1), "…");
    }

    proptest! {
        #[test]
        fn no_text_leaves_a_character_that_is_not_plain(text in any::<String>(), at_most in 1_usize..50) {
            for shown in [escape(&text), word(&text), escape_bytes(text.as_bytes())] {
                prop_assert!(shown.chars().all(is_plain), "{shown:?}");
                prop_assert!(columns(&cut(shown.clone(), at_most)) <= at_most);
            }
        }
    }
}
