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
//! There are two such ends. A *withdrawn* key is stopped as by a kill: another host serves it, or will.
//! A *fence* ends the admission of all keys: what this host serves may be served elsewhere at any
//! moment, so every process is forced to end, and nothing is waited for.
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
    /// Calls of `fence` that wait until nothing is being stopped any more.
    fences: Vec<CallId>,
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
        if self.admissions.epochs.is_some() {
            return;
        }
        self.admissions.epochs = Some(KeyMap::default());
        self.warm.forget_all();
        for key in self.keys_in_order() {
            self.refuse_calls_of(&key);
            self.end_key(step, key, None, Cause::Moved);
        }
    }

    /// The key may have a process here, which is started with this epoch. One that runs already
    /// keeps its own.
    pub(crate) fn admit_key(&mut self, key: Key, epoch: Epoch) {
        self.admissions.epochs.get_or_insert_default().insert(key, epoch);
    }

    /// The key may have no process here any more. Settles the call when it has none.
    pub(crate) fn withdraw(&mut self, step: &mut Step, key: Key, call: CallId) {
        self.admissions.epochs.get_or_insert_default().remove(&key);
        self.refuse_calls_of(&key);
        self.end_key(step, key, Some(call), Cause::Moved);
    }

    /// No key may have a process here any more: every one is forced to end at once. Settles the call
    /// when nothing is being stopped any more.
    pub(crate) fn fence(&mut self, step: &mut Step, call: CallId) {
        self.admissions.epochs = Some(KeyMap::default());
        self.admissions.fences.push(call);
        self.warm.forget_all();
        for key in self.keys_in_order() {
            self.refuse_calls_of(&key);
            if self.has_queued(&key) {
                self.forget_queued(&key);
            }
            if let Some(tenant) = self.tenants.get_mut(&key) {
                tenant.warm = None;
            }
        }
        self.runs_in_order().into_iter().for_each(|run| self.fence_off(step, run));
    }

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

    /// Answers `fence` once nothing is being stopped any more. Ends every step.
    pub(crate) fn settle_fences(&mut self) {
        let is_wanted = !self.admissions.fences.is_empty();
        if is_wanted && !self.trees().any(|tree| matches!(tree.state, State::Stopping(..))) {
            let calls = take(&mut self.admissions.fences);
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

    fn has_queued(&self, key: &str) -> bool {
        let beside = self.releases.get(key).is_some_and(|beside| beside.tree.state.is_queued());
        beside || self.tenants.get(key).is_some_and(|tenant| tenant.state.is_queued())
    }
}
