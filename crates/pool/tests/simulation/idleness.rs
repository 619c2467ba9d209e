//! What must hold of idle tenants: what is asked before they are stopped, and how they are saved.

use super::book::{Book, Idleness, RunRecord};
use super::leases::SharedLeases;
use super::properties::{Verdict, holds};
use super::sleep::a_sleeper_that_is_stopped_is_told_to_be;
use pool::{Action, Event, ExitReason, Leases, StopStage};

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    match action {
        Action::Emit(Event::IdleKill { run, idle_ms }) => {
            let Some(run) = book.run(*run) else { return Ok(()) };
            if run.sleep.sleeps {
                return a_sleeper_that_is_stopped_is_told_to_be(run, ExitReason::IdleKilled);
            }
            if book.config.checkpoint_timeout_ms.is_some() {
                return what_could_not_be_saved_is_idle_since_then(run, *idle_ms);
            }
            an_idle_stop_comes_after_the_idle_time(book, leases, run, *idle_ms)?;
            an_idle_stop_comes_after_a_yes(book, run)?;
            connections_are_looked_for_first(book, run)
        }
        Action::Emit(Event::Exit { run, reason, .. }) => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            // An abandoned pool tells no idle stops, and the host before has told its own.
            if book.abandoned_ms.is_some() || run.was_ending || run.is_found_dead {
                Ok(())
            } else {
                an_idle_stop_is_told_unless_it_was_saved(run, *reason)
            }
        }
        Action::AskIdle { run, idle_ms } => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            no_question_is_asked_twice_at_once(book, run)?;
            a_question_is_about_an_idle_tenant(book, leases, run, *idle_ms)?;
            a_kept_tenant_is_left_alone_for_a_sweep(book, run)?;
            connections_are_looked_for_first(book, run)
        }
        Action::LookForConnections => a_look_is_needed_and_the_only_one(book),
        Action::Checkpoint { run } | Action::AwaitImage { run, .. } => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            // A start that waits; or a save that began before, when the snapshot driver was busy. An
            // abandoned pool lets go of both, one after the other.
            if !run.ready || run.saving.is_some() || book.abandoned_ms.is_some() {
                return Ok(());
            }
            only_idle_stops_save(book, run)?;
            let idle_ms = book.idle_ms(run, leases.at_claim(run.id));
            an_idle_stop_comes_after_the_idle_time(book, leases, run, idle_ms)?;
            an_idle_stop_comes_after_a_yes(book, run)?;
            connections_are_looked_for_first(book, run)
        }
        Action::Stop { run, stage } => {
            let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
            an_idle_tenant_is_saved_before_it_is_stopped(book, run)?;
            what_is_saved_is_ended_at_once(book, run, *stage)
        }
        Action::Start { key, .. } | Action::Adopt { key, .. } => {
            nothing_starts_beside_a_save(book, key)
        }
        _ => Ok(()),
    }
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    an_idle_tenant_is_noticed_in_time(book, leases, lag_ms)?;
    connections_are_looked_for_regularly(book, lag_ms)?;
    a_save_ends_in_time(book, lag_ms)
}

/// A touch is activity, and so is a connection that was seen.
fn an_idle_stop_comes_after_the_idle_time(
    book: &Book,
    leases: &SharedLeases,
    run: &RunRecord,
    idle_ms: u64,
) -> Verdict {
    let idle_after_ms = run.idle_after_ms(&book.config).unwrap_or(u64::MAX);
    let true_ms = book.idle_ms(run, leases.at_claim(run.id));
    holds(idle_ms == true_ms && true_ms >= idle_after_ms, || {
        format!("{:?} is idle for {true_ms} ms of {idle_after_ms}, told as {idle_ms}", run.id)
    })?;
    what_is_in_use_is_not_idle(leases, run)
}

/// A use that was counted before the claim, or at that very moment, keeps the tenant.
fn what_is_in_use_is_not_idle(leases: &SharedLeases, run: &RunRecord) -> Verdict {
    holds(!leases.is_in_use(run.id), || {
        format!("{:?} is in use, and is stopped for being idle", run.id)
    })
}

