//! No room: the three policies.

use rustix::io::Errno;

use super::*;
use crate::spool::disk::sim::Op;

fn full(when_full: WhenFull) -> (SimDisk, Options) {
    let options = Options { when_full, bytes_max: 2000, ..options() };
    (SimDisk::default(), options)
}

/// Writes blocks of one record until one is not `Done`; how many were.
fn fill(writer: &mut Writer) -> (u64, Wrote) {
    for number in 1..1000 {
        if writer.open_records() == 0 {
            append(writer, number, 1);
        }
        match writer.write(b"", at(number)) {
            Wrote::Done => {}
            wrote => return (number - 1, wrote),
        }
    }
    panic!("never full")
}

#[test]
fn block_keeps_the_block_and_writes_it_when_there_is_room() {
    let (disk, options) = full(WhenFull::Block);
    let (mut writer, spool) = open_on(&disk, &options);
    let (written, wrote) = fill(&mut writer);
    assert!(matches!(wrote, Wrote::Full { cause: FullCause::BytesMax(2000) }));
    assert!(matches!(writer.write(b"", at(2000)), Wrote::Full { .. }));
    assert!(spool.usage().bytes <= 2000);
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), (1..=written).collect::<Vec<_>>());
    cursor.save(written + 1, b"", 0).unwrap();
    assert!(matches!(writer.write(b"", at(2001)), Wrote::Done));
    assert_eq!(drain(&mut reader), [written + 1]);
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn drop_newest_counts_and_reports_when_there_is_room() {
    let (disk, options) = full(WhenFull::DropNewest);
    let (mut writer, spool) = open_on(&disk, &options);
    let (written, wrote) = fill(&mut writer);
    assert!(matches!(wrote, Wrote::Dropped { records: 1 }));
    append(&mut writer, 0, 3);
    assert!(matches!(writer.write(b"", at(2000)), Wrote::Dropped { records: 3 }));
    assert_eq!(writer.take_losses(), [], "there is no room for the report");
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader).len() as u64, written);
    cursor.save(written + 1, b"", 0).unwrap();
    let losses = writer.take_losses();
    assert_eq!(
        losses,
        [SpoolLoss {
            stage: LossStage::Full,
            sink: None,
            count: 4,
            first_wall_ns: at(written + 1).wall_ns,
            last_wall_ns: at(2000).wall_ns,
        }]
    );
    // The dropped ones have their numbers, and the gap is no damage.
    append(&mut writer, written + 5, 1);
    writer.write(b"", at(2001));
    assert_eq!(drain(&mut reader), [written + 5]);
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn a_dropped_report_is_reported_again() {
    let (disk, options) = full(WhenFull::DropNewest);
    let (mut writer, spool) = open_on(&disk, &options);
    let (written, _) = fill(&mut writer);
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    drain(&mut reader);
    cursor.save(written + 1, b"", 0).unwrap();
    assert_eq!(count(&writer.take_losses()), 1);
    append(&mut writer, 0, 1);
    disk.fail(Op::Write, 0, 1000, Errno::NOSPC);
    assert!(matches!(writer.write(b"", at(3000)), Wrote::Dropped { .. }));
    disk.heal();
    writer.tick(at(5000));
    assert_eq!(count(&writer.take_losses()), 2, "the first, and the record that reported it");
}

