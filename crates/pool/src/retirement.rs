//! Retirement: a tree that served until the next release of its key was ready.
//!
//! Its lease is claimed, so no caller is handed it any more, but callers that were may still use
//! it. It is stopped when nothing uses it, or when the time is over that the deploy has given it.
//! It counts as connected when a victim is chosen (`Pool::victim`), and as warm no longer; then it
//! makes room before its time.
//!
//! A retired run that is in use has not left. That its count has fallen to 0 is not told to the
//! pool, so it is looked at once more a sweep later. The last use was a touch, too, from which the
//! idle time counts.

use crate::RunId;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Run, State};

impl Pool {
    pub(crate) fn retire(&mut self, step: &mut Step, id: RunId, retire_ms: u64) {
        if !planted(Bug::RetiredIsHandedOut) {
            step.leases.claim(id);
        }
        let ends_ms = step.now.steady_ms.saturating_add(retire_ms);
        let Pool { tenants, runs, releases, candidates, .. } = self;
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
        self.consider_retired(step, id);
    }

    /// Stops a retired run if nothing uses it any more or its time is over. Otherwise sets its
    /// deadline to when that may be.
    pub(crate) fn consider_retired(&mut self, step: &mut Step, id: RunId) {
        let State::Retired(run, ends_ms) = &self.tree_of(id).state else { return };
        match self.retired_has_left_ms(step, run, *ends_ms) {
            0 => self.begin_stop(step, id, Cause::Replaced),
            _ if planted(Bug::RetiredStays) => self.clear_deadline(id),
            left_ms => self.set_deadline(step, id, left_ms),
        }
    }

    /// How long a retired run may go on if nothing happens: 0 when it is to be stopped. Whether it
    /// is in use is decided here and nowhere else: by the count, by the clock of touches, and of
    /// connections that were seen, in this order (see [`Leases`](crate::Leases)). Without idle
    /// stops that is not known, and its whole time passes.
    fn retired_has_left_ms(&self, step: &Step, run: &Run, ends_ms: u64) -> u64 {
        let left_ms = ends_ms.saturating_sub(step.now.steady_ms);
        let Some(idle_after_ms) = run.idle_after_ms(None, &self.config) else { return left_ms };
        let is_counted = step.leases.is_in_use(run.id) && !planted(Bug::UseEndsWithRelease);
        if is_counted || self.config.heeds_connections && self.looks.is_connected(run.id) {
            return left_ms.min(self.config.sweep_interval_ms.max(1));
        }
        let active_at_ms = step.leases.touched(run.id).at_ms.max(run.connected_at_ms);
        let idle_for_ms = self.absences.running_ms(active_at_ms, step.now.wall_ms);
        left_ms.min(idle_after_ms.saturating_sub(idle_for_ms))
    }
}
