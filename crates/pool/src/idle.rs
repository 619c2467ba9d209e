//! Idleness: when a tenant counts as idle, and who is asked before it is stopped.
//!
//! A ready tenant has a deadline at which it would be idle if nobody touched it. Then it is looked at, in this order, and
//! each step compares the clock anew, since the tenant may have been touched while somebody was being asked:
//!
//! 1. the clock of touches, and of connections that were seen;
//! 2. with `heeds_connections`: whether it has an open connection right now;
//! 3. with `asks_before_idle`: whoever has the last word;
//! 4. the claim of its lease, after which nobody can be handed the tenant any more.
//!
//! Connections are looked for in all tenants at once, since the kernel lists them all at once: regularly, so that it is
//! known when one was last open, and once more before a tenant is stopped.

use crate::RunId;
use crate::messages::{Action, Event};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, State};
use std::collections::HashSet;

/// How far an idle tenant has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IdleStep {
    Clock,
    Connections,
    Asked,
}

/// Looking for open connections.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// When the next regular look is due.
    pub at_ms: Option<u64>,
    is_under_way: bool,
    /// Idle runs that wait for the answer.
    asking: Vec<RunId>,
    /// Idle runs that came after the look had begun: they need the next one.
    asking_next: Vec<RunId>,
}

impl Pool {
    /// The run's deadline has come: stop it, unless it was touched meanwhile or somebody is to be asked first.
    pub(crate) fn consider_idle(&mut self, step: &mut Step, id: RunId, done: IdleStep) {
        let Some(idle_after_ms) = self.config.idle_after_ms.filter(|_| self.disposal.is_none()) else {
            return self.clear_deadline(id);
        };
        let State::Ready(run) = &mut self.tenant_of(id).state else { return };
        if run.idle_is_asked {
            return self.clear_deadline(id);
        }
        let connected_at_ms = run.connected_at_ms;
        let idle_ms = |at_ms: u64| step.now.wall_ms.saturating_sub(at_ms.max(connected_at_ms));
        let mut idle_for_ms = idle_ms(step.leases.touched(id).at_ms);
        if idle_for_ms >= idle_after_ms {
            if self.asks_first(id, done, idle_for_ms) {
                return;
            }
            idle_for_ms = idle_ms(step.leases.claim(id).at_ms);
            if idle_for_ms >= idle_after_ms {
                self.actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms: idle_for_ms }));
                return match self.config.checkpoint_timeout_ms {
                    Some(timeout_ms) => self.begin_saving(step, id, timeout_ms),
                    None => self.begin_stop(step, id, Cause::Idle),
                };
            }
            step.leases.reopen(id);
        }
        self.set_deadline(step, id, idle_after_ms - idle_for_ms);
    }

    /// Whether somebody is to be asked before the run is stopped. It has no deadline until they answer.
    fn asks_first(&mut self, id: RunId, done: IdleStep, idle_ms: u64) -> bool {
        let looks = self.config.heeds_connections && done < IdleStep::Connections;
        let asks = self.config.asks_before_idle && done < IdleStep::Asked;
        if !(looks || asks) {
            return false;
        }
        self.clear_deadline(id);
        if looks {
            self.look_for(id);
        } else {
            if let Some(run) = self.tenant_of(id).state.run_mut() {
                run.idle_is_asked = true;
            }
            self.actions.push(Action::AskIdle { run: id, idle_ms });
        }
        true
    }

    /// Whoever has the last word has said it. Kept tenants are asked about again a sweep later.
    pub(crate) fn idle_answered(&mut self, step: &mut Step, id: RunId, stop: bool) {
        let State::Ready(run) = &mut self.tenant_of(id).state else { return };
        if !std::mem::take(&mut run.idle_is_asked) {
            return;
        }
        if stop {
            self.consider_idle(step, id, IdleStep::Asked);
        } else {
            self.set_deadline(step, id, self.config.sweep_interval_ms);
        }
    }

    fn is_ready(&self, id: RunId) -> bool {
        self.runs.get(&id).is_some_and(|key| matches!(self.tenants[key].state, State::Ready(_)))
    }

    fn look_for(&mut self, id: RunId) {
        if self.looks.is_under_way {
            self.looks.asking_next.push(id);
        } else {
            self.looks.asking.push(id);
            self.look();
        }
    }

    fn look(&mut self) {
        self.looks.is_under_way = true;
        self.looks.at_ms = None;
        self.actions.push(Action::LookForConnections);
    }

    /// A regular look may be due.
    pub(crate) fn look_regularly(&mut self, step: &Step) {
        if self.looks.at_ms.is_some_and(|at_ms| at_ms <= step.now.steady_ms) {
            self.look();
        }
    }

    /// Connections are looked for as long as there is a tenant that could be idle.
    pub(crate) fn schedule_look(&mut self, now_ms: u64) {
        let Some(idle_after_ms) = self.config.idle_after_ms.filter(|_| self.config.heeds_connections) else {
            return;
        };
        if self.looks.is_under_way || self.looks.at_ms.is_some() {
            return;
        }
        let wanted = self.room.candidates() > 0 && self.disposal.is_none();
        let interval_ms = self.config.sweep_interval_ms.min(idle_after_ms / 2).max(1);
        self.looks.at_ms = wanted.then(|| now_ms.saturating_add(interval_ms));
    }

    /// It is known which runs have an open connection. Where that could not be seen, nobody is taken to be idle.
    pub(crate) fn connections_seen(&mut self, step: &mut Step, open: Vec<RunId>, seen: bool) {
        if !std::mem::take(&mut self.looks.is_under_way) {
            return;
        }
        for id in &open {
            let tenant = self.runs.get(id).and_then(|key| self.tenants.get_mut(key));
            if let Some(State::Ready(run)) = tenant.map(|tenant| &mut tenant.state) {
                run.connected_at_ms = step.now.wall_ms;
            }
        }
        let open: HashSet<RunId> = open.into_iter().collect();
        for id in std::mem::take(&mut self.looks.asking) {
            if !self.is_ready(id) {
                continue;
            }
            if seen {
                let done = if open.contains(&id) { IdleStep::Clock } else { IdleStep::Connections };
                self.consider_idle(step, id, done);
            } else {
                self.set_deadline(step, id, self.config.sweep_interval_ms);
            }
        }
        self.looks.asking = std::mem::take(&mut self.looks.asking_next);
        if !self.looks.asking.is_empty() {
            self.look();
        }
        self.schedule_look(step.now.steady_ms);
    }
}
