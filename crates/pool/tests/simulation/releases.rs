//! What the book knows of releases, and what must hold of them.

use super::book::{Ask, Book, Place, RunRecord};
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::warm::Warm;
use super::world::key_index;
use pool::{Action, Event, ExitReason, History, Leases, RunId};

/// From a touch until its caller is connected.
const HANDED_OUT_MS: u64 = 200;

impl Book {
    /// Where a deploy waits that comes now.
    pub fn place_of_a_deploy(&self, key: usize) -> Place {
        let record = &self.keys[key];
        let is_up = self.live_run_of(key).is_some_and(RunRecord::is_up);
        match record.second {
            None if is_up => Place::Beside,
            Some(_) if is_up || record.deploys_beside > 0 => Place::Later,
            _ => Place::Serving,
        }
    }

    /// Its next release is on its way, and what serves is kept until then.
    pub fn is_kept(&self, key: usize) -> bool {
        self.keys[key].deploys_beside > 0
    }

    pub fn note_who_is_kept(&mut self) {
        let now_ms = self.now.steady_ms;
        for key in (0..self.keys.len()).filter(|key| self.is_kept(*key)).collect::<Vec<_>>() {
            if let Some(run) = self.live_run_of_mut(key) {
                run.kept_for_deploy_ms = now_ms;
            }
        }
    }

    /// The release that came up beside what serves does so no longer.
    pub fn lose_deploys(&mut self) {
        for key in 0..self.keys.len() {
            let second = self.keys[key].second.and_then(|run| self.run(run));
            if second.is_some_and(|run| !run.is_coming_up()) {
                self.move_deploys(key, Place::Beside, Place::Lost);
            }
        }
    }

    /// Nothing of the key is to be left.
    pub fn refuse_deploys(&mut self, key: usize) {
        self.move_deploys(key, Place::Beside, Place::Lost);
        self.move_deploys(key, Place::Later, Place::Lost);
    }

    pub fn move_deploys(&mut self, key: usize, from: Place, to: Place) {
        self.move_calls(key, from, to, |ask| ask == Ask::Deploy);
    }

    fn move_calls(&mut self, key: usize, from: Place, to: Place, which: impl Fn(Ask) -> bool) {
        let moving = self
            .calls
            .iter_mut()
            .filter(|call| call.key == key && !call.settled && which(call.ask));
        for call in moving.filter(|call| call.place == from) {
            call.place = to;
            *self.keys[key].calls_of(call.ask, from).expect("such calls are counted") -= 1;
            *self.keys[key].calls_of(call.ask, to).expect("such calls are counted") += 1;
        }
    }

    /// The second place is free.
    pub fn place_later_deploys(&mut self, key: usize) {
        let place = self.place_of_a_deploy(key);
        self.move_deploys(key, Place::Later, place);
    }

    pub fn cause_of_second(&mut self, key: usize, cause: ExitReason) {
        if let Some(run) = self.keys[key].second.and_then(|run| self.run_mut(run)) {
            run.cause = run.cause.or(Some(cause).filter(|_| !run.ends_by_itself));
        }
    }

    /// Whether the key's failures and history are those of this run.
    pub fn has_book(&self, id: RunId) -> bool {
        let Some(run) = self.run(id) else { return false };
        let key = &self.keys[run.key];
        key.live == Some(id) || key.release == run.release
    }

    /// Another release begins to serve.
    pub fn begin_failures_and_history(&mut self, key: usize, id: RunId) {
        self.forget_failures(key);
        self.leaves_image_behind(key, id);
        let run = self.run(id).expect("a live run");
        let (release, starts) = (run.release, u64::from(run.started));
        self.keys[key].release = release;
        self.keys[key].history = History { starts, ..History::default() };
    }

    pub fn a_release_failed(&mut self, id: RunId) {
        let step = self.step;
        let Some(key) =
            self.run(id).filter(|run| run.is_coming_up() || run.failed).map(|run| run.key)
        else {
            return;
        };
        if self.keys[key].second == Some(id) && self.live_run_of(key).is_some_and(RunRecord::is_up)
        {
            self.keys[key].failed_release_step = step;
        }
    }

