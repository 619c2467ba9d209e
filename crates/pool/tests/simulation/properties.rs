//! What must hold of runs and their events. One function a property; the error says how it is
//! broken.

use super::book::Book;
use super::effects::run_of;
use super::leases::SharedLeases;
use super::records::Ask;
use super::warm;
use super::world::{key_index, key_name};
use pool::{Action, Event, Failure, Leases, Outcome, Refusal, StopStage};

/// From the end of JavaScript until what it has left is forced.
pub const ABANDONED_GRACE_MS: u64 = 600;

pub type Verdict = Result<(), String>;

pub fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    starts_are_wanted(book, action)?;
    starts_heed_the_back_off(book, action)?;
    starts_come_first_come_first_served(book, action)?;
    the_gate_is_never_too_full(book, action)?;
    effects_concern_processes_that_exist(book, action)?;
    nothing_is_told_after_the_end(book, action)?;
    events_keep_their_order(book, action)?;
    the_exit_has_its_first_cause(book, action)?;
    handing_out_a_tenant_touches_it(book, leases, action)?;
    nothing_is_given_up_while_a_kill_is_open(book, action)?;
    an_exit_comes_after_a_last_observation(book, action)?;
    cpu_time_never_falls(book, action)
}

/// Looks at everything after a step.
pub fn of_step(book: &Book, leases: &SharedLeases, lag_ms: u64) -> Verdict {
    never_more_alive_than_allowed(book)?;
    free_room_is_given_away_at_once(book)?;
    a_restart_takes_its_own_room_over(book)?;
    observations_go_on(book, lag_ms)?;
    every_spawn_has_its_exit(book)?;
    an_abandoned_pool_forces_stops_soon(book, lag_ms)?;
    leases_are_open_exactly_while_in_use(book, leases)?;
    drain_is_told_once(book)
}

fn never_more_alive_than_allowed(book: &Book) -> Verdict {
    let (alive, max) = (book.with_room().count(), book.config.max_concurrent.max(book.most_alive));
    holds(alive <= max, || format!("{alive} alive, {max} allowed"))
}

/// Nothing starts without a call that waits for it; while draining, one that came before the drain,
/// or that joined one which did and was aborted since.
fn starts_are_wanted(book: &Book, action: &Action) -> Verdict {
    let Action::Start { run, key, .. } = action else { return Ok(()) };
    let index = key_index(key);
    holds(!book.disposed || book.detached, || format!("{run:?} starts after dispose"))?;
    if warm::may_start(book, index) {
        return Ok(());
    }
    let waiting = book.calls.iter().any(|call| call.wants_a_tenant() && call.key == index);
    holds(waiting, || format!("{run:?} of {key} starts, and no call waits for it"))?;
    let Some(draining_since) = book.draining_since else { return Ok(()) };
    let wanted =
        book.calls.iter().filter(|call| call.key == index && call.step < draining_since).any(
            |call| {
                call.wants_a_tenant()
                    || (!call.killed && call.aborted.is_some_and(|step| step > draining_since))
            },
        );
    holds(wanted, || format!("{run:?} of {key} was not wanted before the drain"))
}

/// A restart takes its own room over; keys that wait for room start in the order they came in.
fn starts_come_first_come_first_served(book: &Book, action: &Action) -> Verdict {
    let Action::Start { key, .. } = action else { return Ok(()) };
    let starting = &book.keys[key_index(key)];
    let is_unknown = starting.had_no_caller || starting.calls() == 0;
    if starting.restarts > 0 || starting.inherits_room || is_unknown {
        return Ok(());
    }
    let since = |waiting_since: Option<u64>| waiting_since.unwrap_or(book.step);
    let overtaken = book.keys.iter().position(|other| {
        other.is_waiting()
            && other.restarts == 0
            && !other.inherits_room
            && since(other.waiting_since) < since(starting.waiting_since)
    });
    holds(overtaken.is_none(), || format!("{key} overtakes {:?}", overtaken.map(key_name)))
}

fn the_gate_is_never_too_full(book: &Book, action: &Action) -> Verdict {
    let (Action::Start { .. }, Some(width)) = (action, book.config.gate.width) else {
        return Ok(());
    };
    let starting = book.starts_at_the_gate();
    holds(starting < width, || {
        format!("one more starts beside {starting}, through a gate for {width}")
    })
}

fn free_room_is_given_away_at_once(book: &Book) -> Verdict {
    let open = book.config.gate.width.is_none_or(|width| book.starts_at_the_gate() < width);
    let free = open && book.with_room().count() < book.config.max_concurrent;
    let waiting = book.keys.iter().position(|key| key.is_queued());
    holds(!free || waiting.is_none(), || {
        format!("{:?} waits beside free room and an open gate", waiting.map(key_name))
    })
}

/// Without a gate the next process starts in the step in which the old one ends.
fn a_restart_takes_its_own_room_over(book: &Book) -> Verdict {
    for run in book.ended.iter().filter_map(|run| book.run(*run)) {
        let waits = book.keys[run.key].is_waiting() && book.config.gate.width.is_none();
        holds(!(waits && run.makes_room_for_restart), || {
            format!("the room of {:?} was given away", run.id)
        })?;
    }
    Ok(())
}

