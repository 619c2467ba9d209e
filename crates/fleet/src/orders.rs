//! What the store was asked for and has not answered yet.

use crate::transaction::{Answer, Compare, Record, Stamp, Transaction, Write};
use crate::{Action, Fleet, Key, OrderId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A request that failed is tried again after so long.
pub(crate) const RETRY_MS: u64 = 250;

/// Whom an answer concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Join,
    Beat {
        sent_at_ms: u64,
    },
    /// The host's own record is put anew, as it drains now.
    Rewrite,
    /// What a session that ended has left.
    Clear,
    Leave,
    ReadBeats,
    Remove {
        host: Arc<str>,
        session: u64,
    },
    Era,
    Key(Key),
}

#[derive(Debug, Default)]
pub(crate) struct Orders {
    waiting: BTreeMap<OrderId, Order>,
    last: u64,
}

#[derive(Debug)]
struct Order {
    purpose: Purpose,
    /// The highest revision that was known when it was sent: no answer can be of an earlier one.
    floor: u64,
}

impl Orders {
    /// Answers that still come are not heard any more.
    pub fn forget_all(&mut self) {
        self.waiting.clear();
    }

    pub fn forget_keys(&mut self) {
        self.waiting.retain(|_, order| !matches!(order.purpose, Purpose::Key(_)));
    }

    pub fn is_waiting(&self, order: OrderId, purpose: &Purpose) -> bool {
        self.waiting.get(&order).is_some_and(|order| order.purpose == *purpose)
    }
}

impl Fleet {
    pub(crate) fn commit(&mut self, purpose: Purpose, transaction: Transaction) -> OrderId {
        let order = self.order(purpose);
        self.actions.push(Action::Commit { order, transaction });
        order
    }

    pub(crate) fn read(&mut self, purpose: Purpose, keys: Vec<String>) -> OrderId {
        let order = self.order(purpose);
        self.actions.push(Action::Read { order, keys });
        order
    }

    fn order(&mut self, purpose: Purpose) -> OrderId {
        self.orders.last += 1;
        let id = OrderId(self.orders.last);
        let floor = self.store.map_or(0, |stamp| stamp.revision);
        self.orders.waiting.insert(id, Order { purpose, floor });
        id
    }

    pub(crate) fn answered(&mut self, now_ms: u64, order: OrderId, answer: Answer) {
        let Some(Order { purpose, floor }) = self.orders.waiting.remove(&order) else { return };
        if let Some(at) = answer.stamp()
            && !self.is_same_store(now_ms, at, floor)
        {
            return;
        }
        match purpose {
            Purpose::Join => self.join_answered(now_ms, answer),
            Purpose::Beat { sent_at_ms } => self.beat_answered(now_ms, sent_at_ms, answer),
            Purpose::Rewrite => self.rewrite_answered(now_ms, answer),
            Purpose::Clear => self.clear_answered(now_ms, answer),
            Purpose::Leave => self.leave_answered(now_ms, answer),
            Purpose::ReadBeats => self.beats_answered(now_ms, answer),
            Purpose::Remove { host, session } => {
                self.remove_answered(now_ms, &host, session, answer);
            }
            Purpose::Era => self.era_answered(now_ms, answer),
            Purpose::Key(key) => self.key_answered(now_ms, &key, order, answer),
        }
    }
}

impl Answer {
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Answer::Committed { at } | Answer::Refused { at, .. } | Answer::Read { at, .. } => {
                Some(*at)
            }
            Answer::Unknown | Answer::Unreachable => None,
        }
    }
}

pub(crate) fn created(key: String, is: u64) -> Compare {
    Compare::Created { key, is }
}

pub(crate) fn modified(key: String, is: u64) -> Compare {
    Compare::Modified { key, is }
}

pub(crate) fn put(key: String, value: Vec<u8>) -> Write {
    Write::Put { key, value }
}

pub(crate) fn delete(key: String) -> Write {
    Write::Delete { key }
}

/// What was put at `at` under a key that was absent.
pub(crate) fn new_record(key: String, value: Vec<u8>, at: Stamp) -> Record {
    Record { key, value, created: at.revision, modified: at.revision }
}
