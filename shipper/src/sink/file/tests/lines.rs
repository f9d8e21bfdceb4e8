//! Appending under every order of faults.

use std::collections::VecDeque;
use std::io;

use proptest::prelude::*;
use rustix::io::Errno;

use crate::sink::file::lines::{Lines, RawFile};

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Interrupted by a signal; only a write can be.
    Interrupted,
    /// Writes at most this many bytes.
    Short(usize),
    Fail,
}

/// A file in memory. Each call has the next fault, and none when they are used up.
#[derive(Debug, Default)]
struct Faulty {
    bytes: Vec<u8>,
    faults: VecDeque<Fault>,
}

impl Faulty {
    fn fault(&mut self) -> io::Result<usize> {
        match self.faults.pop_front().unwrap_or(Fault::None) {
            Fault::None => Ok(usize::MAX),
            Fault::Interrupted => Err(Errno::INTR.into()),
            Fault::Short(count) => Ok(count),
            Fault::Fail => Err(Errno::NOSPC.into()),
        }
    }
}

impl RawFile for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.fault()?.min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.fault()?;
        self.bytes.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fault().map(drop)
    }
}

fn with_faults(faults: &[Fault]) -> Lines<Faulty> {
    Lines::new(Faulty { bytes: Vec::new(), faults: faults.iter().copied().collect() }, 0)
}

#[test]
fn a_short_write_goes_on_where_it_stopped() {
    let mut lines = with_faults(&[Fault::Short(3), Fault::Interrupted, Fault::Short(1)]);
    lines.append(b"{\"n\":1}\n").unwrap();
    assert_eq!(lines.file().bytes, b"{\"n\":1}\n");
}

#[test]
fn a_write_that_fails_half_way_leaves_nothing() {
    let mut lines = with_faults(&[Fault::Short(3), Fault::Fail]);
    assert_eq!(lines.append(b"{\"n\":1}\n").unwrap_err().action, "write to");
    assert_eq!(lines.file().bytes, b"");
    assert!(!lines.is_suspect());
}

#[test]
fn a_torn_line_that_could_not_be_cut_is_cut_before_the_next_is_written() {
    // Written in part, failed; not cut; still not cut; then all goes well.
    let faults = [Fault::Short(3), Fault::Fail, Fault::Fail, Fault::Fail];
    let mut lines = with_faults(&faults);
    assert!(lines.append(b"{\"n\":1}\n").is_err());
    assert_eq!(lines.file().bytes, b"{\"n");
    assert_eq!(lines.append(b"{\"n\":1}\n").unwrap_err().action, "cut a torn line off");
    assert_eq!(lines.file().bytes, b"{\"n");
    lines.append(b"{\"n\":1}\n").unwrap();
    assert_eq!(lines.file().bytes, b"{\"n\":1}\n");
}

#[test]
fn a_failed_sync_takes_the_batch_back_and_the_file_out_of_trust() {
    let mut lines = with_faults(&[Fault::None, Fault::Fail]);
    assert_eq!(lines.append(b"{\"n\":1}\n").unwrap_err().action, "sync");
    assert_eq!(lines.file().bytes, b"");
    assert!(lines.is_suspect());
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Interrupted),
        2 => (0usize..20).prop_map(Fault::Short),
        2 => Just(Fault::Fail),
    ]
}

proptest! {
    #[test]
    fn whatever_fails_the_file_is_what_was_accepted(
        sizes in prop::collection::vec(1usize..40, 1..20),
        faults in prop::collection::vec(fault(), 0..60),
    ) {
        let mut lines = with_faults(&faults);
        let mut accepted = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            let mut batch = vec![b'a' + (number % 26) as u8; size];
            batch.push(b'\n');
            if lines.append(&batch).is_ok() {
                accepted.extend_from_slice(&batch);
                prop_assert_eq!(&lines.file().bytes, &accepted);
            }
            prop_assert!(lines.file().bytes.starts_with(&accepted));
            prop_assert_eq!(lines.len(), accepted.len() as u64);
        }
        // Faults run out, so the repair succeeds in the end.
        while lines.repair().is_err() {}
        prop_assert_eq!(&lines.file().bytes, &accepted);
    }
}
