//! Eviction: which tenant leaves so that another key has room.
//!
//! Where tenants sleep, one is put to sleep rather than stopped (`sleep.rs`); what follows is for
//! when none may sleep.
//!
//! The victim is the least recently active of the ready tenants: `Pool::victim` chooses it. With
//! `evicts_by_cost` it is the one that costs most to keep (`cost.rs`). If it
//! is in its tenure (`tenure.rs`), the end of that is waited for, and no tenant that was used more
//! recently leaves instead; then the victim is chosen anew. A tenant that refused to
//! leave is asked again only for a key that came after that, and stranded runs are asked when no
//! ready tenant is left to ask.
//!
//! A tenant that is in use (`Leases::is_in_use`) leaves only when every other has refused. With
//! `heeds_connections` an open connection is activity, too: tenants that have one leave before
//! those in use, and after all others. So before a victim is asked to leave, the connections are
//! looked at once more (`idle.rs`), one look for all that are to leave then.
//!
//! A warm tenant leaves only when every other has, or has refused, and never for a key that no
//! caller waits for (`warm.rs`).
//!
//! A tenant whose next release is coming leaves for nothing. One that has retired counts as
//! connected (`releases.rs`).

use crate::idle::Looks;
use crate::messages::{Action, Event, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::releases::Releases;
use crate::tenant::{Cause, Run, State, Tenant};
use crate::{RunId, Touch};
use std::collections::BTreeSet;
use std::ops::Bound;

/// The ready runs, any of which may be the next victim.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Least recently active first, as far as was known when they were last looked at.
    by_touch: BTreeSet<(Touch, RunId)>,
    /// The warm ones, likewise.
    warm_by_touch: BTreeSet<(Touch, RunId)>,
    /// Those that are being asked whether they may sleep, to make room.
    asked: BTreeSet<RunId>,
    /// The end of the victim's tenure, if that is what the first key in the queue for room waits
    /// for.
    awaited_end_ms: Option<u64>,
}

impl Candidates {
    /// A run is ready, or ready again.
    pub fn add(&mut self, run: &mut Run, touch: Touch, is_warm: bool) {
        run.indexed_touch = touch;
        self.of(is_warm && !planted(Bug::WarmMakesRoom)).insert((touch, run.id));
    }

    pub fn remove(&mut self, run: &Run) {
        self.asked.remove(&run.id);
        let entry = (run.indexed_touch, run.id);
        // A kill has it forgotten by now whether it was warm.
        if !self.by_touch.remove(&entry) {
            self.warm_by_touch.remove(&entry);
        }
    }

    /// A warm run is warm no longer, and leaves as the others do.
    pub fn forget_warmth(&mut self, run: &mut Run) {
        self.remove(run);
        self.add(run, run.indexed_touch, false);
    }

    pub fn is_asked(&mut self, run: RunId) {
        self.asked.insert(run);
    }

    pub fn is_not_asked(&mut self, run: RunId) {
        self.asked.remove(&run);
    }

    /// How many are being asked whether they may sleep.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// All of them, warm or not, least recently active first as far as is known.
    pub fn iter(&self, is_warm: bool) -> impl DoubleEndedIterator<Item = RunId> {
        let by_touch = if is_warm { &self.warm_by_touch } else { &self.by_touch };
        by_touch.iter().map(|(_, run)| *run)
    }

    /// How many of them are warm.
    pub fn warm_len(&self) -> usize {
        self.warm_by_touch.len()
    }

    pub fn len(&self) -> usize {
        self.by_touch.len() + self.warm_by_touch.len()
    }

    fn of(&mut self, is_warm: bool) -> &mut BTreeSet<(Touch, RunId)> {
        if is_warm { &mut self.warm_by_touch } else { &mut self.by_touch }
    }

    /// When the victim's tenure ends, if a key waits for room that no tenant is about to leave.
    pub fn awaited_end_of_tenure_ms(&self) -> Option<u64> {
        self.awaited_end_ms
    }

    /// What `choose` makes of the least recently active run that it does not pass over, of the warm
    /// ones or of the others, by what `activity` says at this moment.
    ///
    /// The index is brought up to date only where it is looked at: a run that was touched since
    /// moves back, so each touch costs at most one move, and a look-up next to nothing.
    pub fn least_recently_active<T>(
        &mut self,
        is_warm: bool,
        activity: impl Fn(RunId) -> Touch,
        mut moved: impl FnMut(RunId, Touch),
        choose: impl Fn(RunId) -> Option<T>,
    ) -> Option<T> {
        let by_touch = self.of(is_warm);
        let mut after: Option<(Touch, RunId)> = None;
        loop {
            let next = match after {
                None if planted(Bug::MostRecentLeaves) => by_touch.last(),
                None => by_touch.first(),
                Some(entry) => by_touch.range((Bound::Excluded(entry), Bound::Unbounded)).next(),
            };
            let entry @ (indexed, run) = *next?;
            let touch = activity(run);
            if touch > indexed {
                by_touch.remove(&entry);
                by_touch.insert((touch, run));
                moved(run, touch);
            } else if let Some(chosen) = choose(run) {
                return Some(chosen);
            } else {
                after = Some(entry);
            }
        }
    }
}

