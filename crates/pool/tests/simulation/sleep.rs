//! What the book knows of tenants that sleep, how the world carries it out, and what must hold.

use super::book::{Book, RunRecord};
use super::delays::Delays;
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::world::{Happening, Hung, World};
use pool::{
    Action, Config, Custody, Depth, Event, ExitReason, Fact, Leases, Outcome, Outgoing, RunId,
    Sleep, Touch,
};

/// For how long a row may go on after the room that it was begun for is not wanted any more: looks
/// that hang until the world mends are not told apart.
const ROW_LASTS_MS: u64 = 100_000;

/// A sleeper that runs without an order more often than so within so long is not laid to rest again,
/// and does not sleep for so long.
const STIRS_MAX: usize = 3;
const STIRS_WITHIN_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub struct SleepRecord {
    /// From the first order to rest until it is awake; or to its end, if it is stopped.
    pub sleeps: bool,
    /// Users were told that it sleeps, and not that it is awake.
    pub told: Option<Depth>,
    /// It holds no room.
    pub is_roomless: bool,
    /// Orders that have not been answered.
    rests: u32,
    rouses: u32,
    /// The last order to run was one to answer.
    is_to_answer: bool,
    /// Its tree stands, as far as the answers say.
    stands: bool,
    /// The last order to rest found it running; its connections are looked for once it stands.
    falls: bool,
    is_checked: bool,
    /// When it was woken last.
    pub woken_ms: u64,
    /// Somebody wants it.
    wanted: bool,
    /// It was turned away for want of room, perhaps.
    is_doubtful: bool,
    has_outgoing: bool,
    /// What is being asked about it.
    pub asked: Option<Asked>,
    /// When that was answered last.
    pub answered_ms: u64,
    /// When something was last found to keep it awake.
    kept_ms: Option<u64>,
    /// The steps in which a look showed no connection, in which it was found to do nothing, and in
    /// which `shouldSleep` said yes.
    unconnected_step: u64,
    quiet_step: u64,
    yes_step: u64,
    /// Its last activity when it fell.
    fell: Touch,
    /// When it last came to rest.
    rested_ms: u64,
    /// When it has run without an order: the times since the first of them that still counts.
    stirs_ms: Vec<u64>,
    stirred_step: u64,
    /// Until then it is not to sleep.
    restless_until_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Activity,
    User,
}

impl RunRecord {
    pub fn sleep_event(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Sleep { depth, .. } => {
                self.sleep.is_roomless |= self.sleep.told.is_none();
                self.sleep.told = Some(*depth);
            }
            Event::Wake { by_itself, .. } => {
                self.sleep.told = None;
                if !self.sleep.sleeps && !by_itself {
                    self.sleep.woken_ms = now_ms;
                }
            }
            _ => {}
        }
    }

    fn awakes(&mut self, now_ms: u64) {
        self.sleep.answered_ms = now_ms;
        (self.sleep.sleeps, self.sleep.is_roomless, self.sleep.wanted) = (false, false, false);
        self.in_service = true;
    }

    fn stirs(&mut self, now_ms: u64, step: u64) {
        let sleep = &mut self.sleep;
        sleep.stirred_step = step;
        let is_old = sleep.stirs_ms.first().is_some_and(|first| now_ms - first >= STIRS_WITHIN_MS);
        if is_old {
            sleep.stirs_ms.clear();
        }
        sleep.stirs_ms.push(now_ms);
        if sleep.is_restless() {
            sleep.restless_until_ms = now_ms + STIRS_WITHIN_MS;
        }
        if sleep.told.is_none() {
            sleep.kept_ms = Some(now_ms);
            self.awakes(now_ms);
        }
    }
}

impl SleepRecord {
    fn is_restless(&self) -> bool {
        self.stirs_ms.len() > STIRS_MAX
    }

    /// That it runs without an order would be told: it stands, and was not told to run since.
    pub fn could_stir(&self) -> bool {
        (self.stands, self.rouses) == (true, 0)
    }
}

