//! Events as the sinks are given them.

use std::sync::Arc;

use super::{Batch, Item, Outcome, Sink};
use crate::event::{Event, Host, Id, Loss, LossKind, LossStage, WallTime};

/// Events with numbers for ids, from a host of this name.
pub fn events(numbers: std::ops::Range<u64>, host: &str) -> Vec<Event> {
    let host = Arc::new(Host { name: host.to_owned(), ..Host::default() });
    let loss = |number: u64| Loss {
        id: Id(u128::from(number).to_be_bytes()),
        time: WallTime(0),
        host: Arc::clone(&host),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        cgroup: None,
        rule: None,
        count: number + 1,
        first: WallTime(0),
        last: WallTime(0),
    };
    numbers.map(|number| Event::Loss(loss(number))).collect()
}

/// Events as a sink encodes them.
pub struct Encoded {
    buffer: Vec<u8>,
    items: Vec<Item>,
}

impl Encoded {
    pub fn of(sink: &dyn Sink, events: &[Event]) -> Encoded {
        let (mut buffer, mut items) = (Vec::new(), Vec::new());
        for (number, event) in (1..).zip(events) {
            let start = buffer.len();
            sink.encode(event, &mut buffer);
            let Event::Loss(Loss { id, .. }) = event else { unreachable!("not one of ours") };
            items.push(Item { id: *id, number, start, end: buffer.len() });
        }
        Encoded { buffer, items }
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch::new(&self.buffer, &self.items)
    }

    /// Those at these places.
    pub fn part(&self, places: std::ops::Range<usize>) -> Batch<'_> {
        Batch::new(&self.buffer, &self.items[places])
    }
}

/// Sends as `deliver` does: again after a checkpoint.
pub async fn send(sink: &dyn Sink, events: &[Event]) -> Outcome {
    let encoded = Encoded::of(sink, events);
    loop {
        match sink.send(encoded.batch()).await {
            Outcome::Checkpoint { .. } => {}
            outcome => return outcome,
        }
    }
}
