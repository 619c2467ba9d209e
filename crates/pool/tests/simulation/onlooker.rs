//! How inputs and actions change the book.

use super::book::{Ask, Book, RunRecord};
use super::world::key_index;
use pool::{
    Action, Event, Exit, ExitReason, Fact, Failure, Input, Outcome, Processes, Refusal, RunId, StopStage,
};

/// What an external process gets to end after it was forced, when the configured grace is 0.
const FORCED_GRACE_MS: u64 = 5_000;

impl Book {
    /// Before the pool hears of it. (Calls are opened by `open_call`.)
    pub fn input(&mut self, input: &Input) {
        match input {
            Input::Restart { key, .. } => self.restart(key_index(key)),
            Input::Kill { key, .. } => self.kill(key_index(key)),
            Input::ClearBackoff { key } => self.forget_failures(key_index(key)),
            Input::Drain => _ = self.draining_since.get_or_insert(self.step),
            Input::Dispose { .. } => self.dispose(),
            Input::Abandon => self.abandon(),
            Input::Fact(run, fact) => self.fact(*run, fact),
            Input::Tick => self.tick(),
            Input::Ensure { .. } => {}
            Input::Adopt { .. } | Input::Abort { .. } | Input::Connections { .. } => {}
        }
    }

    fn restart(&mut self, key: usize) {
        let joins = self.live_run_of(key).is_some_and(|run| run.fresh && run.is_coming_up());
        if joins || self.disposed || self.draining_since.is_some() {
            return;
        }
        if let Some(run) = self.keys[key].live.and_then(|run| self.run_mut(run)) {
            run.makes_room_for_restart |= run.cause.is_none();
        }
        self.cause_of_key(key, ExitReason::Restarted);
    }

    fn kill(&mut self, key: usize) {
        if let Some(run) = self.keys[key].live.and_then(|run| self.run_mut(run)) {
            run.makes_room_for_restart = false;
        }
        let waiting = self.calls.iter_mut().filter(|call| call.key == key && !call.settled);
        waiting
            .filter(|call| matches!(call.ask, Ask::Ensure | Ask::Restart))
            .for_each(|call| call.killed = true);
        self.cause_of_key(key, ExitReason::Killed);
    }

    fn tick(&mut self) {
        self.last_tick_ms = self.now.steady_ms;
        self.give_hanging_stops_up();
    }

    fn dispose(&mut self) {
        self.disposed = true;
        (0..self.keys.len()).for_each(|key| self.cause_of_key(key, ExitReason::Disposed));
    }

