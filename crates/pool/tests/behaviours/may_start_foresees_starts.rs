//! `Pool::may_start` says beforehand whether an `ensure` could lead to a start of its own.

use crate::support::*;
use pool::*;

fn may_start(bench: &Bench, key: &str) -> bool {
    bench.pool.may_start(key, bench.now)
}

#[test]
fn the_first_call_may_start_it_and_those_that_join_do_not() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    assert!(may_start(&bench, "a"));
    let (_, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    assert!(!may_start(&bench, "a"), "starting");
    bench.process(run);
    assert!(!may_start(&bench, "a"), "probing");
    bench.fact(run, Fact::Ready);
    assert!(!may_start(&bench, "a"), "ready");
    assert!(may_start(&bench, "b"));
    bench.ensure("b");
    assert!(!may_start(&bench, "b"), "waiting for room");
}

#[test]
fn the_first_call_while_it_is_being_stopped_may_start_it_again() {
    let mut bench = Bench::new(config());
    bench.running("a");
    bench.kill("a");
    assert!(may_start(&bench, "a"));
    bench.ensure("a");
    assert!(!may_start(&bench, "a"), "it has been asked for already");
}

#[test]
fn what_is_refused_starts_nothing() {
    let mut bench = Bench::new(config());
    let (_, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.fact(run, Fact::StartFailed(Failure::NotStarted { reason: "missing".into() }));
    assert!(!may_start(&bench, "a"), "within its window");
    bench.pass(1_000);
    assert!(may_start(&bench, "a"));
    bench.handle(Input::Drain);
    assert!(!may_start(&bench, "a"));
}
