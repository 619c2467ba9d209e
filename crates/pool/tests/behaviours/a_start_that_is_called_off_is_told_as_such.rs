//! A call that waits for a start that is stopped before it is ready hears how its process ended
//! or, where there was none, that the start was called off, at whatever point. It is no failure.

use crate::support::*;
use pool::*;

fn failure(actions: &[Action], call: CallId) -> Option<&Failure> {
    match refusal(actions, call) {
        Some(Refusal::StartFailed { failure, .. }) => Some(failure),
        _ => None,
    }
}

fn not_found() -> Fact {
    Fact::StartFailed(Failure::NotStarted { reason: "no such file".into() })
}

#[test]
fn while_it_waits_for_room() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    bench.running("a");
    let (call, _) = bench.ensure("b");
    let (_, actions) = bench.kill("b");
    assert_eq!(failure(&actions, call), Some(&Failure::CalledOff));
}

#[test]
fn before_there_is_a_process() {
    for end in [Fact::StartFailed(Failure::CalledOff), not_found()] {
        let mut bench = Bench::new(config());
        let (call, actions) = bench.ensure("a");
        let run = started(&actions).expect("it starts");
        bench.kill("a");
        assert_eq!(failure(&bench.fact(run, end), call), Some(&Failure::CalledOff));
        assert_eq!(bench.pool.stats(bench.now).backoff, 0);
    }
}

/// The exit of a start that was called off while its snapshot was looked for.
#[test]
fn without_a_process_an_exit_is_told_as_called_off() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    bench.kill("a");
    let actions = bench.exit(started(&actions).expect("it starts"));
    assert_eq!(failure(&actions, call), Some(&Failure::CalledOff));
    assert_eq!(exit_reason(&actions), None);
}

#[test]
fn with_a_process_its_exit_is_told() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    bench.kill("a");
    let exit = Exit { exit_code: Some(143), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(exit));
    assert_eq!(
        failure(&actions, call),
        Some(&Failure::ExitedEarly { exit_code: Some(143), signal: None, out_of_memory: None })
    );
    assert_eq!(bench.pool.stats(bench.now).backoff, 0);
}

#[test]
fn the_exit_of_the_process_before_is_not_told() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let (restart, _) = bench.restart("a");
    bench.kill("a");
    assert_eq!(failure(&bench.exit(run), restart), Some(&Failure::CalledOff));
}

#[test]
fn a_restart_keeps_the_calls_of_the_start_it_replaces() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.restart("a");
    let actions = bench.fact(run, Fact::StartFailed(Failure::CalledOff));
    assert_eq!(answer(&actions, call), None);
    assert!(starts(&actions, "a"));
}

#[test]
fn what_the_users_own_function_threw_is_told_as_it_is() {
    let mut bench = Bench::new(external());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.kill("a");
    let thrown = Failure::Thrown { by: Callback::Spawn, text: "no".into() };
    let actions = bench.fact(run, Fact::StartFailed(thrown.clone()));
    assert_eq!(failure(&actions, call), Some(&thrown));
    assert_eq!(bench.pool.stats(bench.now).backoff, 0);
}

#[test]
fn a_start_that_fails_by_itself_is_told_as_that() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let actions = bench.fact(started(&actions).expect("it starts"), not_found());
    assert!(matches!(failure(&actions, call), Some(Failure::NotStarted { .. })));
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
}
