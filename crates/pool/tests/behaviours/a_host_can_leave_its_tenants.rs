//! A host that detaches starts nothing more, and its tenants stay for the next one: each process
//! either is let go or has its exit told here.

use crate::support::*;
use pool::*;

const DISPOSED: Option<&Refusal> = Some(&Refusal::Disposed);

#[test]
fn what_is_ready_is_let_go() {
    let mut bench = Bench::new(config());
    let (one, other) = (bench.running("a"), bench.running("b"));
    let (call, actions) = bench.detach();
    let (settled, done) = (call, Outcome::Done);
    let expected = [
        Action::Emit(Event::Detach),
        Action::LetGo { run: one },
        Action::LetGo { run: other },
        Action::Settle { call: settled, outcome: done },
    ];
    assert_eq!(actions, expected, "no exit, no stop, no release");
    assert!(bench.pool.is_empty());
    assert_eq!(bench.pool.figures().total, 0);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn its_lease_stays_as_it_is() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.leases.claims = 0;
    assert!(lets_go(&bench.detach().1, run));
    assert_eq!(bench.leases.claims, 0, "requests under way go on");
}

#[test]
fn what_is_heard_of_it_later_is_dropped() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.detach();
    assert_eq!(bench.exit(run), []);
}

#[test]
fn nothing_is_started_any_more() {
    let mut bench = Bench::new(config());
    bench.running("a");
    bench.detach();
    for (call, actions) in [bench.ensure("a"), bench.restart("a"), bench.deploy("b", 0)] {
        assert_eq!(refusal(&actions, call), DISPOSED);
    }
    let (call, actions) = bench.adopt("c");
    assert_eq!(refusal(&actions, call), DISPOSED);
    assert_eq!(bench.warm("d"), []);
}

#[test]
fn a_start_that_a_call_waits_for_is_let_go_when_the_call_has_it() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (detach, actions) = bench.detach();
    assert!(answer(&actions, detach).is_none() && !asks_to_stop(&actions, run));
    bench.process(run);
    let actions = bench.fact(run, Fact::Ready);
    let place = |wanted: &Action| actions.iter().position(|action| action == wanted);
    let handed_out = Action::Settle { call: ensure, outcome: Outcome::Tenant(run) };
    let (handed_out, let_go) = (place(&handed_out), place(&Action::LetGo { run }));
    assert!(handed_out.is_some() && handed_out < let_go, "{actions:?}");
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn a_start_that_waits_at_the_gate_goes_on() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    let mut bench = Bench::new(Config { gate, ..config() });
    let first = started(&bench.ensure("a").1).expect("it starts");
    bench.ensure("b");
    bench.detach();
    bench.process(first);
    let second = started(&bench.fact(first, Fact::Ready)).expect("its turn has come");
    bench.process(second);
    assert!(lets_go(&bench.fact(second, Fact::Ready), second));
}

#[test]
fn a_start_that_fails_is_answered_as_such() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (detach, _) = bench.detach();
    let actions = bench.fact(run, Fact::StartFailed(Failure::NoPort));
    let failure = Failure::NoPort;
    assert_eq!(refusal(&actions, ensure), Some(&Refusal::StartFailed { run: Some(run), failure }));
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
}

#[test]
fn starts_are_stopped_when_they_take_too_long() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    let (detach, _) = bench.detach();
    assert_eq!(bench.pool.next_deadline(), Some(5_000));
    let actions = bench.tick_when_due();
    assert_eq!(refusal(&actions, ensure), DISPOSED);
    assert!(asks_to_stop(&actions, run));
    bench.pass(600);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Disposed));
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn a_start_that_no_call_waits_for_is_stopped_at_once() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.process(run);
    assert!(asks_to_stop(&bench.detach().1, run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Disposed));
    assert!(bench.pool.is_empty(), "and does not come back");
}

#[test]
fn an_abort_of_the_last_call_calls_the_start_off() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.process(run);
    let (detach, _) = bench.detach();
    assert!(asks_to_stop(&bench.abort("a", ensure), run));
    assert_eq!(answer(&bench.exit(run), detach), Some(&Outcome::Done));
}

#[test]
fn calls_that_wait_for_room_are_refused_and_the_victim_goes_on_ending() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    bench.pass(1_000);
    let (ensure, actions) = bench.ensure("b");
    assert!(asks_to_stop(&actions, run));
    let (detach, actions) = bench.detach();
    assert_eq!(refusal(&actions, ensure), DISPOSED);
    assert!(!lets_go(&actions, run) && answer(&actions, detach).is_none());
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::LruEvicted));
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
}

#[test]
fn a_stop_has_no_longer_than_the_detachment() {
    let slow = Config { stop_timeout_ms: 60_000, ..config() };
    let mut bench = Bench::new(slow);
    let run = bench.running("a");
    let (kill, _) = bench.kill("a");
    bench.detach();
    bench.tick_when_due();
    bench.pass(600);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
    assert_eq!(answer(&bench.exit(run), kill), Some(&Outcome::Done));
}

#[test]
fn a_restart_that_waits_for_the_end_is_refused() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let (restart, _) = bench.restart("a");
    let (detach, actions) = bench.detach();
    assert_eq!(refusal(&actions, restart), DISPOSED);
    let actions = bench.exit(run);
    assert!(!starts(&actions, "a"));
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
}

