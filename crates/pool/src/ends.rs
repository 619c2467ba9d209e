//! What follows when a run is over: the calls that waited for its end are answered, and the key is
//! started once more or forgotten.

use crate::messages::{Action, Failure, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::releases::Beside;
use crate::tenant::{Run, State, Tenant, Waiter};
use crate::warm::{Comeback, When};
use crate::{Key, Release, RunId};

/// What a serving tree that is gone leaves to the next one of its key.
#[derive(Debug)]
pub(crate) struct Next {
    pub waiters: Vec<Waiter>,
    pub release: Release,
    /// It takes the room over.
    pub keeps_room: bool,
    /// It had room.
    pub held_room: bool,
    /// The key is warm.
    pub comeback: Option<Comeback>,
}

impl Pool {
    /// Removes a finished run and answers the calls that waited for its end. `failure` is the
    /// answer to calls that waited for it to become ready, unless its start was called off.
    pub(crate) fn finish_run(&mut self, step: &mut Step, id: RunId, failure: Failure) {
        self.leaves_image(id, false);
        let key = self.runs.remove(&id).expect("a live run has a key");
        if self.draining {
            self.refuse_callers_of_sleeper(&key, id);
        }
        let (mut tree, later) = self.take_tree(&key, id);
        let (mut waiters, release) = (std::mem::take(&mut tree.waiters), tree.release);
        let keeps_room = matches!(&tree.state, State::Stopping(_, stop) if stop.keeps_room);
        let comeback = self.comeback(step, &tree);
        let held_room = tree.state.holds_room();
        match tree.state {
            State::Stopping(ref mut run, stop) => {
                self.release_deadline_and_permit(run);
                let failure =
                    stop.failure.unwrap_or_else(|| failure_of_called_off_start(run, failure));
                self.refuse_failed_waiters(id, stop.failed_waiters, failure);
                self.settle_kills(&key, stop.kills);
                if !stop.keeps_room && held_room {
                    self.room.leaving -= 1;
                }
            }
            State::Asleep(ref mut run, ref slumber) => {
                self.sleepers.leave(run, slumber, &mut self.room, &mut self.looks);
                self.release_deadline_and_permit(run);
            }
            State::Starting(ref mut run) | State::Probing(ref mut run) => {
                self.release_deadline_and_permit(run);
                self.refuse_failed_waiters(
                    id,
                    waiters.drain(..).map(|waiter| waiter.call).collect(),
                    failure,
                );
            }
            State::Retired(ref mut run, _) => {
                self.candidates.remove(run);
                self.release_deadline_and_permit(run);
            }
            State::Ready(ref mut run) => {
                step.leases.claim(id);
                self.candidates.remove(run);
                self.release_deadline_and_permit(run);
            }
            State::Stranded(ref mut run) => {
                self.stranded.remove(&id);
                self.release_deadline_and_permit(run);
            }
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {
                unreachable!("a queued key has no run")
            }
        }
        // Only the serving release is saved, so only its run may keep the port.
        let keeps_port = later.is_none() && self.images.is_saved(&key);
        self.actions.push(Action::Release { run: id, keeps_port });
        if self.runs.is_empty() {
            self.observe_at_ms = None;
        }
        match later {
            None => {
                let next = Next { waiters, release, keeps_room, held_room, comeback };
                self.after_serving(step, key, next);
            }
            Some(later) => {
                self.room.gives_up_place(held_room);
                if !later.is_empty() {
                    self.begin_deploys(step, key, later);
                }
            }
        }
    }

    /// Removes the run's tree; with the deploys that wait for its end, if it is the second tree of
    /// its key.
    pub(crate) fn take_tree(&mut self, key: &str, id: RunId) -> (Box<Tenant>, Option<Vec<Waiter>>) {
        if self.releases.get(key).is_some_and(|beside| beside.tree.state.is_of(id)) {
            let Beside { tree, later } = self.releases.remove(key).expect("just seen");
            return (tree, Some(later));
        }
        (self.tenants.remove(key).expect("a live run has a tree"), None)
    }

    pub(crate) fn release_deadline_and_permit(&mut self, run: &mut Run) {
        self.became_ready -= usize::from(run.was_ready);
        if !planted(Bug::DeadlineStays) {
            self.timers.clear(run);
        }
        if !planted(Bug::PermitIsLost) {
            self.gate.leave(run);
        }
    }

    fn refuse_failed_waiters(&mut self, run: RunId, calls: Vec<u64>, failure: Failure) {
        for call in calls {
            let failure = failure.clone();
            self.refuse(call, Refusal::StartFailed { run: Some(run), failure });
        }
    }

    /// After a run is over: calls that came meanwhile get a new one, and a warm key comes back. A
    /// restart takes its own room over; others queue behind those that were promised it.
    pub(crate) fn respawn_or_forget(&mut self, key: Key, next: Next) {
        let Next { waiters, release, keeps_room, held_room, comeback } = next;
        let is_now = comeback.is_some_and(|comeback| comeback.when == When::Now);
        let wanted = !waiters.is_empty() || is_now;
        if !(wanted && keeps_room) {
            self.room.gives_up_place(held_room);
        }
        match comeback {
            None if !wanted => {}
            Some(comeback) if !wanted => self.come_back_later(key, release, comeback),
            _ => {
                let state =
                    if keeps_room { self.queue_for_gate(&key) } else { self.queue_for_room(&key) };
                let warm = comeback.map(|comeback| comeback.warm);
                let adoption = None;
                let tenant = Tenant { key: key.clone(), state, waiters, adoption, release, warm };
                self.tenants.insert(key, Box::new(tenant));
            }
        }
    }
}

/// The failure told to callers whose start was stopped before it was ready, when the run ends with
/// `end`: how the process ended, if there was one; `CalledOff`, if there was none, or only the one
/// before theirs. What the user's own function threw is told as it is.
fn failure_of_called_off_start(run: &Run, end: Failure) -> Failure {
    let is_theirs = run.pid.is_some() && !run.was_ready;
    if is_theirs || matches!(end, Failure::Thrown { .. }) { end } else { Failure::CalledOff }
}
