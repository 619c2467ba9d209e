//! Room: how many tenants may be alive at once, and which keys wait until there is room for them.
//!
//! A key that needs room waits in the queue, first come first served. The queue is drained by: a
//! free place; an exit or a failed start (a place becomes free); a tenant becoming ready, or an
//! eviction being refused (another victim can be chosen); the end of the victim's tenure, or of the
//! look for connections (likewise); a kill, `dispose` or the abort of the key's last caller (the
//! key stops waiting). All of these are steps of the pool, and every step ends in `Pool::admit`.
//!
//! Warm keys that no caller waits for may stand aside (`warm.rs`): for them no tenant leaves, and a
//! place is theirs only when no key queues for it.
//!
//! Which tenant makes room is `eviction.rs`; how long a ready one is safe from that, `tenure.rs`.

use crate::Key;
use crate::planted::{Bug, planted};
use crate::pool::Pool;
use crate::queue::Queue;
use crate::tenant::State;

#[derive(Debug)]
pub(crate) struct Room {
    capacity: usize,
    /// Tenants that hold room, dying ones included.
    pub occupied: usize,
    /// Of these, the ones being stopped whose room no key takes over.
    pub leaving: usize,
    /// When more than may be alive were last found: the ticket of then.
    surplus_since: u64,
    queue: Queue,
    /// Warm keys without callers, for which no tenant leaves: they get what the queue leaves free.
    aside: Queue,
}

impl Room {
    pub fn new(capacity: usize) -> Self {
        Room {
            capacity,
            occupied: 0,
            leaving: 0,
            surplus_since: 0,
            queue: Queue::default(),
            aside: Queue::default(),
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        self.queue.enqueue(ticket, key);
    }

    pub fn stand_aside(&mut self, ticket: u64, key: Key) {
        self.aside.enqueue(ticket, key);
    }

    pub fn is_aside(&self, ticket: u64) -> bool {
        self.aside.contains(ticket)
    }

    pub fn cancel(&mut self, ticket: u64) {
        if self.queue.cancel(ticket).is_none() {
            self.aside.cancel(ticket);
        }
    }

    /// Gives a free place to the key that has waited longest.
    pub fn admit(&mut self) -> Option<Key> {
        if self.occupied >= self.capacity + usize::from(planted(Bug::OneTooMany)) {
            return None;
        }
        let key = self.queue.pop_first().or_else(|| self.aside.pop_first())?;
        self.occupied += 1;
        Some(key)
    }

    /// A tenant was found at this ticket, perhaps beyond the capacity.
    pub fn expect_surplus(&mut self, ticket: u64) {
        if self.surplus() > 0 {
            self.surplus_since = ticket;
        }
    }

    /// Whether more were ever found than may be alive.
    pub fn has_expected_surplus(&self) -> bool {
        self.surplus_since > 0
    }

    /// How many more hold room than may.
    pub fn surplus(&self) -> usize {
        if planted(Bug::SurplusStays) {
            return 0;
        }
        self.occupied.saturating_sub(self.capacity)
    }

    /// Whether more places are needed, by keys that wait or for those that are alive, than are
    /// about to become free; and since when the first of these keys waits.
    pub fn wanted_since(&self) -> Option<u64> {
        let wanted = self.queue.len() + self.surplus();
        let first = self.queue.first().map(|(ticket, _)| ticket);
        (wanted > self.leaving).then(|| first.unwrap_or(self.surplus_since))
    }

    pub fn first_waiting(&self) -> Option<&Key> {
        self.queue.first().map(|(_, key)| key)
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether any key waits, in the queue or aside, or some tenant has to leave.
    pub fn is_anyone_waiting(&self) -> bool {
        self.queue.len() + self.aside.len() + self.surplus() > 0
    }

    pub fn standing_aside(&self) -> usize {
        self.aside.len()
    }
}

impl Pool {
    /// A new key, or one whose process is gone, queues for room; this is its state then.
    pub(crate) fn queue_for_room(&mut self, key: &Key) -> State {
        let ticket = self.next_ticket();
        self.room.enqueue(ticket, key.clone());
        State::AwaitingRoom { ticket }
    }
}
