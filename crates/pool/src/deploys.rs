//! Deploys: calls that want a new release of a key, and what becomes of the second tree when the
//! key is to end.
//!
//! A deploy joins the coming release until its process is asked for. A later one waits until the
//! second place is free ([`Beside::later`]), and all that wait then share the next release. That
//! list is drained by the end of the second tree, by a stop of it that is refused, by the end of
//! the serving tree, by a kill, a restart or `dispose`, and by the abort of its calls.
//!
//! `kill`, `restart` and `dispose` mean the key with both trees. A kill is answered when both are
//! gone; a restart starts one process for its own callers and those of the deploys.

use crate::messages::{Outcome, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::releases::Beside;
use crate::tenant::{Cause, State, Tenant, Waiter, Wants};
use crate::{CallId, Failure, Key, RunId};
use std::mem::take;

impl Pool {
    /// A new release of the key is wanted: it is started beside the serving one, which goes on
    /// until the new one is ready, and `retire_ms` longer at most.
    pub(crate) fn deploy(&mut self, step: &mut Step, key: Key, call: CallId, retire_ms: u64) {
        if self.turns_away(&key, call) {
            return;
        }
        if self.draining {
            return self.refuse(call, Refusal::Draining);
        }
        self.begin_deploys(step, key, vec![Waiter { call, wants: Wants::Release { retire_ms } }]);
    }

    /// Does what can be done now for deploys that were accepted.
    pub(crate) fn begin_deploys(&mut self, step: &mut Step, key: Key, deploys: Vec<Waiter>) {
        if let Some(beside) = self.releases.get_mut(&key).filter(|beside| beside.is_coming()) {
            let is_asked_for = !beside.tree.state.is_queued();
            let waiting = if is_asked_for { &mut beside.later } else { &mut beside.tree.waiters };
            return waiting.extend(deploys);
        }
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return self.queue_new_unless_overloaded(key, deploys);
        };
        match &tenant.state {
            State::AwaitingRoom { .. } => {
                tenant.waiters.extend(deploys);
                self.come_forward(&key);
            }
            State::AwaitingGate { .. } => tenant.waiters.extend(deploys),
            State::Starting(_) | State::Probing(_) | State::Ready(_) | State::Asleep(..) => {
                self.begin_beside(step, key, deploys)
            }
            State::Stopping(run, _) => {
                let run = run.id;
                tenant.waiters.extend(deploys);
                self.hurry_clearing(run);
            }
            State::Stranded(run) => {
                let run = run.id;
                tenant.waiters.extend(deploys);
                self.stop_again(step, run);
            }
            State::Retired(..) => unreachable!("what serves is not retired"),
        }
    }

    pub(crate) fn queue_new_unless_overloaded(&mut self, key: Key, waiters: Vec<Waiter>) {
        match self.overload() {
            Some(refusal) => self.refuse_all(waiters, refusal),
            None => self.queue_new(key, waiters, None),
        }
    }

    fn begin_beside(&mut self, step: &mut Step, key: Key, deploys: Vec<Waiter>) {
        if let Some(beside) = self.releases.get_mut(&key) {
            beside.later.extend(deploys);
            if let State::Stranded(run) = &beside.tree.state {
                let run = run.id;
                self.stop_again(step, run);
            }
            return;
        }
        let serving_holds_room = self.tenants[&key].state.holds_room();
        let has_room = self.room.capacity() > usize::from(serving_holds_room);
        let refusal = if has_room { self.overload() } else { Some(Refusal::NoRoomBeside) };
        if let Some(refusal) = refusal {
            return self.refuse_all(deploys, refusal);
        }
        let release = self.tenants[&key].release;
        let state = self.queue_for_room(&key);
        let (waiters, adoption, warm) = (deploys, None, None);
        let tree = Tenant { key: key.clone(), state, waiters, adoption, release, warm };
        self.releases.insert(key, tree);
    }

    fn refuse_all(&mut self, waiters: Vec<Waiter>, refusal: Refusal) {
        waiters.into_iter().for_each(|waiter| self.refuse(waiter.call, refusal.clone()));
    }

    /// The caller of a deploy no longer waits.
    pub(crate) fn abort_deploy(&mut self, step: &mut Step, key: &str, call: CallId) {
        let Some(beside) = self.releases.get_mut(key) else { return };
        beside.later.retain(|waiter| waiter.call != call);
        if let State::Stopping(_, stop) = &mut beside.tree.state {
            stop.failed_waiters.retain(|waiter| *waiter != call);
        }
        beside.tree.waiters.retain(|waiter| waiter.call != call);
        if beside.is_coming() && beside.tree.waiters.is_empty() {
            match beside.tree.state.run().map(|run| run.id) {
                Some(run) => self.begin_stop(step, run, Cause::Killed),
                None => self.forget_queued(key),
            }
        }
    }

    /// Ends the second tree of a key of which nothing is to be left. Returns its run, whose end can
    /// be waited for.
    pub(crate) fn end_beside(&mut self, step: &mut Step, key: &str, cause: Cause) -> Option<RunId> {
        let later = take(&mut self.releases.get_mut(key)?.later);
        let called_off = Refusal::StartFailed { run: None, failure: Failure::CalledOff };
        self.refuse_all(later, called_off.clone());
        let state = &self.releases.get(key).expect("just seen").tree.state;
        let id = state.run().map(|run| run.id);
        match (state, id) {
            (State::Stopping(..), Some(id)) => {
                self.hurry_clearing(id);
                if cause == Cause::Disposed {
                    self.wait_for_no_use(step, id);
                }
            }
            (_, Some(_)) if planted(Bug::SecondTreeStays) => return None,
            (_, Some(id)) => self.begin_stop(step, id, cause),
            (_, None) => self.cancel_queued(key, called_off),
        }
        id
    }

    /// The same, and returns the deploys that wait: the restarted process is to serve them.
    pub(crate) fn end_beside_for_restart(&mut self, step: &mut Step, key: &str) -> Vec<Waiter> {
        let deploys = self.releases.get_mut(key).map(Beside::take_deploys).unwrap_or_default();
        self.end_beside(step, key, Cause::Restarted);
        deploys
    }

    /// The same, and refuses every call that waits for the second tree or for the next.
    pub(crate) fn dispose_beside(&mut self, step: &mut Step, key: &str) {
        let calls = self.releases.get_mut(key).map(Beside::take_calls).unwrap_or_default();
        calls.into_iter().for_each(|call| self.refuse_as_closed(call));
        self.end_beside(step, key, Cause::Disposed);
    }

    /// The stop of the second tree was refused: the calls that wait for its end hear so, and so do
    /// the kills that wait for both trees.
    pub(crate) fn refuse_waiters_for_second_tree(&mut self, key: &str, refusal: &Refusal) {
        let later =
            self.releases.get_mut(key).map(|beside| take(&mut beside.later)).unwrap_or_default();
        self.refuse_all(later, refusal.clone());
        let kills = match self.tenants.get_mut(key).map(|tenant| &mut tenant.state) {
            Some(State::Stopping(_, stop)) => take(&mut stop.kills),
            _ => Vec::new(),
        };
        kills.into_iter().for_each(|call| self.refuse(call, refusal.clone()));
    }

    /// The serving tree is gone. A kill ends both trees, so its calls wait for the second one, too.
    pub(crate) fn settle_kills(&mut self, key: &str, calls: Vec<CallId>) {
        if let Some(beside) = self.releases.get_mut(key)
            && let State::Stopping(_, stop) = &mut beside.tree.state
            && !planted(Bug::KillForgetsTheSecond)
        {
            return stop.kills.extend(calls);
        }
        calls.into_iter().for_each(|call| self.settle(call, Outcome::Done));
    }
}
