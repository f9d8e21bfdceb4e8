//! Any bytes as arguments: redaction keeps their number, puts a mark where it changes one, and
//! makes them longer by a bounded amount only.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shipper::event::Args;
use shipper::redact::{HashKey, OwnPattern, Redactor};

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let own = OwnPattern::new("own", "own-(?<secret>.+)-own|tkt[0-9]+").expect("a pattern");
    Redactor::new(vec![own], Some(HashKey::new(&[7; 32]).expect("long enough")))
});

/// Longest mark in full, and how many of them one list may have.
const MARKS_BYTES_MAX: usize = 256 * 61;

fuzz_target!(|bytes: &[u8]| {
    let list = bytes.split(|byte| *byte == 0).map(|arg| arg.into()).collect();
    let args = Args { list, truncated: bytes.len() % 2 == 0, ..Args::default() };
    let Some(redacted) = REDACTOR.args(&args) else { return };
    assert!(!redacted.redacted.is_empty());
    assert_eq!(redacted.list.len(), args.list.len());
    let length = |args: &Args| args.list.iter().map(|arg| arg.len()).sum::<usize>();
    assert!(length(&redacted) <= length(&args) + MARKS_BYTES_MAX);
    for (before, after) in args.list.iter().zip(&redacted.list) {
        let is_marked = after.contains(&b'*') || after.windows(10).any(|part| part == b"[redacted:");
        assert!(before == after || is_marked);
    }
});
