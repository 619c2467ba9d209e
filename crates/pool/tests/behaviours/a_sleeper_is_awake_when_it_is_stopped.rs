//! A stop wakes a sleeper first, so that it can end in order.

use crate::support::*;
use pool::*;

#[test]
fn a_kill_wakes_it_asks_it_and_is_answered_with_its_end() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, actions) = bench.kill("a");
    assert!(rouses(&actions, run) && !asks_to_stop(&actions, run));
    bench.pass(2);
    let actions = bench.fact(run, Fact::Roused);
    let wake = Event::Wake { run, depth: Depth::Frozen, by_itself: false };
    assert_eq!(events(&actions), [wake]);
    assert!(asks_to_stop(&actions, run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, call), Some(&Outcome::Done));
}

#[test]
fn a_kill_while_it_is_woken_refuses_those_that_wait_for_it() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, _) = bench.ensure("a");
    let (_, actions) = bench.kill("a");
    assert!(!rouses(&actions, run), "it is being woken already");
    assert!(asks_to_stop(&bench.fact(run, Fact::Roused), run));
    let actions = bench.exit(run);
    let called_off = Refusal::StartFailed { run: Some(run), failure: Failure::CalledOff };
    assert_eq!(refusal(&actions, call), Some(&called_off));
    assert_eq!(started(&actions), None);
}

#[test]
fn a_restart_starts_the_next_process_when_it_is_gone() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, _) = bench.restart("a");
    bench.fact(run, Fact::Roused);
    let next = started(&bench.exit(run)).expect("there is room");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), call), Some(&Outcome::Tenant(next)));
}

#[test]
fn an_idle_stop_tells_the_wake_before() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(5_000), ..sleepy() });
    let run = bench.asleep("a");
    bench.tick_when_due();
    bench.fact(run, paged_out());
    assert!(rouses(&bench.tick_when_due(), run));
    assert_eq!(bench.now.steady_ms, 5_000);
    bench.pass(1);
    let actions = bench.fact(run, Fact::Roused);
    let wake = Event::Wake { run, depth: Depth::PagedOut, by_itself: false };
    assert_eq!(events(&actions), [wake, Event::IdleKill { run, idle_ms: 5_001 }]);
    assert!(asks_to_stop(&actions, run));
}

#[test]
fn one_that_dies_before_it_is_awake_is_told_to_be_stopped_all_the_same() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_500), ..sleepy() });
    let run = bench.asleep("a");
    bench.tick_when_due();
    let told = events(&bench.exit(run));
    assert!(matches!(told[..], [Event::IdleKill { .. }, Event::Exit { .. }]), "{told:?}");
}

#[test]
fn an_idle_stop_of_a_sleeper_is_asked_about() {
    let config = Config { idle_after_ms: Some(1_500), asks_before_idle: true, ..sleepy() };
    let mut bench = Bench::new(config);
    let run = bench.asleep("a");
    let ask = Action::AskIdle { run, idle_ms: 1_500 };
    assert_eq!(bench.tick_when_due(), [ask]);
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: false }), []);
    assert!(rests(&bench.tick_when_due(), run, Depth::PagedOut));
    bench.fact(run, paged_out());
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: 11_500 }]);
    assert!(rouses(&bench.fact(run, Fact::IdleAnswered { stop: true }), run));
}

#[test]
fn dispose_ends_sleepers_and_a_warm_one_is_never_idle() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_500), ..sleepy() });
    let run = bench.warmed("a");
    bench.tick_when_due();
    bench.falls_asleep(run);
    bench.tick_when_due();
    bench.fact(run, paged_out());
    assert_eq!(bench.pool.next_deadline(), None, "it sleeps for ever");
    let (call, actions) = bench.dispose();
    assert!(rouses(&actions, run));
    bench.fact(run, Fact::Roused);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Disposed));
    assert_eq!(answer(&actions, call), Some(&Outcome::Done));
}

#[test]
fn one_that_does_not_wake_is_forced() {
    for late in [false, true] {
        let mut bench = Bench::new(sleepy());
        let run = bench.asleep("a");
        bench.kill("a");
        let actions = if late { bench.tick_when_due() } else { bench.fact(run, Fact::RouseFailed) };
        assert!(forces_to_stop(&actions, run));
        assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Killed));
    }
}

#[test]
fn a_main_process_that_ends_while_its_tree_stands_has_the_rest_cleared() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    assert!(bench.fact(run, Fact::MainEnded).contains(&Action::Clear { run }));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Crashed));
}