#[test]
fn what_was_dropped_is_reported_after_a_kill() {
    let (disk, options) = full(WhenFull::DropNewest);
    let (mut writer, spool) = open_on(&disk, &options);
    fill(&mut writer);
    disk.kill();
    drop((writer, spool));
    let roomy = Options { bytes_max: 1 << 20, ..options };
    let (mut writer, spool) = open_on(&disk, &roomy);
    assert_eq!(count(&writer.take_losses()), 1);
    // Killed before the report is written: again. After: not again.
    disk.kill();
    drop((writer, spool));
    let (mut writer, spool) = open_on(&disk, &roomy);
    assert_eq!(count(&writer.take_losses()), 1);
    append(&mut writer, 0, 1);
    writer.write(b"", at(9));
    disk.kill();
    drop((writer, spool));
    let (mut writer, _spool) = open_on(&disk, &roomy);
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn drop_oldest_gives_up_the_oldest_segment_and_counts_for_each_sink() {
    let (disk, options) = full(WhenFull::DropOldest);
    let sinks = ["a".to_owned(), "b".to_owned()];
    let (mut writer, spool) = open(options, Arc::new(disk.clone()), &sinks).unwrap();
    let (mut ahead, mut cursor) = spool.cursor("a").unwrap();
    for number in 1..=100 {
        append(&mut writer, number, 1);
        assert!(matches!(writer.write(b"", at(number)), Wrote::Done));
        // One sink follows, the other is away.
        assert_eq!(drain(&mut ahead), [number]);
        cursor.save(number + 1, b"", 0).unwrap();
    }
    assert!(spool.usage().bytes <= 2000);
    let (mut behind, _) = spool.cursor("b").unwrap();
    let delivered = drain(&mut behind);
    let losses = writer.take_losses();
    assert!(losses.iter().all(|loss| loss.stage == LossStage::Full));
    assert!(losses.iter().all(|loss| loss.sink.as_deref() == Some("b")), "{losses:?}");
    assert_eq!(count(&losses), 100 - delivered.len() as u64);
    assert_eq!(delivered.last(), Some(&100));
}

#[test]
fn a_reader_whose_records_were_given_up_goes_on_with_the_oldest() {
    let (disk, options) = full(WhenFull::DropOldest);
    let (mut writer, spool) = open_on(&disk, &options);
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    append(&mut writer, 1, 1);
    writer.write(b"", at(1));
    append(&mut writer, 2, 1);
    writer.write(b"", at(1));
    assert_eq!(reader.try_next().unwrap().unwrap().next_number(), 2);
    for number in 3..=50 {
        append(&mut writer, number, 1);
        writer.write(b"", at(number));
    }
    let rest = drain(&mut reader);
    assert_eq!(count(&writer.take_losses()) + rest.len() as u64, 50);
    // What was in flight is confirmed late: the cursor does not go back.
    cursor.save(2, b"p", 7).unwrap();
    assert_eq!((cursor.next(), cursor.position()), (rest[0], b"p".as_slice()));
}

#[test]
fn the_free_space_of_the_disk_is_respected() {
    for (free_min, total) in [(FreeMin::Bytes(5000), 147_000), (FreeMin::Percent(5.0), 147_000)] {
        let (disk, options) = full(WhenFull::Block);
        disk.set_total(total);
        let options = Options { bytes_max: 1 << 30, disk_free_min: free_min, ..options };
        let opened = open(options, Arc::new(disk.clone()), &["a".to_owned()]);
        let (mut writer, _spool) = opened.unwrap();
        let mut stopped = None;
        for number in 1..1000 {
            append(&mut writer, number, 1);
            // It is looked at once a second.
            if let Wrote::Full { cause } = writer.write(b"", at(number * 1000)) {
                stopped = Some(cause);
                break;
            }
        }
        assert!(matches!(stopped, Some(FullCause::DiskFree { .. })), "{stopped:?}");
    }
}

#[test]
fn a_disk_without_space_stops_the_spool_and_not_its_cursors() {
    let (disk, options) = full(WhenFull::Block);
    let options = Options { bytes_max: 1 << 30, ..options };
    let (mut writer, spool) = open_on(&disk, &options);
    disk.set_total(145_000);
    let (written, wrote) = fill(&mut writer);
    assert!(
        matches!(wrote, Wrote::Full { cause: FullCause::NoSpace | FullCause::DiskFree { .. } }),
        "{wrote:?}"
    );
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader).len() as u64, written);
    cursor.save(written + 1, b"", 0).unwrap();
    assert!(matches!(writer.write(b"", at(5000)), Wrote::Done));
    assert_eq!(drain(&mut reader), [written + 1]);
}

#[test]
fn a_record_that_is_too_long_is_counted_and_the_others_are_kept() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &options());
    append(&mut writer, 2, 1);
    writer.append(&vec![0; RECORD_BYTES_MAX + 1]);
    writer.write(b"", at(1));
    let losses = writer.take_losses();
    assert_eq!((losses[0].stage, count(&losses)), (LossStage::TooLarge, 1));
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [2], "it took a number");
    writer.append(&vec![7; RECORD_BYTES_MAX]);
    assert!(writer.is_block_full());
    writer.write(b"", at(2));
    let block = reader.try_next().unwrap().unwrap();
    assert_eq!(block.records().map(|(_, bytes)| bytes.len()).sum::<usize>(), RECORD_BYTES_MAX);
}

#[test]
fn numbers_that_were_never_in_a_segment_are_not_counted_when_it_goes() {
    let (disk, options) = full(WhenFull::DropOldest);
    let (mut writer, spool) = open_on(&disk, &options);
    let (mut reader, mut cursor) = spool.cursor("a").unwrap();
    append(&mut writer, 1, 1);
    writer.write(b"", at(1));
    assert_eq!(drain(&mut reader), [1]);
    cursor.save(2, b"", 0).unwrap();
    // Two numbers go to records that are too long.
    writer.append(&vec![0; RECORD_BYTES_MAX + 1]);
    writer.append(&vec![0; RECORD_BYTES_MAX + 1]);
    for number in 4..=40 {
        append(&mut writer, number, 1);
        writer.write(b"", at(number));
    }
    let losses = writer.take_losses();
    let full = losses.iter().filter(|loss| loss.stage == LossStage::Full);
    let delivered = drain(&mut reader).len() as u64;
    assert_eq!(full.map(|loss| loss.count).sum::<u64>(), 37 - delivered);
}
