//! The sink as the pipeline sees it.

use std::fs;
use std::thread;

use super::{lines, settings};
use crate::event::{Event, Loss};
use crate::sink::file::names::{Kind, Names};
use crate::sink::file::{FileSettings, FileSink};
use crate::sink::testing::{self, send};
use crate::sink::{Outcome, Sink as _};

/// Events with numbers for ids.
pub(super) fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    testing::events(numbers, "host")
}

/// Asserts that a text consists of one whole line for each of the events, in their order.
pub(super) fn assert_lines(text: &str, events: &[Event]) {
    assert!(text.ends_with('\n'));
    assert_eq!(text.lines().count(), events.len());
    for (line, event) in text.lines().zip(events) {
        let Event::Loss(Loss { id, .. }) = event else { panic!("not one of ours") };
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
        assert!(line.contains(&id.to_string()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_line_for_each_event() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let (sink, _housekeeper) = FileSink::new(settings.clone());
    let events = events(0..30);
    assert!(matches!(send(&sink, &events[..10]).await, Outcome::Sent { .. }));
    assert!(matches!(send(&sink, &events[10..]).await, Outcome::Sent { .. }));
    sink.close().await.unwrap();
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn reopening_goes_on_in_the_file_at_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let (sink, _housekeeper) = FileSink::new(settings.clone());
    let events = events(0..30);
    assert!(matches!(send(&sink, &events[..10]).await, Outcome::Sent { .. }));
    let moved = directory.path().join("shipper.ndjson.1");
    fs::rename(&settings.path, &moved).unwrap();
    sink.reopen().await;
    assert!(matches!(send(&sink, &events[10..20]).await, Outcome::Sent { .. }));
    // And where nothing was moved, in the same file.
    sink.reopen().await;
    assert!(matches!(send(&sink, &events[20..]).await, Outcome::Sent { .. }));
    assert_lines(&fs::read_to_string(&moved).unwrap(), &events[..10]);
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events[10..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_blocks_and_goes_on_once_mended() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    fs::create_dir(&settings.path).unwrap();
    let (sink, _housekeeper) = FileSink::new(settings.clone());
    assert!(sink.open().is_err());
    let events = events(0..10);
    let outcome = send(&sink, &events).await;
    let Outcome::Blocked { cause } = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains(&settings.path.display().to_string()), "{cause}");
    fs::remove_dir(&settings.path).unwrap();
    assert!(matches!(send(&sink, &events).await, Outcome::Sent { .. }));
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sink_is_refused_and_its_housekeeper_leaves_the_files_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let keep_none = FileSettings { keep_files: 0, ..settings.clone() };
    let (second, housekeeper) = FileSink::new(keep_none);
    second.open().unwrap();
    second.reopen().await;
    // The other comes between, while the housekeeper has already been rung for.
    let (first, _housekeeper) = FileSink::new(settings.clone());
    first.open().unwrap();
    let time = "2026-11-24T10:15:00Z".parse().unwrap();
    let rotated = Names::of(&settings.path).path(time, Kind::Plain);
    fs::write(&rotated, lines(0..9)).unwrap();

    let outcome = send(&second, &events(0..1)).await;
    let Outcome::Blocked { cause } = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("locked by another process"), "{cause}");
    let thread = thread::spawn(|| housekeeper.run());
    drop(second);
    thread.join().unwrap();
    assert!(rotated.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_housekeeper_works_beside_the_sink_and_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = FileSettings { rotate_bytes: 4096, ..settings(directory.path()) };
    let (sink, housekeeper) = FileSink::new(settings.clone());
    let thread = thread::spawn(|| housekeeper.run());
    let events = events(0..2000);
    for batch in events.chunks(10) {
        assert!(matches!(send(&sink, batch).await, Outcome::Sent { .. }));
    }
    drop(sink);
    thread.join().unwrap();
    // What it had not come to is compressed at the next start.
    let (_sink, housekeeper) = FileSink::new(settings.clone());
    housekeeper.run_once().unwrap();
    let mut text = String::new();
    for rotated in Names::of(&settings.path).list().unwrap() {
        assert_eq!(rotated.kind, Kind::Gzip);
        let file = fs::File::open(&rotated.path).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    }
    text.push_str(&fs::read_to_string(&settings.path).unwrap());
    assert_lines(&text, &events);
}