impl Book {
    pub fn sleeps(&self) -> bool {
        sleep_of(&self.config).is_some()
    }

    /// Sleepers that are to wake and have no room yet.
    pub fn wakers(&self) -> impl Iterator<Item = &RunRecord> {
        let leaves = self.disposed;
        self.alive().filter(move |run| {
            !leaves && run.is_asleep() && run.sleep.is_roomless && run.sleep.wanted
        })
    }

    pub fn pressure(&mut self, is_short: bool) {
        let rests = |run: &RunRecord| {
            let SleepRecord { stands, told, wanted, is_doubtful, rests, rouses, .. } = run.sleep;
            let is_left_alone = !(wanted || is_doubtful || self.is_kept(run.key));
            run.is_asleep()
                && is_left_alone
                && !self.is_warm(run)
                && (stands, told.is_some(), rests, rouses) == (true, true, 0, 0)
        };
        let begins = is_short && !self.is_short && !self.disposed && self.looking.is_none();
        let is_asked = self.alive().any(|run| run.sleep.asked.is_some());
        if begins && !is_asked && self.alive().any(rests) {
            self.short_step = self.step;
        }
        self.is_short = is_short;
    }

    fn wants_room(&self) -> bool {
        let waits = self.keys.iter().any(|key| key.is_queued());
        waits || self.surplus() > 0 || self.wakers().next().is_some() || self.is_short
    }

    /// What serves the key is wanted.
    pub fn want_key(&mut self, key: usize) {
        if let Some(run) = self.keys[key].live.filter(|_| !self.disposed) {
            self.want(run);
        }
    }

    /// It is wanted, if it sleeps.
    fn want(&mut self, id: RunId) {
        if let Some(run) = self.run_mut(id).filter(|run| run.is_asleep()) {
            (run.sleep.wanted, run.sleep.is_doubtful) = (true, false);
        }
    }

    /// Where nobody is left who could leave, none waits for room any more; which is not seen of
    /// sleepers that no call waits for.
    fn doubt_wants(&mut self) {
        let all_refused = self.with_room().all(|run| run.given_up.is_some());
        let waiting: Vec<RunId> = self.wakers().map(|run| run.id).collect();
        for id in waiting.into_iter().filter(|_| all_refused) {
            let run = self.run_mut(id).expect("alive");
            (run.sleep.wanted, run.sleep.is_doubtful) = (false, true);
        }
    }

    pub fn sleep_action(&mut self, action: &Action) {
        match action {
            Action::WatchBacklogs { on } => self.watches_backlogs = *on,
            _ => self.relieved_step = self.step,
        }
        let (Action::LookAtActivity { run }
        | Action::AskSleep { run, .. }
        | Action::Rest { run, .. }
        | Action::Rouse { run, .. }) = action
        else {
            return;
        };
        let Some(run) = self.run_mut(*run) else { return };
        let sleep = &mut run.sleep;
        match action {
            Action::LookAtActivity { .. } => sleep.asked = Some(Asked::Activity),
            Action::AskSleep { .. } => sleep.asked = Some(Asked::User),
            Action::Rest { .. } => {
                sleep.wanted &= sleep.sleeps;
                sleep.falls = !sleep.stands;
                (sleep.sleeps, sleep.rests) = (true, sleep.rests + 1);
            }
            Action::Rouse { is_to_answer, .. } => {
                (sleep.rouses, sleep.is_to_answer) = (sleep.rouses + 1, *is_to_answer);
                sleep.is_roomless &= !*is_to_answer;
            }
            _ => {}
        }
    }

