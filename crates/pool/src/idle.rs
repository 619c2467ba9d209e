//! Idleness: when a tenant counts as idle, and what is asked before it is stopped.
//!
//! A ready tenant has a deadline at which it is idle unless it was touched. When that has come,
//! the checks below follow in this order. Each compares the clock anew, since the tenant may have
//! been touched while an answer was awaited:
//!
//! 1. whether it is in use; the clock of touches, and of connections that were seen;
//! 2. with `heeds_connections`: whether it has an open connection right now;
//! 3. with `asks_before_idle`: the user's `shouldIdleKill`;
//! 4. with both: its connections once more, since the answer may have taken its time;
//! 5. the claim of its lease, after which no caller is handed the tenant any more. A caller that
//!    was counted in use before the claim keeps the tenant.
//!
//! Connections are looked for in all tenants at once, since the kernel lists them all at once:
//! regularly, so that it is known when one has closed (a look late, never early), and once more
//! before a tenant is stopped, for being idle or to make room (`eviction.rs`). Without
//! `heeds_connections` they are looked for only while a release retires (`retirement.rs`).

use crate::RunId;
use crate::messages::{Action, Event};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::retirement::Look;
use crate::tenant::{Cause, State};
use std::collections::{HashSet, VecDeque};

/// Absences of the host that are remembered: the last ones. Older ones are counted as time in which
/// it ran.
const REMEMBERED_ABSENCES: usize = 16;

/// When the host did not run, in milliseconds since the epoch, the earliest first. No
/// tenant could be touched then, so this time is no idle time.
#[derive(Debug, Default)]
pub(crate) struct Absences(VecDeque<(u64, u64)>);

impl Absences {
    pub fn add(&mut self, from_ms: u64, to_ms: u64) {
        if self.0.len() == REMEMBERED_ABSENCES {
            self.0.pop_front();
        }
        self.0.push_back((from_ms, to_ms));
    }

    /// How much of the time between these two the host has run.
    pub(crate) fn running_ms(&self, since_ms: u64, now_ms: u64) -> u64 {
        let away = self.0.iter().map(|(from_ms, to_ms)| {
            let (from_ms, to_ms) = ((*from_ms).max(since_ms), (*to_ms).min(now_ms));
            to_ms.saturating_sub(from_ms)
        });
        now_ms.saturating_sub(since_ms).saturating_sub(away.sum())
    }
}

/// How far an idle tenant has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IdleStep {
    Clock,
    Connections,
    Asked,
    ConnectionsAgain,
}

impl IdleStep {
    /// What a look for connections completes.
    fn looked(self) -> IdleStep {
        if self < IdleStep::Asked { IdleStep::Connections } else { IdleStep::ConnectionsAgain }
    }
}

/// Which of the two looks at a lease: the one that decides comes after the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Before,
    After,
}

/// Looking for open connections.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// After so long some run is idle, of those that there are or were.
    shortest_idle_ms: Option<u64>,
    /// When the next regular look is due.
    pub at_ms: Option<u64>,
    is_under_way: bool,
    /// A tenant is to make room. The victim is chosen in the step that brings the answer of a look
    /// that began for this.
    pub is_wanted_for_room: bool,
    /// The look under way began to make room.
    serves_room: bool,
    /// This step has brought the answer of a look that began to make room.
    pub is_fresh: bool,
    /// The runs that had an open connection at the last look. A run whose last one has closed
    /// since counts as active until now, since the moment of closing is not known.
    open: HashSet<RunId>,
    /// Idle runs that wait for the look under way, and how far they had come before. And retired
    /// ones, which have no steps before.
    asking: Vec<(RunId, IdleStep)>,
    /// Idle runs that wait for the next look: the one under way had begun before they were idle.
    asking_next: Vec<(RunId, IdleStep)>,
}

impl Looks {
    pub fn new(idle_after_ms: Option<u64>) -> Self {
        Looks { shortest_idle_ms: idle_after_ms, ..Looks::default() }
    }

    /// A run is idle after this time.
    pub fn heed_idle_time(&mut self, idle_after_ms: Option<u64>) {
        self.shortest_idle_ms = self.shortest_idle_ms.into_iter().chain(idle_after_ms).min();
    }

    /// Whether the run had an open connection at the last look.
    pub fn is_connected(&self, run: RunId) -> bool {
        self.open.contains(&run)
    }

