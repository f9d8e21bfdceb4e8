//! Rotation, compression, retention.

use std::cell::Cell;
use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::{all, append, append_at, lines, ls, numbers, settings, writer};
use crate::config::model::Compress;
use crate::config::settings::FileSettings;
use crate::sink::file::disk;
use crate::sink::file::names::{Kind, Names};

const HOUR: Duration = Duration::from_secs(3600);

fn at(time: &str) -> SystemTime {
    SystemTime::try_from(time.parse::<Timestamp>().unwrap()).unwrap()
}

/// Puts a rotated file there as if rotated at that time.
fn put(settings: &FileSettings, time: &str, kind: Kind, text: &[u8]) -> PathBuf {
    let path = Names::of(&settings.path).path(time.parse().unwrap(), kind);
    fs::write(&path, text).unwrap();
    path
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(text, flate2::Compression::fast());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut encoder, &mut bytes).unwrap();
    bytes
}

fn kinds(settings: &FileSettings) -> Vec<Kind> {
    Names::of(&settings.path).list().unwrap().iter().map(|rotated| rotated.kind).collect()
}

#[test]
fn across_many_rotations_and_compressions_every_line_is_there_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_bytes = 4096;
    let (mut writer, housekeeper) = writer(&settings);
    for batch in 0..500 {
        append(&mut writer, batch * 20..batch * 20 + 20);
        // Some are compressed early, some in a heap, the last not at all.
        if batch % 100 == 17 {
            housekeeper.run_once().unwrap();
        }
    }
    let kinds = kinds(&settings);
    assert!(kinds.contains(&Kind::Plain) && kinds.contains(&Kind::Gzip), "{kinds:?}");
    assert!(kinds.len() > 20, "{kinds:?}");
    assert_eq!(numbers(&settings), all(0..10_000));
    for rotated in Names::of(&settings.path).list().unwrap() {
        assert!(rotated.len <= 4096);
    }
    housekeeper.run_once().unwrap();
    assert_eq!(numbers(&settings), all(0..10_000));
}

#[test]
fn a_batch_larger_than_the_limit_gets_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_bytes = 10;
    let (mut writer, _housekeeper) = writer(&settings);
    for batch in 0..3 {
        append(&mut writer, batch * 5..batch * 5 + 5);
    }
    assert_eq!(kinds(&settings).len(), 2);
    assert_eq!(numbers(&settings), all(0..15));
}

#[test]
fn a_file_of_age_is_rotated_before_the_next_batch_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_interval = 24 * HOUR;
    let now = SystemTime::now();
    let (mut first, _housekeeper) = writer(&settings);
    append_at(&mut first, &lines(0..1), now).unwrap();
    append_at(&mut first, &lines(1..2), now + 23 * HOUR).unwrap();
    assert_eq!(kinds(&settings).len(), 0);
    append_at(&mut first, &lines(2..3), now + 25 * HOUR).unwrap();
    assert_eq!(kinds(&settings).len(), 1);
    first.close().unwrap();
    // Begun by the clock of the file system just now, not 25 hours later.
    append_at(&mut writer(&settings).0, &lines(3..4), now + 25 * HOUR).unwrap();
    assert_eq!(kinds(&settings).len(), 2);
    assert_eq!(numbers(&settings), all(0..4));
}

#[test]
fn rotated_names_tell_the_time_and_sort_when_the_clock_stands_or_is_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_bytes = 1;
    let (mut writer, _housekeeper) = writer(&settings);
    for (number, time) in [
        "2026-11-24T10:15:00.1239Z",
        "2026-11-24T10:15:00.1239Z",
        "2026-11-24T10:15:00.1239Z",
        "2026-11-24T09:00:00Z",
    ]
    .into_iter()
    .enumerate()
    {
        append_at(&mut writer, &lines(number as u64..number as u64 + 1), at(time)).unwrap();
    }
    assert_eq!(
        ls(directory.path()),
        [
            "shipper-20261124T101500.123Z.ndjson",
            "shipper-20261124T101500.124Z.ndjson",
            "shipper-20261124T101500.125Z.ndjson",
            "shipper.ndjson"
        ]
    );
    assert_eq!(numbers(&settings), all(0..4));
}

#[test]
fn a_rotation_never_takes_a_name_that_a_plain_or_a_compressed_file_has() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_bytes = 1;
    put(&settings, "2026-11-24T10:15:00.000Z", Kind::Plain, &lines(0..1));
    put(&settings, "2026-11-24T10:15:00.001Z", Kind::Gzip, &gzip(&lines(1..2)));
    let (mut writer, housekeeper) = writer(&settings);
    for number in 2..4 {
        append_at(&mut writer, &lines(number..number + 1), at("2026-11-24T10:15:00Z")).unwrap();
    }
    assert_eq!(numbers(&settings), all(0..4));
    housekeeper.run_once().unwrap();
    assert_eq!(numbers(&settings), all(0..4));
}

