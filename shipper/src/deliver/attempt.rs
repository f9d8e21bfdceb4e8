//! One batch, until each of its events is where it belongs or put aside: retry, splitting, search
//! for the event at fault, shortening, quarantine.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::ack::Ack;
use super::batch::Gathered;
use super::gate::{Down, Gate, Place};
use super::locked;
use crate::enrich::clock::wall_now;
use crate::event::shorten;
use crate::sink::{Batch, Item, Outcome, Sink};
use crate::spool::{Entry, Quarantine, QuarantineError};

/// From so many refused events on, in a row or as most of a batch, it is the configuration that is
/// wrong and not the events: the sink is held, and nothing more is put aside.
const REFUSED_MAX: usize = 8;

/// What the batches of one sink share.
pub struct Outlet<'a> {
    /// Name of the sink.
    pub name: &'a str,
    /// Where they go.
    pub sink: &'a dyn Sink,
    /// Whether it is up.
    pub gate: &'a Gate,
    /// What was acknowledged.
    pub ack: &'a Mutex<Ack>,
    /// For events that are refused for good.
    pub quarantine: &'a Mutex<Quarantine>,
}

/// What became of a batch.
pub struct Done {
    /// Number of the first record after it.
    pub next: u64,
    /// Position of the sink after it; `None` when nothing was sent.
    pub position: Option<Vec<u8>>,
    /// Events the sink has.
    pub sent: u64,
    /// Events that were put aside.
    pub quarantined: u64,
}

/// Events of a batch that are sent together, encoded next to each other.
struct Part {
    /// `None`: in the buffer of the batch itself.
    buffer: Option<Vec<u8>>,
    items: Vec<Item>,
    /// Bytes of its one event before it was shortened.
    whole_bytes: Option<usize>,
}

/// Delivers a batch. `order` counts the batches of a sink. Comes to an end when all is delivered or
/// put aside, however long that takes.
pub async fn deliver(outlet: &Outlet<'_>, order: u64, gathered: Gathered) -> Done {
    let mut attempt = Attempt {
        outlet,
        order,
        gathered: &gathered,
        parts: VecDeque::new(),
        refused: Vec::new(),
        held: Vec::new(),
        position: None,
        sent: 0,
        quarantined: 0,
    };
    attempt.quarantine(gathered.unreadable.clone()).await;
    if !gathered.items.is_empty() {
        attempt.parts.push_back(Part {
            buffer: None,
            items: gathered.items.clone(),
            whole_bytes: None,
        });
    }
    attempt.run().await;
    outlet.gate.sent(order);
    let Attempt { position, sent, quarantined, .. } = attempt;
    Done { next: gathered.next, position, sent, quarantined }
}

struct Attempt<'a> {
    outlet: &'a Outlet<'a>,
    order: u64,
    gathered: &'a Gathered,
    /// Still to be sent, oldest first.
    parts: VecDeque<Part>,
    /// Refused for good, with the reason; not yet put aside.
    refused: Vec<(Item, String)>,
    /// Refused, but held, since the fault seems not to be in them. The first of them is the probe
    /// that tells when it was mended.
    held: Vec<Item>,
    position: Option<Vec<u8>>,
    sent: u64,
    quarantined: u64,
}

