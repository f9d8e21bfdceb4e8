//! The file at the path: opening, refusing, and what others do to it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{all, append, append_at, lines, ls, numbers, settings, writer};
use crate::sink::file::error::FileError;
use std::time::SystemTime;

/// What appending one line to the path answers.
fn refusal(path: &Path) -> FileError {
    let mut settings = settings(path);
    settings.path = path.to_owned();
    append_at(&mut writer(&settings).0, &lines(0..1), SystemTime::now()).unwrap_err()
}

#[test]
fn missing_directories_and_the_file_are_made_closed_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory.path().join("log/shipper"));
    append(&mut writer(&settings).0, 0..3);
    assert_eq!(numbers(&settings), all(0..3));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // The umask may have taken more away.
    assert_eq!(mode(&settings.path) & !0o640, 0);
    assert_eq!(mode(&directory.path().join("log")) & !0o750, 0);
    assert_eq!(mode(&directory.path().join("log/shipper")) & !0o750, 0);
}

#[test]
fn an_existing_file_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    append(&mut writer(&settings).0, 0..3);
    append(&mut writer(&settings).0, 3..6);
    assert_eq!(numbers(&settings), all(0..6));
    assert_eq!(ls(directory.path()), ["shipper.ndjson"]);
}

#[test]
fn a_torn_last_line_is_cut_off_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let torn = [lines(0..3), b"{\"n\":3".to_vec()].concat();
    fs::write(&settings.path, torn).unwrap();
    append(&mut writer(&settings).0, 3..6);
    assert_eq!(numbers(&settings), all(0..6));
    assert_eq!(fs::read(directory.path().join("shipper.ndjson.torn")).unwrap(), b"{\"n\":3\n");
}

#[test]
fn a_torn_line_longer_than_what_is_read_at_a_time_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let torn = [lines(0..3), vec![b'x'; 200_000]].concat();
    fs::write(&settings.path, torn).unwrap();
    append(&mut writer(&settings).0, 3..6);
    assert_eq!(numbers(&settings), all(0..6));
    assert_eq!(fs::metadata(directory.path().join("shipper.ndjson.torn")).unwrap().len(), 200_001);
}

#[test]
fn kept_torn_lines_never_take_more_than_a_mebibyte() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    for _ in 0..3 {
        fs::write(&settings.path, vec![b'{'; 700_000]).unwrap();
        append(&mut writer(&settings).0, 0..1);
    }
    assert_eq!(numbers(&settings), [0]);
    assert_eq!(fs::metadata(directory.path().join("shipper.ndjson.torn")).unwrap().len(), 1 << 20);
}

#[test]
fn a_file_of_zeros_from_a_power_failure_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    fs::write(&settings.path, [0; 4096]).unwrap();
    append(&mut writer(&settings).0, 0..3);
    assert_eq!(numbers(&settings), all(0..3));
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("passwd");
    fs::write(&path, "root:x:0:0").unwrap();
    let error = refusal(&path);
    assert!(matches!(error, FileError::Unusable { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"root:x:0:0");
    assert_eq!(ls(directory.path()), ["passwd"]);
}

#[test]
fn a_symbolic_link_is_refused_and_its_target_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (directory.path().join("target"), directory.path().join("link"));
    fs::write(&target, "").unwrap();
    symlink(&target, &link).unwrap();
    let error = refusal(&link);
    assert!(matches!(error, FileError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert_eq!(fs::read(&target).unwrap(), b"");

    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nothing"), &dangling).unwrap();
    assert!(matches!(refusal(&dangling), FileError::Refused { .. }));
    assert_eq!(ls(directory.path()), ["dangling", "link", "target"]);
}

#[test]
fn what_is_not_a_file_in_a_directory_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, FileError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("name a file in that directory"), "{error}");

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("shipper.ndjson"), file.join("log/shipper.ndjson")] {
        let error = refusal(&path);
        assert!(matches!(error, FileError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let error = refusal(&fifo);
    assert!(matches!(error, FileError::Unusable { .. }), "{error}");

    let error = refusal(&directory.path().join("n".repeat(228)));
    assert!(matches!(error, FileError::Unusable { .. }), "{error}");
}

#[test]
fn a_file_moved_away_is_followed_by_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let moved = directory.path().join("moved");
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..3);
    fs::rename(&settings.path, &moved).unwrap();
    append(&mut writer, 3..6);
    assert_eq!(fs::read(&moved).unwrap(), lines(0..3));
    assert_eq!(numbers(&settings), all(3..6));
}

#[test]
fn a_file_put_in_the_place_of_ours_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let other = directory.path().join("other");
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..3);
    fs::write(&other, lines(10..13)).unwrap();
    fs::rename(&other, &settings.path).unwrap();
    append(&mut writer, 13..16);
    assert_eq!(numbers(&settings), all(10..16));
}

#[test]
fn a_removed_directory_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory.path().join("log"));
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..3);
    fs::remove_dir_all(directory.path().join("log")).unwrap();
    append(&mut writer, 3..6);
    assert_eq!(numbers(&settings), all(3..6));
}

#[test]
fn a_file_emptied_by_copytruncate_is_continued_without_a_hole() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..100);
    File::options().write(true).open(&settings.path).unwrap().set_len(0).unwrap();
    append(&mut writer, 100..103);
    append(&mut writer, 103..106);
    assert_eq!(numbers(&settings), all(100..106));
}

#[test]
fn half_a_line_appended_by_somebody_else_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..3);
    let text = [fs::read(&settings.path).unwrap(), b"{\"n\":".to_vec()].concat();
    fs::write(&settings.path, text).unwrap();
    append(&mut writer, 3..6);
    assert_eq!(numbers(&settings), all(0..6));
}

#[test]
fn a_second_writer_is_refused_until_the_first_lets_go_also_across_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_bytes = 30;
    let (mut first, _one) = writer(&settings);
    let (mut second, _two) = writer(&settings);
    for batch in 0..4 {
        append(&mut first, batch * 3..batch * 3 + 3);
        let error = append_at(&mut second, &lines(0..1), SystemTime::now()).unwrap_err();
        assert!(matches!(error, FileError::Locked { .. }), "{error}");
    }
    first.close().unwrap();
    append(&mut second, 12..15);
    let error = append_at(&mut first, &lines(0..1), SystemTime::now()).unwrap_err();
    assert!(matches!(error, FileError::Locked { .. }), "{error}");
    assert_eq!(numbers(&settings), all(0..15));
}
