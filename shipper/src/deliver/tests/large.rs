//! Events larger than the other side takes: shortened where that is enough, put aside where not.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::watch;

use super::refused::{put_aside, quarantined};
use super::{NAME, Setup, now, open, put, sent};
use crate::deliver::{Control, Delivered, Line};
use crate::event::{Event, Id, codec, testing};
use crate::format::ecs;
use crate::sink::{Batch, Outcome, Sink};

/// Most bytes of a batch that the other side takes.
const BATCH_BYTES_MAX: usize = 20_000;

/// The other side takes events of so many bytes, and keeps them.
struct Narrow {
    bytes_max: usize,
    /// What it says its limit is, given the length that was sent.
    told: fn(bytes_max: usize, length: usize) -> Option<usize>,
    got: Mutex<Vec<Value>>,
    calls: Mutex<usize>,
}

impl Narrow {
    fn new(bytes_max: usize, told: fn(usize, usize) -> Option<usize>) -> Arc<Narrow> {
        let (got, calls) = (Mutex::default(), Mutex::default());
        Arc::new(Narrow { bytes_max, told, got, calls })
    }

    /// The sequence numbers of what it has.
    fn sequences(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        got.iter().map(|event| event["event"]["sequence"].as_u64().unwrap()).collect()
    }
}

struct Shared(Arc<Narrow>);

#[async_trait::async_trait]
impl Sink for Shared {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        ecs::encode(event, out);
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        *self.0.calls.lock().unwrap() += 1;
        let longest = batch.events().map(|(_, bytes)| bytes.len()).max().unwrap();
        if longest > self.0.bytes_max || batch.bytes().len() > BATCH_BYTES_MAX {
            let bytes_max = (self.0.told)(self.0.bytes_max, longest);
            return Outcome::TooLarge { cause: "too large".to_owned(), bytes_max };
        }
        let events = batch.events().map(|(item, bytes)| {
            let event: Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!(event["event"]["id"], item.id.to_string());
            event
        });
        self.0.got.lock().unwrap().extend(events);
        sent()
    }
}

/// An execution with an argument of so many bytes.
fn exec(sequence: u64, bytes: usize) -> Event {
    let Event::Exec(mut exec) = testing::exec() else { unreachable!() };
    exec.id = Id(u128::from(sequence).to_be_bytes());
    exec.sequence = sequence;
    exec.process.args = testing::args(["ls", "x".repeat(bytes).as_str()]);
    Event::Exec(exec)
}

/// Delivers executions with arguments of these bytes, numbered from 1.
async fn deliver(lengths: &[usize], sink: &Arc<Narrow>) -> (Setup, Delivered) {
    let setup = Setup::new(0);
    let (mut writer, spool) = open(setup.directory.path());
    for (sequence, bytes) in (1..).zip(lengths) {
        put(&mut writer, &exec(sequence, *bytes));
    }
    writer.close(now()).unwrap();
    let (reader, cursor) = spool.cursor(NAME).unwrap();
    let line = Line {
        name: NAME.to_owned(),
        sink: Box::new(Shared(Arc::clone(sink))),
        reader,
        cursor,
        replay: None,
        quarantine: spool.quarantine(NAME, 64 << 20).unwrap(),
        settings: setup.settings.clone(),
        status_dir: None,
    };
    let (_control, watched) = watch::channel(Control::default());
    let delivered = line.run(watched).await;
    (setup, delivered)
}

fn all(count: u64) -> Delivered {
    Delivered { sent: count, quarantined: 0, complete: true }
}

#[tokio::test(start_paused = true)]
async fn a_large_event_among_small_ones_is_shortened_to_the_limit_and_stays_in_its_place() {
    let mut lengths = [10; 50];
    lengths[20] = 30_000;
    let sink = Narrow::new(6_000, |bytes_max, _| Some(bytes_max));
    let (setup, delivered) = deliver(&lengths, &sink).await;
    assert_eq!(delivered, all(50));
    assert_eq!(quarantined(&setup), []);
    assert_eq!(sink.sequences(), (1..=50).collect::<Vec<_>>());
    for event in sink.got.lock().unwrap().iter() {
        let is_large = event["event"]["sequence"] == 21;
        let marks = &event["shipper"];
        assert_eq!(marks["args_truncated"] == true, is_large, "{event}");
        assert_eq!(marks["args_bytes"], if is_large { 30_004 } else { 14 });
        assert_eq!(event["process"]["args_count"], 2);
        assert_eq!(event["process"]["args"][0], "ls");
        // The ancestors went before the arguments of the process itself.
        assert_eq!(event["process"]["parent"]["args"].as_array().unwrap().is_empty(), is_large);
        let length = serde_json::to_vec(event).unwrap().len();
        assert!(!is_large || (5_980..6_000).contains(&length), "as much as fits: {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_that_short_is_put_aside_and_the_rest_goes_on() {
    let sink = Narrow::new(100, |bytes_max, _| Some(bytes_max));
    let (setup, delivered) = deliver(&[10, 10, 10], &sink).await;
    assert_eq!(delivered, Delivered { sent: 0, quarantined: 3, complete: true });
    assert_eq!(quarantined(&setup), [1, 2, 3].map(|number| (number, "too large".to_owned())));

    let sink = Narrow::new(6_000, |_, _| None);
    let (setup, delivered) = deliver(&[10, 30_000, 10], &sink).await;
    assert_eq!(delivered, Delivered { sent: 2, quarantined: 1, complete: true });
    assert_eq!(quarantined(&setup), [(2, "too large".to_owned())], "the limit is not known");
    assert_eq!(sink.sequences(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lower_than_told_is_found_and_one_that_moves_nothing_ends_it() {
    let sink = Narrow::new(6_000, |_, length| Some(length * 2 / 3));
    let (_setup, delivered) = deliver(&[30_000], &sink).await;
    assert_eq!(delivered, all(1));

    let sink = Narrow::new(6_000, |_, length| Some(length));
    let (setup, delivered) = deliver(&[30_000], &sink).await;
    assert_eq!(delivered, Delivered { sent: 0, quarantined: 1, complete: true });
    assert_eq!(quarantined(&setup), [(1, "too large".to_owned())]);
    assert_eq!(*sink.calls.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_aside_is_the_whole_event() {
    let sink = Narrow::new(100, |_, length| (length > 5_000).then_some(5_000));
    let (setup, delivered) = deliver(&[30_000], &sink).await;
    assert_eq!(delivered, Delivered { sent: 0, quarantined: 1, complete: true });
    assert_eq!(*sink.calls.lock().unwrap(), 2, "shortened once");
    let mut whole = Vec::new();
    codec::encode(&exec(1, 30_000), &mut whole);
    assert_eq!(put_aside(&setup), [(1, "too large".to_owned(), whole)]);
}
