//! Going on after a crash: what is in the files and was not acknowledged for good comes again, and
//! is not written twice.

use std::fs;
use std::time::SystemTime;

use super::{all, lines, numbers, settings, writer};
use crate::sink::file::FileSettings;
use crate::sink::file::writer::{Appended, Writer};

/// A run of the sink: appends batches and remembers each position that would be saved.
struct Run {
    writer: Writer,
    /// Positions in their order, with how many lines were acknowledged.
    saved: Vec<(u64, Vec<u8>)>,
    acknowledged: u64,
}

impl Run {
    fn resume(settings: &FileSettings, (acknowledged, position): (u64, Vec<u8>)) -> Run {
        let (mut writer, _housekeeper) = writer(settings);
        writer.resume(&position);
        Run { writer, saved: vec![(acknowledged, position)], acknowledged }
    }

    /// Appends the lines after those acknowledged, so many at a time.
    fn append(&mut self, to: u64, at_a_time: u64) {
        while self.acknowledged < to {
            let end = to.min(self.acknowledged + at_a_time);
            let batch = lines(self.acknowledged..end);
            match self.writer.append(&batch, SystemTime::now()).unwrap() {
                Appended::Whole => self.acknowledged = end,
                Appended::AfterCheckpoint => {}
            }
            self.saved.push((self.acknowledged, self.writer.position()));
        }
    }
}

#[test]
fn from_whatever_position_was_saved_last_every_line_is_there_once() {
    let positions = {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::resume(&settings(directory.path()), (0, Vec::new()));
        run.append(20, 3);
        run.saved.len()
    };
    // Without any saved position, at the very first start, there is nothing to compare.
    for index in 1..positions {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let mut first = Run::resume(&settings, (0, Vec::new()));
        first.append(20, 3);
        let saved = first.saved.swap_remove(index);
        drop(first);
        let mut second = Run::resume(&settings, saved);
        second.append(30, 4);
        second.writer.close().unwrap();
        assert_eq!(numbers(&settings), all(0..30), "position {index}");
    }
}

/// The daemon is killed after each single call, with the newest position that the contract makes
/// sure of: the one of the last checkpoint.
#[test]
fn killed_after_any_call_every_line_is_there_once_through_rotations() {
    for calls in 1..40 {
        let directory = tempfile::tempdir().unwrap();
        let settings = FileSettings { rotate_bytes: 60, ..settings(directory.path()) };
        let (mut first, _housekeeper) = writer(&settings);
        let (mut checkpoint, mut acknowledged) = ((0, Vec::new()), 0);
        for _ in 0..calls {
            match first.append(&lines(acknowledged..acknowledged + 3), SystemTime::now()).unwrap() {
                Appended::Whole => acknowledged += 3,
                Appended::AfterCheckpoint => checkpoint = (acknowledged, first.position()),
            }
        }
        drop(first);
        let mut second = Run::resume(&settings, checkpoint);
        second.append(100, 7);
        second.writer.close().unwrap();
        assert_eq!(numbers(&settings), all(0..100), "{calls} calls");
    }
}

#[test]
fn a_torn_line_of_the_run_before_comes_again_whole() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut first = Run::resume(&settings, (0, Vec::new()));
    first.append(6, 3);
    let at_three = first.saved[2].clone();
    assert_eq!(at_three.0, 3);
    drop(first);
    let text = fs::read(&settings.path).unwrap();
    fs::write(&settings.path, &text[..text.len() - 4]).unwrap();
    // `fs::write` keeps the file and its identity.
    let mut second = Run::resume(&settings, at_three);
    second.append(12, 5);
    second.writer.close().unwrap();
    assert_eq!(numbers(&settings), all(0..12));
}

#[test]
fn lines_in_a_file_that_logrotate_moved_away_are_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let moved = directory.path().join("shipper.ndjson.1");
    let mut first = Run::resume(&settings, (0, Vec::new()));
    first.append(9, 3);
    let at_three = first.saved[2].clone();
    drop(first);
    fs::rename(&settings.path, &moved).unwrap();
    // Killed again before the cursor was saved, with the new file begun.
    let mut second = Run::resume(&settings, at_three);
    second.append(15, 4);
    let checkpoint = second.saved.iter().rfind(|(count, _)| *count == 7).cloned().unwrap();
    drop(second);
    let mut third = Run::resume(&settings, checkpoint);
    third.append(20, 4);
    third.writer.close().unwrap();
    assert_eq!(fs::read(&moved).unwrap(), lines(0..9));
    assert_eq!(numbers(&settings), all(9..20));
}

#[test]
fn lines_of_somebody_else_are_never_taken_for_ours() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let mut first = Run::resume(&settings, (0, Vec::new()));
    first.append(3, 3);
    let (count, position) = first.saved.last().unwrap().clone();
    drop(first);
    let foreign = [lines(0..3), lines(100..103)].concat();
    fs::write(&settings.path, foreign).unwrap();
    let mut second = Run::resume(&settings, (count, position));
    second.append(6, 3);
    second.writer.close().unwrap();
    assert_eq!(numbers(&settings), [0, 1, 2, 100, 101, 102, 3, 4, 5]);
}

#[test]
fn a_position_that_is_not_ours_or_whose_file_is_gone_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    for position in [&b"nonsense"[..], br#"[{"device":1,"inode":2,"born_ns":3,"bytes":400}]"#] {
        let _ = fs::remove_file(&settings.path);
        let mut run = Run::resume(&settings, (0, position.to_vec()));
        run.append(6, 3);
        run.writer.close().unwrap();
        assert_eq!(numbers(&settings), all(0..6));
    }
}
