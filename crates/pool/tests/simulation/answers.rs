//! What must hold of the answers to calls.

use super::book::{Ask, Book, CallRecord, Must, Origin, Place, RunRecord};
use super::properties::{Verdict, holds};
use super::recovery;
use super::world::key_index;
use pool::{Action, Event, Failure, Now, Outcome, Pool, Refusal, RunId};

pub fn of_action(book: &Book, action: &Action) -> Verdict {
    a_backoff_event_is_right(book, action)?;
    let Action::Settle { call, outcome } = action else { return Ok(()) };
    let Some(record) = book.calls.get(*call as usize) else {
        return Err(format!("call {call} was never made"));
    };
    holds(record.aborted.is_none(), || {
        format!("call {call} was aborted and is answered: {outcome:?}")
    })?;
    holds(!record.settled, || format!("call {call} is settled again: {outcome:?}"))?;
    the_outcome_fits_the_call(book, record, outcome)
        .and_then(|()| what_had_to_happen_happened(book, record, outcome))
        .map_err(|error| format!("call {call} ({:?}) got {outcome:?}: {error}", record.ask))
}

pub fn of_step(book: &Book) -> Verdict {
    a_call_that_must_not_wait_is_answered_at_once(book)
}

/// At the end of the story.
pub fn every_call_is_settled(book: &Book) -> Verdict {
    let waiting = book.calls.iter().position(|call| !call.settled);
    holds(waiting.is_none(), || {
        let call = waiting.expect("just seen");
        format!("call {call} was never answered: {:?}", book.calls[call])
    })
}

pub fn a_step_is_never_due_at_once(now: Now, pool: &Pool) -> Verdict {
    let next_ms = pool.next_deadline();
    holds(next_ms.is_none_or(|at_ms| at_ms > now.steady_ms), || {
        format!("after a tick at {} the next is due at {next_ms:?}", now.steady_ms)
    })
}

pub fn nothing_is_left(book: &Book, pool: &Pool) -> Verdict {
    holds(book.alive().next().is_none() && pool.is_empty(), || {
        "a process outlives dispose".into()
    })?;
    holds(pool.next_deadline().is_none(), || "a deadline outlives dispose".into())?;
    let unfinished =
        book.runs.iter().find(|run| !run.told.released || run.told.exit != run.told.spawn);
    let unfinished = unfinished.filter(|run| !run.let_go && !run.is_found_dead);
    holds(unfinished.is_none(), || format!("unfinished: {unfinished:?}"))
}

fn a_call_that_must_not_wait_is_answered_at_once(book: &Book) -> Verdict {
    let Some(call) = book.calls.last() else { return Ok(()) };
    holds(call.settled || call.must == Must::Wait, || format!("left waiting: {call:?}"))
}

fn what_had_to_happen_happened(book: &Book, call: &CallRecord, outcome: &Outcome) -> Verdict {
    let fits = match (&call.must, outcome) {
        (Must::BeRefusedAsDisposed, Outcome::Refused(refusal)) => *refusal == Refusal::Disposed,
        (Must::BeRefusedAsDraining, Outcome::Refused(refusal)) => *refusal == Refusal::Draining,
        (Must::BeRefusedAsTaken, Outcome::Refused(refusal)) => *refusal == Refusal::Taken,
        (Must::BeRefusedForWantOfRoom, Outcome::Refused(refusal)) => {
            *refusal == Refusal::NoRoomBeside
        }
        (Must::BeRefusedAsExhausted { last }, Outcome::Refused(refusal)) => {
            let max_failures = book.config.backoff.max_failures;
            *refusal == Refusal::Exhausted { max_failures, last: last.clone() }
        }
        (Must::BackOff { failures, retry_after_ms, last }, Outcome::Refused(refusal)) => {
            let (failures, retry_after_ms, last) = (*failures, *retry_after_ms, last.clone());
            *refusal == Refusal::BackingOff { failures, retry_after_ms, last }
        }
        (Must::GetTheTenant(run), outcome) => *outcome == Outcome::Tenant(*run),
        (Must::BeDoneAtOnce, outcome) => *outcome == Outcome::Done,
        (Must::Wait, _) => true,
        _ => false,
    };
    holds(fits, || format!("it had to be {:?}", call.must))
}

