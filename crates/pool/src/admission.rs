//! Admission: which keys may have a process here, where another authority than this pool says so: a
//! fleet, in which each key is served by one host.
//!
//! Until [`Input::AdmitOnly`](crate::Input::AdmitOnly) every key may. From then on
//!
//! * a call that may lead to a start of a key that is not admitted is refused with
//!   [`Refusal::NotAdmitted`], before anything else is looked at but the end of the pool; such a key
//!   is not warm;
//! * a key whose admission ends has nothing that could lead to a start: in that step its calls are
//!   refused, what waits for it is forgotten, and its trees begin to end. So no tree of a key that is
//!   not admitted is anything but on its way out, and a start under way cannot outlast its admission;
//! * a process of such a key that refuses to be stopped is not handed out again.
//!
//! A key that is *withdrawn* is stopped as by a kill: another host serves it, or will. One that is
//! *fenced off* may be served elsewhere at this very moment, so every process of it is forced to end, and
//! nothing is waited for.
//!
//! Each admission has an [`Epoch`], which its processes are started with. It tells them from those of
//! every other admission of the key, on this host or another.

use crate::messages::{Action, Outcome, Refusal};
use crate::pool::{Pool, Step};
use crate::releases::Beside;
use crate::tenant::{Cause, Stage, State};
use crate::{CallId, Key, KeyMap, Owner, RunId, StopStage};
use std::mem::take;
use std::sync::Arc;

/// What tells an admission from all others of its key.
pub type Epoch = Arc<str>;

#[derive(Debug, Default)]
pub(crate) struct Admissions {
    /// `None`: every key is admitted, without an epoch.
    epochs: Option<KeyMap<Epoch>>,
    /// Calls that wait until nothing is being stopped any more.
    calls: Vec<CallId>,
}

impl Pool {
    /// Whether the key may have a process here.
    pub fn is_admitted(&self, key: &str) -> bool {
        self.admissions.epochs.as_ref().is_none_or(|epochs| epochs.contains_key(key))
    }

    /// What processes of the key are to be started with, if it was admitted with one.
    pub fn epoch_of(&self, key: &str) -> Option<&Epoch> {
        self.admissions.epochs.as_ref()?.get(key)
    }

    /// Only keys that are admitted may have processes from now on. What there is of others ends.
    pub(crate) fn admit_only(&mut self, step: &mut Step) {
        if self.admissions.epochs.is_none() {
            self.end_admissions(step, false);
        }
    }

    /// The key may have a process here, which is started with this epoch. One that runs already
    /// keeps its own.
    pub(crate) fn admit_key(&mut self, key: Key, epoch: Epoch) {
        self.admissions.epochs.get_or_insert_default().insert(key, epoch);
    }

    /// The key may have no process here any more. Settles the call when it has none.
    pub(crate) fn withdraw(&mut self, step: &mut Step, key: Key, call: CallId, at_once: bool) {
        self.admissions.epochs.get_or_insert_default().remove(&key);
        self.give_up_key(step, key, Some(call), at_once);
    }

    /// No key may have a process here any more. Settles the call when nothing is being stopped any
    /// more.
    pub(crate) fn withdraw_all(&mut self, step: &mut Step, call: CallId, at_once: bool) {
        self.end_admissions(step, at_once);
        self.admissions.calls.push(call);
    }

    fn end_admissions(&mut self, step: &mut Step, at_once: bool) {
        self.admissions.epochs = Some(KeyMap::default());
        self.warm.forget_all();
        for key in self.keys_in_order() {
            self.give_up_key(step, key, None, at_once);
        }
    }

    /// Ends all that there is of a key that is not admitted.
    fn give_up_key(&mut self, step: &mut Step, key: Key, call: Option<CallId>, at_once: bool) {
        self.refuse_calls_of(&key);
        if at_once {
            // The second tree first: it would take the place of the one that serves.
            let second = self.releases.get(&key).and_then(|beside| beside.tree.state.run());
            let serving = self.tenants.get(&key).and_then(|tenant| tenant.state.run());
            let runs = [second, serving].map(|run| run.map(|run| run.id));
            runs.into_iter().flatten().for_each(|run| self.fence_off(step, run));
        }
        let cause = if at_once { Cause::Fenced } else { Cause::Moved };
        self.end_key(step, key, call, cause);
    }

    /// Forces the run to end, whatever it is at.
    fn fence_off(&mut self, step: &mut Step, id: RunId) {
        if matches!(self.tree_of(id).state, State::Stopping(..)) {
            self.cancel_respawn(id);
        } else {
            self.take_out_of_service(step, id, Some(Cause::Fenced), None);
        }
        let State::Stopping(run, stop) = &mut self.tenant_of(id).state else { return };
        stop.is_urgent = true;
        let is_ours = run.custody.owner == Owner::Us;
        match stop.stage {
            // It is forced when its process is known, and called off if its launch has not begun.
            Stage::AwaitingProcess if run.pid.is_none() && is_ours => {
                self.actions.push(Action::Stop { run: id, stage: StopStage::Force });
            }
            Stage::AwaitingProcess if run.pid.is_none() => self.await_process(step, id),
            Stage::Saving => self.give_up_save(step, id),
            Stage::Forced => {}
            _ => {
                self.announce_stop(step, id);
                self.force(id);
            }
        }
    }

    /// Answers those who wait until nothing is being stopped any more. Ends every step.
    pub(crate) fn settle_withdrawals(&mut self) {
        let is_wanted = !self.admissions.calls.is_empty();
        if is_wanted && !self.trees().any(|tree| matches!(tree.state, State::Stopping(..))) {
            let calls = take(&mut self.admissions.calls);
            calls.into_iter().for_each(|call| self.settle(call, Outcome::Done));
        }
    }

    /// Refuses every call that waits for a process of the key.
    fn refuse_calls_of(&mut self, key: &str) {
        let mut calls = self.releases.get_mut(key).map(Beside::take_calls).unwrap_or_default();
        if let Some(tenant) = self.tenants.get_mut(key) {
            calls.extend(take(&mut tenant.waiters).into_iter().map(|waiter| waiter.call));
            if let State::Stopping(_, stop) = &mut tenant.state {
                calls.append(&mut stop.failed_waiters);
            }
        }
        calls.into_iter().for_each(|call| self.refuse(call, Refusal::NotAdmitted));
    }
}
