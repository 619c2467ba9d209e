//! Which host serves which tenant: one host's part of a fleet, as a value.
//!
//! The value does no I/O, reads no clock and starts no thread. Its owner (crates/member) tells it
//! what was asked and what happened, and carries out what comes back:
//!
//! ```text
//! let actions = fleet.handle(now_ms, input);     // in this order, without dropping one
//! let wake_me_at = fleet.next_deadline();        // then: fleet.handle(later, Input::Tick)
//! ```
//!
//! * `now_ms` is the host's clock that goes on while the machine is suspended (CLOCK_BOOTTIME).
//! * An order (`Action::Commit`, `Action::Read`) is answered exactly once, as is a question
//!   (`Action::Ask`), `Hold`, `Withdraw`, `Fence` and `StopAll`; see [`Input`].

#![forbid(unsafe_code)]

mod claims;
mod era;
mod fleet;
mod giving;
mod invariants;
mod keys;
mod leave;
mod membership;
mod messages;
mod observers;
mod orders;
mod picture;
pub mod placement;
mod planted;
mod records;
mod shedding;
mod taking;
mod terms;
mod transaction;
mod wants;

pub use fleet::{Config, Fleet};
pub use messages::{
    Action, AskId, CallId, Change, ClaimView, Event, HostIs, HostView, Input, Key, Local, OrderId,
    Owner, Question, Reply, Want, Where, Why,
};
pub use observers::OBSERVERS;
#[cfg(feature = "planted")]
pub use planted::{ALL as BUGS, Bug, plant};
pub use records::{CLAIMS, ERA, HOSTS};
pub use terms::{CLOCK_RATE_PERCENT, Terms};
pub use transaction::{Answer, Compare, Record, Stamp, Transaction, Write};
