//! An executed file, and its hash or why there is none.

use super::{FileFacts, Path, Source};

/// A file that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedFile {
    /// Its path.
    pub path: Path,
    /// What its inode says; `None` when it could not be had.
    pub facts: Option<FileFacts>,
    /// Where the facts came from.
    pub source: Source,
    /// Its hash, or why there is none; `None` when none was asked for.
    pub hash: Option<FileHash>,
}

impl ExecutedFile {
    /// Whether the file belongs to somebody else than root; `None` when the owner is not known.
    #[must_use]
    pub fn not_root_owned(&self) -> Option<bool> {
        self.facts.as_ref().map(|facts| facts.uid != 0)
    }
}

/// A hash of the content that a file had when it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileHash {
    /// SHA-256.
    Sha256([u8; 32]),
    /// It could not be had.
    Missing(HashMissing),
}

/// Why a file has no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashMissing {
    /// The event did not wait any longer.
    Late,
    /// It is larger than the operator's limit.
    TooLarge,
    /// It cannot be opened or read.
    Unreadable,
    /// It is not any more as it was executed.
    Changed,
    /// Something that is no regular file has its name now.
    NotAFile,
    /// No way leads to it any more: the process has ended, and its name is gone or another file's.
    Gone,
    /// Which file it was is not known.
    Unknown,
    /// It was changed so shortly before it was executed that a change afterwards would not show.
    Unsure,
}

impl HashMissing {
    /// The word events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HashMissing::Late => "late",
            HashMissing::TooLarge => "too_large",
            HashMissing::Unreadable => "unreadable",
            HashMissing::Changed => "changed",
            HashMissing::NotAFile => "not_a_file",
            HashMissing::Gone => "gone",
            HashMissing::Unknown => "unknown",
            HashMissing::Unsure => "unsure",
        }
    }
}

impl FileHash {
    /// The SHA-256, if it could be had.
    #[must_use]
    pub fn sha256(&self) -> Option<&[u8; 32]> {
        match self {
            FileHash::Sha256(digest) => Some(digest),
            FileHash::Missing(_) => None,
        }
    }

    /// Why it could not.
    #[must_use]
    pub fn missing(&self) -> Option<HashMissing> {
        match self {
            FileHash::Sha256(_) => None,
            FileHash::Missing(why) => Some(*why),
        }
    }
}
