//! Draining refuses new spawns and is told by one event. Tenants that run, start or were promised
//! a start before go on.

use crate::support::*;
use pool::*;

#[test]
fn new_keys_and_restarts_are_refused_and_nothing_is_killed() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let (_, actions) = bench.ensure("b");
    let starting = started(&actions).expect("it starts");
    assert_eq!(bench.handle(Input::Drain), [Action::Emit(Event::Drain)]);
    assert_eq!(bench.handle(Input::Drain), []);

    let (restart, actions) = bench.restart("a");
    assert_eq!(
        actions,
        [Action::Settle { call: restart, outcome: Outcome::Refused(Refusal::Draining) }]
    );
    let (new, actions) = bench.ensure("c");
    assert_eq!(refusal(&actions, new), Some(&Refusal::Draining));

    let (same, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, same), Some(&Outcome::Tenant(run)));
    let (joins, _) = bench.ensure("b");
    bench.process(starting);
    assert_eq!(answer(&bench.fact(starting, Fact::Ready), joins), Some(&Outcome::Tenant(starting)));
}

#[test]
fn a_respawn_that_was_promised_before_still_comes() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.restart("a");
    bench.handle(Input::Drain);
    let (joins, _) = bench.ensure("a");
    let next = started(&bench.exit(run)).expect("the respawn");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), joins), Some(&Outcome::Tenant(next)));
}
