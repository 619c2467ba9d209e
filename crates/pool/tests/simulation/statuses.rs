//! What must hold of the figures and of what can be seen of the keys.

use super::book::{Book, Must, RunRecord};
use super::properties::{Verdict, holds};
use super::warm::Comeback;
use super::world::key_name;
use pool::{Depth, FailureStatus, Figures, History, Phase, Pool, RunId, Stats};

/// Looking at every key after every step would take longer than everything else together.
const STEPS_BETWEEN_LOOKS: u64 = 8;

/// Looks at everything after a step.
pub fn of_step(book: &Book, pool: &Pool) -> Verdict {
    let stats = pool.stats(book.now);
    the_stats_are_right(book, stats)?;
    the_figures_say_the_same(book, stats, pool.figures())?;
    whether_a_start_is_still_wanted_is_known(book, pool)?;
    match book.step % STEPS_BETWEEN_LOOKS {
        0 => the_statuses_are_right(book, pool),
        _ => Ok(()),
    }
}

/// A key that waits at the gate holds room without a process that the simulation could see; how
/// many do is only known within bounds. So is, while a start is being called off, whether its key
/// would be refused.
fn the_stats_are_right(book: &Book, stats: Stats) -> Verdict {
    let alive = book.alive().count();
    let running = book.alive().filter(|run| run.ready).count();
    let at_the_gate = if book.config.gate.width.is_some() {
        book.keys.iter().filter(|key| key.is_queued()).count()
    } else {
        0
    };
    let total_fits = stats.total >= alive && stats.total <= alive + at_the_gate;
    let (mut surely_held, mut perhaps_held) = (0, 0);
    for key in (0..book.keys.len()).filter(|key| book.hold(*key).is_some()) {
        match book.live_run_of(key) {
            None if book.keys[key].is_queued() => {}
            None => surely_held += 1,
            Some(run) if run.is_up() => {}
            Some(_) => perhaps_held += 1,
        }
    }
    let held_fits = stats.backoff >= surely_held && stats.backoff <= surely_held + perhaps_held;
    holds(stats.running == running && total_fits && held_fits, || {
        format!(
            "{stats:?}; in truth {running} run, {alive} live and up to {at_the_gate} are at the gate, \
             {surely_held} and up to {perhaps_held} more are held"
        )
    })?;
    holds(stats.draining == book.draining_since.is_some(), || format!("{stats:?}; draining?"))
}

fn the_figures_say_the_same(book: &Book, stats: Stats, figures: Figures) -> Verdict {
    let failing = book.keys.iter().filter(|key| key.last_failure.is_some()).count();
    let Stats { running, total, draining, .. } = stats;
    let asleep = book.alive().filter(|run| run.is_asleep() && run.sleep.is_roomless).count();
    let expected = Figures { running, total, draining, asleep, failing, failures: book.failures };
    holds(figures == expected, || format!("{figures:?}; in truth {expected:?}"))
}

fn whether_a_start_is_still_wanted_is_known(book: &Book, pool: &Pool) -> Verdict {
    let wrong =
        book.alive().find(|run| pool.is_starting(run.id) != (run.is_coming_up() && !run.started));
    holds(wrong.is_none(), || format!("the pool says the opposite of {wrong:?}"))
}

fn the_statuses_are_right(book: &Book, pool: &Pool) -> Verdict {
    let mut statuses = pool.statuses(book.now).into_iter();
    for key in 0..book.keys.len() {
        let (phases, failures) = (phases(book, key), failure_status(book, key));
        if phases.is_empty() {
            continue;
        }
        let Some(status) = statuses.next() else {
            return Err(format!("{} is left out", key_name(key)));
        };
        let right = &*status.key == key_name(key)
            && phases.contains(&status.phase)
            && status.run == shown_run(book, key)
            && status.depth == depth(book, key)
            && status.release == book.keys[key].release
            && status.beside.map(|beside| beside.run) == shown_beside(book, key)
            && status.failures == failures
            && status.comes_back_at_ms == comes_back_at_ms(book, key, status.phase)
            && status.history == book.keys[key].history;
        holds(right, || format!("{status:?}; in truth {phases:?}, {failures:?}"))?;
        holds(pool.status(key_name(key), book.now) == Some(status), || {
            "alone it looks different".into()
        })?;
    }
    let too_many = statuses.next();
    holds(too_many.is_none(), || format!("{too_many:?} is unknown"))
}

