//! Sleepers: tenants whose tree stands, or is about to. How they fall asleep is in `sleep.rs`, how
//! they wake in `wake.rs`.
//!
//! The lease of a sleeper is claimed from the moment that it falls, so whoever wants it asks the
//! pool. It counts as awake, and holds its room, until its tree stands and one more look at the
//! connections, begun after that, has shown none: what was accepted in the moment before wakes it
//! again, and nobody is told of either. From then on it is told to be asleep and holds no room, as
//! it is until it is woken or has ended.
//!
//! Its one deadline is when it is to be stopped for being idle, paged out or to breathe. Where
//! `outgoing` says so, a sleeper with outgoing connections *breathes*: it runs for [`BREATH_MS`]
//! each [`BREATH_INTERVAL_MS`], so that what it is connected to hears of it. That tells nobody
//! anything, and takes no room. What runs without an order is in `restless.rs`.
//!
//! Beyond `max_asleep` the least recently active sleeper is stopped, warm ones last.

use crate::idle::{Claim, Looks};
use crate::messages::{Action, Event};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::room::Room;
use crate::sleep::Aim;
use crate::tenant::{Cause, Run, State};
use crate::{Depth, RunId, Touch, Usage};
use std::collections::BTreeSet;

/// Between two breaths: drivers of databases ping once a minute or less often.
const BREATH_INTERVAL_MS: u64 = 60_000;
/// Time enough for some packets to be read and answered.
const BREATH_MS: u64 = 200;

/// What becomes of a tenant from its fall until it is awake, or asked to end.
#[derive(Debug)]
pub(crate) struct Slumber {
    pub doze: Doze,
    /// How deep it sleeps, as users were told. Until they were it holds room.
    pub depth: Option<Depth>,
    /// Orders to run that have not been answered.
    pub rouses: u32,
    /// It could not be kept asleep.
    pub is_restless: bool,
    /// Whether, and from when on, it is to run for a moment.
    breathes: bool,
    breath_due_ms: u64,
    /// Its memory has not been paged out, and that has not been tried in vain.
    may_sink: bool,
    /// It is being stopped, and what for is still to be told: when it is awake.
    pub stop_is_untold: bool,
}

/// What is going on with a sleeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doze {
    /// Its tree is being frozen: for the first time, or after it has run for a moment.
    Falling,
    /// Its tree stands; its connections are being looked for once more.
    Checking,
    Resting,
    /// It is being paged out.
    Sinking,
    /// It is to wake, and waits for room.
    AwaitingRoom {
        ticket: u64,
    },
    /// It is to wake, and has room.
    Rousing,
    /// It is to run for a moment, or because this host leaves.
    Inhaling,
    /// It runs for a moment.
    Breathing,
}

impl Slumber {
    pub fn new(breathes: bool) -> Self {
        Slumber {
            doze: Doze::Falling,
            depth: None,
            rouses: 0,
            is_restless: false,
            breathes,
            breath_due_ms: 0,
            may_sink: true,
            stop_is_untold: false,
        }
    }

    pub fn holds_room(&self) -> bool {
        self.depth.is_none() || self.doze == Doze::Rousing
    }

    /// The run is awake; to be told, if it was told to be asleep.
    pub fn wake(&self, run: RunId) -> Option<Action> {
        let by_itself = self.is_restless;
        Some(Action::Emit(Event::Wake { run, depth: self.depth?, by_itself }))
    }

    /// It is about to give its room up.
    pub fn is_leaving(&self) -> bool {
        self.depth.is_none() && matches!(self.doze, Doze::Falling | Doze::Checking)
    }
}

/// The runs that sleep and hold no room.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
    /// Least recently active first.
    by_touch: BTreeSet<(Touch, RunId)>,
    /// Those of them, and of the falling ones, that wait for a look at their connections.
    checked: BTreeSet<RunId>,
    /// Their backlogs are being looked at.
    are_watched: bool,
    /// The last of them that was to be paged out could not be.
    pub cannot_sink: bool,
}

impl Sleepers {
    pub fn len(&self) -> usize {
        self.by_touch.len()
    }

    pub fn add(&mut self, run: &Run) {
        self.by_touch.insert((run.indexed_touch, run.id));
    }

    /// The run sleeps no longer, if it did.
    pub fn remove(&mut self, run: &Run) {
        self.by_touch.remove(&(run.indexed_touch, run.id));
        self.checked.remove(&run.id);
    }

    /// The run sleeps no longer: it has ended, or is to.
    pub fn leave(&mut self, run: &Run, slumber: &Slumber, room: &mut Room, looks: &mut Looks) {
        self.remove(run);
        looks.ask_no_more(run.id);
        if let Doze::AwaitingRoom { ticket } = slumber.doze {
            room.cancel_wake(ticket);
        }
        if slumber.is_leaving() {
            room.leaving -= 1;
        }
    }

    pub fn is_not_checked(&mut self, run: RunId) {
        self.checked.remove(&run);
    }

    pub fn is_any_checked(&self) -> bool {
        !self.checked.is_empty()
    }