fn the_outcome_fits_the_call(book: &Book, call: &CallRecord, outcome: &Outcome) -> Verdict {
    match (call.ask, outcome) {
        (Ask::Adopt, Outcome::Tenant(run)) => the_tenant_is_what_was_handed_over(book, call, *run),
        (Ask::Adopt, Outcome::Refused(refusal)) => {
            the_adoption_is_refused_rightly(book, call, refusal)
        }
        (Ask::Deploy, Outcome::Tenant(run)) => {
            the_tenant_is_fit(book, call, *run)?;
            a_deploy_gets_a_new_release(book, call, *run)
        }
        (Ask::Ensure | Ask::Restart, Outcome::Tenant(run)) => the_tenant_is_fit(book, call, *run),
        (Ask::Ensure | Ask::Restart | Ask::Deploy, Outcome::Refused(refusal)) => {
            the_start_is_refused_rightly(book, call, refusal)
        }
        (Ask::Kill, Outcome::Done) => the_killed_process_is_gone(book, call),
        (Ask::Kill, Outcome::Refused(Refusal::StopRefused { run, .. })) => {
            a_stop_was_refused(book, *run)
        }
        (Ask::Kill, Outcome::Refused(Refusal::Disposed)) => {
            holds(book.detached, || "only a host that leaves refuses a kill".into())
        }
        (Ask::Dispose | Ask::Detach, Outcome::Done) => holds(book.alive().next().is_none(), || {
            format!("{:?} lives", book.alive().next().map(|run| run.id))
        })
        .and_then(|()| recovery::every_end_is_told(book)),
        (Ask::Dispose, Outcome::Refused(Refusal::StillTracked { refused })) => {
            what_is_still_tracked_is_named(book, refused.iter().map(|(run, _)| *run).collect())
        }
        _ => Err("such an answer does not fit such a call".into()),
    }
}

fn the_tenant_is_fit(book: &Book, call: &CallRecord, id: RunId) -> Verdict {
    let Some(run) = book.run(id) else { return Err("no such run".into()) };
    holds(run.key == call.key, || "another key's run".into())?;
    holds(!call.killed, || "the key was killed since".into())?;
    holds(run.is_in_use() && run.told.ready, || format!("it is not in use: {run:?}"))?;
    let new_enough = run.start_step >= call.step || (call.may_join && call.run_then == Some(id));
    let spawned = run.origin != Origin::Adopted;
    holds(call.ask == Ask::Ensure || (new_enough && spawned), || {
        "it was started before the restart".into()
    })
}

fn a_deploy_gets_a_new_release(book: &Book, call: &CallRecord, id: RunId) -> Verdict {
    let is_new = book.run(id).is_some_and(|run| run.release > call.release_then);
    holds(is_new, || "the release is not newer than the deploy".into())
}

fn the_tenant_is_what_was_handed_over(book: &Book, call: &CallRecord, id: RunId) -> Verdict {
    let Some(run) = book.run(id) else { return Err("no such run".into()) };
    let just_adopted = run.origin == Origin::Adopted && run.start_step == book.step;
    holds(run.key == call.key && run.is_in_use() && just_adopted, || {
        format!("{run:?} was not adopted")
    })
}

/// An adopted process runs already, so it is not refused for a failed start or for the back-off.
fn the_adoption_is_refused_rightly(book: &Book, call: &CallRecord, refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::StartFailed { run: Some(run), .. } => {
            Err(format!("it has nothing to do with {run:?}"))
        }
        Refusal::StartFailed { run: None, .. } => {
            holds(call.killed, || "it was not called off".into())
        }
        Refusal::Exhausted { .. } | Refusal::BackingOff { .. } => Err("it is no start".into()),
        refusal => the_start_is_refused_rightly(book, call, refusal),
    }
}

fn the_start_is_refused_rightly(book: &Book, call: &CallRecord, refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::Disposed => holds(book.disposed, || "not disposed".into()),
        Refusal::Draining => {
            // It waited for a sleeper to wake, which has ended.
            let slept = call.run_then.and_then(|run| book.run(run));
            let is_late = slept.is_some_and(|run| run.sleep.sleeps && !run.is_asleep());
            let holds_now = book.draining_since.is_some() && (call.step == book.step || is_late);
            holds(holds_now, || "accepted, then drained away".into())
        }
        Refusal::Exhausted { max_failures, last } => {
            let hold =
                book.hold(call.key).filter(|_| *max_failures == book.config.backoff.max_failures);
            a_refusal_for_failures_is_right(
                book,
                call,
                hold == Some(Must::BeRefusedAsExhausted { last: last.clone() }),
            )
        }
        Refusal::BackingOff { failures, retry_after_ms, last } => {
            let (failures, retry_after_ms, last) = (*failures, *retry_after_ms, last.clone());
            let expected = Must::BackOff { failures, retry_after_ms, last };
            a_refusal_for_failures_is_right(book, call, book.hold(call.key) == Some(expected))
        }
        Refusal::StartFailed { run: Some(run), failure } => {
            let run = book.run(*run).filter(|run| run.key == call.key && !run.is_in_use());
            let Some(run) = run else {
                return Err("that run did not fail, or is another key's".into());
            };
            a_start_that_was_called_off_is_told_as_such(run, failure)
        }
        Refusal::StartFailed { run: None, failure } => {
            holds(call.killed && *failure == Failure::CalledOff, || "it was not called off".into())
        }
        Refusal::StopRefused { run, .. } => {
            a_stop_was_refused(book, *run)?;
            let is_known = call.place != Place::Lost && !book.queue_is_unknown();
            let turned_away = is_known && book.keys[call.key].is_waiting();
            holds(!turned_away || every_tenant_refused(book, call.key), || {
                "not every tenant was asked to leave".into()
            })
        }
        Refusal::NoRoomBeside => no_room_could_come_free(book, call),
        Refusal::Taken => holds(call.must == Must::BeRefusedAsTaken, || {
            "only adopt hears that, and at once".into()
        }),
        Refusal::NotAdmitted => Err("every key is admitted".into()),
        Refusal::InUse { .. } | Refusal::NotRecovered { .. } => Err("all is recovered".into()),
        Refusal::Overloaded { .. } => Err("too few wait for that".into()),
        Refusal::StillTracked { .. } => Err("only dispose hears that".into()),
    }
}

