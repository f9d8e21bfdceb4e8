//! Tests on real files. Time is an argument, and faults of the disk come from a file that has them
//! or from a file system that is really full.

#![allow(clippy::unwrap_used, clippy::panic)]

mod full_disk;
mod lines;
mod names;
mod resume;
mod rotated;
mod sink;
mod writing;

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;

use super::FileSettings;
use super::error::FileError;
use super::housekeeper::Housekeeper;
use super::names::{Kind, Names};
use super::writer::{Appended, Writer};
use crate::config::model::Compress;
use crate::format::Format;

/// No limit but those a test sets.
pub(super) fn settings(directory: &Path) -> FileSettings {
    FileSettings {
        format: Format::Ecs,
        path: directory.join("shipper.ndjson"),
        rotate_bytes: u64::MAX,
        rotate_interval: Duration::MAX,
        compress: Compress::Gzip,
        keep_files: usize::MAX,
        keep_bytes: u64::MAX,
        keep_age: Duration::MAX,
    }
}

/// One line for each number.
pub(super) fn lines(numbers: Range<u64>) -> Vec<u8> {
    numbers.flat_map(|number| format!("{{\"n\":{number}}}\n").into_bytes()).collect()
}

/// The numbers of all lines, oldest first, whatever became of the files; every line must be whole.
pub(super) fn numbers(settings: &FileSettings) -> Vec<u64> {
    let mut text = String::new();
    for rotated in Names::of(&settings.path).list().unwrap() {
        let file = File::open(&rotated.path).unwrap();
        match rotated.kind {
            Kind::Plain => { &file }.read_to_string(&mut text).unwrap(),
            Kind::Gzip => GzDecoder::new(file).read_to_string(&mut text).unwrap(),
            Kind::Partial => panic!("{} was left", rotated.path.display()),
        };
        assert!(text.ends_with('\n'), "{} is torn", rotated.path.display());
    }
    text.push_str(&fs::read_to_string(&settings.path).unwrap_or_default());
    assert!(text.is_empty() || text.ends_with('\n'), "torn");
    text.lines()
        .map(|line| line.strip_prefix("{\"n\":").unwrap().strip_suffix('}').unwrap())
        .map(|number| number.parse().unwrap())
        .collect()
}

fn writer(settings: &FileSettings) -> (Writer, Housekeeper) {
    let (bell, housekeeper) = Housekeeper::new(settings.clone());
    (Writer::new(settings.clone(), bell), housekeeper)
}

fn append(writer: &mut Writer, range: Range<u64>) {
    append_at(writer, &lines(range), SystemTime::now()).unwrap();
}

/// Appends as `deliver` does: again after a checkpoint.
pub(super) fn append_at(
    writer: &mut Writer,
    lines: &[u8],
    now: SystemTime,
) -> Result<(), FileError> {
    while writer.append(lines, now)? == Appended::AfterCheckpoint {}
    Ok(())
}

fn all(range: Range<u64>) -> Vec<u64> {
    range.collect()
}

/// Names in a directory, sorted.
fn ls(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