/// What it may be; a stop before there was a process is given up without anything that could be
/// seen.
fn phases(book: &Book, key: usize) -> &'static [Phase] {
    match book.live_run_of(key) {
        Some(run) if run.is_coming_up() => &[Phase::Spawning],
        Some(run) if run.is_in_use() => &[Phase::Ready],
        Some(run) if run.is_asleep() && run.sleep.told.is_some() => &[Phase::Asleep],
        Some(run) if run.is_asleep() => &[Phase::Ready],
        Some(run) if run.sleep.sleeps => &[Phase::Stopping],
        Some(run) if run.stop.is_some() || run.saving.is_some() => &[Phase::Stopping],
        Some(run) if run.awaits_uses_ms.is_some() => &[Phase::Stopping],
        Some(run) if run.started => &[Phase::Stuck],
        Some(_) => &[Phase::Stopping, Phase::Stuck],
        None if book.keys[key].is_queued() => &[Phase::Queued],
        None if book.keys[key].second.is_some() => &[Phase::Stopping, Phase::Stuck],
        None => match (book.hold(key), &book.keys[key].last_failure) {
            (Some(Must::BeRefusedAsExhausted { .. }), _) => &[Phase::Failed],
            (Some(_), _) => &[Phase::BackingOff],
            (None, Some(_)) => &[Phase::Stopped],
            (None, None) if book.is_saved(key) => &[Phase::Checkpointed],
            (None, None) if book.keys[key].history != History::default() => &[Phase::Stopped],
            (None, None) => &[],
        },
    }
}

fn depth(book: &Book, key: usize) -> Option<Depth> {
    book.live_run_of(key).filter(|run| run.is_asleep())?.sleep.told
}

/// Of what serves, or else of what is left.
fn shown_run(book: &Book, key: usize) -> Option<RunId> {
    let record = &book.keys[key];
    record.live.or(record.second.filter(|_| !record.is_queued()))
}

/// A release that waits for its start has no run.
fn shown_beside(book: &Book, key: usize) -> Option<Option<RunId>> {
    let record = &book.keys[key];
    let serves = record.live.is_some() || record.is_queued();
    let is_there = record.second.is_some() || record.release_is_waiting();
    (serves && is_there).then_some(record.second)
}

/// Only of one that has nothing, and is not refused.
fn comes_back_at_ms(book: &Book, key: usize, phase: Phase) -> Option<u64> {
    let record = &book.keys[key];
    let Comeback::At(due_ms) = record.comeback else { return None };
    let is_shown = matches!(phase, Phase::Stopped | Phase::Checkpointed);
    is_shown.then(|| book.now.wall_ms - book.now.steady_ms + due_ms)
}

fn failure_status(book: &Book, key: usize) -> Option<FailureStatus> {
    let record = &book.keys[key];
    let last = record.last_failure.clone()?;
    let min_uptime_ms = book.config.backoff.min_uptime_ms;
    let is_proven =
        |run: &RunRecord| run.ready && run.proven_at_ms(min_uptime_ms) <= book.now.steady_ms;
    if book.live_run_of(key).is_some_and(is_proven) {
        return None;
    }
    let last_exit = record.history.last_exit.as_ref();
    let is_of_last_exit = last_exit.is_some_and(|exit| Some(exit.run) == record.failed_run);
    let is_final = record.failures >= book.config.backoff.max_failures;
    let retry_at_ms = book.now.wall_ms - book.now.steady_ms + record.retry_at_ms;
    Some(FailureStatus {
        count: record.failures,
        retry_at_ms: (!is_final).then_some(retry_at_ms),
        last,
        is_of_last_exit,
    })
}
