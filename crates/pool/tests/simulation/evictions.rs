//! What must hold of evictions: who makes room, and when.

use super::book::{Book, KeyRecord, Origin, RunRecord};
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::sleep::a_sleeper_that_is_stopped_is_told_to_be;
use pool::{Action, Event, ExitReason, Leases, Pool, Touch};

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    let saves = book.config.checkpoint_timeout_ms.is_some();
    let (Action::Emit(Event::LruEvict { run } | Event::IdleKill { run, .. })
    | Action::Checkpoint { run }) = action
    else {
        return Ok(());
    };
    let Some(run) = book.run(*run) else { return Err(format!("{action:?} of an unknown run")) };
    if run.sleep.sleeps && matches!(action, Action::Emit(Event::LruEvict { .. })) {
        return a_sleeper_that_is_stopped_is_told_to_be(run, ExitReason::LruEvicted);
    }
    if run.sleep.sleeps {
        return Ok(());
    }
    // It began to be saved before, when the snapshot driver was busy.
    if matches!(action, Action::Checkpoint { .. }) && run.saving.is_some() {
        return Ok(());
    }
    // What is to be saved first is told to be idle only when that has failed.
    if !(saves && matches!(action, Action::Emit(Event::IdleKill { .. }))) {
        no_tenant_is_evicted_while_it_is_stopped(run)?;
    }
    if !matches!(action, Action::Emit(Event::LruEvict { .. })) {
        return Ok(());
    }
    no_tenant_is_handed_out_and_evicted_in_one_step(book, run)?;
    no_tenant_is_evicted_in_its_tenure(book, run)?;
    // For room or for memory is not to be told apart.
    if book.is_short && nothing_in_use_leaves_for_memory(book, leases, run).is_ok() {
        return connections_are_looked_for_before_an_eviction(book, run);
    }
    a_warm_tenant_leaves_only_for_a_call(book, run)?;
    none_leaves_for_a_key_that_stands_aside(book, run)?;
    connections_are_looked_for_before_an_eviction(book, run)?;
    the_victim_is_the_least_recently_active(book, leases, run)
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, leases: &SharedLeases, pool: &Pool) -> Verdict {
    no_key_waits_beyond_the_tenure_of_the_victim(book, leases)?;
    an_awaited_end_of_a_tenure_is_a_deadline(book, leases, pool)
}

fn nothing_in_use_leaves_for_memory(
    book: &Book,
    leases: &SharedLeases,
    victim: &RunRecord,
) -> Verdict {
    let may = !leases.is_in_use(victim.id) && !book.is_warm(victim) && !book.is_kept(victim.key);
    holds(may, || format!("{victim:?} is stopped for its memory"))
}

/// No tenant is evicted, or stopped for being idle, while it is being stopped.
fn no_tenant_is_evicted_while_it_is_stopped(victim: &RunRecord) -> Verdict {
    holds(victim.is_in_use(), || format!("{victim:?} is to make room, or is idle"))
}

fn no_tenant_is_handed_out_and_evicted_in_one_step(book: &Book, victim: &RunRecord) -> Verdict {
    let handed_out_now = victim.handed_out.is_some_and(|(_, step)| step == book.step);
    holds(!handed_out_now, || {
        format!("{:?} is evicted, and was handed out a moment ago", victim.id)
    })
}

fn no_tenant_is_evicted_in_its_tenure(book: &Book, victim: &RunRecord) -> Verdict {
    let left_ms = victim.tenure_ends_ms().saturating_sub(book.now.steady_ms);
    holds(left_ms == 0, || format!("{:?} is evicted {left_ms} ms too early", victim.id))
}

fn none_leaves_for_a_key_that_stands_aside(book: &Book, victim: &RunRecord) -> Verdict {
    let pushes = |key: &KeyRecord| key.waits_without_caller() && !key.stands_aside;
    let is_needed = book.keys.iter().any(|key| key.is_waiting() || pushes(key));
    holds(is_needed || book.surplus() > 0 || book.wakers().next().is_some(), || {
        format!("{:?} leaves for a key that was evicted itself", victim.id)
    })
}

