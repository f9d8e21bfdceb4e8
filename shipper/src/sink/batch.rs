//! Encoded events that are sent together.

use crate::event::Id;

/// Where an event lies in the bytes of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Identity of the event.
    pub id: Id,
    /// Number of its record in the spool.
    pub number: u64,
    /// First byte.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

/// Events in the order of the spool, encoded one directly after the other. At least one.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    buffer: &'a [u8],
    items: &'a [Item],
}

impl<'a> Batch<'a> {
    /// The events at those places of `buffer`, each of which begins where the one before ends.
    #[must_use]
    pub fn new(buffer: &'a [u8], items: &'a [Item]) -> Batch<'a> {
        debug_assert!(items.windows(2).all(|pair| pair[0].end == pair[1].start));
        Batch { buffer, items }
    }

    /// Number of events.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// All events, one after the other as they were encoded.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => &self.buffer[first.start..last.end],
            _ => &[],
        }
    }

    /// Number of the record of each event.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.items.iter().map(|item| item.number)
    }

    /// Each event with its encoded bytes.
    pub fn events(&self) -> impl Iterator<Item = (&'a Item, &'a [u8])> + use<'a> {
        let buffer = self.buffer;
        self.items.iter().map(move |item| (item, &buffer[item.start..item.end]))
    }

    /// Where each event ends, counted from the first byte of the first one.
    pub fn ends(&self) -> impl Iterator<Item = usize> + use<'a> {
        let first = self.items.first().map_or(0, |item| item.start);
        self.items.iter().map(move |item| item.end - first)
    }
}
