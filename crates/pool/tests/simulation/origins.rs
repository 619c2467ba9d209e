//! What must hold of how runs come to be, by a start, an adoption or a snapshot, and of runs
//! that no call waits for.

use super::book::{Ask, Book, Origin};
use super::properties::{Verdict, holds};
use super::world::{key_index, key_name};
use pool::{Action, Adopted, CallId, Event, RunId};

/// Looks at one action before it is carried out.
pub fn of_action(book: &Book, action: &Action) -> Verdict {
    match action {
        Action::FindImage { run, .. } => {
            let fresh = book.run(*run).is_some_and(|run| run.fresh);
            holds(!fresh, || format!("{run:?} is to be fresh, and may be brought back"))
        }
        Action::Adopt { run, key, call, process } => {
            what_is_adopted_was_handed_over(book, *run, key_index(key), *call, process)?;
            adoptions_do_not_overtake(book, key_index(key))
        }
        Action::Stop { run, .. } => nothing_is_stopped_without_a_cause(book, *run),
        Action::Emit(event) => a_beginning_is_told_as_what_it_was(book, event),
        _ => Ok(()),
    }
}

/// Looks at everything after a step.
pub fn of_step(book: &Book) -> Verdict {
    what_comes_up_is_waited_for(book)?;
    what_was_called_off_is_being_stopped(book)
}

/// An adopted process was handed over by a call that still waits and, while draining, came before
/// the drain.
fn what_is_adopted_was_handed_over(
    book: &Book,
    run: RunId,
    key: usize,
    call: CallId,
    process: &Adopted,
) -> Verdict {
    let Some(record) = book.calls.get(call as usize) else { return Err("by no call".into()) };
    let waits = record.ask == Ask::Adopt && record.key == key && record.wants_a_tenant();
    holds(waits, || format!("{run:?} is adopted for {record:?}"))?;
    holds(record.process == Some(*process), || {
        format!("{process:?} was handed over as {record:?}")
    })?;
    let too_late = book.disposed || book.draining_since.is_some_and(|since| record.step >= since);
    holds(!too_late, || format!("{run:?} is adopted by a pool that drains, or is disposed"))
}

/// Keys that have room and wait at the gate may be passed: an adopted process has no start to pass
/// the gate for.
fn adoptions_do_not_overtake(book: &Book, key: usize) -> Verdict {
    let since = |key: usize| book.keys[key].waiting_since.unwrap_or(book.step);
    let gated = book.config.gate.width.is_some();
    let overtaken = (0..book.keys.len()).find(|other| {
        let record = &book.keys[*other];
        let waits_for_room = !record.inherits_room && (!gated || record.adoptions > 0);
        record.is_waiting() && waits_for_room && since(*other) < since(key)
    });
    holds(overtaken.is_none(), || {
        format!("{} overtakes {:?}", key_name(key), overtaken.map(key_name))
    })
}

fn nothing_is_stopped_without_a_cause(book: &Book, run: RunId) -> Verdict {
    let has_cause = book
        .run(run)
        .is_some_and(|run| run.cause.is_some() || run.ends_by_itself || run.is_retired());
    holds(has_cause, || format!("{run:?} is stopped for no reason"))
}

/// A restored process that came too late to be handed out is told as spawned.
fn a_beginning_is_told_as_what_it_was(book: &Book, event: &Event) -> Verdict {
    let (run, told_as) = match event {
        Event::Spawn { run, .. } => (run, Origin::Spawned),
        Event::Adopt { run, .. } => (run, Origin::Adopted),
        Event::Restored { run, .. } => (run, Origin::Restored),
        Event::Recover { run, .. } => (run, Origin::Recovered),
        _ => return Ok(()),
    };
    let origin = book.run(*run).map(|run| run.origin);
    holds(origin == Some(told_as), || format!("{event:?}, and it is {origin:?}"))
}

fn what_comes_up_is_waited_for(book: &Book) -> Verdict {
    let unwanted = book.alive().filter(|run| run.is_coming_up()).find(|run| {
        let key = &book.keys[run.key];
        let calls = if key.second == Some(run.id) { key.deploys_beside } else { key.calls() };
        calls == 0 && (key.second == Some(run.id) || key.warm.is_none())
    });
    holds(unwanted.is_none(), || format!("no call waits for {unwanted:?}"))
}

fn what_was_called_off_is_being_stopped(book: &Book) -> Verdict {
    let forgotten = book.alive().find(|run| {
        let called_off = run.started && !run.ready && run.cause.is_some();
        called_off && run.stop.is_none() && run.given_up.is_none()
    });
    holds(forgotten.is_none(), || format!("{forgotten:?} was called off and is not being stopped"))
}
