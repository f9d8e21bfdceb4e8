//! What is asked for, what is known, what is given up; with threads and without.

use std::os::fd::AsFd as _;

use super::*;
use crate::enrich::clock::wall_now;
use crate::event::{Event, testing};

const LONG: Duration = Duration::from_secs(60);

/// An execution of this file, long after it was changed.
fn exec_of(path: &Path) -> Exec {
    let Event::Exec(exec) = testing::exec() else { unreachable!("it is one") };
    let file = std::fs::File::open(path).expect("a file");
    let mut exec = *exec;
    exec.time = WallTime(wall_now().0 + 1_000_000_000);
    exec.file.facts = crate::enrich::procfs::facts(file.as_fd());
    exec.file.path.bytes = path.as_os_str().as_encoded_bytes().into();
    exec
}

/// One of a file that is nowhere.
fn exec_of_inode(device: u32, inode: u64) -> Exec {
    let mut exec = exec_of(Path::new("/proc/self/exe"));
    let facts = exec.file.facts.as_mut().expect("facts");
    (facts.device, facts.inode) = ((device, 0), inode);
    exec
}

/// Reads everything that was asked for.
fn run(hasher: Hasher, worker: Worker) -> Hasher {
    let thread = std::thread::spawn(move || worker.run());
    let deadline = Instant::now() + LONG;
    while !hasher.shared.state().files.is_empty()
        || hasher.shared.state().reading.iter().any(Option::is_some)
    {
        assert!(Instant::now() < deadline, "it does not come to an end");
        std::thread::yield_now();
    }
    hasher.shared.state().ended = true;
    hasher.shared.work.notify_all();
    thread.join().expect("it ends");
    hasher.shared.state().ended = false;
    hasher
}

#[test]
fn a_file_that_many_events_wait_for_is_read_once_and_given_to_all() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "abc").expect("written");
    let (mut hasher, [worker, _]) = hasher(1 << 20, LONG);
    let mut waiting: Vec<(Exec, Pending)> = (0..3)
        .map(|_| {
            let mut exec = exec_of(file.path());
            let pending = hasher.begin(&mut exec);
            (exec, pending)
        })
        .collect();
    assert!(waiting.iter().all(|(_, pending)| !pending.is_over()));
    let mut hasher = run(hasher, worker);
    hasher.take();
    assert!(waiting.iter().all(|(_, pending)| pending.is_over()));
    for (mut exec, pending) in waiting.drain(..) {
        hasher.complete(pending, &mut exec);
        let digest = exec.file.hash.expect("an answer").sha256().copied().expect("a hash");
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf], "SHA-256 of abc");
    }
    assert_eq!(hasher.counts(), Counts { read: 1, known: 2, missing: 0 });
    assert!(hasher.under_way.is_empty());
}

#[test]
fn what_nobody_waits_for_any_more_is_not_read() {
    let (mut hasher, _workers) = hasher(1 << 40, LONG);
    let mut execs = [exec_of_inode(1, 1), exec_of_inode(1, 1), exec_of_inode(1, 2)];
    let pending = execs.each_mut().map(|exec| hasher.begin(exec));
    for (at, (exec, pending)) in execs.iter_mut().zip(pending).enumerate() {
        assert_eq!(hasher.shared.state().files.len(), [2, 2, 1][at]);
        hasher.complete(pending, exec);
        assert_eq!(exec.file.hash, Some(FileHash::Missing(HashMissing::Late)));
    }
    assert!(hasher.shared.state().files.is_empty() && hasher.under_way.is_empty());
    assert_eq!(hasher.counts().missing, 3);
}

#[test]
fn only_so_many_files_wait_and_beyond_that_events_go_without_at_once() {
    let (mut hasher, _workers) = hasher(1 << 40, LONG);
    let mut pending = Vec::new();
    for inode in 0..FILES_MAX as u64 {
        pending.push(hasher.begin(&mut exec_of_inode(1, inode)));
    }
    let mut exec = exec_of_inode(1, u64::MAX);
    assert!(hasher.begin(&mut exec).is_over());
    assert_eq!(exec.file.hash, Some(FileHash::Missing(HashMissing::Late)));
    assert_eq!(hasher.shared.state().files.len(), FILES_MAX);
}

#[test]
fn two_threads_never_read_from_one_device_and_a_slow_one_is_left_alone() {
    let (mut hasher, [one, other]) = hasher(1 << 40, Duration::ZERO);
    let pending = [(1, 1), (1, 2), (2, 3)]
        .map(|(device, inode)| hasher.begin(&mut exec_of_inode(device, inode)));
    assert_eq!(one.next().map(|file| file.stamp.inode), Some(1));
    assert_eq!(other.next().map(|file| file.stamp.inode), Some(3));
    assert!(pending.iter().all(|pending| !pending.is_over()));
    // Both take longer than anybody waits.
    for (device, inode) in [(1, 1), (1, 4), (2, 5)] {
        let mut exec = exec_of_inode(device, inode);
        assert!(hasher.begin(&mut exec).is_over(), "{device} {inode}");
        assert_eq!(exec.file.hash, Some(FileHash::Missing(HashMissing::Late)));
    }
    assert!(!hasher.begin(&mut exec_of_inode(3, 6)).is_over());
}

#[test]
fn what_cannot_be_hashed_is_told_at_once() {
    let (mut hasher, _workers) = hasher(3, LONG);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "abcd").expect("written");
    let mut exec = exec_of(file.path());
    assert!(hasher.begin(&mut exec).is_over());
    assert_eq!(exec.file.hash, Some(FileHash::Missing(HashMissing::TooLarge)));
    exec.file.facts = None;
    assert!(hasher.begin(&mut exec).is_over());
    assert_eq!(exec.file.hash, Some(FileHash::Missing(HashMissing::Unknown)));
}
