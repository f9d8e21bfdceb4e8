//! A mark: how far a ring was read, to be kept beside what was read from it. After a restart it says
//! which records of a pinned ring are known already, and which losses were reported already.

use common::wire::RECORD_KINDS;
use sha2::{Digest, Sha256};

use super::left_out::LEFT_OUT_COUNTERS;

/// Bytes of a mark.
pub const MARK_BYTES: usize = 8 * (2 + 2 * RECORD_KINDS + LEFT_OUT_COUNTERS);

/// A mark as numbers.
///
/// As bytes, little-endian: identity of the ring (8), position (8), losses reported by kind (8
/// each), skipped runs reported by kind (8 each), what was left out and told by reason and subject
/// (8 each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of which ring.
    pub ring: u64,
    /// Everything before this position was read.
    pub position: u64,
    /// Records of each kind that were reported as lost, since the ring was made.
    pub reported: [u64; RECORD_KINDS],
    /// Runs of the programs that the kernel skipped and that were reported, by kind.
    pub misses_reported: [u64; RECORD_KINDS],
    /// What was left out and told, by reason and subject.
    pub left_out_told: [u64; LEFT_OUT_COUNTERS],
}

impl Mark {
    /// As it is stored.
    #[must_use]
    pub fn to_bytes(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        let words = [self.ring, self.position]
            .into_iter()
            .chain(self.reported)
            .chain(self.misses_reported)
            .chain(self.left_out_told);
        for (target, word) in bytes.chunks_exact_mut(8).zip(words) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads one; `None` when these bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        let bytes: &[u8; MARK_BYTES] = bytes.try_into().ok()?;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        Some(Mark {
            ring: word(0),
            position: word(1),
            reported: std::array::from_fn(|kind| word(2 + kind)),
            misses_reported: std::array::from_fn(|kind| word(2 + RECORD_KINDS + kind)),
            left_out_told: std::array::from_fn(|counter| word(2 + 2 * RECORD_KINDS + counter)),
        })
    }
}

/// Identity of the ring that this map of the running system is. The kernel counts map ids upwards,
/// and begins again with each boot.
#[must_use]
pub fn ring_identity(boot_id: &str, map_id: u32) -> u64 {
    let digest = Sha256::new()
        .chain_update(boot_id.trim())
        .chain_update([0])
        .chain_update(map_id.to_le_bytes())
        .finalize();
    digest.iter().take(8).fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_as_it_was_written_and_other_bytes_are_none() {
        let mark = Mark {
            ring: u64::MAX,
            position: 1 << 40,
            reported: [1, 2, 3, 4, 5, 6, 7],
            misses_reported: [8, 9, 10, 11, 12, 13, 14],
            left_out_told: std::array::from_fn(|counter| 15 + counter as u64),
        };
        assert_eq!(Mark::from_bytes(&mark.to_bytes()), Some(mark));
        assert_eq!(Mark::from_bytes(&[]), None);
        assert_eq!(Mark::from_bytes(&[0; MARK_BYTES - 1]), None);
    }

    #[test]
    fn another_boot_or_another_map_is_another_ring() {
        let ring = ring_identity("0b1c", 7);
        assert_eq!(ring, ring_identity("0b1c\n", 7));
        assert_ne!(ring, ring_identity("0b1d", 7));
        assert_ne!(ring, ring_identity("0b1c", 8));
    }
}
