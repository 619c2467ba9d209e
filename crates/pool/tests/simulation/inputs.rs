//! How inputs change the book.

use super::book::{Book, Origin, Place, RunRecord};
use super::properties::ABANDONED_GRACE_MS;
use super::warm::{Comeback, Warm};
use super::world::key_index;
use pool::{
    CallId, Callback, Custody, Exit, ExitReason, Fact, Failure, Input, LastExit, RunId, StopStage,
};

/// What a process that may refuse gets to end after it was forced, when the configured grace is 0.
const FORCED_GRACE_MS: u64 = 5_000;

impl Book {
    /// Before the pool hears of it. (Calls are opened by `open_call`.)
    pub fn input(&mut self, input: &Input) {
        self.note_who_is_kept();
        match input {
            Input::Restart { key, .. } => self.restart(key_index(key)),
            Input::Kill { key, .. } => self.kill(key_index(key)),
            Input::Abort { call, .. } => self.abort(*call),
            Input::ClearBackoff { key } => self.clear_backoff(key_index(key)),
            Input::Image { key, answer } => {
                let key = key_index(key);
                if let Some((run, saved)) = self.image_answered(key, *answer) {
                    self.save_is_over(run, saved);
                }
                // Nothing came of what was called off meanwhile.
                let of_key = self.alive().filter(|run| run.key == key);
                let called_off = of_key.filter(|run| run.awaits_image && !run.is_coming_up());
                for run in called_off.map(|run| run.id).collect::<Vec<_>>() {
                    self.over(run, &Exit::default());
                }
            }
            Input::Drain => self.drain(),
            Input::DrainTime { ms } => self.drain_ms = *ms,
            Input::Dispose { .. } => {
                (self.detached, self.detachment_ends_ms) = (false, None);
                self.dispose();
            }
            Input::Abandon => {
                (self.detached, self.detachment_ends_ms) = (false, None);
                self.abandon();
            }
            Input::Fact(run, fact) => self.fact(*run, fact),
            Input::Connections { open, seen } => self.connections(open, *seen),
            Input::Absent { from_ms, to_ms } => self.absences.push((*from_ms, *to_ms)),
            Input::Detach { .. } => self.detach(),
            Input::Recover { .. } | Input::Refuse { .. } => {}
            Input::AdmitOnly
            | Input::Admit { .. }
            | Input::Withdraw { .. }
            | Input::WithdrawAll { .. } => unreachable!("every key is admitted"),
            Input::Tick => self.tick(),
            Input::Ensure { key, .. } => self.want_key(key_index(key)),
            Input::Deploy { .. } | Input::Adopt { .. } => {}
            Input::Warm { key } => self.warm_up(key_index(key)),
            Input::Touch { key } => self.want_key(key_index(key)),
            Input::Pressure { is_short } => self.pressure(*is_short),
        }
        self.lose_deploys();
        (0..self.keys.len()).for_each(|key| self.let_coming_release_take_over(key));
    }

    fn restart(&mut self, key: usize) {
        if self.disposed || self.draining_since.is_some() {
            return;
        }
        let has_deploys = self.keys[key].deploys_beside + self.keys[key].deploys_later > 0;
        self.move_deploys(key, Place::Beside, Place::Serving);
        self.move_deploys(key, Place::Later, Place::Serving);
        self.cause_of_second(key, ExitReason::Restarted);
        let joins = self.live_run_of(key).is_some_and(|run| run.fresh && run.is_coming_up());
        if joins && !has_deploys {
            return;
        }
        if let Some(run) = self.live_run_of_mut(key) {
            // What timed out before keeps its cause.
            let is_stopped =
                run.stop.is_some() || run.saving.is_some() || run.awaits_uses_ms.is_some();
            let was_given_up = run.given_up.is_some() && !is_stopped;
            let is_first_cause =
                run.cause.is_none() && !run.ends_by_itself && !run.sleep.is_roomless;
            run.makes_room_for_restart |= is_first_cause || was_given_up;
            run.may_make_room_for_restart |= run.is_users() && !run.started;
        }
        self.cause_of_key(key, ExitReason::Restarted);
    }

