//! Inside the back-off window `ensure` is refused fast, also while what failed is still there
//! because its kill was refused.

use crate::support::*;
use pool::*;

fn failed_and_not_ended() -> (Bench, RunId) {
    let mut bench = Bench::new(external());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.fact(run, Fact::NotReady(Failure::ReadinessDenied));
    bench.refuse_stop(run, StopStage::Ask);
    (bench, run)
}

#[test]
fn inside_the_window_it_is_refused() {
    let (mut bench, _) = failed_and_not_ended();
    let (call, actions) = bench.ensure("a");
    let last = Failure::ReadinessDenied;
    let backoff = Event::Backoff { key: "a".into(), attempt: 1, retry_after_ms: 1_000 };
    assert_eq!(actions[0], Action::Emit(backoff));
    let expected = Refusal::BackingOff { failures: 1, retry_after_ms: 1_000, last };
    assert_eq!(refusal(&actions, call), Some(&expected));
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
}

#[test]
fn after_the_window_it_is_ended_and_started_again() {
    let (mut bench, run) = failed_and_not_ended();
    bench.pass(1_000);
    let (_, actions) = bench.ensure("a");
    assert!(asks_to_stop(&actions, run));
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn restart_ignores_it() {
    let (mut bench, run) = failed_and_not_ended();
    let (_, actions) = bench.restart("a");
    assert!(asks_to_stop(&actions, run));
    assert!(starts(&bench.exit(run), "a"));
}
