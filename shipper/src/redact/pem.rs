//! Private keys in PEM, whole. Not a regular expression alone: whether a key has an end may be known only
//! far behind its beginning, and thousands of beginnings must not be followed that far each.

use regex::bytes::Regex;

use super::shapes::compile;
use super::{Found, Kind};

/// What must be in an argument, whatever its case.
pub(super) const HINT: &str = "-----begin";

/// The line before a private key. A shell that was given it without quotes has split it at its blanks.
const BEGIN: &str =
    r"-----BEGIN[\x00 ](?:[A-Z0-9]+[\x00 ])*PRIVATE[\x00 ]KEY(?:[\x00 ]BLOCK)?-----";

/// The line after it.
const END: &str = r"-----END[A-Z0-9\x00 ]*-----";

/// What stands between a line in quotes and the next, and how that begins.
const LINE: &str = r#"\A\\?["'][\s,]*\\?["'][A-Za-z0-9+/=]{16}"#;

/// How far behind a beginning its end may be where not all between can be part of a key.
const BROKEN_BYTES_MAX: usize = 8 << 10;

/// Finds private keys.
#[derive(Debug)]
pub(super) struct Pem {
    begin: Regex,
    end: Regex,
    line: Regex,
}

impl Pem {
    pub(super) fn new() -> Self {
        Pem { begin: compile(BEGIN), end: compile(END), line: compile(LINE) }
    }

    /// Adds every key in the joined arguments, up to the line after it, also where something else stands
    /// between, such as the quotes of a list of lines. One without an end near by, which was cut off, ends
    /// with the argument or before the first byte that cannot be part of a key.
    pub(super) fn find(&self, joined: &[u8], found: &mut Vec<Found>) {
        // All before `stop` may be part of a key.
        let (mut done, mut stop) = (0, 0);
        // The first end behind the beginning.
        let mut next_end = self.end.find(joined);
        for begin in self.begin.find_iter(joined) {
            let body = begin.end();
            if begin.start() < done {
                continue;
            }
            if body >= stop {
                stop = run(joined, body, |byte| is_of_key(byte) || byte == 0);
            }
            while let Some(end) = next_end
                && end.start() < body
            {
                next_end = self.end.find_at(joined, end.end());
            }
            done = match next_end {
                Some(end) if end.start() < stop.max(body + BROKEN_BYTES_MAX) => end.end(),
                _ => self.cut(joined, body),
            };
            found.push(Found { at: begin.start()..done, kind: Kind::PrivateKey });
        }
    }

    /// The end of a key without one: of its lines, also where each stands in quotes.
    fn cut(&self, joined: &[u8], body: usize) -> usize {
        let mut end = run(joined, body, is_of_key);
        while let Some(line) = self.line.find(&joined[end..]) {
            end = run(joined, end + line.end(), is_of_key);
        }
        end
    }
}

/// Where the bytes end that are like this.
fn run(bytes: &[u8], from: usize, is_like: impl Fn(u8) -> bool) -> usize {
    let length = bytes[from..].iter().position(|byte| !is_like(*byte));
    length.map_or(bytes.len(), |length| from + length)
}

/// Base64, headers such as `DEK-Info: AES-128-CBC,...`, and line ends that were written as `\n`.
fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=\\:,.()@<>_-".contains(&byte)
}
