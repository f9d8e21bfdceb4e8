//! The script that executes rows, the same on this machine and in a guest.
//!
//! It has a function for each row; `prelude.sh` has the words that rows use and the loop. Whoever runs
//! it sets these variables:
//!
//! | variable | |
//! |---|---|
//! | `WORK` | directory to work in that everybody may search; rows get directories of their own in it |
//! | `EVENTS` | file that the daemon writes its events to |
//! | `RESULTS` | file for what came out, as [`super::Results`] reads it |
//! | `HELPER` | `exec_helper`, which executes in ways a shell cannot |
//! | `TINY`, `WAITS`, `TINY32` | programs of [`crate::tiny`] |
//! | `RUN` | word nobody else on the machine has among its arguments |
//! | `ROWS`, `SILENT` | ids to run; of these, those that must give no event |

use std::fmt::Write as _;

use super::ATTEMPTS_MAX;
use super::place::Place;
use super::row::Row;

/// Which rows are run in a place.
#[derive(Debug)]
pub struct Plan {
    /// For the variable `ROWS`.
    pub rows: String,
    /// For the variable `SILENT`.
    pub silent: String,
}

impl Plan {
    /// All rows that can be tried there.
    #[must_use]
    pub fn new(rows: &[Row], place: &Place) -> Plan {
        let ids = |of: &dyn Fn(&Row) -> bool| {
            let tried = rows.iter().filter(|row| row.left_out(place).is_none() && of(row));
            tried.map(|row| row.id.as_str()).collect::<Vec<_>>().join(" ")
        };
        Plan { rows: ids(&|_| true), silent: ids(&|row| row.events == 0) }
    }
}

/// The script: sourced or run, it executes `ROWS`.
#[must_use]
pub fn script(rows: &[Row]) -> String {
    let mut script = include_str!("prelude.sh").to_owned();
    for row in rows {
        // Writing to a string does not fail.
        let _ =
            write!(script, "\n# {}\nrow_{}() {{\n{}\n}}\n", row.name, row.id, row.run.trim_end());
    }
    let _ = write!(script, "\nrun_rows {ATTEMPTS_MAX}\n");
    script
}
