//! How long an event takes to be written for the spool and read from it, beside the same through
//! prost's derive, and to be written in each format: `cargo bench --package shipper --bench codec`.

#![allow(missing_docs)]
#![allow(unsafe_code, reason = "an allocator that counts")]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/formats/events.rs"]
mod events;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/codec/schema.rs"]
mod schema;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prost::Message as _;
use shipper::event::codec::{Decoder, encode};
use shipper::event::{Ancestor, Args, Event, Source};
use shipper::format::reference::samples;
use shipper::format::{self, Format};

/// Runs of which the fastest counts.
const RUNS: usize = 7;

/// Allocations of this program so far.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

/// The system's allocator, with a count of what is asked of it.
struct Counting;

// SAFETY: every call is handed to the system's allocator as it came, whose promises hold.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer is from `alloc` above, which took it from there.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the pointer is from `alloc` above, and the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

fn main() {
    formats();
    let mut runner = TestRunner::deterministic();
    let mut exec = events::exec().new_tree(&mut runner).expect("generates").current();
    let text = |text: &str| text.as_bytes().into();
    let args = Args {
        list: ["/usr/bin/python3", "-m", "http.server", "8080"].map(text).into(),
        count: 4,
        bytes_total: 37,
        truncated: false,
        faulted: false,
        redacted: Vec::new(),
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

/// What each format costs: an execution of a script below eight ancestors, in a container.
fn formats() {
    let event = match samples().into_iter().next() {
        Some(Event::Exec(mut exec)) => {
            let parent = exec.ancestry[0].clone();
            exec.ancestry.resize(8, parent);
            Event::Exec(exec)
        }
        _ => unreachable!("the first sample is an execution"),
    };
    let rounds = 100_000_u32;
    println!("format  bytes/event  ns/event  MB/s  events/s  allocations/event");
    for format in Format::ALL {
        let mut line = Vec::with_capacity(1 << 16);
        let mut fastest = Duration::MAX;
        // The best of some runs is what the code costs; the others show who else is at work.
        for _ in 0..RUNS {
            let begin = Instant::now();
            for _ in 0..rounds {
                line.clear();
                format::encode(format, std::hint::black_box(&event), &mut line);
            }
            fastest = fastest.min(begin.elapsed());
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        line.clear();
        format::encode(format, &event, &mut line);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let seconds = fastest.as_secs_f64() / f64::from(rounds);
        let (bytes, name) = (line.len(), format.as_str());
        println!(
            "{name:6}  {bytes:11}  {:8.0}  {:4.0}  {:8.0}  {allocations:17}",
            seconds * 1e9,
            bytes as f64 / seconds / 1e6,
            1.0 / seconds
        );
    }
}
