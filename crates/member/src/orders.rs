//! What the fleet orders from the store, in the store's own words, and the answers in the fleet's.

use fleet::{Answer, Input, Stamp};
use store::{Batch, Event, News, Outcome, Standing, Store, StoreError};

/// Has the store carry out a transaction.
pub async fn commit(store: &impl Store, transaction: fleet::Transaction) -> Answer {
    match store.commit(in_store(transaction)).await {
        Ok(Outcome::Committed { at }) => Answer::Committed { at: stamp(at) },
        Ok(Outcome::Refused { at, read }) => Answer::Refused { at: stamp(at), read: all(read) },
        Err(error) => failed(&error),
    }
}

/// Has the store read some records.
pub async fn read(store: &impl Store, keys: Vec<String>) -> Answer {
    match store.read(keys).await {
        Ok((at, records)) => Answer::Read { at: stamp(at), records: all(records) },
        Err(error) => failed(&error),
    }
}

/// What is known of an order that has no answer.
fn failed(error: &StoreError) -> Answer {
    tracing::debug!(%error, "the store");
    match error {
        StoreError::Unreachable(_) | StoreError::Denied(_) | StoreError::TooOld => {
            Answer::Unreachable
        }
        StoreError::Unknown(_) | StoreError::WentBack { .. } | StoreError::Silent => {
            Answer::Unknown
        }
    }
}

/// Where the store stands.
pub fn stamp(at: Standing) -> Stamp {
    Stamp { cluster: at.cluster, revision: at.revision }
}

/// A record, for the fleet.
pub fn record(record: store::Record) -> fleet::Record {
    let store::Record { key, value, created, modified } = record;
    fleet::Record { key, value, created, modified }
}

fn all(records: Vec<Option<store::Record>>) -> Vec<Option<fleet::Record>> {
    records.into_iter().map(|found| found.map(record)).collect()
}

fn in_store(transaction: fleet::Transaction) -> store::Transaction {
    let fleet::Transaction { if_all, then, else_read } = transaction;
    let if_all = if_all.into_iter().map(|compare| match compare {
        fleet::Compare::Created { key, is } => store::Compare::Created { key, is },
        fleet::Compare::CreatedIsNot { key, not } => store::Compare::CreatedIsNot { key, not },
        fleet::Compare::Modified { key, is } => store::Compare::Modified { key, is },
    });
    let then = then.into_iter().map(|write| match write {
        fleet::Write::Put { key, value } => store::Change::Put { key, value },
        fleet::Write::Delete { key } => store::Change::Delete { key },
    });
    store::Transaction { if_all: if_all.collect(), then: then.collect(), else_read }
}

/// What a follower has told, for the fleet. That nothing is heard for a while is not told: a host
/// that the store does not answer finds that out by its beats.
///
/// `cluster` is the store that was listed last: what a watch tells is of the same one.
pub fn heard(news: News, cluster: &mut u64) -> Option<Input> {
    match news {
        News::Listed { at, records } => {
            *cluster = at.cluster;
            let records = records.into_iter().map(record).collect();
            Some(Input::Listed { at: stamp(at), records })
        }
        News::Changed(Batch { revision, events }) => {
            let changes = events.into_iter().map(change).collect();
            Some(Input::Changed { at: Stamp { cluster: *cluster, revision }, changes })
        }
        News::Lost(error) => {
            tracing::debug!(%error, "the store is not followed");
            None
        }
    }
}

fn change(event: Event) -> fleet::Change {
    let revision = event.modified();
    match event {
        Event::Put(put) => {
            let record = record(put);
            fleet::Change { key: record.key.clone(), revision, record: Some(record) }
        }
        Event::Deleted { key, .. } => fleet::Change { key, revision, record: None },
    }
}
