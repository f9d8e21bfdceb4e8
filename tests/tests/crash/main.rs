//! The real daemon, killed, refused disks and memory, and told to hurry, while real programs are
//! executed: each execution is in the files once, or its loss is counted.
//!
//! Capture sees the whole machine; a test follows its own executions by a mark and a number. Tests
//! take turns, since each daemon would record the executions of all others.

#![allow(clippy::panic, reason = "a failing test panics")]

mod disk;
mod points;
mod random;
mod together;

use std::io::Read as _;
use std::process::ChildStdout;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::Value;
use shipper_tests::daemon::whole_lines;
use shipper_tests::site::Pace;

/// Program that executes others.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// Bursts with pauses in which a daemon is idle.
const IN_BURSTS: Pace = Pace { in_a_row: 20, pause_ms: 80, padding_bytes: 0 };

/// Enough bytes that a segment of the spool and a file are soon full.
const IN_BULK: Pace = Pace { in_a_row: 30, pause_ms: 30, padding_bytes: 2000 };

/// Much to store of few executions: a debug build is to keep up with it.
const IN_HEAPS: Pace = Pace { in_a_row: 5, pause_ms: 80, padding_bytes: 16_000 };

/// Execs of which capture makes records that are no events: one canary for the one mode tried.
const CANARIES: u64 = 1;

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the lengths are those of `make torture`.
fn is_torture() -> bool {
    std::env::var_os("SHIPPER_TORTURE").is_some()
}

/// Reads the events that a daemon puts on its standard output, to the end of that. A torn end is
/// left out: the daemon was in a hurry.
fn read_to_end(output: Option<ChildStdout>) -> JoinHandle<anyhow::Result<Vec<Value>>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.context("its output")?.read_to_end(&mut bytes)?;
        whole_lines(&bytes)
    })
}
