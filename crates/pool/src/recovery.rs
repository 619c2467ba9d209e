//! Recovery: processes that have outlived the host that started them become tenants of this one.
//!
//! Each that was found begins a run here, told by [`Event::Recover`] before all else of it. What it
//! was to its key (its [`Part`]) says what becomes of it:
//!
//! * One that served serves again, at once and without a tenure: it has been in use. It is idle by
//!   its last touch, as if this host had seen that. Where two serve a key, because the host before
//!   was lost in the middle of a deploy, the later release does, and the other retires.
//! * One that had retired goes on retiring, also where nothing serves in its place any more.
//! * One that was being ended keeps its key's place, so that nothing starts beside it, and is forced
//!   when its time is over.
//! * One that has ended holds neither its key nor room. It is in [`Endings`] until its output has
//!   been passed on, and then its exit is told.
//!
//! More may be found than `max_concurrent` allows, since this host may allow fewer than the one
//! before. Those beyond it leave as victims of an eviction (`eviction.rs`), and nothing is started
//! until they have.

use crate::facts::Arrival;
use crate::history::LastExit;
use crate::messages::{Event, Exit, ExitReason, Fact, Refusal, StopStage};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Run, Stage, State, Stop, Tenant, Waiter, by_our_stop};
use crate::warm::Warm;
use crate::{Action, Custody, Key, Part, Recovered, Release, RunId, RunMap, RunRules};

/// Found runs that hold no place: their exits are still to be told.
pub(crate) type Endings = RunMap<(Key, Recovered)>;

/// Where the tree of a key that was found goes.
enum Place {
    /// It is the serving tree, or its key's only one.
    Serving,
    /// In the place of the serving one, which is the second tree from now on.
    InFront,
    Beside,
    /// The key has two trees already.
    Nowhere,
}

impl Pool {
    /// A process that was found.
    pub(crate) fn recover(&mut self, step: &mut Step, key: Key, process: Recovered) {
        let id = self.next_run();
        self.releases.heed(process.release);
        let found = Box::new(process);
        self.actions.push(Action::Recover { run: id, key: key.clone(), process: found });
        let serves_again = planted(Bug::RetiredServesAgain) && !self.tenants.contains_key(&key);
        match process.part {
            Part::Retires { .. } if serves_again => self.serve_found(step, id, key, process),
            Part::Serves if self.serves_later(step, &key, &process) => {
                self.retire_found(step, id, key, process, None)
            }
            Part::Serves => self.serve_found(step, id, key, process),
            Part::Retires { for_ms } => self.retire_found(step, id, key, process, Some(for_ms)),
            Part::Ends { reason, .. } if planted(Bug::FoundEndingIsOver) => {
                self.tell_of(id, &process);
                let part = Part::HasEnded { reason: Some(reason) };
                self.endings.insert(id, (key, Recovered { part, ..process }));
            }
            Part::Ends { reason, within_ms } => {
                self.end_found(step, id, key, process, reason, within_ms)
            }
            Part::HasEnded { .. } => {
                self.tell_of(id, &process);
                self.endings.insert(id, (key, process));
            }
        }
        let ticket = self.next_ticket();
        self.room.expect_surplus(ticket);
        self.schedule_first_observation(step);
        let is_tenant = self.runs.contains_key(&id)
            && matches!(self.tree_of(id).state, State::Ready(_) | State::Retired(..));
        let ends_all = self.disposal.as_ref().is_some_and(|disposal| !disposal.detaches());
        if is_tenant && ends_all {
            self.begin_stop(step, id, Cause::Disposed);
        }
    }

    fn tell_of(&mut self, id: RunId, process: &Recovered) {
        let Recovered { pid, port, cpu_ms, .. } = *process;
        self.actions.push(Action::Emit(Event::Recover { run: id, pid, port, cpu_ms }));
    }

    /// Whether the key has a ready tenant that is to serve rather than this one: of a later
    /// release or, of the same one, ready for less long.
    fn serves_later(&self, step: &Step, key: &str, process: &Recovered) -> bool {
        let Some(tenant) = self.tenants.get(key) else { return false };
        let (State::Ready(run) | State::Asleep(run, _)) = &tenant.state else { return false };
        let ready_for_ms = run.ready_before_ms + step.now.steady_ms - run.started_steady_ms;
        let is_younger = process.ready_for_ms.unwrap_or(0) >= ready_for_ms;
        let is_later = (tenant.release, is_younger) >= (process.release, true);
        is_later != planted(Bug::EarlierReleaseServes)
    }