    /// A retired run waits for a look that begins from now on.
    pub fn ask_next(&mut self, run: RunId) {
        self.ask_no_more(run);
        self.asking_next.push((run, IdleStep::Clock));
    }

    /// Any look that the run waited for began too early.
    pub fn ask_no_more(&mut self, run: RunId) {
        self.asking.retain(|(asking, _)| *asking != run);
        self.asking_next.retain(|(asking, _)| *asking != run);
    }

    /// Whether any run had an open connection at the last look.
    pub fn has_connected_runs(&self) -> bool {
        !self.open.is_empty()
    }
}

impl Pool {
    /// The run's deadline has come: stop it, unless it was touched meanwhile, or its connections
    /// are to be looked at or `shouldIdleKill` is to be asked first.
    pub(crate) fn consider_idle(&mut self, step: &mut Step, id: RunId, done: IdleStep) {
        let Some(idle_after_ms) = self.idle_after_ms(id).filter(|_| self.disposal.is_none()) else {
            return self.clear_deadline(id);
        };
        let idle_after_ms =
            if planted(Bug::IdleTooSoon) { idle_after_ms / 2 } else { idle_after_ms };
        let State::Ready(run) = &mut self.tenant_of(id).state else { return };
        if run.idle_is_asked && !planted(Bug::AskedTwice) {
            return self.clear_deadline(id);
        }
        let connected_at_ms = run.connected_at_ms;
        if self.releases.has_coming(&self.runs[&id]) && !planted(Bug::DeployLosesItsTenant) {
            return self.set_deadline(step, id, self.config.sweep_interval_ms);
        }
        let mut idle_for_ms = self.idle_for_ms(step, id, connected_at_ms, Claim::Before);
        if idle_for_ms >= idle_after_ms {
            if self.asks_first(id, done, idle_for_ms) {
                return;
            }
            step.leases.claim(id);
            idle_for_ms = self.idle_for_ms(step, id, connected_at_ms, Claim::After);
            if idle_for_ms >= idle_after_ms {
                return match self.config.checkpoint_timeout_ms {
                    Some(timeout_ms) => self.begin_saving(step, id, timeout_ms, idle_for_ms),
                    None => {
                        self.actions
                            .push(Action::Emit(Event::IdleKill { run: id, idle_ms: idle_for_ms }));
                        self.begin_stop(step, id, Cause::Idle);
                    }
                };
            }
            step.leases.reopen(id);
        }
        self.set_deadline(step, id, idle_after_ms - idle_for_ms);
    }

    /// How long after its last use a ready run is idle; `None` never.
    fn idle_after_ms(&self, id: RunId) -> Option<u64> {
        let tree = self.tree_of(id);
        tree.state.run()?.idle_after_ms(tree.warm, &self.config)
    }

    /// For how long the run has not been used. The count comes before the clock: see
    /// [`Leases`](crate::Leases).
    fn idle_for_ms(&self, step: &Step, id: RunId, connected_at_ms: u64, claim: Claim) -> u64 {
        let is_overlooked = planted(Bug::UseIsIdleness)
            || (claim == Claim::After && planted(Bug::ClaimIsBlindToUse));
        if step.leases.is_in_use(id) && !is_overlooked {
            return 0;
        }
        let active_ms = step.leases.touched(id).at_ms.max(connected_at_ms);
        self.absences.running_ms(active_ms, step.now.wall_ms)
    }

    /// Asks what is still to be asked before the run is stopped: for its connections, or the
    /// user's `shouldIdleKill`. Returns whether there was anything; the run has no deadline until
    /// the answer.
    fn asks_first(&mut self, id: RunId, done: IdleStep, idle_ms: u64) -> bool {
        let looks = self.config.heeds_connections && done != done.looked();
        let asks = self.config.asks_before_idle && done < IdleStep::Asked;
        if planted(Bug::ShouldIdleKillIsNotAsked) || !(looks || asks) {
            return false;
        }
        self.clear_deadline(id);
        if looks {
            self.looks.asking_next.push((id, done));
        } else {
            if let Some(run) = self.tenant_of(id).state.run_mut() {
                run.idle_is_asked = true;
            }
            self.actions.push(Action::AskIdle { run: id, idle_ms });
        }
        true
    }

