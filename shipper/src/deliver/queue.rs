//! The queue of one sink, bounded by the memory its events take. Its room is given back when a batch
//! is acknowledged, not when it is taken, so that what a sink holds counts too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::event::{Ancestor, Args, Event};

/// Rough size of an event without its variable parts.
const EVENT_BYTES: usize = 1500;

/// The receiving side has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

struct Queued {
    event: Arc<Event>,
    permit: OwnedSemaphorePermit,
}

/// The sending end.
pub struct Sender {
    events: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    bytes_max: usize,
}

/// The receiving end.
pub struct Receiver {
    events: mpsc::UnboundedReceiver<Queued>,
    room: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
    taken: Vec<Queued>,
}

/// A queue for about so many bytes of events.
#[must_use]
pub fn queue(bytes_max: usize) -> (Sender, Receiver) {
    let room = Arc::new(Semaphore::new(bytes_max));
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        Sender { events: sender, room: room.clone(), bytes_max },
        Receiver { events: receiver, room, held: Vec::new(), taken: Vec::new() },
    )
}

impl Sender {
    /// Puts an event in, waiting for room.
    ///
    /// # Errors
    /// [`Closed`] when the receiver has given up; the event is not taken.
    pub async fn send(&self, event: Arc<Event>) -> Result<(), Closed> {
        // An event larger than the whole queue takes all of it, and passes alone.
        let bytes = weight(&event).min(self.bytes_max);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self.room.clone().acquire_many_owned(permits).await.map_err(|_| Closed)?;
        self.events.send(Queued { event, permit }).map_err(|_| Closed)
    }
}

impl Receiver {
    /// Fills the batch with up to so many events: waits for the first, then `linger` for more. False
    /// when the queue is closed and empty. Cancel-safe: what was taken goes into the next batch.
    pub async fn next(
        &mut self,
        batch: &mut Vec<Arc<Event>>,
        max: usize,
        linger: Duration,
    ) -> bool {
        if self.taken.is_empty() && self.events.recv_many(&mut self.taken, max).await == 0 {
            return false;
        }
        if self.taken.len() < max && !self.events.is_closed() {
            tokio::time::sleep(linger).await;
        }
        while self.taken.len() < max {
            match self.events.try_recv() {
                Ok(queued) => self.taken.push(queued),
                Err(_) => break,
            }
        }
        for Queued { event, permit } in self.taken.drain(..) {
            batch.push(event);
            self.held.push(permit);
        }
        true
    }

    /// Gives back the room of what was handed out.
    pub fn acknowledge(&mut self) {
        self.held.clear();
    }

    /// Accepts nothing more, and counts what was still in the queue.
    pub fn abandon(&mut self) -> u64 {
        self.room.close();
        self.events.close();
        let mut count = self.taken.len() as u64;
        while self.events.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

/// About how much memory an event takes.
fn weight(event: &Event) -> usize {
    let Event::Exec(exec) = event else { return EVENT_BYTES };
    let args = |args: &Args| args.list.iter().map(|arg| arg.len() + 16).sum::<usize>();
    // Arguments of ancestors are shared between events; half of them is a fair share.
    let ancestor = |a: &Ancestor| 160 + a.args.as_deref().map_or(0, args) / 2;
    EVENT_BYTES + args(&exec.process.args) + exec.ancestry.iter().map(ancestor).sum::<usize>()
}
