//! That the kernel ended a tenant for the memory it needed is told with its exit, remembered with
//! its last exit, and told to the callers of a start that failed for it.

use crate::support::*;
use pool::*;

const SIGKILL: i32 = 9;
/// The bytes that the tree had.
const LIMIT: u64 = 256 << 20;

fn out_of_memory() -> Fact {
    Fact::Exited(Exit { signal: Some(SIGKILL), out_of_memory: Some(LIMIT), ..Exit::default() })
}

fn is_told(actions: &[Action]) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Emit(Event::Exit { out_of_memory: Some(_), .. })))
}

#[test]
fn with_the_exit_and_the_last_exit() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    assert!(is_told(&bench.fact(run, out_of_memory())));
    let history = bench.pool.status("a", bench.now).expect("it is remembered").history;
    assert!(history.last_exit.expect("it has ended").out_of_memory == Some(LIMIT));
    let run = bench.running("a");
    assert!(!is_told(&bench.exit(run)), "of this process");
}

#[test]
fn with_a_start_that_failed_for_it() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    let actions = bench.fact(run, out_of_memory());
    let (exit_code, signal) = (None, Some(SIGKILL));
    let failure = Failure::ExitedEarly { exit_code, signal, out_of_memory: Some(LIMIT) };
    let expected = Refusal::StartFailed { run: Some(run), failure };
    assert_eq!(refusal(&actions, call), Some(&expected));
}

#[test]
fn with_a_crash_soon_after_the_start() {
    let backoff = Backoff { min_uptime_ms: 5_000, ..config().backoff };
    let mut bench = Bench::new(Config { backoff, ..config() });
    let run = bench.running("a");
    bench.pass(50);
    bench.fact(run, out_of_memory());
    let failures = bench.pool.status("a", bench.now).and_then(|status| status.failures);
    let (exit_code, signal) = (None, Some(SIGKILL));
    let crash =
        Failure::CrashedSoon { exit_code, signal, uptime_ms: 50, out_of_memory: Some(LIMIT) };
    assert_eq!(failures.map(|failures| failures.last), Some(crash));
}
