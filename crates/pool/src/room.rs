//! Room: who holds it, who waits for it, and who is asked to leave.
//!
//! The victim is the least recently touched of the ready tenants. A ready tenant has a tenure: it stays for as long as its
//! start, or its restore, took. So where keys take turns in too little room, whoever asked for one gets to use it, and no
//! more than half of the time goes into starts (of up to a second each). If the victim is in its tenure, its end is waited
//! for, and nobody who was used more recently leaves instead; who is the victim is then looked at once more.
//!
//! With `heeds_connections` an open connection is activity, too: a tenant that has one leaves only when every other has
//! refused. So before somebody is asked to leave, the connections are looked at once more (`idle.rs`), one look for all
//! who are to leave then.
//!
//! A tenant whose next release is coming leaves for nothing, and one that has retired counts as in use (`releases.rs`).
//!
//! A key that needs room waits in the queue, first come first served. The queue is drained by: a free place; an
//! exit or a failed start (a place becomes free); a tenant becoming ready, or an eviction being refused
//! (another victim can be chosen); the end of the victim's tenure, or of the look for connections (likewise); a kill, `dispose` or the abort of its last caller (the key stops waiting). All of these
//! are steps of the pool, and every step ends in `Pool::admit`.

use crate::messages::{Action, Event, Refusal};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::queue::Queue;
use crate::tenant::{Cause, Run, State};
use crate::{Key, RunId, Touch};
use std::collections::BTreeSet;
use std::ops::Bound;

/// The shortest tenure. The clock counts whole milliseconds, so a run is never evicted in the step that made it ready, and its
/// callers were told; where starts cost nothing, it holds up nobody for longer than the clock can show.
const SHORTEST_TENURE_MS: u64 = 1;
/// The longest. Time enough for the requests that a tenant was started for, however slowly it starts; and a tenant that takes
/// half a minute to start must not keep others out for as long again. The gate's patience with a slow start is the same.
const LONGEST_TENURE_MS: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Room {
    capacity: usize,
    /// Tenants that hold room, dying ones included.
    pub occupied: usize,
    /// Of these, the ones being stopped whose room nobody takes over.
    pub leaving: usize,
    queue: Queue,
    /// Ready runs, least recently touched first as far as was known when they were last looked at.
    by_touch: BTreeSet<(Touch, RunId)>,
    /// The end of the victim's tenure, if that is what the first key in the queue waits for.
    awaited_ms: Option<u64>,
}

