//! Tenure: how long a tenant that is ready is safe from eviction.
//!
//! A tenure is as long as the start, or the restore, took, within the two bounds below. So where
//! keys take turns in too little room, a caller gets to use what it asked for, and no more than
//! half of the time goes into starts. Only eviction heeds it.

use crate::planted::{Bug, planted};
use crate::tenant::Run;

/// The shortest tenure. The clock counts whole milliseconds, so a run is never evicted in the step
/// that made it ready, and its callers were told; where starts cost nothing, it holds up other keys
/// for no longer than the clock can show.
const SHORTEST_TENURE_MS: u64 = 1;
/// The longest. Time enough for the requests that a tenant was started for, however slowly it
/// starts; and a tenant that takes half a minute to start must not keep others out for as long
/// again. The gate's patience with a slow start is the same.
const LONGEST_TENURE_MS: u64 = 1_000;

impl Run {
    /// The run is ready: its tenure begins.
    pub fn begin_tenure(&mut self, now_ms: u64) {
        let start_ms = now_ms.saturating_sub(self.started_steady_ms);
        let start_ms = self.start_took_ms.unwrap_or(start_ms);
        let tenure_ms = start_ms.clamp(SHORTEST_TENURE_MS, LONGEST_TENURE_MS);
        let tenure_ms = if planted(Bug::NoTenure) { 0 } else { tenure_ms };
        self.tenure_ends_ms = now_ms.saturating_add(tenure_ms);
    }

    /// The run was just handed out: its caller does not see it evicted in the same step.
    pub fn stay_for_a_moment(&mut self, now_ms: u64) {
        self.tenure_ends_ms = self.tenure_ends_ms.max(now_ms.saturating_add(SHORTEST_TENURE_MS));
    }
}
