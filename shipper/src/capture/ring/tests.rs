//! A file in memory plays the map: the same pages in the same places, with the data written twice.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::*;

const DATA: usize = 4096;

/// The kernel's side.
struct Kernel {
    file: File,
    page: usize,
    produced: usize,
}

impl Kernel {
    /// A ring whose positions both stand at `start`.
    fn new(start: usize) -> (Kernel, Ring) {
        let page = rustix::param::page_size();
        assert_eq!(page, DATA, "a page of the fake");
        let fd = rustix::fs::memfd_create("ring", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
        let file = File::from(fd);
        file.set_len((2 * page + 2 * DATA) as u64).expect("its size");
        let mut kernel = Kernel { file, page, produced: start };
        kernel.write(0, &start.to_ne_bytes());
        kernel.publish(start);
        let ring = kernel.open().expect("a ring");
        (kernel, ring)
    }

    fn open(&self) -> Result<Ring, CaptureError> {
        Ring::map(self.file.try_clone().expect("its descriptor").into(), DATA)
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, at as u64).expect("written");
    }

    fn write_data(&self, position: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let at = position.wrapping_add(index) % DATA;
            self.write(2 * self.page + at, &[*byte]);
            self.write(2 * self.page + DATA + at, &[*byte]);
        }
    }

    fn publish(&mut self, produced: usize) {
        self.produced = produced;
        self.write(self.page, &produced.to_ne_bytes());
    }

    /// Reserves a record; the word of its header is as given.
    fn reserve(&mut self, word: u32, bytes: &[u8]) -> usize {
        let position = self.produced;
        self.write_data(position, &word.to_ne_bytes());
        self.write_data(position.wrapping_add(HEADER_BYTES), bytes);
        self.publish(position.wrapping_add(HEADER_BYTES + bytes.len().next_multiple_of(8)));
        position
    }

    fn put(&mut self, bytes: &[u8]) {
        self.reserve(u32::try_from(bytes.len()).expect("short"), bytes);
    }

    fn consumed(&self) -> usize {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, 0).expect("read");
        usize::from_ne_bytes(word)
    }
}

fn read(ring: &mut Ring) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| ring.next().expect("whole").map(<[u8]>::to_vec)).collect()
}

#[test]
fn records_are_read_in_order_and_their_room_is_kept_until_released() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.put(b"first");
    kernel.put(b"");
    kernel.put(b"the third one");
    assert_eq!(read(&mut ring), [&b"first"[..], b"", b"the third one"]);
    assert_eq!(kernel.consumed(), 0);
    ring.release(None);
    assert_eq!(kernel.consumed(), 16 + 8 + 24);
    assert_eq!(ring.held_bytes(), 0);
}

#[test]
fn what_is_kept_is_there_for_the_next_reader_and_what_lies_before_it_is_not() {
    for start in [0, usize::MAX - 39] {
        let (mut kernel, mut ring) = Kernel::new(start);
        for record in [b"one", b"two", b"six"] {
            kernel.put(record);
        }
        let second = start.wrapping_add(16);
        assert_eq!(read(&mut ring).len(), 3);
        ring.release(Some(second as u64));
        assert_eq!(kernel.consumed(), second);
        assert_eq!(ring.held_bytes(), 32);
        for elsewhere in [second, start, second.wrapping_add(40)] {
            ring.release(Some(elsewhere as u64));
            assert_eq!(kernel.consumed(), second, "{elsewhere} was released, or not read");
        }
        assert_eq!(read(&mut kernel.open().expect("a ring")), [b"two", b"six"]);
        ring.release(None);
        assert_eq!(kernel.consumed(), kernel.produced);
    }
}

#[test]
fn a_rewind_reads_again_what_was_not_released() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.put(b"released");
    assert_eq!(read(&mut ring), [b"released"]);
    ring.release(None);
    kernel.put(b"kept");
    assert_eq!(read(&mut ring), [b"kept"]);
    ring.rewind();
    assert_eq!(read(&mut ring), [b"kept"]);
}

#[test]
fn a_record_across_the_end_of_the_data_is_in_one_piece() {
    for start in (0..64).map(|step| 7 * DATA - 8 * step) {
        let (mut kernel, mut ring) = Kernel::new(start);
        let long: Vec<u8> = (0..100).collect();
        kernel.put(&long);
        kernel.put(b"next");
        assert_eq!(read(&mut ring), [&long[..], b"next"]);
    }
}

#[test]
fn a_full_ring_is_read_to_its_end() {
    let (mut kernel, mut ring) = Kernel::new(8 * DATA + 8);
    kernel.put(&[7; DATA - HEADER_BYTES]);
    assert_eq!(read(&mut ring).len(), 1);
    assert_eq!(ring.held_bytes(), DATA);
}

#[test]
fn a_record_that_is_not_complete_holds_up_those_behind_it() {
    let (mut kernel, mut ring) = Kernel::new(0);
    let busy = kernel.reserve(BUSY | 4, b"busy");
    kernel.put(b"behind");
    assert_eq!(read(&mut ring), [b""; 0]);
    kernel.write_data(busy, &4u32.to_ne_bytes());
    assert_eq!(read(&mut ring), [&b"busy"[..], b"behind"]);
}

#[test]
fn a_record_that_was_given_up_is_passed_over() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.reserve(DISCARDED | 4, b"gone");
    assert_eq!(read(&mut ring), [b""; 0]);
    assert_eq!(ring.position(), 16);
    kernel.reserve(DISCARDED | 4, b"gone");
    kernel.put(b"here");
    assert_eq!(read(&mut ring), [b"here"]);
    ring.release(None);
    assert_eq!(kernel.consumed(), kernel.produced);
}

#[test]
fn a_length_that_cannot_be_is_an_error_and_is_left_behind() {
    for word in [5, 4096, 0x3fff_ffff, DISCARDED | 0x3fff_ffff] {
        let (mut kernel, mut ring) = Kernel::new(16);
        kernel.reserve(word, b"");
        assert_eq!(ring.next().err().map(|damaged| damaged.position), Some(16), "{word:x}");
        kernel.put(b"sound");
        assert_eq!(read(&mut ring), [b"sound"]);
    }
}

#[test]
fn a_ring_that_somebody_else_released_is_an_error() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.publish(DATA + 8);
    assert!(kernel.open().is_err(), "it cannot be opened");
    assert!(ring.next().is_err(), "nor read");
    kernel.put(b"sound");
    assert_eq!(read(&mut ring), [b"sound"]);
    kernel.write(0, &(DATA + 13).to_ne_bytes());
    assert!(kernel.open().is_err(), "records begin at multiples of eight");
}

#[test]
fn what_was_not_released_is_there_for_the_next_reader() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.put(b"one");
    kernel.put(b"two");
    ring.next().expect("whole");
    ring.release(None);
    ring.next().expect("whole");
    drop(ring);
    assert_eq!(read(&mut kernel.open().expect("a ring")), [b"two"]);
}

#[test]
fn waiting_ends_at_once_when_there_is_more_than_was_peeked_at() {
    let (mut kernel, mut ring) = Kernel::new(0);
    kernel.put(b"one");
    ring.next().expect("whole");
    kernel.put(b"two");
    ring.wait(Duration::from_secs(3600)).expect("no error");
    assert_eq!(read(&mut ring), [b"two"]);
    ring.wait(Duration::ZERO).expect("nor without any");
}
