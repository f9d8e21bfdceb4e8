//! The real daemon with real executions, delivering to a real Apache Kafka, whatever fails there.
//! Each time: nothing lost, the order kept, duplicates only where the contract allows them.

mod brokers;
mod network;
mod restarts;
mod three;
mod ecs;
mod topics;
mod certificates;
mod guarded;
mod security;
mod validate;

/// The program that executes numbered programs.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");
