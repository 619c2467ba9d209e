//! The interface.

use crate::{Batch, Outcome, Range, Record, Revision, Standing, StoreError, Transaction};

/// An answer, or why there is none.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Records that hosts share. All of them are below a prefix, which keys do not show. Records whose
/// keys are not Unicode are somebody else's, and not told.
///
/// Each request ends after a bounded time, and sees all that was committed before it was sent.
/// Futures may be dropped at any moment.
pub trait Store: Send + Sync + 'static {
    /// See [`Watch`].
    type Watch: Watch;

    /// Carries out a transaction, or nothing of it.
    fn commit(&self, transaction: Transaction) -> impl Future<Output = Result<Outcome>> + Send;

    /// Reads records, all in one state, in the order of the keys; at most
    /// [`MAX_OPERATIONS`](crate::MAX_OPERATIONS).
    fn read(
        &self,
        keys: Vec<String>,
    ) -> impl Future<Output = Result<(Standing, Vec<Option<Record>>)>> + Send;

    /// Reads the first records of a range, by rising key: as many as the store gives at once. With
    /// a revision, it reads the state of that revision, as long as that is kept.
    fn page(&self, range: Range, of: Option<Revision>)
    -> impl Future<Output = Result<Page>> + Send;

    /// Tells all that happens in a range after a revision. What has begun goes on until the watch
    /// is dropped or tells an error.
    fn watch(
        &self,
        range: Range,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch>> + Send;

    /// Reads all records of a range in one state.
    fn list(&self, range: Range) -> impl Future<Output = Result<(Standing, Vec<Record>)>> + Send {
        async move {
            let first = self.page(range, None).await?;
            let (at, mut records, mut rest) = (first.at, first.records, first.rest);
            while let Some(range) = rest {
                let page = self.page(range, Some(at.revision)).await?;
                records.extend(page.records);
                rest = page.rest;
            }
            Ok((at, records))
        }
    }
}

/// Some records of one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the store stood; with a revision asked for, this is a later one.
    pub at: Standing,
    /// By rising key.
    pub records: Vec<Record>,
    /// Where the next page begins, if there is one.
    pub rest: Option<Range>,
}

/// A watch of a range. Dropping it ends it.
pub trait Watch: Send {
    /// Waits for what is next, without an end: whether a watch is still alive is found out by
    /// changing something in its range, as [`Follower`](crate::Follower) does. Each event is told
    /// once, by rising revision. After an error there is nothing more. Nothing is lost if the
    /// future is dropped.
    fn next(&mut self) -> impl Future<Output = Result<Batch>> + Send;
}
