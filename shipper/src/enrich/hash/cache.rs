//! Hashes that were computed, by what identifies the content. Bounded: what was not asked for in a
//! long while goes.

use std::collections::HashMap;

use super::Stamp;

/// Hashes in each half, 8,192 in all: more programs than a machine executes in a day. Some 130 bytes
/// each, so about a megabyte when it is full.
const HALF_ENTRIES_MAX: usize = 4096;

/// Two halves. When the one that is filled is full the other is dropped and they change places, so
/// what was asked for since then stays.
#[derive(Default)]
pub(super) struct Cache {
    recent: HashMap<Stamp, [u8; 32]>,
    older: HashMap<Stamp, [u8; 32]>,
}

impl Cache {
    /// The hash of the file that has this stamp.
    pub(super) fn get(&mut self, stamp: &Stamp) -> Option<[u8; 32]> {
        if let Some(digest) = self.recent.get(stamp) {
            return Some(*digest);
        }
        let digest = self.older.remove(stamp)?;
        self.put(*stamp, digest);
        Some(digest)
    }

    /// Remembers a hash.
    pub(super) fn put(&mut self, stamp: Stamp, digest: [u8; 32]) {
        if self.recent.len() >= HALF_ENTRIES_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(stamp, digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: usize) -> Stamp {
        let (modified, changed) = (None, None);
        let inode = inode as u64;
        Stamp { device: (8, 1), inode, size: 1, modified, changed, is_fresh: false }
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes_when_there_is_no_room() {
        let mut cache = Cache::default();
        cache.put(stamp(0), [1; 32]);
        for inode in 1..10 * HALF_ENTRIES_MAX {
            cache.put(stamp(inode), [2; 32]);
            assert_eq!(cache.get(&stamp(0)), Some([1; 32]), "after {inode} others");
            assert!(cache.recent.len() + cache.older.len() <= 2 * HALF_ENTRIES_MAX);
        }
        assert_eq!(cache.get(&stamp(1)), None);
    }

    #[test]
    fn a_file_with_another_time_or_size_is_another_file() {
        let mut cache = Cache::default();
        cache.put(stamp(1), [1; 32]);
        assert_eq!(cache.get(&Stamp { size: 2, ..stamp(1) }), None);
        let changed = Some(crate::event::WallTime(1));
        assert_eq!(cache.get(&Stamp { changed, ..stamp(1) }), None);
        assert_eq!(cache.get(&Stamp { modified: changed, ..stamp(1) }), None);
    }
}
