//! The bytes of segments and blocks: encoding, and decoding of what is not trusted.

use super::Compression;

/// Raw bytes at which a block counts as full: large enough for compression to find repetition,
/// small enough that a reader of each sink holds little.
pub const BLOCK_BYTES_MAX: usize = 256 << 10;

/// Longest record, in bytes. One event is at most some hundred KiB; a record beyond this is a
/// mistake and would cost every reader its memory.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// Most raw bytes of a block: a full one, and the record that filled it, may be the largest.
pub(super) const RAW_BYTES_MAX: usize = BLOCK_BYTES_MAX + RECORD_BYTES_MAX + RECORD_HEAD_BYTES;

/// Longest mark, in bytes: what the header can tell.
pub const MARK_BYTES_MAX: usize = 255;

pub(super) const RECORD_HEAD_BYTES: usize = 4;
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
pub(super) const BLOCK_HEADER_BYTES: usize = 64;

/// The version that is written; this and every earlier one is read.
pub(super) const VERSION: u16 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"SHIPLOG\n";
/// Chosen to be no text and no UTF-8, so that records seldom hold it.
pub(super) const BLOCK_MAGIC: [u8; 4] = [0xf5, 0xb1, 0x0c, 0xc5];

const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_LZ4: u8 = 1;
const COMPRESSION_ZSTD: u8 = 2;
/// The fastest level: the reader of the ring compresses.
const ZSTD_LEVEL: i32 = 1;

/// Head of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Number of the first record, also when the segment holds none yet.
    pub(super) first: u64,
    /// How many of the numbers before `first` were never in the log.
    pub(super) skipped: u64,
    /// The same in all segments and blocks of a log, and unknown to those whose arguments are
    /// recorded: bytes in a record cannot pass for a block.
    pub(super) salt: u64,
    pub(super) created_wall_ns: u64,
}

/// What the first bytes of a segment file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentHead {
    Known(SegmentHeader),
    /// Written by a later version; its number.
    Later(u16),
    /// Foreign or damaged.
    Bad,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        // 12..16 CRC, 16..24 flags, none yet.
        out[24..32].copy_from_slice(&self.first.to_le_bytes());
        out[32..40].copy_from_slice(&self.skipped.to_le_bytes());
        out[40..48].copy_from_slice(&self.salt.to_le_bytes());
        out[48..56].copy_from_slice(&self.created_wall_ns.to_le_bytes());
        let crc = crc_without_itself(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> SegmentHead {
        let Some(bytes) = bytes.get(..SEGMENT_HEADER_BYTES) else { return SegmentHead::Bad };
        let sane = bytes[..8] == SEGMENT_MAGIC
            && usize::from(u16_at(bytes, 10)) == SEGMENT_HEADER_BYTES
            && u32_at(bytes, 12) == crc_without_itself(bytes);
        if !sane {
            return SegmentHead::Bad;
        }
        let (first, skipped) = (u64_at(bytes, 24), u64_at(bytes, 32));
        match u16_at(bytes, 8) {
            VERSION if first > skipped => SegmentHead::Known(SegmentHeader {
                first,
                skipped,
                salt: u64_at(bytes, 40),
                created_wall_ns: u64_at(bytes, 48),
            }),
            later if later > VERSION => SegmentHead::Later(later),
            _ => SegmentHead::Bad,
        }
    }
}

fn crc_without_itself(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..])
}

/// Head of a block. Its own checksum covers it, so that its lengths can be trusted when the body
/// cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Number of the first record.
    pub(super) first: u64,
    /// Records, at least one.
    pub(super) count: u32,
    /// How many of the numbers before `first` were never in the log.
    pub(super) skipped: u64,
    pub(super) salt: u64,
    pub(super) written_wall_ns: u64,
    mark_bytes: u8,
    compression: u8,
    stored_bytes: u32,
    raw_bytes: u32,
    body_crc: u32,
}

impl BlockHeader {
    /// Number of the record after the last.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes of the whole block in the file.
    pub(super) fn len(&self) -> u64 {
        (BLOCK_HEADER_BYTES + self.body_len()) as u64
    }

    fn body_len(&self) -> usize {
        usize::from(self.mark_bytes) + self.stored_bytes as usize
    }