fn a_warm_tenant_leaves_only_for_a_call(book: &Book, victim: &RunRecord) -> Verdict {
    let has_caller = book.keys.iter().any(|key| key.is_waiting()) || book.wakers().next().is_some();
    holds(has_caller || book.surplus() > 0 || !book.is_warm(victim), || {
        format!("{:?} is warm, and is evicted for a key without a caller", victim.id)
    })
}

/// In this step a look has shown which runs have connections, or that this cannot be seen.
fn connections_are_looked_for_before_an_eviction(book: &Book, victim: &RunRecord) -> Verdict {
    let looked = !book.config.heeds_connections || book.looked_step == book.step;
    holds(looked, || format!("{:?} makes room, and its connections were not looked for", victim.id))
}

/// By the clocks of this moment, in its tenure or not, and leaving aside those that refused since
/// the first waiting key came. Those that have an open connection come after those that have none,
/// and those in use come last.
fn the_victim_is_the_least_recently_active(
    book: &Book,
    leases: &SharedLeases,
    victim: &RunRecord,
) -> Verdict {
    let Some(first_waits_since) = first_waits_since(book) else {
        return Err(format!("{:?} leaves, and no key waits for room", victim.id));
    };
    // Without a gate every key that waits does so for room, and whether the victim may be asked is
    // known exactly.
    let known = book.config.gate.width.is_none()
        && !book.queue_is_unknown()
        && book.wakers().next().is_none();
    holds(!(known && has_refused(victim, first_waits_since)), || {
        format!("{:?} is asked to leave for the same key again", victim.id)
    })?;
    let at_claim = activity(book, leases, victim, leases.at_claim(victim.id));
    if book.config.evicts_by_cost {
        return the_victim_costs_most(book, leases, victim, first_waits_since);
    }
    let others = book.alive().filter(|other| other.id != victim.id && could_be_asked(book, other));
    for other in others {
        let touched = activity(book, leases, other, leases.touched(other.id));
        let stays = has_refused(other, first_waits_since);
        holds(stays || touched >= at_claim, || {
            format!(
                "{:?} is evicted, touched at {at_claim:?}; {:?} at {touched:?}",
                victim.id, other.id
            )
        })?;
    }
    Ok(())
}

/// Of those that are held by no more than it is.
fn the_victim_costs_most(
    book: &Book,
    leases: &SharedLeases,
    victim: &RunRecord,
    first_waits_since: u64,
) -> Verdict {
    let held = |run: &RunRecord, touched| {
        let (is_warm, in_use, is_connected, _) = activity(book, leases, run, touched);
        (is_warm, in_use, is_connected)
    };
    let at_claim = leases.at_claim(victim.id);
    let (held_by, cost) = (held(victim, at_claim), cost(book, victim, at_claim));
    let others = book.alive().filter(|other| other.id != victim.id && could_be_asked(book, other));
    let others = others.filter(|other| !has_refused(other, first_waits_since));
    for other in others {
        let touched = leases.touched(other.id);
        let (other_held_by, other_cost) = (held(other, touched), self::cost(book, other, touched));
        let leaves_later = (held_by, other_cost) <= (other_held_by, cost);
        holds(leaves_later, || {
            format!(
                "{:?} costs {cost} and is evicted; {:?} costs {other_cost}",
                victim.id, other.id
            )
        })?;
    }
    Ok(())
}

/// Memory times idleness, for each millisecond of its start; a usual one if that was not seen.
fn cost(book: &Book, run: &RunRecord, touched: Touch) -> u128 {
    let start_ms = match run.origin {
        Origin::Spawned | Origin::Restored => run.ready_ms - run.start_ms,
        Origin::Adopted | Origin::Recovered => 150,
    };
    let idle_ms = book.idle_ms(run, touched);
    u128::from(run.rss_bytes) * u128::from(idle_ms) / u128::from(start_ms.max(1))
}

