//! Files that were executed.

use serde::{Serialize, Serializer};

use super::Part;
use crate::event::{ExecutedFile, FileFacts, HashMissing, Layer, WallTime};
use crate::format::text::{Device, Exact, Long, Sha256, Shown, Text, exact};

/// The file asked for, or the binary that was loaded in its stead.
#[derive(Serialize)]
pub(super) struct FileFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<Exact<'a>>,
    path_cut: bool,
    path_unreachable: bool,
    #[serde(flatten)]
    facts: Option<FactFields<'a>>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_missing: Option<&'static str>,
}

/// What the inode and the mount say.
#[derive(Serialize)]
struct FactFields<'a> {
    uid: u32,
    gid: u32,
    mode: Octal,
    inode: Shown<u64>,
    device: Device,
    links: u32,
    size_bytes: Long,
    deleted: bool,
    memfd: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_time: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_time: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_system: Option<Text<'a>>,
    nosuid: bool,
    noexec: bool,
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<&'static str>,
}

/// Type and permission bits in octal, seven digits where `stat` has no more.
struct Octal(u32);

impl Serialize for Octal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:07o}", self.0))
    }
}

impl<'a> FileFields<'a> {
    pub(super) fn new(file: &'a ExecutedFile, part: Part) -> Self {
        FileFields {
            path: part.mapped(Text(&file.path.bytes)),
            path_base64: exact(&file.path.bytes),
            path_cut: file.path.cut,
            path_unreachable: file.path.unreachable,
            facts: file.facts.as_ref().map(FactFields::new),
            source: file.source.as_str(),
            sha256: Sha256::of(file),
            hash_missing: file
                .hash
                .as_ref()
                .and_then(|hash| hash.missing())
                .map(HashMissing::as_str),
        }
    }
}

impl<'a> FactFields<'a> {
    fn new(facts: &'a FileFacts) -> Self {
        FactFields {
            uid: facts.uid,
            gid: facts.gid,
            mode: Octal(facts.mode),
            inode: Shown(facts.inode),
            device: Device(facts.device),
            links: facts.links,
            size_bytes: Long(facts.size),
            deleted: facts.deleted,
            memfd: facts.memfd,
            modified_time: facts.modified,
            changed_time: facts.changed,
            file_system: facts.file_system.as_ref().map(|kind| Text(kind.name())),
            nosuid: facts.nosuid,
            noexec: facts.noexec,
            read_only: facts.read_only,
            layer: facts.layer.map(Layer::as_str),
        }
    }
}
