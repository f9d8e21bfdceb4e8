//! The operator's own patterns.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

/// Most bytes that a compiled pattern may take, and again as many for what it remembers while it
/// searches.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;

/// Most places that one pattern may find in a line. Each search may look far ahead before it ends
/// near (`x.*y|z`), so without a limit the time would grow with the square of the line.
const MATCHES_MAX: usize = 64;

/// The group of a pattern that is the secret.
const SECRET: &str = "secret";

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression; what is wrong with it.
    #[error("is no regular expression that shipper knows: {0}")]
    Syntax(String),
    /// It takes too much memory.
    #[error("is too large: compiled it takes more than 1 MiB; use fewer or smaller repetitions")]
    TooLarge,
    /// It has a group of another name.
    #[error(
        "has a group `{0}`, but the one whose match is removed is `secret`; `(?:...)` has no name"
    )]
    Group(String),
    /// It finds something everywhere.
    #[error("would match where there is nothing; let it need at least one character")]
    Empty,
}

/// A pattern and the name of what it finds. Its regular expression works on bytes: classes such as
/// `\w` are those of ASCII, and characters beyond are the bytes of UTF-8.
#[derive(Clone, Debug)]
pub struct OwnPattern {
    name: String,
    regex: Regex,
}

impl OwnPattern {
    /// What matches `regex` is a secret of the kind `name`; where it has a group `secret`, what that
    /// matches.
    ///
    /// # Errors
    /// The regular expression is none, is too large, has a group of another name, or matches the empty
    /// text.
    pub fn new(name: &str, regex: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(regex)
            .unicode(false)
            .size_limit(PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                error => PatternError::Syntax(last_line(&error.to_string())),
            })?;
        if let Some(name) = regex.capture_names().flatten().find(|name| *name != SECRET) {
            return Err(PatternError::Group(name.to_owned()));
        }
        if regex.is_match(b"") {
            return Err(PatternError::Empty);
        }
        Ok(OwnPattern { name: name.to_owned(), regex })
    }

    /// The kind.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Every place in a command line, its arguments joined by blanks. Of a line with more than
    /// [`MATCHES_MAX`], all that follows these.
    pub(super) fn find(&self, line: &[u8], mut found: impl FnMut(Range<usize>)) {
        let has_group = self.regex.capture_names().flatten().any(|name| name == SECRET);
        let mut at = 0;
        for count in 0.. {
            let Some(whole) = self.regex.find_at(line, at) else { return };
            if count == MATCHES_MAX {
                return found(whole.start()..line.len());
            }
            if !has_group {
                found(whole.range());
            } else if let Some(captures) = self.regex.captures_at(line, at)
                && let Some(secret) = captures.name(SECRET)
            {
                found(secret.range());
            }
            // It may be empty, as with `\b`.
            at = whole.end().max(at + 1);
            if at > line.len() {
                return;
            }
        }
    }
}

/// Whether it can be the name of a kind.
#[must_use]
pub fn is_kind_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(allowed)
}

/// The library shows the pattern with an arrow below it; what is wrong stands in the last line.
fn last_line(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
