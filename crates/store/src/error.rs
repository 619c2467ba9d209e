//! Why a request has no answer.

use crate::Standing;
use std::fmt;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store could not be asked. A transaction was **not** carried out.
    Unreachable(String),
    /// The answer did not come. Nobody knows whether a transaction was carried out, or will be yet.
    Unknown(String),
    /// The store came back with an older state, or is another one: what was learnt from it before
    /// may not be so. Nobody knows whether a transaction was carried out. The next answers are
    /// about the new state.
    WentBack {
        /// Where it stood when the request was sent.
        had: Standing,
        /// Where it stands.
        has: Standing,
    },
    /// The state or the events asked for are no longer kept: list again.
    TooOld,
    /// The store refuses the request, and would again: no right to it, too large, out of space,
    /// not well formed. A transaction was **not** carried out.
    Denied(String),
    /// A watch told nothing of what the store has committed: what it was connected to has stopped,
    /// or has lost the others.
    Silent,
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unreachable(why) => write!(formatter, "the store cannot be reached: {why}"),
            StoreError::Unknown(why) => write!(formatter, "the store gave no answer: {why}"),
            StoreError::WentBack { had, has } if had.cluster != has.cluster => write!(
                formatter,
                "this is another store: its cluster is {:x}, and was {:x}",
                has.cluster, had.cluster
            ),
            StoreError::WentBack { had, has } => write!(
                formatter,
                "the store came back with an older state: its revision is {}, and was {}",
                has.revision, had.revision
            ),
            StoreError::TooOld => write!(formatter, "the store no longer keeps this revision"),
            StoreError::Denied(why) => write!(formatter, "the store refuses this: {why}"),
            StoreError::Silent => write!(formatter, "the watch does not tell what was committed"),
        }
    }
}

impl std::error::Error for StoreError {}
