//! How actions change the book.

use super::book::{Book, Origin, Place, RunRecord, Saving};
use super::warm::{Comeback, Warm};
use super::world::key_index;
use pool::{Action, Custody, Event, ExitReason, Outcome, Refusal, RunId, StopStage};

impl Book {
    /// After the properties have looked at it.
    pub fn action(&mut self, action: &Action) {
        let (now_ms, step) = (self.now.steady_ms, self.step);
        match action {
            Action::Start { run, key, release, cold } => {
                let key = key_index(key);
                let record = &self.keys[key];
                let fresh = record.restarts + record.deploys > 0 || record.live.is_some();
                let record = self.begin(*run, key, self.config.custody);
                (record.fresh, record.release, record.awaits_image) = (fresh, *release, !cold);
                if self.keys[key].live == Some(*run) && self.keys[key].deploys > 0 {
                    self.begin_failures_and_history(key, *run);
                }
            }
            Action::StartCold { run } => {
                if let Some(run) = self.run_mut(*run) {
                    run.awaits_image = false;
                }
            }
            Action::Adopt { run, key, process, .. } => {
                self.adopt(*run, key_index(key), process.custody)
            }
            Action::Stop { run, stage } => {
                self.leaves_service(*run);
                if let Some(run) = self.run_mut(*run) {
                    let is_replaced = run.is_retired() && run.cause.is_none();
                    run.cause = if is_replaced { Some(ExitReason::Replaced) } else { run.cause };
                    run.stop = Some((*stage, None));
                    run.asked_ms = now_ms;
                    (run.awaits_uses_ms, run.is_unasked) = (None, false);
                }
            }
            Action::Recover { run, key, process } => self.recover(*run, key_index(key), process),
            Action::LetGo { run } => self.let_go(*run),
            Action::Retire { .. } => {}
            Action::WatchUses { run } => self.watch_uses(*run),
            Action::Clear { run } => {
                self.leaves_service(*run);
                if let Some(run) = self.run_mut(*run).filter(|run| run.ready) {
                    run.is_unasked |= run.sleep.sleeps && run.stop.is_none();
                    (run.stop, run.awaits_uses_ms) = (Some((StopStage::Force, None)), None);
                }
            }
            Action::AskIdle { run, .. } => {
                if let Some(run) = self.run_mut(*run) {
                    run.idleness.is_asked = true;
                    run.idleness.condemned_step = 0;
                }
            }
            // From now on it is to be saved, also while the snapshot driver is busy.
            Action::Checkpoint { run } | Action::AwaitImage { run, .. } => {
                if self.run(*run).is_some_and(|run| run.ready && run.saving.is_none()) {
                    self.leaves_service(*run);
                    let run = self.run_mut(*run).expect("just seen");
                    run.saving = Some(Saving { since_ms: now_ms, exit: None });
                    run.idleness.stop_step = step;
                    run.cause.get_or_insert(ExitReason::IdleKilled);
                }
            }
            Action::Settle { call, outcome } => {
                self.settle(*call);
                match outcome {
                    Outcome::Tenant(run) => {
                        if let Some(run) = self.run_mut(*run) {
                            run.handed_out = Some((now_ms, step));
                        }
                    }
                    // A stop before there was a process is given up without anything else that
                    // could be seen.
                    Outcome::Refused(Refusal::StopRefused { run, .. }) => {
                        if let Some(run) = self.run_mut(*run) {
                            run.makes_no_room_for_restart();
                        }
                        self.is_turned_away(*call);
                    }
                    _ => {}
                }
            }
            Action::Release { run, .. } => {
                let abandoned = self.abandoned_ms.is_some();
                if let Some(run) = self.run_mut(*run) {
                    run.over |= run.is_found_dead && abandoned;
                    run.told.released = true;
                }
            }
            Action::Emit(event) => self.event(event, step),
            // The last process may have ended in this very step.
            Action::Observe if self.alive().next().is_some() => {
                self.observing_from_ms = Some(now_ms)
            }
            Action::Rest { run, .. } if !self.run(*run).is_some_and(|run| run.sleep.sleeps) => {
                self.leaves_service(*run);
                self.sleep_action(action);
            }
            Action::LookAtActivity { .. }
            | Action::AskSleep { .. }
            | Action::Rest { .. }
            | Action::Rouse { .. }
            | Action::WatchBacklogs { .. } => self.sleep_action(action),
            // `World` notes which runs are idle now: it has the clocks.
            Action::LookForConnections => self.relieved_step = step,
            Action::Observe | Action::Sample { .. } | Action::Probe { .. } => {}
            Action::FindImage { .. } | Action::RestoreImage { .. } | Action::DropImage { .. } => {}
        }
        self.image_action(action);
    }