    /// `None` where these bytes are no head of a block of this log.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<BlockHeader> {
        let bytes = bytes.get(..BLOCK_HEADER_BYTES)?;
        if bytes[..4] != BLOCK_MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let header = BlockHeader {
            body_crc: u32_at(bytes, 8),
            compression: bytes[12],
            mark_bytes: bytes[13],
            count: u32_at(bytes, 16),
            stored_bytes: u32_at(bytes, 20),
            raw_bytes: u32_at(bytes, 24),
            first: u64_at(bytes, 32),
            skipped: u64_at(bytes, 40),
            salt: u64_at(bytes, 48),
            written_wall_ns: u64_at(bytes, 56),
        };
        let raw = header.raw_bytes as usize;
        let sane = header.salt == salt
            && header.count > 0
            && header.first > header.skipped
            && header.first.checked_add(u64::from(header.count)).is_some()
            && raw <= RAW_BYTES_MAX
            && raw / RECORD_HEAD_BYTES >= header.count as usize
            && header.stored_bytes <= header.raw_bytes;
        sane.then_some(header)
    }

    /// Whether these bytes, mark and stored body, are those that were written.
    pub(super) fn is_body_intact(&self, body: &[u8]) -> bool {
        body.len() == self.body_len() && crc32c::crc32c(body) == self.body_crc
    }

    /// The mark within an intact body.
    pub(super) fn mark<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        &body[..usize::from(self.mark_bytes).min(body.len())]
    }

    /// The records of an intact body, each with its length before it. `None` where they do not add
    /// up, which a checksum does not let happen but by mistake of the writer.
    pub(super) fn unpack(&self, body: &[u8]) -> Option<Vec<u8>> {
        let stored = body.get(usize::from(self.mark_bytes)..)?;
        let raw_bytes = self.raw_bytes as usize;
        let raw = match self.compression {
            COMPRESSION_NONE => stored.to_vec(),
            COMPRESSION_LZ4 => {
                let mut raw = vec![0; raw_bytes];
                let len = lz4_flex::block::decompress_into(stored, &mut raw).ok()?;
                raw.truncate(len);
                raw
            }
            COMPRESSION_ZSTD => zstd::bulk::decompress(stored, raw_bytes).ok()?,
            _ => return None,
        };
        let is_whole = raw.len() == raw_bytes && Records::new(&raw).count() == self.count as usize;
        (is_whole
            && Records::new(&raw).map(|r| r.len() + RECORD_HEAD_BYTES).sum::<usize>() == raw_bytes)
            .then_some(raw)
    }
}

/// What a block holds beside its records.
pub(super) struct BlockFacts<'a> {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) skipped: u64,
    pub(super) salt: u64,
    pub(super) written_wall_ns: u64,
    pub(super) mark: &'a [u8],
}

/// One block, ready to be written, in place of what `out` held. A body that does not shrink is
/// stored as it is.
pub(super) fn encode_block(
    facts: &BlockFacts,
    raw: &[u8],
    compression: Compression,
    out: &mut Vec<u8>,
) {
    let head = BLOCK_HEADER_BYTES + facts.mark.len();
    out.clear();
    out.resize(BLOCK_HEADER_BYTES, 0);
    out.extend_from_slice(facts.mark);
    // One byte less than the body: what does not shrink does not fit.
    let room = raw.len().saturating_sub(1);
    let (kind, stored_bytes) = match compression {
        Compression::None => (COMPRESSION_NONE, None),
        Compression::Lz4 => {
            out.resize(head + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
            (COMPRESSION_LZ4, lz4_flex::block::compress_into(raw, &mut out[head..]).ok())
        }
        Compression::Zstd => {
            out.resize(head + room, 0);
            let stored = zstd::bulk::compress_to_buffer(raw, &mut out[head..], ZSTD_LEVEL);
            (COMPRESSION_ZSTD, stored.ok())
        }
    };
    let (kind, stored_bytes) = match stored_bytes.filter(|&bytes| bytes <= room) {
        Some(bytes) => {
            out.truncate(head + bytes);
            // It is kept until it is synced, and took the room of the raw body.
            out.shrink_to_fit();
            (kind, bytes)
        }
        None => {
            out.truncate(head);
            out.extend_from_slice(raw);
            (COMPRESSION_NONE, raw.len())
        }
    };
    let body_crc = crc32c::crc32c(&out[BLOCK_HEADER_BYTES..]);
    let header = &mut out[..BLOCK_HEADER_BYTES];
    header[..4].copy_from_slice(&BLOCK_MAGIC);
    header[8..12].copy_from_slice(&body_crc.to_le_bytes());
    header[12] = kind;
    header[13] = facts.mark.len() as u8;
    header[16..20].copy_from_slice(&facts.count.to_le_bytes());
    header[20..24].copy_from_slice(&(stored_bytes as u32).to_le_bytes());
    header[24..28].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    header[32..40].copy_from_slice(&facts.first.to_le_bytes());
    header[40..48].copy_from_slice(&facts.skipped.to_le_bytes());
    header[48..56].copy_from_slice(&facts.salt.to_le_bytes());
    header[56..64].copy_from_slice(&facts.written_wall_ns.to_le_bytes());
    let header_crc = crc32c::crc32c(&header[8..]);
    header[4..8].copy_from_slice(&header_crc.to_le_bytes());
}

/// Adds a record to the raw body of a block. It is at most [`RECORD_BYTES_MAX`] long.
pub(super) fn push_record(raw: &mut Vec<u8>, record: &[u8]) {
    raw.extend_from_slice(&(record.len() as u32).to_le_bytes());
    raw.extend_from_slice(record);
}

/// The records of a raw body, up to the first that is not whole.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    raw: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Records<'a> {
        Records { raw }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.raw.split_at_checked(RECORD_HEAD_BYTES)?;
        let (record, rest) = rest.split_at_checked(u32_at(head, 0) as usize)?;
        self.raw = rest;
        Some(record)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
