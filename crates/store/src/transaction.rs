//! Records, and what changes them.

use crate::Range;

/// A number of one state of the store. Each transaction that changes something makes the next one;
/// the first is 1, so that 0 can stand for a record that is not there.
pub type Revision = u64;

/// How many compares, changes or keys to read one request may have at most, each counted alone.
/// etcd's own limit, unless it is started with another.
pub const MAX_OPERATIONS: usize = 128;

/// Where a store stands, as one of its answers says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Which store it is: another number is another store, with a history of its own. 0 where the
    /// engine has no such number.
    pub cluster: u64,
    /// Its revision when it answered.
    pub revision: Revision,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Below the store's prefix.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that made the key. A key that is deleted and put again has a new one.
    pub created: Revision,
    /// The revision that put this value.
    pub modified: Revision,
}

/// A condition of a transaction, about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The record was created by this revision; with 0, there is none.
    Created {
        /// Of the record.
        key: String,
        /// The revision.
        is: Revision,
    },
    /// The record was created by another revision, or there is none. (With 0: there is one.)
    CreatedIsNot {
        /// Of the record.
        key: String,
        /// The revision.
        not: Revision,
    },
    /// The record was last put by this revision; with 0, there is none.
    Modified {
        /// Of the record.
        key: String,
        /// The revision.
        is: Revision,
    },
}

impl Compare {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Compare::Created { key, .. }
            | Compare::CreatedIsNot { key, .. }
            | Compare::Modified { key, .. } => key,
        }
    }
}

/// What a transaction does to the records. It changes no key twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Puts a value, whether there is a record or not.
    Put {
        /// Of the record.
        key: String,
        /// The new value.
        value: Vec<u8>,
    },
    /// Deletes a record. Without one this does nothing.
    Delete {
        /// Of the record.
        key: String,
    },
    /// Deletes all records whose keys begin so.
    DeletePrefix {
        /// The beginning of their keys.
        prefix: String,
    },
}

impl Change {
    /// Which keys it may change.
    pub fn range(&self) -> Range {
        match self {
            Change::Put { key, .. } | Change::Delete { key } => Range::key(key),
            Change::DeletePrefix { prefix } => Range::prefix(prefix),
        }
    }
}

/// Changes that happen all at once, and only if all conditions are met at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The conditions.
    pub if_all: Vec<Compare>,
    /// What is done if all of them are met.
    pub then: Vec<Change>,
    /// The records that are read if one of them is not.
    pub else_read: Vec<String>,
}

impl Transaction {
    /// Whether it may be sent again when nobody knows what became of it: it has conditions, and
    /// none of them is about a record that it changes. Then the first time does not keep the second
    /// from being carried out, and the second does what the first did, under the same conditions.
    ///
    /// A transaction that is not like this (a claim: put if absent) would be refused the second
    /// time because of its own success, and who asked could not tell.
    pub fn may_be_repeated(&self) -> bool {
        let changed: Vec<Range> = self.then.iter().map(Change::range).collect();
        let is_changed = |key: &str| changed.iter().any(|range| range.contains(key));
        !self.if_all.is_empty() && !self.if_all.iter().any(|compare| is_changed(compare.key()))
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Committed {
        /// The revision that it made. Without changes that is the one there was.
        at: Standing,
    },
    /// One of its conditions was not met, and nothing was changed.
    Refused {
        /// The state in which it was not met.
        at: Standing,
        /// The records of `else_read` in that state, in their order.
        read: Vec<Option<Record>>,
    },
}

impl Outcome {
    /// Where the store stood.
    pub fn at(&self) -> Standing {
        match self {
            Outcome::Committed { at } | Outcome::Refused { at, .. } => *at,
        }
    }
}

/// What has become of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has this value now.
    Put(Record),
    /// It is gone.
    Deleted {
        /// The key.
        key: String,
        /// The revision that deleted it.
        modified: Revision,
    },
}

impl Event {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Event::Put(record) => &record.key,
            Event::Deleted { key, .. } => key,
        }
    }

    /// The revision that made it so.
    pub fn modified(&self) -> Revision {
        match self {
            Event::Put(record) => record.modified,
            Event::Deleted { modified, .. } => *modified,
        }
    }
}

/// What a watch tells at once: all that one transaction changed in its range, or several ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// All changes in the range up to this revision have been told with this batch.
    pub revision: Revision,
    /// By rising revision. There may be none.
    pub events: Vec<Event>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(compared: &str, then: Vec<Change>) -> Transaction {
        let compare = Compare::Created { key: compared.to_owned(), is: 7 };
        Transaction { if_all: vec![compare], then, else_read: Vec::new() }
    }

    #[test]
    fn a_transaction_may_be_repeated_if_its_success_does_not_touch_its_conditions() {
        let put = |key: &str| vec![Change::Put { key: key.to_owned(), value: Vec::new() }];
        assert!(transaction("hosts/a", put("beats/a")).may_be_repeated());
        assert!(!transaction("claims/a", put("claims/a")).may_be_repeated());
        let delete = vec![Change::DeletePrefix { prefix: "claims/".to_owned() }];
        assert!(!transaction("claims/a", delete).may_be_repeated());
        let unconditional = Transaction { then: put("a"), ..Transaction::default() };
        assert!(!unconditional.may_be_repeated());
    }
}
