//! What the cases need of a store, and how they say what they do to it.

use std::time::Duration;
use store::{Batch, Change, Compare, Event, Outcome, Record, Revision, Standing, Store};
use store::{Transaction, Watch};

/// So long a test waits for what has to come.
pub const SOON: Duration = Duration::from_secs(20);

/// A store for one case.
pub trait Bed: Send + Sync + 'static {
    type Store: Store + Clone;

    /// A way to the store, as a host has one; all ways of a bed have one prefix. What is
    /// there at first is nothing.
    fn way(&self) -> Self::Store;

    /// A way to the same store whose prefix begins as that of the others, and goes on.
    fn way_to_neighbour(&self) -> Self::Store;

    /// Forgets the states before a revision. Only of a bed that is not shared.
    fn compact(&self, up_to: Revision);
}

pub fn put(key: &str, value: &str) -> Change {
    Change::Put { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

pub fn delete(key: &str) -> Change {
    Change::Delete { key: key.to_owned() }
}

pub fn delete_prefix(prefix: &str) -> Change {
    Change::DeletePrefix { prefix: prefix.to_owned() }
}

pub fn created(key: &str, is: Revision) -> Compare {
    Compare::Created { key: key.to_owned(), is }
}

pub fn created_is_not(key: &str, not: Revision) -> Compare {
    Compare::CreatedIsNot { key: key.to_owned(), not }
}

pub fn modified(key: &str, is: Revision) -> Compare {
    Compare::Modified { key: key.to_owned(), is }
}

/// Changes under conditions; a refusal reads all keys that these are about.
pub fn if_all<const N: usize>(if_all: [Compare; N], then: Vec<Change>) -> Transaction {
    let else_read = if_all.iter().map(|compare| compare.key().to_owned()).collect();
    Transaction { if_all: if_all.to_vec(), then, else_read }
}

/// Changes without conditions.
pub async fn change(store: &impl Store, then: Vec<Change>) -> Revision {
    let outcome = store.commit(Transaction { then, ..Transaction::default() }).await;
    match outcome.expect("the store answers") {
        Outcome::Committed { at } => at.revision,
        refused => panic!("refused without a condition: {refused:?}"),
    }
}

/// Changes under conditions; says whether they were met.
pub async fn does<const N: usize>(
    store: &impl Store,
    conditions: [Compare; N],
    then: Vec<Change>,
) -> bool {
    let outcome = store.commit(if_all(conditions, then)).await.expect("the store answers");
    matches!(outcome, Outcome::Committed { .. })
}

pub async fn record(store: &impl Store, key: &str) -> Option<Record> {
    let (_, mut records) = store.read(vec![key.to_owned()]).await.expect("the store answers");
    assert_eq!(records.len(), 1);
    records.remove(0)
}

pub async fn value(store: &impl Store, key: &str) -> Option<String> {
    record(store, key).await.map(|record| text(&record.value))
}

pub async fn standing(store: &impl Store) -> Standing {
    store.read(vec!["no such key".to_owned()]).await.expect("the store answers").0
}

/// The next events of a watch, until there are so many.
pub async fn events(watch: &mut impl Watch, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        events.extend(batch(watch).await.events);
    }
    events
}

pub async fn batch(watch: &mut impl Watch) -> Batch {
    soon(watch.next()).await.expect("the watch goes on")
}

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it comes soon")
}

/// An event as `key=value`, or `-key`.
pub fn told(event: &Event) -> String {
    match event {
        Event::Put(record) => format!("{}={}", record.key, text(&record.value)),
        Event::Deleted { key, .. } => format!("-{key}"),
    }
}

pub fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).expect("tests put text")
}
