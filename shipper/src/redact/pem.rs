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

/// Finds private keys.
#[derive(Debug)]
pub(super) struct Pem {
    begin: Regex,
    end: Regex,
}

impl Pem {
    pub(super) fn new() -> Self {
        Pem { begin: compile(BEGIN), end: compile(END) }
    }

    /// Adds every key in the joined arguments. One without an end, which was cut off, ends with the argument
    /// or before the first byte that cannot be part of a key.
    pub(super) fn find(&self, joined: &[u8], found: &mut Vec<Found>) {
        // All before `stop` may be part of a key; no end is between `hopeless` and it.
        let (mut done, mut stop, mut hopeless) = (0, 0, usize::MAX);
        for begin in self.begin.find_iter(joined) {
            let body = begin.end();
            if begin.start() < done {
                continue;
            }
            if body >= stop {
                stop = run(joined, body, |byte| is_of_key(byte) || byte == 0);
                hopeless = usize::MAX;
            }
            let end = if body >= hopeless { None } else { self.end.find(&joined[body..stop]) };
            done = match end {
                Some(end) => body + end.end(),
                None => {
                    hopeless = hopeless.min(body);
                    run(joined, body, is_of_key)
                }
            };
            found.push(Found { at: begin.start()..done, kind: Kind::PrivateKey });
        }
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
