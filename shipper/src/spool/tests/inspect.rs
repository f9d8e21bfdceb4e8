//! Looking at a spool from outside.

use super::*;
use crate::spool::inspect::{Piece, log_directory, rate, status, walk};

fn pieces(disk: &SimDisk, from: u64) -> Vec<String> {
    let disk: Arc<dyn disk::Disk> = Arc::new(disk.clone());
    walk(&disk, &log_directory(Path::new(DIR)), from)
        .unwrap()
        .map(|piece| match piece.unwrap() {
            Piece::Block { block, .. } => {
                format!("{}-{}", block.first_number(), block.next_number() - 1)
            }
            Piece::Damaged { bytes, missing, .. } => format!("damaged {bytes} {missing}"),
            Piece::Torn { bytes, .. } => format!("torn {bytes}"),
        })
        .collect()
}

#[test]
fn a_walk_shows_blocks_damage_and_a_torn_end() {
    let disk = closed_spool();
    assert_eq!(pieces(&disk, 0), ["1-4", "5-7", "8-11", "12-16", "17-20"]);
    assert_eq!(pieces(&disk, 13), ["13-16", "17-20"]);
    let all = segments(&disk);
    disk.tamper(&all[0], |bytes| *bytes.last_mut().unwrap() ^= 1);
    disk.tamper(&all[2], |bytes| bytes.extend_from_slice(b"begun"));
    let shown = pieces(&disk, 0);
    assert!(shown[1].starts_with("damaged ") && shown[1].ends_with(" 3"), "{shown:?}");
    assert_eq!(shown.last().unwrap(), "torn 5");
    assert_eq!(shown.len(), 6);
    disk.tamper(&all[1], |bytes| bytes.clear());
    assert!(pieces(&disk, 0)[1].ends_with(" 15") || pieces(&disk, 0)[1].ends_with(" 12"));
}

#[test]
fn the_status_needs_no_lock_and_changes_nothing() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &options());
    for number in 1..=10 {
        append(&mut writer, number, 1);
        writer.write(b"", at(number));
    }
    let (_, mut cursor) = spool.cursor("a").unwrap();
    cursor.save(4, b"", 77).unwrap();
    let entry = crate::spool::quarantine::Entry { number: 2, reason: "r", payload: b"p" };
    spool.quarantine("a", 1 << 20).unwrap().put(&[entry, entry], 5).unwrap();
    let changes = disk.changes();
    let status = status(&disk, Path::new(DIR)).unwrap();
    assert_eq!(disk.changes(), changes);
    assert_eq!(status.segments.last().unwrap().next, 11);
    assert_eq!(status.bytes, spool.usage().bytes);
    assert_eq!(status.written_wall_ns.unwrap().1, at(10).wall_ns);
    let cursor = &status.cursors[0];
    assert_eq!((cursor.sink.as_str(), cursor.next, cursor.saved_wall_ns), ("a", 4, 77));
    assert_eq!((cursor.lag_records, cursor.oldest_wall_ns), (7, Some(at(4).wall_ns)));
    assert!(cursor.lag_bytes > 7 * 64 && cursor.lag_bytes < status.bytes);
    assert_eq!((status.quarantines[0].sink.as_str(), status.quarantines[0].entries), ("a", 2));
    assert_eq!((status.replays.len(), status.losses.len()), (0, 0));
    let rate = rate(&disk, Path::new(DIR), 3_000_000).unwrap();
    assert_eq!((rate.records, rate.span_ns), (4, 3_000_000));
}

#[test]
fn a_directory_that_is_no_spool_is_an_error() {
    assert!(status(&SimDisk::default(), Path::new("/nowhere")).is_err());
}
