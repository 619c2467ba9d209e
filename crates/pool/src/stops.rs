//! Ending processes: asking, forcing, and what happens when it is refused.

use crate::messages::{Event, Outcome, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Stage, State, Stop, Tenant, Waiter, Wants};
use crate::warm::Warm;
use crate::{Action, CallId, Custody, Failure, Key, Owner, RunId, StopStage};

/// How long a process that may refuse has to end after it was forced, when the configured grace is
/// 0: only asking is skipped then.
const FORCED_GRACE_MS: u64 = 5_000;

impl Pool {
    /// Starts to end a run that is not being ended yet.
    pub(crate) fn begin_stop(&mut self, step: &mut Step, id: RunId, cause: Cause) {
        self.begin_stop_with(step, id, cause, None);
    }

    pub(crate) fn begin_stop_of_failed_start(
        &mut self,
        step: &mut Step,
        id: RunId,
        failure: Failure,
    ) {
        self.begin_stop_with(step, id, Cause::NotReady, Some(failure));
    }

    /// Ends what is left of a run whose main process has ended by itself. That end stays its
    /// cause.
    pub(crate) fn begin_clearing(&mut self, step: &mut Step, id: RunId) {
        self.take_out_of_service(step, id, None, None);
        self.clear(id);
    }

    pub(crate) fn clear(&mut self, id: RunId) {
        self.set_stage(id, Stage::Clearing);
        self.actions.push(Action::Clear { run: id });
    }

    /// Forces a run whose main process has ended by itself: its output is not waited for any
    /// longer than after a forced stop.
    pub(crate) fn hurry_clearing(&mut self, id: RunId) {
        if let State::Stopping(_, stop) = &self.tenant_of(id).state
            && stop.stage == Stage::Clearing
        {
            self.force(id);
        }
    }

    fn begin_stop_with(
        &mut self,
        step: &mut Step,
        id: RunId,
        cause: Cause,
        failure: Option<Failure>,
    ) {
        let uses_may_last_ms = self.uses_may_last_ms(step, id);
        if !self.take_out_of_service(step, id, Some(cause), failure) {
            self.await_process(step, id);
        } else if self.is_to_be_roused(id) {
            self.rouse_to_stop(step, id);
        } else if uses_may_last_ms > 0 && step.leases.is_in_use(id) {
            self.await_uses(step, id, uses_may_last_ms);
        } else {
            self.ask(step, id);
        }
    }

    /// Whether the run, which is to end, sleeps.
    fn is_to_be_roused(&self, id: RunId) -> bool {
        let has_slept =
            |state: &State| matches!(state, State::Stopping(_, stop) if stop.slumber.is_some());
        self.sleeps() && has_slept(&self.tree_of(id).state)
    }

    /// Takes the run out of service. Returns whether its process is known yet.
    pub(crate) fn take_out_of_service(
        &mut self,
        step: &mut Step,
        id: RunId,
        cause: Option<Cause>,
        failure: Option<Failure>,
    ) -> bool {
        let (of_key, serves) = (self.runs[&id].clone(), self.serves(id));
        if self.draining && cause != Some(Cause::Killed) {
            self.refuse_callers_of_sleeper(&of_key, id);
        }
        let Pool { tenants, releases, timers, gate, room, candidates, stranded, failures, .. } =
            self;
        let (looks, sleepers) = (&mut self.looks, &mut self.sleepers);
        let Tenant { key, state, waiters, .. } = releases.tree_mut(tenants, &of_key, id);
        if matches!(state, State::Ready(run) if run.proven_at_ms <= step.now.steady_ms) {
            failures.clear(key);
        }
        // Only the serving tree of a restarted key hands its room on: one process follows both
        // trees.
        let holds_room = state.holds_room();
        let keeps_room = cause == Some(Cause::Restarted)
            && serves
            && holds_room
            && !planted(Bug::RestartLosesRoom);
        let mut slumber = None;
        let mut failed_waiters = Vec::new();
        let has_process = state.change(|state| {
            let mut run = match state {
                State::Starting(run) | State::Probing(run) => {
                    if !keeps_room {
                        failed_waiters = calls_of(waiters);
                    }
                    run
                }
                State::Ready(run) => {
                    if !planted(Bug::LeaseStaysOpen) {
                        step.leases.claim(id);
                    }
                    candidates.remove(&run);
                    run
                }
                State::Asleep(run, mut sleeps) => {
                    sleepers.leave(&run, &sleeps, room, looks);
                    sleeps.stop_is_untold = true;
                    slumber = Some(sleeps);
                    if cause == Some(Cause::Killed) {
                        failed_waiters = calls_of(waiters);
                    }
                    run
                }
                State::Retired(run, _) => {
                    looks.ask_no_more(id);
                    candidates.remove(&run);
                    run
                }
                State::Stranded(run) => {
                    stranded.remove(&id);
                    run
                }
                other => unreachable!("{other:?} is not stopped twice"),
            };
            timers.clear(&mut run);
            gate.leave(&mut run);
            if planted(Bug::LastCauseWins) {
                run.cause = cause;
            }
            run.cause = run.cause.or(cause);
            if holds_room && !keeps_room {
                room.leaving += 1;
            }
            let stop = Stop::new(Stage::AwaitingProcess);
            let stop = Stop { failure, failed_waiters, keeps_room, slumber, ..stop };
            let has_process = run.pid.is_some();
            (State::Stopping(run, Box::new(stop)), has_process)
        });
        self.let_coming_release_take_over(&of_key);
        has_process
    }

