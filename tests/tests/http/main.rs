//! The real daemon with real executions, delivering to a collector over HTTP, whatever fails there.
//! Each time: nothing lost, and duplicates only where an answer was lost.

mod taken;
mod faults;

/// The program that executes numbered programs.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");
