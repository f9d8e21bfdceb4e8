//! What /proc says of a process. It is asked for what the kernel's records do not know: processes
//! older than the daemon, and the script file in tracepoint mode. Everything from here may have
//! changed since the exec and is marked as such.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstatvfs, openat, openat2, readlinkat,
    statat,
};
use rustix::io::Errno;

use super::clock::time;
use super::container;
use crate::event::{Args, Bytes, FileFacts, ProcessKey};

/// Longest stat line: comm is at most 64 bytes, the rest are numbers.
const STAT_BYTES_MAX: u64 = 4096;

/// As much of `status` as is read: the line with the user ids is the ninth.
const STATUS_BYTES_MAX: u64 = 4096;

/// As much of `cmdline` as is read: arguments and environment together have at most 6 MiB
/// (`bprm_stack_limits`).
const CMDLINE_BYTES_MAX: u64 = 6 << 20;

/// As much of `cgroup` as is read: a line for each of some twelve hierarchies.
const CGROUP_BYTES_MAX: u64 = 16 << 10;

/// A /proc, the real one or a test's.
pub struct Procfs {
    root: PathBuf,
}

/// Identity and parent of a process, from its stat line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which process.
    pub key: ProcessKey,
    /// It waits for its parent to take note of its end: what it ran cannot be read any more.
    pub has_ended: bool,
    /// Its parent's pid now; 0 for the first process.
    pub ppid: u32,
    /// Its process group; `None` for kernel threads.
    pub pgid: Option<u32>,
    /// Its session; `None` for kernel threads.
    pub sid: Option<u32>,
    /// Controlling terminal, device (major, minor).
    pub tty: Option<(u32, u32)>,
    /// Task name.
    pub comm: Bytes,
}

/// What is known of a file that a process asked to execute.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The name given to the system call.
    pub filename: &'a [u8],
    /// Working directory the kernel reported; `None` when that is not its whole path.
    pub cwd: Option<&'a [u8]>,
    /// The process is in the host's mount and user namespace, so that our own view of the files
    /// serves when it is gone already, unless it was in a chroot.
    pub here: bool,
    /// The interpreter that was loaded for it: path, inode and device as the kernel saw them.
    pub interpreter: (&'a [u8], u64, (u32, u32)),
}

impl Asked<'_> {
    /// Whether the path of the interpreter leads to the interpreter from our root as well. A chroot
    /// that shares the interpreter with us by a bind mount is not told apart; it takes root to make.
    fn sees_as_we_do(&self, root: BorrowedFd<'_>) -> bool {
        let (path, inode, device) = self.interpreter;
        open_in_root(root, path)
            .ok()
            .and_then(|file| facts(file.as_fd()))
            .is_some_and(|facts| (facts.inode, facts.device) == (inode, device))
    }
}