/// A start that was called off is told with the exit of its process, or as `CalledOff` if it had
/// none. The user's own errors are told in any case.
fn a_start_that_was_called_off_is_told_as_such(run: &RunRecord, failure: &Failure) -> Verdict {
    let called_off = (run.cause.is_some() || run.ends_by_itself) && !run.failed;
    let fits = match failure {
        Failure::CalledOff => called_off && (!run.started || run.ready),
        Failure::ExitedEarly { exit_code, signal, out_of_memory } => {
            (*exit_code, *signal) == (run.exit_code, run.signal)
                && *out_of_memory == run.out_of_memory
                && !run.ready
                && (run.started || !called_off)
        }
        Failure::NotStarted { .. } => !called_off,
        _ => true,
    };
    holds(fits, || format!("{failure:?} is told of {run:?}"))
}

/// No live run starts or is being stopped, so none would leave room for the second tree.
fn no_room_could_come_free(book: &Book, call: &CallRecord) -> Verdict {
    holds(call.ask == Ask::Deploy && call.place == Place::Beside, || {
        "nothing of it serves".into()
    })?;
    let known = book.config.gate.width.is_none() && book.config.max_concurrent > 1;
    let in_motion =
        book.alive().find(|run| run.is_coming_up() || (run.stop.is_some() && run.started));
    holds(!known || in_motion.is_none(), || format!("{in_motion:?} could still make room"))
}

fn a_refusal_for_failures_is_right(book: &Book, call: &CallRecord, as_it_is: bool) -> Verdict {
    holds(as_it_is, || format!("in truth: {:?}", book.hold(call.key)))?;
    holds(call.ask == Ask::Ensure, || "restart ignores the back-off window".into())?;
    let crashed_since = book.keys[call.key].crashed_soon_step == book.step;
    holds(call.step == book.step || crashed_since, || "accepted, then held".into())
}

fn a_backoff_event_is_right(book: &Book, action: &Action) -> Verdict {
    let Action::Emit(Event::Backoff { key, attempt, retry_after_ms }) = action else {
        return Ok(());
    };
    let hold = book.hold(key_index(key));
    let fits = matches!(&hold, Some(Must::BackOff { failures, retry_after_ms: wait_ms, .. })
        if failures == attempt && wait_ms == retry_after_ms);
    holds(fits, || format!("{action:?}, in truth {hold:?}"))
}

fn the_killed_process_is_gone(book: &Book, call: &CallRecord) -> Verdict {
    for run in
        [call.run_then, call.second_then].into_iter().flatten().filter_map(|run| book.run(run))
    {
        holds(run.over && run.told.exit == run.told.spawn, || format!("{:?} is not gone", run.id))?;
    }
    Ok(())
}

/// It is still there, it may refuse, and its stop was just given up (or was, when it was asked
/// last).
fn a_stop_was_refused(book: &Book, run: RunId) -> Verdict {
    let Some(run) = book.run(run).filter(|run| !run.over) else {
        return Err(format!("{run:?} is over"));
    };
    holds(run.custody.may_refuse_stop, || "a stop of our own cannot be refused".into())
}

/// Whether every tenant has refused to leave since the key waits. (A run that never became a
/// process shows the simulation no refusal.)
fn every_tenant_refused(book: &Book, key: usize) -> bool {
    let waiting_since = book.keys[key].waiting_since.unwrap_or(book.step);
    let refused = |run: &pool::RunId| {
        let run = book.run(*run).expect("alive");
        !run.started || run.given_up.is_some_and(|(_, step)| step >= waiting_since)
    };
    let alive: Vec<RunId> = book.with_room().map(|run| run.id).collect();
    alive.len() == book.config.max_concurrent && alive.iter().all(refused)
}

fn what_is_still_tracked_is_named(book: &Book, mut named: Vec<RunId>) -> Verdict {
    named.sort();
    let mut alive: Vec<RunId> = book.alive().map(|run| run.id).collect();
    alive.sort();
    holds(named == alive, || format!("{alive:?} are tracked"))
}
