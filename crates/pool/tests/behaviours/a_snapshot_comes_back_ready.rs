//! A start that is answered with `Restored` needs no readiness check, and its process is the
//! user's.

use crate::support::*;
use pool::*;

#[test]
fn waiting_calls_get_it_at_once() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.pass(30);
    let actions = bench.restore(run);
    let restored = Event::Restored { run, pid: 101, port: 4_000, duration_ms: 30 };
    let settled = Action::Settle { call, outcome: Outcome::Tenant(run) };
    assert_eq!(actions, [Action::Emit(restored), settled, Action::Sample { run }]);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Crashed));
}

#[test]
fn it_may_refuse_to_be_stopped() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.restore(run);
    let (kill, _) = bench.kill("a");
    assert!(refusal(&bench.refuse_stop(run, StopStage::Ask), kill).is_some());
}

#[test]
fn one_that_comes_too_late_is_stopped() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    let (kill, _) = bench.kill("a");
    let actions = bench.restore(run);
    assert_eq!(actions[0], Action::Emit(Event::Spawn { run, pid: 101, port: 4_000 }));
    assert!(asks_to_stop(&actions, run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn it_gives_its_place_at_the_gate_back() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    let mut bench = Bench::new(Config { gate, ..config() });
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.ensure("b");
    assert!(starts(&bench.restore(run), "b"));
}
