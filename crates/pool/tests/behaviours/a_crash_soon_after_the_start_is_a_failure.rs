//! With `min_uptime_ms` a crash sooner than that after becoming ready counts as a failure of the
//! start, and becoming ready forgets failures only once it has been ready for that long.

use crate::support::*;
use pool::*;

fn proving() -> Bench {
    Bench::new(Config { backoff: Backoff { min_uptime_ms: 5_000, ..config().backoff }, ..config() })
}

fn crash(bench: &mut Bench, run: RunId) -> Vec<Action> {
    bench.fact(run, Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() }))
}

fn crashed_after_50_ms() -> Failure {
    let (exit_code, signal, out_of_memory) = (Some(1), None, None);
    Failure::CrashedSoon { exit_code, signal, uptime_ms: 50, out_of_memory }
}

fn attempts(bench: &Bench) -> Option<u64> {
    bench.pool.status("a", bench.now)?.failures.map(|failures| failures.count)
}

#[test]
fn one_that_answers_and_dies_backs_off_longer_and_longer() {
    let mut bench = proving();
    for failures in 1..=3 {
        let run = bench.running("a");
        bench.pass(50);
        crash(&mut bench, run);
        let (call, actions) = bench.ensure("a");
        let retry_after_ms = 1_000 << (failures - 1);
        let last = crashed_after_50_ms();
        assert_eq!(
            refusal(&actions, call),
            Some(&Refusal::BackingOff { failures, retry_after_ms, last })
        );
        bench.pass(retry_after_ms);
    }
}

#[test]
fn having_been_ready_for_long_enough_forgets_them() {
    let mut bench = proving();
    let run = bench.running("a");
    crash(&mut bench, run);
    bench.pass(1_000);
    let run = bench.running("a");
    bench.pass(4_999);
    assert_eq!(attempts(&bench), Some(1), "it has not lasted yet");
    bench.pass(1);
    assert_eq!(attempts(&bench), None);
    crash(&mut bench, run);
    assert!(starts(&bench.ensure("a").1, "a"), "a crash after that is none");
    assert_eq!(attempts(&bench), None);
}

#[test]
fn only_crashes_count() {
    let mut bench = proving();
    let run = bench.running("a");
    bench.fact(run, Fact::Exited(Exit { exit_code: Some(0), ..Exit::default() }));
    let run = bench.running("a");
    bench.kill("a");
    bench.exit(run);
    let run = bench.adopted("a");
    crash(&mut bench, run);
    assert_eq!(attempts(&bench), None, "what was adopted was not started");
}

#[test]
fn calls_between_the_crash_and_the_exit_are_refused_as_well() {
    let mut bench = proving();
    let run = bench.running("a");
    bench.pass(50);
    bench.fact(run, Fact::MainEnded);
    let (call, actions) = bench.ensure("a");
    assert_eq!(actions, []);
    let actions = crash(&mut bench, run);
    let last = crashed_after_50_ms();
    let expected = Refusal::BackingOff { failures: 1, retry_after_ms: 1_000, last };
    assert_eq!(refusal(&actions, call), Some(&expected));
    assert!(!starts(&actions, "a"));
}

#[test]
fn calls_that_wait_with_a_restart_get_its_process() {
    let mut bench = proving();
    let run = bench.running("a");
    bench.fact(run, Fact::MainEnded);
    let (call, _) = bench.ensure("a");
    bench.restart("a");
    let actions = crash(&mut bench, run);
    assert!(starts(&actions, "a") && refusal(&actions, call).is_none());
}

#[test]
fn the_time_that_its_output_takes_is_no_uptime() {
    let mut bench = proving();
    let run = bench.running("a");
    bench.pass(50);
    bench.fact(run, Fact::MainEnded);
    bench.pass(60_000);
    crash(&mut bench, run);
    assert_eq!(attempts(&bench), Some(1));
}

#[test]
fn one_that_has_lasted_is_not_refused_while_it_is_stopped() {
    let mut bench = Bench::new(Config {
        backoff: Backoff { min_uptime_ms: 5_000, max_failures: 1, ..config().backoff },
        ..config()
    });
    let run = bench.running("a");
    crash(&mut bench, run);
    let (_, actions) = bench.restart("a");
    let run = started(&actions).expect("a restart ignores failures");
    bench.process(run);
    bench.fact(run, Fact::Ready);
    bench.pass(5_000);
    bench.kill("a");
    let (call, actions) = bench.ensure("a");
    assert_eq!(refusal(&actions, call), None, "its failures are over");
}
