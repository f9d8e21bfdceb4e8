//! Named fault points: where a test may kill the daemon or fail a call. Only in builds with debug
//! assertions; in others a point is nothing.
//!
//! `SHIPPER_FAULT=spool.write:3=kill,spool.fsync=eio` kills at the third passing of the point
//! `spool.write` and fails each passing of `spool.fsync`; `hang` stays there for ever.

use std::io;

/// All points: each must be in a test that kills a daemon there.
pub const POINTS: [&str; 19] = [
    "hash.read",
    "spool.reserve",
    "spool.reserve.after",
    "spool.dirsync",
    "spool.dirsync.after",
    "spool.write",
    "spool.write.after",
    "spool.fsync",
    "spool.fsync.after",
    "spool.seal",
    "spool.seal.after",
    "spool.cursor",
    "spool.cursor.after",
    "spool.delete",
    "spool.delete.after",
    "spool.quarantine",
    "spool.quarantine.after",
    "file.rotate",
    "file.rotate.after",
];

/// A passing of the point `name`. An error is one that the environment asked for.
#[cfg(not(debug_assertions))]
#[inline]
#[allow(clippy::missing_errors_doc, clippy::unnecessary_wraps)]
pub fn point(_name: &str) -> io::Result<()> {
    Ok(())
}

/// A passing of the point `name`. An error is one that the environment asked for.
#[cfg(debug_assertions)]
#[allow(clippy::missing_errors_doc)]
pub fn point(name: &str) -> io::Result<()> {
    debug_assert!(POINTS.contains(&name), "{name} is not among POINTS");
    static FAULTS: std::sync::OnceLock<Vec<asked::Fault>> = std::sync::OnceLock::new();
    let faults = FAULTS.get_or_init(|| {
        std::env::var("SHIPPER_FAULT").map_or_else(|_| Vec::new(), |text| asked::parse(&text))
    });
    faults.iter().filter(|fault| fault.name == name).try_for_each(asked::Fault::pass)
}

#[cfg(debug_assertions)]
mod asked {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Kill,
        Hang,
        Fail(i32),
    }

    #[derive(Debug)]
    pub(super) struct Fault {
        pub(super) name: String,
        /// Which passing, from 1; none is each.
        nth: Option<u64>,
        action: Action,
        passed: AtomicU64,
    }

    impl Fault {
        pub(super) fn pass(&self) -> io::Result<()> {
            let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
            if self.nth.is_some_and(|nth| nth != passed) {
                return Ok(());
            }
            match self.action {
                Action::Kill => {
                    kill_process(getpid(), Signal::KILL)?;
                    // The signal may take a moment; nothing must be done after the point.
                    stay()
                }
                Action::Hang => stay(),
                Action::Fail(errno) => {
                    tracing::warn!("SHIPPER_FAULT: {} fails", self.name);
                    Err(io::Error::from_raw_os_error(errno))
                }
            }
        }
    }

    fn stay() -> ! {
        loop {
            std::thread::park();
        }
    }

    /// What cannot be read is left out, with a warning: a test that mistypes a point must see it.
    pub(super) fn parse(text: &str) -> Vec<Fault> {
        let known = |item: &str| {
            let fault = parse_one(item);
            if fault.is_none() {
                tracing::warn!(item, "SHIPPER_FAULT: not understood");
            }
            fault
        };
        text.split(',').filter(|item| !item.is_empty()).filter_map(known).collect()
    }

    fn parse_one(item: &str) -> Option<Fault> {
        let (point, action) = item.split_once('=')?;
        let action = match action {
            "kill" => Action::Kill,
            "hang" => Action::Hang,
            "eio" => Action::Fail(rustix::io::Errno::IO.raw_os_error()),
            "enospc" => Action::Fail(rustix::io::Errno::NOSPC.raw_os_error()),
            _ => return None,
        };
        let (name, nth) = match point.split_once(':') {
            Some((name, nth)) => (name, Some(nth.parse().ok().filter(|&nth| nth > 0)?)),
            None => (point, None),
        };
        if !super::POINTS.contains(&name) {
            return None;
        }
        Some(Fault { name: name.to_owned(), nth, action, passed: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_fails_at_the_passing_that_was_asked_for() {
            let faults = parse("spool.write:2=eio,spool.fsync=enospc");
            assert!(faults[0].pass().is_ok());
            assert_eq!(faults[0].pass().unwrap_err().raw_os_error(), Some(5));
            assert!(faults[0].pass().is_ok());
            assert_eq!(faults[1].pass().unwrap_err().raw_os_error(), Some(28));
            assert_eq!(faults[1].pass().unwrap_err().raw_os_error(), Some(28));
        }

        #[test]
        fn what_is_not_understood_is_left_out() {
            assert!(
                parse("spool.write,spool.write:0=kill,spool.write:x=eio,a=b,spool.wrote=eio,")
                    .is_empty()
            );
        }
    }
}
