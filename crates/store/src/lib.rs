//! What the hosts of a fleet share: a map of records with revisions, changed by transactions, that
//! can be watched.
//!
//! [`Store`] is the interface. What every store has to hold is its contract, which is written in
//! `tests/contract/` and run against each of them:
//!
//! * [`MemoryStore`]: in this process, with faults that a test can switch on;
//! * [`Etcd`](etcd::Etcd): the one that ships.
//!
//! [`Follower`] keeps a picture of a part of any of them.
//!
//! A store needs no leases and no clock of its own: compare and swap, revisions that only grow, and
//! reads that see all that was committed before they were asked for, are enough.
//!
//! Nothing here starts a task or a thread. A future that is dropped leaves nothing behind, except
//! that a transaction which was under way may have been carried out.

#![forbid(unsafe_code)]

mod error;
pub mod etcd;
mod follower;
mod horizon;
mod memory;
mod range;
mod store;
mod transaction;

pub use error::StoreError;
pub use etcd::Etcd;
pub use follower::{Follower, News, Rhythm};
pub use memory::{Copy, MemoryStore, MemoryWatch};
pub use range::Range;
pub use store::{Page, Result, Store, Watch};
pub use transaction::{
    Batch, Change, Compare, Event, MAX_OPERATIONS, Outcome, Record, Revision, Standing, Transaction,
};