fn observations_go_on(book: &Book, lag_ms: u64) -> Verdict {
    let (Some(interval_ms), Some(from_ms)) =
        (book.config.observe_interval_ms, book.observing_from_ms)
    else {
        return Ok(());
    };
    let unobserved_ms = book.now.steady_ms - from_ms;
    holds(unobserved_ms <= interval_ms + lag_ms, || {
        format!("no observation for {unobserved_ms} ms")
    })
}

/// Handing a tenant out touches it; of an adopted one the owner says when it was last active.
fn handing_out_a_tenant_touches_it(book: &Book, leases: &SharedLeases, action: &Action) -> Verdict {
    let Action::Settle { outcome: Outcome::Tenant(run), call } = action else { return Ok(()) };
    let touched_at_ms = leases.touched(*run).at_ms;
    let handed_over = book.calls.get(*call as usize).and_then(|call| call.process);
    let expected = touched_at_ms == book.now.wall_ms
        || handed_over.is_some_and(|process| process.touched_at_ms == touched_at_ms);
    holds(expected, || format!("{run:?} is handed out, last touched at {touched_at_ms}"))
}

/// Only a restart, a deploy, or a call that joined an adoption that was called off starts a key
/// that failed a moment ago.
fn starts_heed_the_back_off(book: &Book, action: &Action) -> Verdict {
    let Action::Start { key, .. } = action else { return Ok(()) };
    let key = key_index(key);
    let hold = book.hold(key);
    let is_excepted = book.calls.iter().any(|call| {
        let heeds_none = matches!(call.ask, Ask::Restart | Ask::Deploy | Ask::Adopt);
        call.key == key && heeds_none && (!call.settled || call.aborted.is_some())
    });
    let is_excepted = is_excepted || book.keys[key].is_tried_anew;
    holds(hold.is_none() || is_excepted, || format!("{} is started, and {hold:?}", key_name(key)))
}

fn effects_concern_processes_that_exist(book: &Book, action: &Action) -> Verdict {
    let (Action::Stop { run, .. } | Action::Probe { run }) = action else { return Ok(()) };
    // An abandoned pool ends every process that may exist.
    let exists = book
        .run(*run)
        .is_some_and(|run| (run.started || book.abandoned_ms.is_some()) && !run.told.exit);
    holds(exists, || format!("{action:?} of what is not there"))
}

fn nothing_is_told_after_the_end(book: &Book, action: &Action) -> Verdict {
    let run = match action {
        Action::Emit(event) => run_of(event),
        Action::Release { run, .. }
        | Action::Retire { run, .. }
        | Action::LetGo { run }
        | Action::Stop { run, .. }
        | Action::WatchUses { run }
        | Action::Clear { run }
        | Action::Probe { run }
        | Action::AskIdle { run, .. }
        | Action::LookAtActivity { run }
        | Action::AskSleep { run, .. }
        | Action::Rest { run, .. }
        | Action::Rouse { run, .. }
        | Action::Sample { run }
        | Action::Checkpoint { run }
        | Action::StartCold { run }
        | Action::FindImage { run, .. }
        | Action::RestoreImage { run, .. }
        | Action::AwaitImage { run, .. } => Some(*run),
        Action::Start { .. }
        | Action::Adopt { .. }
        | Action::Recover { .. }
        | Action::DropImage { .. }
        | Action::LookForConnections
        | Action::WatchBacklogs { .. }
        | Action::Observe
        | Action::Settle { .. } => None,
    };
    let Some(record) = run.and_then(|run| book.run(run)) else {
        return holds(run.is_none(), || format!("{action:?} of an unknown run"));
    };
    let last_word = matches!(action, Action::Release { .. });
    let finished = record.told.released || (record.told.exit && !last_word);
    holds(!finished, || format!("{action:?} after the end"))
}

/// What was asked to end, at whatever time, is forced soon after JavaScript has gone.
fn an_abandoned_pool_forces_stops_soon(book: &Book, lag_ms: u64) -> Verdict {
    let Some(abandoned_ms) = book.abandoned_ms else { return Ok(()) };
    let late = book.alive().find(|run| {
        let is_only_asked =
            matches!(run.stop, Some((StopStage::Ask, _))) && !run.custody.may_refuse_stop;
        let due_ms = run.asked_ms.max(abandoned_ms) + ABANDONED_GRACE_MS + lag_ms;
        is_only_asked && book.now.steady_ms > due_ms
    });
    holds(late.is_none(), || format!("{:?} is waited for", late.map(|run| run.id)))
}

