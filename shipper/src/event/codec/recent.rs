//! Parts that many events have in common, such as the host: decoded once, and shared.

use super::CodecError;

/// Messages that were decoded lately, by their bytes.
#[derive(Debug)]
pub(super) struct Recent<T> {
    entries: Vec<(Vec<u8>, T)>,
    entries_max: usize,
    /// The entry that goes next.
    oldest: usize,
}

impl<T: Clone> Recent<T> {
    /// Bytes of the largest message that is remembered, so that all of them stay below 64 KiB.
    const BYTES_MAX: usize = 4096;

    /// Remembers at most so many.
    pub(super) fn new(entries_max: usize) -> Self {
        Recent { entries: Vec::new(), entries_max, oldest: 0 }
    }

    /// What these bytes say: remembered, or decoded and remembered.
    pub(super) fn get(
        &mut self,
        bytes: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        if let Some((_, known)) = self.entries.iter().find(|(known, _)| known == bytes) {
            return Ok(known.clone());
        }
        let value = decode(bytes)?;
        if bytes.len() <= Self::BYTES_MAX {
            let entry = (bytes.to_vec(), value.clone());
            if self.entries.len() < self.entries_max {
                self.entries.push(entry);
            } else {
                self.entries[self.oldest] = entry;
                self.oldest = (self.oldest + 1) % self.entries_max;
            }
        }
        Ok(value)
    }
}
