//! The behaviours of capture as data: executions that are really done, and what the event of each must
//! say. The rows are in `tests/behaviours/*.yaml`; a case more is a row more, and no Rust.
//!
//! The same rows are run on this machine (`tests/tests/behaviours.rs`) and in guests, in each capture
//! mode (`tests/tests/kernel/`): [`script`] is the script that executes them, [`Results`] reads what
//! the script said, [`verdict`] holds an event to its row, [`matrix`] makes the table for README.md.
//!
//! ```yaml
//! - name: A file with setuid shows the ids before and after   # a sentence; the table has it
//!   run: |                       # POSIX sh as root, in a directory of its own ($D); prelude.sh has
//!     program su 4755            # the words it may use
//!     "$HELPER" as 1000 "$D/su" "$MARK"
//!   expect:                      # JSON pointer to what must be there
//!     /process/user/id: "0"
//!     /shipper/credentials_before/uid: "1000"
//!   differs:                     # where that is not so, and what is so instead
//!     - mode: tracepoint
//!       kernel_before: "6.10"
//!       missing: credentials before
//!       expect: { /shipper/credentials_before: null }
//! ```
//!
//! Exactly one event must be there whose last argument is `$MARK`, or whose file is named after it, and
//! whose file is none of the programs on the way ([`is_sought`]). The script may name values with
//! `tell NAME VALUE`; `$NAME` in an expectation stands for them. `cannot why` leaves a row out where
//! the machine has no such thing.

mod check;
mod judge;
mod matrix;
mod place;
mod plan;
mod results;
mod row;

pub use check::{Told, indifferent, is_sought, verdict};
pub use judge::{Cell, judge};
pub use matrix::{Column, matrix, names_in};
pub use place::{Cgroups, Place, version};
pub use plan::{Plan, script};
pub use results::{Results, Run};
pub use row::{Row, load};

/// How often a row is tried where its event is missing. Only Linux 7.3 loses some, one in twenty, and
/// that is counted; anywhere else a second try is a fault that is reported as one.
pub const ATTEMPTS_MAX: u32 = 4;
