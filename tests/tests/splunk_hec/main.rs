//! The sink for Splunk's event collector behind the real line from a spool, against a strict
//! collector that misbehaves: in the end it has every event, and with acknowledgement nothing was
//! confirmed that was not acknowledged.

mod line;
mod plain;
mod acknowledged;
mod connect;
