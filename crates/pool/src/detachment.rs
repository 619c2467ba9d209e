//! Detachment: the host leaves, and its tenants stay for the next one.
//!
//! Nothing is started any more, as after `dispose`, and what is a tenant is let go of: ready and
//! retired ones, those that sleep, as soon as they are awake, and those that were to be stopped and
//! have not been asked yet. Their leases stay
//! as they are, so that requests that are under way in this host come to their end.
//!
//! What is neither a tenant nor gone has [`PATIENCE_MS`]: a start that calls wait for is let go
//! when it has become ready and they have it; a stop that was asked for goes on. After that, starts
//! are stopped and stops get no more than a moment. So every process either is let go or has its
//! exit told here, and never both.

use crate::messages::Event;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::slumber::Doze;
use crate::tenant::{Cause, Stage, State};
use crate::{Action, CallId, Refusal, RunId};

/// How long starts and stops under way may take. Shorter than the time after which a host that
/// another waits for is cut off, and than most clients wait for an answer.
const PATIENCE_MS: u64 = 5_000;

/// The host leaves.
#[derive(Debug)]
pub(crate) struct Detachment {
    /// When patience with what is not ready ends, until it has.
    ends_ms: Option<u64>,
}

impl crate::disposal::Disposal {
    pub fn detaches(&self) -> bool {
        self.detachment.is_some()
    }
}

impl Pool {
    /// The host leaves, for this call if there is one. Where the pool was disposed of or has
    /// detached before, the call waits for that.
    pub(crate) fn detach(&mut self, step: &mut Step, call: Option<CallId>) {
        if let Some(disposal) = &mut self.disposal {
            return disposal.calls.extend(call);
        }
        self.actions.push(Action::Emit(Event::Detach));
        let ends_ms = Some(step.now.steady_ms.saturating_add(PATIENCE_MS));
        let disposal = self.close(Refusal::Disposed);
        disposal.detachment = Some(Detachment { ends_ms });
        disposal.calls.extend(call);
        self.warm.forget_all();
        self.tenants.values_mut().for_each(|tenant| tenant.warm = None);
        for key in self.keys_in_order() {
            self.detach_beside(step, &key);
            self.detach_tenant(step, &key);
        }
    }

    /// Refuses the calls that wait for the second tree of a key, or for the one after. A release
    /// that comes up is called off, and the one that serves stays.
    fn detach_beside(&mut self, step: &mut Step, key: &str) {
        let Some(beside) = self.releases.get_mut(key) else { return };
        let calls = beside.take_calls();
        calls.into_iter().for_each(|call| self.refuse_as_closed(call));
        match self.releases.get(key).map(|beside| &beside.tree.state) {
            Some(State::AwaitingRoom { .. } | State::AwaitingGate { .. }) => {
                self.forget_queued(key)
            }
            Some(State::Starting(run) | State::Probing(run)) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Disposed);
            }
            _ => {}
        }
    }

    /// Calls that wait for a process which has not been asked for are refused.
    fn detach_tenant(&mut self, step: &mut Step, key: &str) {
        let Some(tenant) = self.tenants.get_mut(key) else { return };
        let has_callers = !tenant.waiters.is_empty() && !planted(Bug::DetachCutsStartsShort);
        match &mut tenant.state {
            State::AwaitingGate { .. } if has_callers => {}
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {
                let refusal = self.closed_with();
                self.cancel_queued(key, refusal);
            }
            State::Starting(_) | State::Probing(_) if has_callers => {}
            State::Starting(run) | State::Probing(run) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Disposed);
            }
            State::Stopping(_, stop) => {
                let mut calls = std::mem::take(&mut stop.failed_waiters);
                calls.extend(tenant.waiters.drain(..).map(|waiter| waiter.call));
                calls.into_iter().for_each(|call| self.refuse_as_closed(call));
            }
            State::Asleep(run, slumber) if !slumber.holds_room() => {
                let run = run.id;
                let waiters = std::mem::take(&mut tenant.waiters);
                waiters.into_iter().for_each(|waiter| self.refuse_as_closed(waiter.call));
                self.wake_to_leave(run);
            }
            State::Asleep(run, _) => {
                let run = run.id;
                self.wake(run);
            }
            State::Ready(_) | State::Retired(..) | State::Stranded(_) => {}
        }
    }

    /// Lets go of everything that is a tenant, while the host leaves. Before each step ends.
    pub(crate) fn let_go_of_tenants(&mut self, step: &mut Step) {
        if !self.disposal.as_ref().is_some_and(|disposal| disposal.detaches()) {
            return;
        }
        for run in self.runs_in_order() {
            let is_let_go = match &self.tree_of(run).state {
                State::Ready(_) | State::Retired(..) | State::Stranded(_) => true,
                State::Asleep(_, slumber) => slumber.doze == Doze::Breathing,
                State::Stopping(run, stop) => {
                    let is_asked = !matches!(stop.stage, Stage::AwaitingUses | Stage::Saving);
                    let has_ended = stop.exit.is_some() || run.main_ended_ms.is_some();
                    !(is_asked || has_ended) || planted(Bug::WhatEndsIsLetGo)
                }
                _ => false,
            };
            if is_let_go {
                self.let_go(step, run);
            }
        }
        if self.trees().next().is_none()
            && self.endings.is_empty()
            && let Some(disposal) = &mut self.disposal
            && let Some(detachment) = &mut disposal.detachment
        {
            detachment.ends_ms = None;
        }
    }

    /// The run is over for this pool. What has claimed its lease has not asked it to end.
    fn let_go(&mut self, step: &mut Step, id: RunId) {
        let serves = self.serves(id);
        let key = self.runs.remove(&id).expect("a live run has a key");
        let (mut tree, _) = self.take_tree(&key, id);
        self.looks.ask_no_more(id);
        self.stranded.remove(&id);
        self.room.gives_up_place(tree.state.holds_room());
        let mut calls = Vec::new();
        if let State::Asleep(run, slumber) = &tree.state {
            self.sleepers.remove(run);
            self.wakes_to_leave(step, id, slumber);
        }
        if let State::Stopping(_, stop) = &mut tree.state {
            if !stop.keeps_room {
                self.room.leaving -= 1;
            }
            if serves {
                step.leases.reopen(id);
            }
            calls.append(&mut stop.kills);
        }
        let run = tree.state.run_mut().expect("it was found by its run");
        self.candidates.remove(run);
        self.release_deadline_and_permit(run);
        if self.runs.is_empty() {
            self.observe_at_ms = None;
        }
        self.actions.push(Action::LetGo { run: id });
        calls.into_iter().for_each(|call| self.refuse_as_closed(call));
    }

    /// When patience with what is not ready, or has not ended, ends.
    pub(crate) fn detachment_ends_ms(&self) -> Option<u64> {
        self.disposal.as_ref()?.detachment.as_ref()?.ends_ms
    }

    /// The next host waits no longer.
    pub(crate) fn hurry_detachment(&mut self, step: &mut Step) {
        if let Some(disposal) = &mut self.disposal
            && let Some(detachment) = &mut disposal.detachment
        {
            detachment.ends_ms = None;
        }
        self.end_all(step);
        self.hurry_stops(step);
        let mut untold: Vec<RunId> = self.endings.drain().map(|(run, _)| run).collect();
        untold.sort();
        self.actions.extend(untold.into_iter().map(|run| Action::LetGo { run }));
    }
}
