//! Any bytes as segments of a spool: it opens or says why not, its numbers only go up, it takes what
//! comes, and the next start sees the same.
//!
//! The first byte says where the bytes are cut into two segments and whether checksums are made right.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shipper::spool::disk::Disk;
use shipper::spool::inspect::{self, Piece};
use shipper::spool::{
    self, Compression, FreeMin, Fsync, Now, Options, Spool, WhenFull, Writer, Wrote,
};
use shipper_fuzz::disk::MemoryDisk;
use shipper_fuzz::mend;

const DIR: &str = "/spool";

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let (first, second) = match how & 1 {
        0 => (bytes, &[][..]),
        _ => bytes.split_at(bytes.len() * usize::from(how >> 2) / 64),
    };
    let disk = MemoryDisk::default();
    for segment in [first, second].into_iter().filter(|segment| !segment.is_empty()) {
        let mut segment = segment.to_vec();
        if how & 2 == 0 {
            mend::segment(&mut segment);
        }
        // By the name that its head asks for.
        let number = segment.get(24..32).and_then(|bytes| bytes.first_chunk());
        let number = number.map_or(1, |bytes| u64::from_le_bytes(*bytes));
        disk.put(&log().join(format!("{number:020}.seg")), segment);
    }
    look(&disk);

    let Some((mut writer, spool)) = open(&disk) else { return };
    let before = read(&spool);
    let next = writer.durable() + 1;
    // There may be no number left, or none that can be reached.
    if next < u64::MAX - 1000 {
        writer.append(b"more");
        let now = Now::default();
        assert!(matches!(writer.write(b"mark", now), Wrote::Done));
        writer.close(now).expect("a disk that never fails");
        drop(spool);
        let (writer, spool) = open(&disk).expect("what it wrote itself");
        let after = read(&spool);
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()..], [(next, b"more".to_vec())]);
        assert_eq!(writer.last_mark(), Some(&b"mark"[..]));
    }
});

fn log() -> PathBuf {
    Path::new(DIR).join("log")
}

fn open(disk: &MemoryDisk) -> Option<(Writer, Spool)> {
    let options = Options {
        dir: DIR.into(),
        bytes_max: 1 << 40,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Always,
        compression: Compression::None,
        segment_bytes: 1 << 20,
    };
    spool::open(options, Arc::new(disk.clone()), &["a".to_owned()]).ok()
}

fn read(spool: &Spool) -> Vec<(u64, Vec<u8>)> {
    let (mut reader, _cursor) = spool.cursor("a").expect("a sink of the spool");
    let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
    while let Some(block) = reader.try_next().expect("a disk that never fails") {
        for (number, record) in block.records() {
            assert!(records.last().is_none_or(|(last, _)| *last < number), "{number} goes back");
            records.push((number, record.to_vec()));
        }
    }
    records
}

/// As `shipper spool` does, which changes nothing.
fn look(disk: &MemoryDisk) {
    let before = disk.files(&log());
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let _ = inspect::status(&*shared, Path::new(DIR));
    if let Ok(walk) = inspect::walk(&shared, &log(), 0) {
        let mut last = 0;
        for piece in walk {
            let Ok(Piece::Block { block, .. }) = piece else { continue };
            for (number, _) in block.records() {
                assert!(number > last, "{number} goes back");
                last = number;
            }
        }
    }
    assert_eq!(disk.files(&log()), before);
}
