//! `adopt` makes a process that is running already the tenant of its key: it holds room like any
//! other, is always the user's process, and was last active when its owner says.

use crate::support::*;
use pool::*;

#[test]
fn it_is_a_tenant_at_once() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.adopt("a");
    let run = adopted(&actions).expect("there is room");
    let Adopted { pid, port, .. } = HANDED_OVER;
    assert_eq!(actions[1], Action::Emit(Event::Adopt { run, pid, port }));
    assert_eq!(actions[2], Action::Settle { call, outcome: Outcome::Tenant(run) });
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(run)));
    assert_eq!(bench.pool.stats(bench.now).total, 1);
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Crashed));
}

#[test]
fn it_may_refuse_to_be_stopped_among_processes_of_our_own() {
    let mut bench = Bench::new(config());
    let (adopted, ours) = (bench.adopted("adopted"), bench.running("ours"));
    let (kill, _) = bench.kill("adopted");
    bench.kill("ours");
    let actions = bench.refuse_stop(adopted, StopStage::Ask);
    let expected = Refusal::StopRefused { run: adopted, failure: unwilling() };
    assert_eq!(refusal(&actions, kill), Some(&expected));
    assert_eq!(bench.tick_when_due(), [Action::Stop { run: ours, stage: StopStage::Force }]);
}

#[test]
fn it_waits_for_room_but_not_at_the_gate() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    let mut bench = Bench::new(Config { max_concurrent: 2, gate, ..config() });
    let starting = started(&bench.ensure("starting").1).expect("it starts");
    bench.adopted("a");
    let (call, actions) = bench.adopt("b");
    assert_eq!(answer(&actions, call), None, "the others fill the pool");
    bench.ensure("b");
    bench.kill("starting");
    let actions = bench.fact(starting, Fact::StartFailed(unwilling()));
    let run = adopted(&actions).expect("there is room now");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}

#[test]
fn it_is_idle_since_its_owner_last_saw_it_active() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let (_, actions) = bench.adopt_touched_at("a", bench.now.wall_ms - 600);
    let run = adopted(&actions).expect("there is room");
    assert_eq!(bench.tick_when_due()[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
    assert_eq!(bench.now.steady_ms, 400);
}

#[test]
fn a_clock_that_is_ahead_does_not_keep_it_for_ever() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let (_, actions) = bench.adopt_touched_at("a", bench.now.wall_ms + 60_000);
    let run = adopted(&actions).expect("there is room");
    assert_eq!(bench.tick_when_due()[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
}

#[test]
fn calls_that_wait_for_the_key_meanwhile_touch_it() {
    let idle_after_ms = Some(1_000);
    let mut bench = Bench::new(Config { max_concurrent: 1, idle_after_ms, ..config() });
    let before = bench.running("before");
    let (adopt, _) = bench.adopt_touched_at("a", bench.now.wall_ms - 5_000);
    let (ensure, _) = bench.ensure("a");
    let actions = bench.exit(before);
    let run = adopted(&actions).expect("there is room");
    assert_eq!(answer(&actions, adopt), Some(&Outcome::Tenant(run)));
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(run)));
    assert_eq!(bench.pool.next_deadline(), Some(1_000));
}

#[test]
fn a_restart_that_came_meanwhile_gets_a_process_of_its_own() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let before = bench.running("before");
    let (adopt, _) = bench.adopt("a");
    let (restart, _) = bench.restart("a");
    let actions = bench.exit(before);
    let run = adopted(&actions).expect("there is room");
    assert_eq!(answer(&actions, adopt), Some(&Outcome::Tenant(run)));
    assert_eq!(answer(&actions, restart), None);
    assert!(asks_to_stop(&actions, run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Restarted));
    assert!(starts(&actions, "a"));
}

#[test]
fn a_key_that_has_a_process_or_is_about_to_is_taken() {
    let mut bench = Bench::new(Config { max_concurrent: 3, ..config() });
    bench.running("ready");
    bench.running("dying");
    bench.kill("dying");
    bench.ensure("starting");
    bench.ensure("queued");
    for key in ["ready", "dying", "starting", "queued"] {
        let (call, actions) = bench.adopt(key);
        assert_eq!(refusal(&actions, call), Some(&Refusal::Taken), "{key}");
    }
}

#[test]
fn a_pool_that_drains_or_is_disposed_refuses_adoptions() {
    let mut bench = Bench::new(config());
    bench.handle(Input::Drain);
    let (call, actions) = bench.adopt("a");
    assert_eq!(refusal(&actions, call), Some(&Refusal::Draining));
    bench.dispose();
    let (call, actions) = bench.adopt("a");
    assert_eq!(refusal(&actions, call), Some(&Refusal::Disposed));
}

#[test]
fn an_abandoned_pool_lets_go_of_it_and_ends_its_own() {
    let mut bench = Bench::new(config());
    let (adopted, ours) = (bench.adopted("adopted"), bench.running("ours"));
    let actions = bench.handle(Input::Abandon);
    assert!(actions.contains(&Action::Release { run: adopted, keeps_port: false }));
    assert!(asks_to_stop(&actions, ours));
    assert_eq!(exit_reason(&bench.exit(ours)), Some(ExitReason::Disposed));
    assert!(bench.pool.is_empty());
}

#[test]
fn it_does_not_overtake_a_start_that_gets_room_in_the_same_step() {
    let (idle_after_ms, checkpoint_timeout_ms) = (Some(1_000), Some(300));
    let mut bench =
        Bench::new(Config { max_concurrent: 2, idle_after_ms, checkpoint_timeout_ms, ..config() });
    let saved = [bench.running("a"), bench.running("b")];
    bench.tick_when_due();
    for run in saved {
        assert_eq!(bench.exit(run), [], "it is not known yet whether it is saved");
    }
    bench.ensure("first");
    bench.adopt("second");
    let actions = bench.tick_when_due();
    let begins = |action: &&Action| matches!(action, Action::Start { .. } | Action::Adopt { .. });
    let begun: Vec<&Action> = actions.iter().filter(begins).collect();
    assert!(matches!(begun[..], [Action::Start { .. }, Action::Adopt { .. }]), "{begun:?}");
}
