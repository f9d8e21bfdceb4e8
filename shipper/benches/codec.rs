//! How long an event takes to be written for the spool and read from it, beside the same through
//! prost's derive: `cargo bench --package shipper --bench codec`.

#![allow(missing_docs)]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/formats/events.rs"]
mod events;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/codec/schema.rs"]
mod schema;

use std::sync::Arc;
use std::time::Instant;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prost::Message as _;
use shipper::event::codec::{Decoder, encode};
use shipper::event::{Ancestor, Args, Event, Source};

fn main() {
    let mut runner = TestRunner::deterministic();
    let mut exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let text = |text: &str| text.as_bytes().into();
    let args = Args {
        list: ["/usr/bin/python3", "-m", "http.server", "8080"].map(text).into(),
        count: 4,
        bytes_total: 37,
        truncated: false,
        faulted: false,
    };
    let parent = Ancestor {
        key: exec.process.key,
        entity_id: exec.id,
        start: exec.time,
        comm: text("python3"),
        executable: Some(text("/usr/bin/python3.11")),
        args: Some(Arc::new(args.clone())),
        source: Source::Event,
    };
    exec.process.args = args;
    exec.ancestry = vec![parent; 8];
    let event = Event::Exec(Box::new(exec));
    let rounds = 200_000u32;
    let mut bytes = Vec::new();
    let begin = Instant::now();
    for _ in 0..rounds {
        bytes.clear();
        encode(&event, &mut bytes);
    }
    let encoding = begin.elapsed() / rounds;
    let mut decoder = Decoder::new();
    let begin = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(decoder.decode(&bytes)).expect("decodes");
    }
    let decoding = begin.elapsed() / rounds;
    let by_library = schema::Event::decode(bytes.as_slice()).expect("decodes");
    // Its messages own their bytes, so each event is copied into one first.
    let begin = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(by_library.clone()).encode(&mut { &mut bytes[..] }).expect("fits");
    }
    let library_encoding = begin.elapsed() / rounds;
    let begin = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(schema::Event::decode(bytes.as_slice())).expect("decodes");
    }
    let library_decoding = begin.elapsed() / rounds;
    println!("an event of {} bytes with 8 ancestors, mean of {rounds}", bytes.len());
    println!("encode {encoding:?}, decode {decoding:?}");
    println!("with prost: encode {library_encoding:?}, decode {library_decoding:?}");
}