/// `shouldIdleKill` said yes in this step or, if a look follows the answer, before that look.
fn an_idle_stop_comes_after_a_yes(book: &Book, run: &RunRecord) -> Verdict {
    let condemned_step = run.idleness.condemned_step;
    let in_time =
        condemned_step == book.step || (book.config.heeds_connections && condemned_step > 0);
    let heard = !book.config.asks_before_idle || in_time;
    holds(heard, || {
        format!("{:?} is stopped without a yes of `shouldIdleKill`: {:?}", run.id, run.idleness)
    })
}

fn no_question_is_asked_twice_at_once(book: &Book, run: &RunRecord) -> Verdict {
    holds(book.config.asks_before_idle && !book.disposed, || {
        "there is no `shouldIdleKill` to ask".into()
    })?;
    holds(!run.idleness.is_asked, || format!("a second question about {:?}", run.id))
}

/// The idle time is 0 only if a racing caller touched the tenant later in this very step.
fn a_question_is_about_an_idle_tenant(
    book: &Book,
    leases: &SharedLeases,
    run: &RunRecord,
    idle_ms: u64,
) -> Verdict {
    let true_ms = book.idle_ms(run, leases.touched(run.id));
    let idle =
        run.idle_after_ms(&book.config).is_some_and(|idle_after_ms| idle_ms >= idle_after_ms);
    holds(
        idle && (run.is_in_use() || run.is_asleep()) && (idle_ms == true_ms || true_ms == 0),
        || format!("{:?} is said to be idle for {idle_ms} ms, in truth {true_ms}: {run:?}", run.id),
    )
}

fn a_kept_tenant_is_left_alone_for_a_sweep(book: &Book, run: &RunRecord) -> Verdict {
    let Some(kept_ms) = run.idleness.kept_ms else { return Ok(()) };
    let since_ms = book.now.steady_ms - kept_ms;
    holds(since_ms >= book.config.sweep_interval_ms, || {
        format!("{:?} was kept {since_ms} ms ago and is asked about again", run.id)
    })
}

/// In this step a look has shown that it has none, and it was idle already when that look began.
fn connections_are_looked_for_first(book: &Book, run: &RunRecord) -> Verdict {
    let looked = !book.config.heeds_connections || run.idleness.unconnected_step == book.step;
    // What connects to a sleeper wakes it.
    holds(looked || run.is_asleep(), || format!("connections were not looked for, of {:?}", run.id))
}

fn a_look_is_needed_and_the_only_one(book: &Book) -> Verdict {
    let some_retire = book.alive().any(|run| run.is_retired());
    let is_room_wanted = book.surplus() > 0 || book.keys.iter().any(|key| key.is_queued());
    let may_be_idle = |run: &RunRecord| run.idle_after_ms(&book.config).is_some();
    let matters = is_room_wanted
        || book.is_short
        || book.config.idle_after_ms.is_some()
        || book.runs.iter().any(may_be_idle);
    holds((book.config.heeds_connections && matters) || some_retire || book.sleeps(), || {
        "connections do not matter".into()
    })?;
    holds(book.looking.is_none(), || "a look is under way".into())?;
    holds(book.alive().next().is_some(), || "no run could have connections".into())
}

fn only_idle_stops_save(book: &Book, run: &RunRecord) -> Verdict {
    holds(book.config.checkpoint_timeout_ms.is_some() && run.is_in_use(), || {
        format!("{run:?} is saved, and is no idle tenant that is stopped")
    })
}

fn what_could_not_be_saved_is_idle_since_then(run: &RunRecord, idle_ms: u64) -> Verdict {
    let expected_ms = run.idleness.saved_idle_ms;
    holds(expected_ms == Some(idle_ms) && run.saving.is_none(), || {
        format!("{run:?} is told to be idle for {idle_ms} ms")
    })
}

/// What was saved is not told to be stopped for being idle.
fn an_idle_stop_is_told_unless_it_was_saved(run: &RunRecord, reason: ExitReason) -> Verdict {
    let Idleness { stop_step, told_step, .. } = run.idleness;
    let fits = match reason {
        ExitReason::IdleKilled => told_step > 0,
        ExitReason::Checkpointed => told_step < stop_step,
        _ => true,
    };
    holds(fits, || format!("{:?} ends as {reason:?}: {:?}", run.id, run.idleness))
}

