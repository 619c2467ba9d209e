//! What can be seen of the keys from outside.

use crate::pool::Pool;
use crate::tenant::{State, Tenant};
use crate::{Depth, Failure, History, Key, Now, Release, RunId};

/// The most ended tenants in one list. Lists are asked for again and again, mostly to see the
/// tenants that live.
const LISTED_ENDS: usize = 1_000;

/// One key, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The key.
    pub key: Key,
    /// What is being done about it.
    pub phase: Phase,
    /// How deep it sleeps, if it does.
    pub depth: Option<Depth>,
    /// Its process, from the decision to start it.
    pub run: Option<RunId>,
    /// Its failures since it was last ready.
    pub failures: Option<FailureStatus>,
    /// When it is started again by itself, as a warm key, in milliseconds since the epoch. `None`
    /// also while it is refused.
    pub comes_back_at_ms: Option<u64>,
    /// What its process tree has used and uses, as last seen.
    pub usage: Option<Usage>,
    /// Its processes so far.
    pub history: History,
    /// Which release serves or, if nothing does, served last.
    pub release: Release,
    /// Another tree of the key: of the release that is to serve, or of one that retires.
    pub beside: Option<BesideStatus>,
}

/// The second tree of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BesideStatus {
    /// Its process, from the decision to start it.
    pub run: Option<RunId>,
    /// What is being done about it: `Stopping` from the moment that another release serves.
    pub phase: Phase,
}

/// What a process tree has used, and uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since its start.
    pub cpu_ms: u64,
    /// Memory.
    pub rss_bytes: u64,
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
    /// It sleeps (`Status::depth` says how deep), and is woken by its next use.
    Asleep,
    /// Being stopped.
    Stopping,
    /// Could not be started, and could not be ended either.
    Stuck,
    /// Nothing, and `ensure` is refused for a while.
    BackingOff,
    /// Nothing, and `ensure` is refused until the failures are cleared.
    Failed,
    /// Nothing; the next `ensure` starts it.
    Stopped,
    /// Nothing but an image, from which the next `ensure` continues.
    Checkpointed,
}

/// Earlier failures of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureStatus {
    /// In a row.
    pub count: u64,
    /// When `ensure` is no longer refused for them, in milliseconds since the epoch; `None` only
    /// after clearing.
    pub retry_at_ms: Option<u64>,
    /// The last of them.
    pub last: Failure,
    /// It was the process whose end is the key's last: what that wrote last is what this one did.
    pub is_of_last_exit: bool,
}

impl Pool {
    /// What is known of one key.
    pub fn status(&self, key: &str, now: Now) -> Option<Status> {
        match self.tenants.get(key) {
            Some(tenant) => Some(self.of_tenant(tenant, now)),
            None => match self.releases.get(key) {
                Some(beside) => Some(self.of_tenant(&beside.tree, now)),
                None => self.without_process(key, now),
            },
        }
    }

