//! A host that is short of memory: while it is, the pool goes down the ladder, whatever
//! `max_concurrent` and the times of idleness say. One step at a time, each of them for who was not
//! used for longest or, with `evicts_by_cost`, costs most to keep:
//!
//! 1. sleepers are paged out, [`PAGED_OUT_AT_ONCE`] of them;
//! 2. the least recently active tenant that may sleep falls asleep, so that it can be paged out;
//! 3. a sleeper is stopped, or a tenant that nothing uses: none that is in use, connected, warm, in
//!    its tenure, or has its next release coming.

use crate::RunId;
use crate::messages::{Action, Event};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, State};

/// Between two steps. What the step before has freed shows in the host's figures by then, so that
/// no more is done than is needed.
const STEP_INTERVAL_MS: u64 = 1_000;
/// Sleepers that are paged out in one step: each takes milliseconds of a processor.
const PAGED_OUT_AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pressure {
    /// When the next step is due.
    pub next_ms: u64,
    /// A tenant is to be stopped, and connections are looked for before that.
    pub awaits_look: bool,
}

impl Pool {
    /// Whether the host is short of memory from now on.
    pub(crate) fn heed_pressure(&mut self, step: &mut Step, is_short: bool) {
        let is_heeded = is_short && self.disposal.is_none() && !planted(Bug::PressureIsIgnored);
        match self.pressure {
            _ if !is_heeded => self.pressure = None,
            None => self.relieve(step),
            Some(_) => {}
        }
    }

    /// Takes a step.
    pub(crate) fn relieve(&mut self, step: &mut Step) {
        let next_ms = step.now.steady_ms.saturating_add(STEP_INTERVAL_MS);
        self.pressure.get_or_insert_default().next_ms = next_ms;
        if self.candidates.asked() > 0 || self.page_some_out(step) || self.put_one_to_sleep(step) {
            return;
        }
        if let Some(sleeper) = self.sleeper_to_free(step) {
            self.begin_stop(step, sleeper, Cause::Evicted);
        } else if self.config.heeds_connections {
            let awaits_look = self.tenant_to_stop(step).is_some();
            self.pressure = Some(Pressure { next_ms, awaits_look });
        } else {
            self.stop_one(step);
        }
    }

    /// The look is done that a tenant's stop waits for.
    pub(crate) fn relieve_after_look(&mut self, step: &mut Step) {
        if let Some(pressure) = &mut self.pressure
            && std::mem::take(&mut pressure.awaits_look)
        {
            self.stop_one(step);
        }
    }

    fn page_some_out(&mut self, step: &Step) -> bool {
        if self.sleepers.cannot_sink {
            return false;
        }
        let mut shallow: Vec<RunId> =
            self.sleepers.iter().filter(|id| self.may_sink(*id)).collect();
        if self.config.evicts_by_cost {
            shallow.sort_by_key(|id| std::cmp::Reverse(self.cost_of(step, *id)));
        }
        shallow.truncate(PAGED_OUT_AT_ONCE);
        shallow.iter().for_each(|id| self.sink(*id));
        !shallow.is_empty()
    }

    /// It helps only where it can be paged out.
    fn put_one_to_sleep(&mut self, step: &mut Step) -> bool {
        if !self.sleeps() || self.sleepers.cannot_sink {
            return false;
        }
        let Some(run) = self.next_to_sleep(step) else { return false };
        self.ask_to_sleep(step, run);
        true
    }

    fn sleeper_to_free(&self, step: &Step) -> Option<RunId> {
        if !self.config.evicts_by_cost {
            return self.sleeper_to_stop().filter(|id| self.tree_of(*id).warm.is_none());
        }
        let cold = self.sleepers.iter().filter(|id| self.may_be_stopped(*id));
        cold.filter(|id| self.tree_of(*id).warm.is_none()).max_by_key(|id| self.cost_of(step, *id))
    }

    fn tenant_to_stop(&mut self, step: &Step) -> Option<RunId> {
        let by_cost = self.config.evicts_by_cost;
        let now_ms = step.now.steady_ms;
        self.choose_candidate(step, false, by_cost, |(releases, looks), tree, run| {
            let is_free = matches!(tree.state, State::Ready(_))
                && run.tenure_ends_ms <= now_ms
                && run.refused_at_ticket.is_none()
                && !step.leases.is_in_use(run.id)
                && !looks.is_connected(run.id)
                && !releases.has_coming(&tree.key);
            is_free.then_some(run.id)
        })
    }

    /// Stops a tenant, unless it is used at this moment.
    fn stop_one(&mut self, step: &mut Step) {
        let Some(id) = self.tenant_to_stop(step) else { return };
        let before = step.leases.touched(id);
        if step.leases.claim(id) > before || step.leases.is_in_use(id) {
            return step.leases.reopen(id);
        }
        self.actions.push(Action::Emit(Event::LruEvict { run: id }));
        self.begin_stop(step, id, Cause::Evicted);
    }
}
