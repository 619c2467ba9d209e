//! What another release has replaced is stopped when nothing has used it for the idle time, or its
//! time is over.

use crate::support::*;
use pool::*;

#[test]
fn when_its_time_is_over() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.deployed("a", 30_000);
    assert_eq!(bench.pool.next_deadline(), Some(bench.now.steady_ms + 30_000));
    assert!(asks_to_stop(&bench.tick_when_due(), old));
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Replaced));
}

#[test]
fn at_once_without_a_retirement_time() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.process(new);
    assert!(asks_to_stop(&bench.fact(new, Fact::Ready), old));
}

#[test]
fn the_longest_time_of_the_deploys_that_share_its_successor_counts() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..config() });
    let old = bench.running("a");
    let other = bench.running("b");
    bench.pass(10);
    for retire_ms in [5, 500, 50] {
        bench.deploy("a", retire_ms);
    }
    let new = started(&bench.exit(other)).expect("there is room");
    bench.process(new);
    bench.fact(new, Fact::Ready);
    bench.pass(499);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), old));
    bench.pass(1);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn when_nothing_has_touched_it_for_the_idle_time() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(100), ..config() });
    let old = bench.running("a");
    bench.deployed("a", 30_000);
    bench.pass(60);
    bench.leases.touch(old, bench.now.wall_ms);
    bench.pass(99);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), old), "it was touched 99 ms ago");
    bench.pass(1);
    let actions = bench.handle(Input::Tick);
    assert!(asks_to_stop(&actions, old));
    assert!(!actions.iter().any(|action| matches!(action, Action::Emit(Event::IdleKill { .. }))));
}

#[test]
fn an_open_connection_keeps_it_until_its_time_is_over() {
    let mut bench =
        Bench::new(Config { idle_after_ms: Some(100), heeds_connections: true, ..config() });
    let old = bench.running("a");
    bench.deployed("a", 250);
    bench.pass(50);
    bench.handle(Input::Tick);
    bench.handle(Input::Connections { open: vec![old], seen: true });
    bench.pass(100);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), old));
    bench.pass(100);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn one_that_refuses_is_asked_again() {
    let mut bench = Bench::new(external());
    let old = bench.running("a");
    let new = bench.deployed("a", 0);
    let (later, _) = bench.deploy("a", 0);
    let actions = bench.refuse_stop(old, StopStage::Ask);
    let expected = Refusal::StopRefused { run: old, failure: unwilling() };
    assert_eq!(refusal(&actions, later), Some(&expected), "there is no place for a third");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(new)), "it is not handed out again");
    bench.pass(config().sweep_interval_ms);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn one_that_ends_by_itself_is_told_as_that() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.deployed("a", 30_000);
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Crashed));
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn not_while_it_is_in_use_whose_end_is_seen_a_sweep_later() {
    let mut bench =
        Bench::new(Config { idle_after_ms: Some(100), sweep_interval_ms: 70, ..config() });
    let old = bench.running("a");
    bench.leases.begin_use(old);
    bench.deployed("a", 30_000);
    for _ in 0..5 {
        bench.pass(70);
        assert!(!asks_to_stop(&bench.handle(Input::Tick), old));
    }
    bench.leases.end_use(old, bench.now.wall_ms);
    bench.pass(70);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), old), "its last use ended 70 ms ago");
    bench.pass(30);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn when_its_time_is_over_even_if_it_is_in_use() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(100), ..config() });
    let old = bench.running("a");
    bench.leases.begin_use(old);
    bench.deployed("a", 250);
    bench.pass(249);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), old));
    bench.pass(1);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn it_makes_room_after_what_is_unused_and_before_what_is_in_use() {
    let mut bench = Bench::new(Config { max_concurrent: 3, ..config() });
    let old = bench.running("a");
    let new = bench.deployed("a", 30_000);
    bench.pass(10);
    let other = bench.running("b");
    bench.pass(10);
    bench.leases.begin_use(new);
    assert!(
        asks_to_stop(&bench.ensure("c").1, other),
        "the retired one has not been touched for longer"
    );
    bench.leases.begin_use(other);
    assert!(asks_to_stop(&bench.ensure("d").1, old), "the serving one is in use");
}