    /// A sleeper is about to end. In a pool that drains, the calls that wait for it were accepted
    /// since they needed no start, and now they would.
    pub(crate) fn refuse_callers_of_sleeper(&mut self, key: &Key, id: RunId) {
        let tree = self.releases.tree_mut(&mut self.tenants, key, id);
        if !matches!(tree.state, State::Asleep(..)) || self.releases.has_coming(key) {
            return;
        }
        let waiters =
            std::mem::take(&mut self.releases.tree_mut(&mut self.tenants, key, id).waiters);
        waiters.into_iter().for_each(|waiter| self.refuse(waiter.call, Refusal::Draining));
    }

    /// There is no process to signal yet. A process of ours appears or fails when JavaScript has
    /// prepared it and the warden has answered; a start that waits for the snapshot driver goes on
    /// when that has answered or is late. Only a user's process may never appear: its stop has a
    /// deadline.
    pub(crate) fn await_process(&mut self, step: &mut Step, id: RunId) {
        if self.custody_of(id).owner == Owner::User {
            let patience_ms = self.grace_ms(id).saturating_mul(2);
            self.set_deadline(step, id, patience_ms);
        }
    }

    /// A run that was stopped before its process was known has one now.
    pub(crate) fn process_to_stop_appeared(&mut self, step: &mut Step, id: RunId) {
        match self.tenant_of(id).state {
            State::Stopping(..) => self.ask(step, id),
            State::Stranded(_) => self.stop_again(step, id),
            _ => {}
        }
    }

    /// Starts to end a stranded run once more. Its exit keeps its first cause; its room does not
    /// stay with the key, even if that cause was a restart: the callers of that restart have had
    /// their answer.
    pub(crate) fn stop_again(&mut self, step: &mut Step, id: RunId) {
        self.begin_stop(step, id, Cause::Killed);
    }

    pub(crate) fn ask(&mut self, step: &mut Step, id: RunId) {
        // Every stop comes here, so the run is looked up once.
        let Pool { tenants, runs, releases, timers, config, actions, .. } = self;
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        let State::Stopping(run, stop) = &mut tenant.state else { return };
        let stop_timeout_ms = run.stop_timeout_ms(config);
        if stop_timeout_ms == 0 || stop.is_urgent {
            return self.force(id);
        }
        stop.enter(Stage::Asked);
        actions.push(Action::Stop { run: id, stage: StopStage::Ask });
        if run.custody.may_refuse_stop {
            timers.clear(run);
        } else {
            timers.set(run, deadline_ms(step, stop_timeout_ms));
        }
    }

    pub(crate) fn force(&mut self, id: RunId) {
        self.set_stage(id, Stage::Forced);
        self.actions.push(Action::Stop { run: id, stage: StopStage::Force });
        // SIGKILL cannot be refused: the exit comes when the kernel is done with the tree. The
        // grace of a user's process begins when its `kill` is called.
        self.clear_deadline(id);
    }

    /// The user's `kill` is being called: the grace of this stage begins.
    pub(crate) fn stop_asked(&mut self, step: &mut Step, id: RunId, asked: StopStage) {
        let grace_ends_ms = step.now.steady_ms.saturating_add(self.grace_ms(id));
        let State::Stopping(_, stop) = &mut self.tenant_of(id).state else { return };
        if !matches!(stop.stage, Stage::Asked | Stage::Forced) {
            return;
        }
        *stop.open_kill_ms(asked) = Some(step.now.steady_ms);
        if stop.stage.is(asked) && !std::mem::replace(&mut stop.is_delivered, true) {
            stop.grace_ends_ms = grace_ends_ms;
        }
        self.schedule_end_of_grace(step, id);
    }

