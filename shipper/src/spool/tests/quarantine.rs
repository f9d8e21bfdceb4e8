//! Refused records: kept, bounded, delivered again.

use rustix::io::Errno;

use super::*;
use crate::spool::disk::Disk;
use crate::spool::disk::sim::Op;
use crate::spool::quarantine::{Entry, QuarantineError};
use crate::spool::requeue::{Place, requeue_quarantined, set_cursor};

fn entries(reader: &mut Reader) -> Vec<(u64, String, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(block) = reader.try_next().unwrap() {
        for (_, record) in block.records() {
            let entry = Entry::decode(record).unwrap();
            all.push((entry.number, entry.reason.to_owned(), entry.payload.to_vec()));
        }
    }
    all
}

fn put(spool: &Spool, number: u64) -> Result<(), QuarantineError> {
    let entry = Entry { number, reason: "no such field", payload: &record(number) };
    spool.quarantine("a", 1 << 20)?.put(&[entry], 1)
}

#[test]
fn what_is_put_after_a_kill_at_any_change_outlives_a_power_loss() {
    for changes in 0.. {
        let disk = SimDisk::default();
        let (_writer, spool) = open_on(&disk, &options());
        disk.stop_after(changes);
        let was_put = put(&spool, 1).is_ok();
        drop((_writer, spool));
        disk.kill();
        let (_writer, spool) = open_on(&disk, &options());
        put(&spool, 2).unwrap();
        drop((_writer, spool));
        disk.crash(|_| 0);
        assert!(requeue_quarantined(&disk, Path::new(DIR), "a").unwrap());
        let (_writer, spool) = open_on(&disk, &options());
        let mut replay = spool.replay("a").unwrap().unwrap();
        let numbers: Vec<u64> = entries(&mut replay.reader).iter().map(|entry| entry.0).collect();
        assert_eq!(numbers.last(), Some(&2), "killed at change {changes}");
        assert!(!was_put || numbers == [1, 2], "killed at change {changes}");
        if was_put {
            break;
        }
    }
}

#[test]
fn a_quarantine_is_durable_and_is_delivered_again_after_a_requeue() {
    let disk = SimDisk::default();
    {
        let (_writer, spool) = open_on(&disk, &options());
        for number in [3, 9, 27] {
            put(&spool, number).unwrap();
        }
        assert!(spool.replay("a").unwrap().is_none());
        let locked = requeue_quarantined(&disk, Path::new(DIR), "a").unwrap_err();
        assert!(locked.to_string().contains("pid 1"), "{locked}");
    }
    disk.crash(|_| 0);
    assert!(requeue_quarantined(&disk, Path::new(DIR), "a").unwrap());
    assert!(!requeue_quarantined(&disk, Path::new(DIR), "a").unwrap(), "there is nothing more");
    {
        let (_writer, spool) = open_on(&disk, &options());
        let mut replay = spool.replay("a").unwrap().unwrap();
        let all = entries(&mut replay.reader);
        let expected = [3, 9, 27].map(|n| (n, "no such field".to_owned(), record(n)));
        assert_eq!(all, expected);
        // Delivered but the last, then killed; meanwhile something new is refused.
        replay.cursor.save(3, b"", 0).unwrap();
        put(&spool, 81).unwrap();
    }
    disk.kill();
    let waits = requeue_quarantined(&disk, Path::new(DIR), "a").unwrap_err();
    assert!(matches!(waits, SpoolError::ReplayWaits { .. }));
    let (_writer, spool) = open_on(&disk, &options());
    let mut replay = spool.replay("a").unwrap().unwrap();
    assert_eq!(entries(&mut replay.reader)[0].0, 27);
    replay.remains.remove().unwrap();
    assert!(spool.replay("a").unwrap().is_none());
}

