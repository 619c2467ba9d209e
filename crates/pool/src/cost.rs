//! What it costs to keep a tenant, for pools that evict by that: the memory that it holds, times
//! how long it has not been used, for each millisecond that it would take to start it again.
//!
//! Its memory is as it was last observed, the time of its start as it was measured. A tenant that
//! was found, or handed over, has a usual start.

use crate::RunId;
use crate::idle::Looks;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::releases::Releases;
use crate::tenant::{Run, Tenant};

/// A start that was not measured: a small app's.
const USUAL_START_MS: u64 = 150;

impl Run {
    /// In byte milliseconds for each millisecond of its start, by how long the run was not used.
    fn cost(&self, idle_ms: u64) -> u128 {
        let rss_bytes = self.usage.map_or(0, |usage| usage.rss_bytes);
        let start_ms = self.start_took_ms.unwrap_or(USUAL_START_MS).max(1);
        u128::from(rss_bytes) * u128::from(idle_ms) / u128::from(start_ms)
    }
}

impl Pool {
    /// What `choose` makes of the candidate that costs most to keep, of those that it does not pass
    /// over; the least recently active of several.
    pub(crate) fn choose_costliest<T>(
        &self,
        step: &Step,
        is_warm: bool,
        choose: impl Fn((&Releases, &Looks), &Tenant, &Run) -> Option<T>,
    ) -> Option<T> {
        // Of equals the last one wins: those that were active more recently come first.
        let costly = self.candidates.iter(is_warm).rev().filter_map(|id| {
            let tree = self.tree_of(id);
            let run = tree.state.run()?;
            let chosen = choose((&self.releases, &self.looks), tree, run)?;
            Some((self.cost_of(step, id), chosen))
        });
        costly.max_by_key(|(cost, _)| *cost).map(|(_, chosen)| chosen)
    }

    /// What it costs to keep the run, which is not used at this moment.
    pub(crate) fn cost_of(&self, step: &Step, id: RunId) -> u128 {
        let Some(run) = self.tree_of(id).state.run() else { return 0 };
        let active_ms = step.leases.touched(id).at_ms.max(run.connected_at_ms);
        let cost = run.cost(self.absences.running_ms(active_ms, step.now.wall_ms));
        if planted(Bug::CheapestLeaves) { u128::MAX - cost } else { cost }
    }
}