#[test]
fn a_rename_without_the_kernels_help_does_not_overwrite_either() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    for rename in [disk::rename_new, disk::rename_new_by_link] {
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let error = rename(&from, &to).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"old");
        fs::remove_file(&to).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(ls(directory.path()), ["to"]);
    }
}

#[test]
fn a_compressed_file_keeps_the_time_of_its_original() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let plain = put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &lines(0..9));
    let changed = at("2026-11-24T10:14:59Z");
    let file = File::options().write(true).open(&plain).unwrap();
    file.set_times(FileTimes::new().set_modified(changed)).unwrap();
    writer(&settings).1.run_once().unwrap();
    let compressed = directory.path().join("shipper-20261124T101500.000Z.ndjson.gz");
    assert_eq!(fs::metadata(compressed).unwrap().modified().unwrap(), changed);
    assert_eq!(ls(directory.path()), ["shipper-20261124T101500.000Z.ndjson.gz"]);
}

#[test]
fn without_compression_rotated_files_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.compress = Compress::None;
    put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &lines(0..9));
    writer(&settings).1.run_once().unwrap();
    assert_eq!(kinds(&settings), [Kind::Plain]);
}

#[test]
fn told_to_stop_a_compression_leaves_the_original_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &lines(0..50_000));
    let chunks = Cell::new(0);
    let stop = || chunks.replace(chunks.get() + 1) == 3;
    writer(&settings).1.pass(SystemTime::now(), &stop).unwrap();
    assert_eq!(ls(directory.path()), ["shipper-20261124T101500.000Z.ndjson"]);
    assert_eq!(numbers(&settings), all(0..50_000));
}

#[test]
fn what_a_crash_in_a_compression_left_is_settled() {
    let text = lines(0..30_000);
    let sound = gzip(&text);
    let mut flipped = sound.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    for (left, partial) in [
        (None, true),
        (Some(sound.clone()), false),
        (Some(sound[..sound.len() - 4].to_vec()), false),
        (Some(flipped), true),
        (Some(Vec::new()), false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &text);
        if partial {
            put(&settings, "2026-11-24T10:15:00Z", Kind::Partial, &sound[..100]);
        }
        if let Some(left) = left {
            put(&settings, "2026-11-24T10:15:00Z", Kind::Gzip, &left);
        }
        writer(&settings).1.run_once().unwrap();
        assert_eq!(ls(directory.path()), ["shipper-20261124T101500.000Z.ndjson.gz"]);
        assert_eq!(numbers(&settings), all(0..30_000));
    }
}

#[test]
fn a_compressed_file_of_other_lines_is_not_taken_for_a_leftover() {
    // Other lines, fewer of the same, more of the same.
    for other in [5..9, 0..3, 0..6] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        put(&settings, "2026-11-24T10:15:00Z", Kind::Gzip, &gzip(&lines(other.clone())));
        put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &lines(0..5));
        writer(&settings).1.run_once().unwrap();
        assert_eq!(numbers(&settings), other.chain(0..5).collect::<Vec<_>>());
        assert_eq!(kinds(&settings), [Kind::Gzip, Kind::Gzip]);
    }
}

/// Ten rotated files of 1000 bytes, one an hour; returns those left at 12:00 of that day.
fn kept(limit: impl FnOnce(&mut FileSettings)) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.compress = Compress::None;
    for hour in 0..10 {
        let kind = if hour % 2 == 0 { Kind::Gzip } else { Kind::Plain };
        put(&settings, &format!("2026-11-24T{hour:02}:00:00Z"), kind, &[b'x'; 1000]);
    }
    limit(&mut settings);
    writer(&settings).1.pass(at("2026-11-24T12:00:00Z"), &|| false).unwrap();
    ls(directory.path())
}

#[test]
fn each_limit_to_keep_removes_the_oldest_files() {
    let last_three = [
        "shipper-20261124T070000.000Z.ndjson",
        "shipper-20261124T080000.000Z.ndjson.gz",
        "shipper-20261124T090000.000Z.ndjson",
    ];
    assert_eq!(kept(|_| {}).len(), 10);
    assert_eq!(kept(|settings| settings.keep_files = 3), last_three);
    assert_eq!(kept(|settings| settings.keep_bytes = 3999), last_three);
    assert_eq!(kept(|settings| settings.keep_age = 5 * HOUR), last_three);
    assert_eq!(kept(|settings| settings.keep_files = 0).len(), 0);
    assert_eq!(kept(|settings| settings.keep_bytes = 999).len(), 0);
    // All hold at once.
    let all_limits = kept(|settings| {
        settings.keep_files = 5;
        settings.keep_bytes = 3000;
        settings.keep_age = 10 * HOUR;
    });
    assert_eq!(all_limits, last_three);
}

#[test]
fn the_limit_in_bytes_counts_files_as_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.keep_bytes = 20_000;
    put(&settings, "2026-11-24T10:15:00Z", Kind::Plain, &[b'x'; 1 << 20]);
    writer(&settings).1.run_once().unwrap();
    assert_eq!(kinds(&settings), [Kind::Gzip]);
}
