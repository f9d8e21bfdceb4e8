//! Opening what a crash, rot or a hand left.

use rustix::io::Errno;

use super::*;
use crate::spool::disk::Disk;
use crate::spool::disk::sim::Op;

#[test]
fn each_flipped_bit_of_a_segment_costs_counted_records_and_nothing_else() {
    let disk = closed_spool();
    for segment in segments(&disk) {
        for at in 0..disk.content(&segment).len() {
            let copy = disk.fork();
            copy.tamper(&segment, |bytes| bytes[at] ^= 1 << (at % 8));
            all_or_counted(&copy, &format!("{} at {at}", segment.display()));
        }
    }
}

#[test]
fn a_segment_cut_at_any_length_costs_counted_records_and_nothing_else() {
    let disk = closed_spool();
    for segment in segments(&disk) {
        for len in 0..disk.content(&segment).len() {
            let copy = disk.fork();
            copy.tamper(&segment, |bytes| bytes.truncate(len));
            all_or_counted(&copy, &format!("{} cut to {len}", segment.display()));
        }
    }
}

#[test]
fn a_segment_that_is_missing_empty_or_foreign_is_counted() {
    let disk = closed_spool();
    for segment in segments(&disk) {
        let copy = disk.fork();
        copy.tamper(&segment, |bytes| *bytes = b"#!/bin/sh\nexit 1\n".repeat(20));
        all_or_counted(&copy, "foreign");
        let aside = Path::new(DIR).join("damaged").join(segment.file_name().unwrap());
        assert_eq!(copy.content(&aside).len(), 340, "the foreign file is kept");

        let copy = disk.fork();
        disk::Disk::remove(&copy, &segment).unwrap();
        all_or_counted(&copy, &format!("{} removed", segment.display()));
    }
}

#[test]
fn a_disk_that_fails_to_read_twice_costs_no_record() {
    let disk = closed_spool();
    for after in 0..40 {
        let copy = disk.fork();
        copy.fail(Op::Read, after, 2, Errno::IO);
        // Or it does not open, and is opened again later.
        let Ok((mut writer, spool)) = open(options(), Arc::new(copy.clone()), &["a".to_owned()])
        else {
            continue;
        };
        let (mut reader, _cursor) = spool.cursor("a").unwrap();
        let mut numbers = Vec::new();
        loop {
            match reader.try_next() {
                Ok(Some(block)) => numbers.extend(block.records().map(|(number, _)| number)),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "after {after}");
        assert_eq!(writer.take_losses(), []);
    }
}

#[test]
fn what_is_durable_after_a_kill_at_any_change_outlives_a_power_loss() {
    for changes in 0.. {
        let disk = SimDisk::default();
        disk.stop_after(changes);
        if let Ok((mut writer, _spool)) = open(options(), Arc::new(disk.clone()), &["a".to_owned()])
        {
            append(&mut writer, 1, 3);
            writer.write(b"mark", at(1));
        }
        let was_stopped = disk.is_stopped();
        disk.kill();
        let next = {
            let (mut writer, spool) = open_on(&disk, &options());
            let next = writer.durable() + 1;
            append(&mut writer, next, 2);
            assert!(matches!(writer.write(b"mark", at(2)), Wrote::Done));
            let mut quarantine = spool.quarantine("a", 1 << 20).unwrap();
            let entry = Entry { number: next, reason: "refused", payload: &record(next) };
            quarantine.put(&[entry], 1).unwrap();
            next
        };
        disk.crash(|_| 0);
        let (writer, spool) = open_on(&disk, &options());
        assert_eq!(writer.durable(), next + 1, "killed at change {changes}");
        let (mut reader, _cursor) = spool.cursor("a").unwrap();
        assert_eq!(drain(&mut reader), (1..=next + 1).collect::<Vec<_>>());
        if !was_stopped {
            break;
        }
    }
}

/// Opens and reads everything: what is not delivered is counted, once, and the log goes on.
fn all_or_counted(disk: &SimDisk, context: &str) {
    let (mut writer, spool) = open_on(disk, &options());
    let (mut reader, _cursor) = spool.cursor("a").unwrap();
    let delivered = drain(&mut reader).len() as u64;
    assert_eq!(count(&writer.take_losses()), 20 - delivered, "{context}");
    // Reported, as the pipeline does.
    append(&mut writer, 21, 1);
    assert!(matches!(writer.write(b"", at(40)), Wrote::Done), "{context}");
    assert_eq!(drain(&mut reader), [21], "{context}");
    drop((writer, spool, reader, _cursor));

    // The next start and a sink that begins anew do not count it again.
    let (mut writer, spool) = open_on(disk, &options());
    let (mut reader, _cursor) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader).len() as u64, delivered + 1, "{context}");
    assert_eq!(writer.take_losses(), [], "{context}");
}

