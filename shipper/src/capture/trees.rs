//! Excluded process trees: the programs they begin with, and the processes that live already.

use std::collections::HashMap as Known;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData};
use common::names;
use rustix::fs::{Mode, OFlags, open};

use super::filters::refused;
use super::{CaptureError, privileges};

/// Looks at /proc. A process may be made by one that was not marked yet, after its place in /proc was
/// passed; the next look finds it. Each look is a millisecond for some hundred processes.
const LOOKS_MAX: usize = 8;

/// As much of a stat line as is read: comm is at most 64 bytes, the rest are numbers.
const STAT_BYTES_MAX: u64 = 4096;

/// Generations between a process and the root of its tree that are followed.
const DEPTH_MAX: usize = 1024;

/// The program that a tree begins with.
pub struct TreeFile {
    path: PathBuf,
    /// No other file gets its number while it is open.
    _held: OwnedFd,
    /// Inode number and device as the kernel has them.
    key: [u64; 2],
    /// Device and inode number as `stat` shows them.
    shown: (u64, u64),
    is_script: bool,
}

impl TreeFile {
    fn open(path: &Path) -> std::io::Result<TreeFile> {
        let held = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let shown = std::fs::metadata(format!("/proc/self/fd/{}", held.as_raw_fd()))?;
        if !shown.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", held.as_raw_fd()))?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let device = device_of(&info, &mounts).unwrap_or(kernel_device(shown.dev()));
        let inode = number(&info, "ino:").unwrap_or(shown.ino());
        let mut begins = [0; 2];
        let is_script = File::open(path)
            .is_ok_and(|file| file.read_exact_at(&mut begins, 0).is_ok() && begins == *b"#!");
        Ok(TreeFile {
            path: path.to_owned(),
            _held: held,
            key: [inode, device],
            shown: (shown.dev(), shown.ino()),
            is_script,
        })
    }

    /// `common::filters::FileKey`.
    pub fn key(&self) -> [u64; 2] {
        self.key
    }

    /// As it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an interpreter executes it.
    pub fn is_script(&self) -> bool {
        self.is_script
    }
}

/// Those that are there; the others are said in the log.
pub fn open_all(paths: &[PathBuf]) -> Vec<TreeFile> {
    let mut files = Vec::new();
    for path in paths {
        match TreeFile::open(path) {
            Ok(file) => files.push(file),
            Err(error) => tracing::warn!(
                "capture.exclude.trees: {}: {error}; nothing is left out for it until the next start",
                path.display()
            ),
        }
    }
    files
}

/// A number in fdinfo. `ino:` is there since Linux 5.14; before, `stat` shows the same of the file
/// systems that programs are on.
fn number(info: &str, key: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
}

/// The device that the kernel has for the file system: `stat` shows another on Btrfs and overlayfs.
fn device_of(info: &str, mounts: &str) -> Option<u64> {
    let mount = number(info, "mnt_id:")?.to_string();
    // `ID PARENT MAJOR:MINOR ROOT ...`
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&mount))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some(major.parse::<u64>().ok()? << 20 | minor.parse::<u64>().ok()?)
}

fn kernel_device(shown: u64) -> u64 {
    u64::from(rustix::fs::major(shown)) << 20 | u64::from(rustix::fs::minor(shown))
}

/// This process, as the kernel programs know it: its pid, and its start in clock ticks since boot.
pub fn own_process() -> (u32, u64) {
    let pid = std::process::id();
    (pid, stat(pid).map_or(0, |stat| stat.start_ticks))
}

/// A process in /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    ppid: u32,
    start_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let mut line = Vec::new();
    file.take(STAT_BYTES_MAX).read_to_end(&mut line).ok()?;
    // A name that is not UTF-8 is no reason to leave the process out.
    parse_stat(&String::from_utf8_lossy(&line))
}

/// `PID (COMM) STATE PPID ...`, the start in field 22. The name may hold anything.
fn parse_stat(line: &str) -> Option<Stat> {
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    Some(Stat { ppid, start_ticks: fields.nth(17)?.parse().ok()? })
}

