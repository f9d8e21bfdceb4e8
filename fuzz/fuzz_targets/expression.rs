//! Any text as an expression: an error with a place in it, or something that can be asked of an event.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};
use shipper::rules::{Expression, Lists, Place, Record};

/// An event that has something of everything.
static RECORD: LazyLock<Record> = LazyLock::new(|| {
    let fields = json!({
        "process.args": ["sh", "-c", "echo a | sh"],
        "process.name": "sh",
        "process.env_vars": ["LD_PRELOAD=/tmp/a.so"],
        "file.path": "/usr/bin/sh",
        "file.uid": 1000,
        "file.mode": "4755",
        "user.id": 0,
        "ancestors": [{"name": "sshd", "executable": "/usr/sbin/sshd", "args": ["sshd", "-D"]}],
    });
    let fields: Map<_, _> = serde_json::from_value(fields).expect("a map");
    Record::made(&fields).expect("known fields")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for place in [Place::Rule, Place::Sink] {
        // No file is read: there is none below it.
        match Expression::new(text, place, &mut Lists::new(Path::new("/dev/null"))) {
            Ok(expression) => {
                std::hint::black_box(expression.holds(&*RECORD));
            }
            Err(error) => {
                assert!(error.at <= text.chars().count(), "{error:?}");
                assert!(!error.message.is_empty());
            }
        }
    }
});
