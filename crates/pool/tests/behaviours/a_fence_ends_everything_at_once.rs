//! A host that may serve nothing any more forces every process to end, and starts none until keys
//! are admitted again.

use crate::support::*;
use pool::*;

fn bench(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.handle(Input::AdmitOnly);
    for key in ["a", "b", "c"] {
        bench.admit(key);
    }
    bench
}

fn exit_of(bench: &mut Bench, run: RunId) -> (Option<ExitReason>, Vec<Action>) {
    let killed = Exit { signal: Some(9), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(killed));
    (exit_reason(&actions), actions)
}

#[test]
fn what_is_ready_or_comes_up_is_forced_and_not_asked() {
    let mut bench = bench(config());
    let ready = bench.running("a");
    let (ensure, actions) = bench.ensure("b");
    let probing = started(&actions).expect("it starts");
    bench.process(probing);
    bench.leases.begin_use(ready);
    bench.handle(Input::DrainTime { ms: 30_000 });
    let (fence, actions) = bench.fence();
    for run in [ready, probing] {
        assert!(forces_to_stop(&actions, run) && !asks_to_stop(&actions, run), "{actions:?}");
    }
    assert_eq!(refusal(&actions, ensure), Some(&Refusal::NotAdmitted));
    let (reason, actions) = exit_of(&mut bench, ready);
    assert_eq!((reason, answer(&actions, fence)), (Some(ExitReason::Fenced), None));
    let (reason, actions) = exit_of(&mut bench, probing);
    assert_eq!((reason, answer(&actions, fence)), (Some(ExitReason::Fenced), Some(&Outcome::Done)));
    let told = Event::Exit {
        run: probing,
        exit_code: None,
        signal: None,
        reason: ExitReason::Fenced,
        out_of_memory: None,
    };
    assert!(events(&actions).contains(&told), "the signal was ours: {actions:?}");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(refusal(&actions, ensure), Some(&Refusal::NotAdmitted));
}

#[test]
fn without_tenants_it_is_answered_at_once() {
    let mut bench = bench(config());
    let (fence, actions) = bench.fence();
    assert_eq!(answer(&actions, fence), Some(&Outcome::Done));
}

