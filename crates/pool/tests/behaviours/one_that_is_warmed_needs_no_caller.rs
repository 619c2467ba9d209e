//! `Input::Warm` starts a key without a caller. No abort calls that start off.

use crate::support::*;
use pool::*;

#[test]
fn it_is_started_and_stays() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let run = bench.warmed("a");
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
    assert_eq!(bench.pool.next_deadline(), None, "it is never idle");
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}

#[test]
fn one_that_starts_or_runs_is_left_alone() {
    let not_warm = Fact::Ruled(RunRules::default());
    let (process, ready) = (Fact::Started { pid: 7, port: 4_000 }, Fact::Ready);
    for moments in 1..=3 {
        let mut bench = Bench::new(config());
        let run = started(&bench.ensure("a").1).expect("it starts");
        for moment in [not_warm.clone(), process.clone(), ready.clone()].into_iter().take(moments) {
            bench.fact(run, moment);
            assert_eq!(bench.warm("a"), []);
        }
        assert_eq!(started(&bench.exit(run)), None, "it is not warm by its rules");
        assert_eq!(bench.pool.next_deadline(), None);
    }
}

#[test]
fn one_that_a_caller_has_asked_for_first_goes_on_without_it() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    // The key waits for room, and at the gate.
    for max_concurrent in [1, 2] {
        let mut bench = Bench::new(Config { gate, max_concurrent, ..config() });
        bench.ensure("b");
        let (call, _) = bench.ensure("a");
        bench.warm("a");
        assert_eq!(bench.abort("a", call), []);
        assert_eq!(bench.phase("a"), Some(Phase::Queued));
    }
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    bench.warm("a");
    assert_eq!(bench.abort("a", call), []);
    assert!(bench.pool.is_starting(started(&actions).expect("it starts")));
}

#[test]
fn it_is_not_started_where_nothing_is() {
    let mut bench = Bench::new(config());
    bench.handle(Input::Drain);
    assert_eq!(bench.warm("a"), []);
    let mut bench = Bench::new(config());
    bench.dispose();
    assert_eq!(bench.warm("a"), []);
}

#[test]
fn a_caller_that_joins_and_goes_does_not_call_it_off() {
    for rules in [None, Some(RunRules::default()), Some(WARM)] {
        let mut bench = Bench::new(config());
        let run = started(&bench.warm("a")).expect("it starts");
        let (early, _) = bench.ensure("a");
        assert_eq!(bench.abort("a", early), []);
        rules.into_iter().for_each(|rules| drop(bench.fact(run, Fact::Ruled(rules))));
        bench.process(run);
        let (late, _) = bench.ensure("a");
        assert_eq!(bench.abort("a", late), []);
        bench.fact(run, Fact::Ready);
        assert_eq!(bench.phase("a"), Some(Phase::Ready));
    }
}

#[test]
fn a_start_that_turns_out_to_be_warm_outlasts_its_caller() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    bench.fact(run, Fact::Ruled(WARM));
    assert_eq!(bench.abort("a", call), []);
    assert!(bench.pool.is_starting(run));
}

#[test]
fn it_passes_the_gate_and_waits_for_room_like_any_other() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    let mut bench = Bench::new(Config { gate, max_concurrent: 2, ..config() });
    let first = started(&bench.warm("a")).expect("it starts");
    assert_eq!(bench.warm("b"), []);
    assert_eq!(bench.phase("b"), Some(Phase::Queued));
    bench.process(first);
    let second = started(&bench.fact(first, Fact::Ready)).expect("the gate is open");
    bench.process(second);
    bench.fact(second, Fact::Ready);
    bench.pass(1_000);
    let actions = bench.warm("c");
    assert!(asks_to_stop(&actions, first), "it was used least recently, and is not warm");
    assert!(starts(&bench.exit(first), "c"));
}

#[test]
fn one_that_is_queued_is_taken_out_by_a_kill_a_drain_and_a_dispose() {
    for end in
        [Input::Kill { key: "b".into(), call: 77 }, Input::Drain, Input::Dispose { call: 77 }]
    {
        let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
        let run = bench.running("a");
        bench.warm("b");
        bench.handle(end.clone());
        assert_eq!(bench.phase("b"), None, "{end:?}");
        assert_eq!(started(&bench.exit(run)), None, "{end:?}");
    }
}

#[test]
fn one_that_a_caller_waits_for_is_not_kept_in_the_queue_by_a_drain() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    bench.running("a");
    bench.warm("b");
    let (call, _) = bench.ensure("b");
    bench.handle(Input::Drain);
    assert_eq!(bench.phase("b"), Some(Phase::Queued));
    bench.abort("b", call);
    assert_eq!(bench.phase("b"), None);
}

#[test]
fn one_whose_stop_is_refused_is_left_as_it_was() {
    let mut bench = Bench::new(external());
    let run = bench.running("a");
    bench.kill("a");
    bench.warm("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
    assert_eq!(started(&bench.exit(run)), None, "it is not warm by its rules");
}

#[test]
fn one_that_makes_room_meanwhile_queues_like_any_other() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    bench.pass(1_000);
    bench.ensure("b");
    bench.warm("a");
    let guest = started(&bench.exit(run)).expect("b has the place");
    bench.process(guest);
    bench.fact(guest, Fact::Ready);
    bench.pass(1_000);
    assert!(asks_to_stop(&bench.handle(Input::Tick), guest), "neither of them is warm");
}

#[test]
fn one_that_is_being_stopped_is_started_again() {
    let mut bench = Bench::new(config());
    let run = bench.running("a");
    bench.kill("a");
    assert_eq!(bench.warm("a"), []);
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn one_that_could_not_be_ended_is_stopped_and_started_again() {
    let mut bench = Bench::new(external());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.phase("a"), Some(Phase::Stuck));
    assert!(asks_to_stop(&bench.warm("a"), run));
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn a_restart_and_a_deploy_join_it_in_the_queue() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.warmed("a");
    bench.pass(1_000);
    bench.warm("b");
    assert_eq!(bench.phase("b"), Some(Phase::Queued));
    let (_, actions) = bench.restart("b");
    assert!(asks_to_stop(&actions, run), "now a call waits for it");
}
