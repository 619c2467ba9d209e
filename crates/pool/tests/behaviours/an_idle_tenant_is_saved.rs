//! With checkpoints an idle tenant is saved before it is ended; what was saved is ended at once and
//! says so, what was not is told to be idle, and stopped as ever. A save is given up when it
//! takes longer than it may.

use crate::support::*;
use pool::*;

fn saving() -> (Bench, RunId) {
    let mut bench = Bench::new(Config {
        max_concurrent: 1,
        idle_after_ms: Some(1_000),
        checkpoint_timeout_ms: Some(300),
        ..config()
    });
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::Checkpoint { run }]);
    (bench, run)
}

/// Told to be idle since before it was to be saved, and asked to end.
fn stops_as_idle(actions: &[Action], run: RunId) -> bool {
    let idle = Event::IdleKill { run, idle_ms: 1_000 };
    actions == [Action::Emit(idle), Action::Stop { run, stage: StopStage::Ask }]
}

#[test]
fn what_was_saved_is_ended_at_once() {
    let (mut bench, run) = saving();
    let actions = bench.image("a", ImageAnswer::Yes);
    assert_eq!(actions, [Action::Stop { run, stage: StopStage::Force }]);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Checkpointed));
}

#[test]
fn what_was_not_is_asked_to_end() {
    let (mut bench, run) = saving();
    bench.pass(200);
    assert!(stops_as_idle(&bench.image("a", ImageAnswer::No), run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

#[test]
fn a_save_that_takes_too_long_is_none() {
    let (mut bench, run) = saving();
    assert!(stops_as_idle(&bench.tick_when_due(), run));
    assert_eq!(bench.now.steady_ms, 1_300);
    let dropped = [Action::DropImage { key: "a".into() }];
    assert_eq!(bench.image("a", ImageAnswer::Yes), dropped, "it may have moved on since");
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}

#[test]
fn an_end_before_the_answer_is_told_after_it() {
    for (answer, reason) in
        [(ImageAnswer::Yes, ExitReason::Checkpointed), (ImageAnswer::No, ExitReason::IdleKilled)]
    {
        let (mut bench, run) = saving();
        assert_eq!(bench.exit(run), []);
        assert_eq!(exit_reason(&bench.image("a", answer)), Some(reason));
        assert!(bench.pool.is_empty());
    }
}

#[test]
fn an_end_without_an_answer_is_told_when_the_time_is_up() {
    let (mut bench, run) = saving();
    bench.exit(run);
    let (kill, actions) = bench.kill("a");
    assert_eq!(actions, []);
    let actions = bench.tick_when_due();
    assert_eq!(exit_reason(&actions), Some(ExitReason::IdleKilled));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn the_next_process_comes_after_the_save() {
    let (mut bench, run) = saving();
    let (call, actions) = bench.ensure("a");
    assert_eq!(actions, []);
    bench.image("a", ImageAnswer::Yes);
    let actions = bench.exit(run);
    let next = started(&actions).expect("a call waits for it");
    bench.image("a", ImageAnswer::Yes);
    assert_eq!(answer(&bench.restore(next), call), Some(&Outcome::Tenant(next)));
}

#[test]
fn dispose_waits_for_the_save() {
    let (mut bench, run) = saving();
    let (dispose, actions) = bench.dispose();
    assert_eq!(actions, []);
    bench.image("a", ImageAnswer::Yes);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Checkpointed));
    assert_eq!(answer(&actions, dispose), Some(&Outcome::Done));
}

#[test]
fn an_abandoned_pool_waits_for_no_save() {
    let (mut bench, run) = saving();
    let idle = Event::IdleKill { run, idle_ms: 1_000 };
    let actions = bench.handle(Input::Abandon);
    assert_eq!(actions, [Action::Emit(idle), Action::Stop { run, stage: StopStage::Ask }]);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));

    let (mut bench, run) = saving();
    bench.exit(run);
    assert_eq!(exit_reason(&bench.handle(Input::Abandon)), Some(ExitReason::IdleKilled));
    assert!(bench.pool.is_empty());
}

#[test]
fn a_save_may_take_for_ever() {
    let (idle_after_ms, checkpoint_timeout_ms) = (Some(1_000), Some(u64::MAX));
    let mut bench = Bench::new(Config { idle_after_ms, checkpoint_timeout_ms, ..config() });
    bench.running("a");
    bench.tick_when_due();
    assert_eq!(bench.pool.next_deadline(), Some(u64::MAX));
}

#[test]
fn no_other_stop_saves() {
    let checkpoint_timeout_ms = Some(300);
    let mut bench = Bench::new(Config { max_concurrent: 1, checkpoint_timeout_ms, ..config() });
    let evicted = bench.running("a");
    bench.pass(1);
    assert!(asks_to_stop(&bench.ensure("b").1, evicted));
    let starting = started(&bench.exit(evicted)).expect("it is its turn");
    bench.image("b", ImageAnswer::No);
    bench.process(starting);
    assert!(asks_to_stop(&bench.restart("b").1, starting));
    let restarted = started(&bench.exit(starting)).expect("the respawn");
    bench.image("b", ImageAnswer::Yes);
    bench.process(restarted);
    assert!(asks_to_stop(&bench.kill("b").1, restarted));
}

#[test]
fn the_image_of_a_tenant_that_refused_to_end_is_doubtful() {
    let mut bench = Bench::new(Config {
        idle_after_ms: Some(1_000),
        checkpoint_timeout_ms: Some(300),
        ..external()
    });
    let run = bench.running("a");
    bench.tick_when_due();
    bench.image("a", ImageAnswer::Yes);
    bench.fact(run, Fact::StopAsked { stage: StopStage::Force });
    bench.fact(run, Fact::StopAnswered { asked: StopStage::Force });
    bench.tick_when_due();
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)), "it is a tenant as before");
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::IdleKilled));
}