    fn kill(&mut self, key: usize) {
        if let Some(run) = self.live_run_of_mut(key) {
            run.makes_no_room_for_restart();
        }
        let waiting = self.calls.iter_mut().filter(|call| call.key == key && !call.settled);
        waiting.filter(|call| call.ask.is_for_a_tenant()).for_each(|call| call.killed = true);
        self.refuse_deploys(key);
        (self.keys[key].warm, self.keys[key].comeback) = (None, Comeback::No);
        self.cause_of_key(key, ExitReason::Killed);
    }

    /// A start that no other call waits for is called off.
    fn abort(&mut self, call: CallId) {
        let step = self.step;
        let record = &mut self.calls[call as usize];
        if record.settled {
            return;
        }
        record.aborted = Some(step);
        let (key, place) = (record.key, record.place);
        self.settle(call);
        if place == Place::Beside && self.keys[key].deploys_beside == 0 {
            let second = self.keys[key].second.and_then(|run| self.run_mut(run));
            if let Some(run) = second.filter(|run| run.is_coming_up()) {
                run.cause = Some(ExitReason::Killed);
            }
        }
        let is_wanted = self.keys[key].calls() > 0 || self.keys[key].warm.is_some();
        if place != Place::Serving || is_wanted {
            return;
        }
        if let Some(run) = self.live_run_of_mut(key) {
            run.makes_no_room_for_restart();
            if run.is_coming_up() {
                run.cause = Some(ExitReason::Killed);
            }
        }
    }

    fn tick(&mut self) {
        self.last_tick_ms = self.now.steady_ms;
        self.give_hanging_stops_up();
        self.give_long_saves_up();
        self.warm_keys_are_due();
        self.detachment_is_over();
    }

    pub fn dispose(&mut self) {
        self.disposed = true;
        for key in 0..self.keys.len() {
            self.refuse_deploys(key);
            (self.keys[key].warm, self.keys[key].comeback) = (None, Comeback::No);
            self.cause_of_key(key, ExitReason::Disposed);
        }
    }

    /// Our own processes are still to be reaped, and no save is waited for; the others are let go
    /// of.
    fn abandon(&mut self) {
        self.dispose();
        self.abandoned_ms.get_or_insert(self.now.steady_ms);
        let users: Vec<RunId> =
            self.alive().filter(|run| run.is_users()).map(|run| run.id).collect();
        for run in users {
            self.save_is_late(run);
            self.run_mut(run).expect("it lives").saving = None;
            self.over(run, &Exit::default());
        }
        let waiting: Vec<RunId> =
            self.alive().filter(|run| run.awaits_image).map(|run| run.id).collect();
        waiting.into_iter().for_each(|run| self.over(run, &Exit::default()));
        let ours: Vec<RunId> = self.alive().map(|run| run.id).collect();
        ours.into_iter().for_each(|run| self.save_is_over(run, false));
    }

    fn cause_of_key(&mut self, key: usize, cause: ExitReason) {
        self.cause_of_second(key, cause);
        if let Some(run) = self.live_run_of_mut(key) {
            run.cause = run.cause.or(Some(cause).filter(|_| !run.ends_by_itself));
        }
    }