    pub fn sleep_fact(&mut self, id: RunId, fact: &Fact) {
        let (now_ms, step) = (self.now.steady_ms, self.step);
        let outgoing = sleep_of(&self.config).map(|sleep| sleep.outgoing);
        let leaves = self.disposed;
        let Some(run) = self.run_mut(id) else { return };
        let is_ending = !run.is_asleep();
        let is_ready = run.is_in_use();
        let sleep = &mut run.sleep;
        match fact {
            Fact::Rested { rss_bytes, .. } => {
                run.rss_bytes = *rss_bytes;
                (sleep.rests, sleep.stands) = (sleep.rests - 1, sleep.rouses == 0);
                sleep.rested_ms = now_ms;
                let has_fallen = std::mem::take(&mut sleep.falls) && sleep.stands;
                sleep.is_checked |= has_fallen && !sleep.wanted;
            }
            Fact::RestFailed | Fact::Stirred => {
                sleep.rests -= u32::from(matches!(fact, Fact::RestFailed));
                sleep.stands = false;
                if sleep.rouses == 0 && !is_ending {
                    run.stirs(now_ms, step);
                    // A look that goes on may have seen it before.
                    self.looked_at
                        .retain(|(looked_at, was_checked)| *looked_at != id || !*was_checked);
                }
            }
            Fact::Roused => {
                (sleep.rouses, sleep.stands) = (sleep.rouses - 1, false);
                let is_last = sleep.rouses == 0 && sleep.is_to_answer;
                if is_last && !is_ending {
                    run.awakes(now_ms);
                }
            }
            Fact::RouseFailed => {
                sleep.rouses -= 1;
                run.cause = run.cause.or(Some(ExitReason::Crashed));
            }
            Fact::Activity { outgoing: connections, serves_beside, is_busy, seen } => {
                if sleep.asked.take_if(|asked| *asked == Asked::Activity).is_none() {
                    return;
                }
                sleep.answered_ms = now_ms;
                sleep.has_outgoing = *connections > 0;
                let stays = sleep.has_outgoing && outgoing == Some(Outgoing::Stay);
                if *serves_beside || *is_busy || !*seen || stays {
                    sleep.kept_ms = Some(now_ms).filter(|_| is_ready);
                } else {
                    sleep.quiet_step = step;
                }
            }
            Fact::SleepAnswered { sleep: yes } => {
                if sleep.asked.take_if(|asked| *asked == Asked::User).is_none() {
                    return;
                }
                sleep.answered_ms = now_ms;
                if *yes {
                    sleep.yes_step = step;
                }
            }
            Fact::Knocked if !leaves => self.want(id),
            _ => {}
        }
    }

    /// When a look begins.
    pub fn note_who_is_looked_at(&mut self) {
        let seen = |run: &&RunRecord| run.is_in_use() || run.sleep.stands;
        let seen = self.alive().filter(seen).map(|run| (run.id, run.sleep.is_checked));
        self.looked_at = seen.collect();
    }

    /// When it is answered.
    pub fn sleepers_looked_at(&mut self, open: &[RunId], seen: bool) {
        let (now_ms, step) = (self.now.steady_ms, self.step);
        for (id, was_checked) in std::mem::take(&mut self.looked_at) {
            let is_unconnected = seen && !open.contains(&id);
            let run = self.run_mut(id).expect("it was there");
            let is_checked = was_checked && std::mem::take(&mut run.sleep.is_checked);
            run.sleep.rested_ms = now_ms;
            if is_unconnected {
                run.sleep.unconnected_step = step;
            } else {
                run.sleep.wanted |= is_checked && run.is_asleep();
            }
        }
    }

    pub fn note_wants(&mut self) {
        if self.wants_room() {
            self.wanted_ms = Some(self.now.steady_ms);
        }
    }
}

fn sleep_of(config: &Config) -> Option<Sleep> {
    config.sleep.filter(|_| config.checkpoint_timeout_ms.is_none())
}

