//! Events as the spool keeps them: nothing lost, nothing made up, and protobuf as others read it.

#[path = "../formats/events.rs"]
mod events;
mod later;
mod schema;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost::Message as _;
use shipper::event::Event;
use shipper::event::codec::{CodecError, Decoder, encode};

fn encoded(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(event, &mut bytes);
    bytes
}

fn some_event() -> Event {
    let mut runner = TestRunner::deterministic();
    let exec = events::exec().new_tree(&mut runner).expect("generates").current();
    Event::Exec(Box::new(exec))
}

fn some_exit() -> Event {
    let mut runner = TestRunner::deterministic();
    let exit = events::exit().new_tree(&mut runner).expect("generates").current();
    Event::Exit(Box::new(exit))
}

proptest! {
    #[test]
    fn any_event_comes_back_as_it_was(events in vec(events::event(), 1..4)) {
        let mut decoder = Decoder::new();
        for event in events {
            prop_assert_eq!(decoder.decode(&encoded(&event)), Ok(event));
        }
    }

    #[test]
    fn a_library_reads_what_is_written_and_its_bytes_are_read(event in events::event()) {
        let bytes = encoded(&event);
        let by_library = schema::Event::decode(bytes.as_slice())?;
        // The library writes the fields in another form where it can, such as no empty ones.
        let again = by_library.encode_to_vec();
        prop_assert_eq!(schema::Event::decode(again.as_slice())?, by_library);
        prop_assert_eq!(Decoder::new().decode(&again), Ok(event));
    }

    #[test]
    fn what_a_later_version_added_is_skipped(event in events::event(), more in vec(any::<u8>(), 0..9)) {
        let mut later = later::Later::decode(encoded(&event).as_slice())?;
        later.add(&more);
        prop_assert_eq!(Decoder::new().decode(&later.encode_to_vec()), Ok(event));
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Decoder::new().decode(&bytes);
    }

    #[test]
    fn a_changed_byte_is_no_panic(
        event in events::event(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&event);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Decoder::new().decode(&bytes);
    }
}

#[test]
fn an_event_cut_anywhere_is_an_error() {
    for bytes in [encoded(&some_event()), encoded(&some_exit())] {
        for length in 0..bytes.len() {
            assert!(Decoder::new().decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn a_part_that_must_be_there_is_missed_and_no_zero_takes_its_place() {
    let whole = later::Later::decode(encoded(&some_event()).as_slice()).expect("decodes");
    let exec = whole.exec.expect("an exec");
    let without = |change: fn(&mut later::LaterExec)| {
        let mut exec = exec.clone();
        change(&mut exec);
        let event = later::Later { exec: Some(exec), ..later::Later::default() };
        Decoder::new().decode(&event.encode_to_vec()).expect_err("a part is missing")
    };
    assert_eq!(without(|exec| exec.cpu = None), CodecError::Missing("exec.cpu"));
    assert_eq!(without(|exec| exec.host = None), CodecError::Missing("exec.host"));
    assert_eq!(without(|exec| exec.process = None), CodecError::Missing("exec.process"));
    assert_eq!(without(|exec| exec.process = Some(Vec::new())), CodecError::Missing("process.key"));
    let exit = |change: fn(&mut later::LaterExit)| {
        let mut later = later::Later::decode(encoded(&some_exit()).as_slice()).expect("decodes");
        change(later.exit.as_mut().expect("an end"));
        Decoder::new().decode(&later.encode_to_vec()).expect_err("a part is missing or wrong")
    };
    assert_eq!(exit(|exit| exit.status = None), CodecError::Missing("exit.status"));
    assert_eq!(exit(|exit| exit.process = None), CodecError::Missing("exit.process"));
    let too_large = exit(|exit| exit.status = Some(1 << 16));
    assert_eq!(too_large, CodecError::TooLarge { value: 1 << 16 });
    let empty = later::Later::default().encode_to_vec();
    assert_eq!(Decoder::new().decode(&empty), Err(CodecError::Unknown("kind of event")));
}

#[test]
fn events_of_one_host_share_it() {
    let event = some_event();
    let bytes = encoded(&event);
    let mut decoder = Decoder::new();
    let [first, second] = [(); 2].map(|()| match decoder.decode(&bytes).expect("decodes") {
        Event::Exec(exec) => exec.host,
        Event::Exit(_) | Event::Loss(_) => panic!("not what was written"),
    });
    assert!(Arc::ptr_eq(&first, &second));
}
