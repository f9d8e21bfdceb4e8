//! The spool as its users see it.

mod model;

use std::sync::Arc;
use std::time::Duration;

use super::disk::RealDisk;
use super::*;

fn options(dir: &std::path::Path) -> Options {
    Options {
        dir: dir.to_owned(),
        bytes_max: 64 << 20,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Always,
        compression: Compression::Lz4,
        segment_bytes: 1 << 20,
    }
}

fn at(ms: u64) -> Now {
    Now { monotonic: Duration::from_millis(ms), wall_ns: 1_000_000_000 + ms * 1_000_000 }
}

#[tokio::test]
async fn what_is_written_is_read_by_each_sink_and_again_from_the_cursor_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let sinks = ["a".to_owned(), "b".to_owned()];
    let (mut writer, spool) = open(options(dir.path()), Arc::new(RealDisk), &sinks).unwrap();
    for record in [b"one".as_slice(), b"two", b""] {
        writer.append(record);
    }
    assert!(matches!(writer.write(b"mark", at(0)), Wrote::Done));
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    let block = reader.next().await.unwrap().unwrap();
    let records: Vec<_> = block.records().collect();
    assert_eq!(records, [(1, b"one".as_slice()), (2, b"two"), (3, b"")]);
    cursor.save(3, b"inode 7", 5).unwrap();
    writer.close(at(1)).unwrap();
    assert!(reader.next().await.unwrap().is_none());
    drop((reader, cursor, spool));

    let (writer, spool) = open(options(dir.path()), Arc::new(RealDisk), &sinks).unwrap();
    assert_eq!(writer.last_mark(), Some(b"mark".as_slice()));
    let (mut reader, cursor) = spool.cursor("a").unwrap();
    assert_eq!((cursor.next(), cursor.position()), (3, b"inode 7".as_slice()));
    let block = reader.next().await.unwrap().unwrap();
    assert_eq!(block.records().collect::<Vec<_>>(), [(3, b"".as_slice())]);
    let (mut reader, _) = spool.cursor("b").unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().records().count(), 3);
}