#[test]
fn a_torn_end_is_cut_and_is_no_loss() {
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &options());
    append(&mut writer, 1, 3);
    writer.write(b"first", at(1));
    disk.kill();
    drop((writer, spool));
    let segment = segments(&disk).remove(0);
    let whole = disk.content(&segment);
    // What the daemon had begun to write.
    disk.tamper(&segment, |bytes| bytes.extend_from_slice(&whole[64..whole.len() - 1]));
    let (mut writer, spool) = open_on(&disk, &options());
    assert_eq!(writer.last_mark(), Some(b"first".as_slice()));
    assert_eq!(disk.content(&segment), whole);
    append(&mut writer, 4, 1);
    writer.write(b"", at(2));
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [1, 2, 3, 4]);
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn the_last_mark_is_found_in_the_segment_before_an_empty_one() {
    let disk = closed_spool();
    let header = frame::SegmentHeader {
        first: 21,
        skipped: 0,
        salt: super::super::frame::u64_at(&disk.content(&segments(&disk)[0]), 40),
        created_wall_ns: 0,
    };
    disk.put(&Path::new(DIR).join("log").join(names::segment(21)), &header.encode());
    let (writer, _spool) = open_on(&disk, &options());
    assert_eq!(writer.last_mark(), Some(b"mark".as_slice()));
    assert_eq!(writer.durable(), 20);
}

#[test]
fn a_later_version_is_refused_and_nothing_is_touched() {
    let disk = closed_spool();
    let newest = segments(&disk).pop().unwrap();
    disk.tamper(&newest, |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    });
    let content = disk.content(&newest);
    let error = open(options(), Arc::new(disk.clone()), &["a".to_owned()]).unwrap_err();
    assert!(matches!(error, SpoolError::LaterVersion { found: 2, known: 1, .. }));
    assert!(error.to_string().contains("use the shipper that wrote it or a later one"));
    assert_eq!(disk.content(&newest), content);
}

#[test]
fn a_head_that_skips_more_numbers_than_there_were_is_no_head() {
    let disk = SimDisk::default();
    let header = frame::SegmentHeader { first: 10, skipped: 10, salt: 1, created_wall_ns: 1 };
    disk.create_dirs(&Path::new(DIR).join("log")).unwrap();
    disk.put(&Path::new(DIR).join("log/00000000000000000010.seg"), &header.encode());
    let (mut writer, spool) = open_on(&disk, &options());
    let next = writer.durable() + 1;
    append(&mut writer, next, 2);
    writer.write(b"", at(1));
    drop((writer, spool));
    let (_writer, spool) = open_on(&disk, &options());
    let (mut reader, _cursor) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [next, next + 1]);
}

#[test]
fn a_block_that_was_cut_hides_none_of_those_written_after_it() {
    let disk = SimDisk::default();
    let block = |first: u64, bytes: usize| {
        let facts = frame::BlockFacts {
            first,
            count: 1,
            skipped: 0,
            salt: 1,
            written_wall_ns: 1,
            mark: b"",
        };
        let mut raw = Vec::new();
        frame::push_record(&mut raw, &vec![b'x'; bytes]);
        let mut block = Vec::new();
        frame::encode_block(&facts, &raw, Compression::None, &mut block);
        block
    };
    let header = frame::SegmentHeader { first: 1, skipped: 0, salt: 1, created_wall_ns: 1 };
    let content = [&header.encode()[..], &block(1, 200)[..100], &block(2, 10)].concat();
    disk.create_dirs(&Path::new(DIR).join("log")).unwrap();
    disk.put(&Path::new(DIR).join("log/00000000000000000001.seg"), &content);
    // With what is added the length that the first one claims is within the file.
    let options = Options { segment_bytes: 1 << 20, ..options() };
    for next in 3..6 {
        let (mut writer, spool) = open_on(&disk, &options);
        assert_eq!(writer.durable() + 1, next);
        append(&mut writer, next, 1);
        assert!(matches!(writer.write(b"mark", at(1)), Wrote::Done));
        writer.close(at(2)).unwrap();
        let (mut reader, _cursor) = spool.cursor("a").unwrap();
        let mut numbers = Vec::new();
        while let Some(block) = reader.try_next().unwrap() {
            numbers.extend(block.records().map(|(number, _)| number));
        }
        // Whether the one within it is given up is no matter once it is counted.
        numbers.retain(|&number| number > 2);
        assert_eq!(numbers, (3..=next).collect::<Vec<_>>());
    }
}