impl Room {
    pub fn new(capacity: usize) -> Self {
        Room {
            capacity,
            occupied: 0,
            leaving: 0,
            queue: Queue::default(),
            by_touch: BTreeSet::new(),
            awaited_ms: None,
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn enqueue(&mut self, ticket: u64, key: Key) {
        self.queue.enqueue(ticket, key);
    }

    pub fn cancel(&mut self, ticket: u64) {
        self.queue.cancel(ticket);
    }

    /// Gives a free place to the key that has waited longest.
    pub fn admit(&mut self) -> Option<Key> {
        if self.occupied >= self.capacity + usize::from(planted(Bug::OneTooMany)) {
            return None;
        }
        let key = self.queue.pop_first()?;
        self.occupied += 1;
        Some(key)
    }

    /// Whether more keys wait than places are about to become free, and since when the first of them does.
    pub fn wanted_since(&self) -> Option<u64> {
        let (ticket, _) = self.queue.first()?;
        (self.queue.len() > self.leaving).then_some(ticket)
    }

    pub fn first_waiting(&self) -> Option<&Key> {
        self.queue.first().map(|(_, key)| key)
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A run is ready: its tenure begins, which is as long as its start took. So what was started is used for a while before
    /// it makes room, however many take turns.
    pub fn begin_tenure(&mut self, run: &mut Run, touch: Touch, now_ms: u64) {
        let start_ms = now_ms.saturating_sub(run.started_steady_ms);
        let tenure_ms = start_ms.clamp(SHORTEST_TENURE_MS, LONGEST_TENURE_MS);
        let tenure_ms = if planted(Bug::NoTenure) { 0 } else { tenure_ms };
        run.tenure_ends_ms = now_ms.saturating_add(tenure_ms);
        self.add_ready(run, touch);
    }

    /// A run is ready again.
    pub fn add_ready(&mut self, run: &mut Run, touch: Touch) {
        run.indexed_touch = touch;
        self.by_touch.insert((touch, run.id));
    }

    pub fn remove_ready(&mut self, run: &Run) {
        self.by_touch.remove(&(run.indexed_touch, run.id));
    }

    /// When the victim's tenure ends, if somebody waits for room that nobody is about to leave.
    pub fn awaited_end_of_tenure_ms(&self) -> Option<u64> {
        self.awaited_ms
    }

    /// Ready runs.
    pub fn ready(&self) -> usize {
        self.by_touch.len()
    }

    /// The least recently active run that `eligible` accepts, by what `activity` says at this moment.
    ///
    /// The index is brought up to date only where it is looked at: a run that was touched since moves back, so
    /// each touch costs at most one move, and a look-up next to nothing.
    pub fn least_recently_active(
        &mut self,
        activity: impl Fn(RunId) -> Touch,
        mut moved: impl FnMut(RunId, Touch),
        eligible: impl Fn(RunId) -> bool,
    ) -> Option<RunId> {
        let mut after: Option<(Touch, RunId)> = None;
        loop {
            let next = match after {
                None if planted(Bug::MostRecentLeaves) => self.by_touch.last(),
                None => self.by_touch.first(),
                Some(entry) => self.by_touch.range((Bound::Excluded(entry), Bound::Unbounded)).next(),
            };
            let entry @ (indexed, run) = *next?;
            let touch = activity(run);
            if touch > indexed {
                self.by_touch.remove(&entry);
                self.by_touch.insert((touch, run));
                moved(run, touch);
            } else if eligible(run) {
                return Some(run);
            } else {
                after = Some(entry);
            }
        }
    }
}

/// What came of choosing a victim.
enum Eviction {
    /// It is being stopped.
    Begun,
    /// It is in its tenure, which ends then.
    AtTheEndOfTenure(u64),
    /// It is to be known first who has open connections.
    AfterALook,
    /// Nobody is ready who has not refused.
    Impossible,
}

impl Run {
    /// Whoever was just handed it does not see it evicted in the same step.
    pub fn stay_for_a_moment(&mut self, now_ms: u64) {
        self.tenure_ends_ms = self.tenure_ends_ms.max(now_ms.saturating_add(SHORTEST_TENURE_MS));
    }
}

impl Pool {
    /// A new key, or one whose process is gone, queues for room; this is its state then.
    pub(crate) fn queue_for_room(&mut self, key: &Key) -> State {
        let ticket = self.next_ticket();
        self.room.enqueue(ticket, key.clone());
        State::AwaitingRoom { ticket }
    }

    /// Asks somebody to leave if more keys wait than places are about to become free, and turns away whom nobody leaves
    /// for. Whether it did either.
    pub(crate) fn make_room(&mut self, step: &mut Step) -> bool {
        self.room.awaited_ms = None;
        self.looks.is_wanted_for_room = false;
        let Some(since_ticket) = self.room.wanted_since() else { return false };
        match self.evict(step, since_ticket) {
            Eviction::Begun => return true,
            Eviction::AtTheEndOfTenure(ends_ms) => {
                self.room.awaited_ms = Some(ends_ms);
                return false;
            }
            Eviction::AfterALook => {
                self.looks.is_wanted_for_room = true;
                return false;
            }
            Eviction::Impossible => {}
        }
        if self.evict_stranded(step, since_ticket) {
            return true;
        }
        if self.anybody_in_motion() {
            return false;
        }
        // A release that nobody makes room for gives way, and what it would have kept can be asked to leave.
        match self.releases.last_waiting_for_room() {
            Some(key) => self.cancel_queued(&key, Refusal::NoRoomBeside),
            None => self.turn_away_first_waiting(),
        }
        true
    }

    /// Whether some tenant will, sooner or later, leave its room or become one that can be asked to: it starts, is to leave
    /// at the end of its tenure or after a look, or is being stopped.
    pub(crate) fn anybody_in_motion(&self) -> bool {
        let is_to_leave = self.room.awaited_ms.is_some() || self.looks.is_wanted_for_room;
        is_to_leave || self.room.occupied > self.room.ready() + self.stranded.len()
    }

    /// Everybody who could leave was asked since this key came, and refused.
    fn turn_away_first_waiting(&mut self) {
        let (run, failure) = self.last_refusal.clone().expect("room is only full of refusals after one");
        let key = self.room.first_waiting().expect("called while somebody waits").clone();
        self.cancel_queued(&key, Refusal::StopRefused { run, failure });
    }

    /// Stops the least recently active tenant that has not refused since `since_ticket`, unless it is in its tenure.
    fn evict(&mut self, step: &mut Step, since_ticket: u64) -> Eviction {
        loop {
            let Some(victim) = self.victim(step, since_ticket) else { return Eviction::Impossible };
            if !self.releases.is_empty() && matches!(self.tree_of(victim).state, State::Retired(..)) {
                self.begin_stop(step, victim, Cause::Replaced);
                return Eviction::Begun;
            }
            let ends_ms = self.tenure_ends_ms(victim);
            if ends_ms > step.now.steady_ms {
                return Eviction::AtTheEndOfTenure(ends_ms);
            }
            if self.config.heeds_connections && !self.looks.is_fresh {
                return Eviction::AfterALook;
            }
            let before = step.leases.touched(victim);
            if step.leases.claim(victim) > before && !planted(Bug::ClaimIsBlind) {
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

    /// Of those who have an open connection only if there is nobody else.
    fn victim(&mut self, step: &Step, since_ticket: u64) -> Option<RunId> {
        let victim = self.least_recently_active(step, since_ticket, false);
        // A retired one counts as in use.
        let may_be_connected =
            victim.is_none() && (self.looks.anybody_connected() || !self.releases.is_empty());
        if may_be_connected { self.least_recently_active(step, since_ticket, true) } else { victim }
    }

    fn least_recently_active(&mut self, step: &Step, since_ticket: u64, connected: bool) -> Option<RunId> {
        let Pool { room, tenants, runs, releases, looks, config, .. } = self;
        let tree_of = |id: RunId| releases.tree(tenants, &runs[&id], id);
        let run_of = |id: RunId| tree_of(id).state.run().expect("candidates are ready runs");
        let mut moves = Vec::new();
        let victim = room.least_recently_active(
            |id| {
                let Touch { at_ms, sequence } = step.leases.touched(id);
                let connected_at_ms = if config.heeds_connections { run_of(id).connected_at_ms } else { 0 };
                Touch { at_ms: at_ms.max(connected_at_ms), sequence }
            },
            |id, touch| moves.push((id, touch)),
            |id| {
                let tree = tree_of(id);
                let refused_at = tree.state.run().and_then(|run| run.refused_at_ticket);
                let is_retired = matches!(tree.state, State::Retired(..));
                let is_kept =
                    !is_retired && releases.has_coming(&tree.key) && !planted(Bug::DeployLosesItsTenant);
                refused_at.is_none_or(|ticket| ticket < since_ticket)
                    && (is_retired || looks.is_connected(id)) == connected
                    && !is_kept
            },
        );
        for (id, touch) in moves {
            let run = releases.tree_mut(tenants, &runs[&id], id).state.run_mut();
            run.expect("candidates are ready runs").indexed_touch = touch;
        }
        victim
    }

    fn tenure_ends_ms(&mut self, run: RunId) -> u64 {
        self.tenant_of(run).state.run().expect("candidates are ready runs").tenure_ends_ms
    }

    /// When no ready tenant is left to ask: asks again one that could not be ended before.
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