impl Procfs {
    /// The /proc mounted there.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Procfs { root: root.to_owned() }
    }

    fn path(&self, pid: u32, entry: &str) -> PathBuf {
        self.root.join(format!("{pid}/{entry}"))
    }

    /// All processes there are.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(&self.root) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Identity and parent; `None` when there is no such process (any more).
    #[must_use]
    pub fn stat(&self, pid: u32) -> Option<Stat> {
        parse_stat(&read_limited(&self.path(pid, "stat"), STAT_BYTES_MAX).ok()?)
    }

    /// Whether this very process still lives.
    #[must_use]
    pub fn is_alive(&self, key: ProcessKey) -> bool {
        self.stat(key.pid).is_some_and(|stat| stat.key == key)
    }

    /// Path of the executable; `None` for kernel threads and processes that are gone.
    #[must_use]
    pub fn executable(&self, pid: u32) -> Option<Bytes> {
        let link = std::fs::read_link(self.path(pid, "exe")).ok()?.into_os_string().into_vec();
        let name = link.strip_suffix(b" (deleted)").unwrap_or(&link);
        Some(name.into())
    }

    /// Effective user.
    #[must_use]
    pub fn euid(&self, pid: u32) -> Option<u32> {
        let status = read_limited(&self.path(pid, "status"), STATUS_BYTES_MAX).ok()?;
        // `Uid:` real, effective, saved, for files.
        let mut lines = status.split(|&byte| byte == b'\n');
        let ids = lines.find_map(|line| line.strip_prefix(b"Uid:"))?;
        std::str::from_utf8(ids).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Id of the container it is in, by any of its cgroups.
    #[must_use]
    pub fn container_id(&self, pid: u32) -> Option<Arc<str>> {
        let cgroups = read_limited(&self.path(pid, "cgroup"), CGROUP_BYTES_MAX).ok()?;
        // `HIERARCHY:CONTROLLERS:PATH`
        cgroups.split(|&byte| byte == b'\n').find_map(|line| {
            let path = line.splitn(3, |&byte| byte == b':').nth(2)?;
            container::id(path.rsplit(|&byte| byte == b'/')).map(Arc::from)
        })
    }

    /// Arguments, as the process presents them, of at most so many bytes; counted are all.
    #[must_use]
    pub fn args(&self, pid: u32, bytes_max: usize) -> Option<Args> {
        let bytes = read_limited(&self.path(pid, "cmdline"), CMDLINE_BYTES_MAX).ok()?;
        let kept = &bytes[..bytes.len().min(bytes_max)];
        let last = bytes.last()?;
        let count = bytes.iter().filter(|byte| **byte == 0).count() + usize::from(*last != 0);
        Some(Args {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            bytes_total: bytes.len() as u64,
            list: split_args(kept),
            truncated: kept.len() < bytes.len(),
            faulted: false,
            redacted: Vec::new(),
        })
    }

    /// The file a process asked to execute: its facts and its path, as seen from the root of the
    /// process, with links resolved where that root is ours. `None` where it cannot be told from
    /// another file of that name: no owner is better than a wrong one.
    #[must_use]
    pub fn executed_file(&self, key: ProcessKey, asked: &Asked<'_>) -> Option<(FileFacts, Bytes)> {
        if let Some(fd) = asked.filename.strip_prefix(b"/dev/fd/") {
            return self.file_of_descriptor(key, fd);
        }
        let absolute = if asked.filename.starts_with(b"/") {
            asked.filename.to_vec()
        } else {
            [asked.cwd?, b"/", asked.filename].concat()
        };
        let ours = open_directory(Path::new("/"))?;
        let inside =
            self.is_alive(key).then(|| open_directory(&self.path(key.pid, "root"))).flatten();
        let (root, is_ours) = match inside {
            Some(root) => {
                let is_ours = asked.here && same_file(root.as_fd(), ours.as_fd());
                (root, is_ours)
            }
            // It is gone, and with it the answer whether it was in a chroot.
            None if asked.here && asked.sees_as_we_do(ours.as_fd()) => (ours, true),
            None => return None,
        };
        let file = open_in_root(root.as_fd(), &absolute).ok()?;
        let facts = facts(file.as_fd())?;
        let path = if is_ours { path_of(file.as_fd()) } else { None };
        Some((facts, path.unwrap_or_else(|| absolute.into())))
    }

    /// `N` or `N/relative/path`, as `execveat` names what it was given by descriptor.
    fn file_of_descriptor(&self, key: ProcessKey, name: &[u8]) -> Option<(FileFacts, Bytes)> {
        if !self.is_alive(key) {
            return None;
        }
        let path = self.path(key.pid, "fd").join(OsStr::from_bytes(name));
        let file =
            openat(rustix::fs::CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let (facts, path) = (facts(file.as_fd())?, path_of(file.as_fd())?);
        let memfd = facts.deleted && path.starts_with(b"/memfd:");
        Some((FileFacts { memfd, deleted: facts.deleted && !memfd, ..facts }, path))
    }
}

pub(super) fn open_directory(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty()).ok()
}

