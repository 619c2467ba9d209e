//! A caller that goes away is not answered. What was being done for it alone is called off;
//! what other calls wait for goes on.

use crate::support::*;
use pool::*;

#[test]
fn a_start_without_waiting_calls_is_stopped() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    let actions = bench.abort("a", call);
    assert!(asks_to_stop(&actions, run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, call), None);
    assert_eq!(bench.pool.stats(bench.now).backoff, 0, "that was no failure");
    assert!(bench.pool.is_empty());
}

#[test]
fn one_that_has_no_process_yet_is_stopped_when_it_does() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    assert_eq!(bench.abort("a", call), []);
    assert!(!bench.pool.is_starting(run));
    assert!(asks_to_stop(&bench.process(run), run));
}

#[test]
fn one_that_others_wait_for_goes_on() {
    let mut bench = Bench::new(config());
    let (gone, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (stays, _) = bench.ensure("a");
    assert_eq!(bench.abort("a", gone), []);
    bench.process(run);
    let actions = bench.fact(run, Fact::Ready);
    assert_eq!(answer(&actions, gone), None);
    assert_eq!(answer(&actions, stays), Some(&Outcome::Tenant(run)));
}

#[test]
fn a_key_that_only_waits_for_room_stops_waiting() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    let (first, _) = bench.ensure("b");
    bench.ensure("c");
    assert_eq!(bench.abort("b", first), []);
    let actions = bench.exit(run);
    assert!(starts(&actions, "c") && !starts(&actions, "b"));
}

#[test]
fn nothing_comes_back_after_the_stop_that_an_aborted_restart_began() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let (restart, actions) = bench.restart("a");
    assert!(asks_to_stop(&actions, run));
    assert_eq!(bench.abort("a", restart), []);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Restarted));
    assert_eq!(started(&actions), None);
    assert!(bench.pool.is_empty());
}

#[test]
fn what_an_aborted_adopt_handed_over_stays_its_owners() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    let (adopt, _) = bench.adopt("b");
    bench.ensure("b");
    assert_eq!(bench.abort("b", adopt), []);
    let actions = bench.exit(run);
    assert_eq!(adopted(&actions), None);
    assert!(starts(&actions, "b"), "another call that waits for the key gets a process of ours");
}

#[test]
fn a_call_aborted_while_a_failed_start_is_cleared_away_is_forgotten() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    bench.fact(run, Fact::NotReady(Failure::ReadinessDenied));
    assert_eq!(bench.abort("a", call), []);
    assert_eq!(answer(&bench.exit(run), call), None);
}

#[test]
fn an_abort_after_the_answer_changes_nothing() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    bench.fact(run, Fact::Ready);
    assert_eq!(bench.abort("a", call), []);
    let (again, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, again), Some(&Outcome::Tenant(run)));
}
