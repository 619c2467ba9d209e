//! What happens to runs: started, ready, gone. What follows from an end is in `ends.rs`.

use crate::messages::{Event, Exit, ExitReason, Fact, Outcome};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::sleep::Activity;
use crate::tenant::{Cause, Run, Stage, State, Tenant, Waiter, Wants};
use crate::warm::Warm;
use crate::{Action, Adopted, CallId, Failure, Key, LastExit, Recovered, RunId, Touch, Usage};

impl Pool {
    /// Takes in one fact. Facts about runs that are over are dropped.
    pub(crate) fn fact(&mut self, step: &mut Step, run: RunId, fact: Fact) {
        if !self.runs.contains_key(&run) {
            // Mostly none was found.
            if !self.endings.is_empty() {
                self.fact_of_ending(step, run, fact);
            }
            return;
        }
        match fact {
            Fact::Ruled(rules) => self.ruled(run, rules),
            Fact::Started { pid, port } => self.started(step, run, pid, port),
            Fact::Restored { pid, port } => self.restored(step, run, pid, port),
            Fact::StartFailed(failure) => self.start_failed(step, run, failure),
            Fact::Ready => self.becomes_ready(step, run, step.now.wall_ms, Arrival::Started),
            Fact::NotReady(failure) => self.not_ready(step, run, failure),
            Fact::MainEnded => self.main_ended(step, run),
            Fact::Exited(exit) => self.exited(step, run, exit),
            Fact::StopAsked { stage } => self.stop_asked(step, run, stage),
            Fact::StopAnswered { asked } => self.stop_answered(step, run, asked),
            Fact::StopRefused { asked, failure } => self.stop_refused(step, run, asked, failure),
            Fact::Unused => self.unused(step, run),
            Fact::IdleAnswered { stop } => self.idle_answered(step, run, stop),
            Fact::Rested { depth, rss_bytes } => self.rested(step, run, depth, rss_bytes),
            Fact::RestFailed | Fact::Stirred => self.stirs(step, run),
            Fact::Roused => self.roused(step, run),
            Fact::RouseFailed => self.rouse_failed(step, run),
            Fact::Activity { outgoing, serves_beside, is_busy, seen } => {
                let is_active = serves_beside || is_busy || !seen;
                let has_outgoing = outgoing > 0;
                self.activity_seen(step, run, Activity { has_outgoing, is_active });
            }
            Fact::SleepAnswered { sleep } => self.sleep_answered(step, run, sleep),
            Fact::Knocked => self.knocked(step, run),
            Fact::ImageLate { text } => self.image_late(step, run, text),
            Fact::Sampled { cpu_ms, rss_bytes, regular } => {
                self.sampled(run, cpu_ms, rss_bytes, regular)
            }
        }
    }

    pub(crate) fn started(&mut self, step: &mut Step, id: RunId, pid: u32, port: u16) {
        let tenant = self.tenant_of(id);
        let Some(run) = tenant.state.run_mut().filter(|run| run.pid.is_none()) else { return };
        run.pid = Some(pid);
        let is_ruled = run.rules.is_some();
        let wanted = tenant.state.has_process_now();
        if wanted && !is_ruled {
            tenant.warm = Warm::ruled(tenant.warm, false);
        }
        let key = tenant.key.clone();
        if self.owns_failures_and_history(&key, id) {
            self.histories.started(&key);
        }
        self.actions.push(Action::Emit(Event::Spawn { run: id, pid, port }));
        if wanted {
            self.actions.push(Action::Probe { run: id });
        } else {
            self.process_to_stop_appeared(step, id);
        }
        self.schedule_first_observation(step);
    }

    /// A process that its owner handed over becomes the tenant of its key, which has been given
    /// room.
    pub(crate) fn take_in(&mut self, step: &mut Step, key: Key, call: CallId, process: Adopted) {
        let id = self.next_run();
        let mut run = Box::new(Run::new(id, process.custody, step.now.steady_ms, false));
        run.pid = Some(process.pid);
        run.holds_gate = false;
        run.has_no_port = process.port == 0;
        let tenant = self.tenants.get_mut(&key).expect("a queued key has a tenant");
        tenant.state = State::Probing(run);
        self.runs.insert(id, key.clone());
        let of_key = key.clone();
        self.actions.push(Action::Adopt { run: id, key, call, process });
        self.moves_past_image(id);
        let Adopted { pid, port, touched_at_ms, .. } = process;
        let wants_fresh = self.waiters_for_fresh(id);
        // Calls that came for the tenant meanwhile touch it. And its owner's clock may be ahead of
        // ours.
        let others_want_it = self.tenant_of(id).waiters.iter().any(|waiter| waiter.call != call);
        let now_ms = step.now.wall_ms;
        let touched_at_ms = if others_want_it { now_ms } else { touched_at_ms.min(now_ms) };
        self.becomes_ready(step, id, touched_at_ms, Arrival::Adopted { pid, port });
        self.schedule_first_observation(step);
        self.restart_or_deploy(step, id, of_key, wants_fresh);
    }