fn an_idle_tenant_is_saved_before_it_is_stopped(book: &Book, run: &RunRecord) -> Verdict {
    holds(run.saving.is_none(), || format!("{:?} is being saved", run.id))?;
    let saves = book.config.checkpoint_timeout_ms.is_some();
    let unsaved = saves && run.idleness.stop_step == book.step;
    holds(!unsaved, || format!("{:?} is idle and not saved", run.id))
}

fn what_is_saved_is_ended_at_once(book: &Book, run: &RunRecord, stage: StopStage) -> Verdict {
    let politely = run.saved_step == book.step && stage == StopStage::Ask;
    holds(!politely, || format!("{:?} may still change, and has been saved", run.id))
}

fn nothing_starts_beside_a_save(book: &Book, key: &str) -> Verdict {
    let key_index = super::world::key_index(key);
    let saving = book.alive().find(|run| run.key == key_index && run.saving.is_some());
    holds(saving.is_none(), || format!("{key} is still being saved"))
}

/// The delay counts from when the tenant was last checked and kept.
fn an_idle_tenant_is_noticed_in_time(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    if book.looking.is_some() || book.disposed {
        return Ok(());
    }
    let looked_ms = book.looked_ms.filter(|_| book.config.heeds_connections || book.sleeps());
    let is_unused = |run: &&RunRecord| run.is_in_use() && !leases.is_in_use(run.id);
    let unused = book.alive().filter(is_unused).filter(|run| !book.is_kept(run.key));
    let unused = unused.filter(|run| !run.idleness.is_asked && !book.is_warm(run));
    let unused = unused.filter(|run| run.sleep.asked.is_none());
    for run in unused {
        let Some(idle_after_ms) = run.idle_after_ms(&book.config) else { continue };
        let given_up_ms = run.given_up.map(|(given_up_ms, _)| given_up_ms);
        let adopted_ms = run.start_ms;
        let deployed_ms = Some(run.kept_for_deploy_ms);
        let answered_ms = Some(run.sleep.answered_ms);
        let looked_at = [
            Some(adopted_ms),
            given_up_ms,
            run.idleness.kept_ms,
            looked_ms,
            deployed_ms,
            answered_ms,
        ];
        let looked_at_ms = looked_at.into_iter().flatten().max().unwrap_or(0);
        let idle_ms = book.idle_ms(run, leases.touched(run.id));
        let late_ms = idle_ms.saturating_sub(idle_after_ms).min(book.now.steady_ms - looked_at_ms);
        let allowed_ms = book.config.sweep_interval_ms + lag_ms;
        holds(late_ms <= allowed_ms, || {
            format!("{:?} should have been stopped {late_ms} ms ago: {run:?}", run.id)
        })?;
    }
    Ok(())
}

/// Regular looks tell when a connection was last open.
fn connections_are_looked_for_regularly(book: &Book, lag_ms: u64) -> Verdict {
    let Some(idle_after_ms) = book.config.idle_after_ms.filter(|_| book.config.heeds_connections)
    else {
        return Ok(());
    };
    let Some(looked_ms) = book.looked_ms.filter(|_| book.looking.is_none() && !book.disposed)
    else {
        return Ok(());
    };
    let unseen_ms = book.now.steady_ms - looked_ms;
    let interval_ms = book.config.sweep_interval_ms.min(idle_after_ms / 2).max(1);
    holds(unseen_ms <= interval_ms + lag_ms, || {
        format!("connections were not looked for during {unseen_ms} ms")
    })
}

/// Kills, dispose and calls for the next process do not wait longer for a save.
fn a_save_ends_in_time(book: &Book, lag_ms: u64) -> Verdict {
    let Some(timeout_ms) = book.config.checkpoint_timeout_ms else { return Ok(()) };
    for run in book.alive() {
        let Some(saving) = &run.saving else { continue };
        let saving_ms = book.now.steady_ms - saving.since_ms;
        holds(saving_ms <= timeout_ms + lag_ms, || {
            format!("{:?} is saved for {saving_ms} ms", run.id)
        })?;
    }
    Ok(())
}
