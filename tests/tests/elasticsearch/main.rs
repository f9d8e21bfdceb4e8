//! The sink for Elasticsearch, `shipper setup elasticsearch` and `shipper validate --connect`, with a
//! real OpenSearch.

mod commands;
mod delivery;
mod documents;
mod overload;
mod servers;
mod sink;
mod trouble;

/// The program that executes numbered programs.
const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");