    /// Our own processes are still to be reaped; the others are let go of.
    fn abandon(&mut self) {
        self.dispose();
        self.abandoned = true;
        if self.config.processes == Processes::External {
            (0..self.keys.len())
                .filter_map(|key| self.keys[key].live)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|run| self.over(run, None));
        }
    }

    fn cause_of_key(&mut self, key: usize, cause: ExitReason) {
        if let Some(run) = self.keys[key].live.and_then(|run| self.run_mut(run)) {
            run.cause.get_or_insert(cause);
        }
    }

    fn fact(&mut self, id: RunId, fact: &Fact) {
        let Some(run) = self.run_mut(id).filter(|run| !run.over) else { return };
        let (key, coming_up) = (run.key, run.is_coming_up());
        match fact {
            Fact::Started { .. } => {
                run.started = true;
                _ = self.observing_from_ms.get_or_insert(self.now.steady_ms);
            }
            Fact::Ready if coming_up && run.started => {
                run.ready = true;
                self.forget_failures(key);
            }
            Fact::NotReady(failure) if coming_up && run.started => {
                run.failed = true;
                run.cause = Some(ExitReason::ReadinessTimeout);
                self.failure(key, failure.clone());
            }
            Fact::StartFailed(failure) if !run.started => {
                self.over(id, None);
                if coming_up {
                    self.failure(key, failure.clone());
                }
            }
            Fact::Exited(Exit { exit_code, .. }) => {
                self.over(id, *exit_code);
                if coming_up {
                    self.failure(key, Failure::ExitedEarly { exit_code: *exit_code });
                }
            }
            Fact::StopAsked { stage } if run.stop == Some((*stage, None)) => {
                let now_ms = self.now.steady_ms;
                self.run_mut(id).expect("a live run").stop = Some((*stage, Some(now_ms)));
            }
            Fact::StopRefused { asked, .. } if run.stop.is_some_and(|(stage, _)| stage == *asked) => {
                if run.ready {
                    run.cause = None;
                }
                self.give_up(id);
            }
            _ => {}
        }
    }

    fn over(&mut self, id: RunId, exit_code: Option<i32>) {
        let run = self.run_mut(id).expect("a live run");
        (run.over, run.exit_code) = (true, exit_code);
        let key = run.key;
        self.keys[key].live = None;
        self.ended.push(id);
        if self.alive().next().is_none() {
            self.observing_from_ms = None;
        }
    }

    fn give_up(&mut self, id: RunId) {
        let at = (self.now.steady_ms, self.step);
        let run = self.run_mut(id).expect("a live run");
        (run.stop, run.given_up, run.makes_room_for_restart) = (None, Some(at), false);
    }

    /// Nobody waits for ever for an external process that was forced to end.
    fn give_hanging_stops_up(&mut self) {
        if self.config.processes == Processes::Own {
            return;
        }
        let grace_ms = Some(self.config.stop_timeout_ms).filter(|ms| *ms > 0).unwrap_or(FORCED_GRACE_MS);
        for key in 0..self.keys.len() {
            let Some(run) = self.live_run_of(key) else { continue };
            let Some((StopStage::Force, Some(asked_ms))) = run.stop else { continue };
            if asked_ms + grace_ms <= self.now.steady_ms {
                self.give_up(run.id);
            }
        }
    }

    fn failure(&mut self, key: usize, failure: Failure) {
        let backoff = self.config.backoff;
        let record = &mut self.keys[key];
        record.failures += 1;
        let wait_ms =
            (1..record.failures).fold(backoff.base_ms, |wait_ms, _| (wait_ms * 2).min(backoff.max_ms));
        record.retry_at_ms = self.now.steady_ms + wait_ms;
        record.last_failure = Some(failure);
    }

    fn forget_failures(&mut self, key: usize) {
        (self.keys[key].failures, self.keys[key].last_failure) = (0, None);
    }

    /// After the properties have looked at it.
    pub fn action(&mut self, action: &Action) {
        match action {
            Action::Start { run, key, .. } => {
                let key = key_index(key);
                let fresh = self.keys[key].restarts > 0;
                self.keys[key].live = Some(*run);
                self.runs.push(RunRecord::new(*run, key, self.step, self.now.steady_ms, fresh));
            }
            Action::Stop { run, stage } => {
                if let Some(run) = self.run_mut(*run) {
                    run.stop = Some((*stage, None));
                }
            }
            Action::Settle { call, outcome } => {
                self.settle(*call);
                // A stop before there was a process is given up without anything else that could be seen.
                if let Outcome::Refused(Refusal::StopRefused { run, .. }) = outcome
                    && let Some(run) = self.run_mut(*run)
                {
                    run.makes_room_for_restart = false;
                }
            }
            Action::Release { run } => {
                if let Some(run) = self.run_mut(*run) {
                    run.told.released = true;
                }
            }
            Action::Emit(event) => self.event(event),
            Action::Observe => self.observing_from_ms = Some(self.now.steady_ms),
            Action::Adopt { .. }
            | Action::Probe { .. }
            | Action::AskIdle { .. }
            | Action::Checkpoint { .. }
            | Action::LookForConnections => {}
        }
    }

    fn event(&mut self, event: &Event) {
        if *event == Event::Drain {
            self.drain_events += 1;
        }
        let Some(run) = run_of(event).and_then(|run| self.run_mut(run)) else { return };
        match event {
            Event::Spawn { .. } => run.told.spawn = true,
            Event::Adopt { .. } | Event::Restored { .. } => {
                (run.told.spawn, run.told.ready) = (true, true);
            }
            Event::Ready { .. } => run.told.ready = true,
            Event::Exit { .. } => run.told.exit = true,
            Event::IdleKill { .. } => _ = run.cause.get_or_insert(ExitReason::IdleKilled),
            Event::LruEvict { .. } => _ = run.cause.get_or_insert(ExitReason::LruEvicted),
            Event::Observation { cpu_ms, .. } => run.cpu_ms = *cpu_ms,
            Event::Backoff { .. } | Event::Drain => {}
        }
    }
}

pub fn run_of(event: &Event) -> Option<RunId> {
    match event {
        Event::Spawn { run, .. }
        | Event::Ready { run, .. }
        | Event::Adopt { run, .. }
        | Event::Restored { run, .. }
        | Event::IdleKill { run, .. }
        | Event::LruEvict { run }
        | Event::Observation { run, .. }
        | Event::Exit { run, .. } => Some(*run),
        Event::Backoff { .. } | Event::Drain => None,
    }
}