    fn begin(&mut self, run: RunId, key: usize, custody: Custody) -> &mut RunRecord {
        if self.keys[key].live.is_some() {
            self.keys[key].second = Some(run);
        } else {
            (self.keys[key].live, self.keys[key].inherits_room) = (Some(run), false);
            self.keys[key].comeback = Comeback::No;
            self.keys[key].is_tried_anew = false;
        }
        self.runs.push(RunRecord::new(run, key, self.step, self.now.steady_ms, custody));
        self.runs.last_mut().expect("just pushed")
    }

    /// A restart that came meanwhile wants another process all the same.
    fn adopt(&mut self, run: RunId, key: usize, custody: Custody) {
        let (wanted_fresh, now_ms) = (self.keys[key].restarts > 0, self.now.steady_ms);
        let release = self.keys[key].release;
        // A deploy that has joined it waits anew.
        if !wanted_fresh {
            self.move_deploys(key, Place::Serving, Place::Beside);
            self.keys[key].waiting_since = None;
        }
        let run = self.begin(run, key, custody);
        run.release = release;
        (run.origin, run.started) = (Origin::Adopted, true);
        let id = run.id;
        run.become_ready(now_ms);
        if wanted_fresh {
            (run.cause, run.makes_room_for_restart) = (Some(ExitReason::Restarted), true);
        }
        self.images[key].last_process = Some(id);
        self.keys[key].warm = Warm::when_ready(self.keys[key].warm);
        self.forget_failures(key);
        _ = self.observing_from_ms.get_or_insert(self.now.steady_ms);
    }

    fn event(&mut self, event: &Event, step: u64) {
        if *event == Event::Drain {
            self.drain_events += 1;
        }
        self.detach_events += u64::from(*event == Event::Detach);
        let saves = self.config.checkpoint_timeout_ms.is_some();
        let now_ms = self.now.steady_ms;
        let Some(run) = run_of(event).and_then(|run| self.run_mut(run)) else { return };
        match event {
            Event::Spawn { .. } => run.told.spawn = true,
            Event::Adopt { .. } | Event::Restored { .. } | Event::Recover { .. } => {
                (run.told.spawn, run.told.ready) = (true, true)
            }
            Event::Ready { .. } => run.told.ready = true,
            Event::Exit { .. } => run.told.exit = true,
            Event::IdleKill { .. } => {
                run.idleness.told_step = step;
                if !saves {
                    run.idleness.stop_step = step;
                    run.cause.get_or_insert(ExitReason::IdleKilled);
                }
            }
            Event::LruEvict { .. } => {
                run.evicted_step = step;
                run.cause.get_or_insert(ExitReason::LruEvicted);
            }
            Event::Sleep { .. } | Event::Wake { .. } => run.sleep_event(event, now_ms),
            Event::Observation { cpu_ms, .. } => (run.cpu_ms, run.observed_step) = (*cpu_ms, step),
            Event::Backoff { .. } | Event::Drain | Event::Detach => {}
        }
    }
}

pub fn run_of(event: &Event) -> Option<RunId> {
    match event {
        Event::Spawn { run, .. }
        | Event::Ready { run, .. }
        | Event::Adopt { run, .. }
        | Event::Restored { run, .. }
        | Event::Recover { run, .. }
        | Event::IdleKill { run, .. }
        | Event::LruEvict { run }
        | Event::Sleep { run, .. }
        | Event::Wake { run, .. }
        | Event::Observation { run, .. }
        | Event::Exit { run, .. } => Some(*run),
        Event::Backoff { .. } | Event::Drain | Event::Detach => None,
    }
}
