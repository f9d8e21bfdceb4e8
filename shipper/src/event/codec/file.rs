//! The message `File`.

use super::decode::{need, path as read_path, read_source};
use super::wire::{Field, Fields, Message, small};
use super::{CodecError, hash, path, source};
use crate::event::{ExecutedFile, FileFacts, FileSystem, Layer, WallTime};

/// Flags of `File.facts`.
const FILE_DELETED: u64 = 1;
const FILE_MEMFD: u64 = 2;
const FILE_NOSUID: u64 = 4;
const FILE_NOEXEC: u64 = 8;
const FILE_READ_ONLY: u64 = 16;
const FILE_UPPER: u64 = 32;
const FILE_LOWER: u64 = 64;

/// Writes one as the fields of its message.
pub(super) fn encode(message: &mut Message<'_>, file: &ExecutedFile) {
    message.message(1, |message| path(message, &file.path));
    if let Some(of_inode) = &file.facts {
        message.numbers(2, &facts(of_inode));
    }
    message.uint(3, source(file.source));
    if let Some(known) = &file.hash {
        message.message(4, |message| hash::encode(message, known));
    }
    if let Some(of_inode) = &file.facts {
        message
            .numbers(5, &[of_inode.modified, of_inode.changed].map(|time| time.map_or(0, |t| t.0)));
        if let Some(kind) = &of_inode.file_system {
            message.bytes(6, kind.name());
        }
    }
}

fn facts(facts: &FileFacts) -> [u64; 9] {
    let flag = |set, flag| if set { flag } else { 0 };
    [
        facts.uid.into(),
        facts.gid.into(),
        facts.mode.into(),
        facts.inode,
        facts.device.0.into(),
        facts.device.1.into(),
        facts.links.into(),
        facts.size,
        flag(facts.deleted, FILE_DELETED)
            | flag(facts.memfd, FILE_MEMFD)
            | flag(facts.nosuid, FILE_NOSUID)
            | flag(facts.noexec, FILE_NOEXEC)
            | flag(facts.read_only, FILE_READ_ONLY)
            | flag(facts.layer == Some(Layer::Upper), FILE_UPPER)
            | flag(facts.layer == Some(Layer::Lower), FILE_LOWER),
    ]
}

/// Reads its message.
pub(super) fn decode(bytes: &[u8]) -> Result<ExecutedFile, CodecError> {
    let (mut of_file, mut of_inode, mut source) = (None, None, None);
    let (mut times, mut file_system, mut known_hash) = ([0; 2], None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => of_file = Some(read_path(field.bytes()?)?),
            2 => of_inode = Some(read_facts(&field)?),
            3 => source = Some(read_source(field.uint()?)?),
            4 => known_hash = Some(hash::decode(field.bytes()?)?),
            5 => times = field.numbers()?,
            6 => file_system = FileSystem::new(field.bytes()?),
            _ => {}
        }
    }
    let [modified, changed] = times.map(|time| (time != 0).then_some(WallTime(time)));
    Ok(ExecutedFile {
        path: need(of_file, "file.path")?,
        facts: of_inode.map(|facts| FileFacts { modified, changed, file_system, ..facts }),
        source: need(source, "file.source")?,
        hash: known_hash,
    })
}

fn read_facts(field: &Field<'_>) -> Result<FileFacts, CodecError> {
    let [uid, gid, mode, inode, major, minor, links, size, flags] = field.numbers()?;
    Ok(FileFacts {
        uid: small(uid)?,
        gid: small(gid)?,
        mode: small(mode)?,
        inode,
        device: (small(major)?, small(minor)?),
        links: small(links)?,
        size,
        deleted: flags & FILE_DELETED != 0,
        memfd: flags & FILE_MEMFD != 0,
        nosuid: flags & FILE_NOSUID != 0,
        noexec: flags & FILE_NOEXEC != 0,
        read_only: flags & FILE_READ_ONLY != 0,
        layer: match (flags & FILE_UPPER != 0, flags & FILE_LOWER != 0) {
            (true, _) => Some(Layer::Upper),
            (_, true) => Some(Layer::Lower),
            _ => None,
        },
        // In fields of their own.
        modified: None,
        changed: None,
        file_system: None,
    })
}