    /// Least recently active first.
    pub fn iter(&self) -> impl Iterator<Item = RunId> {
        self.by_touch.iter().map(|(_, run)| *run)
    }
}

impl Pool {
    pub(crate) fn slumber_of(&mut self, id: RunId) -> Option<(&mut Run, &mut Slumber)> {
        match &mut self.tenant_of(id).state {
            State::Asleep(run, slumber) => Some((run, slumber)),
            _ => None,
        }
    }

    pub(crate) fn doze_of(&self, id: RunId) -> Option<Doze> {
        match &self.tree_of(id).state {
            State::Asleep(_, slumber) => Some(slumber.doze),
            _ => None,
        }
    }

    pub(crate) fn set_doze(&mut self, id: RunId, doze: Doze) {
        if let Some((_, slumber)) = self.slumber_of(id) {
            slumber.doze = doze;
        }
    }

    /// The run's tree stands.
    pub(crate) fn rested(&mut self, step: &mut Step, id: RunId, depth: Depth, rss_bytes: u64) {
        let Some((run, slumber)) = self.slumber_of(id) else { return };
        run.usage = Some(Usage { cpu_ms: run.cpu_ms, rss_bytes });
        match slumber.doze {
            Doze::Falling => {
                slumber.doze = Doze::Checking;
                let is_told = slumber.depth.is_some();
                if is_told && depth == Depth::PagedOut {
                    self.sunk(id, depth, rss_bytes);
                }
                if planted(Bug::FrozenIsNotChecked) {
                    return self.checked(step, id, false);
                }
                self.sleepers.checked.insert(id);
                self.looks.ask_next(id);
            }
            Doze::Sinking => {
                slumber.doze = Doze::Resting;
                self.sunk(id, depth, rss_bytes);
                self.schedule_slumber(step, id);
            }
            // It may have been to be paged out; or to be frozen again after a breath.
            Doze::AwaitingRoom { .. } if depth == Depth::PagedOut => {
                self.sunk(id, depth, rss_bytes)
            }
            _ => {}
        }
    }

    /// It was to be paged out, and is if that is possible here.
    fn sunk(&mut self, id: RunId, depth: Depth, rss_bytes: u64) {
        self.sleepers.cannot_sink = depth == Depth::Frozen;
        let Some((_, slumber)) = self.slumber_of(id) else { return };
        slumber.may_sink = false;
        if depth == Depth::PagedOut && slumber.depth == Some(Depth::Frozen) {
            slumber.depth = Some(depth);
            self.actions.push(Action::Emit(Event::Sleep { run: id, depth, rss_bytes }));
        }
    }

    /// Whether the run's tree stands and its connections are being looked for.
    pub(crate) fn is_checked(&self, id: RunId) -> bool {
        self.runs.contains_key(&id) && self.doze_of(id) == Some(Doze::Checking)
    }

    /// It is known whether the run whose tree stands has a connection, which it would let wait.
    pub(crate) fn checked(&mut self, step: &mut Step, id: RunId, is_connected: bool) {
        self.sleepers.checked.remove(&id);
        let now_ms = step.now.steady_ms;
        if is_connected {
            return self.wake(id);
        }
        let Pool { tenants, runs, releases, sleepers, room, actions, .. } = self;
        let tree = releases.tree_mut(tenants, &runs[&id], id);
        let State::Asleep(run, slumber) = &mut tree.state else { return };
        slumber.doze = Doze::Resting;
        slumber.breath_due_ms = now_ms.saturating_add(BREATH_INTERVAL_MS);
        if slumber.depth.is_none() {
            let depth = Depth::Frozen;
            slumber.depth = Some(depth);
            sleepers.add(run);
            room.occupied -= 1;
            room.leaving -= 1;
            room.asleep += 1;
            let rss_bytes = run.usage.map_or(0, |usage| usage.rss_bytes);
            actions.push(Action::Emit(Event::Sleep { run: id, depth, rss_bytes }));
        }
        self.schedule_slumber(step, id);
    }

    /// The deadline of a sleeper has come.
    pub(crate) fn consider_sleeper(&mut self, step: &mut Step, id: RunId) {
        match self.doze_of(id) {
            Some(Doze::Resting) => self.consider_resting(step, id),
            Some(Doze::Breathing) => {
                self.set_doze(id, Doze::Falling);
                self.rest_again(id);
            }
            _ => self.clear_deadline(id),
        }
    }

    fn consider_resting(&mut self, step: &mut Step, id: RunId) {
        let now_ms = step.now.steady_ms;
        let is_kept = self.releases.has_coming(&self.runs[&id]);
        if !is_kept && self.left_ms(step, id, Aim::Stop, Claim::After) == Some(0) {
            let idle_ms = self.idle_for_ms(step, id, Claim::After);
            if !self.config.asks_before_idle {
                return self.begin_stop(step, id, Cause::Idle);
            }
            if let Some((run, _)) = self.slumber_of(id) {
                run.idle_is_asked = true;
            }
            self.actions.push(Action::AskIdle { run: id, idle_ms });
        }
        if self.left_until_sunk_ms(step, id) == Some(0) {
            return self.sink(id);
        }
        let Some((_, slumber)) = self.slumber_of(id) else { return };
        if slumber.breathes && slumber.breath_due_ms <= now_ms {
            slumber.doze = Doze::Inhaling;
            self.clear_deadline(id);
            return self.rouse(id, false);
        }
        self.schedule_slumber(step, id);
    }

