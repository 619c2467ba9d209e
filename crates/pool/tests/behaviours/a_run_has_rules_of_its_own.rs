//! What is ruled for one run holds for that one in place of the pool's own: when it is idle, and how
//! long it has to end. Other runs, of the same key too, have theirs.

use crate::support::*;
use pool::*;

const IDLE_AFTER_MS: u64 = 1_000;

fn idling() -> Bench {
    Bench::new(Config { idle_after_ms: Some(IDLE_AFTER_MS), ..config() })
}

fn ruled(bench: &mut Bench, key: &str, rules: RunRules) -> RunId {
    let run = started(&bench.ensure(key).1).expect("it starts");
    bench.comes_up(run, rules);
    run
}

fn is_idle_stopped(actions: &[Action], of: RunId) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Emit(Event::IdleKill { run, .. }) if *run == of))
}

fn stop_timeout(stop_timeout_ms: u64) -> RunRules {
    RunRules { stop_timeout_ms: Some(stop_timeout_ms), ..RunRules::default() }
}

#[test]
fn it_is_idle_by_its_own_time() {
    let mut bench = idling();
    let rules = RunRules { idle_after_ms: Some(Some(3_000)), ..RunRules::default() };
    let (long, usual) = (ruled(&mut bench, "a", rules), bench.running("b"));
    bench.pass(1_000);
    let actions = bench.handle(Input::Tick);
    assert!(is_idle_stopped(&actions, usual) && !is_idle_stopped(&actions, long));
    bench.pass(1_999);
    assert_eq!(bench.handle(Input::Tick), []);
    bench.pass(1);
    assert!(is_idle_stopped(&bench.handle(Input::Tick), long));
}

#[test]
fn it_may_never_be_idle_or_be_so_where_others_are_not() {
    let mut bench = idling();
    ruled(&mut bench, "a", RunRules { idle_after_ms: Some(None), ..RunRules::default() });
    assert_eq!(bench.pool.next_deadline(), None);
    let mut bench = Bench::new(config());
    let rules = RunRules { idle_after_ms: Some(Some(500)), ..RunRules::default() };
    let run = ruled(&mut bench, "a", rules);
    bench.pass(500);
    assert!(is_idle_stopped(&bench.handle(Input::Tick), run));
}

#[test]
fn its_connections_are_looked_for_where_others_are_never_idle() {
    let mut bench = Bench::new(Config { heeds_connections: true, ..config() });
    bench.running("b");
    assert_eq!(bench.pool.next_deadline(), None);
    let rules = RunRules { idle_after_ms: Some(Some(500)), ..RunRules::default() };
    ruled(&mut bench, "a", rules);
    assert!(bench.tick_when_due().contains(&Action::LookForConnections));
    assert_eq!(bench.now.steady_ms, 250, "a regular look, long before it is idle");
}

#[test]
fn it_has_its_own_time_to_end() {
    let mut bench = Bench::new(config());
    let run = ruled(&mut bench, "a", stop_timeout(700));
    bench.kill("a");
    bench.pass(699);
    assert!(!forces_to_stop(&bench.handle(Input::Tick), run));
    bench.pass(1);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
    let run = ruled(&mut bench, "b", stop_timeout(0));
    let (_, actions) = bench.kill("b");
    assert!(forces_to_stop(&actions, run) && !asks_to_stop(&actions, run));
}

#[test]
fn a_users_process_has_its_own_grace() {
    let mut bench = Bench::new(external());
    let run = ruled(&mut bench, "a", stop_timeout(700));
    bench.kill("a");
    bench.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    bench.pass(700);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn each_release_and_each_restart_has_the_rules_of_its_own_run() {
    let mut bench = Bench::new(config());
    let before = ruled(&mut bench, "a", stop_timeout(0));
    let next = started(&bench.deploy("a", 60_000).1).expect("it starts");
    bench.comes_up(next, stop_timeout(700));
    let (_, actions) = bench.kill("a");
    assert!(forces_to_stop(&actions, before) && asks_to_stop(&actions, next));
    let run = ruled(&mut bench, "b", stop_timeout(0));
    bench.restart("b");
    let run = started(&bench.exit(run)).expect("it is restarted");
    bench.process(run);
    bench.fact(run, Fact::Ready);
    assert!(asks_to_stop(&bench.kill("b").1, run), "it has none of its own");
}

#[test]
fn rules_that_come_too_late_change_nothing() {
    let mut bench = idling();
    let run = bench.running("a");
    bench.fact(run, Fact::Ruled(RunRules { idle_after_ms: Some(None), ..WARM }));
    bench.pass(1_000);
    assert!(is_idle_stopped(&bench.handle(Input::Tick), run));
}

#[test]
fn an_abandoned_pool_waits_no_longer_for_it() {
    let mut bench = Bench::new(config());
    let run = ruled(&mut bench, "a", stop_timeout(60_000));
    bench.handle(Input::Abandon);
    bench.pass(600);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn an_abandoned_pool_waits_no_longer_for_a_process_that_appears_afterwards() {
    let rules = || Fact::Ruled(stop_timeout(60_000));
    for (before, after) in [(None, None), (Some(rules()), None), (None, Some(rules()))] {
        let mut bench = Bench::new(Config { stop_timeout_ms: 60_000, ..config() });
        let run = started(&bench.ensure("a").1).expect("it starts");
        before.into_iter().for_each(|rules| drop(bench.fact(run, rules)));
        bench.handle(Input::Abandon);
        after.into_iter().for_each(|rules| drop(bench.fact(run, rules)));
        assert!(asks_to_stop(&bench.process(run), run));
        bench.pass(600);
        assert!(forces_to_stop(&bench.handle(Input::Tick), run));
    }
}

#[test]
fn one_whose_stop_was_refused_is_idle_by_its_own_time() {
    let mut bench = Bench::new(external());
    let rules = RunRules { idle_after_ms: Some(Some(500)), ..RunRules::default() };
    let run = ruled(&mut bench, "a", rules);
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert!(is_idle_stopped(&bench.tick_when_due(), run));
}
