//! Packs the guest's file system: busybox, the accounts, what the test adds, as a cpio archive that
//! the kernel unpacks at boot. The `cpio` program writes the archive.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a file of the guest comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A copy of this file of the host.
    Host(PathBuf),
    /// This text.
    Text(String),
}

/// A file of the guest, owned by root (the guest's own script may change that).
#[derive(Debug, Clone)]
pub(super) struct GuestFile {
    pub source: Source,
    /// Absolute path in the guest.
    pub path: PathBuf,
    /// Permission bits, with setuid and setgid where wanted.
    pub mode: u32,
}

/// Init mounts file systems over these, which would hide what the archive holds there.
const MOUNTED_OVER: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

const DIRECTORIES: [&str; 4] = ["/root", "/home/alice", "/bin", "/etc"];

const BASE: [(&str, u32, &str); 7] = [
    ("/init", 0o755, include_str!("init.sh")),
    ("/bin/emit_file", 0o755, include_str!("emit_file.sh")),
    (
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n",
    ),
    ("/etc/group", 0o644, "root:x:0:\nalice:x:1000:\n"),
    ("/etc/machine-id", 0o444, "0123456789abcdef0123456789abcdef\n"),
    (
        "/etc/os-release",
        0o644,
        "ID=guest\nNAME=\"Test guest\"\nPRETTY_NAME=\"Test guest 1\"\nVERSION_ID=\"1\"\n",
    ),
    ("/etc/hostname", 0o644, "guest\n"),
];

/// Writes the archive to `archive`, with the base system, `/script` and the test's files, which
/// come last and so may replace the base's. `staging` is an empty directory to lay the tree in.
///
/// The error is text for the test's reader: what is wrong and with which file.
pub(super) fn pack(
    busybox: &Path,
    script: &str,
    files: &[GuestFile],
    staging: &Path,
    archive: &Path,
) -> Result<(), String> {
    let mut tree = Tree { root: staging, entries: BTreeSet::new() };
    for directory in DIRECTORIES {
        tree.make_directory(Path::new(directory))?;
    }
    tree.add(&GuestFile {
        source: Source::Host(busybox.to_owned()),
        path: "/bin/busybox".into(),
        mode: 0o755,
    })?;
    for (path, mode, text) in BASE.into_iter().chain([("/script", 0o755, script)]) {
        tree.add(&GuestFile { source: Source::Text(text.to_owned()), path: path.into(), mode })?;
    }
    for file in files {
        tree.add(file)?;
    }
    tree.archive(archive)
}

/// The tree under construction.
struct Tree<'a> {
    /// Host directory that stands for the guest's root.
    root: &'a Path,
    /// Paths relative to the root, parents before children by their order.
    entries: BTreeSet<PathBuf>,
}

