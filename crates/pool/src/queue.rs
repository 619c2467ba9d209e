//! Keys that wait, first come first served.

use crate::Key;
use crate::planted::{Bug, planted};
use std::collections::VecDeque;

/// So many places of keys that no longer wait are not worth the clearing up.
const FEW_GAPS: usize = 16;

/// Keys by ticket. Most starts come here for an instant, so to come and go costs next to nothing.
/// A key that stops waiting in the middle is rare, and leaves a gap.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// In the order of their tickets. The first one waits.
    places: VecDeque<(u64, Option<Key>)>,
    waiting: usize,
}

impl Queue {
    /// Tickets are counted up: each is greater than those before.
    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        debug_assert!(self.places.back().is_none_or(|(last, _)| *last < ticket));
        self.places.push_back((ticket, Some(key)));
        self.waiting += 1;
    }

    /// The one that has waited longest, with its ticket.
    pub fn first(&self) -> Option<(u64, &Key)> {
        let (ticket, key) = self.places.front()?;
        Some((*ticket, key.as_ref()?))
    }

    pub fn pop_first(&mut self) -> Option<Key> {
        let overtakes = planted(Bug::LastComeFirstServed)
            && self.places.back().is_some_and(|(_, key)| key.is_some());
        let key = if overtakes { self.places.pop_back() } else { self.places.pop_front() }?.1;
        self.has_left();
        key
    }

    /// The key with this ticket no longer waits, if it did.
    pub fn cancel(&mut self, ticket: u64) -> Option<Key> {
        let place = self.place_of(ticket)?;
        let key = self.places[place].1.take()?;
        self.has_left();
        Some(key)
    }

    pub fn contains(&self, ticket: u64) -> bool {
        self.place_of(ticket).is_some_and(|place| self.places[place].1.is_some())
    }

    /// Those that wait, the one that came last first.
    pub fn latest(&self) -> impl Iterator<Item = &Key> {
        self.places.iter().rev().filter_map(|(_, key)| key.as_ref())
    }

    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Since the last clearing up no place is missing, so where tickets are counted up by one, as a
    /// history's are, the place follows from the last ticket.
    fn place_of(&self, ticket: u64) -> Option<usize> {
        let (first, last) = (self.places.front()?.0, self.places.back()?.0);
        if !(first..=last).contains(&ticket) {
            return None;
        }
        let expected = (self.places.len() - 1).checked_sub((last - ticket) as usize);
        let is_there = |place: &usize| self.places[*place].0 == ticket;
        if let Some(place) = expected.filter(is_there) {
            return Some(place);
        }
        self.places.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }

    fn has_left(&mut self) {
        self.waiting -= 1;
        while self.places.front().is_some_and(|(_, key)| key.is_none()) {
            self.places.pop_front();
        }
        if self.places.len() > 2 * self.waiting + FEW_GAPS {
            self.places.retain(|(_, key)| key.is_some());
            self.places.shrink_to(2 * self.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tickets: std::ops::Range<u64>) -> Queue {
        let mut queue = Queue::default();
        tickets.for_each(|ticket| queue.enqueue(ticket, ticket.to_string().into()));
        queue
    }

    #[test]
    fn first_come_first_served_without_the_cancelled() {
        let mut queue = queue(0..6);
        let cancelled =
            [0, 3, 3, 5, 9].map(|ticket| queue.cancel(ticket).as_deref().map(str::to_string));
        assert_eq!(
            cancelled.each_ref().map(Option::as_deref),
            [Some("0"), Some("3"), None, Some("5"), None]
        );
        assert_eq!(queue.first().map(|(ticket, key)| (ticket, &**key)), Some((1, "1")));
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.latest().map(|key| &**key).collect::<Vec<_>>(), ["4", "2", "1"]);
        let left: Vec<String> =
            std::iter::from_fn(|| queue.pop_first()).map(|key| key.to_string()).collect();
        assert_eq!(left, ["1", "2", "4"]);
        assert_eq!((queue.len(), queue.first()), (0, None));
    }

    #[test]
    fn each_is_found_by_its_ticket_after_places_were_cleared_up() {
        let mut queue = queue(0..100);
        (1..100).filter(|ticket| ticket % 3 > 0).for_each(|ticket| drop(queue.cancel(ticket)));
        assert!(queue.places.len() < 100, "cleared up");
        queue.enqueue(200, "200".into());
        for ticket in [200, 99, 3, 51, 96] {
            assert_eq!(queue.cancel(ticket).as_deref(), Some(&*ticket.to_string()));
            assert_eq!(queue.cancel(ticket), None);
        }
        assert_eq!(queue.latest().map(|key| &**key).next(), Some("93"));
    }

    #[test]
    fn those_who_come_and_give_up_behind_one_who_waits_fill_no_memory() {
        let mut queue = queue(0..1);
        for ticket in 1..10_000 {
            queue.enqueue(ticket, "stranger".into());
            queue.cancel(ticket);
        }
        assert!(queue.places.len() <= 2 + FEW_GAPS, "{} places", queue.places.len());
    }
}