    /// A run that was found and has a process of ours.
    fn found_run(&mut self, step: &Step, id: RunId, process: &Recovered) -> Box<Run> {
        let mut run = Box::new(Run::new(id, Custody::OURS, step.now.steady_ms, false));
        run.pid = Some(process.pid);
        (run.holds_gate, run.has_no_port) = (false, process.port == 0);
        run.cpu_ms = if planted(Bug::CpuTimeBeginsAnew) { 0 } else { process.cpu_ms };
        if let Some(ready_for_ms) = process.ready_for_ms {
            let left_ms = self.config.backoff.min_uptime_ms.saturating_sub(ready_for_ms);
            run.ready_before_ms = ready_for_ms;
            run.proven_at_ms = step.now.steady_ms.saturating_add(left_ms);
        }
        if process.rules != RunRules::default() {
            self.heed_rules(&mut run, process.rules);
        }
        run
    }

    fn place_for(&self, key: &str) -> Place {
        let beside = self.releases.get(key).is_some();
        match self.tenants.get(key).map(|tenant| &tenant.state) {
            None => Place::Serving,
            Some(State::AwaitingRoom { .. } | State::AwaitingGate { .. }) => Place::Serving,
            Some(_) if beside => Place::Nowhere,
            Some(State::Stopping(..) | State::Stranded(_)) => Place::InFront,
            Some(_) => Place::Beside,
        }
    }

    /// The key's calls get it at once, if there are any.
    fn serve_found(&mut self, step: &mut Step, id: RunId, key: Key, process: Recovered) {
        let place = self.place_for(&key);
        if matches!(place, Place::Nowhere) {
            return self.force_without_place(id, key, process);
        }
        let run = self.found_run(step, id, &process);
        let waiters = match place {
            Place::Serving | Place::InFront => self.take_waiters(&key),
            _ => Vec::new(),
        };
        let warm = process.rules.is_warm.then(|| Warm::ruled(None, true)).flatten();
        let tree = self.place(id, &key, State::Probing(run), process.release, place);
        (tree.waiters, tree.warm) = (waiters, warm);
        if self.serves(id) {
            self.begin_found_history(&key, process.release);
        }
        let touched_at_ms = touched_at_ms(step, &process);
        let wants_fresh = self.waiters_for_fresh(id);
        self.becomes_ready(step, id, touched_at_ms, Arrival::Recovered(process));
        self.restart_or_deploy(step, id, key, wants_fresh);
    }

    /// Another release serves, or did when the host was lost. `for_ms`: the rest of its time, if
    /// that had begun.
    fn retire_found(
        &mut self,
        step: &mut Step,
        id: RunId,
        key: Key,
        process: Recovered,
        for_ms: Option<u64>,
    ) {
        if self.releases.get(&key).is_some() {
            return self.force_without_place(id, key, process);
        }
        let mut run = self.found_run(step, id, &process);
        self.tell_of(id, &process);
        run.was_ready = true;
        self.became_ready += 1;
        let touched_at_ms = touched_at_ms(step, &process);
        step.leases.open(id, touched_at_ms);
        self.place(id, &key, State::Ready(run), process.release, Place::Beside);
        let Pool { tenants, releases, candidates, .. } = self;
        let run = releases.tree_mut(tenants, &key, id).state.run_mut();
        candidates.add(run.expect("it was placed"), step.leases.touched(id), false);
        self.actions.push(Action::Sample { run: id });
        match for_ms {
            Some(for_ms) => self.begin_retirement(step, id, for_ms),
            None => self.retire(step, id, self.drain_ms),
        }
    }

    /// It is being ended, by an order of the host before or since that is gone.
    fn end_found(
        &mut self,
        step: &mut Step,
        id: RunId,
        key: Key,
        process: Recovered,
        reason: ExitReason,
        within_ms: u64,
    ) {
        let place = match self.place_for(&key) {
            Place::InFront => Place::Beside,
            place => place,
        };
        if matches!(place, Place::Nowhere) {
            return self.force_without_place(id, key, process);
        }
        let mut run = self.found_run(step, id, &process);
        self.tell_of(id, &process);
        (run.was_ending, run.was_ready) = (true, process.ready_for_ms.is_some());
        run.cause = Cause::of(reason);
        self.became_ready += usize::from(run.was_ready);
        let waiters =
            if matches!(place, Place::Serving) { self.take_waiters(&key) } else { vec![] };
        let state = State::Stopping(run, Box::new(Stop::new(Stage::Asked)));
        let tree = self.place(id, &key, state, process.release, place);
        tree.waiters = waiters;
        self.room.leaving += 1;
        if self.serves(id) {
            self.begin_found_history(&key, process.release);
        }
        self.set_deadline(step, id, within_ms);
    }