    /// The user's `kill` has settled. The grace begins once more, so that the end can be seen.
    pub(crate) fn stop_answered(&mut self, step: &mut Step, id: RunId, asked: StopStage) {
        let (patience_ms, now_ms) = (self.config.kill_patience_ms, step.now.steady_ms);
        let grace_ends_ms = now_ms.saturating_add(self.grace_ms(id));
        let State::Stopping(_, stop) = &mut self.tenant_of(id).state else { return };
        *stop.open_kill_ms(asked) = None;
        if stop.stage == Stage::Forced {
            if stop.held_until_ms(patience_ms).is_none_or(|until_ms| until_ms <= now_ms) {
                stop.grace_ends_ms = grace_ends_ms;
            }
            self.schedule_end_of_grace(step, id);
        }
    }

    /// Sets the deadline of a user's process: when it is forced, if it was asked to end; when its
    /// stop is given up, if it was forced. An open call of its `kill` puts off giving up, within a
    /// bound.
    fn schedule_end_of_grace(&mut self, step: &Step, id: RunId) {
        let (patience_ms, now_ms) = (self.config.kill_patience_ms, step.now.steady_ms);
        let State::Stopping(_, stop) = &self.tenant_of(id).state else { return };
        if !stop.is_delivered {
            return;
        }
        let held_until_ms = stop.held_until_ms(patience_ms).filter(|_| stop.stage == Stage::Forced);
        let ends_ms = stop.grace_ends_ms.max(held_until_ms.unwrap_or(0));
        self.set_deadline(step, id, ends_ms.saturating_sub(now_ms));
    }

    pub(crate) fn grace_is_over(&mut self, step: &mut Step, id: RunId) {
        match &self.tenant_of(id).state {
            State::Stopping(_, stop)
                if stop.stage == Stage::Asked && planted(Bug::GraceIsTheEnd) =>
            {
                self.exited(step, id, crate::Exit::default());
            }
            State::Stopping(_, stop) if stop.stage == Stage::Asked => self.force(id),
            State::Stopping(_, stop) if stop.stage == Stage::Rousing => {
                self.announce_stop(step, id);
                self.force(id);
            }
            State::Stopping(_, stop) if stop.stage == Stage::AwaitingUses => self.ask(step, id),
            State::Stopping(_, stop) if stop.stage == Stage::Saving => self.give_up_save(step, id),
            State::Stopping(..) => self.give_up(step, id, Failure::StopTimedOut),
            _ => {}
        }
    }

    /// The user's `kill` failed. A failure to ask is ignored once the process is being forced.
    pub(crate) fn stop_refused(
        &mut self,
        step: &mut Step,
        id: RunId,
        asked: StopStage,
        failure: Failure,
    ) {
        let State::Stopping(_, stop) = &self.tenant_of(id).state else { return };
        if stop.stage.is(asked) {
            self.give_up(step, id, failure);
        } else {
            self.stop_answered(step, id, asked);
        }
    }

    /// The process is still there and nothing more can be done: the calls that waited for its
    /// end are refused, and it goes back to being a tenant, or is kept apart if it never was one.
    fn give_up(&mut self, step: &mut Step, id: RunId, failure: Failure) {
        let ticket = self.next_ticket();
        let (key, serves) = (self.runs[&id].clone(), self.serves(id));
        let (now_ms, is_admitted) = (step.now.steady_ms, self.is_admitted(&key));
        let tenant = self.tenant_of(id);
        let stop = tenant.state.change(|state| match state {
            State::Stopping(run, stop) if run.was_ready && !serves => {
                (State::Retired(run, now_ms), *stop)
            }
            State::Stopping(run, stop)
                if run.was_ready && is_admitted || planted(Bug::StrandedIsHandedOut) =>
            {
                (State::Ready(run), *stop)
            }
            State::Stopping(run, stop) => (State::Stranded(run), *stop),
            other => unreachable!("{other:?} is no stop that could be given up"),
        });
        let waiters = std::mem::take(&mut tenant.waiters);
        let is_tenant = matches!(tenant.state, State::Ready(_));
        if let State::Ready(run) = &mut tenant.state
            && waiters.iter().any(|waiter| waiter.wants == Wants::Any)
        {
            run.stay_for_a_moment(step.now.steady_ms);
        }
        let refusal = Refusal::StopRefused { run: id, failure: failure.clone() };
        if !serves {
            self.refuse_waiters_for_second_tree(&key, &refusal);
        }
        stop.kills.into_iter().for_each(|call| self.refuse(call, refusal.clone()));
        for call in stop.failed_waiters {
            let failed_start =
                stop.failure.clone().map(|failure| Refusal::StartFailed { run: Some(id), failure });
            self.refuse(call, failed_start.unwrap_or_else(|| refusal.clone()));
        }
        for waiter in waiters {
            if is_tenant && waiter.wants == Wants::Any {
                step.leases.touch(id, step.now.wall_ms);
                self.settle(waiter.call, Outcome::Tenant(id));
            } else {
                self.refuse(waiter.call, refusal.clone());
            }
        }
        if !stop.keeps_room {
            self.room.leaving -= 1;
        }
        if is_tenant {
            self.leaves_image(id, false);
        }
        if let Some(disposal) = &mut self.disposal {
            disposal.refused.retain(|(run, _)| *run != id);
            disposal.refused.push((id, failure.clone()));
        }
        self.keep(step, id, ticket, &failure, stop.idle_ms);
        self.last_refusal = Some((id, failure));
    }

