//! The end of a pool: no new starts, no tenants, no host.

use crate::detachment::Detachment;
use crate::messages::{Event, Outcome, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Stage, State};
use crate::{Action, CallId, Failure, Key, Owner, RunId, StopStage};

/// The grace of our own processes when the host is going away. Nothing of them is to be left a
/// second later.
const ABANDONED_GRACE_MS: u64 = 600;

/// Nothing is started any more.
#[derive(Debug)]
pub(crate) struct Disposal {
    /// What calls are refused with.
    pub refusal: Refusal,
    /// Calls to be settled when nothing is being stopped any more.
    pub calls: Vec<CallId>,
    /// The runs that could not be ended since these calls came.
    pub refused: Vec<(RunId, Failure)>,
    /// Tenants are let go and not ended (`detachment.rs`).
    pub detachment: Option<Detachment>,
}

impl Pool {
    pub(crate) fn drain(&mut self) {
        if !std::mem::replace(&mut self.draining, true) || planted(Bug::DrainIsToldAgain) {
            self.actions.push(Action::Emit(Event::Drain));
            self.drain_warm_keys();
        }
    }

    pub(crate) fn dispose(&mut self, step: &mut Step, call: Option<CallId>) {
        let disposal = self.close(Refusal::Disposed);
        disposal.calls.extend(call);
        disposal.detachment = None;
        self.end_all(step);
    }

    /// Nothing is started from now on, and calls are refused with this, unless that is so already.
    pub(crate) fn close(&mut self, refusal: Refusal) -> &mut Disposal {
        let (calls, refused, detachment) = (Vec::new(), Vec::new(), None);
        let disposal = Disposal { refusal, calls, refused, detachment };
        self.pressure = None;
        self.disposal.get_or_insert(disposal)
    }

    pub(crate) fn refuse_as_closed(&mut self, call: CallId) {
        let refusal = self.closed_with();
        self.refuse(call, refusal);
    }

    pub(crate) fn closed_with(&self) -> Refusal {
        self.disposal.as_ref().map_or(Refusal::Disposed, |disposal| disposal.refusal.clone())
    }

    /// Ends every tenant, and refuses all calls that wait for one.
    pub(crate) fn end_all(&mut self, step: &mut Step) {
        self.warm.forget_all();
        self.tenants.values_mut().for_each(|tenant| tenant.warm = None);
        for key in self.keys_in_order() {
            self.dispose_beside(step, &key);
            self.dispose_tenant(step, &key);
        }
    }

    /// Every key that has a tree. Sorted: in the order of a hash map two runs of one story would
    /// differ.
    pub(crate) fn keys_in_order(&self) -> Vec<Key> {
        let second = self.releases.iter().map(|(key, _)| key);
        let mut keys: Vec<Key> = self.tenants.keys().chain(second).cloned().collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub(crate) fn runs_in_order(&self) -> Vec<RunId> {
        let mut runs: Vec<RunId> = self.runs.keys().copied().collect();
        runs.sort();
        runs
    }

    fn dispose_tenant(&mut self, step: &mut Step, key: &Key) {
        let Some(tenant) = self.tenants.get_mut(key) else { return };
        match &mut tenant.state {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {
                let refusal = self.closed_with();
                self.cancel_queued(key, refusal);
            }
            State::Stopping(run, stop) => {
                let run = run.id;
                let failed_waiters = std::mem::take(&mut stop.failed_waiters);
                let waiters = std::mem::take(&mut tenant.waiters);
                let calls =
                    failed_waiters.into_iter().chain(waiters.into_iter().map(|waiter| waiter.call));
                calls.for_each(|call| self.refuse_as_closed(call));
                self.hurry_clearing(run);
                self.wait_for_no_use(step, run);
            }
            State::Starting(run)
            | State::Probing(run)
            | State::Ready(run)
            | State::Asleep(run, _)
            | State::Stranded(run) => {
                let run = run.id;
                let waiters = std::mem::take(&mut tenant.waiters);
                waiters.into_iter().for_each(|waiter| self.refuse_as_closed(waiter.call));
                self.begin_stop(step, run, Cause::Disposed);
            }
            State::Retired(..) => unreachable!("what serves is not retired"),
        }
    }

    /// Answers `dispose` once nothing is being stopped any more. Ends every step.
    pub(crate) fn settle_disposal(&mut self) {
        let Some(disposal) = self.disposal.as_ref().filter(|disposal| !disposal.calls.is_empty())
        else {
            return;
        };
        let is_under_way = match disposal.detaches() {
            true => self.trees().next().is_some(),
            false => self.trees().any(|tree| matches!(tree.state, State::Stopping(..))),
        };
        if is_under_way || !self.endings.is_empty() {
            return;
        }
        let Some(disposal) = &mut self.disposal else { return };
        let calls = std::mem::take(&mut disposal.calls);
        let mut refused = std::mem::take(&mut disposal.refused);
        refused.retain(|(run, _)| self.runs.contains_key(run));
        for call in calls {
            let outcome = if refused.is_empty() {
                Outcome::Done
            } else {
                Outcome::Refused(Refusal::StillTracked { refused: refused.clone() })
            };
            self.settle(call, outcome);
        }
    }

    /// The host is going away, and no call waits any more: ends every process of ours soon, and
    /// forgets the users' ones.
    pub(crate) fn abandon(&mut self, step: &mut Step) {
        self.shorten_stops(ABANDONED_GRACE_MS);
        self.dispose(step, None);
        for run in self.runs_in_order() {
            let run_of = self.tenant_of(run).state.run();
            if run_of.is_some_and(|run| run.custody.owner == Owner::User) {
                self.set_stage(run, Stage::Forced);
                self.exited(step, run, crate::Exit::default());
            }
        }
        self.hurry_stops(step);
        // Nothing passes their output on any more.
        let mut endings: Vec<RunId> = self.endings.drain().map(|(run, _)| run).collect();
        endings.sort();
        self.actions
            .extend(endings.into_iter().map(|run| Action::Release { run, keeps_port: false }));
    }

    /// Gives what is being stopped no more than a moment to end.
    pub(crate) fn hurry_stops(&mut self, step: &mut Step) {
        self.shorten_stops(ABANDONED_GRACE_MS);
        let due_ms = step.now.steady_ms.saturating_add(ABANDONED_GRACE_MS);
        for run in self.runs_in_order() {
            let awaits_image = self.awaits_image(run);
            match &self.tenant_of(run).state {
                // The snapshot driver, which would answer the save, is gone with the host.
                State::Stopping(_, stop) if stop.stage == Stage::Saving => {
                    self.give_up_save(step, run)
                }
                // The snapshot driver, which the start waits for, is gone with the host.
                State::Stopping(_, stop)
                    if stop.stage == Stage::AwaitingProcess && awaits_image =>
                {
                    self.start_failed(step, run, Failure::CalledOff);
                }
                // JavaScript, which prepares the start, is gone with the host.
                State::Stopping(_, stop) if stop.stage == Stage::AwaitingProcess => {
                    self.actions.push(Action::Stop { run, stage: StopStage::Force })
                }
                // The stop was asked for already, with a longer grace.
                State::Stopping(stopping, stop)
                    if matches!(stop.stage, Stage::Asked | Stage::Rousing)
                        && stopping.deadline_ms.is_some_and(|ms| ms > due_ms) =>
                {
                    self.set_deadline(step, run, ABANDONED_GRACE_MS)
                }
                _ => {}
            }
        }
    }
}
