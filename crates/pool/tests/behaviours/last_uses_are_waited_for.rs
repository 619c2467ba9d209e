//! A tenant that is in use when it is to end is taken out of service at once, and asked to end when
//! its last use has ended, or the time that uses are given is over.

use crate::support::*;
use pool::*;

const DRAIN_MS: u64 = 500;

fn draining(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.handle(Input::DrainTime { ms: DRAIN_MS });
    bench
}

/// A tenant that is in use.
fn used(bench: &mut Bench, key: &str) -> RunId {
    let run = bench.running(key);
    bench.pass(10);
    bench.leases.begin_use(run);
    run
}

/// Its one use ends, and the pool is told.
fn unused(bench: &mut Bench, run: RunId) -> Vec<Action> {
    bench.leases.end_use(run, bench.now.wall_ms);
    bench.fact(run, Fact::Unused)
}

#[test]
fn a_kill_waits_for_the_last_use() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    let (kill, actions) = bench.kill("a");
    assert_eq!(actions, [Action::WatchUses { run }]);
    assert_eq!(bench.phase("a"), Some(Phase::Stopping));
    assert!(asks_to_stop(&unused(&mut bench, run), run));
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn no_longer_than_uses_are_given() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    bench.kill("a");
    bench.pass(DRAIN_MS - 1);
    assert_eq!(bench.handle(Input::Tick), []);
    bench.pass(1);
    assert!(asks_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn what_is_not_in_use_is_asked_at_once() {
    let mut bench = draining(config());
    let run = bench.running("a");
    assert!(asks_to_stop(&bench.kill("a").1, run));
}

#[test]
fn without_a_time_for_them_uses_are_not_waited_for() {
    let mut bench = Bench::new(config());
    let run = used(&mut bench, "a");
    assert!(asks_to_stop(&bench.kill("a").1, run));
}

#[test]
fn who_comes_meanwhile_waits_for_the_next_process() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    bench.restart("a");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), None);
    unused(&mut bench, run);
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Restarted));
    let next = started(&actions).expect("the next process");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), ensure), Some(&Outcome::Tenant(next)));
}

#[test]
fn who_waits_for_a_start_that_a_kill_calls_off_is_refused() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    bench.restart("a");
    let (ensure, _) = bench.ensure("a");
    bench.kill("a");
    unused(&mut bench, run);
    assert!(matches!(
        refusal(&bench.exit(run), ensure),
        Some(Refusal::StartFailed { failure: Failure::CalledOff, .. })
    ));
}

#[test]
fn where_all_are_in_use_the_least_recently_active_makes_room_when_it_is_done() {
    let mut bench = draining(Config { max_concurrent: 2, ..config() });
    let first = used(&mut bench, "a");
    used(&mut bench, "b");
    let (third, actions) = bench.ensure("c");
    let evicted = Action::Emit(Event::LruEvict { run: first });
    assert_eq!(actions, [evicted, Action::WatchUses { run: first }]);
    assert!(asks_to_stop(&unused(&mut bench, first), first));
    let next = started(&bench.exit(first)).expect("there is room");
    bench.process(next);
    assert_eq!(answer(&bench.fact(next, Fact::Ready), third), Some(&Outcome::Tenant(next)));
}

#[test]
fn dispose_does_not_wait() {
    let mut bench = draining(config());
    let (killed, running) = (used(&mut bench, "a"), used(&mut bench, "b"));
    bench.kill("a");
    let actions = bench.dispose().1;
    assert!(asks_to_stop(&actions, killed) && asks_to_stop(&actions, running));
}

#[test]
fn nor_does_a_kill_of_what_dispose_could_not_end() {
    let mut bench = draining(external());
    let run = used(&mut bench, "a");
    bench.dispose();
    bench.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    bench.refuse_stop(run, StopStage::Ask);
    assert!(asks_to_stop(&bench.kill("a").1, run));
}

#[test]
fn one_whose_main_process_ends_is_cleared_away() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    bench.kill("a");
    assert_eq!(bench.fact(run, Fact::MainEnded), [Action::Clear { run }]);
    assert_eq!(unused(&mut bench, run), []);
    let signal = Some(11);
    let actions = bench.fact(run, Fact::Exited(Exit { signal, ..Exit::default() }));
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Emit(Event::Exit { reason: ExitReason::Killed, signal: Some(11), .. })
    )));
}

#[test]
fn any_signal_that_ends_it_meanwhile_is_told() {
    let mut bench = draining(config());
    let run = used(&mut bench, "a");
    bench.kill("a");
    let signal = Some(15);
    let actions = bench.fact(run, Fact::Exited(Exit { signal, ..Exit::default() }));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Emit(Event::Exit { signal: Some(15), .. })))
    );
}

#[test]
fn a_use_that_began_after_its_lease_was_opened_again_counts() {
    let mut bench = draining(external());
    let run = used(&mut bench, "a");
    bench.kill("a");
    unused(&mut bench, run);
    bench.fact(run, Fact::StopAsked { stage: StopStage::Ask });
    bench.refuse_stop(run, StopStage::Ask);
    bench.leases.begin_use(run);
    bench.kill("a");
    assert_eq!(bench.fact(run, Fact::Unused), [], "told of the use before");
    assert!(asks_to_stop(&unused(&mut bench, run), run));
}

#[test]
fn a_retired_release_that_is_killed_has_no_longer_than_it_had() {
    let mut bench = draining(config());
    let old = used(&mut bench, "a");
    let new = bench.deployed("a", 300);
    let actions = bench.kill("a").1;
    assert!(asks_to_stop(&actions, new) && !asks_to_stop(&actions, old));
    bench.pass(300);
    assert!(asks_to_stop(&bench.handle(Input::Tick), old));
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Killed));
}