#[test]
fn what_was_not_asked_to_end_is_let_go_and_its_kill_refused() {
    let mut bench = Bench::new(config());
    bench.handle(Input::DrainTime { ms: 1_000 });
    let run = bench.running("a");
    bench.leases.begin_use(run);
    let (kill, actions) = bench.kill("a");
    assert!(!asks_to_stop(&actions, run), "it is in use");
    let (detach, actions) = bench.detach();
    assert!(lets_go(&actions, run));
    assert_eq!(refusal(&actions, kill), DISPOSED);
    assert_eq!(answer(&actions, detach), Some(&Outcome::Done));
}

#[test]
fn a_replacement_under_way_is_called_off() {
    let mut bench = Bench::new(config());
    let serving = bench.running("a");
    let (deploy, actions) = bench.deploy("a", 1_000);
    let coming = started(&actions).expect("it starts");
    bench.process(coming);
    let (detach, actions) = bench.detach();
    assert!(lets_go(&actions, serving));
    assert_eq!(refusal(&actions, deploy), DISPOSED);
    assert!(asks_to_stop(&actions, coming));
    assert_eq!(answer(&bench.exit(coming), detach), Some(&Outcome::Done));
}

#[test]
fn a_replacement_that_waits_for_room_is_refused() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..config() });
    let (one, other) = (bench.running("a"), bench.running("b"));
    bench.leases.begin_use(other);
    let (deploy, _) = bench.deploy("a", 1_000);
    let (_, actions) = bench.detach();
    assert_eq!(refusal(&actions, deploy), DISPOSED);
    assert!(lets_go(&actions, one));
}

#[test]
fn a_retired_release_is_let_go_with_the_one_that_serves() {
    let mut bench = Bench::new(config());
    let before = bench.running("a");
    bench.leases.begin_use(before);
    let serving = bench.deployed("a", 10_000);
    let (call, actions) = bench.detach();
    assert!(lets_go(&actions, before) && lets_go(&actions, serving));
    assert_eq!(answer(&actions, call), Some(&Outcome::Done));
}

#[test]
fn ends_that_are_to_be_told_are_waited_for() {
    let mut bench = Bench::new(config());
    let part = Part::HasEnded { reason: None };
    let (run, _) = bench.recover("a", Recovered { part, ..FOUND });
    let (call, actions) = bench.detach();
    assert_eq!(answer(&actions, call), None);
    assert_eq!(answer(&bench.exit(run), call), Some(&Outcome::Done));
}

#[test]
fn ends_that_cannot_be_told_in_time_are_left_to_the_next_host() {
    let mut bench = Bench::new(config());
    let part = Part::HasEnded { reason: None };
    let (run, _) = bench.recover("a", Recovered { part, ..FOUND });
    let (call, _) = bench.detach();
    let actions = bench.tick_when_due();
    assert!(lets_go(&actions, run));
    assert_eq!(answer(&actions, call), Some(&Outcome::Done));
}

#[test]
fn it_is_told_once_and_every_call_answered() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    let (first, _) = bench.detach();
    let (second, actions) = bench.detach();
    assert_eq!(actions, []);
    let actions = bench.fact(run, Fact::StartFailed(Failure::NoPort));
    for call in [first, second] {
        assert_eq!(answer(&actions, call), Some(&Outcome::Done));
    }
    let (third, actions) = bench.detach();
    assert_eq!(answer(&actions, third), Some(&Outcome::Done));
}

#[test]
fn dispose_after_it_ends_what_was_not_let_go() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    let (detach, _) = bench.detach();
    let (dispose, actions) = bench.dispose();
    assert!(asks_to_stop(&actions, run));
    let actions = bench.exit(run);
    for call in [detach, dispose] {
        assert_eq!(answer(&actions, call), Some(&Outcome::Done));
    }
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn after_dispose_it_waits_for_the_ends() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.dispose();
    let (detach, actions) = bench.detach();
    assert_eq!(actions, [], "what is being disposed of is not let go");
    assert_eq!(answer(&bench.exit(run), detach), Some(&Outcome::Done));
}

#[test]
fn after_a_drain_it_lets_go() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.handle(Input::Drain);
    assert!(lets_go(&bench.detach().1, run));
}

#[test]
fn without_a_call_it_lets_go_as_well() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    let actions = bench.handle(Input::Detach { call: None });
    assert_eq!(actions, [Action::Emit(Event::Detach), Action::LetGo { run }]);
}

#[test]
fn when_javascript_goes_meanwhile_the_rest_ends_soon() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.detach();
    assert!(asks_to_stop(&bench.handle(Input::Abandon), run));
    bench.exit(run);
    assert!(bench.pool.is_empty());
}

#[test]
fn idle_tenants_are_let_go_though_they_are_asked_about() {
    let asking = Config { idle_after_ms: Some(10), asks_before_idle: true, ..config() };
    let mut bench = Bench::new(asking);
    let run = bench.running("a");
    bench.pass(10);
    assert!(bench.handle(Input::Tick).contains(&Action::AskIdle { run, idle_ms: 10 }));
    assert!(lets_go(&bench.detach().1, run));
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: true }), []);
}