    /// It came up beside what serves, and is ready.
    pub fn take_over(&mut self, key: usize, id: RunId) {
        if self.keys[key].second != Some(id) {
            return;
        }
        let waiting = self.calls.iter().filter(|call| call.key == key && !call.settled);
        let deploys = waiting.filter(|call| call.ask == Ask::Deploy && call.place == Place::Beside);
        let retire_ms = deploys.map(|call| call.retire_ms).max().unwrap_or(0);
        let (before, now_ms) = (self.keys[key].live, self.now.steady_ms);
        (self.keys[key].live, self.keys[key].second) = (Some(id), before);
        self.keys[key].warm = Warm::of_release(self.run(id));
        self.begin_failures_and_history(key, id);
        let run = before.and_then(|run| self.run_mut(run)).expect("it came up beside something");
        if run.is_in_use() {
            (run.retired, run.in_service) = (Some((now_ms, retire_ms)), false);
        } else {
            run.cause = Some(ExitReason::Replaced);
        }
    }

    /// What served is on its way out: the next release, if there is one, takes its place at once.
    pub fn let_coming_release_take_over(&mut self, key: usize) {
        let Some(live) = self.live_run_of(key).filter(|run| !run.is_up()) else { return };
        let slept = live.sleep.sleeps;
        if self.is_kept(key) {
            (self.keys[key].second, self.keys[key].live) = (Some(live.id), self.keys[key].second);
            self.release_inherits_warmth(key);
            self.release_serves(key, slept);
        }
    }

    pub fn serving_is_over(&mut self, key: usize, slept: bool) {
        if self.is_kept(key) {
            (self.keys[key].live, self.keys[key].inherits_room) =
                (self.keys[key].second.take(), false);
            self.release_inherits_warmth(key);
            self.release_serves(key, slept);
            self.place_later_deploys(key);
        } else {
            self.move_deploys(key, Place::Later, Place::Serving);
        }
    }

    /// Calls that waited for what served to wake get the next release.
    fn release_serves(&mut self, key: usize, slept: bool) {
        if !slept {
            self.move_calls(key, Place::Serving, Place::Lost, Ask::is_for_a_tenant);
        }
        self.move_deploys(key, Place::Beside, Place::Serving);
        if let Some(run) = self.keys[key].live {
            self.begin_failures_and_history(key, run);
        }
    }
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    at_most_one_serves_per_key(book, action)?;
    a_start_is_of_the_right_release(book, action)?;
    a_failed_deploy_changes_nothing(book, action)?;
    a_deploy_keeps_its_tenant(book, action)?;
    a_retired_release_is_not_cut_short(book, leases, action)
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, lag_ms: u64) -> Verdict {
    at_most_two_trees_per_key(book)?;
    at_most_one_is_in_use_per_key(book)?;
    a_retired_release_ends(book, lag_ms)
}

/// A second process is started for a deploy alone, beside one that starts or is in use.
fn at_most_one_serves_per_key(book: &Book, action: &Action) -> Verdict {
    let (Action::Start { run, key, .. } | Action::Adopt { run, key, .. }) = action else {
        return Ok(());
    };
    holds(run.0 == book.runs.len() as u64 + 1, || format!("{run:?} is not a new run"))?;
    let (index, is_start) = (key_index(key), matches!(action, Action::Start { .. }));
    let record = &book.keys[index];
    let Some(live) = book.live_run_of(index) else {
        return holds(is_start || record.second.is_none(), || {
            format!("{run:?} of {key} is adopted twice")
        });
    };
    let is_deploy = is_start && live.is_up() && record.release_is_waiting();
    holds(is_deploy, || format!("{run:?} begins while {live:?} of {key} lives"))
}

fn at_most_one_is_in_use_per_key(book: &Book) -> Verdict {
    let second =
        book.keys.iter().filter_map(|key| book.run(key.second?)).find(|run| run.is_in_use());
    holds(second.is_none(), || format!("two serve a key, one of them {second:?}"))
}

