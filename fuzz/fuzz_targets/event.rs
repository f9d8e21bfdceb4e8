//! Any bytes as a record of the spool: an error, or an event that survives being written again and
//! can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shipper::event::codec::{self, Decoder};
use shipper::format::{Format, encode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = Decoder::new().decode(bytes) else { return };
    let mut again = Vec::new();
    codec::encode(&event, &mut again);
    assert_eq!(Decoder::new().decode(&again), Ok(event.clone()));
    for format in Format::ALL {
        let mut line = Vec::new();
        encode(format, &event, &mut line);
        let length = line.len();
        assert!(length > 1 && length < 8192 + 128 * bytes.len(), "{format:?}: {length} bytes");
    }
});
