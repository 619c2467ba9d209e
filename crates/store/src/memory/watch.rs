//! A watch of a store in memory.

use super::MemoryStore;
use crate::horizon::Heard;
use crate::{Batch, Range, Result, Revision, Standing, StoreError, Watch};
use tokio::sync::watch::Receiver;

/// See [`Watch`].
#[derive(Debug)]
pub struct MemoryWatch {
    pub(super) store: MemoryStore,
    /// What had been heard of the store when it began.
    pub(super) begun: Heard,
    pub(super) changed: Receiver<u64>,
    pub(super) range: Range,
    /// All up to this revision has been told.
    pub(super) told: Revision,
    /// What had become of the store and the way when it began.
    pub(super) returns: u64,
    pub(super) breaks: u64,
}

impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            self.changed.borrow_and_update();
            if let Some(batch) = self.look()? {
                self.told = batch.revision;
                return Ok(batch);
            }
            // The store, which sends, is a part of this watch.
            let _ = self.changed.changed().await;
        }
    }
}

impl MemoryWatch {
    /// What there is to tell.
    fn look(&self) -> Result<Option<Batch>> {
        // Not locked at once with the history: requests lock these two the other way round.
        let faults = self.store.faults().clone();
        if faults.breaks != self.breaks {
            return Err(StoreError::Unreachable("the watch was broken off".to_owned()));
        }
        if !faults.is_reachable || faults.are_watches_silent {
            return Ok(None);
        }
        let history = self.store.history();
        if history.returns != self.returns {
            return Err(StoreError::Unreachable("the store was restarted".to_owned()));
        }
        if self.told < history.compacted {
            return Err(StoreError::TooOld);
        }
        let next = history.next_after(self.told, &self.range);
        let Some((revision, events)) = next else { return Ok(None) };
        self.store.way.horizon.hear(self.begun, Standing { revision, ..history.at() })?;
        Ok(Some(Batch { revision, events }))
    }
}
