//! Bytes on their way out, some of which wait for a record to become durable (invariant: no audit, no data, no change).
//!
//! It must not know what the bytes say.

use std::collections::VecDeque;

/// Counts the submissions of records of one session, from 1. What waits for a ticket leaves once it and all before it are durable.
pub type Ticket = u64;

/// Outgoing bytes in order.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Bytes that were sent already.
    sent: usize,
    /// From this place on, bytes wait for this ticket; both grow.
    barriers: VecDeque<(usize, Ticket)>,
    /// From this place on, bytes wait for a record that is not even submitted.
    open: Option<usize>,
}

/// An outbox that grew larger than this leaves no memory behind once it is empty.
const KEPT_BYTES: usize = 64 << 10;

impl Outbox {
    /// Where more bytes are put.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What is put from now on waits for `ticket`.
    pub fn wait_for(&mut self, ticket: Ticket) {
        if self.barriers.back().is_some_and(|(_, last)| *last >= ticket) {
            return;
        }
        self.barriers.push_back((self.bytes.len(), ticket));
    }

    /// What is put from now on waits for a record that [`Outbox::seal`] will name.
    pub fn hold(&mut self) {
        self.open.get_or_insert(self.bytes.len());
    }

    /// Bytes that wait for a record that is not submitted.
    pub fn held_bytes(&self) -> usize {
        self.open.map_or(0, |from| self.bytes.len().saturating_sub(from))
    }

    /// What was held waits for `ticket`, and what follows it too.
    pub fn seal(&mut self, ticket: Ticket) {
        let Some(from) = self.open.take() else { return };
        // Barriers behind it are of earlier tickets: this one holds for what they hold.
        while self.barriers.back().is_some_and(|(place, _)| *place >= from) {
            self.barriers.pop_back();
        }
        self.barriers.push_back((from, ticket));
    }

    /// All that has not been sent.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(self.sent)
    }

    /// The bytes that may leave when all tickets up to `durable` are.
    pub fn ready(&mut self, durable: Ticket) -> &[u8] {
        while self.barriers.front().is_some_and(|(_, ticket)| *ticket <= durable) {
            self.barriers.pop_front();
        }
        let barrier = self.barriers.front().map(|(from, _)| *from);
        let end = [barrier, self.open].into_iter().flatten().min().unwrap_or(self.bytes.len());
        self.bytes.get(self.sent..end).unwrap_or_default()
    }

    /// So many of the bytes that were ready have left.
    pub fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
        if self.sent == self.bytes.len() {
            self.bytes.clear();
        } else if self.sent > KEPT_BYTES && self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
        } else {
            return;
        }
        let gone = std::mem::take(&mut self.sent);
        for (from, _) in &mut self.barriers {
            *from = from.saturating_sub(gone);
        }
        self.open = self.open.map(|from| from.saturating_sub(gone));
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Drops all that waits: it must never leave.
    pub fn drop_waiting(&mut self, durable: Ticket) {
        let end = self.sent.saturating_add(self.ready(durable).len());
        self.bytes.truncate(end);
        self.barriers.clear();
        self.open = None;
    }
}

#[cfg(test)]
mod tests;
