//! The processes of the world: how actions are carried out, and what goes wrong.

use super::delays::Delays;
use super::world::{Hung, World, key_index};
use pool::{Action, Callback, Event, Exit, Fact, Failure, Owner, RunId, RunRules, StopStage};

impl World<'_> {
    pub(super) fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Start { run, cold: true, .. } | Action::StartCold { run } => self.start(*run),
            Action::Start { cold: false, .. } => {}
            Action::Adopt { run, .. } => self.process_appeared(*run),
            Action::Recover { run, process, .. } => self.found(*run, process),
            Action::Retire { .. } | Action::LetGo { .. } => {}
            Action::Probe { run } => self.probe(*run),
            Action::Stop { run, stage } => self.stop(*run, *stage),
            Action::WatchUses { run } => self.watch_uses(*run),
            Action::Clear { run } => self.stop(*run, StopStage::Force),
            Action::Observe => self.observe(),
            Action::Sample { run } => self.sample(*run, false),
            Action::AskIdle { run, .. } => self.ask_idle(*run),
            Action::LookAtActivity { run } => self.look_at_activity(*run),
            Action::AskSleep { run, .. } => self.ask_sleep(*run),
            Action::Rest { run, depth } => self.rest(*run, *depth),
            Action::Rouse { run, .. } => self.rouse(*run),
            Action::WatchBacklogs { .. } => {}
            Action::Checkpoint { run } => self.save(*run),
            Action::FindImage { run, key } => self.find_image(*run, key_index(key)),
            Action::RestoreImage { run, key, .. } => self.restore_image(*run, key_index(key)),
            Action::DropImage { key } => self.call_snapshot_driver(key_index(key)),
            Action::AwaitImage { run, key } => {
                self.note_idleness(*run);
                self.await_image(*run, key_index(key));
            }
            Action::LookForConnections => self.look(),
            Action::Emit(
                Event::Ready { run, .. } | Event::Adopt { run, .. } | Event::Restored { run, .. },
            ) => self.hold(*run),
            Action::Emit(_) | Action::Settle { .. } | Action::Release { .. } => {}
        }
    }

    /// A user's function is called, which may never answer.
    fn start(&mut self, run: RunId) {
        let by_user = self.book.config.custody.owner == Owner::User;
        if by_user && self.hangs(self.faults.start_hangs, Hung::Start(run)) {
            return;
        }
        self.answer_start(run);
    }

    /// Whether `what` is not answered until the world mends.
    pub(super) fn hangs(&mut self, percent: u64, what: Hung) -> bool {
        let hangs = !self.mending && self.rng.chance(percent);
        if hangs {
            self.hung.push(what);
        }
        hangs
    }

    fn answer_start(&mut self, run: RunId) {
        let after_ms = self.rng.delay_ms();
        let by_user = self.book.config.custody.owner == Owner::User;
        if self.rng.chance(self.faults.start_fails) {
            if self.rng.chance(50) {
                self.rule(run, after_ms);
            }
            let failure = match by_user {
                true => Failure::Thrown { by: Callback::Spawn, text: "no".into() },
                false if self.rng.chance(30) => Failure::NoPort,
                false => Failure::NotStarted { reason: "no such file".into() },
            };
            return self.plan_fact(after_ms, run, Fact::StartFailed(failure));
        }
        self.rule(run, after_ms);
        let (pid, port) = (self.lives.new_pid(run), 4_000 + run.0 as u16);
        self.plan_fact(after_ms, run, Fact::Started { pid, port });
        // A user's process may be over before its `spawn` function has told us that it was there.
        if by_user && self.rng.chance(self.faults.dies / 10) {
            let exit = self.exit();
            self.plan_fact(after_ms.saturating_sub(1), run, Fact::Exited(exit));
        }
    }

    /// Rules of its own, which are known before the process is, or a moment too late.
    fn rule(&mut self, run: RunId, before_ms: u64) {
        if !self.rng.chance(self.faults.ruled) {
            return;
        }
        let after_ms = self.rng.below(before_ms + 1);
        let (idle_ms, stop_ms) = (self.rng.between(5, 120), self.rng.between(0, 60));
        let idle_after_ms = self.rng.pick(&[None, None, Some(None), Some(Some(idle_ms))]);
        let stop_timeout_ms = self.rng.pick(&[None, None, Some(0), Some(stop_ms)]);
        let is_warm = self.rng.chance(self.faults.warm);
        self.plan_fact(
            after_ms,
            run,
            Fact::Ruled(RunRules { idle_after_ms, stop_timeout_ms, is_warm }),
        );
    }

    /// From its first moment on a process may end.
    pub(super) fn process_appeared(&mut self, run: RunId) {
        if self.rng.chance(self.faults.dies) {
            let after_ms = self.rng.delay_ms();
            self.end(run, after_ms);
        }
    }

    pub(super) fn end(&mut self, run: RunId, after_ms: u64) {
        let exit = self.exit();
        // That the main process has ended may be known before the rest of its tree is gone.
        let is_ours = self.book.run(run).is_some_and(|run| !run.custody.may_refuse_stop);
        if is_ours && self.rng.chance(50) {
            let before_ms = self.rng.below(after_ms + 1);
            self.plan_fact(before_ms, run, Fact::MainEnded);
        }
        self.plan_fact(after_ms, run, Fact::Exited(exit));
    }

    pub(super) fn exit(&mut self) -> Exit {
        let exit_code = self.rng.pick(&[None, Some(0), Some(1)]);
        let cpu_ms = if self.rng.chance(50) { Some(self.rng.below(50)) } else { None };
        let signal = if exit_code.is_none() {
            self.rng.pick(&[None, Some(9), Some(11), Some(15)])
        } else {
            None
        };
        let out_of_memory = (signal == Some(9) && self.rng.chance(50)).then_some(7);
        Exit { exit_code, signal, cpu_ms, output: "last words".into(), out_of_memory }
    }

    fn probe(&mut self, run: RunId) {
        if !self.hangs(self.faults.probe_hangs, Hung::Probe(run)) {
            self.answer_probe(run);
        }
    }

    fn answer_probe(&mut self, run: RunId) {
        let after_ms = self.rng.delay_ms();
        let fact = match self.rng.chance(self.faults.not_ready) {
            false => Fact::Ready,
            true => Fact::NotReady(self.why_not_ready()),
        };
        self.plan_fact(after_ms, run, fact);
    }

    fn why_not_ready(&mut self) -> Failure {
        match self.rng.below(3) {
            0 => Failure::ReadinessTimedOut { found: "nothing".into() },
            1 => Failure::ReadinessDenied,
            _ => Failure::PortTaken { by: "a thief".into() },
        }
    }

    fn stop(&mut self, run: RunId, stage: StopStage) {
        let started = self.book.run(run).filter(|run| run.started);
        let Some(may_refuse) = started.map(|run| run.custody.may_refuse_stop) else { return };
        if self.docile {
            return self.end(run, 0);
        }
        let mut asked_ms = 0;
        if may_refuse {
            // A user's `kill` is called when the host gets to it, which it does in the end.
            asked_ms = self.rng.delay_ms();
            self.plan_fact(asked_ms, run, Fact::StopAsked { stage });
        }
        let after_ms = asked_ms + self.rng.delay_ms();
        let refuses = may_refuse && self.rng.chance(self.faults.stop_refused);
        if may_refuse && !refuses && !self.rng.chance(self.faults.kill_hangs) {
            let settled_ms = asked_ms + self.rng.delay_ms();
            self.plan_fact(settled_ms, run, Fact::StopAnswered { asked: stage });
        }
        if stage == StopStage::Ask && !refuses && self.rng.chance(self.faults.ask_ignored) {
            return;
        }
        if refuses {
            let failure = Failure::Thrown { by: Callback::Kill, text: "not now".into() };
            self.plan_fact(after_ms, run, Fact::StopRefused { asked: stage, failure });
            // The process may end all the same, before or after the refusal is heard.
            if self.rng.chance(80) {
                return;
            }
        } else if may_refuse && self.rng.chance(self.faults.stop_hangs) {
            return;
        } else if may_refuse && self.rng.chance(self.faults.stop_late) {
            let late_ms = self.rng.pick(&[60, 300, 6_000]);
            return self.end(run, after_ms + late_ms);
        }
        let after_ms = self.rng.delay_ms();
        self.end(run, after_ms);
    }

    fn observe(&mut self) {
        let started: Vec<RunId> =
            self.book.alive().filter(|run| run.started).map(|run| run.id).collect();
        for run in started {
            self.sample(run, true);
        }
    }

    fn sample(&mut self, run: RunId, regular: bool) {
        let (after_ms, cpu_ms) = (self.rng.delay_ms(), self.rng.below(100));
        let rss_bytes = self.rng.below(3);
        self.plan_fact(after_ms, run, Fact::Sampled { cpu_ms, rss_bytes, regular });
    }

    /// What hung is answered at last, and nothing hangs from now on.
    pub(super) fn mend(&mut self) {
        self.mending = true;
        for what in std::mem::take(&mut self.hung) {
            match what {
                Hung::Start(run) => self.answer_start(run),
                Hung::Probe(run) => self.answer_probe(run),
                Hung::Question(run) => self.answer_question(run),
                Hung::Sleepiness(run) => self.answer_ask_sleep(run),
                Hung::Image(key) => self.answer_image(key),
                Hung::Look => self.answer_look(),
            }
        }
    }
}