impl World<'_> {
    /// Orders of a run are answered one after the other.
    fn plan_answer(&mut self, run: RunId, fact: Fact) {
        let now_ms = self.now_ms();
        let before_ms = self.orders.get(&run).copied().unwrap_or(0);
        let at_ms = (now_ms + self.rng.delay_ms()).max(before_ms + 1);
        self.orders.insert(run, at_ms);
        self.plan(at_ms - now_ms, Happening::Fact(run, fact));
    }

    pub(super) fn rest(&mut self, run: RunId, depth: Depth) {
        let touched = self.leases.touched(run);
        if let Some(run) = self.book.run_mut(run).filter(|run| run.sleep.told.is_none()) {
            run.sleep.fell = touched;
        }
        let fact = if self.rng.chance(self.faults.rest_fails) {
            Fact::RestFailed
        } else {
            let is_paged_out = depth == Depth::PagedOut && self.rng.chance(70);
            let depth = if is_paged_out { Depth::PagedOut } else { Depth::Frozen };
            Fact::Rested { depth, rss_bytes: self.rng.below(3) }
        };
        self.plan_answer(run, fact);
        if self.rng.chance(self.faults.stirs) {
            let after_ms = self.rng.delay_ms() + self.rng.delay_ms();
            self.plan(after_ms, Happening::Stir(run));
        }
    }

    /// Something continues the tree of a run.
    pub(super) fn stir(&mut self, run: RunId) -> Verdict {
        let is_noticed = |run: &RunRecord| !run.over && !run.let_go && run.sleep.could_stir();
        match self.book.run(run).is_some_and(is_noticed) {
            true => self.tell(run, Fact::Stirred),
            false => Ok(()),
        }
    }

    pub(super) fn rouse(&mut self, run: RunId) {
        let fails = self.rng.chance(self.faults.rouse_fails);
        self.plan_answer(run, if fails { Fact::RouseFailed } else { Fact::Roused });
    }

    pub(super) fn look_at_activity(&mut self, run: RunId) {
        let percent = self.faults.active;
        let seen = !self.rng.chance(self.faults.unseen);
        let outgoing = usize::from(self.rng.chance(percent));
        let serves_beside = self.rng.chance(percent / 2);
        let is_busy = self.rng.chance(percent / 2);
        let after_ms = self.rng.delay_ms();
        let fact = Fact::Activity { outgoing, serves_beside, is_busy, seen };
        self.plan(after_ms, Happening::Fact(run, fact));
    }

    pub(super) fn ask_sleep(&mut self, run: RunId) {
        if !self.hangs(self.faults.question_hangs, Hung::Sleepiness(run)) {
            self.answer_ask_sleep(run);
        }
    }

    pub(super) fn answer_ask_sleep(&mut self, run: RunId) {
        let (after_ms, sleep) = (self.rng.delay_ms(), !self.rng.chance(self.faults.kept));
        self.plan(after_ms, Happening::Fact(run, Fact::SleepAnswered { sleep }));
    }

    /// A visitor of what the key has, if its backlog is looked at.
    pub(super) fn knock(&mut self, key: usize) -> Verdict {
        match self.book.keys[key].live.filter(|_| self.book.watches_backlogs) {
            Some(run) => self.tell(run, Fact::Knocked),
            None => Ok(()),
        }
    }

    /// Of sleepers that are to be stopped nobody is told before they are awake; but the pool can be
    /// asked.
    pub(super) fn note_stops_of_sleepers(&mut self) -> Verdict {
        self.book.note_wants();
        self.book.doubt_wants();
        let asleep = self.book.alive().filter(|run| run.is_asleep()).map(|run| run.id);
        let stopped: Vec<(RunId, ExitReason)> =
            asleep.filter_map(|id| Some((id, self.pool.cause_of(id)?))).collect();
        for (id, reason) in &stopped {
            let run = self.book.run(*id).expect("alive");
            match reason {
                ExitReason::IdleKilled => a_sleeper_is_idle(&self.book, &self.leases, run)?,
                ExitReason::LruEvicted => a_sleeper_is_too_many(&self.book, run, &stopped)?,
                _ => return Err(format!("{run:?} is stopped as {reason:?}")),
            }
        }
        let step = self.book.step;
        for (id, reason) in stopped {
            let run = self.book.run_mut(id).expect("alive");
            (run.cause, run.idleness.stop_step) = (Some(reason), step);
        }
        Ok(())
    }
}

