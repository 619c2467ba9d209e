//! The deadlines of runs. Each run has at most one; what it means follows from the run's state:
//!
//! | state | the deadline is when … | there is none |
//! |---|---|---|
//! | `Starting`, `Probing` | the gate stops counting this start | without a gate, or its patience; once it has passed |
//! | `Ready` | the tenant may sleep, or is idle, unless it was touched; a sweep after `shouldIdleKill` kept it, or it refused a stop, or while its next release comes up | without idle stops; while `shouldIdleKill` is asked, or its connections are looked for |
//! | `Asleep`: resting | it is to be paged out, to breathe, or idle | without any of these |
//! | `Asleep`: breathing | its breath is over | |
//! | `Asleep`: else | | always: an answer is on its way, or it waits for room |
//! | `Retired` | it may be stopped: its time is over, or it would be unused if nothing touched it; a sweep after it refused a stop | |
//! | `Stopping`: saving | the save has taken too long: it counts as failed | |
//! | `Stopping`: awaiting a process | the user's function has had its time: the stop is given up | for a process of ours |
//! | `Stopping`: rousing | it has not woken: it is forced | |
//! | `Stopping`: asked | the grace is over: it is forced | for a user's process, until its `kill` is being called |
//! | `Stopping`: forced | the grace, and what a `kill` that has not settled may take, is over: the stop is given up | for a process of ours; for a user's, until its `kill` is being called |
//! | `Stranded` | | always |
//!
//! The end of a tenure is no such deadline: `eviction.rs` keeps those, and only a key that waits
//! for room makes one of them due.

use crate::RunId;
use crate::tenant::Run;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(u64, RunId)>,
}

impl Timers {
    /// Sets the run's deadline, in place of the one it had.
    pub fn set(&mut self, run: &mut Run, at_ms: u64) {
        self.clear(run);
        run.deadline_ms = Some(at_ms);
        self.due.insert((at_ms, run.id));
    }

    pub fn clear(&mut self, run: &mut Run) {
        if let Some(at_ms) = run.deadline_ms.take() {
            self.due.remove(&(at_ms, run.id));
        }
    }

    pub fn first(&self) -> Option<u64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// The runs whose deadline has come, earliest first.
    pub fn due(&self, now_ms: u64) -> Vec<RunId> {
        // Mostly there is none.
        if self.first().is_none_or(|at_ms| at_ms > now_ms) {
            return Vec::new();
        }
        self.due.iter().take_while(|(at_ms, _)| *at_ms <= now_ms).map(|(_, run)| *run).collect()
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }
}