/// What holds a tenant in its room, in the order in which tenants leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Free,
    /// It had an open connection at the last look; or it is retired, and callers may not be done
    /// with it.
    Connected,
    /// A caller is counted in use.
    InUse,
}

/// The run that is to leave next.
struct Victim {
    run: RunId,
    held: Held,
    is_warm: bool,
    is_retired: bool,
    tenure_ends_ms: u64,
}

/// What came of choosing a victim.
enum Eviction {
    /// It is being stopped.
    Begun,
    /// It is in its tenure, which ends then.
    AtTheEndOfTenure(u64),
    /// Connections are to be looked for first.
    AfterALook,
    /// Only warm tenants are left to leave, and no caller waits for the key.
    NotForThisKey,
    /// No tenant is ready that has not refused.
    Impossible,
}

impl Pool {
    /// Forgets that a tenant was to leave later: each step finds out anew whether one is.
    pub(crate) fn plan_no_eviction(&mut self) {
        self.candidates.awaited_end_ms = None;
        self.looks.is_wanted_for_room = false;
    }

    /// Asks a tenant to leave if more places are needed than are about to become free, and turns the
    /// first key away if no tenant will. Returns whether it did either.
    pub(crate) fn make_room(&mut self, step: &mut Step) -> bool {
        let Some(since_ticket) = self.room.wanted_since() else { return false };
        self.make_room_by_sleep(step);
        // Only when it is known who may not sleep does anyone leave.
        if self.candidates.asked() > 0 {
            return false;
        }
        match self.evict(step, since_ticket) {
            Eviction::Begun => return true,
            Eviction::AtTheEndOfTenure(ends_ms) => {
                self.candidates.awaited_end_ms = Some(ends_ms);
                return false;
            }
            Eviction::AfterALook => {
                self.looks.is_wanted_for_room = true;
                return false;
            }
            Eviction::NotForThisKey => return self.first_stands_aside(step),
            Eviction::Impossible => {}
        }
        if self.evict_stranded(step, since_ticket) {
            return true;
        }
        if self.may_still_make_room() {
            return false;
        }
        if self.room.waiting() == 0 {
            return false;
        }
        // A release that no tenant makes room for gives way, and what it would have kept can be
        // asked to leave.
        match self.releases.last_waiting_for_room() {
            Some(key) => self.cancel_queued(&key, Refusal::NoRoomBeside),
            None => self.turn_away_first_waiting(step),
        }
        true
    }

    /// Lets the first waiting key wait until a place is free.
    fn first_stands_aside(&mut self, step: &Step) -> bool {
        let key = self.room.first_waiting().expect("called while a key waits").clone();
        self.stand_aside(step, key, false);
        true
    }

    /// Whether some tenant will, sooner or later, leave its room or become one that can be asked
    /// to: it starts, is to leave at the end of its tenure or after a look, or is being stopped.
    pub(crate) fn may_still_make_room(&self) -> bool {
        let is_to_leave = self.candidates.awaited_end_ms.is_some()
            || self.candidates.asked() > 0
            || self.looks.is_wanted_for_room;
        is_to_leave || self.room.occupied > self.candidates.len() + self.stranded.len()
    }

    /// Every tenant that could leave was asked since this key came, and refused.
    fn turn_away_first_waiting(&mut self, step: &Step) {
        let (run, failure) =
            self.last_refusal.clone().expect("room is only full of refusals after one");
        let refusal = Refusal::StopRefused { run, failure };
        if let Some(key) = self.room.first_waking().cloned() {
            return self.turn_away_sleeper(step, &key, refusal);
        }
        let key = self.room.first_waiting().expect("called while a key waits").clone();
        let waiters = std::mem::take(&mut self.queued_at(&key).waiters);
        let had_calls = !waiters.is_empty();
        for waiter in waiters {
            self.refuse(waiter.call, refusal.clone());
        }
        self.stand_aside(step, key, had_calls);
    }