fn a_sleeper_is_idle(book: &Book, leases: &SharedLeases, run: &RunRecord) -> Verdict {
    let idle_ms = book.idle_ms(run, leases.touched(run.id));
    let after_ms = run.idle_after_ms(&book.config).unwrap_or(u64::MAX);
    let heard = !book.config.asks_before_idle || run.idleness.condemned_step == book.step;
    let may = idle_ms >= after_ms && heard && !book.is_warm(run) && !book.is_kept(run.key);
    holds(may && !run.sleep.wanted, || format!("{run:?} is idle for {idle_ms} ms, and stopped"))
}

/// The least recently active of too many; warm ones last. `stopped` are those that are, in this
/// step.
fn a_sleeper_is_too_many(book: &Book, run: &RunRecord, stopped: &[(RunId, ExitReason)]) -> Verdict {
    let max_asleep = sleep_of(&book.config).map_or(0, |sleep| sleep.max_asleep);
    let asleep = || book.alive().filter(|run| run.is_asleep() && run.sleep.is_roomless);
    let evicted = stopped.iter().filter(|(_, reason)| *reason == ExitReason::LruEvicted).count();
    let is_surplus = asleep().count() >= max_asleep + evicted;
    let is_restless = run.sleep.stirred_step == book.step && run.sleep.is_restless();
    if is_restless {
        return holds(!has_free_room(book) && !run.sleep.wanted && !book.is_kept(run.key), || {
            format!("{run:?} could be awake, and is stopped")
        });
    }
    holds((is_surplus || book.is_short) && !run.sleep.wanted && !book.is_kept(run.key), || {
        format!("{run:?} is stopped, and is not one too many")
    })?;
    if book.config.evicts_by_cost && book.is_short {
        return Ok(());
    }
    let order = |run: &RunRecord| (book.is_warm(run), run.sleep.fell, run.id);
    let others = asleep().filter(|other| !stopped.iter().any(|(id, _)| *id == other.id));
    let sooner = others
        .filter(|other| !other.sleep.wanted && !other.sleep.is_doubtful && !book.is_kept(other.key))
        .find(|other| order(other) < order(run));
    holds(sooner.is_none(), || format!("{run:?} is stopped, before {sooner:?}"))
}

pub fn a_sleeper_that_is_stopped_is_told_to_be(run: &RunRecord, reason: ExitReason) -> Verdict {
    holds(run.cause == Some(reason), || format!("{run:?} is said to be stopped as {reason:?}"))
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    let run_of = |run: &RunId| book.run(*run).ok_or(format!("{run:?} is unknown"));
    match action {
        Action::LookAtActivity { run } => {
            let run = run_of(run)?;
            holds(run.sleep.unconnected_step == book.step && run.is_in_use(), || {
                format!("{run:?} is to sleep, and its connections were not looked for")
            })?;
            nothing_is_asked_twice(run)
        }
        Action::AskSleep { run, .. } => {
            let run = run_of(run)?;
            let asks = sleep_of(&book.config).is_some_and(|sleep| sleep.asks);
            holds(asks && run.sleep.quiet_step == book.step && run.is_in_use(), || {
                format!("`shouldSleep` is asked about {run:?}")
            })?;
            nothing_is_asked_twice(run)
        }
        Action::Rest { run, depth } => {
            let run = run_of(run)?;
            match run.sleep.sleeps {
                false => a_fall_is_allowed(book, leases, run, *depth),
                true => a_sleeper_sinks_in_time(book, leases, run, *depth),
            }
        }
        Action::Rouse { run, is_to_answer } => {
            a_rouse_has_a_reason(book, run_of(run)?, *is_to_answer)
        }
        Action::Emit(Event::Sleep { run, depth, .. }) => {
            let run = run_of(run)?;
            let checked = run.sleep.unconnected_step == book.step || run.sleep.told.is_some();
            let deeper = Some(*depth) > run.sleep.told;
            holds(checked && deeper && run.sleep.stands, || {
                format!("{run:?} is told to sleep as {depth:?}")
            })
        }
        Action::Emit(Event::Wake { run, depth, by_itself }) => {
            let run = run_of(run)?;
            let is_right =
                run.sleep.told == Some(*depth) && *by_itself <= (run.sleep.restless_until_ms > 0);
            holds(is_right && is_running(run), || format!("{action:?} of {run:?}"))
        }
        Action::Stop { run, stage: pool::StopStage::Ask } => {
            let run = run_of(run)?;
            holds(!run.sleep.sleeps || is_running(run), || {
                format!("{run:?} is asked to end, and cannot hear it")
            })?;
            holds(run.sleep.told.is_none(), || format!("the wake of {run:?} is not told"))
        }
        Action::Settle { outcome: Outcome::Tenant(run), .. } | Action::LetGo { run } => {
            let Ok(run) = run_of(run) else { return Ok(()) };
            holds(is_running(run), || format!("{run:?} is handed on, and does not run"))
        }
        _ => Ok(()),
    }
}

