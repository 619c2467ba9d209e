//! Idleness: when a tenant counts as idle, and what is asked before it is put to sleep or stopped.
//!
//! A ready tenant has a deadline at which it may take the next step down, to sleep or to be
//! stopped, unless it was touched. When that has come, the checks of the step's row follow in this
//! order. Each compares the clock anew, since the tenant may have been touched while an answer was
//! awaited:
//!
//! | | to be stopped | to sleep |
//! |---|---|---|
//! | 1 | whether it is in use; the clock of touches, and of connections that were seen | the same |
//! | 2 | with `heeds_connections`: whether it has an open connection right now | in any case |
//! | 3 | | what it does by itself (`sleep.rs`) |
//! | 4 | with `asks_before_idle`: the user's `shouldIdleKill` | with `Sleep::asks`: `shouldSleep` |
//! | 5 | with both: its connections once more, since the answer may have taken its time | once its tree stands (`slumber.rs`) |
//! | last | the claim of its lease, after which no caller is handed the tenant any more. A caller that was counted in use before the claim keeps the tenant | before its tree is frozen |
//!
//! Connections are looked for in all tenants at once, since the kernel lists them all at once:
//! regularly, so that it is known when one has closed (a look late, never early), and once more
//! before a tenant sleeps or is stopped, for being idle or to make room (`eviction.rs`). Without
//! `heeds_connections` they are looked for only while a release retires (`retirement.rs`), and
//! before and after a tenant falls asleep.

use crate::RunId;
use crate::messages::{Action, Event};
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::retirement::Look;
use crate::sleep::Aim;
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
    Activity,
    Asked,
    ConnectionsAgain,
}

/// What is found out before the step down is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Connections,
    Activity,
    /// Asked of the user.
    User,
}

/// Why an idle tenant is being looked at, and how far it has come.
type Row = (Aim, IdleStep);

impl IdleStep {
    /// What a look for connections completes.
    fn looked(self) -> IdleStep {
        if self < IdleStep::Asked { IdleStep::Connections } else { IdleStep::ConnectionsAgain }
    }
}

