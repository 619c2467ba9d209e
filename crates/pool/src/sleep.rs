//! Sleep: which tenants that are awake fall asleep. What becomes of sleepers is in `slumber.rs`, and
//! how they wake in `wake.rs`.
//!
//! The ladder of a tenant that is not used: awake, frozen, paged out, stopped. Each step has its
//! time, counted from the last use; the questions before a step are in `idle.rs`. A tenant stays
//! awake if, in the order in which that is looked at,
//!
//! 1. it is in use, or was used since; or it has become ready, or was woken, a short while ago;
//! 2. it has an open connection;
//! 3. it uses the CPU, or listens on UDP; or it has outgoing connections, and those that have stay;
//! 4. the user's `shouldSleep` says so.
//!
//! What keeps it awake is looked at again a sweep later, or with the next of those that are. Only processes of ours sleep, which our
//! warden freezes; and none does while its next release comes up, or where idle tenants are saved.
//!
//! A tenant also falls asleep so that another key has room, before its time, with the same
//! questions. The least recently active is asked first; one that is kept awake leaves the next one
//! to be asked, and where none may sleep a tenant is evicted (`eviction.rs`). A start or a wake
//! waits for `shouldSleep` no longer than [`ANSWERED_IN_MS`].

use crate::idle::{Claim, IdleStep, Question};
use crate::messages::Action;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::restless::Stirs;
use crate::slumber::Slumber;
use crate::tenant::{Run, State};
use crate::{Custody, Depth, Outgoing, RunId, Sleep};

/// How long a key that needs room waits for the answer of `shouldSleep`.
const ANSWERED_IN_MS: u64 = 1_000;

/// Tenants that are to fall asleep within so long do so at once, after one look at all connections.
const TOGETHER_MS: u64 = 500;
/// If they sleep only after so long: then half a second more is not noticed.
const LONG_MS: u64 = 10_000;

/// Why an idle tenant is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// It is to be stopped.
    Stop,
    /// It is to sleep, as it has not been used for long enough.
    Sleep,
    /// It is to sleep so that another key has room, or the host memory, if nothing uses it now.
    MakeRoom,
}

/// What is known of whether a run that is awake may sleep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wakefulness {
    /// Since when it has been ready, or awake again.
    pub since_ms: u64,
    /// Something has kept it awake; until then that is not looked at again.
    pub kept_until_ms: u64,
    /// How often it has run while it was to stand.
    pub stirs: Stirs,
    /// What is being found out before it may sleep.
    pub row: Option<(Aim, Question)>,
    /// What was asked and has not been answered. No row begins until it is.
    owed: Option<Question>,
    /// It had outgoing connections at the last look.
    has_outgoing: bool,
}

impl Pool {
    /// Whether tenants sleep at all.
    pub(crate) fn sleeps(&self) -> bool {
        self.config.sleep.is_some()
    }

    /// How long it takes until a ready run may sleep that was not used for `idle_ms`; `None` if
    /// that is not to be foreseen.
    pub(crate) fn left_until_sleep_ms(&self, step: &Step, id: RunId, idle_ms: u64) -> Option<u64> {
        let sleep = self.config.sleep?;
        let tree = self.tree_of(id);
        let has_place = tree.warm.is_none() || self.sleepers.len() < sleep.max_asleep;
        let run = tree.state.run().filter(|run| run.may_ever_sleep(has_place))?;
        let after_ms = if planted(Bug::SleepsTooSoon) { 0 } else { sleep.after_ms };
        let left_ms = after_ms.saturating_sub(idle_ms);
        Some(left_ms.max(run.awake_for_ms(&sleep, step.now.steady_ms)))
    }

    /// The same of one that is to make room: now, if it has not been used since it was chosen.
    pub(crate) fn left_until_room_ms(&self, step: &Step, id: RunId, claim: Claim) -> Option<u64> {
        let idle_ms = self.idle_for_ms(step, id, claim);
        let left_ms = self.left_until_sleep_ms(step, id, idle_ms)?;
        let run = self.tree_of(id).state.run()?;
        let is_unused = !self.is_used(step, id, claim)
            && step.leases.touched(id) <= run.indexed_touch
            && run.awake_for_ms(&self.config.sleep?, step.now.steady_ms) == 0;
        Some(if is_unused { 0 } else { left_ms.max(1) })
    }

    /// In how long a run is looked at that may sleep in `left_ms`: where that makes little
    /// difference, together with others.
    pub(crate) fn falls_with_others_ms(&self, step: &Step, left_ms: u64) -> u64 {
        let is_long = self.config.sleep.is_some_and(|sleep| sleep.after_ms >= LONG_MS);
        let due_ms = step.now.steady_ms.saturating_add(left_ms);
        let together_ms = due_ms.checked_next_multiple_of(TOGETHER_MS).unwrap_or(due_ms);
        if is_long { together_ms - step.now.steady_ms } else { left_ms }
    }