/// Marks what runs one of these programs, and what descends from it by parents that live. To be done
/// while the programs mark the children of those that are marked.
///
/// # Errors
/// The map takes nothing.
pub fn mark_running(
    map: &mut HashMap<&mut MapData, [u64; 2], u32>,
    files: &[TreeFile],
) -> Result<(), CaptureError> {
    if !privileges::in_initial_pid_namespace() {
        return Ok(()); // These are other pids, as is said in the log.
    }
    let mut marked = std::collections::HashSet::new();
    for _ in 0..LOOKS_MAX {
        let before = marked.len();
        for (pid, stat) in of_trees(&processes(), |pid| runs(pid, files)) {
            let key = [stat.start_ticks, pid.into()];
            if marked.insert(key) && !insert(map, key)? {
                return Ok(());
            }
            if self::stat(pid).is_none_or(|now| now.start_ticks != stat.start_ticks) {
                // It ended meanwhile, maybe before it was marked.
                let _ = map.remove(&key);
            }
        }
        if marked.len() == before {
            break;
        }
    }
    Ok(())
}

/// False when there is no room.
fn insert(
    map: &mut HashMap<&mut MapData, [u64; 2], u32>,
    key: [u64; 2],
) -> Result<bool, CaptureError> {
    const TOO_BIG: i32 = rustix::io::Errno::TOOBIG.raw_os_error();
    match map.insert(key, 1, 0) {
        Ok(()) => Ok(true),
        Err(aya::maps::MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(TOO_BIG) =>
        {
            tracing::warn!(
                "there are more processes in excluded trees than can be marked: those \
                 beyond are recorded"
            );
            Ok(false)
        }
        Err(error) => Err(refused(names::TREES)(error)),
    }
}

fn processes() -> Known<u32, Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Known::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// Whether this process runs one of these files.
fn runs(pid: u32, files: &[TreeFile]) -> bool {
    let Ok(exe) = std::fs::metadata(format!("/proc/{pid}/exe")) else { return false };
    files.iter().any(|file| file.shown == (exe.dev(), exe.ino()))
}

/// Those that are a root, or descend from one.
fn of_trees(all: &Known<u32, Stat>, is_root: impl Fn(u32) -> bool) -> Vec<(u32, Stat)> {
    let roots: std::collections::HashSet<u32> =
        all.keys().copied().filter(|pid| is_root(*pid)).collect();
    let is_below = |pid: u32| {
        let chain = std::iter::successors(Some(pid), |pid| all.get(pid).map(|stat| stat.ppid));
        chain.take(DEPTH_MAX).any(|pid| roots.contains(&pid))
    };
    all.iter().filter(|(pid, _)| is_below(**pid)).map(|(pid, stat)| (*pid, *stat)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bracket_does_not_move_the_fields_of_a_stat_line() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 8 9";
        assert_eq!(parse_stat(line), Some(Stat { ppid: 3, start_ticks: 4711 }));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(parse_stat(""), None);
        let own = own_process();
        assert_eq!(own.0, std::process::id());
        assert_ne!(own.1, 0);
    }

    #[test]
    fn descendants_are_found_by_their_parents_and_a_circle_ends() {
        let process = |ppid| Stat { ppid, start_ticks: 1 };
        let all = Known::from([
            (1, process(0)),
            (2, process(1)),
            (3, process(2)),
            (4, process(3)),
            (5, process(1)),
            (6, process(7)),
            (7, process(6)),
        ]);
        let mut found: Vec<u32> =
            of_trees(&all, |pid| pid == 2).iter().map(|(pid, _)| *pid).collect();
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4]);
    }

    #[test]
    fn the_device_is_the_one_of_the_mount() {
        let mounts = "22 1 0:21 / /proc rw - proc proc rw\n29 1 8:3 / / rw - ext4 /dev/sda3 rw\n";
        assert_eq!(
            device_of("pos:\t0\nflags:\t0\nmnt_id:\t29\nino:\t5\n", mounts),
            Some(8 << 20 | 3)
        );
        assert_eq!(device_of("mnt_id:\t2\n", mounts), None);
        assert_eq!(number("pos:\t0\nino:\t5\n", "ino:"), Some(5));
    }

    #[test]
    fn a_program_that_is_not_there_or_is_no_file_is_left_out() {
        let paths = ["/nonexistent/program".into(), "/".into(), "/proc/self/exe".into()];
        let files = open_all(&paths);
        assert_eq!(files.len(), 1);
        assert!(!files[0].is_script());
        assert!(runs(std::process::id(), &files));
    }
}