    /// Has the run's memory paged out.
    pub(crate) fn sink(&mut self, id: RunId) {
        self.clear_deadline(id);
        self.set_doze(id, Doze::Sinking);
        self.order_rest(id, Depth::PagedOut);
    }

    fn order_rest(&mut self, id: RunId, depth: Depth) {
        self.actions.push(Action::Rest { run: id, depth });
    }

    /// Whether the run could be paged out now.
    pub(crate) fn may_sink(&self, id: RunId) -> bool {
        let State::Asleep(_, slumber) = &self.tree_of(id).state else { return false };
        let is_shallow = slumber.depth == Some(Depth::Frozen) && slumber.may_sink;
        slumber.doze == Doze::Resting && is_shallow
    }

    fn left_until_sunk_ms(&self, step: &Step, id: RunId) -> Option<u64> {
        let after_ms = self.config.sleep?.page_out_after_ms.filter(|_| self.may_sink(id))?;
        Some(after_ms.saturating_sub(self.idle_for_ms(step, id, Claim::After)))
    }

    /// The sleeper has run for a moment, and is to sleep on, as deep as before.
    pub(crate) fn rest_again(&mut self, id: RunId) {
        self.clear_deadline(id);
        let depth = self.slumber_of(id).and_then(|(_, slumber)| slumber.depth);
        self.order_rest(id, depth.unwrap_or(Depth::Frozen));
    }

    /// The sleeper runs for a moment.
    pub(crate) fn inhaled(&mut self, step: &Step, id: RunId) {
        self.set_doze(id, Doze::Breathing);
        self.set_deadline(step, id, BREATH_MS);
    }

    /// Sets the deadline of a resting sleeper.
    pub(crate) fn schedule_slumber(&mut self, step: &Step, id: RunId) {
        let State::Asleep(_, slumber) = &self.tree_of(id).state else { return };
        let breath_ms = slumber.breath_due_ms.saturating_sub(step.now.steady_ms);
        let breath_ms = slumber.breathes.then_some(breath_ms);
        let mut stop_ms = self.left_ms(step, id, Aim::Stop, Claim::After);
        if self.releases.has_coming(&self.runs[&id]) {
            stop_ms = stop_ms.map(|left_ms| left_ms.max(self.config.sweep_interval_ms));
        }
        let sink_ms = self.left_until_sunk_ms(step, id);
        match [breath_ms, stop_ms, sink_ms].into_iter().flatten().min() {
            Some(left_ms) if self.disposal.is_none() => self.set_deadline(step, id, left_ms),
            _ => self.clear_deadline(id),
        }
    }

    /// `shouldIdleKill` has answered about a sleeper.
    pub(crate) fn idle_answered_of_sleeper(&mut self, step: &mut Step, id: RunId, stop: bool) {
        if self.doze_of(id) != Some(Doze::Resting) {
            return;
        }
        let is_kept = self.releases.has_coming(&self.runs[&id]);
        let is_idle = self.left_ms(step, id, Aim::Stop, Claim::After) == Some(0);
        match stop && is_idle && !is_kept {
            true => self.begin_stop(step, id, Cause::Idle),
            false => self.schedule_slumber(step, id),
        }
    }

    /// Stops those sleepers that are too many, and has the backlogs of the others looked at for as
    /// long as there are any. Near the end of every step, since those that can wake have by then.
    pub(crate) fn mind_sleepers(&mut self, step: &mut Step) {
        self.stop_surplus_sleepers(step);
        self.watch_backlogs();
    }

    fn stop_surplus_sleepers(&mut self, step: &mut Step) {
        let Some(sleep) = self.config.sleep else { return };
        let max_asleep =
            sleep.max_asleep.saturating_add(usize::from(planted(Bug::OneSleepsTooMany)));
        while self.sleepers.len() > max_asleep
            && let Some(id) = self.sleeper_to_stop()
        {
            self.begin_stop(step, id, Cause::Evicted);
        }
    }

    /// The least recently active sleeper that nobody wants; a warm one only if there is no other.
    pub(crate) fn sleeper_to_stop(&self) -> Option<RunId> {
        let unwanted = || self.sleepers.iter().filter(|id| self.may_be_stopped(*id));
        let usual = unwanted().find(|id| self.tree_of(*id).warm.is_none());
        usual.or_else(|| unwanted().next())
    }

    /// Whether nobody waits for the sleeper.
    pub(crate) fn may_be_stopped(&self, id: RunId) -> bool {
        let is_awaited = matches!(self.doze_of(id), Some(Doze::AwaitingRoom { .. }));
        !is_awaited && !self.releases.has_coming(&self.runs[&id])
    }

    fn watch_backlogs(&mut self) {
        let on = self.sleepers.len() > 0;
        if self.sleepers.are_watched != on {
            self.sleepers.are_watched = on;
            self.actions.push(Action::WatchBacklogs { on });
        }
    }
}
