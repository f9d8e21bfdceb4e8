//! The real daemon, killed, refused disks and memory, and told to hurry, while real programs are
//! executed: each execution is in the files once, or its loss is counted.
//!
//! Capture sees the whole machine; a test follows its own executions by a mark and a number. Tests
//! take turns, since each daemon would record the executions of all others.

#![allow(clippy::panic, reason = "a failing test panics")]

mod points;
mod random;

use std::sync::{Mutex, MutexGuard, PoisonError};

use shipper_tests::site::Pace;

/// Program that executes others.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// Bursts with pauses in which a daemon is idle.
const IN_BURSTS: Pace = Pace { in_a_row: 20, pause_ms: 80, padding_bytes: 0 };

/// Enough bytes that a segment of the spool and a file are soon full.
const IN_BULK: Pace = Pace { in_a_row: 50, pause_ms: 20, padding_bytes: 2000 };

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the lengths are those of `make torture`.
fn is_torture() -> bool {
    std::env::var_os("SHIPPER_TORTURE").is_some()
}
