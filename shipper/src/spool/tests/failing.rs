//! A disk that fails.

use rustix::io::Errno;

use super::*;
use crate::spool::disk::sim::Op;

fn grouped() -> Options {
    Options {
        fsync: Fsync::Interval(Duration::from_millis(20)),
        segment_bytes: 1 << 20,
        ..options()
    }
}

fn write(writer: &mut Writer, number: u64, ms: u64) {
    append(writer, number, 1);
    assert!(matches!(writer.write(b"", at(ms)), Wrote::Done));
}

#[test]
fn after_a_failed_sync_the_records_are_written_again_and_read_once() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    write(&mut writer, 1, 0);
    writer.tick(at(20));
    assert_eq!(drain(&mut reader), [1]);
    write(&mut writer, 2, 21);
    write(&mut writer, 3, 22);
    assert!(drain(&mut reader).is_empty(), "not durable yet");
    disk.fail(Op::Sync, 0, 1, Errno::IO);
    writer.tick(at(50));
    assert_eq!(segments(&disk).len(), 2);
    assert_eq!(drain(&mut reader), [2, 3]);
    // What the failed file holds of them does not count, nor after a power loss.
    disk.crash(|_| 0);
    drop((writer, spool));
    let (mut writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [1, 2, 3]);
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn while_the_disk_fails_nothing_more_is_taken_and_nothing_is_forgotten() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    write(&mut writer, 1, 0);
    disk.fail(Op::Sync, 0, 1000, Errno::IO);
    writer.tick(at(20));
    append(&mut writer, 2, 1);
    let wrote = writer.write(b"", at(21));
    assert!(matches!(wrote, Wrote::Full { cause: FullCause::Failed(_) }), "{wrote:?}");
    assert_eq!(writer.durable(), 0);
    assert_eq!(writer.sync_at(), Some(at(520).monotonic), "a failing disk is left alone");
    disk.heal();
    writer.tick(at(520));
    assert!(matches!(writer.write(b"", at(521)), Wrote::Done));
    writer.tick(at(600));
    assert_eq!(drain(&mut reader), [1, 2]);
    assert_eq!(writer.sync_at(), None);
}

#[test]
fn a_write_that_fails_half_way_goes_into_a_new_segment() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    write(&mut writer, 1, 0);
    disk.fail(Op::Write, 0, 2, Errno::IO);
    write(&mut writer, 2, 1);
    write(&mut writer, 3, 2);
    writer.tick(at(30));
    assert_eq!(drain(&mut reader), [1, 2, 3]);
    disk.kill();
    drop((writer, spool));
    let (_writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [1, 2, 3]);
}

#[test]
fn a_new_segment_whose_name_is_not_durable_is_made_again() {
    for op in [Op::Create, Op::Rename, Op::SyncDir, Op::Sync] {
        let disk = SimDisk::default();
        let (mut writer, spool) = open_on(&disk, &grouped());
        disk.fail(op, 0, 1, Errno::IO);
        append(&mut writer, 1, 1);
        assert!(matches!(writer.write(b"", at(0)), Wrote::Full { .. }), "{op:?}");
        assert!(matches!(writer.write(b"", at(1000)), Wrote::Done), "{op:?}");
        writer.sync(at(1001)).unwrap();
        disk.crash(|_| 0);
        drop((writer, spool));
        let (_writer, spool) = open_on(&disk, &grouped());
        let (mut reader, _) = spool.cursor("a").unwrap();
        assert_eq!(drain(&mut reader), [1], "{op:?}");
    }
}

#[test]
fn what_is_not_synced_is_bounded() {
    let disk = SimDisk::default();
    let options = Options { fsync: Fsync::Interval(Duration::from_secs(3600)), ..grouped() };
    let (mut writer, _spool) = open_on(&disk, &options);
    for _ in 0..40 {
        writer.append(&vec![0; BLOCK_BYTES_MAX]);
        writer.write(b"", at(0));
    }
    assert!(writer.durable() >= 20, "{}", writer.durable());
}

