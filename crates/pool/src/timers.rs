//! The deadlines of runs. Each run has at most one; what it means follows from the run's state:
//!
//! | state | the deadline is when … |
//! |---|---|
//! | `Starting`, `Probing` | the gate stops counting this start |
//! | `Ready` | the tenant would be idle if nobody touched it |
//! | `Stopping` | the grace is over: force, or give the stop up |

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
        self.due.iter().take_while(|(at_ms, _)| *at_ms <= now_ms).map(|(_, run)| *run).collect()
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }
}
