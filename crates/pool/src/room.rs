//! Room: who holds it, who waits for it, and who is asked to leave.
//!
//! A key that needs room waits in the queue, first come first served. The queue is drained by: a free place; an
//! exit or a failed start (a place becomes free); a tenant becoming ready, or an eviction being refused
//! (another victim can be chosen). All of these are steps of the pool, and every step ends in `Pool::admit`.

use crate::tenant::Run;
use crate::{Key, Leases, RunId, Touch};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(crate) struct Room {
    capacity: usize,
    /// Tenants that hold room, dying ones included.
    pub occupied: usize,
    /// Of these, the ones being stopped whose room nobody takes over.
    pub leaving: usize,
    queue: BTreeMap<u64, Key>,
    /// Ready runs, least recently touched first as far as was known when they were last looked at.
    by_touch: BTreeSet<(Touch, RunId)>,
}

impl Room {
    pub fn new(capacity: usize) -> Self {
        Room { capacity, occupied: 0, leaving: 0, queue: BTreeMap::new(), by_touch: BTreeSet::new() }
    }

    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        self.queue.insert(ticket, key);
    }

    pub fn cancel(&mut self, ticket: u64) {
        self.queue.remove(&ticket);
    }

    /// Gives a free place to the key that has waited longest.
    pub fn admit(&mut self) -> Option<Key> {
        if self.occupied >= self.capacity {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        self.occupied += 1;
        Some(key)
    }

    /// Whether more keys wait than places are about to become free, and since when the first of them does.
    pub fn wanted_since(&self) -> Option<u64> {
        let (ticket, _) = self.queue.first_key_value()?;
        (self.queue.len() > self.leaving).then_some(*ticket)
    }

    pub fn first_waiting(&self) -> Option<&Key> {
        self.queue.first_key_value().map(|(_, key)| key)
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub fn add_candidate(&mut self, run: &mut Run, touch: Touch) {
        run.indexed_touch = touch;
        self.by_touch.insert((touch, run.id));
    }

    pub fn remove_candidate(&mut self, run: &Run) {
        self.by_touch.remove(&(run.indexed_touch, run.id));
    }

    pub fn candidates(&self) -> usize {
        self.by_touch.len()
    }

    /// The least recently touched run that `eligible` accepts, by the touch clocks of this moment.
    ///
    /// The index is brought up to date only where it is looked at: a run that was touched since moves back, so
    /// each touch costs at most one move, and a look-up next to nothing.
    pub fn least_recently_touched(
        &mut self,
        leases: &dyn Leases,
        mut moved: impl FnMut(RunId, Touch),
        eligible: impl Fn(RunId) -> bool,
    ) -> Option<RunId> {
        let mut after: Option<(Touch, RunId)> = None;
        loop {
            let next = match after {
                None => self.by_touch.first(),
                Some(entry) => {
                    self.by_touch.range((std::ops::Bound::Excluded(entry), std::ops::Bound::Unbounded)).next()
                }
            };
            let entry @ (indexed, run) = *next?;
            let touch = leases.touched(run);
            if touch > indexed {
                self.by_touch.remove(&entry);
                self.by_touch.insert((touch, run));
                moved(run, touch);
            } else if eligible(run) {
                return Some(run);
            } else {
                after = Some(entry);
            }
        }
    }
}
