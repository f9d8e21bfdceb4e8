//! How long redaction takes for the arguments of one program: `cargo bench --package shipper --bench
//! redact`.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use shipper::event::Args;
use shipper::redact::{OwnPattern, Redactor};

/// What is measured, and the arguments, between blanks.
const LINES: [(&str, &str); 6] = [
    ("short", "ls -l /tmp"),
    ("server", "/usr/bin/python3 -m http.server 8080"),
    (
        "compiler",
        "/usr/lib/gcc/x86_64-linux-gnu/14/cc1 -quiet -imultiarch x86_64-linux-gnu -D_GNU_SOURCE src/main.c \
         -dumpbase main.c -mtune=generic -march=x86-64 -O2 -Wall -std=gnu11 -o /tmp/ccXyZ123.s",
    ),
    ("a hint, no secret", "curl -sSL https://example.org/p"),
    ("an option", "tool --password hunter2"),
    ("a program", "mysql -uroot -phunter2 db"),
];

const ROUNDS: u32 = 300_000;

fn main() {
    let own = |count| vec![OwnPattern::new("badge", "badge-[0-9]{6}").expect("a pattern"); count];
    for patterns in [0, 1, 32] {
        println!("with {patterns} patterns of one's own, mean of {ROUNDS}");
        let redactor = Redactor::new(own(patterns), None);
        for (name, line) in LINES {
            let list = line.split_ascii_whitespace().map(|arg| arg.as_bytes().into()).collect();
            let args = Args { list, ..Args::default() };
            let begin = Instant::now();
            for _ in 0..ROUNDS {
                black_box(redactor.args(black_box(&args)));
            }
            println!("  {name}, {} bytes: {:?}", line.len(), begin.elapsed() / ROUNDS);
        }
    }
}
