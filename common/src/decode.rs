//! Checked reading of kernel records. Nothing here panics, whatever the bytes are; a record that
//! does not hold together is an error that names what is wrong with it.

use core::fmt;

use zerocopy::FromBytes;

use crate::wire::{
    Ancestor, Exec, Exit, Fork, Header, IdMap, PATH_CUT, PATH_FAULT, PATH_PRESENT,
    PATH_UNREACHABLE, PathSpan, RecordKind, Span, WIRE_VERSION,
};

/// A record, read and checked.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "lives on the stack for one call; no_std has no Box")]
pub enum Record<'a> {
    /// A new process.
    Fork(Header, Fork),
    /// An execution.
    Exec(ExecRecord<'a>),
    /// The end of a process.
    Exit(Header, Exit),
    /// An execution that failed.
    Failure(ExecRecord<'a>),
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than its fixed part, or than it says itself.
    Short {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// Written by another version of the kernel programs.
    Version(u16),
    /// No such kind.
    Kind(u16),
    /// A span reaches beyond the record; the name of the field.
    Span(&'static str),
    /// More ancestors than fit.
    Ancestors(u32),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Short { needed, got } => {
                write!(f, "record of {got} bytes is shorter than the {needed} it needs")
            }
            DecodeError::Version(version) => write!(
                f,
                "record has layout version {version}, this program reads {WIRE_VERSION}: another \
                 version of shipper filled the ring"
            ),
            DecodeError::Kind(kind) => write!(f, "record of unknown kind {kind}"),
            DecodeError::Span(field) => write!(f, "`{field}` reaches beyond the end of the record"),
            DecodeError::Ancestors(count) => write!(f, "record claims {count} ancestors"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// An exec record whose spans all lie inside its heap.
#[derive(Debug)]
pub struct ExecRecord<'a> {
    /// Its header.
    pub header: Header,
    /// Its fixed part.
    pub exec: Exec,
    heap: &'a [u8],
}

/// A path as the kernel walked it: names from the leaf to the root.
#[derive(Debug, Clone, Copy)]
pub struct WalkedPath<'a> {
    names: &'a [u8],
    flags: u32,
}

/// Reads the header alone, to attribute a record whose rest is broken.
#[must_use]
pub fn header(bytes: &[u8]) -> Option<Header> {
    Header::read_from_prefix(bytes).ok().map(|(header, _)| header)
}

/// Reads a record.
///
/// # Errors
/// What does not hold together; the record must be counted as lost.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let (header, rest) = take::<Header>(bytes, 0)?;
    if header.version != WIRE_VERSION {
        return Err(DecodeError::Version(header.version));
    }
    let fixed = size_of::<Header>();
    if header.kind == RecordKind::Fork as u16 {
        return Ok(Record::Fork(header, take(rest, fixed)?.0));
    }
    if header.kind == RecordKind::Exit as u16 {
        return Ok(Record::Exit(header, take(rest, fixed)?.0));
    }
    let Some(kind) = RecordKind::ALL.into_iter().find(|kind| *kind as u16 == header.kind) else {
        return Err(DecodeError::Kind(header.kind));
    };
    let (exec, heap) = take::<Exec>(rest, fixed)?;
    if (header.bytes as usize) > bytes.len() {
        return Err(DecodeError::Short { needed: header.bytes as usize, got: bytes.len() });
    }
    let record = ExecRecord { header, exec, heap };
    record.check()?;
    Ok(if kind.is_failure() { Record::Failure(record) } else { Record::Exec(record) })
}

fn take<T: FromBytes>(bytes: &[u8], before: usize) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_| DecodeError::Short {
        needed: before + size_of::<T>(),
        got: before + bytes.len(),
    })
}

impl<'a> ExecRecord<'a> {
    fn check(&self) -> Result<(), DecodeError> {
        let exec = &self.exec;
        let spans = [
            ("argv", exec.argv),
            ("filename", exec.filename),
            ("interpreter", exec.interpreter),
            ("cgroup", exec.cgroup),
            ("id_maps", exec.id_maps),
            ("rule", exec.rule),
            ("env", exec.env),
            ("file_path", exec.file_path.span),
            ("binary_path", exec.binary_path.span),
            ("cwd", exec.cwd.span),
        ];
        for (name, span) in spans {
            if self.get(span).is_none() {
                return Err(DecodeError::Span(name));
            }
        }
        if exec.ancestors_count as usize > exec.ancestors.len() {
            return Err(DecodeError::Ancestors(exec.ancestors_count));
        }
        Ok(())
    }