    /// Puts the tree of a found run where it belongs. It holds room from now on.
    fn place(
        &mut self,
        id: RunId,
        key: &Key,
        state: State,
        release: Release,
        place: Place,
    ) -> &mut Tenant {
        let (waiters, adoption, warm) = (Vec::new(), None, None);
        let tree = Tenant { key: key.clone(), state, waiters, adoption, release, warm };
        self.runs.insert(id, key.clone());
        self.room.occupied += 1;
        match place {
            Place::Serving => {
                self.tenants.insert(key.clone(), Box::new(tree));
            }
            Place::InFront => {
                let before = self.tenants.insert(key.clone(), Box::new(tree));
                self.releases.insert(key.clone(), *before.expect("it is in front of one"));
            }
            Place::Beside | Place::Nowhere => self.releases.insert(key.clone(), tree),
        }
        self.releases.tree_mut(&mut self.tenants, key, id)
    }

    /// The calls that waited for a start of the key, which is not needed now.
    fn take_waiters(&mut self, key: &str) -> Vec<Waiter> {
        let Some(tenant) = self.tenants.get_mut(key) else { return Vec::new() };
        let waiters = std::mem::take(&mut tenant.waiters);
        if tenant.state.is_queued() {
            self.forget_queued(key);
        }
        waiters
    }

    /// There is a third process of the key, which no host starts. It is forced, and its exit told.
    fn force_without_place(&mut self, id: RunId, key: Key, process: Recovered) {
        self.tell_of(id, &process);
        let part = Part::HasEnded { reason: Some(ExitReason::Replaced) };
        self.endings.insert(id, (key, Recovered { part, ..process }));
        self.actions.push(Action::Stop { run: id, stage: StopStage::Force });
    }

    fn begin_found_history(&mut self, key: &Key, release: Release) {
        if self.histories.release_of(key) == release {
            self.histories.started(key);
        } else {
            self.histories.begin_release(key, release, 1);
        }
    }

    /// A fact about a run that had ended when it was found.
    pub(crate) fn fact_of_ending(&mut self, step: &mut Step, id: RunId, fact: Fact) {
        let Fact::Exited(exit) = fact else { return };
        let Some((key, process)) = self.endings.remove(&id) else { return };
        let Part::HasEnded { reason: asked } = process.part else { return };
        let Exit { exit_code, output, out_of_memory, .. } = exit;
        let signal = exit.signal.filter(|signal| asked.is_none() || !by_our_stop(*signal));
        let reason = asked.unwrap_or(ExitReason::by_itself(exit_code));
        if self.tells_observations()
            && let Some(cpu_ms) = exit.cpu_ms
        {
            let cpu_ms = cpu_ms.max(process.cpu_ms);
            self.actions.push(Action::Emit(Event::Observation { run: id, cpu_ms, rss_bytes: 0 }));
        }
        let release = self.histories.release_of(&key);
        if process.release >= release && !self.tenants.contains_key(&key) {
            self.begin_found_history(&key, process.release);
            let at_ms = step.now.wall_ms;
            let exit =
                LastExit { run: id, exit_code, signal, reason, at_ms, output, out_of_memory };
            self.histories.ended(&key, exit);
        }
        let exit = Event::Exit { run: id, exit_code, signal, reason, out_of_memory };
        self.actions.push(Action::Emit(exit));
        self.actions.push(Action::Release { run: id, keeps_port: false });
        let is_unwanted = matches!(reason, ExitReason::Killed | ExitReason::Disposed);
        if process.rules.is_warm && !is_unwanted && !planted(Bug::FoundDeadStaysDown) {
            self.warm_up(step, key);
        }
    }

    /// What was left by earlier hosts cannot be had: every call is refused with this.
    pub(crate) fn refuse_from_now_on(&mut self, step: &mut Step, refusal: Refusal) {
        if self.disposal.is_none() {
            self.close(refusal);
            self.end_all(step);
        }
    }

    /// The refusal of calls that what was left by earlier hosts has not been had for.
    pub(crate) fn failed_recovery(&self) -> Option<Refusal> {
        let refusal = &self.disposal.as_ref()?.refusal;
        (*refusal != Refusal::Disposed).then(|| refusal.clone())
    }
}

/// The clock of the host before may have been ahead of ours.
fn touched_at_ms(step: &Step, process: &Recovered) -> u64 {
    if planted(Bug::FoundIsTouched) {
        return step.now.wall_ms;
    }
    process.touched_at_ms.min(step.now.wall_ms)
}