/// Every order was answered, the last with that it runs.
fn is_running(run: &RunRecord) -> bool {
    let SleepRecord { rests, rouses, stands, .. } = run.sleep;
    (rests, rouses, stands) == (0, 0, false)
}

fn nothing_is_asked_twice(run: &RunRecord) -> Verdict {
    holds(run.sleep.asked.is_none(), || format!("two questions at once about {run:?}"))
}

fn a_fall_is_allowed(book: &Book, leases: &SharedLeases, run: &RunRecord, depth: Depth) -> Verdict {
    let Some(sleep) = sleep_of(&book.config) else { return Err("nothing sleeps".into()) };
    let now_ms = book.now.steady_ms;
    let is_tenant = run.is_in_use() && run.custody == Custody::OURS && !book.is_kept(run.key);
    holds(is_tenant && depth == Depth::Frozen, || format!("{run:?} falls asleep to {depth:?}"))?;
    holds(!leases.is_in_use(run.id) && !leases.is_open(run.id), || {
        format!("{:?} falls asleep, and is in use", run.id)
    })?;
    let idle_ms = book.idle_ms(run, leases.touched(run.id));
    let is_wanted = book.wanted_ms.is_some_and(|wanted_ms| now_ms - wanted_ms <= ROW_LASTS_MS);
    holds(idle_ms >= sleep.after_ms || is_wanted, || {
        format!("{run:?} falls asleep after {idle_ms} ms")
    })?;
    let awake_ms = now_ms - run.ready_ms.max(run.sleep.woken_ms);
    holds(awake_ms >= sleep.min_awake_ms, || {
        format!("{run:?} falls asleep, and is awake for {awake_ms} ms")
    })?;
    holds(now_ms >= run.sleep.restless_until_ms, || {
        format!("{run:?} falls asleep, and could not be kept so")
    })?;
    let kept_ms = run.sleep.kept_ms.map_or(u64::MAX, |kept_ms| now_ms - kept_ms);
    holds(kept_ms >= book.config.sweep_interval_ms, || {
        format!("{run:?} falls asleep, and was kept awake {kept_ms} ms ago")
    })?;
    let last_step = if sleep.asks { run.sleep.yes_step } else { run.sleep.quiet_step };
    holds(last_step == book.step, || format!("{run:?} falls asleep unasked"))
}

