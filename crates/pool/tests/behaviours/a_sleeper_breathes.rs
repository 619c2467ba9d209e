//! With `outgoing: breathe` a sleeper that has connections to elsewhere runs for a moment each minute.

use crate::support::*;
use pool::*;

const CONNECTED: Fact =
    Fact::Activity { outgoing: 2, serves_beside: false, is_busy: false, seen: true };

/// A sleeper that breathes.
fn breathing(config: Config) -> (Bench, RunId) {
    let sleep = Sleep { outgoing: Outgoing::Breathe, page_out_after_ms: None, ..SLEEP };
    let mut bench = Bench::new(Config { sleep: Some(sleep), ..config });
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, CONNECTED);
    bench.fact(run, frozen());
    bench.look(&[]);
    (bench, run)
}

#[test]
fn it_runs_for_a_moment_and_sleeps_again_and_tells_nobody() {
    let (mut bench, run) = breathing(config());
    for _ in 0..3 {
        let before_ms = bench.now.steady_ms;
        let actions = bench.tick_when_due();
        assert_eq!(bench.now.steady_ms, before_ms + 60_000);
        assert_eq!(actions, [Action::Rouse { run, is_to_answer: false }]);
        assert_eq!(bench.fact(run, Fact::Roused), []);
        assert_eq!(bench.phase("a"), Some(Phase::Asleep));
        assert_eq!(bench.tick_when_due(), [Action::Rest { run, depth: Depth::Frozen }]);
        assert_eq!(bench.now.steady_ms, before_ms + 60_200);
        bench.fact(run, frozen());
        assert_eq!(bench.look(&[]), []);
    }
}

#[test]
fn one_without_such_connections_does_not() {
    let sleep = Sleep { outgoing: Outgoing::Breathe, page_out_after_ms: None, ..SLEEP };
    let mut bench = Bench::new(Config { sleep: Some(sleep), ..config() });
    bench.asleep("a");
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn a_call_at_any_moment_of_a_breath_wakes_it() {
    for moment in 0..4 {
        let (mut bench, run) = breathing(config());
        let mut owed = 1;
        bench.tick_when_due();
        if moment > 0 {
            bench.fact(run, Fact::Roused);
            owed = 0;
        }
        if moment > 1 {
            bench.tick_when_due();
        }
        if moment > 2 {
            bench.fact(run, frozen());
        }
        let (call, actions) = bench.ensure("a");
        assert!(wakes(&actions, run), "at moment {moment}: {actions:?}");
        for _ in 0..owed {
            assert_eq!(bench.fact(run, Fact::Roused), [], "that was for the breath");
        }
        let actions = bench.fact(run, Fact::Roused);
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)), "at moment {moment}");
    }
}

#[test]
fn a_visitor_of_a_breath_is_not_left_waiting() {
    let (mut bench, run) = breathing(config());
    bench.tick_when_due();
    bench.fact(run, Fact::Roused);
    bench.tick_when_due();
    bench.fact(run, frozen());
    assert!(wakes(&bench.look(&[run]), run));
}

#[test]
fn a_breath_needs_no_room_and_a_stop_ends_it() {
    let (mut bench, run) = breathing(Config { max_concurrent: 1, ..config() });
    let other = bench.running("b");
    bench.leases.begin_use(other);
    bench.pass(60_000);
    let actions = bench.handle(Input::Tick);
    assert!(rouses(&actions, run), "{actions:?}");
    bench.fact(run, Fact::Roused);
    let (_, actions) = bench.kill("a");
    assert!(rouses(&actions, run));
    assert!(asks_to_stop(&bench.fact(run, Fact::Roused), run));
}

#[test]
fn one_that_waits_for_room_after_its_breath_leaves_others_to_be_paged_out() {
    let (mut bench, run) = breathing(Config { max_concurrent: 1, ..config() });
    let other = bench.asleep("b");
    let in_use = bench.running("c");
    bench.leases.begin_use(in_use);
    bench.pass(60_000);
    bench.handle(Input::Tick);
    bench.fact(run, Fact::Roused);
    assert!(rests(&bench.tick_when_due(), run, Depth::Frozen));
    let (_, actions) = bench.ensure("a");
    assert!(!wakes(&actions, run), "there is no room");
    bench.fact(run, frozen());
    let actions = bench.handle(Input::Pressure { is_short: true });
    assert!(rests(&actions, other, Depth::PagedOut), "{actions:?}");
}

#[test]
fn one_that_does_not_run_for_its_breath_has_crashed() {
    let (mut bench, run) = breathing(config());
    bench.tick_when_due();
    assert!(forces_to_stop(&bench.fact(run, Fact::RouseFailed), run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Crashed));
}
