//! Room: how many tenants may be alive at once, and which keys wait until there is room for them.
//!
//! A key that needs room waits in the queue, first come first served. The queue is drained by: a
//! free place; an exit or a failed start (a place becomes free); a tenant becoming ready, or an
//! eviction being refused (another victim can be chosen); the end of the victim's tenure, or of the
//! look for connections (likewise); a kill, `dispose` or the abort of the key's last caller (the
//! key stops waiting). All of these are steps of the pool, and every step ends in `Pool::admit`.
//!
//! A sleeper that is to wake (`wake.rs`) waits in a queue of its own, whose sleepers come first:
//! they take room for milliseconds until they are of use. What falls asleep makes room, too.
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
    /// Tenants that are alive and hold no room: they sleep, or did when their stop began.
    pub asleep: usize,
    /// When more than may be alive were last found: the ticket of then.
    surplus_since: u64,
    queue: Queue,
    /// Sleepers that are to wake. They come before those that are to be started.
    waking: Queue,
    /// Warm keys without callers, for which no tenant leaves: they get what the queue leaves free.
    aside: Queue,
}

/// The key that was given room.
pub(crate) enum Admitted {
    /// Of a tenant that sleeps.
    Sleeper(Key),
    /// Of one that is to be started, or taken in.
    Start(Key),
}

impl Room {
    pub fn new(capacity: usize) -> Self {
        Room {
            capacity,
            occupied: 0,
            leaving: 0,
            asleep: 0,
            surplus_since: 0,
            queue: Queue::default(),
            waking: Queue::default(),
            aside: Queue::default(),
        }
    }

    /// A tenant is gone that had room or, if it slept, did not.
    pub fn gives_up_place(&mut self, held_room: bool) {
        let count = if held_room { &mut self.occupied } else { &mut self.asleep };
        *count -= 1;
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        self.queue.enqueue(ticket, key);
    }

    pub fn enqueue_wake(&mut self, ticket: u64, key: Key) {
        self.waking.enqueue(ticket, key);
    }

    /// The sleeper with this ticket does not wait to wake any more.
    pub fn cancel_wake(&mut self, ticket: u64) {
        self.waking.cancel(ticket);
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

    pub fn is_full(&self) -> bool {
        self.occupied >= self.capacity + usize::from(planted(Bug::OneTooMany))
    }

    /// Gives a free place to the sleeper that has waited longest to wake, or else to the key that
    /// has waited longest to be started.
    pub fn admit(&mut self) -> Option<Admitted> {
        let is_overfilled = planted(Bug::WakesWithoutRoom) && self.waking.len() > 0;
        if self.is_full() && !is_overfilled {
            return None;
        }
        let admitted = match self.waking.pop_first() {
            Some(key) => Admitted::Sleeper(key),
            None => Admitted::Start(self.queue.pop_first().or_else(|| self.aside.pop_first())?),
        };
        self.occupied += 1;
        Some(admitted)
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
        let first = self.waking.first().or_else(|| self.queue.first());
        let since = first.map_or(self.surplus_since, |(ticket, _)| ticket);
        (self.wanted() > 0).then_some(since)
    }

    /// How many more places are needed than are about to become free.
    pub fn wanted(&self) -> usize {
        (self.waiting() + self.surplus()).saturating_sub(self.leaving)
    }

    pub fn first_waking(&self) -> Option<&Key> {
        self.waking.first().map(|(_, key)| key)
    }

    pub fn first_waiting(&self) -> Option<&Key> {
        self.queue.first().map(|(_, key)| key)
    }

    pub fn waiting(&self) -> usize {
        self.queue.len() + self.waking.len()
    }

    /// Whether any key waits, in the queue or aside, or some tenant has to leave.
    pub fn is_anyone_waiting(&self) -> bool {
        self.waiting() + self.aside.len() + self.surplus() > 0
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
