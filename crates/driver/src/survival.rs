//! Tenants that may outlive their host: what the driver holds and does for a runtime with
//! `survive`. Any other runtime has none of it.
//!
//! | a step | is in |
//! |---|---|
//! | what earlier hosts have left is found out, and told to the pool | `recovery.rs` |
//! | a run has a record that the warden keeps, and marks | `keeping.rs` |
//! | this host leaves | `leaving.rs` |
//! | listeners of gateways are kept, and taken again | `listeners.rs` |

mod keeping;
mod leaving;
mod listeners;
mod recovery;

use crate::Driver;
use crate::core::Core;
use crate::machine::Machine;
use crate::uplink::CountTold;
use linux::warden_link::RecordFile;
use linux::warden_link::surviving::{FoundListener, FoundRun};
use pool::{CallId, Input, Refusal, RunId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// What a runtime with `survive` holds. Behind the driver's lock.
#[derive(Default)]
pub(crate) struct Survival {
    pub recovering: Recovering,
    /// Calls of `recover` that wait.
    pub recover_calls: Vec<CallId>,
    /// Gateways that wait.
    pub waiting: Vec<oneshot::Sender<Result<(), Refusal>>>,
    /// Runs that were found, until the pool has made runs of its own of them.
    pub found: HashMap<u64, FoundRun>,
    last_found: u64,
    /// Listeners that were found and that no gateway has taken.
    pub listeners: Vec<FoundListener>,
    /// The highest slot of a listener so far.
    last_slot: u64,
    /// Gateways that stop accepting when this host begins to leave.
    gateways: Vec<Box<dyn FnOnce() + Send>>,
    /// The warden's numbers of runs that have ended, until JavaScript has read it.
    pub untold_ends: BTreeMap<RunId, u64>,
    /// Runs that were let go, and have not left what was begun.
    pub leaving: BTreeSet<RunId>,
    pub leave: Leave,
}

/// Whether it is known what earlier hosts have left.
pub(crate) enum Recovering {
    /// It is not yet. Calls wait, in their order.
    Unknown { held: Vec<Input>, has_begun: bool },
    /// It is, or cannot be.
    Known(Result<(), Refusal>),
}

impl Default for Recovering {
    fn default() -> Self {
        Recovering::Unknown { held: Vec::new(), has_begun: false }
    }
}

/// Whether this host leaves.
#[derive(Default)]
pub(crate) enum Leave {
    #[default]
    No,
    /// It does when nothing is left that it alone can do.
    Soon {
        reason: DetachReason,
        /// The pool has heard of it: before it is known what was found it has not.
        has_begun: bool,
        /// Calls of `detach` that are answered then.
        calls: Vec<CallId>,
    },
    /// It has: the warden obeys the next one.
    Done,
}

/// Why this host leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetachReason {
    /// Another host asks it to.
    TakeOver,
    /// The user asks it to.
    Asked,
    /// It did not in time, and has no say any more.
    Fenced,
}

/// What is held for a run that may outlive its host. Dropping it closes its record here.
pub(crate) struct Surviving {
    pub record: Arc<RecordFile>,
    /// Notified when the run is let go.
    pub let_go: Arc<Notify>,
    pub told: CountTold,
    /// Of one that was found: when it was started, in milliseconds since the epoch, and the lines
    /// that were lost.
    pub found: Option<(u64, u64)>,
}

impl<M: Machine> Driver<M> {
    /// Whether tenants may outlive their host.
    pub fn survives(&self) -> bool {
        self.settings.survive.is_some()
    }
}

impl<M: Machine> Core<M> {
    /// Puts the input aside if it is a call, and what earlier hosts have left is not known yet, or its
    /// key is held.
    pub(crate) fn hold_call(&mut self, input: Input) -> Option<Input> {
        let input = match &mut self.survival {
            Some(survival) => survival.hold_call(input)?,
            None => input,
        };
        self.holds.keep(input)
    }

    /// Whether a call of `ensure` and its like waits for what earlier hosts have left.
    pub(crate) fn is_held(&self, call: CallId) -> bool {
        let Some(Survival { recovering: Recovering::Unknown { held, .. }, .. }) =
            self.survival.as_deref()
        else {
            return false;
        };
        held.iter().any(|input| match input {
            Input::Ensure { call: of, .. }
            | Input::Restart { call: of, .. }
            | Input::Deploy { call: of, .. }
            | Input::Adopt { call: of, .. } => *of == call,
            _ => false,
        })
    }
}

impl Survival {
    fn hold_call(&mut self, input: Input) -> Option<Input> {
        let Recovering::Unknown { held, .. } = &mut self.recovering else { return Some(input) };
        match input {
            Input::Ensure { .. }
            | Input::Restart { .. }
            | Input::Deploy { .. }
            | Input::Adopt { .. }
            | Input::Abort { .. }
            | Input::Kill { .. }
            | Input::Warm { .. }
            | Input::ClearBackoff { .. }
            | Input::Drain
            | Input::Dispose { .. }
            | Input::Detach { .. } => {
                held.push(input);
                None
            }
            Input::Abandon => {
                // JavaScript has gone, and with it all who made calls.
                held.clear();
                Some(input)
            }
            _ => Some(input),
        }
    }
}