#[test]
fn without_syncs_readers_see_what_is_written() {
    let disk = SimDisk::default();
    let options = Options { fsync: Fsync::Never, ..options() };
    let (mut writer, spool) = open_on(&disk, &options);
    let (mut reader, _) = spool.cursor("a").unwrap();
    (1..=20).for_each(|number| write(&mut writer, number, 0));
    assert_eq!(drain(&mut reader), (1..=20).collect::<Vec<_>>());
    writer.close(at(1)).unwrap();
}

#[test]
fn a_place_that_cannot_be_read_is_given_up_at_the_third_try() {
    let disk = closed_spool();
    let (mut writer, spool) = open_on(&disk, &options());
    let (mut reader, _) = spool.cursor("a").unwrap();
    disk.fail(Op::Read, 0, 4, Errno::IO);
    assert!(reader.try_next().is_err());
    assert!(reader.try_next().is_err());
    let rest = drain(&mut reader);
    assert!(!rest.is_empty());
    assert_eq!(count(&writer.take_losses()) + rest.len() as u64, 20);
}

#[test]
fn a_cursor_that_could_not_be_saved_has_not_moved() {
    let disk = closed_spool();
    let (_writer, spool) = open_on(&disk, &options());
    let (_, mut cursor) = spool.cursor("a").unwrap();
    cursor.save(5, b"five", 0).unwrap();
    disk.fail(Op::Sync, 0, 1, Errno::IO);
    assert!(cursor.save(9, b"nine", 0).is_err());
    assert_eq!((cursor.next(), cursor.position()), (5, b"five".as_slice()));
    assert!(cursor.save(9, &[0; POSITION_BYTES_MAX + 1], 0).is_err());
    cursor.save(9, b"nine", 0).unwrap();
    assert_eq!(cursor.next(), 9);
}

#[test]
fn a_name_whose_sync_failed_is_durable_after_the_next_start() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &grouped());
    write(&mut writer, 1, 0);
    writer.sync(at(1)).unwrap();
    // The block goes into a new segment, whose name is not known to be durable.
    disk.fail(Op::Write, 0, 1, Errno::IO);
    disk.fail(Op::SyncDir, 0, 1, Errno::IO);
    append(&mut writer, 2, 1);
    assert!(matches!(writer.write(b"", at(2)), Wrote::Full { .. }));
    disk.kill();
    drop((writer, spool));
    drop(open_on(&disk, &grouped()));
    disk.crash(|_| 0);
    let (_writer, spool) = open_on(&disk, &grouped());
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [1, 2]);
}

#[test]
fn a_cursor_that_a_restart_has_shown_does_not_go_back() {
    let disk = closed_spool();
    let (writer, spool) = open_on(&disk, &options());
    let (_, mut cursor) = spool.cursor("a").unwrap();
    disk.fail(Op::Sync, 0, 1, Errno::IO);
    assert!(cursor.save(9, b"", 0).is_err());
    disk.kill();
    drop((writer, spool, cursor));
    let (writer, spool) = open_on(&disk, &options());
    let shown = spool.cursor("a").unwrap().1.next();
    disk.crash(|_| 0);
    drop((writer, spool));
    let (_writer, spool) = open_on(&disk, &options());
    assert_eq!(spool.cursor("a").unwrap().1.next(), shown);
}

#[test]
fn nothing_is_added_to_a_segment_after_the_next_could_not_be_begun() {
    for op in [Op::SyncDir, Op::Rename, Op::Create, Op::Sync] {
        let disk = SimDisk::default();
        let options = Options { when_full: WhenFull::DropNewest, ..options() };
        {
            let (mut writer, _spool) = open_on(&disk, &options);
            append(&mut writer, 1, 2);
            assert!(matches!(writer.write(b"", at(1)), Wrote::Done));
            disk.fail(op, 0, 1, Errno::IO);
            append(&mut writer, 3, 20);
            writer.write(b"", at(2));
            disk.heal();
            // This one has room where the last one had none.
            let next = 23;
            append(&mut writer, next, 1);
            assert!(matches!(writer.write(b"", at(2000)), Wrote::Done));
        }
        disk.kill();
        let (_writer, spool) = open_on(&disk, &options);
        let (mut reader, _cursor) = spool.cursor("a").unwrap();
        let numbers = drain(&mut reader);
        assert_eq!(numbers.last(), Some(&23), "{op:?}: {numbers:?}");
    }
}