    fn fact(&mut self, id: RunId, fact: &Fact) {
        let (now_ms, step) = (self.now.steady_ms, self.step);
        let patience_ms = self.config.kill_patience_ms;
        if self.run(id).is_some_and(|run| run.is_found_dead) {
            return self.fact_of_found_dead(id, fact);
        }
        let Some(run) = self.run_mut(id).filter(|run| !run.over) else { return };
        let (key, coming_up) = (run.key, run.is_coming_up());
        match fact {
            Fact::Ruled(rules) if !run.started => self.ruled(id, rules),
            Fact::Started { .. } | Fact::Restored { .. } if !run.started => {
                run.started = true;
                let has_book = self.has_book(id);
                if self.keys[key].live == Some(id) {
                    self.warm_process_appeared(id, fact);
                    self.images[key].last_process = Some(id);
                }
                let run = self.run_mut(id).expect("it lives");
                run.awaits_image = false;
                if matches!(fact, Fact::Restored { .. }) {
                    run.custody = Custody::USERS;
                }
                if coming_up && matches!(fact, Fact::Restored { .. }) {
                    run.become_ready(now_ms);
                    run.origin = Origin::Restored;
                    self.forget_failures_of_ready(key);
                } else if has_book {
                    self.keys[key].history.starts += 1;
                }
                _ = self.observing_from_ms.get_or_insert(now_ms);
            }
            Fact::MainEnded => {
                run.ends_by_itself |= run.is_in_use() || run.is_retired() || run.is_asleep();
                run.main_ended_ms.get_or_insert(now_ms);
            }
            Fact::Ready if coming_up && run.started && run.main_ended_ms.is_none() => {
                run.become_ready(now_ms);
                if self.keys[key].live == Some(id) {
                    self.keys[key].warm = Warm::when_ready(self.keys[key].warm);
                }
                self.forget_failures_of_ready(key);
                self.take_over(key, id);
            }
            Fact::NotReady(failure) if coming_up && run.started => {
                run.failed = true;
                run.cause = Some(ExitReason::ReadinessTimeout);
                self.a_release_failed(id);
                self.failure(key, id, failure.clone());
            }
            Fact::StartFailed(failure) if !run.started => {
                self.a_release_failed(id);
                if coming_up {
                    self.failure(key, id, failure.clone());
                }
                self.over(id, &Exit::default());
            }
            Fact::Exited(exit) => {
                // What ends while it is being saved is over when it is known whether it was.
                if let Some(saving) = &mut run.saving {
                    _ = saving.exit.get_or_insert(exit.clone());
                    return;
                }
                self.a_release_failed(id);
                if coming_up {
                    let Exit { exit_code, signal, out_of_memory, .. } = *exit;
                    let failure = Failure::ExitedEarly { exit_code, signal, out_of_memory };
                    self.failure(key, id, failure);
                }
                self.over(id, exit);
            }
            Fact::StopAsked { stage } if run.stop.is_some() => {
                run.open_kills_ms[usize::from(*stage == StopStage::Force)] = Some(now_ms);
                if run.stop == Some((*stage, None)) {
                    run.stop = Some((*stage, Some(now_ms)));
                }
            }
            Fact::StopAnswered { asked } if run.stop.is_some() => {
                run.kill_settled(*asked, patience_ms, now_ms)
            }
            Fact::StopRefused { asked, .. } => {
                let Some((stage, _)) = run.stop else { return };
                run.kill_settled(*asked, patience_ms, now_ms);
                if stage == *asked {
                    if run.ready {
                        run.cause = None;
                    }
                    self.give_up(id);
                }
            }
            Fact::IdleAnswered { stop } if std::mem::take(&mut run.idleness.is_asked) => match stop
            {
                true => run.idleness.condemned_step = step,
                false => run.idleness.kept_ms = Some(now_ms),
            },
            Fact::Unused => run.unused_step = step,
            Fact::Sampled { rss_bytes, .. } => {
                run.sampled |= run.started;
                run.rss_bytes = if run.started { *rss_bytes } else { run.rss_bytes };
            }
            Fact::Rested { .. }
            | Fact::RestFailed
            | Fact::Stirred
            | Fact::Roused
            | Fact::RouseFailed
            | Fact::Activity { .. }
            | Fact::SleepAnswered { .. }
            | Fact::Knocked => self.sleep_fact(id, fact),
            Fact::ImageLate { text } if run.awaits_image && self.image_is_late(id) => {
                if coming_up {
                    let failure = Failure::Thrown { by: Callback::Spawn, text: text.clone() };
                    self.failure(key, id, failure);
                }
                self.over(id, &Exit::default());
            }
            _ => {}
        }
    }

    fn save_is_over(&mut self, id: RunId, saved: bool) {
        let step = self.step;
        let Some(saving) = self.run_mut(id).and_then(|run| run.saving.take()) else { return };
        self.save_is_late(id);
        let run = self.run_mut(id).expect("it was being saved");
        if saved {
            (run.cause, run.saved_step) = (Some(ExitReason::Checkpointed), step);
        }
        if let Some(exit) = saving.exit {
            self.over(id, &exit);
        }
    }

    /// A save that takes longer than `checkpoint_timeout_ms` is given up.
    fn give_long_saves_up(&mut self) {
        let Some(timeout_ms) = self.config.checkpoint_timeout_ms else { return };
        for key in 0..self.keys.len() {
            let Some(run) = self.live_run_of(key) else { continue };
            let Some(saving) = &run.saving else { continue };
            if saving.since_ms + timeout_ms <= self.now.steady_ms {
                self.save_is_over(run.id, false);
            }
        }
    }

