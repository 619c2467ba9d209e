//! `stats().backoff` counts the keys that `ensure` would refuse right now, not those it would join.

use crate::support::*;
use pool::*;

fn failed_once() -> Bench {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.fact(run, Fact::StartFailed(Failure::NotStarted { reason: "no such file".into() }));
    bench
}

#[test]
fn a_key_in_its_window_counts() {
    let bench = failed_once();
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
}

#[test]
fn a_key_that_restart_brings_up_inside_its_window_does_not() {
    let mut bench = failed_once();
    let (_, actions) = bench.restart("a");
    let run = started(&actions).expect("restart ignores the window");
    assert_eq!(bench.pool.stats(bench.now).backoff, 0);
    let (joins, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, joins), None, "ensure joins that start");

    let failure = Failure::NotStarted { reason: "still not there".into() };
    bench.fact(run, Fact::StartFailed(failure));
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
}