    fn is_used(&self, step: &Step, id: RunId, claim: Claim) -> bool {
        let is_overlooked = claim == Claim::After && planted(Bug::ClaimIsBlindToUse);
        step.leases.is_in_use(id) && !is_overlooked
    }

    pub(crate) fn next_question_before_sleep(&self, done: IdleStep) -> Option<Question> {
        let asks = self.config.sleep.is_some_and(|sleep| sleep.asks);
        match done {
            IdleStep::Clock if !planted(Bug::SleepsConnected) => Some(Question::Connections),
            IdleStep::Clock | IdleStep::Connections => Some(Question::Activity),
            IdleStep::Activity if asks && !planted(Bug::ShouldSleepIsNotAsked) => {
                Some(Question::User)
            }
            IdleStep::Activity | IdleStep::Asked | IdleStep::ConnectionsAgain => None,
        }
    }

    /// Asks the user's function, which may take its time: the run may be stopped meanwhile.
    pub(crate) fn ask_whether_to_sleep(&mut self, step: &Step, id: RunId, idle_ms: u64) {
        let Some(run) = self.tenant_of(id).state.run_mut() else { return };
        run.wakefulness.owed = Some(Question::User);
        let is_for_room = run.wakefulness.row == Some((Aim::MakeRoom, Question::User));
        self.actions.push(Action::AskSleep { run: id, idle_ms });
        let stop_ms = self.left_ms(step, id, Aim::Stop, Claim::Before);
        let patience_ms = is_for_room.then_some(ANSWERED_IN_MS);
        if let Some(left_ms) = stop_ms.into_iter().chain(patience_ms).min() {
            self.set_deadline(step, id, left_ms);
        }
    }

    pub(crate) fn look_at_activity(&mut self, id: RunId) {
        if let Some(run) = self.tenant_of(id).state.run_mut() {
            run.wakefulness.owed = Some(Question::Activity);
        }
        self.actions.push(Action::LookAtActivity { run: id });
    }

    /// It is known what the run does by itself.
    pub(crate) fn activity_seen(&mut self, step: &mut Step, id: RunId, activity: Activity) {
        let outgoing = self.config.sleep.map(|sleep| sleep.outgoing);
        let Some(aim) = self.is_answered(id, Question::Activity) else { return };
        let Activity { has_outgoing, is_active } = activity;
        if let Some(run) = self.tenant_of(id).state.run_mut() {
            run.wakefulness.has_outgoing = has_outgoing;
        }
        let stays = has_outgoing && outgoing == Some(Outgoing::Stay);
        match (is_active || stays) && !planted(Bug::SleepsAtWork) {
            true => self.keep_awake(step, id),
            false => self.consider(step, id, aim, IdleStep::Activity),
        }
    }

    /// `shouldSleep` has answered.
    pub(crate) fn sleep_answered(&mut self, step: &mut Step, id: RunId, sleep: bool) {
        match self.is_answered(id, Question::User) {
            Some(aim) if sleep => self.consider(step, id, aim, IdleStep::Asked),
            Some(_) => self.keep_awake(step, id),
            // It was not waited for any longer; it may be now.
            None if self.is_ready(id) && !self.is_in_row(id) => {
                self.schedule_unless_asked(step, id)
            }
            None => {}
        }
    }

    fn schedule_unless_asked(&mut self, step: &Step, id: RunId) {
        if self.tree_of(id).state.run().is_some_and(|run| run.deadline_ms.is_some()) {
            self.schedule_step_down(step, id);
        }
    }

    /// A question is answered. Returns what it was asked for, if that is still wanted.
    fn is_answered(&mut self, id: RunId, question: Question) -> Option<Aim> {
        let state = &mut self.tenant_of(id).state;
        let is_ready = matches!(state, State::Ready(_));
        let wakefulness = &mut state.run_mut()?.wakefulness;
        wakefulness.owed.take_if(|owed| *owed == question)?;
        let (aim, asked) = wakefulness.row?;
        (is_ready && asked == question).then_some(aim)
    }

    /// The run stays awake for a sweep at least.
    pub(crate) fn keep_awake(&mut self, step: &Step, id: RunId) {
        // All that are kept awake are looked at again at once, since each look lists the sockets of
        // the whole machine.
        let sweep_ms = self.config.sweep_interval_ms.max(1);
        let until_ms = step.now.steady_ms.saturating_add(sweep_ms);
        let until_ms = until_ms.checked_next_multiple_of(sweep_ms).unwrap_or(until_ms);
        if let Some(run) = self.tenant_of(id).state.run_mut() {
            let kept_until_ms = &mut run.wakefulness.kept_until_ms;
            *kept_until_ms = until_ms.max(*kept_until_ms);
        }
        self.end_row(id);
        self.schedule_step_down(step, id);
    }