    fn connections(&mut self, open: &[RunId], seen: bool) {
        let Some(idle_then) = self.looking.take() else { return };
        self.sleepers_looked_at(open, seen);
        let (step, wall_ms) = (self.step, self.now.wall_ms);
        (self.looked_step, self.looked_ms) = (self.step, Some(self.now.steady_ms));
        if seen && self.config.heeds_connections {
            // One that was open the last time may have closed a moment ago.
            let before = std::mem::replace(&mut self.connected, open.to_vec());
            for run in before.iter().chain(open) {
                if let Some(run) =
                    self.run_mut(*run).filter(|run| run.is_in_use() || run.is_retired())
                {
                    run.idleness.connected_at_ms = wall_ms;
                }
            }
        }
        for run in idle_then.iter().filter(|run| seen && !open.contains(run)) {
            let run = self.run_mut(*run).expect("it was there");
            run.idleness.unconnected_step = step;
            run.unconnected_retired_step = step;
        }
    }

    fn over(&mut self, id: RunId, exit: &Exit) {
        self.history(id, exit);
        self.uptime(id, exit);
        let run = self.run_mut(id).expect("a live run");
        (run.over, run.exit_code, run.signal) =
            (true, exit.exit_code, run.signal_of_others(exit.signal));
        run.out_of_memory = exit.out_of_memory;
        // A stop before there was a process may have been given up unseen, and a restart have tried
        // again.
        let perhaps = run.may_make_room_for_restart || (run.is_users() && !run.started);
        let inherits_room = run.makes_room_for_restart || perhaps;
        let key = run.key;
        let is_beside = self.keys[key].second == Some(id);
        self.run_mut(id).expect("a live run").ended_beside = is_beside;
        if is_beside {
            self.move_deploys(key, Place::Beside, Place::Lost);
            self.keys[key].second = None;
            self.place_later_deploys(key);
        } else {
            self.warm_run_is_over(id);
            (self.keys[key].live, self.keys[key].inherits_room) = (None, inherits_room);
            let slept = self.run(id).is_some_and(|run| run.sleep.sleeps);
            self.serving_is_over(key, slept);
        }
        self.ended.push(id);
        if self.alive().next().is_none() {
            self.observing_from_ms = None;
        }
    }

    /// What is remembered of its key.
    fn history(&mut self, id: RunId, exit: &Exit) {
        let at_ms = self.now.wall_ms;
        let run = self.run(id).expect("a live run");
        let signal = run.signal_of_others(exit.signal);
        let (key, started, reason) = (run.key, run.started, run.reason(exit.exit_code));
        if started && self.has_book(id) {
            let history = &mut self.keys[key].history;
            history.crashes += u64::from(reason == ExitReason::Crashed);
            let Exit { exit_code, out_of_memory, .. } = *exit;
            let output = exit.output.clone();
            let exit =
                LastExit { run: id, exit_code, signal, reason, at_ms, output, out_of_memory };
            history.last_exit = Some(exit);
        }
    }

    /// A crash soon after it was ready is a failure; having been ready for longer forgets them.
    fn uptime(&mut self, id: RunId, exit: &Exit) {
        let min_uptime_ms = self.config.backoff.min_uptime_ms;
        let run = self
            .run(id)
            .filter(|run| run.ready && self.has_book(id))
            .map(|run| (run.key, run.ready_ms, run));
        let Some((key, ready_ms, run)) = run else { return };
        let (exit_code, signal) = (exit.exit_code, run.signal_of_others(exit.signal));
        let ended_ms = run.main_ended_ms.unwrap_or(self.now.steady_ms);
        let uptime_ms = ended_ms - ready_ms + run.ready_before_ms.min(min_uptime_ms);
        if ended_ms >= run.proven_at_ms(min_uptime_ms) {
            self.forget_failures(key);
        } else if run.reason(exit_code) == ExitReason::Crashed {
            let out_of_memory = exit.out_of_memory;
            let crash = Failure::CrashedSoon { exit_code, signal, uptime_ms, out_of_memory };
            self.failure(key, id, crash);
            self.keys[key].crashed_soon_step = self.step;
        }
    }

