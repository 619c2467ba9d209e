//! With a question before idle stops, a tenant is stopped when the answer says so and it is still
//! idle; if it is kept, it is asked about again a sweep later.

use crate::support::*;
use pool::*;

fn asked(custody: Custody) -> (Bench, RunId) {
    let idle_after_ms = Some(1_000);
    let sweep_interval_ms = 100;
    let asks_before_idle = true;
    let mut bench = Bench::new(Config {
        idle_after_ms,
        sweep_interval_ms,
        asks_before_idle,
        custody,
        ..config()
    });
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: 1_000 }]);
    assert_eq!(bench.pool.next_deadline(), None, "nothing happens before the answer");
    (bench, run)
}

#[test]
fn it_is_stopped_when_they_say_so() {
    let (mut bench, run) = asked(Custody::OURS);
    bench.pass(50);
    let actions = bench.fact(run, Fact::IdleAnswered { stop: true });
    assert_eq!(actions[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_050 }));
    assert!(asks_to_stop(&actions, run));
}

#[test]
fn it_is_asked_about_again_a_sweep_later() {
    let (mut bench, run) = asked(Custody::OURS);
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: false }), []);
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: 1_100 }]);
}

#[test]
fn a_touch_meanwhile_keeps_it() {
    let (mut bench, run) = asked(Custody::OURS);
    bench.pass(50);
    bench.ensure("a");
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: true }), []);
    assert_eq!(bench.pool.next_deadline(), Some(2_050));
}

#[test]
fn a_second_answer_to_the_same_question_counts_for_nothing() {
    let (mut bench, run) = asked(Custody::OURS);
    bench.fact(run, Fact::IdleAnswered { stop: false });
    assert_eq!(bench.fact(run, Fact::IdleAnswered { stop: true }), []);
    assert_eq!(bench.pool.next_deadline(), Some(1_100));
}

#[test]
fn an_answer_while_it_is_being_stopped_is_not_waited_for_again() {
    let (mut bench, run) = asked(Custody::USERS);
    bench.kill("a");
    bench.fact(run, Fact::IdleAnswered { stop: true });
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.tick_when_due(), [Action::AskIdle { run, idle_ms: 1_100 }]);
}

#[test]
fn it_is_not_asked_about_twice_at_once() {
    let (mut bench, run) = asked(Custody::USERS);
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.tick_when_due(), [], "the first question is still open");
    let actions = bench.fact(run, Fact::IdleAnswered { stop: true });
    assert!(asks_to_stop(&actions, run));
}