fn a_sleeper_sinks_in_time(
    book: &Book,
    leases: &SharedLeases,
    run: &RunRecord,
    depth: Depth,
) -> Verdict {
    let idle_ms = book.idle_ms(run, leases.touched(run.id));
    let after_ms = sleep_of(&book.config).and_then(|sleep| sleep.page_out_after_ms);
    let is_time = after_ms.is_some_and(|after_ms| idle_ms >= after_ms) || book.is_short;
    let sinks = run.sleep.stands && depth == Depth::PagedOut && is_time;
    let breathes = is_running(run) && run.sleep.told == Some(depth);
    let has_stirred = run.sleep.stirred_step == book.step;
    let waits = run.sleep.wanted || run.sleep.is_doubtful || book.is_kept(run.key);
    let may_wait = !run.sleep.wanted || has_stirred;
    holds(!has_stirred || waits || !run.sleep.is_restless(), || {
        format!("{run:?} cannot be kept asleep, and is to rest as {depth:?}")
    })?;
    let may = run.is_asleep() && may_wait && (sinks || breathes || run.sleep.told.is_some());
    holds(may && (sinks || !run.sleep.stands), || format!("{run:?} is to rest as {depth:?}"))
}

fn a_rouse_has_a_reason(book: &Book, run: &RunRecord, is_to_answer: bool) -> Verdict {
    let breathes = sleep_of(&book.config).is_some_and(|sleep| sleep.outgoing == Outgoing::Breathe);
    let SleepRecord { wanted, is_doubtful, told, has_outgoing, .. } = run.sleep;
    let is_restless = run.sleep.stirred_step == book.step && run.sleep.is_restless();
    let may = match is_to_answer {
        true => run.is_asleep() && (wanted || is_doubtful || told.is_none() || is_restless),
        // A stop that nobody was told of is noticed after the step.
        false => {
            let breathes = breathes && has_outgoing;
            !wanted || !run.is_asleep() || book.detached || breathes
        }
    };
    holds(may && run.sleep.sleeps, || format!("{run:?} is roused, to answer: {is_to_answer}"))
}

/// The first step down the ladder is taken at once, where anything sleeps that could take one.
fn a_host_short_of_memory_is_relieved(book: &Book) -> Verdict {
    let is_ignored = book.short_step == book.step && book.relieved_step != book.step;
    holds(!is_ignored, || "the host is short of memory, and nothing is done".into())
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    what_is_in_use_runs(book)?;
    what_stirs_is_dealt_with_at_once(book)?;
    a_host_short_of_memory_is_relieved(book)?;
    no_more_sleep_than_may(book)?;
    a_sleeper_that_is_wanted_takes_free_room(book)?;
    backlogs_of_sleepers_are_watched(book)?;
    an_unused_tenant_falls_asleep_in_time(book, leases, lag_ms)?;
    an_idle_sleeper_is_noticed_in_time(book, leases, lag_ms)
}

fn what_is_in_use_runs(book: &Book) -> Verdict {
    let wrong = book.alive().find(|run| run.is_in_use() && !is_running(run));
    holds(wrong.is_none(), || format!("{wrong:?} is handed out, and does not run"))
}

/// It is to rest, or to run, or to end, without waiting for anybody to leave.
fn what_stirs_is_dealt_with_at_once(book: &Book) -> Verdict {
    let has_stirred = |run: &&RunRecord| run.sleep.stirred_step == book.step;
    let left = book.alive().filter(has_stirred).find(|run| {
        let SleepRecord { rests, rouses, .. } = run.sleep;
        run.is_asleep() && (rests, rouses) == (0, 0) && !book.disposed
    });
    holds(left.is_none(), || format!("{left:?} runs, and is left alone"))
}

fn no_more_sleep_than_may(book: &Book) -> Verdict {
    let Some(sleep) = sleep_of(&book.config) else { return Ok(()) };
    let asleep = book.alive().filter(|run| run.is_asleep() && run.sleep.is_roomless);
    let asleep = asleep.filter(|run| !run.sleep.wanted && !book.is_kept(run.key)).count();
    holds(asleep <= sleep.max_asleep, || format!("{asleep} sleep of at most {}", sleep.max_asleep))
}