    /// It is ready no longer. What failed before it is forgotten if it was ready for long enough.
    pub fn leaves_service(&mut self, id: RunId) {
        let min_uptime_ms = self.config.backoff.min_uptime_ms;
        let now_ms = self.now.steady_ms;
        let Some(run) = self.run_mut(id) else { return };
        if std::mem::take(&mut run.in_service) && now_ms >= run.proven_at_ms(min_uptime_ms) {
            let key = run.key;
            self.forget_failures(key);
        }
    }

    /// It goes back to where it was, and is no longer as it was saved.
    fn give_up(&mut self, id: RunId) {
        let at = (self.now.steady_ms, self.step);
        let run = self.run_mut(id).expect("a live run");
        (run.stop, run.given_up) = (None, Some(at));
        run.in_service = run.ready && run.retired.is_none();
        run.open_kills_ms = [None; 2];
        run.makes_no_room_for_restart();
        let (key, is_ready) = (run.key, run.ready);
        if run.cause == Some(ExitReason::Checkpointed) {
            run.cause = Some(ExitReason::IdleKilled);
        }
        if is_ready && self.keys[key].live == Some(id) {
            self.keys[key].warm = Warm::when_ready(self.keys[key].warm);
        }
    }

    /// The stop of a process that may refuse is given up when it was forced and did not end in
    /// time, or its `kill` did not settle in time.
    fn give_hanging_stops_up(&mut self) {
        let alive = self.alive().filter(|run| run.custody.may_refuse_stop);
        for run in alive.map(|run| run.id).collect::<Vec<_>>() {
            let run = self.run(run).expect("alive");
            let Some((StopStage::Force, Some(asked_ms))) = run.stop else { continue };
            let (id, now_ms) = (run.id, self.now.steady_ms);
            let grace_is_over = {
                let from_ms = asked_ms.max(run.kill_settled_ms);
                from_ms + self.grace_ms(run, from_ms) <= now_ms
            };
            if grace_is_over && !run.has_open_kill(self.config.kill_patience_ms, now_ms) {
                self.give_up(id);
            }
        }
    }

    /// The grace of a stop that was asked for at `asked_ms`; short once the pool is abandoned.
    fn grace_ms(&self, run: &RunRecord, asked_ms: u64) -> u64 {
        let own_ms = run.rules.and_then(|rules| rules.stop_timeout_ms);
        let grace_ms = match own_ms.unwrap_or(self.config.stop_timeout_ms) {
            0 => return FORCED_GRACE_MS,
            grace_ms => grace_ms,
        };
        let abandoned = self.abandoned_ms.is_some_and(|abandoned_ms| asked_ms >= abandoned_ms);
        if abandoned { grace_ms.min(ABANDONED_GRACE_MS) } else { grace_ms }
    }

    fn failure(&mut self, key: usize, run: RunId, failure: Failure) {
        if !self.has_book(run) || self.is_pardoned(key, &failure) {
            return;
        }
        self.failures += 1;
        let backoff = self.config.backoff;
        let record = &mut self.keys[key];
        record.failures += 1;
        let wait_ms = (1..record.failures)
            .fold(backoff.base_ms, |wait_ms, _| (wait_ms * 2).min(backoff.max_ms));
        record.retry_at_ms = self.now.steady_ms + wait_ms;
        (record.last_failure, record.failed_run) = (Some(failure), Some(run));
    }

    /// Becoming ready is enough unless it has to stay so for a while.
    pub fn forget_failures_of_ready(&mut self, key: usize) {
        if self.config.backoff.min_uptime_ms == 0 {
            self.forget_failures(key);
        }
    }

    /// What others have done does not count, a stolen port not the first three times.
    fn is_pardoned(&mut self, key: usize, failure: &Failure) -> bool {
        let record = &mut self.keys[key];
        record.stolen_ports += u64::from(matches!(failure, Failure::PortTaken { .. }));
        match failure {
            Failure::NoPort => true,
            Failure::PortTaken { .. } => record.stolen_ports <= 3,
            _ => false,
        }
    }

    pub fn forget_failures(&mut self, key: usize) {
        let record = &mut self.keys[key];
        (record.failures, record.last_failure, record.stolen_ports) = (0, None, 0);
    }
}