fn events_keep_their_order(book: &Book, action: &Action) -> Verdict {
    let Action::Emit(event) = action else { return Ok(()) };
    let Some(run) = run_of(event).and_then(|run| book.run(run)) else { return Ok(()) };
    let told = &run.told;
    let in_order = match event {
        Event::Spawn { .. } => run.started && !run.ready && !told.spawn,
        Event::Restored { duration_ms, .. } => {
            run.ready && !told.spawn && *duration_ms == book.now.steady_ms - run.start_ms
        }
        Event::Ready { duration_ms, .. } => {
            told.spawn
                && run.ready
                && !told.ready
                && *duration_ms == book.now.steady_ms - run.start_ms
        }
        Event::Adopt { .. } => run.ready && !told.spawn,
        // What has ended while it was being saved is told when it is known that it is not.
        Event::IdleKill { .. } => told.ready && !told.exit,
        Event::LruEvict { .. } => told.ready && !run.over,
        Event::Sleep { .. } | Event::Wake { .. } => told.ready && !run.over,
        Event::Observation { .. } => told.spawn && (told.ready || run.over),
        Event::Exit { .. } => told.spawn && run.over && !told.exit,
        Event::Recover { .. } => !told.spawn,
        Event::Backoff { .. } | Event::Drain | Event::Detach => true,
    };
    holds(in_order, || format!("{event:?} comes out of order"))
}

fn every_spawn_has_its_exit(book: &Book) -> Verdict {
    for run in book.ended.iter().filter_map(|run| book.run(*run)) {
        let told = &run.told;
        holds(told.spawn == run.started, || {
            format!("{:?}: {told:?}, started: {}", run.id, run.started)
        })?;
        holds(told.exit == told.spawn, || format!("{:?} is over, but {told:?}", run.id))?;
        holds(told.released, || format!("{:?} is over and was not released", run.id))?;
    }
    Ok(())
}

fn leases_are_open_exactly_while_in_use(book: &Book, leases: &SharedLeases) -> Verdict {
    let ended = book.ended.iter().filter_map(|run| book.run(*run));
    for run in book.alive().chain(ended) {
        let (open, in_use) = (leases.is_open(run.id), run.is_in_use());
        holds(open == in_use, || {
            format!("the lease of {:?} is open: {open}; in use: {in_use}", run.id)
        })?;
    }
    Ok(())
}

fn the_exit_has_its_first_cause(book: &Book, action: &Action) -> Verdict {
    let Action::Emit(Event::Exit { run, exit_code, signal, reason, out_of_memory }) = action else {
        return Ok(());
    };
    let Some(record) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
    let expected = record.reason(record.exit_code);
    holds(*reason == expected, || format!("{run:?} ended as {reason:?}, because of {expected:?}"))?;
    holds(*signal == record.signal, || {
        format!("{run:?} ended by {signal:?}, in truth {:?}", record.signal)
    })?;
    holds(*out_of_memory == record.out_of_memory, || {
        format!("{run:?} ended out of memory: {out_of_memory:?}")
    })?;
    holds(*exit_code == record.exit_code, || format!("{run:?} ended with {:?}", record.exit_code))
}

fn cpu_time_never_falls(book: &Book, action: &Action) -> Verdict {
    let Action::Emit(Event::Observation { run, cpu_ms, .. }) = action else { return Ok(()) };
    let before = book.run(*run).map_or(0, |run| run.cpu_ms);
    holds(*cpu_ms >= before, || {
        format!("the CPU time of {run:?} falls from {before} to {cpu_ms}")
    })?;
    let told = book.config.observe_interval_ms.is_some() && book.config.tells_observations;
    holds(told, || "observations are off".into())
}

/// What was sampled of a run is told right before its exit, however short its life.
fn an_exit_comes_after_a_last_observation(book: &Book, action: &Action) -> Verdict {
    let Action::Emit(Event::Exit { run, .. }) = action else { return Ok(()) };
    let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
    let told = book.config.observe_interval_ms.is_some() && book.config.tells_observations;
    holds(!(told && run.sampled) || run.observed_step == book.step, || {
        format!(
            "{:?} ends, and what it has used was last told in step {}",
            run.id, run.observed_step
        )
    })
}

fn drain_is_told_once(book: &Book) -> Verdict {
    let expected = u64::from(book.draining_since.is_some());
    holds(book.drain_events == expected, || {
        format!("{} drain events, not {expected}", book.drain_events)
    })
}

/// While the user's `kill` has not settled, the stop is not given up as taking too long, within a
/// bound.
fn nothing_is_given_up_while_a_kill_is_open(book: &Book, action: &Action) -> Verdict {
    let Action::Settle { outcome: Outcome::Refused(Refusal::StopRefused { run, failure }), .. } =
        action
    else {
        return Ok(());
    };
    if *failure != Failure::StopTimedOut {
        return Ok(());
    }
    let Some(run) = book.run(*run) else { return Err(format!("{run:?} is unknown")) };
    let open =
        run.stop.is_some() && run.has_open_kill(book.config.kill_patience_ms, book.now.steady_ms);
    holds(!open, || format!("a stop is given up, and `kill` has not settled: {run:?}"))
}

/// Only a process that may refuse can hold out against being stopped.
pub fn only_those_that_may_refuse_do(book: &Book) -> Verdict {
    let refused =
        book.runs.iter().find(|run| run.given_up.is_some() && !run.custody.may_refuse_stop);
    holds(refused.is_none(), || format!("our own process refused: {refused:?}"))
}