fn a_sleeper_that_is_wanted_takes_free_room(book: &Book) -> Verdict {
    let waker = book.wakers().next().filter(|_| has_free_room(book));
    holds(waker.is_none(), || format!("{waker:?} is wanted, and there is room"))
}

/// Which keys wait at a gate, with room, is not known.
fn has_free_room(book: &Book) -> bool {
    book.with_room().count() < book.config.max_concurrent && book.config.gate.width.is_none()
}

fn backlogs_of_sleepers_are_watched(book: &Book) -> Verdict {
    let asleep = book.alive().any(|run| run.is_asleep() && run.sleep.is_roomless);
    holds(book.watches_backlogs == asleep, || {
        format!("something sleeps: {asleep}; backlogs are watched: {}", book.watches_backlogs)
    })
}

/// Counted from when it was last looked at.
fn an_unused_tenant_falls_asleep_in_time(
    book: &Book,
    leases: &SharedLeases,
    lag_ms: u64,
) -> Verdict {
    let Some(sleep) = sleep_of(&book.config).filter(|_| !book.disposed) else { return Ok(()) };
    if book.looking.is_some() {
        return Ok(());
    }
    let now_ms = book.now.steady_ms;
    let awake = book.alive().filter(|run| run.is_in_use() && run.custody == Custody::OURS);
    let unused = awake.filter(|run| !leases.is_in_use(run.id) && !book.is_kept(run.key));
    let unused = unused.filter(|run| run.sleep.asked.is_none() && !run.idleness.is_asked);
    for run in unused.filter(|run| !book.is_warm(run)) {
        let idle_ms = book.idle_ms(run, leases.touched(run.id));
        let looked_ms = [
            run.ready_ms.max(run.sleep.woken_ms) + sleep.min_awake_ms,
            run.sleep.restless_until_ms,
            book.looked_ms.unwrap_or(0),
            run.sleep.answered_ms,
            run.sleep.kept_ms.unwrap_or(0),
            run.idleness.kept_ms.unwrap_or(0),
            run.kept_for_deploy_ms,
        ];
        let looked_ms = looked_ms.into_iter().max().unwrap_or(0);
        let late_ms = idle_ms.saturating_sub(sleep.after_ms).min(now_ms.saturating_sub(looked_ms));
        let allowed_ms = 2 * book.config.sweep_interval_ms + lag_ms;
        holds(late_ms <= allowed_ms, || {
            format!("{:?} should sleep for {late_ms} ms: {run:?}", run.id)
        })?;
    }
    Ok(())
}

fn an_idle_sleeper_is_noticed_in_time(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    let now_ms = book.now.steady_ms;
    let resting = book.alive().filter(|run| {
        let SleepRecord { stands, told, wanted, is_checked, rests, rouses, .. } = run.sleep;
        let is_still = stands && (rests, rouses) == (0, 0);
        run.is_asleep() && told.is_some() && is_still && !wanted && !is_checked
    });
    let resting = resting.filter(|run| !run.idleness.is_asked && !book.is_warm(run));
    for run in resting.filter(|run| !book.is_kept(run.key) && !book.disposed) {
        let Some(idle_after_ms) = run.idle_after_ms(&book.config) else { continue };
        let idle_ms = book.idle_ms(run, leases.touched(run.id));
        let looked_ms = [
            run.idleness.kept_ms.unwrap_or(0),
            run.kept_for_deploy_ms,
            book.looked_ms.unwrap_or(0),
            run.sleep.rested_ms,
        ];
        let looked_ms = looked_ms.into_iter().max().unwrap_or(0);
        let late_ms = idle_ms.saturating_sub(idle_after_ms).min(now_ms - looked_ms);
        let allowed_ms = book.config.sweep_interval_ms + lag_ms;
        holds(late_ms <= allowed_ms, || {
            format!("{:?} should have been stopped {late_ms} ms ago: {run:?}", run.id)
        })?;
    }
    Ok(())
}
