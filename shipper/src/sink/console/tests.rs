//! The console sink against real pipes.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::*;
use crate::event::{Host, Id, Loss, LossKind, LossStage, WallTime};

const NO_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

fn pipe() -> (File, File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer)))
}

fn losses(count: u64) -> Vec<Arc<Event>> {
    let host = Arc::new(Host {
        name: "h".repeat(500),
        id: String::new(),
        boot_id: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        os_platform: String::new(),
        os_name: String::new(),
        os_version: String::new(),
        os_full: String::new(),
    });
    let loss = |count| Loss {
        id: Id([0; 16]),
        time: WallTime(0),
        host: Arc::clone(&host),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        count,
        first: WallTime(0),
        last: WallTime(0),
    };
    (1..=count).map(|count| Arc::new(Event::Loss(loss(count)))).collect()
}

fn encoded(events: &Batch) -> String {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| ecs::encode(event, &mut bytes));
    String::from_utf8(bytes).expect("JSON is UTF-8")
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
    let mut sink = ConsoleSink::with(writer, ConsoleOutput::Json, NO_PAUSE);
    assert!(matches!(sink.send(&batch).await, Outcome::Sent));
    drop(sink);
    assert_eq!(read(reader), encoded(&batch));
}

#[test]
fn pretty_output_in_a_pipe_is_one_plain_line_an_event() {
    let (reader, writer) = pipe();
    let mut sink = ConsoleSink::with(writer, ConsoleOutput::Pretty, NO_PAUSE);
    assert!(matches!(sink.deliver(&losses(2)), Outcome::Sent));
    drop(sink);
    let text = read(reader);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn a_reader_that_is_gone_blocks_the_sink_and_says_so() {
    let (reader, writer) = pipe();
    drop(reader);
    let mut sink = ConsoleSink::with(writer, ConsoleOutput::Json, NO_PAUSE);
    let Outcome::Blocked { cause } = sink.deliver(&losses(1)) else {
        unreachable!("writing into a closed pipe was not refused");
    };
    assert!(cause.contains("the reader of standard output is gone"), "{cause}");
}

#[test]
fn a_full_disk_is_a_reason_to_retry() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full is there");
    let mut sink = ConsoleSink::with(full, ConsoleOutput::Json, NO_PAUSE);
    let Outcome::Retry { reason, .. } = sink.deliver(&losses(1)) else {
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
        let expected = encoded(&all);
        let mut sink = ConsoleSink::with(writer, ConsoleOutput::Json, NO_PAUSE);
        let mut got = Vec::new();
        let mut chunk = vec![0; 5003];
        let (mut from, mut retries) = (0, 0_usize);
        while from < all.len() {
            let size = [700, 30, 1, 999][retries % 4];
            let batch = &all[from..all.len().min(from + size)];
            match sink.deliver(batch) {
                Outcome::Sent => from += batch.len(),
                Outcome::Retry { .. } => {
                    retries += 1;
                    let count = reader.read(&mut chunk).expect("readable");
                    got.extend_from_slice(&chunk[..count]);
                }
                Outcome::Blocked { cause } => unreachable!("{cause}"),
            }
        }
        drop(sink);
        reader.read_to_end(&mut got).expect("readable");
        assert!(retries > 10, "the pipe never was full");
        assert!(String::from_utf8(got).expect("UTF-8") == expected);
    }
}