/// Which of the two looks at a lease: the one that decides comes after the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
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
    /// ones, and those whose tree has just been frozen, which have no steps before.
    asking: Vec<(RunId, Row)>,
    /// Idle runs that wait for the next look: the one under way had begun before they were idle.
    asking_next: Vec<(RunId, Row)>,
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

    /// A run that is retired, or whose tree stands, waits for a look that begins from now on.
    pub fn ask_next(&mut self, run: RunId) {
        self.ask_no_more(run);
        self.asking_next.push((run, (Aim::Stop, IdleStep::Clock)));
    }

    /// Whether a look is to show something of the run.
    pub fn is_asked_about(&self, run: RunId) -> bool {
        self.asking.iter().chain(&self.asking_next).any(|(asking, _)| *asking == run)
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
    /// The deadline of a ready run has come: it takes the step down that is due.
    pub(crate) fn consider_idle(&mut self, step: &mut Step, id: RunId) {
        let is_late = |aim| self.left_ms(step, id, aim, Claim::Before) == Some(0);
        let aim = if self.sleeps() && !is_late(Aim::Stop) { Aim::Sleep } else { Aim::Stop };
        self.end_row(id);
        self.consider(step, id, aim, IdleStep::Clock);
    }

    /// Takes the step down, unless the run was touched meanwhile or something is to be found out
    /// first.
    pub(crate) fn consider(&mut self, step: &mut Step, id: RunId, aim: Aim, done: IdleStep) {
        if self.disposal.is_some() {
            return self.clear_deadline(id);
        }
        let State::Ready(run) = &mut self.tenant_of(id).state else { return };
        if aim == Aim::Stop && run.idle_is_asked && !self.sleeps() && !planted(Bug::AskedTwice) {
            return self.clear_deadline(id);
        }
        if self.releases.has_coming(&self.runs[&id]) && !planted(Bug::DeployLosesItsTenant) {
            self.end_row(id);
            return self.set_deadline(step, id, self.config.sweep_interval_ms);
        }
        if self.left_ms(step, id, aim, Claim::Before) == Some(0) {
            let idle_for_ms = self.idle_for_ms(step, id, Claim::Before);
            if self.asks_first(step, id, (aim, done), idle_for_ms) {
                return;
            }
            step.leases.claim(id);
            if self.left_ms(step, id, aim, Claim::After) == Some(0) {
                let idle_for_ms = self.idle_for_ms(step, id, Claim::After);
                return match aim {
                    Aim::Stop => self.begin_idle_stop(step, id, idle_for_ms),
                    Aim::Sleep | Aim::MakeRoom => self.fall_asleep(step, id),
                };
            }
            step.leases.reopen(id);
        }
        self.end_row(id);
        self.schedule_step_down(step, id);
    }

    fn begin_idle_stop(&mut self, step: &mut Step, id: RunId, idle_ms: u64) {
        match self.config.checkpoint_timeout_ms {
            Some(timeout_ms) => self.begin_saving(step, id, timeout_ms, idle_ms),
            None => {
                self.actions.push(Action::Emit(Event::IdleKill { run: id, idle_ms }));
                self.begin_stop(step, id, Cause::Idle);
            }
        }
    }

    /// Sets the deadline of a ready run to when it may take its next step down.
    pub(crate) fn schedule_step_down(&mut self, step: &Step, id: RunId) {
        let stop_ms = self.left_ms(step, id, Aim::Stop, Claim::Before);
        let sleep_ms = self.left_ms(step, id, Aim::Sleep, Claim::Before);
        let sleep_ms = sleep_ms.map(|left_ms| self.falls_with_others_ms(step, left_ms));
        let left_ms = stop_ms.into_iter().chain(sleep_ms).min();
        match left_ms.filter(|_| self.disposal.is_none()) {
            Some(left_ms) => self.set_deadline(step, id, left_ms),
            None => self.clear_deadline(id),
        }
    }

    /// How long it takes until the run may take this step down; `None` for ever, as far as is
    /// known.
    pub(crate) fn left_ms(&self, step: &Step, id: RunId, aim: Aim, claim: Claim) -> Option<u64> {
        match aim {
            Aim::Stop => self.left_until_stop_ms(step, id, claim),
            Aim::Sleep => self.left_until_sleep_ms(step, id, self.idle_for_ms(step, id, claim)),
            Aim::MakeRoom => self.left_until_room_ms(step, id, claim),
        }
    }

    fn left_until_stop_ms(&self, step: &Step, id: RunId, claim: Claim) -> Option<u64> {
        let tree = self.tree_of(id);
        let run = tree.state.run()?;
        let idle_after_ms = run.idle_after_ms(tree.warm, &self.config)?;
        let idle_after_ms =
            if planted(Bug::IdleTooSoon) { idle_after_ms / 2 } else { idle_after_ms };
        if self.sleeps() && run.idle_is_asked {
            return None;
        }
        let kept_ms = run.kept_until_ms.saturating_sub(step.now.steady_ms);
        let left_ms = idle_after_ms.saturating_sub(self.idle_for_ms(step, id, claim));
        Some(left_ms.max(kept_ms))
    }

    /// For how long the run has not been used. The count comes before the clock: see
    /// [`Leases`](crate::Leases).
    pub(crate) fn idle_for_ms(&self, step: &Step, id: RunId, claim: Claim) -> u64 {
        let is_overlooked = planted(Bug::UseIsIdleness)
            || (claim == Claim::After && planted(Bug::ClaimIsBlindToUse));
        if step.leases.is_in_use(id) && !is_overlooked {
            return 0;
        }
        let run = self.tree_of(id).state.run().expect("a run has a state of its own");
        let active_ms = step.leases.touched(id).at_ms.max(run.connected_at_ms);
        self.absences.running_ms(active_ms, step.now.wall_ms)
    }

    /// Asks what is still to be asked before the run takes a step down. Returns whether there was
    /// anything.
    fn asks_first(&mut self, step: &Step, id: RunId, row: Row, idle_ms: u64) -> bool {
        let (aim, done) = row;
        let Some(question) = self.next_question(aim, done) else { return false };
        self.clear_deadline(id);
        let Some(run) = self.tenant_of(id).state.run_mut() else { return false };
        if aim != Aim::Stop {
            run.wakefulness.row = Some((aim, question));
        }
        match (question, aim) {
            (Question::Connections, _) => self.looks.asking_next.push((id, row)),
            (Question::Activity, _) => self.look_at_activity(id),
            (Question::User, Aim::Stop) => {
                run.idle_is_asked = true;
                self.actions.push(Action::AskIdle { run: id, idle_ms });
                // A function that takes its time keeps no tenant awake.
                if self.sleeps() {
                    self.schedule_step_down(step, id);
                }
            }
            (Question::User, _) => self.ask_whether_to_sleep(step, id, idle_ms),
        }
        true
    }

    fn next_question(&self, aim: Aim, done: IdleStep) -> Option<Question> {
        if aim != Aim::Stop {
            return self.next_question_before_sleep(done);
        }
        let looks = self.config.heeds_connections && done != done.looked();
        let asks = self.config.asks_before_idle && done < IdleStep::Asked;
        match (looks, asks) {
            _ if planted(Bug::ShouldIdleKillIsNotAsked) => None,
            (true, _) => Some(Question::Connections),
            (false, true) => Some(Question::User),
            (false, false) => None,
        }
    }

    /// `shouldIdleKill` has answered. Kept tenants are asked about again a sweep later.
    pub(crate) fn idle_answered(&mut self, step: &mut Step, id: RunId, stop: bool) {
        let kept_until_ms = step.now.steady_ms.saturating_add(self.config.sweep_interval_ms.max(1));
        let state = &mut self.tenant_of(id).state;
        let is_ready = matches!(state, State::Ready(_));
        // The question is answered in any case, also if the run is being stopped meanwhile.
        let Some(run) = state.run_mut().filter(|run| run.idle_is_asked) else { return };
        run.idle_is_asked = false;
        if !stop {
            run.kept_until_ms = kept_until_ms;
        }
        match (is_ready, stop) {
            (true, true) => {
                self.end_row(id);
                self.consider(step, id, Aim::Stop, IdleStep::Asked);
            }
            // What is being found out for another step down goes on.
            (true, false) if self.is_in_row(id) => {}
            (true, false) => self.schedule_step_down(step, id),
            (false, _) => self.idle_answered_of_sleeper(step, id, stop),
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
        // Without `heeds_connections` only runs that are retired, or are to sleep, wait for a look.
        if looks.is_under_way || (!heeds && looks.asking_next.is_empty()) {
            return;
        }
        let is_due = looks.at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let awaits_look = self.pressure.is_some_and(|pressure| pressure.awaits_look);
        let is_wanted_for_room = looks.is_wanted_for_room || awaits_look;
        let is_anyone_there = self.candidates.len() > 0 || self.sleepers.is_any_checked();
        if !is_anyone_there || self.disposal.is_some() {
            looks.asking_next.clear();
            looks.at_ms = None;
        } else if is_due || is_wanted_for_room || !looks.asking_next.is_empty() {
            looks.serves_room = is_wanted_for_room;
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
        for (id, row) in std::mem::take(&mut self.looks.asking) {
            if !idle_again.contains(&id) {
                self.looked_at(step, id, row, seen.then(|| open.contains(&id)));
            }
        }
        for (id, (aim, done)) in asking_next {
            if self.is_retired(id) || self.is_checked(id) {
                self.looks.ask_next(id);
            } else if self.waits_for_look(id) {
                self.consider(step, id, aim, done);
            }
        }
        if self.looks.is_fresh {
            self.relieve_after_look(step);
        }
    }

    /// A run that waited for the look is connected or not; `None`: that could not be seen.
    fn looked_at(&mut self, step: &mut Step, id: RunId, row: Row, is_connected: Option<bool>) {
        let (aim, done) = row;
        if self.is_retired(id) {
            let is_unconnected = is_connected == Some(false);
            let look = if is_unconnected { Look::Unconnected } else { Look::Connected };
            self.consider_retired(step, id, look);
        } else if self.is_checked(id) {
            self.checked(step, id, is_connected != Some(false));
        } else if self.waits_for_look(id) && (aim == Aim::Stop || self.is_in_row_of(id, aim)) {
            match is_connected {
                Some(false) => self.consider(step, id, aim, done.looked()),
                Some(true) if aim == Aim::Stop => self.consider(step, id, aim, IdleStep::Clock),
                _ if aim == Aim::Stop => self.set_deadline(step, id, self.config.sweep_interval_ms),
                _ => self.keep_awake(step, id),
            }
        }
    }
}