    /// Whether anything is being found out before the run may sleep.
    pub(crate) fn is_in_row(&self, id: RunId) -> bool {
        self.tree_of(id).state.run().is_some_and(|run| run.wakefulness.row.is_some())
    }

    pub(crate) fn is_in_row_of(&self, id: RunId, aim: Aim) -> bool {
        let run = self.tree_of(id).state.run();
        run.is_some_and(|run| run.wakefulness.row == Some((aim, Question::Connections)))
    }

    /// Nothing more is to be found out, for now.
    pub(crate) fn end_row(&mut self, id: RunId) {
        self.candidates.is_not_asked(id);
        if let Some(run) = self.tenant_of(id).state.run_mut() {
            run.wakefulness.row = None;
        }
    }

    /// The tree is to be frozen. Its lease is claimed.
    pub(crate) fn fall_asleep(&mut self, step: &mut Step, id: RunId) {
        self.end_row(id);
        let breathes = self.config.sleep.is_some_and(|sleep| sleep.outgoing == Outgoing::Breathe);
        let Pool { tenants, runs, releases, timers, candidates, room, failures, actions, .. } =
            self;
        let tenant = releases.tree_mut(tenants, &runs[&id], id);
        if matches!(&tenant.state, State::Ready(run) if run.proven_at_ms <= step.now.steady_ms) {
            failures.clear(&tenant.key);
        }
        tenant.state.change(|state| match state {
            State::Ready(mut run) => {
                timers.clear(&mut run);
                candidates.remove(&run);
                run.indexed_touch = step.leases.touched(id);
                let slumber = Slumber::new(breathes && run.wakefulness.has_outgoing);
                (State::Asleep(run, Box::new(slumber)), ())
            }
            other => unreachable!("{other:?} was `Ready` above"),
        });
        room.leaving += 1;
        actions.push(Action::Rest { run: id, depth: Depth::Frozen });
    }

    /// Asks the least recently active tenant that may sleep to make room, for each place that is
    /// needed, as far as there are any.
    pub(crate) fn make_room_by_sleep(&mut self, step: &mut Step) {
        if !self.sleeps() || self.disposal.is_some() {
            return;
        }
        while self.room.wanted() > self.candidates.asked()
            && let Some(run) = self.next_to_sleep(step)
        {
            self.ask_to_sleep(step, run);
        }
    }

    /// The tenant is to sleep before its time, if it may.
    pub(crate) fn ask_to_sleep(&mut self, step: &mut Step, run: RunId) {
        self.candidates.is_asked(run);
        self.consider(step, run, Aim::MakeRoom, IdleStep::Clock);
    }

    /// The least recently active tenant that nothing keeps awake, as far as is known.
    pub(crate) fn next_to_sleep(&mut self, step: &Step) -> Option<RunId> {
        let usual = self.next_to_sleep_of(step, false);
        if usual.is_some() || !self.warm.has_any {
            return usual;
        }
        self.next_to_sleep_of(step, true)
    }

    fn next_to_sleep_of(&mut self, step: &Step, is_warm: bool) -> Option<RunId> {
        let sleep = self.config.sleep?;
        let has_place = self.sleepers.len() < sleep.max_asleep;
        self.choose_candidate(step, is_warm, false, |(releases, _), tree, run| {
            let may_sleep = matches!(tree.state, State::Ready(_))
                && run.deadline_ms.is_some()
                && run.wakefulness.row.is_none()
                && run.may_ever_sleep(has_place || tree.warm.is_none())
                && run.awake_for_ms(&sleep, step.now.steady_ms) == 0
                && !releases.has_coming(&tree.key)
                && !step.leases.is_in_use(run.id);
            may_sleep.then_some(run.id)
        })
    }
}

impl Run {
    /// Whether the run is one that sleeps. A warm one `has_place` only where it need not be stopped
    /// for it.
    fn may_ever_sleep(&self, has_place: bool) -> bool {
        let is_ours = self.custody == Custody::OURS;
        is_ours && self.main_ended_ms.is_none() && self.wakefulness.owed.is_none() && has_place
    }

    /// For how long the run stays awake, whether it is used or not.
    fn awake_for_ms(&self, sleep: &Sleep, now_ms: u64) -> u64 {
        let since_ms = self.wakefulness.since_ms;
        let min_awake_ms = if planted(Bug::SleepsAtOnce) { 0 } else { sleep.min_awake_ms };
        let least_ms = since_ms.saturating_add(min_awake_ms);
        least_ms.max(self.wakefulness.kept_until_ms).saturating_sub(now_ms)
    }
}

/// What a tenant does by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    pub has_outgoing: bool,
    /// It does something that it could not go on with, or that could not be seen.
    pub is_active: bool,
}
