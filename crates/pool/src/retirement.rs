//! Retirement: a tree that served until the next release of its key was ready.
//!
//! Its lease is claimed, so no caller is handed it any more, but callers that were may still use
//! it. It is stopped when nothing uses it, or when the time is over that the deploy has given it.
//! Nothing uses it when, in this order,
//!
//! 1. no use of it is open (`Fact::Unused` tells when the last one has ended);
//! 2. its last touch is [`HANDED_OUT_MS`] ago: callers that do not count uses have connected by
//!    then;
//! 3. a look that began after that shows no open connection to it (`idle.rs`). One that was adopted
//!    without a port has its whole time.
//!
//! It counts as connected when a victim is chosen (`Pool::victim`), and as warm no longer; then it
//! makes room before its time.

use crate::RunId;
use crate::messages::Action;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, State};

/// From a touch until its caller is connected. A caller that is handed a tenant connects in the
/// same turn of its event loop or the next, so this is the longest delay of a loop that is thought
/// of.
const HANDED_OUT_MS: u64 = 200;

/// Between two looks at the connections of a retired run: each lists all sockets of the machine,
/// which takes milliseconds where there are tens of thousands.
const LOOK_INTERVAL_MS: u64 = 100;

/// What is known of the connections of a retired run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing yet.
    Wanted,
    /// It has one, or that could not be seen.
    Connected,
    Unconnected,
}

impl Pool {
    pub(crate) fn retire(&mut self, step: &mut Step, id: RunId, retire_ms: u64) {
        self.actions.push(Action::Retire { run: id, for_ms: retire_ms });
        self.begin_retirement(step, id, retire_ms);
    }

    pub(crate) fn begin_retirement(&mut self, step: &mut Step, id: RunId, retire_ms: u64) {
        if !planted(Bug::RetiredIsHandedOut) {
            step.leases.claim(id);
        }
        let ends_ms = step.now.steady_ms.saturating_add(retire_ms);
        let Pool { tenants, runs, releases, candidates, looks, .. } = self;
        looks.ask_no_more(id);
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        let was_warm = tenant.warm.take().is_some();
        tenant.state.change(|state| match state {
            State::Ready(mut run) => {
                if was_warm && !planted(Bug::RetiredStaysWarm) {
                    candidates.forget_warmth(&mut run);
                }
                (State::Retired(run, ends_ms), ())
            }
            other => unreachable!("{other:?} was `Ready` above"),
        });
        if step.leases.is_in_use(id) && retire_ms > 0 {
            self.actions.push(Action::WatchUses { run: id });
        }
        self.consider_retired(step, id, Look::Wanted);
    }

    pub(crate) fn is_retired(&self, id: RunId) -> bool {
        self.runs.contains_key(&id) && matches!(self.tree_of(id).state, State::Retired(..))
    }

    /// Stops a retired run if nothing uses it any more or its time is over. Otherwise sets its
    /// deadline to when that may be.
    pub(crate) fn consider_retired(&mut self, step: &mut Step, id: RunId, look: Look) {
        let State::Retired(run, ends_ms) = &self.tree_of(id).state else { return };
        let has_no_port = run.has_no_port;
        let left_ms = ends_ms.saturating_sub(step.now.steady_ms);
        let is_in_use = step.leases.is_in_use(id) && !planted(Bug::UseEndsWithRelease);
        let unused_ms = step.now.wall_ms.saturating_sub(step.leases.touched(id).at_ms);
        let next_ms = match look {
            _ if left_ms == 0 => return self.begin_stop(step, id, Cause::Replaced),
            _ if planted(Bug::RetiredStays) => return self.clear_deadline(id),
            _ if is_in_use || has_no_port => left_ms,
            _ if unused_ms < HANDED_OUT_MS => HANDED_OUT_MS - unused_ms,
            Look::Unconnected => return self.begin_stop(step, id, Cause::Replaced),
            Look::Wanted if planted(Bug::RetiredIsNotLookedAt) => {
                return self.begin_stop(step, id, Cause::Replaced);
            }
            Look::Connected => LOOK_INTERVAL_MS,
            // The answer of the look leads back here.
            Look::Wanted => {
                self.looks.ask_next(id);
                left_ms
            }
        };
        self.set_deadline(step, id, next_ms.min(left_ms));
    }
}
