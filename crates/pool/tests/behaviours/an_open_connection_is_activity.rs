//! With `heeds_connections` a tenant that has an open connection is not idle, and one that had is
//! idle only since it was first seen closed.

use crate::support::*;
use pool::*;

/// Looks come every 100 ms; they are answered at once.
fn heeding(idle_after_ms: u64) -> Config {
    let heeds_connections = true;
    Config {
        idle_after_ms: Some(idle_after_ms),
        sweep_interval_ms: 100,
        heeds_connections,
        ..external()
    }
}

fn seen(open: &[RunId]) -> Input {
    Input::Connections { open: open.to_vec(), seen: true }
}

/// Ticks, and answers looks, until something else happens.
fn until_something_happens(bench: &mut Bench, open: &[RunId]) -> Vec<Action> {
    loop {
        let mut actions = bench.tick_when_due();
        if actions == [Action::LookForConnections] {
            actions = bench.handle(seen(open));
        }
        if !actions.is_empty() {
            return actions;
        }
    }
}

#[test]
fn one_that_has_never_had_any_is_stopped_in_time() {
    let mut bench = Bench::new(heeding(1_000));
    let run = bench.running("a");
    let actions = until_something_happens(&mut bench, &[]);
    assert_eq!(actions[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
}

#[test]
fn it_is_idle_since_the_last_one_was_first_seen_closed() {
    let mut bench = Bench::new(heeding(1_000));
    let run = bench.running("a");
    while bench.now.steady_ms < 4_000 {
        bench.tick_when_due();
        bench.handle(seen(&[run]));
    }
    let last_seen_ms = bench.now.steady_ms;
    let actions = until_something_happens(&mut bench, &[]);
    assert_eq!(actions[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
    // The next look, a tenth of a second later, was the first that did not see it.
    assert_eq!(bench.now.steady_ms, last_seen_ms + 100 + 1_000);
}

#[test]
fn where_connections_cannot_be_seen_no_tenant_is_taken_to_be_idle() {
    let mut bench = Bench::new(heeding(1_000));
    let run = bench.running("a");
    while bench.now.steady_ms < 4_000 {
        bench.tick_when_due();
        assert_eq!(bench.handle(Input::Connections { open: Vec::new(), seen: false }), []);
    }
    assert_eq!(until_something_happens(&mut bench, &[]).len(), 2, "it is told and stopped");
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

#[test]
fn a_look_that_began_before_it_was_idle_does_not_count() {
    let mut bench = Bench::new(heeding(150));
    let run = bench.running("a");
    bench.pass(140);
    assert_eq!(bench.handle(Input::Tick), [Action::LookForConnections]);
    bench.pass(10);
    assert_eq!(bench.handle(Input::Tick), [], "it is idle now, and a look is under way");
    assert_eq!(bench.handle(seen(&[])), [Action::LookForConnections]);
    assert_eq!(bench.handle(seen(&[run])), []);
}

#[test]
fn all_that_are_idle_at_once_are_looked_for_together() {
    let mut bench = Bench::new(heeding(100));
    let runs = [bench.running("a"), bench.running("b"), bench.running("c")];
    bench.pass(100);
    assert_eq!(bench.handle(Input::Tick), [Action::LookForConnections]);
    let actions = bench.handle(seen(&runs[..1]));
    assert!(asks_to_stop(&actions, runs[1]) && asks_to_stop(&actions, runs[2]));
    assert!(!asks_to_stop(&actions, runs[0]));
}

#[test]
fn looks_go_on_when_a_stop_is_refused() {
    let mut bench = Bench::new(heeding(10_000));
    let run = bench.running("a");
    bench.tick_when_due();
    bench.kill("a");
    bench.handle(seen(&[]));
    assert_eq!(bench.pool.next_deadline(), None, "no tenant could be idle");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections]);
}

#[test]
fn without_tenants_there_is_no_look() {
    let mut bench = Bench::new(heeding(10_000));
    let run = bench.running("a");
    bench.exit(run);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn should_idle_kill_is_asked_between_two_looks() {
    let mut bench = Bench::new(Config { asks_before_idle: true, ..heeding(1_000) });
    let run = bench.running("a");
    let actions = until_something_happens(&mut bench, &[]);
    assert_eq!(actions, [Action::AskIdle { run, idle_ms: 1_000 }]);
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: true }), [Action::LookForConnections]);
    assert_eq!(bench.handle(seen(&[])).len(), 2, "it is told and stopped");
}

#[test]
fn a_connection_since_it_was_asked_about_keeps_it() {
    let mut bench = Bench::new(Config { asks_before_idle: true, ..heeding(1_000) });
    let run = bench.running("a");
    until_something_happens(&mut bench, &[]);
    bench.fact(run, Fact::IdleAnswered { stop: true });
    assert_eq!(bench.handle(seen(&[run])), []);
    let actions = until_something_happens(&mut bench, &[]);
    assert_eq!(actions, [Action::AskIdle { run, idle_ms: 1_000 }], "all over again");
}

#[test]
fn an_answer_during_a_look_waits_for_the_next_one_and_is_not_asked_for_again() {
    let mut bench = Bench::new(Config { asks_before_idle: true, ..heeding(1_000) });
    let run = bench.running("a");
    until_something_happens(&mut bench, &[]);
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections], "the regular one");
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: true }), []);
    assert_eq!(bench.handle(seen(&[])), [Action::LookForConnections]);
    assert_eq!(bench.handle(seen(&[])).len(), 2, "it is told and stopped");
}

#[test]
fn there_is_a_look_in_each_sweep_and_in_half_the_idle_time_at_least() {
    for (sweep_interval_ms, expected_ms) in [(300, 300), (60_000, 500), (0, 1)] {
        let mut bench = Bench::new(Config { sweep_interval_ms, ..heeding(1_000) });
        let run = bench.running("a");
        let mut looked_at_ms = Vec::new();
        while looked_at_ms.len() < 5 {
            // The moment at which it would have been idle may come in between.
            if bench.tick_when_due() == [Action::LookForConnections] {
                looked_at_ms.push(bench.now.steady_ms);
                assert_eq!(bench.handle(seen(&[run])), []);
            }
        }
        assert_eq!(looked_at_ms, [1, 2, 3, 4, 5].map(|look| look * expected_ms));
    }
}

/// The look under way had begun when it was about to be stopped, and says nothing about what has
/// happened since.
#[test]
fn one_that_refused_a_stop_and_is_idle_again_waits_for_the_next_look() {
    let mut bench = Bench::new(heeding(1_000));
    let run = bench.running("a");
    bench.pass(1_000);
    assert_eq!(bench.handle(Input::Tick), [Action::LookForConnections]);
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    bench.pass(100);
    assert_eq!(bench.handle(Input::Tick), [], "it is idle again, and a look is under way");
    assert_eq!(bench.handle(seen(&[])), [Action::LookForConnections]);
    assert!(asks_to_stop(&bench.handle(seen(&[])), run));
}
