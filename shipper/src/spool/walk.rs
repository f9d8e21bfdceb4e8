//! Walking the blocks of a segment, over damage: what is not a valid block is passed over up to the
//! next one that is.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockHeader, SEGMENT_HEADER_BYTES};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// The smallest piece of a disk that fails on its own.
const PAGE_BYTES: u64 = 4096;
/// A buffer that one giant record made larger than this is given back.
const KEEP_BYTES_MAX: usize = 1 << 20;
/// A place that cannot be read this often counts as damaged. The reader pauses between tries.
pub(super) const READ_FAILURES_MAX: u32 = 3;

/// One step of a walk.
pub(super) enum Step<'a> {
    /// A block whose records all come before those asked for; its body was not looked at.
    Passed(BlockHeader),
    /// An intact block.
    Block {
        /// Where it begins in the file.
        offset: u64,
        header: BlockHeader,
        /// Mark and stored records.
        body: &'a [u8],
    },
    /// Bytes that are no valid block, up to the next one or the end.
    Damaged { offset: u64, len: u64 },
    /// Nothing more before the limit.
    End,
}

/// A walk over one segment, from its first block on. Memory: one block.
#[derive(Debug)]
pub(super) struct Walker {
    file: Arc<dyn DiskFile>,
    salt: u64,
    offset: u64,
    /// Number after the last block seen: numbers never go back.
    floor: u64,
    window: Vec<u8>,
    window_at: u64,
    failures: u32,
}

impl Walker {
    pub(super) fn new(file: Arc<dyn DiskFile>, salt: u64, first: u64) -> Walker {
        Walker {
            file,
            salt,
            offset: SEGMENT_HEADER_BYTES as u64,
            floor: first,
            window: Vec::new(),
            window_at: 0,
            failures: 0,
        }
    }

    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// The next block within the first `limit` bytes of the file. Bodies of blocks that end before
    /// the record `from` are not read.
    ///
    /// A place that cannot be read is an error twice, and damage the third time.
    pub(super) fn step(&mut self, limit: u64, from: u64) -> io::Result<Step<'_>> {
        if self.window.capacity() > KEEP_BYTES_MAX {
            self.window = Vec::new();
        }
        if self.offset >= limit {
            return Ok(Step::End);
        }
        let offset = self.offset;
        let looked = self.look(offset, limit, from);
        let found = match looked {
            Ok(found) => found,
            Err(error) => {
                self.failures += 1;
                if self.failures < READ_FAILURES_MAX {
                    return Err(error);
                }
                Look::Nothing
            }
        };
        self.failures = 0;
        match found {
            // Neither the length nor the numbers of a damaged block are believed: before more was
            // added, one that was cut reached beyond the end, and the log went on without it.
            Look::Nothing => {
                let end = self.resync(offset, limit);
                self.offset = end;
                Ok(Step::Damaged { offset, len: end - offset })
            }
            Look::Good(header) => {
                self.offset = offset + header.len();
                self.floor = header.next();
                if header.next() <= from {
                    return Ok(Step::Passed(header));
                }
                let start = (offset - self.window_at) as usize;
                let body = &self.window[start + BLOCK_HEADER_BYTES..start + header.len() as usize];
                Ok(Step::Block { offset, header, body })
            }
        }
    }

    fn look(&mut self, offset: u64, limit: u64, from: u64) -> io::Result<Look> {
        let (salt, floor) = (self.salt, self.floor);
        let head = self.fill(offset, BLOCK_HEADER_BYTES, limit)?;
        let Some(header) = BlockHeader::decode(head, salt) else { return Ok(Look::Nothing) };
        if header.first < floor || header.len() > limit - offset {
            return Ok(Look::Nothing);
        }
        if header.next() <= from {
            return Ok(Look::Good(header));
        }
        let block = self.fill(offset, header.len() as usize, limit)?;
        let body = block.get(BLOCK_HEADER_BYTES..header.len() as usize);
        match body.is_some_and(|body| header.is_body_intact(body)) {
            true => Ok(Look::Good(header)),
            false => Ok(Look::Nothing),
        }
    }

    /// Where the next valid block begins after damage at `start`, or the limit.
    fn resync(&mut self, start: u64, limit: u64) -> u64 {
        let mut at = start + 1;
        while at + BLOCK_HEADER_BYTES as u64 <= limit {
            let page_end = (at / PAGE_BYTES + 1) * PAGE_BYTES;
            let filled = match self.fill(at, CHUNK_BYTES, limit) {
                Ok(bytes) => Ok(bytes),
                // Only a piece of it may be unreadable.
                Err(_) => self.fill(at, (page_end - at) as usize, limit.min(page_end)),
            };
            let Ok(bytes) = filled else {
                at = page_end;
                continue;
            };
            if bytes.len() < BLOCK_MAGIC.len() {
                at += bytes.len().max(1) as u64;
                continue;
            }
            match bytes.windows(BLOCK_MAGIC.len()).position(|window| window == BLOCK_MAGIC) {
                Some(found) => {
                    at += found as u64;
                    if matches!(self.look(at, limit, 0), Ok(Look::Good(_))) {
                        return at;
                    }
                    at += 1;
                }
                None => at += (bytes.len() - (BLOCK_MAGIC.len() - 1)) as u64,
            }
        }
        limit
    }

    /// The bytes from `at` on, at least `need` of them where limit and file have that many.
    fn fill(&mut self, at: u64, need: usize, limit: u64) -> io::Result<&[u8]> {
        let need = (limit - at).min(need as u64);
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + need > window_end {
            let want = need.max((limit - at).min(CHUNK_BYTES as u64)) as usize;
            self.window.clear();
            self.window.resize(want, 0);
            self.window_at = at;
            match self.file.read_at(&mut self.window, at) {
                Ok(read) => self.window.truncate(read),
                Err(error) => {
                    self.window.clear();
                    return Err(error);
                }
            }
        }
        let start = (at - self.window_at) as usize;
        let end = self.window.len().min(start + (limit - at) as usize);
        Ok(&self.window[start..end])
    }
}

enum Look {
    Good(BlockHeader),
    Nothing,
}
