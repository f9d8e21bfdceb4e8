//! From the blocks of the spool to batches of encoded events: read, decode, filter, encode, gather.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings::DeliverySettings;
use crate::event::Event;
use crate::event::codec::Decoder;
use crate::sink::{Item, Sink};
use crate::spool::{Block, Entry, Reader};

/// How long to wait before a spool that could not be read is tried again.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// Events to be sent together, encoded, and what is needed to put one aside.
pub struct Gathered {
    /// Encoded events, one after the other.
    pub buffer: Vec<u8>,
    /// Where each of them is.
    pub items: Vec<Item>,
    /// Records that are no events, with the reason: to be put aside.
    pub unreadable: Vec<(u64, String)>,
    /// Those of the events that report a loss.
    pub reports: Vec<u64>,
    /// The records were put aside before.
    is_replay: bool,
    /// The blocks all of these came from.
    blocks: Vec<Block>,
    /// Number of the first record after all that were read for this.
    pub next: u64,
}

impl Gathered {
    fn new(next: u64, is_replay: bool) -> Gathered {
        Gathered {
            is_replay,
            buffer: Vec::new(),
            items: Vec::new(),
            unreadable: Vec::new(),
            reports: Vec::new(),
            blocks: Vec::new(),
            next,
        }
    }

    /// The event in the record of this number, as it was read.
    #[must_use]
    pub fn event(&self, number: u64) -> Option<Event> {
        Decoder::new().decode(self.payload(self.record(number)?)?).ok()
    }

    fn record(&self, number: u64) -> Option<&[u8]> {
        let mut records = self.blocks.iter().flat_map(Block::records);
        records.find(|(found, _)| *found == number).map(|(_, record)| record)
    }

    /// What has to be put aside for the record of this number, and why.
    #[must_use]
    pub fn entry<'a>(&'a self, number: u64, reason: &'a str) -> Option<Entry<'a>> {
        let record = self.record(number)?;
        let payload = self.payload(record);
        // Put aside a second time it keeps the number it had in the log.
        let number = match Entry::decode(record) {
            Some(entry) if self.is_replay => entry.number,
            _ => number,
        };
        Some(Entry { number, reason, payload: payload.unwrap_or(record) })
    }

    /// The encoded event in a record; `None` where a record that was put aside makes no sense.
    fn payload<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_replay { Entry::decode(record).map(|entry| entry.payload) } else { Some(record) }
    }
}

/// Where the records come from.
pub enum Source {
    /// The log of the spool.
    Log(Reader),
    /// What was requeued: records that were put aside, each with its reason.
    Replay(Reader),
}

/// Gathers the batches of one sink.
pub struct Gatherer<'a> {
    source: Source,
    decoder: Decoder,
    settings: &'a DeliverySettings,
    gathered: Gathered,
    /// The next event would make it larger than it may be.
    is_filled: bool,
    /// When the first event of `gathered` was read.
    since: Option<Instant>,
    /// The block read last, where not all of its records are looked at: and how many are.
    rest: Option<(Block, usize)>,
    /// The spool could not be read: it is left alone until then.
    pause_until: Option<Instant>,
    ended: bool,
}

impl<'a> Gatherer<'a> {
    /// Goes on where the reader stands.
    #[must_use]
    pub fn new(source: Source, settings: &'a DeliverySettings) -> Gatherer<'a> {
        let (Source::Log(reader) | Source::Replay(reader)) = &source;
        let gathered = Gathered::new(reader.position(), matches!(source, Source::Replay(_)));
        Gatherer {
            source,
            decoder: Decoder::default(),
            settings,
            gathered,
            is_filled: false,
            since: None,
            rest: None,
            pause_until: None,
            ended: false,
        }
    }

    /// The next batch; `None` when the spool is closed and was read to its end. A batch is complete
    /// when it is full, or when its first event has waited for `linger`. It may hold no events, when
    /// the filter let none through. Cancel-safe: what was read goes into the next batch.
    pub async fn next(&mut self, sink: &dyn Sink) -> Option<Gathered> {
        loop {
            self.take_rest(sink);
            if self.is_full() || self.ended {
                return self.hand_out();
            }
            if let Some(until) = self.pause_until {
                tokio::time::sleep_until(until).await;
                self.pause_until = None;
            }
            let linger = self.since.map(|since| since + self.settings.linger);
            let (Source::Log(reader) | Source::Replay(reader)) = &mut self.source;
            let read = match linger {
                None => reader.next().await,
                Some(until) => match tokio::time::timeout_at(until, reader.next()).await {
                    Ok(read) => read,
                    Err(_) => return self.hand_out(),
                },
            };
            match read {
                Ok(Some(block)) => self.rest = Some((block, 0)),
                Ok(None) => self.ended = true,
                // The reader gives a place up after a few tries, so no try may come too early: the
                // pause is kept when this future is dropped.
                Err(error) => {
                    tracing::error!(%error, "cannot read; trying again in {READ_PAUSE:?}");
                    self.pause_until = Some(Instant::now() + READ_PAUSE);
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        let count = self.gathered.items.len() + self.gathered.unreadable.len();
        self.is_filled || count >= self.settings.batch_events_max
    }

    fn hand_out(&mut self) -> Option<Gathered> {
        self.since = None;
        self.is_filled = false;
        let fresh = Gathered::new(self.gathered.next, self.gathered.is_replay);
        let gathered = std::mem::replace(&mut self.gathered, fresh);
        // Whatever was read has to be acknowledged, even if nothing of it is sent.
        let is_progress = !gathered.items.is_empty()
            || !gathered.unreadable.is_empty()
            || !gathered.blocks.is_empty();
        is_progress.then_some(gathered)
    }

    /// Puts records of the block into the batch until one of the two is used up.
    fn take_rest(&mut self, sink: &dyn Sink) {
        let Some((block, mut taken)) = self.rest.take() else { return };
        self.since.get_or_insert_with(Instant::now);
        for (number, record) in block.records().skip(taken) {
            if self.is_full() || !self.take(number, record, sink) {
                self.rest = Some((block.clone(), taken));
                break;
            }
            taken += 1;
            self.gathered.next = number + 1;
        }
        self.gathered.blocks.push(block);
    }

    /// False when the record has no room in this batch any more.
    fn take(&mut self, number: u64, record: &[u8], sink: &dyn Sink) -> bool {
        let decoded = match self.gathered.payload(record) {
            Some(payload) => self.decoder.decode(payload).map_err(|error| error.to_string()),
            None => Err("what was put aside is not a record".to_owned()),
        };
        let event = match decoded {
            Ok(event) => event,
            Err(error) => {
                self.gathered.unreadable.push((number, error));
                return true;
            }
        };
        if self.settings.when.as_ref().is_some_and(|when| !when.passes(&event)) {
            return true;
        }
        let Gathered { buffer, items, reports, .. } = &mut self.gathered;
        let start = buffer.len();
        sink.encode(&event, buffer);
        let end = buffer.len();
        if end > self.settings.batch_bytes_max && !items.is_empty() {
            buffer.truncate(start);
            self.is_filled = true;
            return false;
        }
        if matches!(event, Event::Loss(_)) {
            reports.push(number);
        }
        items.push(Item { id: event.id(), number, start, end });
        true
    }
}
