//! Any bytes as a record of the spool: an error, or an event that survives being written again and
//! can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shipper::event::codec::{self, Decoder};
use shipper::format::ecs;

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = Decoder::new().decode(bytes) else { return };
    let mut again = Vec::new();
    codec::encode(&event, &mut again);
    assert_eq!(Decoder::new().decode(&again), Ok(event.clone()));
    let mut line = Vec::new();
    ecs::encode(&event, &mut line);
    assert!(!line.is_empty() && line.len() < 4096 + 64 * bytes.len(), "{} bytes", line.len());
});
