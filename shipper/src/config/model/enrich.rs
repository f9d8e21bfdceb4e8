//! What is added to each record.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::{ByteSize, Span};
use super::{DIRECTORY_PATH_FORMAT, DIRECTORY_PATH_PATTERN};
use crate::enrich::{PROCESS_TABLE_MAX, PROCESS_TABLE_MIN};

/// Most that the limit of the process table can be: the kernel has no more pids (`PID_MAX_LIMIT`).
const PROCESS_TABLE_MAX_MAX: u32 = 1 << 22;

/// As many as [`PROCESS_TABLE_MAX`] says.
const PROCESS_TABLE_DEFAULT: u32 = PROCESS_TABLE_MAX as u32;

/// Least limit of hashed files: below it, hardly any program would be hashed.
const HASH_BYTES_MIN: u64 = 4 << 10;

/// Largest limit of hashed files: beyond any program.
const HASH_BYTES_MAX: u64 = 16 << 30;

/// Most directories of one kind of container runtime: each is looked into for a container that none
/// knows.
const CONTAINER_DIRS_MAX: usize = 8;

/// Enrichment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Ancestors listed with each exec and each end, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub ancestry_depth_max: u32,
    /// Most processes that are remembered, 1024 to 4194304, those included that have ended and have
    /// descendants. When there are more, events know less of ancestors, and the log says so.
    #[schemars(range(min = PROCESS_TABLE_MIN, max = PROCESS_TABLE_MAX_MAX))]
    pub process_table_max: u32,
    /// Where container runtimes keep the names of their containers, as the daemon sees it.
    pub container_dirs: ContainerDirs,
    /// Whether executed files are hashed. Each is read once and then known until it changes.
    pub hash: HashKind,
    /// Largest file that is hashed, 4KiB to 16GiB. An event of a larger one says so.
    #[schemars(range(min = HASH_BYTES_MIN, max = HASH_BYTES_MAX))]
    pub hash_bytes_max: ByteSize,
    /// Longest time an event, and those behind it, wait for a hash, 1ms to 10s. One that goes without
    /// says so.
    #[schemars(extend("x-minimum" = "1ms", "x-maximum" = "10s"))]
    pub hash_wait_max: Span,
}

impl Default for Enrich {
    fn default() -> Self {
        Enrich {
            ancestry_depth_max: 16,
            process_table_max: PROCESS_TABLE_DEFAULT,
            container_dirs: ContainerDirs::default(),
            hash: HashKind::None,
            hash_bytes_max: ByteSize(64 << 20),
            hash_wait_max: Span(Duration::from_secs(1)),
        }
    }
}

/// Hashes of executed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashKind {
    /// None.
    None,
    /// SHA-256.
    Sha256,
}

/// Directories in which container runtimes keep their state, at most 8 of each. An empty list: that
/// runtime is not asked, and its containers have an id but no name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerDirs {
    /// Data roots of Docker (`data-root`).
    #[schemars(length(max = CONTAINER_DIRS_MAX))]
    pub docker: Vec<Directory>,
    /// State directories of containerd (`state`).
    #[schemars(length(max = CONTAINER_DIRS_MAX))]
    pub containerd: Vec<Directory>,
    /// Run and graph roots of the storage of Podman and CRI-O (`runroot`, `graphroot`), the run root
    /// first.
    #[schemars(length(max = CONTAINER_DIRS_MAX))]
    pub storage: Vec<Directory>,
}

impl Default for ContainerDirs {
    fn default() -> Self {
        let list = |paths: [&str; 2]| paths.map(|path| Directory(PathBuf::from(path))).to_vec();
        ContainerDirs {
            docker: vec![Directory(PathBuf::from("/var/lib/docker"))],
            containerd: list(["/run/containerd", "/run/k3s/containerd"]),
            storage: list(["/run/containers/storage", "/var/lib/containers/storage"]),
        }
    }
}

/// The path of a directory.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = DIRECTORY_PATH_FORMAT, "pattern" = DIRECTORY_PATH_PATTERN))]
pub struct Directory(pub PathBuf);
