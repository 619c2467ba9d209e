//! All states of the store that are kept.

use crate::{Change, Compare, Event, Outcome, Range, Record, Revision, Standing, Transaction};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct History {
    at: Standing,
    /// For each key what has become of it, by rising revision. The last entry is its present.
    keys: BTreeMap<String, Vec<Event>>,
    /// The same by revision, for watches.
    log: BTreeMap<Revision, Vec<Event>>,
    /// States before this one are not kept.
    pub compacted: Revision,
    /// How often an older state was put in place: watches end by it.
    pub returns: u64,
}

impl History {
    pub fn new(cluster: u64) -> History {
        History {
            at: Standing { cluster, revision: 1 },
            keys: BTreeMap::new(),
            log: BTreeMap::new(),
            compacted: 0,
            returns: 0,
        }
    }

    pub fn at(&self) -> Standing {
        self.at
    }

    /// The record as it is.
    pub fn record(&self, key: &str) -> Option<&Record> {
        record_of(self.keys.get(key)?.last()?)
    }

    /// The records of a range as they were at a revision.
    pub fn range(&self, range: &Range, of: Revision) -> impl Iterator<Item = Record> {
        let inside = self.keys.iter().filter(|(key, _)| range.contains(key));
        inside.filter_map(move |(_, states)| {
            let last = states.iter().rev().find(|state| state.modified() <= of)?;
            record_of(last).cloned()
        })
    }

    /// What was changed in a range by the first revision after one that changed something there.
    pub fn next_after(&self, after: Revision, range: &Range) -> Option<(Revision, Vec<Event>)> {
        self.log.range(after + 1..).find_map(|(at, events)| {
            let inside = events.iter().filter(|event| range.contains(event.key()));
            let inside: Vec<Event> = inside.cloned().collect();
            (!inside.is_empty()).then_some((*at, inside))
        })
    }

    pub fn commit(&mut self, transaction: &Transaction) -> Outcome {
        if !transaction.if_all.iter().all(|compare| self.is_met(compare)) {
            let read = transaction.else_read.iter().map(|key| self.record(key).cloned()).collect();
            return Outcome::Refused { at: self.at, read };
        }
        let next = self.at.revision + 1;
        let events: Vec<Event> =
            transaction.then.iter().flat_map(|change| self.events_of(change, next)).collect();
        if !events.is_empty() {
            self.at.revision = next;
            for event in &events {
                self.keys.entry(event.key().to_owned()).or_default().push(event.clone());
            }
            self.log.insert(next, events);
        }
        Outcome::Committed { at: self.at }
    }

    fn is_met(&self, compare: &Compare) -> bool {
        let record = self.record(compare.key());
        let created = record.map_or(0, |record| record.created);
        match compare {
            Compare::Created { is, .. } => created == *is,
            Compare::CreatedIsNot { not, .. } => created != *not,
            Compare::Modified { is, .. } => record.map_or(0, |record| record.modified) == *is,
        }
    }

    fn events_of(&self, change: &Change, modified: Revision) -> Vec<Event> {
        if let Change::Put { key, value } = change {
            let created = self.record(key).map_or(modified, |record| record.created);
            let (key, value) = (key.clone(), value.clone());
            return vec![Event::Put(Record { key, value, created, modified })];
        }
        let range = change.range();
        let there = self.range(&range, self.at.revision);
        there.map(|Record { key, .. }| Event::Deleted { key, modified }).collect()
    }

    pub fn return_to(&mut self, older: &History) {
        *self = History { returns: self.returns + 1, ..older.clone() };
    }

    pub fn compact(&mut self, up_to: Revision) {
        self.compacted = self.compacted.max(up_to.min(self.at.revision));
        self.log = self.log.split_off(&(self.compacted + 1));
        for states in self.keys.values_mut() {
            let last = states.iter().rposition(|state| state.modified() <= self.compacted);
            states.drain(..last.unwrap_or(0));
        }
        self.keys.retain(|_, states| states.len() > 1 || record_of(&states[0]).is_some());
    }
}

fn record_of(event: &Event) -> Option<&Record> {
    match event {
        Event::Put(record) => Some(record),
        Event::Deleted { .. } => None,
    }
}
