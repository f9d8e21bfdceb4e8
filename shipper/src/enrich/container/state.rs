//! The files in which container runtimes keep what they know of a container. They are read, never
//! written, and not trusted: bounded, regular files only, no symbolic link followed below the
//! directory that the operator named.
//!
//! | runtime | file |
//! |---|---|
//! | Docker | `containers/ID/config.v2.json` below its data root |
//! | containerd | `io.containerd.runtime.v2.task/NAMESPACE/ID/config.json` below its state directory |
//! | CRI-O, Podman | `overlay-containers/ID/userdata/config.json` below the storage's run root, `overlay-containers/containers.json` and `volatile-containers.json` (of `podman run --rm`) below its graph root |

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::names::{self, Names};

/// Most bytes of the file of one container. The largest parts are environment and mounts; seen are
/// files of 5 to 30 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of a list of all containers of a storage: some 1 KiB each.
const LIST_BYTES_MAX: u64 = 4 << 20;

/// Most namespaces of one containerd that are looked into: `k8s.io`, `moby`, `default` and a few.
const NAMESPACES_MAX: usize = 32;

/// Where runtimes keep their state. A list that is empty: that runtime is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDirs {
    /// Data roots of Docker.
    pub docker: Vec<PathBuf>,
    /// State directories of containerd.
    pub containerd: Vec<PathBuf>,
    /// Run roots and graph roots of the storage that Podman and CRI-O share.
    pub storage: Vec<PathBuf>,
}

impl StateDirs {
    /// What the runtimes know of a container: of the first that knows it. `runtime` is the one that
    /// the cgroup path tells.
    pub fn look_up(&self, id: &str, runtime: Option<&str>) -> Option<Names> {
        let docker = || self.docker.iter().find_map(|dir| docker(dir, id));
        let containerd = || self.containerd.iter().find_map(|dir| containerd(dir, id));
        match runtime {
            Some("docker") => docker(),
            Some("containerd") => containerd(),
            Some(_) => self.storage(id),
            // Docker's own containers are known to its containerd as well, but not by name.
            None => docker().or_else(containerd).or_else(|| self.storage(id)),
        }
    }

    /// The bundle has what Kubernetes says, the list has Podman's names.
    fn storage(&self, id: &str) -> Option<Names> {
        let bundle = format!("overlay-containers/{id}/userdata/config.json");
        let mut found: Option<Names> = None;
        for dir in &self.storage {
            let Some(dir) = open_directory(dir) else { continue };
            let bundle = read(dir.as_fd(), Path::new(&bundle), FILE_BYTES_MAX);
            if let Some(names) = bundle.and_then(|bytes| names::oci(&bytes)) {
                found = Some(found.unwrap_or_default().or(names));
            }
            for list in ["containers.json", "volatile-containers.json"] {
                // A list may hold hundreds; it is read only where it has something to add.
                if found.as_ref().is_some_and(Names::has_name) {
                    return found;
                }
                let path = Path::new("overlay-containers").join(list);
                let list = read(dir.as_fd(), &path, LIST_BYTES_MAX);
                if let Some(names) = list.and_then(|bytes| names::storage_list(&bytes, id)) {
                    found = Some(found.unwrap_or_default().or(names));
                }
            }
        }
        found
    }
}

fn docker(dir: &Path, id: &str) -> Option<Names> {
    let dir = open_directory(dir)?;
    let path = PathBuf::from(format!("containers/{id}/config.v2.json"));
    names::docker(&read(dir.as_fd(), &path, FILE_BYTES_MAX)?)
}

fn containerd(dir: &Path, id: &str) -> Option<Names> {
    let tasks = dir.join("io.containerd.runtime.v2.task");
    let namespaces = std::fs::read_dir(&tasks).ok()?.flatten().take(NAMESPACES_MAX);
    let dir = open_directory(&tasks)?;
    for namespace in namespaces {
        let path = Path::new(&namespace.file_name()).join(id).join("config.json");
        let bytes = read(dir.as_fd(), &path, FILE_BYTES_MAX);
        if let Some(names) = bytes.and_then(|bytes| names::oci(&bytes)) {
            return Some(Names { runtime: names.runtime.or(Some("containerd")), ..names });
        }
    }
    None
}

/// The directory the operator named: a link may lead to it.
fn open_directory(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty()).ok()
}

/// All of a regular file that is not larger; `None` for anything else. Nothing here waits: neither a
/// FIFO nor a device is read.
fn read(dir: BorrowedFd<'_>, path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = match openat2(dir, path, flags, Mode::empty(), resolve) {
        // Before 5.6, or forbidden by a seccomp filter that does not know it.
        Err(Errno::NOSYS) => openat(dir, path, flags, Mode::empty()),
        result => result,
    };
    let file = File::from(file.ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > bytes_max {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= bytes_max).then_some(bytes)
}
