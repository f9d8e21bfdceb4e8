//! The spool as its users see it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::disk::RealDisk;
use super::disk::sim::SimDisk;
use super::*;

mod model;
mod model_full;
mod recovery;
mod full;
mod failing;
mod quarantine;
mod inspect;
mod real;

const DIR: &str = "/spool";

fn options() -> Options {
    Options {
        dir: DIR.into(),
        bytes_max: 64 << 20,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Always,
        compression: Compression::None,
        segment_bytes: 400,
    }
}

fn at(ms: u64) -> Now {
    Now { monotonic: Duration::from_millis(ms), wall_ns: 1_000_000_000 + ms * 1_000_000 }
}

fn open_on(disk: &SimDisk, options: &Options) -> (Writer, Spool) {
    open(options.clone(), Arc::new(disk.clone()), &["a".to_owned()]).unwrap()
}

/// A record that tells its number.
fn record(number: u64) -> Vec<u8> {
    format!("record {number} {}", "x".repeat((number % 7) as usize)).into_bytes()
}

/// Appends records `first..first + count`, as one block.
fn append(writer: &mut Writer, first: u64, count: u64) {
    (first..first + count).for_each(|number| writer.append(&record(number)));
}

/// Numbers of what there is to read now; each record must be what was appended under its number.
fn drain(reader: &mut Reader) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(block) = reader.try_next().unwrap() {
        for (number, bytes) in block.records() {
            assert_eq!(bytes, record(number));
            numbers.push(number);
        }
    }
    numbers
}

fn count(losses: &[SpoolLoss]) -> u64 {
    losses.iter().map(|loss| loss.count).sum()
}

/// The segments on a disk, oldest first.
fn segments(disk: &SimDisk) -> Vec<std::path::PathBuf> {
    disk.files().into_iter().filter(|path| path.starts_with(Path::new(DIR).join("log"))).collect()
}

/// A spool of three segments with records 1 to 20, closed.
fn closed_spool() -> SimDisk {
    let disk = SimDisk::default();
    let (mut writer, _spool) = open_on(&disk, &options());
    for first in [1, 5, 8, 12, 17] {
        let next = [5, 8, 12, 17, 21].into_iter().find(|&next| next > first).unwrap();
        append(&mut writer, first, next - first);
        assert!(matches!(writer.write(b"mark", at(first)), Wrote::Done));
    }
    writer.close(at(30)).unwrap();
    drop(_spool);
    assert_eq!(segments(&disk).len(), 3);
    disk
}