    /// Stops the least recently active tenant that has not refused since `since_ticket`, unless it
    /// is in its tenure.
    fn evict(&mut self, step: &mut Step, since_ticket: u64) -> Eviction {
        loop {
            let Some(victim) = self.victim(step, since_ticket) else {
                return Eviction::Impossible;
            };
            let Victim { run: victim, held, is_warm, is_retired, tenure_ends_ms } = victim;
            if is_warm && self.first_has_no_caller() && !planted(Bug::WarmEvictsWarm) {
                return Eviction::NotForThisKey;
            }
            if is_retired {
                self.begin_stop(step, victim, Cause::Replaced);
                return Eviction::Begun;
            }
            if tenure_ends_ms > step.now.steady_ms {
                return Eviction::AtTheEndOfTenure(tenure_ends_ms);
            }
            if self.config.heeds_connections && !self.looks.is_fresh {
                return Eviction::AfterALook;
            }
            let before = step.leases.touched(victim);
            let was_touched = step.leases.claim(victim) > before && !planted(Bug::ClaimIsBlind);
            let is_used_now = held < Held::InUse && step.leases.is_in_use(victim);
            let is_overlooked = planted(Bug::ClaimIsBlindToUse) || planted(Bug::UseMakesRoom);
            if was_touched || (is_used_now && !is_overlooked) {
                step.leases.reopen(victim);
                continue;
            }
            self.actions.push(Action::Emit(Event::LruEvict { run: victim }));
            match self.config.checkpoint_timeout_ms.filter(|_| planted(Bug::EvictionSaves)) {
                Some(timeout_ms) => self.begin_saving(step, victim, timeout_ms, 0),
                None => self.begin_stop(step, victim, Cause::Evicted),
            }
            return Eviction::Begun;
        }
    }

    /// The run that is to leave next: one that is held by more leaves only if there is no other.
    fn victim(&mut self, step: &Step, since_ticket: u64) -> Option<Victim> {
        let usual = self.victim_of(step, since_ticket, false);
        if usual.is_some() || !self.warm.has_any {
            return usual;
        }
        self.victim_of(step, since_ticket, true)
    }

    /// The same, of the warm ones or of the others.
    fn victim_of(&mut self, step: &Step, since_ticket: u64, is_warm: bool) -> Option<Victim> {
        [Held::Free, Held::Connected, Held::InUse].into_iter().find_map(|held| {
            if held == Held::Connected
                && !self.looks.has_connected_runs()
                && self.releases.is_empty()
            {
                return None;
            }
            self.least_recently_active(step, since_ticket, is_warm, held)
        })
    }

    fn least_recently_active(
        &mut self,
        step: &Step,
        since_ticket: u64,
        is_warm: bool,
        held: Held,
    ) -> Option<Victim> {
        let by_cost = self.config.evicts_by_cost;
        self.choose_candidate(step, is_warm, by_cost, |(releases, looks), tree, run| {
            let id = run.id;
            let is_retired = matches!(tree.state, State::Retired(..));
            let is_kept = !is_retired
                && releases.has_coming(&tree.key)
                && !planted(Bug::DeployLosesItsTenant);
            let held_now = if step.leases.is_in_use(id) && !planted(Bug::UseMakesRoom) {
                Held::InUse
            } else if is_retired || looks.is_connected(id) {
                Held::Connected
            } else {
                Held::Free
            };
            let is_eligible = run.refused_at_ticket.is_none_or(|ticket| ticket < since_ticket)
                && held_now <= held
                && !is_kept;
            is_eligible.then_some(Victim {
                run: id,
                held,
                is_warm: tree.warm.is_some(),
                is_retired,
                tenure_ends_ms: run.tenure_ends_ms,
            })
        })
    }

    /// What `choose` makes of the least recently active candidate that it does not pass over; or of
    /// the one that costs most to keep.
    pub(crate) fn choose_candidate<T>(
        &mut self,
        step: &Step,
        is_warm: bool,
        by_cost: bool,
        choose: impl Fn((&Releases, &Looks), &Tenant, &Run) -> Option<T>,
    ) -> Option<T> {
        if by_cost {
            return self.choose_costliest(step, is_warm, choose);
        }
        let Pool { candidates, tenants, runs, releases, looks, config, .. } = self;
        let tree_of = |id: RunId| releases.tree(tenants, &runs[&id], id);
        fn run_of(tree: &Tenant) -> &Run {
            tree.state.run().expect("candidates are ready runs")
        }
        let mut moves = Vec::new();
        let chosen = candidates.least_recently_active(
            is_warm,
            |id| {
                let Touch { at_ms, sequence } = step.leases.touched(id);
                let connected_at_ms =
                    if config.heeds_connections { run_of(tree_of(id)).connected_at_ms } else { 0 };
                Touch { at_ms: at_ms.max(connected_at_ms), sequence }
            },
            |id, touch| moves.push((id, touch)),
            |id| {
                let tree = tree_of(id);
                choose((releases, looks), tree, run_of(tree))
            },
        );
        for (id, touch) in moves {
            let run = releases.tree_mut(tenants, &runs[&id], id).state.run_mut();
            run.expect("candidates are ready runs").indexed_touch = touch;
        }
        chosen
    }

    /// Asks a stranded run once more, when no ready tenant is left to ask.
    fn evict_stranded(&mut self, step: &mut Step, since_ticket: u64) -> bool {
        let refused_before = |run: &&RunId| {
            let run = self.tree_of(**run).state.run();
            run.and_then(|run| run.refused_at_ticket).is_none_or(|ticket| ticket < since_ticket)
        };
        let Some(run) = self.stranded.iter().find(refused_before).copied() else { return false };
        self.begin_stop(step, run, Cause::Evicted);
        true
    }
}
