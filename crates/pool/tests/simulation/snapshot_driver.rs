//! The snapshot driver of the world: how it answers, and what goes wrong.

use super::delays::Delays;
use super::images::Call;
use super::properties::Verdict;
use super::world::{Happening, Hung, World};
use pool::{Fact, ImageAnswer, Input, RunId};

impl World<'_> {
    pub(super) fn find_image(&mut self, run: RunId, key: usize) {
        self.await_image(run, key);
        self.call_snapshot_driver(key);
    }

    /// JavaScript takes it in its own time.
    pub(super) fn restore_image(&mut self, run: RunId, key: usize) {
        let after_ms = if self.rng.chance(20) { self.rng.delay_ms() } else { 0 };
        self.plan(after_ms, Happening::Restore(run, key));
    }

    /// Unless it was called off meanwhile.
    pub(super) fn restore_is_taken(&mut self, run: RunId, key: usize) -> Verdict {
        if !self.book.run(run).is_some_and(|run| run.is_coming_up()) {
            return self.handle(Input::Image { key: self.key(key), answer: ImageAnswer::No });
        }
        self.find_image(run, key);
        Ok(())
    }

    pub(super) fn call_snapshot_driver(&mut self, key: usize) {
        if !self.hangs(self.faults.question_hangs, Hung::Image(key)) {
            self.answer_image(key);
        }
    }

    /// What it will answer is found out when it does; a restore that brings a process back is
    /// answered with that.
    pub(super) fn answer_image(&mut self, key: usize) {
        let after_ms = self.rng.delay_ms();
        self.plan(after_ms, Happening::Image(key));
    }

    /// JavaScript counts how long the run waits.
    pub(super) fn await_image(&mut self, run: RunId, key: usize) {
        let timeout_ms = self.book.config.checkpoint_timeout_ms.unwrap_or(0);
        let record = &mut self.book.images[key];
        record.waits += 1;
        let wait = record.waits;
        record.waiting.insert(run, wait);
        self.plan(timeout_ms, Happening::ImageIsLate { run, key, wait });
    }

    /// The run has waited for so long, unless the answer came meanwhile.
    pub(super) fn image_is_late(&mut self, run: RunId, key: usize, wait: u64) -> Verdict {
        let waiting = &mut self.book.images[key].waiting;
        if waiting.get(&run) != Some(&wait) {
            return Ok(());
        }
        waiting.remove(&run);
        self.handle(Input::Fact(run, Fact::ImageLate { text: "late".into() }))
    }

    pub(super) fn snapshot_driver_answers(&mut self, key: usize) -> Verdict {
        let record = &self.book.images[key];
        let Some(call) = record.call else { return Ok(()) };
        let (is_there, fails) = (record.there.is_some(), self.rng.chance(self.faults.images_fail));
        let answer = match call {
            Call::Restore { run, is_late } => {
                let comes_back = is_there && !is_late && !fails && self.run_is_live(run);
                if comes_back {
                    return self.bring_back(run, key);
                }
                ImageAnswer::Failed
            }
            _ if fails => ImageAnswer::Failed,
            Call::Save { .. } if self.rng.chance(self.faults.not_saved) => ImageAnswer::No,
            Call::Find(_) if !is_there || self.rng.chance(self.faults.images_fail) => {
                ImageAnswer::No
            }
            Call::Save { .. } | Call::Find(_) | Call::Drop => ImageAnswer::Yes,
        };
        self.handle(Input::Image { key: self.key(key), answer })
    }

    fn run_is_live(&self, run: RunId) -> bool {
        self.book.run(run).is_some_and(|run| !run.over)
    }

    /// Now and then not where it was.
    fn bring_back(&mut self, run: RunId, key: usize) -> Verdict {
        let elsewhere = if self.rng.chance(20) { 1_000 } else { 0 };
        let (pid, port) = (100 + run.0 as u32, 4_000 + elsewhere + run.0 as u16);
        let record = &mut self.book.images[key];
        record.call = None;
        record.waiting.clear();
        self.plan_again(run, Fact::Restored { pid, port });
        self.tell(run, Fact::Restored { pid, port })
    }
}
