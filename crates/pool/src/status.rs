//! What can be seen of the keys from outside.

use crate::pool::Pool;
use crate::tenant::{State, Tenant};
use crate::{Failure, Key, Now, RunId};

/// One key, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The key.
    pub key: Key,
    /// What is being done about it.
    pub phase: Phase,
    /// Its process, from the decision to start it.
    pub run: Option<RunId>,
    /// Its failures since it was last ready.
    pub failures: Option<FailureStatus>,
}

/// What is being done about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for room, or for enough others to be ready.
    Queued,
    /// Being started.
    Spawning,
    /// In use.
    Ready,
    /// Being stopped.
    Stopping,
    /// Could not be started, and could not be ended either.
    Stuck,
    /// Nothing, and `ensure` is refused for a while.
    BackingOff,
    /// Nothing, and `ensure` is refused until the failures are cleared.
    Failed,
    /// Nothing; it has failed, and the next `ensure` tries again.
    Stopped,
}

/// Earlier failures of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureStatus {
    /// In a row.
    pub count: u64,
    /// When `ensure` is no longer refused for them, in milliseconds since the epoch; `None` only after clearing.
    pub retry_at_ms: Option<u64>,
    /// The last of them.
    pub last: Failure,
}

impl Pool {
    /// What is known of one key.
    pub fn status(&self, key: &str, now: Now) -> Option<Status> {
        match self.tenants.get(key) {
            Some(tenant) => Some(self.of_tenant(tenant, now)),
            None => self.of_failed(key, now),
        }
    }

    /// What is known of every key, in the order of the keys.
    pub fn statuses(&self, now: Now) -> Vec<Status> {
        let without = self.failures.keys().filter(|key| !self.tenants.contains_key(*key));
        let mut all: Vec<Status> = self.tenants.values().map(|tenant| self.of_tenant(tenant, now)).collect();
        all.extend(without.filter_map(|key| self.of_failed(key, now)));
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    fn of_tenant(&self, tenant: &Tenant, now: Now) -> Status {
        let phase = match &tenant.state {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => Phase::Queued,
            State::Starting(_) | State::Probing(_) => Phase::Spawning,
            State::Ready(_) => Phase::Ready,
            State::Stopping(..) => Phase::Stopping,
            State::Stranded(_) => Phase::Stuck,
        };
        let run = tenant.state.run().map(|run| run.id);
        Status { key: tenant.key.clone(), phase, run, failures: self.failure_status(&tenant.key, now) }
    }

    fn of_failed(&self, key: &str, now: Now) -> Option<Status> {
        let failures = self.failure_status(key, now)?;
        let phase = match failures.retry_at_ms {
            None => Phase::Failed,
            Some(at_ms) if at_ms > now.wall_ms => Phase::BackingOff,
            Some(_) => Phase::Stopped,
        };
        Some(Status { key: key.into(), phase, run: None, failures: Some(failures) })
    }

    fn failure_status(&self, key: &str, now: Now) -> Option<FailureStatus> {
        let failures = self.failures.of(key)?;
        let is_final = failures.count >= self.failures.max_failures();
        let steady_from_wall_ms = now.wall_ms.saturating_sub(now.steady_ms);
        let retry_at_ms = steady_from_wall_ms.saturating_add(failures.retry_at_ms);
        Some(FailureStatus {
            count: failures.count,
            retry_at_ms: (!is_final).then_some(retry_at_ms),
            last: failures.last.clone(),
        })
    }
}
