//! What must hold of the last uses of tenants that are to end.

use super::book::{Book, RunRecord};
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::world::World;
use pool::{Action, ExitReason, Fact, Leases, RunId};

impl Book {
    /// It has retired in use; or it is to end, and its uses are waited for.
    pub fn watch_uses(&mut self, id: RunId) {
        self.leaves_service(id);
        let now_ms = self.now.steady_ms;
        let Some(run) = self.run_mut(id) else { return };
        if run.is_retired() && !std::mem::replace(&mut run.is_watched, true) {
            return;
        }
        if run.is_retired() {
            run.cause.get_or_insert(ExitReason::Replaced);
        }
        (run.awaits_uses_ms, run.is_unasked) = (Some(now_ms), true);
    }
}

impl World<'_> {
    pub(super) fn watch_uses(&mut self, run: RunId) {
        self.watched.push(run);
        self.tell_if_unused(run);
    }

    pub(super) fn a_use_ended(&mut self, run: RunId) {
        if self.watched.contains(&run) {
            self.tell_if_unused(run);
        }
    }

    fn tell_if_unused(&mut self, run: RunId) {
        if !self.leases.is_in_use(run) {
            self.watched.retain(|watched| *watched != run);
            let after_ms = self.rng.below(3);
            self.plan_fact(after_ms, run, Fact::Unused);
        }
    }
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    what_is_in_use_is_not_asked_to_end(book, leases, action)
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    uses_are_waited_for_no_longer_than_allowed(book, lag_ms)?;
    the_end_of_the_last_use_is_acted_on(book, leases)
}

/// Before its uses have had their time, which they do not have with `dispose`, or when there is
/// nothing left to use.
fn what_is_in_use_is_not_asked_to_end(
    book: &Book,
    leases: &SharedLeases,
    action: &Action,
) -> Verdict {
    let Action::Stop { run, .. } = action else { return Ok(()) };
    let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
    let is_first = run.ready && run.stop.is_none() && run.saving.is_none() && !run.ends_by_itself;
    if !is_first || book.disposed || !leases.is_in_use(run.id) {
        return Ok(());
    }
    let now_ms = book.now.steady_ms;
    let retirement_is_over = run.retired.is_some_and(|(at_ms, for_ms)| at_ms + for_ms <= now_ms);
    let is_over = match run.awaits_uses_ms {
        Some(since_ms) => now_ms >= since_ms + book.drain_ms,
        None => book.drain_ms == 0,
    };
    holds(is_over || retirement_is_over || run.given_up.is_some(), || {
        format!("{:?} is asked to end, and is in use: {run:?}", run.id)
    })
}

fn uses_are_waited_for_no_longer_than_allowed(book: &Book, lag_ms: u64) -> Verdict {
    let since_ms = |run: &RunRecord| run.awaits_uses_ms;
    let late = book.alive().find(|run| {
        since_ms(run).is_some_and(|ms| book.now.steady_ms > ms + book.drain_ms + lag_ms)
    });
    holds(late.is_none(), || format!("the uses of {late:?} are waited for"))?;
    let waited_for = book.alive().find(|run| book.disposed && run.awaits_uses_ms.is_some());
    holds(waited_for.is_none(), || format!("`dispose` waits for the uses of {waited_for:?}"))
}

fn the_end_of_the_last_use_is_acted_on(book: &Book, leases: &SharedLeases) -> Verdict {
    let told = |run: &&RunRecord| run.unused_step == book.step;
    let ignored = book
        .alive()
        .filter(told)
        .find(|run| run.awaits_uses_ms.is_some() && !leases.is_in_use(run.id));
    holds(ignored.is_none(), || format!("nothing uses {ignored:?}, which is not asked to end"))
}