    /// Takes the calls that want a process which is started after they came.
    pub(crate) fn waiters_for_fresh(&mut self, id: RunId) -> Vec<Waiter> {
        let waiters = &mut self.tenant_of(id).waiters;
        waiters.extract_if(.., |waiter| waiter.wants != Wants::Any).collect()
    }

    /// Does for these calls what is to be done beside, or after, a process that runs already.
    pub(crate) fn restart_or_deploy(
        &mut self,
        step: &mut Step,
        id: RunId,
        key: Key,
        wants_fresh: Vec<Waiter>,
    ) {
        if wants_fresh.iter().any(|waiter| waiter.wants == Wants::Fresh) {
            self.tenant_of(id).waiters = wants_fresh;
            self.begin_stop(step, id, Cause::Restarted);
        } else if !wants_fresh.is_empty() {
            self.begin_deploys(step, key, wants_fresh);
        }
    }

    pub(crate) fn schedule_first_observation(&mut self, step: &Step) {
        if self.observe_at_ms.is_none() {
            self.schedule_observation(step.now.steady_ms);
        }
    }

    /// From now on the run is its key's tenant, last touched at `touched_at_ms`.
    pub(crate) fn becomes_ready(
        &mut self,
        step: &mut Step,
        id: RunId,
        touched_at_ms: u64,
        arrival: Arrival,
    ) {
        let Pool { tenants, runs, releases, timers, gate, candidates, failures, .. } = self;
        let Pool { actions, config, became_ready, absences, drain_ms, .. } = self;
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        let State::Probing(run) = &mut tenant.state else { return };
        let duration_ms = step.now.steady_ms - run.started_steady_ms;
        let event = match arrival {
            Arrival::Started if run.main_ended_ms.is_some() => return,
            Arrival::Started => Event::Ready { run: id, duration_ms },
            Arrival::Restored { pid, port } => Event::Restored { run: id, pid, port, duration_ms },
            Arrival::Adopted { pid, port } => Event::Adopt { run: id, pid, port },
            Arrival::Recovered(Recovered { pid, port, cpu_ms, .. }) => {
                Event::Recover { run: id, pid, port, cpu_ms }
            }
        };
        let was_found = matches!(event, Event::Recover { .. });
        gate.leave(run);
        timers.clear(run);
        run.was_ready = true;
        *became_ready += 1;
        let is_start = !matches!(event, Event::Adopt { .. });
        let min_uptime_ms = if is_start { config.backoff.min_uptime_ms } else { 0 };
        let min_uptime_ms = min_uptime_ms.saturating_sub(run.ready_before_ms);
        run.proven_at_ms = step.now.steady_ms.saturating_add(min_uptime_ms);
        if min_uptime_ms == 0 {
            failures.clear(&tenant.key);
        }
        step.leases.open(id, touched_at_ms);
        run.wakefulness.since_ms = step.now.steady_ms;
        if is_start && !was_found {
            run.start_took_ms = Some(duration_ms);
        }
        if !was_found || planted(Bug::FoundHasTenure) {
            run.begin_tenure(step.now.steady_ms);
        }
        tenant.warm = Warm::when_ready(tenant.warm);
        let touch = Touch { at_ms: touched_at_ms, sequence: 0 };
        candidates.add(run, touch, tenant.warm.is_some());
        if let Some(idle_after_ms) = run.idle_after_ms(tenant.warm, config) {
            let idle_ms = absences.running_ms(touched_at_ms, step.now.wall_ms);
            let left_ms = idle_after_ms.saturating_sub(idle_ms);
            timers.set(run, step.now.steady_ms.saturating_add(left_ms.max(1)));
        }
        actions.push(Action::Emit(event));
        let of_another = planted(Bug::AnothersTenant).then(|| runs.keys().copied().min()).flatten();
        // The deploy of a release that was found is gone, and with it what it gave the one before.
        let mut retire_ms = if was_found { *drain_ms } else { 0 };
        for waiter in std::mem::take(&mut tenant.waiters) {
            if let Wants::Release { retire_ms: wanted_ms } = waiter.wants {
                retire_ms = wanted_ms.max(retire_ms);
            }
            let outcome = Outcome::Tenant(of_another.unwrap_or(id));
            actions.push(Action::Settle { call: waiter.call, outcome });
        }
        actions.push(Action::Sample { run: id });
        tenant.state.change(|state| match state {
            State::Probing(run) => (State::Ready(run), ()),
            other => unreachable!("{other:?} was `Probing` above"),
        });
        if self.sleeps() {
            self.schedule_step_down(step, id);
        }
        if !self.releases.is_empty() {
            self.take_over(step, id, retire_ms);
        }
    }

