//! What another release has replaced is stopped when nothing uses it any more, or its time is over.

use crate::support::*;
use pool::*;

#[test]
fn when_its_time_is_over() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.leases.begin_use(old);
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
fn when_a_look_shows_no_connection() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.pass(1_000);
    let new = coming(&mut bench, "a");
    assert!(looks(&bench.fact(new, Fact::Ready)), "it was handed out long ago");
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Replaced));
}

#[test]
fn a_caller_that_was_handed_it_just_now_has_time_to_connect() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.pass(1_000);
    bench.ensure("a");
    bench.deployed("a", 30_000);
    bench.pass(199);
    assert!(!looks(&bench.handle(Input::Tick)));
    bench.pass(1);
    assert!(looks(&bench.handle(Input::Tick)));
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
}

#[test]
fn an_open_connection_keeps_it_until_that_has_closed() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.deployed("a", 30_000);
    for _ in 0..5 {
        assert!(looks(&bench.tick_when_due()));
        assert_eq!(bench.handle(seen(&[old])), []);
    }
    assert!(looks(&bench.tick_when_due()));
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
}

#[test]
fn an_open_connection_keeps_it_no_longer_than_its_time() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.deployed("a", 250);
    bench.pass(200);
    assert!(looks(&bench.handle(Input::Tick)));
    bench.handle(seen(&[old]));
    bench.pass(50);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn not_before_connections_can_be_seen() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.deployed("a", 30_000);
    bench.tick_when_due();
    assert_eq!(bench.handle(Input::Connections { open: Vec::new(), seen: false }), []);
    assert!(looks(&bench.tick_when_due()), "and it is tried again");
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
}

#[test]
fn an_adopted_one_without_a_port_has_its_whole_time() {
    let mut bench = Bench::new(config());
    let process = Adopted { port: 0, ..HANDED_OVER };
    let old = bench.adopt_process("a", process);
    bench.deployed("a", 30_000);
    bench.pass(29_999);
    assert_eq!(bench.handle(Input::Tick), []);
    bench.pass(1);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
}

#[test]
fn a_look_that_began_before_does_not_count() {
    let mut bench = Bench::new(Config {
        idle_after_ms: Some(100),
        sweep_interval_ms: 1_000,
        heeds_connections: true,
        ..config()
    });
    let old = bench.running("a");
    bench.running("b");
    bench.pass(100);
    let idle = bench.handle(Input::Tick);
    assert!(looks(&idle));
    bench.pass(200);
    let new = coming(&mut bench, "a");
    bench.fact(new, Fact::Ready);
    let actions = bench.handle(seen(&[]));
    assert!(!asks_to_stop(&actions, old) && looks(&actions));
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
}

/// The next release of the key, whose process is there and does not answer yet.
fn coming(bench: &mut Bench, key: &str) -> RunId {
    let run = started(&bench.deploy(key, 30_000).1).expect("it starts");
    bench.process(run);
    run
}

fn looks(actions: &[Action]) -> bool {
    actions.contains(&Action::LookForConnections)
}

fn seen(open: &[RunId]) -> Input {
    Input::Connections { open: open.to_vec(), seen: true }
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
fn not_while_it_is_in_use() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    bench.pass(1_000);
    bench.leases.begin_use(old);
    let new = coming(&mut bench, "a");
    let actions = bench.fact(new, Fact::Ready);
    assert!(actions.contains(&Action::WatchUses { run: old }));
    assert!(!looks(&actions));
    bench.pass(10_000);
    assert_eq!(bench.handle(Input::Tick), []);
    bench.leases.end_use(old, bench.now.wall_ms);
    assert_eq!(bench.fact(old, Fact::Unused), [], "it was used just now");
    assert!(looks(&bench.tick_when_due()));
    assert!(asks_to_stop(&bench.handle(seen(&[])), old));
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
