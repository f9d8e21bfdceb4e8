//! shipper: an audit-log shipper for Linux. It records program executions in the kernel, enriches
//! each with host, user and ancestry, and delivers the records to sinks.
//!
//! The modules are declared in the order in which an event travels.

pub mod capture;
pub mod event;
pub mod enrich;
pub mod rules;
pub mod redact;
pub mod spool;
pub mod deliver;
pub mod format;
pub mod sink;

pub mod config;

pub mod pipeline;
pub mod commands;

pub mod fault;