impl Tree<'_> {
    fn add(&mut self, file: &GuestFile) -> Result<(), String> {
        let guest_path = file.path.display();
        if MOUNTED_OVER.iter().any(|over| file.path.starts_with(over)) {
            return Err(format!(
                "{guest_path} would be hidden: the guest mounts a file system there; \
                 put the file elsewhere and let the script copy it"
            ));
        }
        let relative = relative(&file.path)?;
        if let Some(parent) = file.path.parent() {
            self.make_directory(parent)?;
        }
        let staged = self.root.join(relative);
        let written = match &file.source {
            Source::Host(host) => {
                let bytes = fs::read(host)
                    .map_err(|error| format!("cannot read {}: {error}", host.display()))?;
                if needs_loader(&bytes) {
                    return Err(format!(
                        "{} is dynamically linked and the guest has no libraries; \
                         build it static (guest::static_binary)",
                        host.display()
                    ));
                }
                fs::write(&staged, bytes)
            }
            Source::Text(text) => fs::write(&staged, text),
        };
        written
            .and_then(|()| fs::set_permissions(&staged, Permissions::from_mode(file.mode)))
            .map_err(|error| format!("cannot lay out the guest's {guest_path}: {error}"))?;
        self.entries.insert(relative.to_owned());
        Ok(())
    }

    fn make_directory(&mut self, path: &Path) -> Result<(), String> {
        let relative = relative(path)?;
        fs::create_dir_all(self.root.join(relative))
            .map_err(|error| format!("cannot lay out the guest's {}: {error}", path.display()))?;
        for ancestor in relative.ancestors() {
            if ancestor != Path::new("") {
                self.entries.insert(ancestor.to_owned());
            }
        }
        Ok(())
    }

    fn archive(&self, archive: &Path) -> Result<(), String> {
        let run = || -> io::Result<(bool, Vec<u8>)> {
            let mut cpio = Command::new("cpio")
                .args(["--create", "--format=newc", "--null", "--quiet"])
                // Not whoever runs the tests.
                .args(["--owner", "0:0"])
                .current_dir(self.root)
                .stdin(Stdio::piped())
                .stdout(File::create(archive)?)
                .stderr(Stdio::piped())
                .spawn()?;
            let mut names = Vec::new();
            for entry in &self.entries {
                names.extend_from_slice(entry.as_os_str().as_encoded_bytes());
                names.push(0);
            }
            // Dropped at the end of the statement, which tells cpio that the list is complete.
            cpio.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&names))?;
            let output = cpio.wait_with_output()?;
            Ok((output.status.success(), output.stderr))
        };
        match run() {
            Ok((true, _)) => Ok(()),
            Ok((false, stderr)) => Err(format!(
                "cpio could not pack the guest's files: {}",
                String::from_utf8_lossy(&stderr).trim()
            )),
            Err(error) => Err(format!("cannot run cpio: {error}")),
        }
    }
}

/// The path without its leading slash; refuses what would not stay inside the tree.
fn relative(path: &Path) -> Result<&Path, String> {
    let inside =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    path.strip_prefix("/")
        .ok()
        .filter(|_| inside)
        .ok_or_else(|| format!("{} is not an absolute path without ..", path.display()))
}

/// Whether a file is an ELF program that asks for a dynamic loader (it has a PT_INTERP header).
fn needs_loader(bytes: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        Some(field.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let headers = || -> Option<Vec<u64>> {
        let table = usize::try_from(number(32, 8)?).ok()?;
        let size = usize::try_from(number(54, 2)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        (0..count).map(|index| number(table.checked_add(index * size)?, 4)).collect()
    };
    // 64-bit, little endian: the only kind the guests run.
    bytes.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|types| types.contains(&u64::from(PT_INTERP)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    fn pack_with(file: GuestFile) -> Result<(), String> {
        let work = tempfile::tempdir().unwrap();
        let staging = work.path().join("tree");
        fs::create_dir(&staging).unwrap();
        let busybox = work.path().join("busybox");
        fs::write(&busybox, "stands for busybox").unwrap();
        let archive = work.path().join("initramfs");
        pack(&busybox, "true", &[file], &staging, &archive)
    }

    fn text(path: &str) -> GuestFile {
        GuestFile { source: Source::Text("text".into()), path: path.into(), mode: 0o600 }
    }

    #[test]
    fn a_path_that_would_be_hidden_or_leave_the_tree_is_refused() {
        for path in ["/tmp/a", "/proc/x", "relative", "/a/../../b"] {
            assert!(pack_with(text(path)).is_err(), "{path}");
        }
        assert_eq!(pack_with(text("/deep/down/file")), Ok(()));
        // Only the directory itself is mounted over, not one whose name begins like it.
        assert_eq!(pack_with(text("/tmpfiles/a")), Ok(()));
    }

    #[test]
    fn a_dynamically_linked_program_is_refused_before_the_guest_boots() {
        // The test binary itself is one.
        let dynamic = GuestFile {
            source: Source::Host(std::env::current_exe().unwrap()),
            ..text("/bin/test")
        };
        let error = pack_with(dynamic).unwrap_err();
        assert!(error.contains("dynamically linked"), "{error}");
    }
}
