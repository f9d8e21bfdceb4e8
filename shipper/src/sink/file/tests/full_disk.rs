//! A file system that is really full: a small tmpfs, which takes root to mount.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use super::sink::{assert_lines, events};
use super::{all, append, append_at, lines, numbers, settings, writer};
use crate::config::model::Compress;
use crate::sink::Outcome;
use crate::sink::file::names::{Kind, Names};
use crate::sink::file::{FileSettings, FileSink};
use crate::sink::testing::send;

/// A mounted tmpfs of 256 KiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, and says so, where nothing may be mounted. In CI that is a failure: a skipped test
    /// shows nothing.
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        match mount("tmpfs", directory.path(), "tmpfs", flags, Some(c"size=256k")) {
            Ok(()) => Some(SmallDisk(directory)),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "cannot mount a tmpfs: {error}");
                println!("SKIPPED: needs root to mount a tmpfs ({error})");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space that is left.
    fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.path().join(name)).unwrap();
        while std::io::Write::write(&mut file, &[b'x'; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.path(), UnmountFlags::DETACH).expect("was mounted by us");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_tears_no_line_and_after_space_is_freed_every_line_is_there_once() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    fs::write(disk.path().join("ballast"), vec![b'x'; 64 << 10]).unwrap();
    let settings = settings(disk.path());
    let (sink, _housekeeper) = FileSink::new(settings.clone());
    let events = events(0..20_000);
    let mut batches = events.chunks(20).enumerate();
    let (sent, batch) = loop {
        let (number, batch) = batches.next().expect("the disk is full before");
        match send(&sink, batch).await {
            Outcome::Sent { .. } => {}
            Outcome::Retry { after: None, cause: reason } => {
                assert!(reason.contains("no space left"), "{reason}");
                assert!(reason.contains(&settings.path.display().to_string()), "{reason}");
                assert!(reason.contains("keep.bytes"), "{reason}");
                break (number * 20, batch);
            }
            outcome => panic!("{outcome:?}"),
        }
    };
    assert!(sent > 0);
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events[..sent]);

    // As long as it is full, repeating changes nothing.
    for _ in 0..3 {
        assert!(matches!(send(&sink, batch).await, Outcome::Retry { .. }));
        assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events[..sent]);
    }

    fs::remove_file(disk.path().join("ballast")).unwrap();
    assert!(matches!(send(&sink, batch).await, Outcome::Sent { .. }));
    let (_, next) = batches.next().unwrap();
    assert!(matches!(send(&sink, next).await, Outcome::Sent { .. }));
    let sent = sent + batch.len() + next.len();
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events[..sent]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_full_at_start_is_waited_for() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.fill("ballast");
    let settings = settings(disk.path());
    let (sink, _housekeeper) = FileSink::new(settings.clone());
    let events = events(0..100);
    assert!(matches!(send(&sink, &events).await, Outcome::Retry { .. }));
    fs::remove_file(disk.path().join("ballast")).unwrap();
    assert!(matches!(send(&sink, &events).await, Outcome::Sent { .. }));
    assert_lines(&fs::read_to_string(&settings.path).unwrap(), &events);
}

#[test]
fn rotation_goes_on_when_space_runs_out_in_between() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let mut settings = settings(disk.path());
    settings.rotate_bytes = 100;
    let (mut writer, _housekeeper) = writer(&settings);
    append(&mut writer, 0..10);
    disk.fill("ballast");
    for _ in 0..3 {
        let error = append_at(&mut writer, &lines(10..20), SystemTime::now()).unwrap_err();
        assert!(error.is_no_space(), "{error}");
    }
    // The empty file of the first try is used by all the others.
    assert_eq!(Names::of(&settings.path).list().unwrap().len(), 1);
    fs::remove_file(disk.path().join("ballast")).unwrap();
    append(&mut writer, 10..20);
    assert_eq!(numbers(&settings), all(0..20));
}

#[test]
fn on_a_full_disk_compression_waits_and_old_files_are_still_removed() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let names = Names::of(&settings(disk.path()).path);
    let put = |hour: u32, text: &[u8]| {
        let time = format!("2026-11-24T{hour:02}:00:00Z").parse().unwrap();
        fs::write(names.path(time, Kind::Plain), text).unwrap();
    };
    put(1, &lines(0..3000));
    put(2, &lines(3000..6000));
    disk.fill("ballast");

    let keep_all = settings(disk.path());
    let error = writer(&keep_all).1.run_once().unwrap_err();
    assert!(error.is_no_space(), "{error}");
    assert_eq!(numbers(&keep_all), all(0..6000));

    let keep_less = FileSettings { keep_bytes: 60_000, ..keep_all };
    let (_writer, housekeeper) = writer(&keep_less);
    assert!(housekeeper.run_once().unwrap_err().is_no_space());
    assert_eq!(numbers(&keep_less), all(3000..6000));
    // That made room for the compression.
    housekeeper.run_once().unwrap();
    assert_eq!(names.list().unwrap()[0].kind, Kind::Gzip);
    assert_eq!(numbers(&keep_less), all(3000..6000));
    assert_eq!(keep_less.compress, Compress::Gzip);
}