impl Attempt<'_> {
    async fn run(&mut self) {
        loop {
            while let Some(part) = self.parts.pop_front() {
                let buffer = part.buffer.as_deref().unwrap_or(&self.gathered.buffer);
                let batch = Batch::new(buffer, &part.items);
                let place = self.outlet.gate.pass(self.order, batch.bytes().len()).await;
                if self.parts.is_empty() {
                    self.outlet.gate.sent(self.order);
                }
                let outcome = self.outlet.sink.send(batch).await;
                self.settle(part, outcome, place);
            }
            if !self.held.is_empty() && self.refused.is_empty() {
                // The probe was accepted.
                let rest = self.held.split_off(1);
                self.held.clear();
                if !rest.is_empty() {
                    let rest = self.part_of(&rest);
                    self.parts.push_back(rest);
                }
            } else if self.refused.is_empty() {
                return;
            } else {
                self.judge().await;
            }
        }
    }

    /// The sink answered. That ends no hold: it would go on with what is refused again.
    fn reached(&self, place: &Place<'_>) {
        if self.held.is_empty() {
            self.outlet.gate.reached(place);
        }
    }

    fn settle(&mut self, part: Part, outcome: Outcome, place: Place<'_>) {
        let gate = self.outlet.gate;
        match outcome {
            Outcome::Sent { position } => {
                self.sent += part.items.len() as u64;
                self.position = Some(position);
                gate.up(&place);
                place.went_well();
                self.tell_shortened(&part);
            }
            Outcome::Checkpoint { position } => {
                let saved = locked(self.outlet.ack).checkpoint(position);
                if let Err(error) = saved {
                    gate.down(self.order, Down::Retry, &error.to_string(), None);
                }
                self.parts.push_front(part);
            }
            Outcome::Retry { cause, after } => {
                place.failed();
                gate.down(self.order, Down::Retry, &cause, after);
                self.parts.push_front(part);
            }
            Outcome::Blocked { cause } => {
                place.failed();
                gate.down(self.order, Down::Blocked, &cause, None);
                self.parts.push_front(part);
            }
            Outcome::TooLarge { cause, bytes_max } => {
                self.reached(&place);
                match &part.items[..] {
                    [item] => match bytes_max.and_then(|max| self.shortened(item, max)) {
                        Some(part) => self.parts.push_front(part),
                        None => {
                            self.outlet.sink.put_aside(item.number);
                            self.refused.push((*item, cause));
                        }
                    },
                    _ => self.halve(part),
                }
            }
            Outcome::Refused { cause } => {
                self.reached(&place);
                match &part.items[..] {
                    [item] => self.refused.push((*item, cause)),
                    _ => self.halve(part),
                }
            }
            Outcome::Mixed { rejected, again, cause, after } => {
                self.settle_each(&part, rejected, again, cause, after, place);
            }
        }
    }

    fn settle_each(
        &mut self,
        part: &Part,
        rejected: Vec<(usize, String)>,
        again: Vec<usize>,
        cause: Option<String>,
        after: Option<std::time::Duration>,
        place: Place<'_>,
    ) {
        let named = rejected.len() + again.len();
        let accepted = part.items.len().saturating_sub(named);
        self.sent += accepted as u64;
        if accepted > 0 {
            self.outlet.gate.up(&place);
        } else {
            self.reached(&place);
        }
        let item = |at: usize| part.items.get(at).copied();
        self.refused
            .extend(rejected.into_iter().filter_map(|(at, reason)| Some((item(at)?, reason))));
        let again: Vec<Item> = again.into_iter().filter_map(item).collect();
        match cause.filter(|_| !again.is_empty()) {
            None => place.went_well(),
            Some(cause) => {
                place.failed();
                self.outlet.gate.down(self.order, Down::Retry, &cause, after);
            }
        }
        if !again.is_empty() {
            let again = self.part_of(&again);
            self.parts.push_front(again);
        }
    }

    /// Wherever a part has an event now, the batch has it where it was gathered.
    fn original(&self, item: &Item) -> Item {
        let originals = &self.gathered.items;
        let at = originals.binary_search_by_key(&item.number, |original| original.number);
        originals[at.expect("every part is of this batch")]
    }

    /// A part of any events of the batch.
    fn part_of(&self, chosen: &[Item]) -> Part {
        let mut buffer = Vec::new();
        let mut items = Vec::with_capacity(chosen.len());
        for item in chosen {
            let original = self.original(item);
            let start = buffer.len();
            buffer.extend_from_slice(&self.gathered.buffer[original.start..original.end]);
            items.push(Item { start, end: buffer.len(), ..original });
        }
        Part { buffer: Some(buffer), items, whole_bytes: None }
    }

    /// A part of an event that was too large, shortened to what the other side takes; `None` when
    /// that cannot be done. `item` is the event as it was sent: each further limit must be below
    /// that, so that there is an end.
    fn shortened(&self, item: &Item, bytes_max: usize) -> Option<Part> {
        if bytes_max >= item.end - item.start {
            return None;
        }
        let mut buffer = Vec::new();
        let event = shorten(&self.gathered.event(item.number)?, bytes_max, |event| {
            buffer.clear();
            self.outlet.sink.encode(event, &mut buffer);
            buffer.len()
        })?;
        buffer.clear();
        self.outlet.sink.encode(&event, &mut buffer);
        let items = vec![Item { start: 0, end: buffer.len(), ..*item }];
        let whole_bytes = Some(self.original(item).end - self.original(item).start);
        Some(Part { buffer: Some(buffer), items, whole_bytes })
    }

    fn tell_shortened(&self, part: &Part) {
        if let (Some(whole_bytes), [item]) = (part.whole_bytes, &part.items[..]) {
            tracing::warn!(
                sink = self.outlet.name,
                record = item.number,
                "too large for the other side: arguments were cut, {whole_bytes} bytes became {}",
                item.end - item.start
            );
        }
    }

    fn halve(&mut self, mut part: Part) {
        let second = part.items.split_off(part.items.len() / 2);
        self.parts.push_front(Part {
            buffer: part.buffer.clone(),
            items: second,
            whole_bytes: None,
        });
        self.parts.push_front(part);
    }

    /// All that could be sent was sent; the rest was refused for good. Puts it aside, unless it is
    /// so much that the fault is not in the events.
    async fn judge(&mut self) {
        let gate = self.outlet.gate;
        let refused = std::mem::take(&mut self.refused);
        let count = refused.len();
        if self.held.is_empty() {
            let in_a_row = gate.refused(count);
            let most = count >= REFUSED_MAX && count * 2 > self.gathered.items.len();
            if in_a_row < REFUSED_MAX && !most {
                let refused =
                    refused.into_iter().map(|(item, reason)| (item.number, reason)).collect();
                self.quarantine(refused).await;
                return;
            }
            gate.take_back(count);
            self.held = refused.iter().map(|(item, _)| *item).collect();
        }
        let cause = format!(
            "{} of {} events were refused, which looks like the configuration of the sink or of \
             the other side, not like the events: {}. They are held, none is discarded",
            self.held.len(),
            self.gathered.items.len(),
            refused[0].1,
        );
        gate.down(self.order, Down::Blocked, &cause, None);
        let probe = self.part_of(&self.held[..1]);
        self.parts.push_back(probe);
    }

    /// Puts records aside, durably. A quarantine that is full or cannot be written holds the sink.
    async fn quarantine(&mut self, refused: Vec<(u64, String)>) {
        if refused.is_empty() {
            return;
        }
        let gathered = self.gathered;
        let entries: Vec<Entry<'_>> =
            refused.iter().filter_map(|(number, why)| gathered.entry(*number, why)).collect();
        self.insist(|quarantine| quarantine.put(&entries, wall_now().0)).await;
        for Entry { number, reason, .. } in &entries {
            tracing::error!(sink = self.outlet.name, record = number, "put aside: {reason}");
        }
        self.quarantined += entries.len() as u64;
        // A report of a loss that is put aside is not reported again: there would be no end to it.
        let execs = refused.iter().filter(|(number, _)| !gathered.reports.contains(number)).count();
        self.insist(|quarantine| Ok(quarantine.report(execs as u64, wall_now().0)?)).await;
    }

    /// Does something with the quarantine, and holds the sink until that succeeds.
    async fn insist(&self, mut action: impl FnMut(&mut Quarantine) -> Result<(), QuarantineError>) {
        loop {
            let done = action(&mut locked(self.outlet.quarantine));
            let Err(error) = done else { return };
            self.outlet.gate.down(self.order, Down::Blocked, &error.to_string(), None);
            drop(self.outlet.gate.pass(self.order, 0).await);
        }
    }
}