/// Opens a path as a process with that root would, absolute links included; O_PATH, so that neither
/// a FIFO nor a device is really opened.
pub(super) fn open_in_root(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Before 5.6, or forbidden by a seccomp filter that does not know it.
        Err(Errno::NOSYS) => {
            let relative =
                path.iter().position(|&byte| byte != b'/').map_or(&b"."[..], |at| &path[at..]);
            openat(root, relative, flags, Mode::empty())
        }
        result => result,
    }
}

/// The path of an open file, as the kernel knows it now.
fn path_of(file: BorrowedFd<'_>) -> Option<Bytes> {
    use std::os::fd::AsRawFd as _;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let target = readlinkat(rustix::fs::CWD, link, Vec::new()).ok()?.into_bytes();
    let path = match target.strip_suffix(b" (deleted)") {
        // A name may end like this by itself.
        Some(path) if !leads_to(&target, file) => path,
        _ => &target,
    };
    path.starts_with(b"/").then(|| path.into())
}

fn leads_to(path: &[u8], file: BorrowedFd<'_>) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty())
        .is_ok_and(|found| same_file(found.as_fd(), file))
}

fn same_file(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    let identity = |file| {
        let facts = facts(file)?;
        Some((facts.inode, facts.device))
    };
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

pub(super) fn facts(file: BorrowedFd<'_>) -> Option<FileFacts> {
    let stat = statat(file, "", AtFlags::EMPTY_PATH).ok()?;
    let mount = fstatvfs(file).ok()?.f_flag;
    Some(FileFacts {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode,
        inode: stat.st_ino,
        device: (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev)),
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        deleted: stat.st_nlink == 0,
        memfd: false,
        modified: time(stat.st_mtime, stat.st_mtime_nsec as u64),
        changed: time(stat.st_ctime, stat.st_ctime_nsec as u64),
        file_system: None,
        nosuid: mount.contains(StatVfsMountFlags::NOSUID),
        noexec: mount.contains(StatVfsMountFlags::NOEXEC),
        read_only: mount.contains(StatVfsMountFlags::RDONLY),
        layer: None,
    })
}

/// Bytes of NUL-terminated arguments, split. Empty arguments stay.
#[must_use]
pub fn split_args(bytes: &[u8]) -> Vec<Bytes> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|&byte| byte == 0).map(Bytes::from).collect()
}

/// `pid (comm) state ppid ... starttime ...`. The name may hold spaces, parentheses and newlines, so
/// the last `)` ends it.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let pid = std::str::from_utf8(line.get(..open)?).ok()?.trim().parse().ok()?;
    let comm = line.get(open + 1..close)?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // After the name: state is field 3, ppid 4, pgrp 5, session 6, tty_nr 7, starttime 22.
    let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
    let ppid = fields.next()?.parse().ok()?;
    let pgid = fields.next()?.parse().ok().filter(|&pgid| pgid != 0);
    let sid = fields.next()?.parse().ok().filter(|&sid| sid != 0);
    let tty = fields.next()?.parse().ok().filter(|&tty| tty != 0).map(device);
    let start_ticks = fields.nth(14)?.parse().ok()?;
    let key = ProcessKey { pid, start_ticks };
    Some(Stat { key, has_ended, ppid, pgid, sid, tty, comm: comm.into() })
}

/// Major and minor of a device number as /proc has it (`new_encode_dev`).
fn device(number: u32) -> (u32, u32) {
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00)
}

