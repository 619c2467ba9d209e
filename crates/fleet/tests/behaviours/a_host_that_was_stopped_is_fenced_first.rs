//! A host that was stopped for longer than it may serve does nothing before it fences itself.

use crate::support::{Bed, LEASE_MS, why};
use fleet::{Action, Event, Input, Where, Why};

#[test]
fn whatever_reaches_it_first() {
    let mut bed = Bed::new(2);
    let owner = bed.claim("k");
    bed.take(owner);
    bed.now += LEASE_MS;
    assert_eq!(why(bed.want(owner, "k")), Some(Why::Apart));
    let actions = bed.take(owner);
    assert_eq!(actions[..2], [Action::ServeUntil { at_ms: 0 }, Action::Fence]);
    assert_eq!(actions[2], Action::Emit(Event::Fenced { keys: 1 }));
    // It joins again, and gets the key under a later epoch.
    let Where::Here { epoch } = bed.want(owner, "k") else { panic!("it has joined again") };
    assert!(epoch > 2);
}

#[test]
fn an_answer_that_is_too_late_lets_it_serve_no_longer() {
    let mut bed = Bed::new(1);
    bed.pass(10_000);
    bed.take(0);
    // A beat goes out, is carried out, and its answer is read after a long time.
    let due_ms = bed.hosts[0].fleet.next_deadline().expect("a beat");
    bed.now = due_ms;
    let actions = bed.hosts[0].fleet.handle(bed.now, Input::Tick);
    let beat = actions.iter().find_map(|action| match action {
        Action::Commit { order, transaction } => Some((*order, transaction.clone())),
        _ => None,
    });
    let Some((order, transaction)) = beat else { panic!("{actions:?}") };
    let answer = bed.store.commit(&transaction);
    bed.now += LEASE_MS;
    let actions = bed.hosts[0].fleet.handle(bed.now, Input::Answered { order, answer });
    assert!(actions.contains(&Action::Fence), "{actions:?}");
    let extends = |action: &Action| matches!(action, Action::ServeUntil { at_ms: 1.. });
    assert!(!actions.iter().any(extends));
}