    /// `shouldIdleKill` has answered. Kept tenants are asked about again a sweep later.
    pub(crate) fn idle_answered(&mut self, step: &mut Step, id: RunId, stop: bool) {
        let state = &mut self.tenant_of(id).state;
        let is_ready = matches!(state, State::Ready(_));
        // The question is answered in any case, also if the run is being stopped meanwhile.
        let is_asked = state.run_mut().is_some_and(|run| std::mem::take(&mut run.idle_is_asked));
        if !(is_ready && is_asked) {
            return;
        }
        if stop {
            self.consider_idle(step, id, IdleStep::Asked);
        } else {
            self.set_deadline(step, id, self.config.sweep_interval_ms);
        }
    }

    /// Whether the run still waits for a look: not if it was to be stopped meanwhile, and is back
    /// with a new deadline.
    fn waits_for_look(&self, id: RunId) -> bool {
        let state = self.runs.contains_key(&id).then(|| &self.tree_of(id).state);
        matches!(state, Some(State::Ready(run)) if run.deadline_ms.is_none())
    }

    /// Looks for connections if an idle run waits for it, a tenant is to make room or the regular
    /// look is due, and schedules the next regular look for as long as there is a tenant that
    /// could be idle. Ends every step.
    pub(crate) fn look(&mut self, step: &Step) {
        let (looks, now_ms) = (&mut self.looks, step.now.steady_ms);
        let heeds = self.config.heeds_connections;
        looks.is_fresh = false;
        // Without `heeds_connections` only retired runs wait for a look.
        if looks.is_under_way || (!heeds && looks.asking_next.is_empty()) {
            return;
        }
        let is_due = looks.at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if self.candidates.len() == 0 || self.disposal.is_some() {
            looks.asking_next.clear();
            looks.at_ms = None;
        } else if is_due || looks.is_wanted_for_room || !looks.asking_next.is_empty() {
            looks.serves_room = looks.is_wanted_for_room;
            looks.asking = std::mem::take(&mut looks.asking_next);
            looks.is_under_way = true;
            looks.at_ms = None;
            self.actions.push(Action::LookForConnections);
        } else if let Some(idle_after_ms) = looks.shortest_idle_ms.filter(|_| heeds) {
            let interval_ms = self.config.sweep_interval_ms.min(idle_after_ms / 2).max(1);
            looks.at_ms.get_or_insert(now_ms.saturating_add(interval_ms));
        }
    }

    /// It is known which runs have an open connection. Where that could not be seen, no run is
    /// taken to be idle, and room is made by what was known before.
    pub(crate) fn connections_seen(&mut self, step: &mut Step, open: Vec<RunId>, seen: bool) {
        if !std::mem::take(&mut self.looks.is_under_way) {
            return;
        }
        self.looks.is_fresh = self.looks.serves_room;
        let open: HashSet<RunId> = open.into_iter().collect();
        if seen && self.config.heeds_connections {
            let before = std::mem::replace(&mut self.looks.open, open.clone());
            for id in before.union(&self.looks.open) {
                let Some(key) = self.runs.get(id) else { continue };
                let state = &mut self.releases.tree_mut(&mut self.tenants, key, *id).state;
                if let State::Ready(run) | State::Retired(run, _) = state {
                    run.connected_at_ms = step.now.wall_ms;
                }
            }
        }
        let asking_next = std::mem::take(&mut self.looks.asking_next);
        // A run that left `Ready` and is idle again since this look began waits for the next look.
        let idle_again: HashSet<RunId> = asking_next.iter().map(|(id, _)| *id).collect();
        for (id, done) in std::mem::take(&mut self.looks.asking) {
            if idle_again.contains(&id) {
                continue;
            }
            if self.is_retired(id) {
                let is_unconnected = seen && !open.contains(&id);
                let look = if is_unconnected { Look::Unconnected } else { Look::Connected };
                self.consider_retired(step, id, look);
                continue;
            }
            if !self.waits_for_look(id) {
                continue;
            }
            if seen {
                let done = if open.contains(&id) { IdleStep::Clock } else { done.looked() };
                self.consider_idle(step, id, done);
            } else {
                self.set_deadline(step, id, self.config.sweep_interval_ms);
            }
        }
        for (id, done) in asking_next {
            if self.is_retired(id) {
                self.looks.ask_next(id);
            } else if self.waits_for_look(id) {
                self.consider_idle(step, id, done);
            }
        }
    }
}