fn read_limited(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_confuse_the_stat_line() {
        let line = b"42 (a) b\n(c)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 0\n";
        let stat = parse_stat(line).expect("a stat line");
        assert_eq!(stat.key, ProcessKey { pid: 42, start_ticks: 12345 });
        assert_eq!((stat.ppid, &*stat.comm), (7, &b"a) b\n(c)"[..]));
        assert_eq!((stat.pgid, stat.sid, stat.tty), (Some(42), Some(42), None));
        let line = b"43 (bash) S 42 43 42 34819 43 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 0\n";
        assert_eq!(parse_stat(line).expect("a stat line").tty, Some((136, 3)));
        for broken in [&b""[..], b"42", b"42 (x", b"42 (x)", b"x (x) S 1", b")("] {
            assert_eq!(parse_stat(broken), None);
        }
    }

    #[test]
    fn user_and_container_are_read_of_a_process_and_missing_where_there_are_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let procfs = Procfs::new(dir.path());
        assert_eq!((procfs.euid(7), procfs.container_id(7)), (None, None));
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join("7")).expect("writable");
            std::fs::write(dir.path().join("7").join(name), text).expect("writable");
        };
        let id = "0123456789abcdef".repeat(4);
        write("status", "Name:\tbash\nUmask:\t0022\nUid:\t1000\t0\t1\t2\nGid:\t5\t5\t5\t5\n");
        write("cgroup", &format!("12:pids:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/\n"));
        assert_eq!((procfs.euid(7), procfs.container_id(7).as_deref()), (Some(0), Some(&*id)));
        write("cgroup", "0::/user.slice/user-0.slice/session-1.scope\n");
        assert_eq!(procfs.container_id(7), None);
    }

    #[test]
    fn arguments_that_were_cut_are_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        let procfs = Procfs::new(dir.path());
        std::fs::create_dir(dir.path().join("7")).expect("writable");
        for (cmdline, list, count, truncated) in [
            (&b"a\0bb\0"[..], &["a", "bb"][..], 2, false),
            (b"a\0bb\0c\0dd\0", &["a", "bb"], 4, true),
            (b"a\0bb cc dd", &["a", "bb "], 2, true),
        ] {
            std::fs::write(dir.path().join("7/cmdline"), cmdline).expect("writable");
            let args = procfs.args(7, 5).expect("arguments");
            let seen: Vec<_> = args.list.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            assert_eq!(seen, list);
            assert_eq!((args.count, args.truncated), (count, truncated));
            assert_eq!(args.bytes_total, cmdline.len() as u64);
        }
        std::fs::write(dir.path().join("7/cmdline"), "").expect("writable");
        assert!(procfs.args(7, 5).is_none(), "a worker of the kernel has none");
    }

    #[test]
    fn empty_arguments_are_kept() {
        let args = |bytes: &[u8]| split_args(bytes).iter().map(|a| a.to_vec()).collect::<Vec<_>>();
        assert_eq!(args(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
        assert_eq!(args(b"\0"), [b""]);
        assert_eq!(args(b"cut sho"), [b"cut sho"]);
        assert!(args(b"").is_empty());
    }

    #[test]
    fn this_process_is_found_in_proc_and_its_file_by_name() {
        let procfs = Procfs::new(Path::new("/proc"));
        let stat = procfs.stat(std::process::id()).expect("myself");
        assert!(procfs.is_alive(stat.key));
        assert!(!procfs.is_alive(ProcessKey { start_ticks: stat.key.start_ticks + 1, ..stat.key }));
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("script"), "#!/bin/sh\n").expect("writable");
        std::os::unix::fs::symlink("script", dir.path().join("link")).expect("writable");
        let cwd = dir.path().canonicalize().expect("exists").into_os_string().into_vec();
        let shell = procfs.executable(stat.key.pid).expect("my executable");
        let mine = File::open(OsStr::from_bytes(&shell)).expect("readable");
        let FileFacts { inode, device, .. } = super::facts(mine.as_fd()).expect("facts");
        let asked = Asked {
            filename: b"./link",
            cwd: Some(&cwd),
            here: true,
            interpreter: (&shell, inode, device),
        };
        let (facts, path) = procfs.executed_file(stat.key, &asked).expect("the script");
        assert_eq!(facts.size, 10);
        assert!(path.ends_with(b"/script"), "the link is resolved: {path:?}");
        let gone = ProcessKey { pid: stat.key.pid, start_ticks: 1 };
        let found = |asked: &Asked<'_>| procfs.executed_file(gone, asked).is_some();
        assert!(found(&asked));
        assert!(!found(&Asked { here: false, ..asked }));
        assert!(!found(&Asked { cwd: None, ..asked }), "half a path names another file");
        let interpreter = (&shell[..], inode + 1, device);
        assert!(!found(&Asked { interpreter, ..asked }), "it lived under another root");
    }
}
