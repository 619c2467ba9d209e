//! The store as it should be: revisions, transactions, and a log that watches read.

use fleet::{Answer, Change, Compare, Record, Stamp, Transaction, Write};
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub struct Store {
    pub at: Stamp,
    records: BTreeMap<String, Record>,
    log: Vec<Change>,
}

impl Store {
    pub fn new(cluster: u64) -> Store {
        Store { at: Stamp { cluster, revision: 1 }, ..Store::default() }
    }

    pub fn commit(&mut self, transaction: &Transaction) -> Answer {
        if !transaction.if_all.iter().all(|compare| self.holds(compare)) {
            return Answer::Refused { at: self.at, read: self.read(&transaction.else_read) };
        }
        self.at.revision += 1;
        for write in &transaction.then {
            self.write(write);
        }
        Answer::Committed { at: self.at }
    }

    pub fn read(&self, keys: &[String]) -> Vec<Option<Record>> {
        keys.iter().map(|key| self.records.get(key).cloned()).collect()
    }

    fn holds(&self, compare: &Compare) -> bool {
        let record = |key: &String| self.records.get(key);
        match compare {
            Compare::Created { key, is } => record(key).map_or(0, |record| record.created) == *is,
            Compare::CreatedIsNot { key, not } => {
                record(key).map_or(0, |record| record.created) != *not
            }
            Compare::Modified { key, is } => record(key).map_or(0, |record| record.modified) == *is,
        }
    }

    fn write(&mut self, write: &Write) {
        let revision = self.at.revision;
        let (key, record) = match write {
            Write::Put { key, value } => {
                let created = self.records.get(key).map_or(revision, |record| record.created);
                let (key, value) = (key.clone(), value.clone());
                let record = Record { key: key.clone(), value, created, modified: revision };
                self.records.insert(key.clone(), record.clone());
                (key, Some(record))
            }
            Write::Delete { key } => {
                if self.records.remove(key).is_none() {
                    return;
                }
                (key.clone(), None)
            }
        };
        if is_watched(&key) {
            self.log.push(Change { key, revision, record });
        }
    }

    pub fn list(&self) -> Vec<Record> {
        self.records.values().filter(|record| is_watched(&record.key)).cloned().collect()
    }

    pub fn changes_after(&self, revision: u64) -> Vec<Change> {
        let from = self.log.partition_point(|change| change.revision <= revision);
        self.log[from..].to_vec()
    }

    /// As it was before, under the number of another cluster or its own.
    pub fn restored(earlier: &Store, cluster: u64) -> Store {
        let mut store = earlier.clone();
        store.at.cluster = cluster;
        store
    }
}

fn is_watched(key: &str) -> bool {
    key.starts_with(fleet::HOSTS) || key.starts_with(fleet::CLAIMS) || key == fleet::ERA
}