/// No key waits for room beyond the tenure of the victim, or beyond the look for connections.
fn no_key_waits_beyond_the_tenure_of_the_victim(book: &Book, leases: &SharedLeases) -> Verdict {
    let overdue =
        next_victim(book, leases).filter(|run| evictable_from_ms(book, run) <= book.now.steady_ms);
    let overdue = overdue.filter(|_| book.looking.is_none());
    holds(overdue.is_none(), || {
        format!("a key waits for room, and {overdue:?} is not asked to leave")
    })
}

fn an_awaited_end_of_a_tenure_is_a_deadline(
    book: &Book,
    leases: &SharedLeases,
    pool: &Pool,
) -> Verdict {
    let victim = next_victim(book, leases).filter(|_| book.looking.is_none());
    let Some(victim) = victim else { return Ok(()) };
    let (ends_ms, next_ms) = (evictable_from_ms(book, victim), pool.next_deadline());
    holds(next_ms.is_some_and(|next_ms| next_ms <= ends_ms), || {
        format!("a tenure that a key waits for ends at {ends_ms}, the next deadline is {next_ms:?}")
    })
}

/// The run that is to leave next, if a key waits for room.
fn next_victim<'b>(book: &'b Book, leases: &SharedLeases) -> Option<&'b RunRecord> {
    // Whether some tenant is being asked to sleep in its place is not known from outside.
    if book.sleeps() || book.config.evicts_by_cost {
        return None;
    }
    those_who_could_leave(book)
        .min_by_key(|run| (activity(book, leases, run, leases.touched(run.id)), run.id))
}

/// In the order in which tenants make room: warm ones last. Among tenants in use connections no longer matter.
fn activity(
    book: &Book,
    leases: &SharedLeases,
    run: &RunRecord,
    touched: Touch,
) -> (bool, bool, bool, Touch) {
    let (is_in_use, (is_connected, touched)) =
        (leases.is_in_use(run.id), book.activity(run, touched));
    (book.is_warm(run), is_in_use, is_connected && !is_in_use, touched)
}

/// If more keys wait for room than there are tenants on their way out: the others that have not
/// refused since. (Where there is a gate, some may wait for that.)
fn those_who_could_leave(book: &Book) -> impl Iterator<Item = &RunRecord> {
    let waiting = book.keys.iter().filter(|key| key.is_waiting()).count() + book.surplus();
    let stays = |run: &&RunRecord| run.is_in_use() || run.is_coming_up() || run.is_retired();
    let leaving = book.alive().filter(|run| !stays(run)).count();
    let since =
        first_waits_since(book).filter(|_| waiting > leaving && book.config.gate.width.is_none());
    let since = since.filter(|_| !book.queue_is_unknown());
    book.alive().filter(move |run| {
        could_be_asked(book, run) && since.is_some_and(|since| !has_refused(run, since))
    })
}

fn first_waits_since(book: &Book) -> Option<u64> {
    if book.queue_is_unknown() || book.surplus() > 0 || book.wakers().next().is_some() {
        return Some(0);
    }
    let waiting = book.keys.iter().filter(|key| key.is_waiting());
    waiting.map(|key| key.waiting_since.unwrap_or(book.step)).min()
}

/// In use, and nothing is to come up in its place.
fn could_be_asked(book: &Book, run: &RunRecord) -> bool {
    run.is_in_use() && !book.is_kept(run.key)
}

fn has_refused(run: &RunRecord, since_step: u64) -> bool {
    run.given_up.is_some_and(|(_, step)| step >= since_step)
}

/// From when on the run may be evicted: a run that is handed out at the end of its tenure stays
/// for a millisecond more.
fn evictable_from_ms(book: &Book, run: &RunRecord) -> u64 {
    let handed_out_now = run.handed_out.is_some_and(|(at_ms, _)| at_ms == book.now.steady_ms);
    run.tenure_ends_ms().max(book.now.steady_ms + u64::from(handed_out_now))
}
