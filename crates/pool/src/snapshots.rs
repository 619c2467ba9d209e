//! Runs and images: how a run is saved before it is stopped, and brought back. `images.rs` decides
//! when.

use crate::facts::Arrival;
use crate::images::{Late, Next};
use crate::messages::{Action, Event, Failure};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Stage, State};
use crate::{Callback, Custody, ImageAnswer, Key, RunId};

impl Pool {
    /// Whether idle tenants are saved, and starts continue from what was saved.
    pub(crate) fn saves(&self) -> bool {
        self.config.checkpoint_timeout_ms.is_some()
    }

    /// A start begins: whether it is cold depends on the key's image.
    pub(crate) fn begin_with_image(&mut self, key: &Key, id: RunId, fresh: bool) {
        let next = self.images.start(key, id, fresh);
        self.carry_out_image_step(key, next);
    }

    /// Saves an idle tenant, and ends it when that is done, has failed, or takes too long. As long
    /// as it is not known whether it is saved, no event tells that it is stopped for being idle.
    pub(crate) fn begin_saving(
        &mut self,
        step: &mut Step,
        id: RunId,
        timeout_ms: u64,
        idle_ms: u64,
    ) {
        self.take_out_of_service(step, id, Some(Cause::Idle), None);
        if let State::Stopping(_, stop) = &mut self.tenant_of(id).state {
            stop.idle_ms = idle_ms;
        }
        self.set_stage(id, Stage::Saving);
        self.set_deadline(step, id, timeout_ms);
        let key = self.runs[&id].clone();
        let next = self.images.save(&key, id);
        self.carry_out_image_step(&key, next);
    }

    /// The save has had its time, or nothing is left that could wait for it.
    pub(crate) fn give_up_save(&mut self, step: &mut Step, id: RunId) {
        let key = self.runs[&id].clone();
        self.images.give_up_save(&key, id);
        self.save_is_over(step, id, false);
    }

    /// It is known whether the run was saved. What was saved is ended at once, so that it does not
    /// change any more.
    fn save_is_over(&mut self, step: &mut Step, id: RunId, saved: bool) {
        let State::Stopping(run, stop) = &mut self.tenant_of(id).state else { return };
        if stop.stage != Stage::Saving {
            return;
        }
        if saved {
            run.cause = Some(Cause::Saved);
        }
        stop.stage = Stage::Asked;
        let (idle_ms, exit) = (stop.idle_ms, stop.exit.take());
        if !saved {
            self.actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms }));
        }
        match exit {
            Some(exit) => self.exited(step, id, exit),
            None if saved => self.force(id),
            None => self.ask(step, id),
        }
    }

    /// The snapshot driver has answered.
    pub(crate) fn image_answered(&mut self, step: &mut Step, key: &Key, answer: ImageAnswer) {
        let Pool { images, tenants, runs, releases, .. } = self;
        let is_wanted = |run| {
            let state = runs.get(&run).map(|key| &releases.tree(tenants, key, run).state);
            matches!(state, Some(State::Starting(_)))
        };
        let answered = images.answered(key, answer, is_wanted);
        for run in [answered.called_off, answered.left_behind].into_iter().flatten() {
            self.start_failed(step, run, Failure::CalledOff);
        }
        // Before `save_is_over`, which may end the run and so change what is next.
        self.carry_out_image_step(key, answered.next);
        if let Some((run, saved)) = answered.saved {
            self.save_is_over(step, run, saved);
        }
    }

    /// A start has waited for the snapshot driver for as long as it may.
    pub(crate) fn image_late(&mut self, step: &mut Step, id: RunId, text: String) {
        if !self.awaits_image(id) {
            return;
        }
        let late = Failure::Thrown { by: Callback::Spawn, text };
        if !matches!(self.tenant_of(id).state, State::Starting(_)) {
            return self.start_failed(step, id, late);
        }
        match self.images.late(&self.runs[&id], id) {
            Late::Ignored => {}
            Late::Waits => {
                let key = self.runs[&id].clone();
                self.actions.push(Action::AwaitImage { run: id, key });
            }
            Late::Fails => self.start_failed(step, id, late),
        }
    }

    /// The run came back from its key's image: nothing had to be spawned, and it has answered.
    pub(crate) fn restored(&mut self, step: &mut Step, id: RunId, pid: u32, port: u16) {
        let tenant = self.tenant_of(id);
        let (key, starting) = (tenant.key.clone(), matches!(tenant.state, State::Starting(_)));
        let Some(run) = tenant.state.run_mut().filter(|run| run.pid.is_none()) else { return };
        run.custody = Custody::USERS;
        let next = self.images.restored(&key, id);
        self.carry_out_image_step(&key, next);
        if !starting {
            return self.started(step, id, pid, port);
        }
        let tenant = self.tenant_of(id);
        let Some(run) = tenant.state.run_mut() else { return };
        run.pid = Some(pid);
        tenant.state.has_process_now();
        self.becomes_ready(step, id, step.now.wall_ms, Arrival::Restored { pid, port });
        self.schedule_first_observation(step);
    }

    /// The run is over, or in use again; `as_saved` if it ended as its image has it.
    pub(crate) fn leaves_image(&mut self, id: RunId, as_saved: bool) {
        if self.saves() {
            let key = self.runs[&id].clone();
            let next = self.images.left(&key, id, as_saved);
            self.carry_out_image_step(&key, next);
        }
    }

    /// The run is a process that does not continue from its key's image.
    pub(crate) fn moves_past_image(&mut self, id: RunId) {
        if self.saves() && !planted(Bug::AdoptionKeepsImage) {
            let key = self.runs[&id].clone();
            let next = self.images.moved_past(&key);
            self.carry_out_image_step(&key, next);
        }
    }

    /// Another tree of the key serves than the one that the snapshot driver may be at. Its image is
    /// of that one, so that it is left behind as soon as the other is `begun`.
    pub(crate) fn hands_image_over(&mut self, key: &Key, begun: bool) {
        if self.saves() {
            let next = self.images.handed_over(key, begun);
            self.carry_out_image_step(key, next);
        }
    }

    /// Whether the start waits for the snapshot driver.
    pub(crate) fn awaits_image(&self, id: RunId) -> bool {
        self.saves() && self.images.is_awaited_by(&self.runs[&id], id)
    }

    /// Whether the snapshot driver was told last to drop the key's image, and has not answered.
    pub fn is_dropping_image(&self, key: &str) -> bool {
        self.images.is_being_dropped(key)
    }

    fn carry_out_image_step(&mut self, key: &Key, next: Next) {
        let key = key.clone();
        let action = match next {
            Next::Nothing => return,
            Next::Await(run) => Action::AwaitImage { run, key },
            Next::Find(run) => Action::FindImage { run, key },
            Next::Restore { run, is_ours } => Action::RestoreImage { run, key, is_ours },
            Next::Save(run) => Action::Checkpoint { run },
            Next::Drop { awaited_by } => {
                self.actions.push(Action::DropImage { key: key.clone() });
                let Some(run) = awaited_by else { return };
                Action::AwaitImage { run, key }
            }
            Next::StartCold(run) => Action::StartCold { run },
        };
        self.actions.push(action);
    }
}