#[tokio::test]
async fn a_replay_ends() {
    let disk = SimDisk::default();
    let (_writer, spool) = open_on(&disk, &options());
    put(&spool, 1).unwrap();
    drop((_writer, spool));
    requeue_quarantined(&disk, Path::new(DIR), "a").unwrap();
    let (_writer, spool) = open_on(&disk, &options());
    let mut replay = spool.replay("a").unwrap().unwrap();
    assert!(replay.reader.next().await.unwrap().is_some());
    assert!(replay.reader.next().await.unwrap().is_none());
}

#[test]
fn a_full_quarantine_refuses() {
    let disk = SimDisk::default();
    let (_writer, spool) = open_on(&disk, &options());
    let mut quarantine = spool.quarantine("a", 1000).unwrap();
    let entry = Entry { number: 1, reason: "why", payload: &[7; 100] };
    let full = (0..100).find_map(|_| quarantine.put(&[entry], 1).err()).unwrap();
    assert!(matches!(full, QuarantineError::Full { bytes_max: 1000, .. }), "{full}");
}

#[test]
fn what_could_not_be_put_is_put_once_by_the_next_try() {
    for op in [Op::Write, Op::Sync] {
        let disk = SimDisk::default();
        let (_writer, spool) = open_on(&disk, &options());
        let mut quarantine = spool.quarantine("a", 1 << 20).unwrap();
        let long = "ä".repeat(1000);
        let entry = |number| Entry { number, reason: &long, payload: b"p" };
        quarantine.put(&[entry(1)], 1).unwrap();
        disk.fail(op, 0, 1, Errno::IO);
        assert!(quarantine.put(&[entry(2)], 1).is_err());
        quarantine.put(&[entry(2), entry(3)], 1).unwrap();
        drop((_writer, spool, quarantine));
        requeue_quarantined(&disk, Path::new(DIR), "a").unwrap();
        let (_writer, spool) = open_on(&disk, &options());
        let all = entries(&mut spool.replay("a").unwrap().unwrap().reader);
        assert_eq!(all.iter().map(|entry| entry.0).collect::<Vec<_>>(), [1, 2, 3], "{op:?}");
        assert_eq!(all[0].1.len(), 1024, "a long reason is cut");
    }
}

#[test]
fn a_cursor_is_put_back_to_a_number_or_a_time() {
    let disk = closed_spool();
    {
        let (writer, spool) = open_on(&disk, &options());
        let (_, mut cursor) = spool.cursor("a").unwrap();
        cursor.save(4, b"inode", 0).unwrap();
        let refused = set_cursor(&disk, Path::new(DIR), "a", Place::Number(1)).unwrap_err();
        assert!(matches!(refused, SpoolError::Locked { pid: Some(1), .. }));
        writer.close(at(50)).unwrap();
    }
    let dir = Path::new(DIR);
    assert_eq!(set_cursor(&disk, dir, "a", Place::Number(0)).unwrap(), 1);
    assert_eq!(set_cursor(&disk, dir, "a", Place::Number(99)).unwrap(), 21);
    assert_eq!(set_cursor(&disk, dir, "a", Place::WrittenSince(at(6).wall_ns)).unwrap(), 8);
    assert_eq!(set_cursor(&disk, dir, "a", Place::WrittenSince(at(99).wall_ns)).unwrap(), 21);
    assert_eq!(set_cursor(&disk, dir, "a", Place::Number(2)).unwrap(), 2);
    let unknown = set_cursor(&disk, dir, "c", Place::Number(2)).unwrap_err();
    assert!(matches!(unknown, SpoolError::UnknownSink(_)));
    assert!(set_cursor(&disk, Path::new("/elsewhere"), "a", Place::Number(2)).is_err());
    assert!(disk.list(Path::new("/elsewhere")).is_err(), "no spool was made");
    let (_writer, spool) = open_on(&disk, &options());
    let (mut reader, cursor) = spool.cursor("a").unwrap();
    assert_eq!(cursor.position(), b"inode");
    assert_eq!(drain(&mut reader), (2..=20).collect::<Vec<_>>());
}
