//! On the file system of this machine.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn real(dir: &Path) -> Options {
    Options { dir: dir.join("spool"), segment_bytes: 1 << 20, ..options() }
}

fn sinks() -> [String; 2] {
    ["a".to_owned(), "b".to_owned()]
}

#[tokio::test]
async fn what_is_written_is_read_by_each_sink_and_again_from_the_cursor_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { compression: Compression::Lz4, ..real(dir.path()) };
    let (mut writer, spool) = open(options.clone(), Arc::new(RealDisk), &sinks()).unwrap();
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

    let (writer, spool) = open(options, Arc::new(RealDisk), &sinks()).unwrap();
    assert_eq!(writer.last_mark(), Some(b"mark".as_slice()));
    let (mut reader, cursor) = spool.cursor("a").unwrap();
    assert_eq!((cursor.next(), cursor.position()), (3, b"inode 7".as_slice()));
    let block = reader.next().await.unwrap().unwrap();
    assert_eq!(block.records().collect::<Vec<_>>(), [(3, b"".as_slice())]);
    let (mut reader, _) = spool.cursor("b").unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().records().count(), 3);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_and_may_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, spool) = open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap();
    let (mut reader, _) = spool.cursor("a").unwrap();
    for number in 1..=3 {
        tokio::select! {
            biased;
            _ = reader.next() => panic!("there is nothing to read"),
            () = std::future::ready(()) => {}
        }
        append(&mut writer, number, 1);
        let write = async {
            tokio::task::yield_now().await;
            writer.write(b"", at(number));
        };
        let (block, ()) = tokio::join!(reader.next(), write);
        assert_eq!(block.unwrap().unwrap().first_number(), number);
    }
}

#[test]
fn a_second_opening_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, spool) = open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap();
    drop(_writer);
    let error = open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap_err();
    let pid = std::process::id();
    assert!(error.to_string().contains(&format!("pid {pid}")), "{error}");
    drop(spool);
    open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap();
}

#[test]
fn files_are_for_the_owner_and_its_group_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _spool) = open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap();
    append(&mut writer, 1, 1);
    writer.write(b"", at(1));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut waiting = vec![dir.path().join("spool")];
    while let Some(path) = waiting.pop() {
        let allowed = if path.is_dir() { 0o750 } else { 0o640 };
        assert_eq!(mode(&path) & !allowed, 0, "{}", path.display());
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_file_where_the_directory_should_be_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spool"), "").unwrap();
    let error = open(real(dir.path()), Arc::new(RealDisk), &sinks()).unwrap_err();
    assert!(error.to_string().contains("name another spool.dir"), "{error}");
}

#[test]
fn each_compression_gives_back_what_was_written() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { compression, ..real(dir.path()) };
        let opened = open(options, Arc::new(RealDisk), &["a".to_owned()]);
        let (mut writer, spool) = opened.unwrap();
        append(&mut writer, 1, 3000);
        writer.write(b"", at(1));
        // Bytes that do not shrink.
        let noise: Vec<u8> =
            (0..4096u32).flat_map(|n| crc32c::crc32c(&n.to_le_bytes()).to_le_bytes()).collect();
        writer.append(&noise);
        writer.write(b"", at(2));
        let (mut reader, _) = spool.cursor("a").unwrap();
        let block = reader.try_next().unwrap().unwrap();
        assert!(block.records().all(|(number, bytes)| bytes == record(number)));
        let block = reader.try_next().unwrap().unwrap();
        assert_eq!(block.records().next().unwrap().1, noise);
        assert!(compression == Compression::None || spool.usage().bytes < 60_000);
    }
}
