//! What users ask for: ensure, adopt, restart, kill. `drain` and `dispose` are in `disposal.rs`.

use crate::backoff::Hold;
use crate::messages::{Event, Outcome, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, State, Tenant, Waiter, Wants};
use crate::{Action, Adopted, CallId, Failure, Key, Now, Release, RunId};

/// Keys that wait to be started, at most: a router that passes every host name on would otherwise
/// let strangers fill the memory.
const WAITING_KEYS: usize = 100_000;

impl Pool {
    pub(crate) fn ensure(&mut self, step: &mut Step, key: Key, call: CallId) {
        if self.disposal.is_some() && !planted(Bug::StartsAfterDispose) {
            return self.refuse_as_closed(call);
        }
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return self.ensure_new(step, key, call);
        };
        let waiter = Waiter { call, wants: Wants::Any };
        match &mut tenant.state {
            State::Ready(run) => {
                if self.room.waiting() > 0 {
                    run.stay_for_a_moment(step.now.steady_ms);
                }
                let run = run.id;
                step.leases.touch(run, step.now.wall_ms);
                self.settle(call, Outcome::Tenant(run));
            }
            State::Asleep(run, _) => {
                let run = run.id;
                tenant.waiters.push(waiter);
                step.leases.touch(run, step.now.wall_ms);
                self.wake(run);
            }
            State::AwaitingRoom { .. } => {
                tenant.waiters.push(waiter);
                self.come_forward(&key);
            }
            State::AwaitingGate { .. } | State::Starting(_) | State::Probing(_) => {
                tenant.waiters.push(waiter)
            }
            // The start has failed and is being cleared away: the call joins those that hear of it.
            State::Stopping(_, stop) if stop.failure.is_some() => {
                if !planted(Bug::FailureIsNotHeard) {
                    stop.failed_waiters.push(call);
                }
            }
            // The next process was asked for already.
            State::Stopping(..) if !tenant.waiters.is_empty() => tenant.waiters.push(waiter),
            State::Stopping(..) | State::Stranded(_) => self.ensure_after_stop(step, key, waiter),
            State::Retired(..) => unreachable!("what serves is not retired"),
        }
    }

    /// Whether an `ensure` of the key could lead to a start that no call before it has asked for.
    pub fn may_start(&self, key: &str, now: Now) -> bool {
        let is_wanted = match self.tenants.get(key) {
            None => true,
            Some(tenant) => {
                tenant.waiters.is_empty()
                    && matches!(tenant.state, State::Stopping(..) | State::Stranded(_))
            }
        };
        is_wanted && !self.draining && self.failures.hold(key, now.steady_ms).is_none()
    }

    fn ensure_new(&mut self, step: &mut Step, key: Key, call: CallId) {
        if !self.refuses_new_spawn(step, &key, call) && !self.refuses_new_key(call) {
            self.queue_new(key, vec![Waiter { call, wants: Wants::Any }], None);
        }
    }

    /// Takes a process that is running already in as the key's tenant, as soon as there is room.
    pub(crate) fn adopt(&mut self, key: Key, call: CallId, process: Adopted) {
        if self.disposal.is_some() {
            self.refuse_as_closed(call);
        } else if self.draining {
            self.refuse(call, Refusal::Draining);
        } else if self.tenants.contains_key(&key) || self.releases.get(&key).is_some() {
            self.refuse(call, Refusal::Taken);
        } else if !self.refuses_new_key(call) {
            let waiter = Waiter { call, wants: Wants::Any };
            self.queue_new(key, vec![waiter], Some(Box::new((call, process))));
        }
    }

    /// A caller no longer waits. What was being done for this call alone is called off.
    pub(crate) fn abort(&mut self, step: &mut Step, key: &Key, call: CallId) {
        self.abort_deploy(step, key, call);
        let Some(tenant) = self.tenants.get_mut(key) else { return };
        let waiting = tenant.waiters.len();
        tenant.waiters.retain(|waiter| waiter.call != call && !planted(Bug::AbortForgetsOthers));
        // The process that an aborted `adopt` handed over stays its owner's. Other calls that wait
        // for the key get a process of ours.
        tenant.adoption.take_if(|adoption| adoption.0 == call);
        if let State::Stopping(_, stop) = &mut tenant.state {
            stop.failed_waiters.retain(|waiter| *waiter != call);
        }
        let is_wanted = tenant.warm.is_some() && !planted(Bug::AbortEndsWarmStarts);
        if tenant.waiters.len() == waiting || !tenant.waiters.is_empty() || is_wanted {
            return;
        }
        match &tenant.state {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => self.forget_queued(key),
            State::Starting(run) | State::Probing(run) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Killed);
            }
            State::Stopping(run, _) => {
                let run = run.id;
                self.cancel_respawn(run);
            }
            // It wakes all the same.
            State::Ready(_) | State::Asleep(..) | State::Retired(..) | State::Stranded(_) => {}
        }
    }

    fn refuses_new_key(&mut self, call: CallId) -> bool {
        let overload = self.overload();
        let refuses = overload.is_some();
        overload.into_iter().for_each(|refusal| self.refuse(call, refusal));
        refuses
    }

    /// Why no more keys are let in to wait, if none are.
    pub(crate) fn overload(&self) -> Option<Refusal> {
        let waiting = self.room.waiting() + self.gate.waiting();
        (waiting >= WAITING_KEYS).then_some(Refusal::Overloaded { waiting })
    }

    /// An `ensure` for a key whose run is stopping, or is stranded and must be stopped before the
    /// key can have a process again.
    fn ensure_after_stop(&mut self, step: &mut Step, key: Key, waiter: Waiter) {
        if self.refuses_new_spawn(step, &key, waiter.call) {
            return;
        }
        let tenant = self.tenants.get_mut(&key).expect("looked at just now");
        tenant.waiters.push(waiter);
        if let State::Stranded(run) = &tenant.state {
            let run = run.id;
            self.stop_again(step, run);
        }
    }

    /// Refuses a call that nothing but a new spawn could answer, if there is a reason to.
    fn refuses_new_spawn(&mut self, step: &Step, key: &Key, call: CallId) -> bool {
        if self.draining {
            self.refuse(call, Refusal::Draining);
            return true;
        }
        self.refuses_for_failures(step, key, call)
    }

    /// Refuses a call that an earlier failure of the key bears on.
    pub(crate) fn refuses_for_failures(&mut self, step: &Step, key: &Key, call: CallId) -> bool {
        let max_failures = self.failures.max_failures();
        match self.failures.hold(key, step.now.steady_ms) {
            None => return false,
            Some(Hold::Exhausted { failures }) => {
                let last = failures.last.clone();
                self.refuse(call, Refusal::Exhausted { max_failures, last });
            }
            Some(Hold::Window { failures, retry_after_ms }) => {
                let (attempt, last) = (failures.count, failures.last.clone());
                self.actions.push(Action::Emit(Event::Backoff {
                    key: key.clone(),
                    attempt,
                    retry_after_ms,
                }));
                self.refuse(call, Refusal::BackingOff { failures: attempt, retry_after_ms, last });
            }
        }
        true
    }

    /// Whether a failure of the key bears on `ensure` right now: there is nothing that it could
    /// join instead.
    pub(crate) fn heeds_failures(&self, key: &str) -> bool {
        let Some(tenant) = self.tenants.get(key) else { return true };
        match &tenant.state {
            State::Stopping(_, stop) => stop.failure.is_some() || tenant.waiters.is_empty(),
            State::Stranded(_) => true,
            State::AwaitingRoom { .. }
            | State::AwaitingGate { .. }
            | State::Starting(_)
            | State::Probing(_)
            | State::Ready(_)
            | State::Asleep(..)
            | State::Retired(..) => false,
        }
    }

    pub(crate) fn queue_new(
        &mut self,
        key: Key,
        waiters: Vec<Waiter>,
        adoption: Option<Box<(CallId, Adopted)>>,
    ) {
        let state = self.queue_for_room(&key);
        let has_releases = self.releases.any_begun();
        let release =
            if has_releases { self.histories.release_of(&key) } else { Release::default() };
        let warm = self.warm.take(&key);
        let tenant = Tenant { key: key.clone(), state, waiters, adoption, release, warm };
        self.tenants.insert(key, Box::new(tenant));
    }

    pub(crate) fn restart(&mut self, step: &mut Step, key: Key, call: CallId) {
        if self.disposal.is_some() {
            return self.refuse_as_closed(call);
        }
        if self.draining {
            return self.refuse(call, Refusal::Draining);
        }
        let deploys = self.end_beside_for_restart(step, &key);
        let joins = deploys.is_empty();
        let mut waiters = vec![Waiter { call, wants: Wants::Fresh }];
        waiters.extend(deploys);
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return self.queue_new_unless_overloaded(key, waiters);
        };
        tenant.waiters.extend(waiters);
        match &tenant.state {
            State::AwaitingRoom { .. } => self.come_forward(&key),
            State::AwaitingGate { .. } => {}
            State::Stopping(run, _) => {
                let run = run.id;
                self.hurry_clearing(run);
            }
            State::Starting(run) | State::Probing(run) if run.fresh && joins => {}
            State::Starting(run)
            | State::Probing(run)
            | State::Ready(run)
            | State::Asleep(run, _)
            | State::Stranded(run) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Restarted);
            }
            State::Retired(..) => unreachable!("what serves is not retired"),
        }
    }

    pub(crate) fn kill(&mut self, step: &mut Step, key: Key, call: CallId) {
        if let Some(refusal) = self.failed_recovery() {
            return self.refuse(call, refusal);
        }
        let beside = self.end_beside(step, &key, Cause::Killed);
        if !planted(Bug::KillForgetsNoWarmth) {
            self.warm.take(&key);
        }
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return self.wait_for_beside(beside, call);
        };
        if !planted(Bug::KillForgetsNoWarmth) {
            tenant.warm = None;
        }
        match &tenant.state {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {
                self.cancel_queued(
                    &key,
                    Refusal::StartFailed { run: None, failure: Failure::CalledOff },
                );
                self.wait_for_beside(beside, call);
            }
            State::Stopping(run, _) => {
                let run = run.id;
                self.wait_for_end(run, call);
                self.cancel_respawn(run);
                self.hurry_clearing(run);
            }
            State::Starting(run)
            | State::Probing(run)
            | State::Ready(run)
            | State::Asleep(run, _)
            | State::Stranded(run) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Killed);
                self.wait_for_end(run, call);
            }
            State::Retired(..) => unreachable!("what serves is not retired"),
        }
    }

    /// The key has no serving tree whose end a kill could wait for.
    fn wait_for_beside(&mut self, beside: Option<RunId>, call: CallId) {
        match beside {
            Some(run) => self.wait_for_end(run, call),
            None => self.settle(call, Outcome::Done),
        }
    }

    fn wait_for_end(&mut self, run: RunId, call: CallId) {
        if let State::Stopping(_, stop) = &mut self.tenant_of(run).state {
            stop.kills.push(call);
        }
    }

    /// Takes a key out of its queue and refuses its calls. No process of it was ever told of.
    pub(crate) fn cancel_queued(&mut self, key: &str, refusal: Refusal) {
        for waiter in std::mem::take(&mut self.queued_at(key).waiters) {
            self.refuse(waiter.call, refusal.clone());
        }
        self.forget_queued(key);
    }

    pub(crate) fn forget_queued(&mut self, key: &str) {
        let is_beside = self.releases.get(key).is_some_and(|beside| beside.tree.state.is_queued());
        let state = match is_beside {
            true => self.releases.remove(key).map(|beside| beside.tree.state),
            false => self.tenants.remove(key).map(|tenant| tenant.state),
        };
        match state {
            Some(State::AwaitingRoom { ticket }) => self.room.cancel(ticket),
            Some(State::AwaitingGate { ticket }) => {
                self.gate.cancel(ticket);
                self.room.occupied -= 1;
            }
            state => unreachable!("only queued keys are cancelled, not {state:?}"),
        }
    }
}
