//! The message `Hash`.

use super::CodecError;
use super::wire::{Fields, Message};
use crate::event::{FileHash, HashMissing};

/// Writes one as the fields of its message.
pub(super) fn encode(message: &mut Message<'_>, hash: &FileHash) {
    match hash {
        FileHash::Sha256(digest) => message.bytes(1, digest),
        FileHash::Missing(why) => message.uint(2, missing(*why)),
    }
}

fn missing(why: HashMissing) -> u64 {
    match why {
        HashMissing::Late => 1,
        HashMissing::TooLarge => 2,
        HashMissing::Unreadable => 3,
        HashMissing::Changed => 4,
        HashMissing::NotAFile => 5,
        HashMissing::Gone => 6,
        HashMissing::Unknown => 7,
        HashMissing::Unsure => 8,
    }
}

/// Reads its message.
pub(super) fn decode(bytes: &[u8]) -> Result<FileHash, CodecError> {
    let mut hash = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => {
                let digest = field.bytes()?.try_into().map_err(|_| CodecError::HashLength)?;
                hash = Some(FileHash::Sha256(digest));
            }
            2 => hash = Some(FileHash::Missing(read_missing(field.uint()?)?)),
            _ => {}
        }
    }
    // A later version may have another kind of hash alone, so this one has none.
    hash.ok_or(CodecError::Unknown("kind of hash"))
}

fn read_missing(number: u64) -> Result<HashMissing, CodecError> {
    Ok(match number {
        1 => HashMissing::Late,
        2 => HashMissing::TooLarge,
        3 => HashMissing::Unreadable,
        4 => HashMissing::Changed,
        5 => HashMissing::NotAFile,
        6 => HashMissing::Gone,
        7 => HashMissing::Unknown,
        8 => HashMissing::Unsure,
        _ => return Err(CodecError::Unknown("reason for a missing hash")),
    })
}