    fn not_ready(&mut self, step: &mut Step, id: RunId, failure: Failure) {
        let tenant = self.tenant_of(id);
        if !matches!(tenant.state, State::Probing(_)) {
            return;
        }
        let key = tenant.key.clone();
        if !planted(Bug::FailureIsForgotten) && self.owns_failures_and_history(&key, id) {
            self.failures.record(&key, step.now.steady_ms, id, failure.clone());
        }
        self.begin_stop_of_failed_start(step, id, failure);
    }

    pub(crate) fn start_failed(&mut self, step: &mut Step, id: RunId, failure: Failure) {
        let tenant = self.tenant_of(id);
        if tenant.state.run().is_some_and(|run| run.pid.is_some()) {
            return;
        }
        let key = tenant.key.clone();
        if matches!(tenant.state, State::Starting(_)) && self.owns_failures_and_history(&key, id) {
            self.failures.record(&key, step.now.steady_ms, id, failure.clone());
        }
        self.finish_run(step, id, failure);
    }

    /// The main process has ended by itself. The run is not handed out any more, and what is left
    /// of its tree is cleared away.
    fn main_ended(&mut self, step: &mut Step, id: RunId) {
        let tenant = self.tenant_of(id);
        let Some(run) = tenant.state.run_mut() else { return };
        run.main_ended_ms.get_or_insert(step.now.steady_ms);
        match tenant.state {
            State::Ready(_) | State::Asleep(..) | State::Retired(..) => {
                self.begin_clearing(step, id)
            }
            // It cannot become ready any more. Its callers wait for the exit, which a keeper that
            // was stopped does not tell.
            State::Probing(_) => self.actions.push(Action::Clear { run: id }),
            State::Stopping(_, ref stop)
                if matches!(stop.stage, Stage::AwaitingUses | Stage::Rousing) =>
            {
                self.clear_deadline(id);
                self.clear(id);
            }
            _ => {}
        }
    }

