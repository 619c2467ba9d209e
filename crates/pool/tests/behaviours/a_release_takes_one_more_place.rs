//! Both releases count in `max_concurrent`: the second waits for room as any start does. What it is
//! to replace is not stopped for it, nor for being idle.

use crate::support::*;
use pool::*;

fn full_with(max_concurrent: usize) -> Config {
    Config { max_concurrent, ..config() }
}

#[test]
fn another_tenant_makes_room_for_it_and_not_its_own() {
    let mut bench = Bench::new(full_with(2));
    let own = bench.running("a");
    bench.pass(10);
    let other = bench.running("b");
    bench.pass(10);
    let actions = bench.deploy("a", 0).1;
    assert!(
        asks_to_stop(&actions, other),
        "{own:?} was used longer ago, and is what the deploy keeps"
    );
    assert!(starts(&bench.exit(other), "a"));
}

#[test]
fn where_there_can_never_be_room_it_is_refused_at_once() {
    let mut bench = Bench::new(full_with(1));
    let run = bench.running("a");
    let (deploy, actions) = bench.deploy("a", 0);
    assert_eq!(refusal(&actions, deploy), Some(&Refusal::NoRoomBeside));
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(run)));
}

#[test]
fn of_two_that_wait_for_each_other_the_last_gives_way() {
    let mut bench = Bench::new(full_with(2));
    let [a, b] = ["a", "b"].map(|key| bench.running(key));
    let (first, actions) = bench.deploy("a", 0);
    assert_eq!(actions, [], "both are in their tenure");
    let (second, actions) = bench.deploy("b", 0);
    assert_eq!(refusal(&actions, second), Some(&Refusal::NoRoomBeside));
    assert_eq!(answer(&actions, first), None);
    assert!(asks_to_stop(&bench.tick_when_due(), b));
    assert!(starts(&bench.exit(b), "a"));
    assert!(bench.pool.status("a", bench.now).is_some_and(|status| status.run == Some(a)));
}

#[test]
fn what_is_to_be_replaced_is_not_stopped_for_another() {
    let mut bench = Bench::new(full_with(3));
    let own = bench.running("a");
    bench.pass(10);
    let other = bench.running("b");
    bench.pass(10);
    let new = started(&bench.deploy("a", 0).1).expect("there is room");
    let actions = bench.ensure("c").1;
    assert!(asks_to_stop(&actions, other));
    // With no other tenant to ask, the wait is for the release that comes up.
    let actions = bench.ensure("d").1;
    assert!(!asks_to_stop(&actions, own) && !asks_to_stop(&actions, new));
}

#[test]
fn what_is_to_be_replaced_is_not_idle() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(100), ..config() });
    let own = bench.running("a");
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.pass(100);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), own));
    bench.fact(new, Fact::StartFailed(unwilling()));
    bench.pass(config().sweep_interval_ms);
    assert!(asks_to_stop(&bench.handle(Input::Tick), own), "the deploy has failed");
}

#[test]
fn a_retired_release_makes_room_only_when_nothing_else_can() {
    let mut bench = Bench::new(full_with(3));
    let old = bench.running("a");
    bench.pass(10);
    let other = bench.running("b");
    bench.pass(10);
    let new = bench.deployed("a", 30_000);
    bench.pass(10);
    let actions = bench.ensure("c").1;
    assert!(asks_to_stop(&actions, other), "{old:?} may be in use");
    let actions = bench.ensure("d").1;
    assert!(asks_to_stop(&actions, new));
    let actions = bench.ensure("e").1;
    assert!(asks_to_stop(&actions, old));
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Replaced));
}
