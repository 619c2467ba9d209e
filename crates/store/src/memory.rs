//! A store in this process, for tests: with faults that can be switched on.

mod faults;
mod history;
mod watch;

use crate::horizon::Horizon;
use crate::{
    MAX_OPERATIONS, Outcome, Page, Range, Record, Result, Revision, Standing, Store, StoreError,
    Transaction,
};
use faults::Faults;
use history::History;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch::Sender;
pub use watch::MemoryWatch;

/// How many records a page has.
const PAGE_RECORDS: usize = 1_000;
/// How large a value may be: etcd takes requests of 1.5 MiB.
const VALUE_MAX_BYTES: usize = 1_500_000;

/// One way to a store in memory. A clone is the same way: faults that are switched on at one are
/// switched on at both. [`another_way`](Self::another_way) leads to the same store, and has faults
/// of its own, as another host would have.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    way: Arc<Way>,
}

/// The store itself.
#[derive(Debug)]
struct Shared {
    history: Mutex<History>,
    /// Counts what watches have to look at: commits, compactions, and faults of any way.
    changed: Sender<u64>,
}

/// What one host has of its own.
#[derive(Debug, Default)]
struct Way {
    horizon: Horizon,
    faults: Mutex<Faults>,
}

/// The whole state of a store at some moment: see [`MemoryStore::copy`].
#[derive(Clone, Debug)]
pub struct Copy(History);

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// An empty store, at revision 1.
    pub fn new() -> MemoryStore {
        let history = Mutex::new(History::new(1));
        let shared = Arc::new(Shared { history, changed: Sender::default() });
        MemoryStore { shared, way: Arc::default() }
    }

    /// Another way to this store.
    pub fn another_way(&self) -> MemoryStore {
        MemoryStore { shared: self.shared.clone(), way: Arc::default() }
    }

    /// Whether the store can be asked, on this way: if not, each request ends in `Unreachable`, and
    /// watches tell nothing.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.with_faults(|faults| faults.is_reachable = is_reachable);
    }

    /// So many transactions from now on are carried out, and their answers are lost.
    pub fn lose_answers(&self, count: usize) {
        self.with_faults(|faults| faults.answers_to_lose = count);
    }

    /// So many transactions from now on are lost before they reach the store; who asked is told the
    /// same as for a lost answer.
    pub fn lose_requests(&self, count: usize) {
        self.with_faults(|faults| faults.requests_to_lose = count);
    }

    /// Requests take so long to the store, and their answers so long back.
    pub fn set_delays(&self, there: Duration, back: Duration) {
        self.with_faults(|faults| faults.delays = (there, back));
    }

    /// Whether watches tell what happens; without that they are there and silent.
    pub fn set_watches_silent(&self, are_silent: bool) {
        self.with_faults(|faults| faults.are_watches_silent = are_silent);
    }

    /// Ends the watches of this way, as a connection that breaks.
    pub fn break_watches(&self) {
        self.with_faults(|faults| faults.breaks += 1);
    }

    /// Forgets older states and their events. What is there stays.
    pub fn compact(&self, up_to: Revision) {
        self.history().compact(up_to);
        self.tell_watches();
    }

    /// The whole state of now.
    pub fn copy(&self) -> Copy {
        Copy(self.history().clone())
    }

    /// Puts an older state in place of the present one, as an operator does who restores a backup.
    /// All watches end.
    pub fn roll_back(&self, to: &Copy) {
        self.history().return_to(&to.0);
        self.tell_watches();
    }

    /// The store's revision, whatever faults there are.
    pub fn revision(&self) -> Revision {
        self.history().at().revision
    }

    /// The records of a range, whatever faults there are.
    pub fn records(&self, range: &Range) -> Vec<Record> {
        let history = self.history();
        history.range(range, history.at().revision).collect()
    }

    fn with_faults(&self, set: impl FnOnce(&mut Faults)) {
        set(&mut self.faults());
        self.tell_watches();
    }

    fn tell_watches(&self) {
        self.shared.changed.send_modify(|count| *count += 1);
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.way.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.shared.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request to the store and its answer back. With it comes where the store stood.
    async fn ask<T>(&self, ask: impl FnOnce(&mut History) -> Result<(Standing, T)>) -> Result<T> {
        let heard = self.way.horizon.heard();
        let (there, back) = self.faults().delays;
        pause(there).await;
        self.faults().check_reachable()?;
        let answer = ask(&mut self.history());
        pause(back).await;
        // The answer is lost, and so is the way back if the way there is.
        let gone = |_| StoreError::Unknown("the answer was lost".to_owned());
        self.faults().check_reachable().map_err(gone)?;
        let (at, answer) = answer?;
        self.way.horizon.accept(heard, at)?;
        Ok(answer)
    }
}

/// Unlike a timer of no time, no delay gives nobody else a turn.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl Store for MemoryStore {
    type Watch = MemoryWatch;

    async fn commit(&self, transaction: Transaction) -> Result<Outcome> {
        check(&transaction)?;
        self.ask(|history| {
            self.faults().lose_request()?;
            let outcome = history.commit(&transaction);
            self.tell_watches();
            self.faults().lose_answer()?;
            Ok((outcome.at(), outcome))
        })
        .await
    }

    async fn read(&self, keys: Vec<String>) -> Result<(Standing, Vec<Option<Record>>)> {
        check_count(keys.len())?;
        self.ask(|history| {
            let read = keys.iter().map(|key| history.record(key).cloned()).collect();
            Ok((history.at(), (history.at(), read)))
        })
        .await
    }

    async fn page(&self, range: Range, of: Option<Revision>) -> Result<Page> {
        self.ask(|history| {
            let at = history.at();
            let of = of.unwrap_or(at.revision);
            if of < history.compacted {
                return Err(StoreError::TooOld);
            }
            let mut all = history.range(&range, of);
            let records: Vec<Record> = all.by_ref().take(PAGE_RECORDS).collect();
            let rest = all.next().and_then(|_| Some(range.after(&records.last()?.key)));
            Ok((at, Page { at, records, rest }))
        })
        .await
    }

    async fn watch(&self, range: Range, after: Revision) -> Result<MemoryWatch> {
        let (store, changed) = (self.clone(), self.shared.changed.subscribe());
        let begun = self.way.horizon.heard();
        self.ask(|history| {
            if after < history.compacted {
                return Err(StoreError::TooOld);
            }
            let (returns, breaks) = (history.returns, self.faults().breaks);
            Ok((
                history.at(),
                MemoryWatch { store, begun, changed, range, told: after, returns, breaks },
            ))
        })
        .await
    }
}

fn check(transaction: &Transaction) -> Result<()> {
    let Transaction { if_all, then, else_read } = transaction;
    [if_all.len(), then.len(), else_read.len()].into_iter().try_for_each(check_count)?;
    for (index, change) in then.iter().enumerate() {
        let range = change.range();
        if then[..index].iter().any(|earlier| earlier.range().overlaps(&range)) {
            return Err(StoreError::Denied("a transaction changes a key twice".to_owned()));
        }
        if let crate::Change::Put { value, .. } = change
            && value.len() > VALUE_MAX_BYTES
        {
            return Err(StoreError::Denied("the value is too large".to_owned()));
        }
    }
    Ok(())
}

fn check_count(count: usize) -> Result<()> {
    match count <= MAX_OPERATIONS {
        true => Ok(()),
        false => Err(StoreError::Denied(format!("more than {MAX_OPERATIONS} operations"))),
    }
}