    /// The process is gone.
    pub(crate) fn exited(&mut self, step: &mut Step, id: RunId, exit: Exit) {
        let observing = self.tells_observations();
        if self.sleeps() {
            self.announce_stop(step, id);
        }
        let key = self.runs[&id].clone();
        let owns_failures_and_history = self.owns_failures_and_history(&key, id);
        let tenant = self.releases.tree_mut(&mut self.tenants, &key, id);
        if let State::Stopping(_, stop) = &mut tenant.state
            && stop.stage == Stage::Saving
            && !planted(Bug::SaveIsNotAwaited)
        {
            // Many tools end what they save. Whether it is saved is told by the answer to the
            // save.
            stop.exit.get_or_insert(exit);
            return;
        }
        let failed_start = matches!(tenant.state, State::Starting(_) | State::Probing(_));
        let run = tenant.state.run().expect("an exit belongs to a run");
        let by_itself = ExitReason::by_itself(exit.exit_code);
        let reason = run.cause.map_or(by_itself, Cause::exit_reason);
        let Exit { exit_code, output, out_of_memory, .. } = exit;
        let signal = exit.signal.filter(|signal| !tenant.state.may_have_sent(*signal));
        let has_process = run.pid.is_some();
        // The exit comes after all output was passed on, which may take long after the process has
        // ended.
        let ended_ms = run.main_ended_ms.unwrap_or(step.now.steady_ms);
        let uptime = run.was_ready.then_some(Uptime { ended_ms, proven_at_ms: run.proven_at_ms });
        // Of a process of ours the kernel tells the exact use; of a user's only samples are known.
        let used = exit.cpu_ms.map(|cpu_ms| Usage { cpu_ms: cpu_ms.max(run.cpu_ms), rss_bytes: 0 });
        let last_usage = used.or(run.usage).filter(|_| observing);
        let is_told = !(planted(Bug::ExitIsNotTold) && run.cause == Some(Cause::Restarted));
        if has_process && is_told {
            if let Some(Usage { cpu_ms, rss_bytes }) = last_usage {
                self.actions.push(Action::Emit(Event::Observation { run: id, cpu_ms, rss_bytes }));
            }
            if owns_failures_and_history {
                let at_ms = step.now.wall_ms;
                let exit =
                    LastExit { run: id, exit_code, signal, reason, at_ms, output, out_of_memory };
                self.histories.ended(&key, exit);
            }
            let exit = Event::Exit { run: id, exit_code, signal, reason, out_of_memory };
            self.actions.push(Action::Emit(exit));
            if planted(Bug::ToldAfterExit) {
                self.actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms: 0 }));
            }
        }
        self.leaves_image(id, reason == ExitReason::Checkpointed);
        let failure = Failure::ExitedEarly { exit_code, signal, out_of_memory };
        match uptime {
            _ if !owns_failures_and_history => {}
            _ if failed_start => {
                self.failures.record(&key, step.now.steady_ms, id, failure.clone())
            }
            Some(uptime) if uptime.ended_ms >= uptime.proven_at_ms => self.failures.clear(&key),
            Some(uptime) if reason.is_crash() => {
                let uptime_ms = uptime.ms(self.config.backoff.min_uptime_ms);
                let crash = Failure::CrashedSoon { exit_code, signal, uptime_ms, out_of_memory };
                self.failures.record(&key, step.now.steady_ms, id, crash);
                // Calls that wait for another release have not seen this crash.
                if self.tenants.get(&key).is_some_and(|tenant| tenant.state.is_of(id)) {
                    self.hold_back_waiters(step, &key);
                }
            }
            Some(_) | None => {}
        }
        self.finish_run(step, id, failure);
    }

    /// Calls that came between the crash and the exit are refused for the back-off, like those
    /// that come after it, unless a restart or a deploy waits with them.
    fn hold_back_waiters(&mut self, step: &Step, key: &Key) {
        let waiters = &mut self.tenant_at(key).waiters;
        if waiters.iter().any(|waiter| waiter.wants != Wants::Any) {
            return;
        }
        let waiters = std::mem::take(waiters);
        for waiter in waiters {
            if !self.refuses_for_failures(step, key, waiter.call) {
                self.tenant_at(key).waiters.push(waiter);
            }
        }
    }

    pub(crate) fn tells_observations(&self) -> bool {
        self.config.tells_observations && self.config.observe_interval_ms.is_some()
    }

    fn sampled(&mut self, id: RunId, cpu_ms: u64, rss_bytes: u64, regular: bool) {
        let is_told = regular && self.tells_observations();
        let tenant = self.tenant_of(id);
        let Some(run) = tenant.state.run_mut().filter(|run| run.pid.is_some()) else { return };
        run.cpu_ms = if planted(Bug::CpuTimeFalls) { cpu_ms } else { run.cpu_ms.max(cpu_ms) };
        let cpu_ms = run.cpu_ms;
        run.usage = Some(Usage { cpu_ms, rss_bytes });
        if is_told && run.was_ready {
            self.actions.push(Action::Emit(Event::Observation { run: id, cpu_ms, rss_bytes }));
        }
    }

    pub(crate) fn tenant_of(&mut self, run: RunId) -> &mut Tenant {
        self.releases.tree_mut(&mut self.tenants, &self.runs[&run], run)
    }

    /// The tree of the run, read-only.
    pub(crate) fn tree_of(&self, run: RunId) -> &Tenant {
        self.releases.tree(&self.tenants, &self.runs[&run], run)
    }

    /// The serving tree of every key, then the second trees.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants
            .values()
            .map(|tenant| &**tenant)
            .chain(self.releases.iter().map(|(_, beside)| &*beside.tree))
    }
}

/// How a run has come to be ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// It was started here, and answers.
    Started,
    Restored {
        pid: u32,
        port: u16,
    },
    Adopted {
        pid: u32,
        port: u16,
    },
    Recovered(Recovered),
}

/// How long a run was ready.
struct Uptime {
    ended_ms: u64,
    proven_at_ms: u64,
}

impl Uptime {
    fn ms(&self, min_uptime_ms: u64) -> u64 {
        (self.ended_ms + min_uptime_ms).saturating_sub(self.proven_at_ms)
    }
}
