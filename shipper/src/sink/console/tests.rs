//! The console sink against real pipes.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use super::*;
use crate::sink::testing::{self, Encoded, send};

const NO_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn pipe() -> (File, File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)))
}

fn losses(count: u64) -> Vec<Event> {
    testing::events(0..count, &"h".repeat(500))
}

fn console(output: ConsoleOutput) -> ConsoleSettings {
    ConsoleSettings { output, format: Format::Ecs }
}

fn json(events: &[Event]) -> String {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| format::encode(Format::Ecs, event, &mut bytes));
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Sends without a runtime.
fn deliver(sink: &ConsoleSink<File>, events: &[Event]) -> Outcome {
    sink.deliver(Encoded::of(sink, events).batch())
}

fn read(mut from: File) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("readable");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_is_what_the_format_encodes() {
    let (reader, writer) = pipe();
    let batch = losses(3);
    let sink = ConsoleSink::with(writer, console(ConsoleOutput::Json), NO_PAUSE);
    assert!(matches!(send(&sink, &batch).await, Outcome::Sent { .. }));
    drop(sink);
    assert_eq!(read(reader), json(&batch));
}

#[test]
fn pretty_output_in_a_pipe_is_one_plain_line_an_event() {
    let (reader, writer) = pipe();
    let sink = ConsoleSink::with(writer, console(ConsoleOutput::Pretty), NO_PAUSE);
    assert!(matches!(deliver(&sink, &losses(2)), Outcome::Sent { .. }));
    drop(sink);
    let text = read(reader);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn a_reader_that_is_gone_blocks_the_sink_and_says_so() {
    let (reader, writer) = pipe();
    drop(reader);
    let sink = ConsoleSink::with(writer, console(ConsoleOutput::Json), NO_PAUSE);
    let Outcome::Blocked { cause } = deliver(&sink, &losses(1)) else {
        unreachable!("writing into a closed pipe was not refused");
    };
    assert!(cause.contains("the reader of standard output is gone"), "{cause}");
}

#[test]
fn a_full_disk_is_a_reason_to_retry() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full is there");
    let sink = ConsoleSink::with(full, console(ConsoleOutput::Json), NO_PAUSE);
    let Outcome::Retry { cause: reason, .. } = deliver(&sink, &losses(1)) else {
        unreachable!("a full disk went unnoticed");
    };
    assert!(reason.contains("No space left"), "{reason}");
}

/// The reader takes a little at a time, so that writing stops inside lines and between them; the
/// batch is given again in other cuts than before, as `deliver` may.
#[test]
fn a_slow_reader_gets_every_line_once_and_whole() {
    for nonblocking in [false, true] {
        let (mut reader, writer) = pipe();
        if nonblocking {
            rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be non-blocking");
        }
        let all = losses(2000);
        let expected = json(&all);
        let sink = ConsoleSink::with(writer, console(ConsoleOutput::Json), NO_PAUSE);
        let mut got = Vec::new();
        let mut chunk = vec![0; 5003];
        let (mut from, mut retries) = (0, 0_usize);
        while from < all.len() {
            let size = [700, 30, 1, 999][retries % 4];
            let batch = &all[from..all.len().min(from + size)];
            match deliver(&sink, batch) {
                Outcome::Sent { .. } => from += batch.len(),
                Outcome::Retry { .. } => {
                    retries += 1;
                    let count = reader.read(&mut chunk).expect("readable");
                    got.extend_from_slice(&chunk[..count]);
                }
                outcome => unreachable!("{outcome:?}"),
            }
        }
        drop(sink);
        reader.read_to_end(&mut got).expect("readable");
        assert!(retries > 10, "the pipe never was full");
        assert!(String::from_utf8(got).expect("UTF-8") == expected);
    }
}