#[test]
fn a_start_without_a_process_is_called_off() {
    let mut bench = bench(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    let (fence, actions) = bench.fence();
    assert!(forces_to_stop(&actions, run), "a launch that has not begun never does");
    assert_eq!(answer(&actions, fence), None);
    assert!(forces_to_stop(&bench.process(run), run), "one that has begun is forced");
    assert_eq!(answer(&exit_of(&mut bench, run).1, fence), Some(&Outcome::Done));
}

#[test]
fn what_waits_is_forgotten() {
    let mut bench = bench(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    let (ensure, _) = bench.ensure("b");
    assert_eq!(refusal(&bench.fence().1, ensure), Some(&Refusal::NotAdmitted));
    assert_eq!(started(&exit_of(&mut bench, run).1), None);
}

#[test]
fn a_stop_under_way_is_forced_whatever_it_waits_for() {
    for is_in_use in [false, true] {
        let mut bench = bench(config());
        bench.handle(Input::DrainTime { ms: 30_000 });
        let run = bench.running("a");
        if is_in_use {
            bench.leases.begin_use(run);
        }
        let (kill, actions) = bench.kill("a");
        assert_eq!(asks_to_stop(&actions, run), !is_in_use);
        let (fence, actions) = bench.fence();
        assert!(forces_to_stop(&actions, run));
        let (reason, actions) = exit_of(&mut bench, run);
        assert_eq!(reason, Some(ExitReason::Killed), "the first cause wins");
        assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
        assert_eq!(answer(&actions, fence), Some(&Outcome::Done));
    }
}

#[test]
fn a_restart_under_way_brings_nothing_back() {
    let mut bench = bench(config());
    let run = bench.running("a");
    let (restart, _) = bench.restart("a");
    assert_eq!(refusal(&bench.fence().1, restart), Some(&Refusal::NotAdmitted));
    assert_eq!(started(&exit_of(&mut bench, run).1), None);
}

#[test]
fn both_releases_of_a_deploy_are_forced() {
    for is_retired in [false, true] {
        let mut bench = bench(config());
        let old = bench.running("a");
        let new = match is_retired {
            true => bench.deployed("a", 30_000),
            false => started(&bench.deploy("a", 0).1).expect("it starts"),
        };
        bench.process(new);
        let actions = bench.fence().1;
        assert!(forces_to_stop(&actions, old) && forces_to_stop(&actions, new), "{actions:?}");
    }
}

#[test]
fn a_sleeper_is_not_woken_for_it() {
    let mut bench = bench(sleepy());
    let run = bench.asleep("a");
    let actions = bench.fence().1;
    assert!(forces_to_stop(&actions, run) && !rouses(&actions, run), "{actions:?}");
    assert_eq!(exit_of(&mut bench, run).0, Some(ExitReason::Fenced));
}

#[test]
fn a_sleeper_that_is_being_woken_to_be_stopped_is_forced() {
    let mut bench = bench(sleepy());
    let run = bench.asleep("a");
    assert!(rouses(&bench.kill("a").1, run));
    assert!(forces_to_stop(&bench.fence().1, run));
}

#[test]
fn a_warm_key_does_not_come_back() {
    let mut bench = bench(config());
    let run = bench.warmed("a");
    bench.fence();
    assert_eq!(started(&exit_of(&mut bench, run).1), None);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn a_process_that_refuses_is_not_waited_for_and_not_handed_out() {
    let mut bench = bench(external());
    let run = bench.running("a");
    let (fence, actions) = bench.fence();
    assert!(forces_to_stop(&actions, run));
    let actions = bench.refuse_stop(run, StopStage::Force);
    assert_eq!(answer(&actions, fence), Some(&Outcome::Done));
    assert_eq!(bench.phase("a"), Some(Phase::Stuck));
}

#[test]
fn a_key_that_is_admitted_again_starts_when_its_process_has_ended() {
    let mut bench = bench(config());
    let run = bench.running("a");
    bench.fence();
    bench.admit("a");
    let (_, actions) = bench.ensure("a");
    assert_eq!(started(&actions), None);
    assert!(starts(&exit_of(&mut bench, run).1, "a"));
}

#[test]
fn one_key_can_be_fenced_off_alone() {
    let mut bench = bench(config());
    let (run, other) = (bench.running("a"), bench.running("b"));
    let new = started(&bench.deploy("a", 0).1).expect("it starts");
    bench.process(new);
    let (fence, actions) =
        bench.call(|call| Input::Withdraw { key: "a".into(), call, at_once: true });
    assert!(forces_to_stop(&actions, run) && forces_to_stop(&actions, new), "{actions:?}");
    assert!(!asks_to_stop(&actions, other) && !forces_to_stop(&actions, other));
    assert_eq!(answer(&exit_of(&mut bench, new).1, fence), None);
    let (reason, actions) = exit_of(&mut bench, run);
    assert_eq!((reason, answer(&actions, fence)), (Some(ExitReason::Fenced), Some(&Outcome::Done)));
}

#[test]
fn all_can_be_asked_to_end_in_order_and_fenced_off_meanwhile() {
    let mut bench = bench(config());
    let (run, other) = (bench.running("a"), bench.running("b"));
    let (stop, actions) = bench.call(|call| Input::WithdrawAll { call, at_once: false });
    assert!(asks_to_stop(&actions, run) && asks_to_stop(&actions, other));
    assert_eq!(exit_of(&mut bench, run).0, Some(ExitReason::Moved));
    let (fence, actions) = bench.fence();
    assert!(forces_to_stop(&actions, other));
    let actions = exit_of(&mut bench, other).1;
    assert_eq!(answer(&actions, stop), Some(&Outcome::Done));
    assert_eq!(answer(&actions, fence), Some(&Outcome::Done));
}