fn at_most_two_trees_per_key(book: &Book) -> Verdict {
    for key in 0..book.keys.len() {
        let trees = book.runs.iter().filter(|run| run.key == key && !run.over);
        let trees = trees.filter(|run| !run.is_found_dead).count();
        holds(trees <= 2, || format!("{trees} trees of a key"))?;
    }
    Ok(())
}

/// Each deploy that is started begins a release of its own; everything else is of the one that
/// served last.
fn a_start_is_of_the_right_release(book: &Book, action: &Action) -> Verdict {
    let Action::Start { run, key, release, .. } = action else { return Ok(()) };
    let record = &book.keys[key_index(key)];
    let is_deploy = record.live.is_some() || record.deploys > 0;
    let latest = book.runs.iter().map(|run| run.release).max().unwrap_or_default();
    let right = if is_deploy { *release > latest } else { *release == record.release };
    holds(right, || {
        format!("{run:?} is started as {release:?}; deployed: {is_deploy}, {:?}", record.release)
    })
}

/// What serves goes on (what it is remembered by is looked at with its status).
fn a_failed_deploy_changes_nothing(book: &Book, action: &Action) -> Verdict {
    let (Action::Stop { run, .. } | Action::Clear { run }) = action else { return Ok(()) };
    let mut keys = book.keys.iter();
    let stopped = keys.find(|key| key.live == Some(*run) && key.failed_release_step == book.step);
    // Another may need its room at that very moment.
    let is_evicted = book.run(*run).is_some_and(|run| run.evicted_step == book.step);
    holds(stopped.is_none() || is_evicted, || {
        format!("{run:?} is stopped, as its next release has failed")
    })
}

/// Neither idleness nor lack of room ends it while its next release is on its way.
fn a_deploy_keeps_its_tenant(book: &Book, action: &Action) -> Verdict {
    let (Action::Emit(Event::LruEvict { run } | Event::IdleKill { run, .. })
    | Action::Checkpoint { run }) = action
    else {
        return Ok(());
    };
    let kept =
        (0..book.keys.len()).any(|key| book.keys[key].live == Some(*run) && book.is_kept(key));
    holds(!kept, || format!("{run:?} is stopped, and its next release is on its way"))
}

/// It goes on until its time is over; or it is not in use, was handed out long enough ago, and has
/// no open connection; or its room is needed.
fn a_retired_release_is_not_cut_short(
    book: &Book,
    leases: &SharedLeases,
    action: &Action,
) -> Verdict {
    let Action::Stop { run, .. } = action else { return Ok(()) };
    let Some(run) = book.run(*run).filter(|run| run.is_retired() && run.cause.is_none()) else {
        return Ok(());
    };
    let Some((since_ms, retire_ms)) = run.retired else { return Ok(()) };
    let is_over = since_ms + retire_ms <= book.now.steady_ms || run.given_up.is_some();
    let touched_ms = book.now.wall_ms.saturating_sub(leases.touched(run.id).at_ms);
    let is_unconnected = run.unconnected_retired_step == book.step;
    let is_unused = touched_ms >= HANDED_OUT_MS && !leases.is_in_use(run.id) && is_unconnected;
    let is_wanted = book.keys.iter().any(|key| key.is_queued()) || book.wakers().next().is_some();
    let is_in_the_way = book.surplus() > 0 || is_wanted;
    holds(is_over || is_unused || is_in_the_way, || {
        format!("{run:?} may be in use, and is stopped")
    })
}

fn a_retired_release_ends(book: &Book, lag_ms: u64) -> Verdict {
    let late = book.alive().filter(|run| run.is_retired()).find(|run| {
        let (since_ms, retire_ms) = run.retired.expect("it is retired");
        let given_up_ms =
            run.given_up.map_or(0, |(given_up_ms, _)| given_up_ms + book.config.sweep_interval_ms);
        book.now.steady_ms > (since_ms + retire_ms).max(given_up_ms) + lag_ms
    });
    holds(late.is_none() || book.disposed, || format!("{late:?} goes on beside what replaced it"))
}