    /// Puts the run of a stop that was given up back among the candidates, or among the stranded
    /// runs.
    fn keep(&mut self, step: &mut Step, id: RunId, ticket: u64, failure: &Failure, idle_ms: u64) {
        let Pool {
            tenants,
            runs,
            releases,
            timers,
            candidates,
            stranded,
            config,
            disposal,
            actions,
            ..
        } = self;
        let Tenant { state, warm, .. } = releases.tree_mut(tenants, &runs[&id], id);
        let serves = matches!(state, State::Ready(_));
        let is_tenant = serves || matches!(state, State::Retired(..));
        let run = state.run_mut().expect("a stop is of a run");
        timers.clear(run);
        run.refused_at_ticket = Some(ticket);
        run.cause = match run.cause {
            _ if is_tenant && *failure != Failure::StopTimedOut => None,
            // It is in use again, so its image no longer matches it.
            Some(Cause::Saved) => {
                actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms }));
                Some(Cause::Idle)
            }
            cause => cause,
        };
        if !is_tenant {
            stranded.insert(id);
            return;
        }
        if serves {
            step.leases.reopen(id);
        }
        *warm = Warm::when_ready(*warm);
        candidates.add(run, step.leases.touched(id), warm.is_some());
        // The stop of a retired run is tried again a sweep later.
        let may_be_idle = run.idle_after_ms(*warm, config).is_some();
        if (may_be_idle || !serves) && disposal.is_none() {
            timers.set(run, step.now.steady_ms.saturating_add(config.sweep_interval_ms.max(1)));
        }
    }

    /// A kill came while the key was being stopped: nothing is to be started after it.
    pub(crate) fn cancel_respawn(&mut self, id: RunId) {
        let tenant = self.tenant_of(id);
        let calls = calls_of(&mut tenant.waiters);
        let State::Stopping(_, stop) = &mut tenant.state else { return };
        stop.failed_waiters.extend(calls);
        if std::mem::take(&mut stop.keeps_room) {
            self.room.leaving += 1;
        }
    }

    pub(crate) fn grace_ms(&self, id: RunId) -> u64 {
        let run = self.tree_of(id).state.run().expect("a stop is of a run");
        match run.stop_timeout_ms(&self.config) {
            0 => FORCED_GRACE_MS,
            grace_ms => grace_ms,
        }
    }

    fn custody_of(&mut self, id: RunId) -> Custody {
        self.tenant_of(id).state.run().expect("a stop is of a run").custody
    }

    pub(crate) fn set_stage(&mut self, id: RunId, stage: Stage) {
        if let State::Stopping(_, stop) = &mut self.tenant_of(id).state {
            stop.enter(stage);
        }
    }

    pub(crate) fn set_deadline(&mut self, step: &Step, id: RunId, after_ms: u64) {
        let Pool { tenants, runs, releases, timers, .. } = self;
        if let Some(run) = releases.tree_mut(tenants, &runs[&id], id).state.run_mut() {
            timers.set(run, deadline_ms(step, after_ms));
        }
    }

    pub(crate) fn clear_deadline(&mut self, id: RunId) {
        let Pool { tenants, runs, releases, timers, .. } = self;
        if let Some(run) = releases.tree_mut(tenants, &runs[&id], id).state.run_mut() {
            timers.clear(run);
        }
    }
}

fn deadline_ms(step: &Step, after_ms: u64) -> u64 {
    let after_ms = if planted(Bug::DueAtOnce) { 0 } else { after_ms.max(1) };
    step.now.steady_ms.saturating_add(after_ms)
}

fn calls_of(waiters: &mut Vec<Waiter>) -> Vec<CallId> {
    std::mem::take(waiters).into_iter().map(|waiter| waiter.call).collect()
}
