//! `shouldIdleKill` is asked when a tenant is idle, and again a sweep after each no.

use crate::support::*;
use pool::*;

const IDLE_MS: u64 = 1_000;
const SWEEP_MS: u64 = 300;

fn asking() -> Config {
    Config {
        idle_after_ms: Some(IDLE_MS),
        sweep_interval_ms: SWEEP_MS,
        asks_before_idle: true,
        ..config()
    }
}

fn answered(bench: &mut Bench, run: RunId, stop: bool) -> Vec<Action> {
    bench.fact(run, Fact::IdleAnswered { stop })
}

fn stops(actions: &[Action], run: RunId, idle_ms: u64) -> bool {
    actions.first() == Some(&Action::Emit(Event::IdleKill { run, idle_ms }))
        && asks_to_stop(actions, run)
}

#[test]
fn yes_stops_it_with_the_time_that_it_has_been_idle_by_then() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: IDLE_MS }]);
    bench.pass(70);
    assert!(stops(&answered(&mut bench, run, true), run, IDLE_MS + 70));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

#[test]
fn no_keeps_it_for_a_sweep() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.pass(40);
    assert_eq!(answered(&mut bench, run, false), []);
    assert_eq!(bench.pool.next_deadline(), Some(IDLE_MS + 40 + SWEEP_MS));
    let idle_ms = IDLE_MS + 40 + SWEEP_MS;
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms }]);
}

#[test]
fn there_is_nothing_to_wait_for_while_it_is_being_asked() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    bench.tick_when_due();
    assert_eq!(bench.pool.next_deadline(), None);
    bench.pass(1_000_000);
    assert_eq!(bench.handle(Input::Tick), []);
    assert!(stops(&answered(&mut bench, run, true), run, IDLE_MS + 1_000_000));
}

#[test]
fn a_touch_while_it_is_being_asked_keeps_it_for_the_whole_idle_time() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.pass(100);
    bench.leases.touch(run, bench.now.wall_ms);
    bench.pass(50);
    assert_eq!(answered(&mut bench, run, true), []);
    assert_eq!(bench.pool.next_deadline(), Some(IDLE_MS + 100 + IDLE_MS));
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: IDLE_MS }]);
}

#[test]
fn an_answer_without_a_question_is_dropped() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    assert_eq!(answered(&mut bench, run, true), [], "it was not asked");
    bench.tick_when_due();
    bench.kill("a");
    assert_eq!(answered(&mut bench, run, true), [], "it is being killed");
    bench.exit(run);
    assert_eq!(answered(&mut bench, run, true), [], "it is gone");
    let next = bench.running("a");
    assert_eq!(answered(&mut bench, run, true), [], "it was about another process");
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run: next, idle_ms: IDLE_MS }]);
}

#[test]
fn a_second_answer_is_dropped() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    bench.tick_when_due();
    answered(&mut bench, run, false);
    assert_eq!(answered(&mut bench, run, true), []);
    assert_eq!(bench.pool.next_deadline(), Some(IDLE_MS + SWEEP_MS));
}

#[test]
fn a_refused_kill_of_one_that_is_being_asked_about_leaves_the_question_open() {
    let mut bench = Bench::new(Config { custody: Custody::USERS, ..asking() });
    let run = bench.running("a");
    bench.tick_when_due();
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    bench.pass(1_000_000);
    let actions = bench.handle(Input::Tick);
    assert!(
        !actions.iter().any(|action| matches!(action, Action::AskIdle { .. })),
        "asked twice at once"
    );
    let stopped = answered(&mut bench, run, true);
    assert!(asks_to_stop(&stopped, run));
}

#[test]
fn a_call_while_it_is_being_asked_keeps_it_for_the_whole_idle_time() {
    let mut bench = Bench::new(asking());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.pass(50);
    bench.ensure("a");
    assert_eq!(answered(&mut bench, run, true), []);
    assert_eq!(bench.pool.next_deadline(), Some(IDLE_MS + 50 + IDLE_MS));
}

#[test]
fn an_answer_while_it_is_being_stopped_closes_the_question() {
    let mut bench = Bench::new(Config { custody: Custody::USERS, ..asking() });
    let run = bench.running("a");
    bench.tick_when_due();
    bench.kill("a");
    answered(&mut bench, run, true);
    bench.refuse_stop(run, StopStage::Ask);
    let idle_ms = IDLE_MS + SWEEP_MS;
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms }]);
}
