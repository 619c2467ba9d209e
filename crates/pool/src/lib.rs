//! The tenant pool: every rule about starting, keeping and stopping tenants, as a value.
//!
//! The pool does no I/O, reads no clock and starts no thread. Its owner feeds it what was asked and
//! what happened, and carries out what comes back:
//!
//! ```text
//! let actions = pool.handle(now, input, &mut leases);   // in this order, without dropping one
//! let wake_me_at = pool.next_deadline();                 // then: pool.handle(later, Input::Tick, …)
//! ```
//!
//! * [`Input`] is a call of a user or a [`Fact`] about one run (one process from its start to its
//!   end).
//! * [`Action`] is an effect on the world, an [`Event`] for the user, or the settling of a call.
//!   They come as one ordered list, so the order of effects and of events is one order.
//! * [`Leases`] is the one thing the pool shares with the outside: the clock of last touches, which
//!   callers move without asking the pool (see the trait for the protocol that keeps this safe).
//!
//! A key has one tenant, and for the length of a deploy two: one that serves and one that comes up
//! or retires (`releases.rs`). A tenant goes through the states of [`tenant::State`];
//! `invariants.rs` says in prose, and checks in code, what holds after every step. The simulation
//! in `tests/` tells random stories with faults to prove it.

#![forbid(unsafe_code)]

mod admission;
mod backoff;
mod calls;
mod cost;
mod deploys;
mod detachment;
mod disposal;
mod ends;
mod eviction;
mod facts;
mod gate;
mod history;
mod idle;
mod images;
mod invariants;
mod last_uses;
mod messages;
mod planted;
mod pool;
mod pressure;
mod queue;
mod recovery;
mod releases;
mod restless;
mod retirement;
mod room;
mod rules;
mod sleep;
mod slumber;
mod snapshots;
mod status;
mod stops;
pub(crate) mod tenant;
mod tenure;
mod timers;
mod types;
mod wake;
mod warm;

pub use admission::Epoch;
pub use backoff::Backoff;
pub use gate::GateConfig;
pub use history::{History, LastExit};
pub use messages::{
    Action, Callback, Event, Exit, ExitReason, Fact, Failure, ImageAnswer, Input, Outcome, Refusal,
    StopStage,
};
#[cfg(feature = "planted")]
pub use planted::{ALL as BUGS, Bug, plant};
pub use pool::{Figures, Pool, Stats};
pub use rules::RunRules;
pub use status::{BesideStatus, FailureStatus, Phase, Status, Usage};
pub use types::{
    Adopted, CallId, Config, Custody, Depth, Key, KeyMap, Leases, Now, Outgoing, Owner, Part,
    Recovered, Release, RunId, RunMap, Sleep, Touch,
};