#[test]
fn a_read_only_disk_is_refused_with_what_to_do() {
    let disk = closed_spool();
    disk.set_read_only(true);
    let error = open(options(), Arc::new(disk), &["a".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("mount the file system writable"), "{error}");
}

#[test]
fn a_lost_log_goes_on_after_the_highest_number_and_counts_what_was_not_delivered() {
    let disk = closed_spool();
    {
        let (writer, spool) = open_on(&disk, &options());
        let (_, mut cursor) = spool.cursor("a").unwrap();
        cursor.save(16, b"", 0).unwrap();
        writer.close(at(1)).unwrap();
    }
    for segment in segments(&disk) {
        disk::Disk::remove(&disk, &segment).unwrap();
    }
    let (mut writer, spool) = open_on(&disk, &options());
    assert_eq!(count(&writer.take_losses()), 5);
    append(&mut writer, 21, 2);
    writer.write(b"", at(1));
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [21, 22]);
}

#[test]
fn a_lost_cursor_begins_at_the_oldest_record() {
    let disk = closed_spool();
    disk.tamper(&Path::new(DIR).join("cursors/a.cursor"), |bytes| bytes.fill(0xff));
    let (mut writer, spool) = open_on(&disk, &options());
    let (mut reader, cursor) = spool.cursor("a").unwrap();
    assert_eq!((cursor.next(), cursor.position()), (1, b"".as_slice()));
    assert_eq!(drain(&mut reader), (1..=20).collect::<Vec<_>>());
    assert_eq!(writer.take_losses(), []);
}

#[test]
fn a_sink_that_is_not_configured_any_more_holds_nothing() {
    let disk = closed_spool();
    let sinks = ["b".to_owned()];
    let (_writer, spool) = open(options(), Arc::new(disk.clone()), &sinks).unwrap();
    let (mut reader, mut cursor) = spool.cursor("b").unwrap();
    assert_eq!(drain(&mut reader).len(), 20);
    cursor.save(21, b"", 0).unwrap();
    assert_eq!(segments(&disk).len(), 1);
    assert!(matches!(spool.cursor("a"), Err(SpoolError::UnknownSink(_))));
}

#[test]
fn bytes_in_a_record_do_not_pass_for_a_block() {
    // Somebody records the blocks of a spool of their own, and the head before them rots.
    let forged = closed_spool();
    let block = forged.content(&segments(&forged)[0])[64..].to_vec();
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(&disk, &options());
    writer.append(&block);
    writer.write(b"", at(1));
    append(&mut writer, 2, 1);
    writer.write(b"", at(2));
    let segment = segments(&disk).remove(0);
    disk.tamper(&segment, |bytes| bytes[64] ^= 1);
    let (mut reader, _) = spool.cursor("a").unwrap();
    assert_eq!(drain(&mut reader), [2]);
    assert_eq!(count(&writer.take_losses()), 1);
}

#[test]
fn a_name_that_is_no_file_name_is_refused() {
    for name in ["", "../a", "a/b", "a b"] {
        let opened = open(options(), Arc::new(SimDisk::default()), &[name.to_owned()]);
        assert!(matches!(opened, Err(SpoolError::UnknownSink(_))), "{name}");
    }
}

#[test]
fn damage_that_spreads_is_counted_once() {
    let disk = closed_spool();
    let (mut writer, spool) = open_on(&disk, &options());
    let all = segments(&disk);
    // From the heads of blocks on nothing is known of them: the gaps grow into one.
    for (segment, expected) in [(1, 4), (0, 7)] {
        disk.tamper(&all[segment], |bytes| bytes[64] ^= 1);
        let (mut reader, _) = spool.cursor("a").unwrap();
        drain(&mut reader);
        let pending = ledger::read(&disk, &Path::new(DIR).join("losses")).unwrap();
        assert!(count(&pending) >= expected, "{pending:?}");
    }
    let (mut reader, _) = spool.cursor("a").unwrap();
    let delivered = drain(&mut reader).len() as u64;
    assert_eq!(count(&writer.take_losses()) + delivered, 20);
}
