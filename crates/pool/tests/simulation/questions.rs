//! What the pool wants to know about idle tenants, and what is handed over to it.

use super::delays::Delays;
use super::properties::Verdict;
use super::world::{Happening, Hung, World};
use pool::{Adopted, CallId, Custody, Fact, Input, Leases, Owner, RunId};

/// A tenant of ours of an earlier host.
const FOUND_AGAIN: Custody = Custody { owner: Owner::Us, may_refuse_stop: true };

impl World<'_> {
    pub(super) fn ask_idle(&mut self, run: RunId) {
        if !self.hangs(self.faults.question_hangs, Hung::Question(run)) {
            self.answer_question(run);
        }
    }

    pub(super) fn answer_question(&mut self, run: RunId) {
        let (after_ms, stop) = (self.rng.delay_ms(), !self.rng.chance(self.faults.kept));
        self.plan_fact(after_ms, run, Fact::IdleAnswered { stop });
    }

    /// Of a run that has just begun to be saved: for how long it was idle.
    pub(super) fn note_idleness(&mut self, run: RunId) {
        let step = self.book.step;
        let Some(record) = self.book.run(run).filter(|run| run.saving.is_some()) else { return };
        if record.idleness.stop_step == step {
            let idle_ms = self.book.idle_ms(record, self.leases.at_claim(run));
            self.book.run_mut(run).expect("just seen").idleness.saved_idle_ms = Some(idle_ms);
        }
    }

    /// It may end by itself before, or after, it is known whether it is saved.
    pub(super) fn save(&mut self, run: RunId) {
        self.note_idleness(run);
        if self.rng.chance(self.faults.ends_with_the_save) {
            let after_ms = self.rng.delay_ms();
            self.end(run, after_ms);
        }
        let key = self.book.run(run).expect("it is saved").key;
        self.call_snapshot_driver(key);
    }

    /// Notes the runs that are idle by the clocks of this moment: the look counts for these alone.
    /// (A run that is touched right now may have been idle earlier in this step.)
    pub(super) fn look(&mut self) {
        let used = self.book.alive().filter(|run| run.is_in_use() || run.is_retired());
        let idle = used.filter(|run| {
            if run.is_retired() {
                return true;
            }
            let idle_ms = self.book.idle_ms(run, self.leases.touched(run.id));
            let idle_after_ms = run.idle_after_ms(&self.book.config).unwrap_or(u64::MAX);
            idle_ms >= idle_after_ms || idle_ms == 0
        });
        let idle = idle.map(|run| run.id).collect();
        self.book.looking = Some(idle);
        self.book.note_who_is_looked_at();
        if !self.hangs(self.faults.question_hangs, Hung::Look) {
            self.answer_look();
        }
    }

    pub(super) fn answer_look(&mut self) {
        let after_ms = self.rng.delay_ms();
        if self.rng.chance(self.faults.duplicates) {
            self.plan(after_ms, Happening::Look);
        }
        self.plan(after_ms, Happening::Look);
    }

    /// Also of runs that are over, or not yet in use.
    pub(super) fn see_connections(&mut self) -> Verdict {
        let seen = !self.rng.chance(self.faults.unseen);
        let latest = self.book.runs.iter().rev().take(8).map(|run| run.id);
        let (rng, percent) = (&mut self.rng, self.faults.connected);
        let open = latest.filter(|_| seen && rng.chance(percent)).collect();
        self.handle(Input::Connections { open, seen })
    }

    /// A process of the user's that has run for a while, by a clock that may be a little fast.
    pub(super) fn hand_over(&mut self, call: CallId) -> Adopted {
        let wall_ms = self.book.now.wall_ms;
        let touched_at_ms = match self.rng.below(10) {
            0 => wall_ms + self.rng.below(20),
            1..=4 => wall_ms,
            _ => wall_ms - self.rng.below(200),
        };
        let custody = self.rng.pick(&[Custody::USERS, Custody::USERS, FOUND_AGAIN]);
        let (pid, port) = (10_000 + call as u32, 10_000 + call as u16);
        let process = Adopted { pid, port, touched_at_ms, custody };
        self.book.calls[call as usize].process = Some(process);
        process
    }
}
