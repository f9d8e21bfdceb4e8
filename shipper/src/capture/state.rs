//! What a reader of a pinned ring knows beyond the ring: kept in a map that is pinned beside it, and
//! written when records are released. Two copies and a word that says which one holds, so that a
//! process that is killed while it writes leaves the other copy.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use aya::maps::{Array, MapData};

use super::bpffs::PinError;
use super::mapping::{Access, Mapping};

/// `BPF_F_MMAPABLE` of `linux/bpf.h`, since Linux 5.5.
const MAPPABLE: u32 = 1 << 10;

const WORD_BYTES: usize = size_of::<u64>();

/// Which copy holds (0 or 1), and how many words a copy has.
const HEADER_WORDS: usize = 2;

/// Words that outlive the process.
pub struct State {
    memory: Mapping,
    words: usize,
}

impl State {
    /// Makes the map for so many words and pins it here. All words are zero.
    ///
    /// # Errors
    /// It cannot be made or pinned.
    pub fn create(path: &Path, words: usize) -> Result<State, PinError> {
        let entries = u32::try_from(HEADER_WORDS + 2 * words).unwrap_or(u32::MAX);
        let failed = |error: String| PinError::on("pinning", path)(std::io::Error::other(error));
        Array::<MapData, u64>::create(entries, MAPPABLE)
            .map_err(|error| failed(error.to_string()))?
            .pin(path)
            .map_err(|error| failed(error.to_string()))?;
        let memory = map(path, entries as usize)?;
        memory.word(WORD_BYTES).store(words, Ordering::Relaxed);
        Ok(State { memory, words })
    }

    /// Opens what [`State::create`] pinned.
    ///
    /// # Errors
    /// It is not there, or is for another number of words.
    pub fn open(path: &Path, words: usize) -> Result<State, PinError> {
        let memory = map(path, HEADER_WORDS + 2 * words)?;
        if memory.word(WORD_BYTES).load(Ordering::Relaxed) != words {
            return Err(PinError::on("reading", path)(std::io::Error::other("not of this layout")));
        }
        Ok(State { memory, words })
    }

    /// The words saved last.
    #[must_use]
    pub fn load(&self) -> Vec<u64> {
        let copy = self.memory.word(0).load(Ordering::Acquire) & 1;
        (0..self.words).map(|at| self.at(copy, at).load(Ordering::Relaxed) as u64).collect()
    }

    /// Saves these words, all of them or, when killed meanwhile, none.
    pub fn save(&mut self, words: impl IntoIterator<Item = u64>) {
        let copy = self.memory.word(0).load(Ordering::Relaxed) & 1 ^ 1;
        for (at, word) in words.into_iter().take(self.words).enumerate() {
            self.at(copy, at).store(word as usize, Ordering::Relaxed);
        }
        self.memory.word(0).store(copy, Ordering::Release);
    }

    fn at(&self, copy: usize, at: usize) -> &std::sync::atomic::AtomicUsize {
        self.memory.word((HEADER_WORDS + copy * self.words + at) * WORD_BYTES)
    }
}

/// Programs are 64 bits wide, and this crate needs a word to be.
const _: () = assert!(size_of::<usize>() == WORD_BYTES);

fn map(path: &Path, entries: usize) -> Result<Mapping, PinError> {
    let failed = PinError::on("opening", path);
    let map = match MapData::from_pin(path) {
        Ok(map) => map,
        Err(error) => return Err(failed(std::io::Error::other(error.to_string()))),
    };
    Mapping::new(map.fd().as_fd(), 0, entries * WORD_BYTES, Access::ReadWrite).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a file in memory instead of a map.
    fn state(words: usize) -> (State, State) {
        let file = rustix::fs::memfd_create("state", rustix::fs::MemfdFlags::CLOEXEC);
        let file = std::fs::File::from(file.expect("memfd"));
        file.set_len(4096).expect("its size");
        let open = || {
            let memory = Mapping::new(file.as_fd(), 0, 4096, Access::ReadWrite).expect("mapped");
            State { memory, words }
        };
        (open(), open())
    }

    #[test]
    fn the_next_process_finds_what_was_saved_last() {
        let (mut writer, reader) = state(3);
        assert_eq!(reader.load(), [0, 0, 0]);
        writer.save([1, 2, u64::MAX]);
        assert_eq!(reader.load(), [1, 2, u64::MAX]);
        writer.save([4, 5, 6]);
        assert_eq!(reader.load(), [4, 5, 6]);
    }

    #[test]
    fn one_that_is_killed_while_it_saves_leaves_what_was_saved_before() {
        let (mut writer, reader) = state(3);
        writer.save([1, 2, 3]);
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            writer.save([4, 5].into_iter().chain(std::iter::from_fn(|| panic!("killed"))));
        }));
        assert!(killed.is_err());
        assert_eq!(reader.load(), [1, 2, 3]);
    }
}