    fn get(&self, span: Span) -> Option<&'a [u8]> {
        let start = span.start as usize;
        self.heap.get(start..start.checked_add(span.bytes as usize)?)
    }

    /// The bytes of a span of this record; empty for one of another record.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        self.get(span).unwrap_or_default()
    }

    /// A path of this record; `None` when the kernel did not walk it.
    #[must_use]
    pub fn path(&self, path: PathSpan) -> Option<WalkedPath<'a>> {
        (path.flags & PATH_PRESENT != 0)
            .then(|| WalkedPath { names: self.bytes(path.span), flags: path.flags })
    }

    /// How ids of users and of groups are mapped in the user namespace; `None` in the initial one.
    #[must_use]
    pub fn id_maps(&self) -> Option<[IdMap; 2]> {
        <[IdMap; 2]>::read_from_bytes(self.bytes(self.exec.id_maps)).ok()
    }

    /// The ancestors, the parent first.
    #[must_use]
    pub fn ancestors(&self) -> &[Ancestor] {
        self.exec.ancestors.get(..self.exec.ancestors_count as usize).unwrap_or_default()
    }
}

impl<'a> WalkedPath<'a> {
    /// The names from the root to the leaf.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        let names = self.names.strip_suffix(&[0]).unwrap_or(self.names);
        // An empty walk is the root itself: no names, not one empty name.
        let none = self.names.is_empty();
        names.rsplit(|&byte| byte == 0).filter(move |_| !none)
    }

    /// Leading directories are missing.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.flags & (PATH_CUT | PATH_FAULT) != 0
    }

    /// Not below the root of the process.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.flags & PATH_UNREACHABLE != 0
    }
}

/// A name of at most 16 bytes that ends at its NUL.
#[must_use]
pub fn comm(bytes: &[u8; 16]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    fn exec_record(change: impl FnOnce(&mut Exec), heap: &[u8]) -> Vec<u8> {
        let mut exec = Exec::new_zeroed();
        change(&mut exec);
        let header = Header {
            version: WIRE_VERSION,
            kind: RecordKind::Exec as u16,
            bytes: (size_of::<Header>() + size_of::<Exec>() + heap.len()) as u32,
            sequence: 1,
            boot_ns: 2,
            cpu: 0,
            reserved: 0,
        };
        [header.as_bytes(), exec.as_bytes(), heap].concat()
    }

    #[test]
    fn a_walked_path_is_read_from_the_root_to_the_leaf() {
        let bytes = exec_record(
            |exec| {
                exec.cwd.flags = PATH_PRESENT;
                exec.cwd.span = Span { start: 0, bytes: 9 };
            },
            b"lib\0usr\0x",
        );
        let Ok(Record::Exec(record)) = decode(&bytes) else { panic!("an exec record") };
        let names: Vec<_> =
            record.path(record.exec.cwd).map(|p| p.names().collect()).unwrap_or_default();
        assert_eq!(names, [&b"x"[..], b"usr", b"lib"]);
        assert!(record.path(record.exec.binary_path).is_none());
    }

    #[test]
    fn the_root_directory_has_no_names() {
        let bytes = exec_record(|exec| exec.cwd.flags = PATH_PRESENT, b"");
        let Ok(Record::Exec(record)) = decode(&bytes) else { panic!("an exec record") };
        assert_eq!(record.path(record.exec.cwd).map(|p| p.names().count()), Some(0));
    }

    #[test]
    fn what_does_not_hold_together_is_named() {
        let mut other_version = exec_record(|_| (), b"");
        other_version[0] = 9;
        let mut other_kind = exec_record(|_| (), b"");
        other_kind[2] = 77;
        let whole = exec_record(|_| (), b"");
        let cases: [(&[u8], DecodeError); 6] = [
            (b"", DecodeError::Short { needed: 32, got: 0 }),
            (&whole[..100], DecodeError::Short { needed: 1112, got: 100 }),
            (&other_version, DecodeError::Version(9)),
            (&other_kind, DecodeError::Kind(77)),
            (
                &exec_record(|exec| exec.argv = Span { start: 1, bytes: 3 }, b"abc"),
                DecodeError::Span("argv"),
            ),
            (&exec_record(|exec| exec.ancestors_count = 17, b""), DecodeError::Ancestors(17)),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(bytes).err(), Some(error));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_damage_to_a_record_makes_it_panic(
            at in 0usize..1100, byte in any::<u8>(), cut in 0usize..1100,
        ) {
            let mut bytes = exec_record(
                |exec| exec.argv = Span { start: 0, bytes: 100 }, &[b'a'; 100],
            );
            let length = bytes.len();
            bytes[at.min(length - 1)] = byte;
            bytes.truncate(cut);
            if let Ok(Record::Exec(record) | Record::Failure(record)) = decode(&bytes) {
                let _ = record.bytes(record.exec.argv).len();
                let _ = record.path(record.exec.cwd).map(|path| path.names().count());
                let _ = record.ancestors().len();
            }
        }
    }
}
