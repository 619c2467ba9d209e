//! With `min_uptime_ms` a crash sooner than that after becoming ready counts as a failure of the start, and becoming ready
//! forgets failures only once it has been ready for that long.

use crate::support::*;
use pool::*;

fn proving() -> Bench {
    Bench::new(Config { backoff: Backoff { min_uptime_ms: 5_000, ..config().backoff }, ..config() })
}

fn crash(bench: &mut Bench, run: RunId) -> Vec<Action> {
    bench.fact(run, Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() }))
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
        let last = Failure::CrashedSoon { exit_code: Some(1), signal: None, uptime_ms: 50 };
        assert_eq!(refusal(&actions, call), Some(&Refusal::BackingOff { failures, retry_after_ms, last }));
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