    /// What is known of every key that has a process, failures or an image, and of the
    /// [`LISTED_ENDS`] others that ended last, in the order of the keys.
    pub fn statuses(&self, now: Now) -> Vec<Status> {
        let is_over =
            |key: &&Key| !self.tenants.contains_key(*key) && self.releases.get(key).is_none();
        let has_failed = |key: &&Key| self.failures.of(key).is_some();
        let saved = self.images.saved().filter(is_over).filter(|key| !has_failed(key));
        let ended = self.histories.latest().filter(is_over).filter(|key| !has_failed(key));
        let ended = ended.filter(|key| !self.images.is_saved(key)).take(LISTED_ENDS);
        let without = self.failures.keys().filter(is_over).chain(saved).chain(ended);
        let mut all: Vec<Status> =
            self.tenants.values().map(|tenant| self.of_tenant(tenant, now)).collect();
        let second = self.releases.iter().filter(|(key, _)| !self.tenants.contains_key(*key));
        all.extend(second.map(|(_, beside)| self.of_tenant(&beside.tree, now)));
        all.extend(without.filter_map(|key| self.without_process(key, now)));
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    fn of_tenant(&self, tenant: &Tenant, now: Now) -> Status {
        let phase = phase_of(&tenant.state);
        let run = tenant.state.run();
        let serves = self.tenants.contains_key(&tenant.key);
        let release = if serves { tenant.release } else { self.histories.release_of(&tenant.key) };
        let second = self.releases.get(&tenant.key).map(|beside| &beside.tree.state);
        let beside = second.filter(|_| serves).map(|state| BesideStatus {
            run: state.run().map(|run| run.id),
            phase: phase_of(state),
        });
        // Its start was no failure, and nothing but its end will clear the book.
        let is_proven =
            serves && run.is_some_and(|run| run.was_ready && run.proven_at_ms <= now.steady_ms);
        let failures = if is_proven { None } else { self.failure_status(&tenant.key, now) };
        let (usage, history) = (run.and_then(|run| run.usage), self.history(&tenant.key));
        let (key, run, comes_back_at_ms) = (tenant.key.clone(), run.map(|run| run.id), None);
        let depth = match &tenant.state {
            State::Asleep(_, slumber) => slumber.depth,
            _ => None,
        };
        Status {
            key,
            phase,
            depth,
            run,
            failures,
            comes_back_at_ms,
            usage,
            history,
            release,
            beside,
        }
    }

    fn without_process(&self, key: &str, now: Now) -> Option<Status> {
        let (failures, history) = (self.failure_status(key, now), self.histories.of(key));
        let phase = match failures.as_ref().map(|failures| failures.retry_at_ms) {
            None if self.images.is_saved(key) => Phase::Checkpointed,
            None => history.map(|_| Phase::Stopped)?,
            Some(None) => Phase::Failed,
            Some(Some(at_ms)) if at_ms > now.wall_ms => Phase::BackingOff,
            Some(Some(_)) => Phase::Stopped,
        };
        let is_refused = matches!(phase, Phase::BackingOff | Phase::Failed);
        let due_ms = self.warm.due_ms_of(key).filter(|_| !is_refused);
        let comes_back_at_ms = due_ms.map(|due_ms| on_the_wall(due_ms, now));
        let (history, release) = (self.history(key), self.histories.release_of(key));
        let (key, run, usage, beside) = (key.into(), None, None, None);
        Some(Status {
            key,
            phase,
            depth: None,
            run,
            failures,
            comes_back_at_ms,
            usage,
            history,
            release,
            beside,
        })
    }

    fn history(&self, key: &str) -> History {
        self.histories.of(key).cloned().unwrap_or_default()
    }

    fn failure_status(&self, key: &str, now: Now) -> Option<FailureStatus> {
        let failures = self.failures.of(key)?;
        let is_final = failures.count >= self.failures.max_failures();
        let retry_at_ms = on_the_wall(failures.retry_at_ms, now);
        Some(FailureStatus {
            count: failures.count,
            retry_at_ms: (!is_final).then_some(retry_at_ms),
            last: failures.last.clone(),
            is_of_last_exit: self.histories.of(key).is_some_and(|history| {
                history.last_exit.as_ref().is_some_and(|exit| exit.run == failures.run)
            }),
        })
    }
}

/// When the clock on the wall will say so.
fn on_the_wall(steady_ms: u64, now: Now) -> u64 {
    now.wall_ms.saturating_sub(now.steady_ms).saturating_add(steady_ms)
}

fn phase_of(state: &State) -> Phase {
    match state {
        State::AwaitingRoom { .. } | State::AwaitingGate { .. } => Phase::Queued,
        State::Starting(_) | State::Probing(_) => Phase::Spawning,
        State::Asleep(_, slumber) if slumber.depth.is_some() => Phase::Asleep,
        State::Ready(_) | State::Asleep(..) => Phase::Ready,
        State::Retired(..) | State::Stopping(..) => Phase::Stopping,
        State::Stranded(_) => Phase::Stuck,
    }
}
