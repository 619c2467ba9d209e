//! The last uses of a tenant that is to end.
//!
//! Whatever ends a tenant claims its lease first, so that no new use begins: who comes then waits
//! for the next process. Uses that are open (`Leases::is_in_use`) may go on for a time that
//! `Input::DrainTime` sets, and the run is `Stopping` at [`Stage::AwaitingUses`]. It is asked to
//! end when the last of them has ended, or that time is over. From `dispose` on none is waited for.
//!
//! An idle stop never comes here, since what is in use is not idle. A retired run has waited for
//! its uses already (`retirement.rs`): it comes here only if it is ended before its time.

use crate::RunId;
use crate::messages::Action;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::retirement::Look;
use crate::tenant::{Stage, State};

impl Pool {
    /// For how long uses of the run are waited for, if it is stopped now.
    pub(crate) fn uses_may_last_ms(&self, step: &Step, id: RunId) -> u64 {
        if self.disposal.is_some() || planted(Bug::UsesAreCutOff) {
            return 0;
        }
        match &self.tree_of(id).state {
            State::Ready(_) => self.drain_ms,
            State::Retired(_, ends_ms) => {
                self.drain_ms.min(ends_ms.saturating_sub(step.now.steady_ms))
            }
            _ => 0,
        }
    }

    /// Waits for the uses of a run that is out of service.
    pub(crate) fn await_uses(&mut self, step: &Step, id: RunId, at_most_ms: u64) {
        self.set_stage(id, Stage::AwaitingUses);
        self.set_deadline(step, id, at_most_ms);
        self.actions.push(Action::WatchUses { run: id });
    }

    /// Asks a run to end whose uses were waited for.
    pub(crate) fn wait_for_no_use(&mut self, step: &mut Step, id: RunId) {
        if let State::Stopping(_, stop) = &self.tree_of(id).state
            && stop.stage == Stage::AwaitingUses
        {
            self.ask(step, id);
        }
    }

    /// The last use of the run has ended, unless its lease was opened again meanwhile.
    pub(crate) fn unused(&mut self, step: &mut Step, id: RunId) {
        if step.leases.is_in_use(id) || planted(Bug::LastUseIsNotHeard) {
            return;
        }
        self.wait_for_no_use(step, id);
        self.consider_retired(step, id, Look::Wanted);
    }
}
