//! What wakes a sleeper, and when it is awake.

use crate::support::*;
use pool::*;

fn woke(run: RunId, depth: Depth) -> Event {
    Event::Wake { run, depth, by_itself: false }
}

#[test]
fn a_call_gets_the_same_tenant_when_it_answers() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, actions) = bench.ensure("a");
    assert!(wakes(&actions, run) && answer(&actions, call).is_none());
    let (other, actions) = bench.ensure("a");
    assert_eq!(actions, [], "it is being woken already");
    bench.pass(3);
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(events(&actions), [woke(run, Depth::Frozen)]);
    for call in [call, other] {
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    }
    assert!(actions.contains(&Action::WatchBacklogs { on: false }) || bench.pool.is_ready(run));
}

#[test]
fn a_touch_and_a_visitor_wake_it_too() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    assert!(wakes(&bench.touch("a"), run));
    bench.fact(run, Fact::Roused);
    assert_eq!(bench.leases.touched(run).at_ms, bench.now.wall_ms);
    bench.tick_when_due();
    bench.falls_asleep(run);
    assert!(wakes(&bench.fact(run, Fact::Knocked), run));
    assert_eq!(bench.fact(run, Fact::Knocked), [], "once");
}

#[test]
fn one_that_falls_is_told_to_run_again_at_once_and_nobody_hears_of_it() {
    let mut bench = Bench::new(sleepy());
    let run = bench.running("a");
    bench.tick_when_due();
    bench.look(&[]);
    bench.fact(run, QUIET);
    let (call, actions) = bench.ensure("a");
    assert!(wakes(&actions, run));
    assert_eq!(bench.fact(run, frozen()), []);
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(actions, [Action::Settle { call, outcome: Outcome::Tenant(run) }]);
}

#[test]
fn the_depth_that_it_wakes_from_is_told() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    bench.tick_when_due();
    bench.fact(run, paged_out());
    bench.touch("a");
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(events(&actions), [woke(run, Depth::PagedOut)]);
}

#[test]
fn one_that_cannot_be_frozen_again_is_awake() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    bench.tick_when_due();
    for _ in 0..3 {
        assert!(rests(&bench.fact(run, Fact::RestFailed), run, Depth::Frozen));
    }
    assert!(wakes(&bench.fact(run, Fact::RestFailed), run));
}

#[test]
fn one_that_does_not_answer_has_crashed_and_its_calls_get_the_next_process() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, _) = bench.ensure("a");
    let actions = bench.fact(run, Fact::RouseFailed);
    assert!(forces_to_stop(&actions, run));
    let exit = Exit { signal: Some(9), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(exit));
    let told = Event::Exit {
        run,
        exit_code: None,
        signal: None,
        reason: ExitReason::Crashed,
        out_of_memory: None,
    };
    assert_eq!(events(&actions), [told], "the signal was ours");
    let next = started(&actions).expect("a call waits");
    bench.process(next);
    let actions = bench.fact(next, Fact::Ready);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(next)));
}

#[test]
fn one_that_ends_while_it_sleeps_has_its_exit_and_the_key_starts_anew() {
    for wanted in [false, true] {
        let mut bench = Bench::new(sleepy());
        let run = bench.asleep("a");
        if wanted {
            bench.ensure("a");
        }
        let actions = bench.fact(run, Fact::Exited(Exit { signal: Some(9), ..Exit::default() }));
        assert_eq!(exit_reason(&actions), Some(ExitReason::Crashed));
        assert_eq!(started(&actions).is_some(), wanted);
        let Stats { running, total, .. } = bench.pool.stats(bench.now);
        assert_eq!((running, total), (0, usize::from(wanted)));
    }
}

#[test]
fn backlogs_are_looked_at_while_anything_sleeps() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let actions = bench.touch("a");
    assert!(actions.contains(&Action::WatchBacklogs { on: false }));
    bench.fact(run, Fact::Roused);
    bench.tick_when_due();
    assert!(bench.falls_asleep(run).contains(&Action::WatchBacklogs { on: true }));
    bench.exit(run);
    assert_eq!(bench.pool.figures().asleep, 0);
}

#[test]
fn a_deploy_beside_it_wakes_nothing_until_the_new_release_serves() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (_, actions) = bench.deploy("a", 1_000);
    assert!(!rouses(&actions, run) && !wakes(&actions, run));
    let next = started(&actions).expect("there is room");
    bench.process(next);
    assert!(rouses(&bench.fact(next, Fact::Ready), run));
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(events(&actions), [woke(run, Depth::Frozen)]);
    assert!(asks_to_stop(&actions, run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Replaced));
}

#[test]
fn the_host_that_leaves_wakes_it_for_the_next_one() {
    let mut bench = Bench::new(sleepy());
    let run = bench.asleep("a");
    let (call, actions) = bench.detach();
    assert!(rouses(&actions, run) && !lets_go(&actions, run));
    let actions = bench.fact(run, Fact::Roused);
    assert_eq!(events(&actions), [woke(run, Depth::Frozen)]);
    assert!(lets_go(&actions, run));
    assert_eq!(answer(&actions, call), Some(&Outcome::Done));
}
