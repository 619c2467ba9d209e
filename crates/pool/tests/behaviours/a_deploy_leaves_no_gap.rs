//! A new release is started beside the one that serves, and serves from the step in which it is
//! ready. One that fails changes nothing.

use crate::support::*;
use pool::*;

#[test]
fn the_old_release_serves_until_the_new_one_is_ready() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let (deploy, actions) = bench.deploy("a", 30_000);
    let new = started(&actions).expect("it starts beside the old one");
    assert!(!asks_to_stop(&actions, old));
    bench.process(new);
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(old)));

    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(answer(&actions, deploy), Some(&Outcome::Tenant(new)));
    assert!(!asks_to_stop(&actions, old), "it may be in use");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(new)));
}

#[test]
fn each_release_has_a_number_of_its_own() {
    let mut bench = Bench::new(config());
    bench.running("a");
    assert_eq!(release(&bench, "a"), Release(0));
    bench.deployed("a", 0);
    assert_eq!(release(&bench, "a"), Release(1));
    let (_, actions) = bench.restart("a");
    assert_eq!(started(&actions), None, "the same release once more");
    assert_eq!(release(&bench, "a"), Release(1));
    let other = started(&bench.deploy("b", 0).1).expect("nothing is to be kept");
    bench.process(other);
    assert_eq!(release(&bench, "b"), Release(2));
}

#[test]
fn a_release_that_fails_changes_nothing() {
    let failures: [fn(&mut Bench, RunId); 3] = [
        |bench, new| drop(bench.fact(new, Fact::StartFailed(unwilling()))),
        |bench, new| {
            bench.process(new);
            bench.exit(new);
        },
        |bench, new| {
            bench.process(new);
            bench.fact(new, Fact::NotReady(Failure::ReadinessDenied));
            bench.exit(new);
        },
    ];
    for fail in failures {
        let mut bench = Bench::new(config());
        let old = bench.running("a");
        let before = bench.pool.status("a", bench.now);
        let new = started(&bench.deploy("a", 0).1).expect("it starts");
        fail(&mut bench, new);
        assert_eq!(bench.pool.status("a", bench.now), before);
        assert_eq!(bench.pool.stats(bench.now).backoff, 0);
        let (ensure, actions) = bench.ensure("a");
        assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(old)));
    }
}

#[test]
fn a_failed_deploy_is_refused_as_an_ensure_would_be() {
    let mut bench = Bench::new(config());
    bench.running("a");
    let (deploy, actions) = bench.deploy("a", 0);
    let new = started(&actions).expect("it starts");
    let actions = bench.fact(new, Fact::StartFailed(unwilling()));
    let expected = Refusal::StartFailed { run: Some(new), failure: unwilling() };
    assert_eq!(refusal(&actions, deploy), Some(&expected));
}

#[test]
fn deploys_share_a_release_until_it_is_asked_for() {
    let gate = GateConfig { width: Some(1), patience_ms: None };
    let mut bench = Bench::new(Config { gate, ..config() });
    let old = bench.running("a");
    let starting = started(&bench.ensure("b").1).expect("the gate is open");
    let (first, _) = bench.deploy("a", 0);
    let (second, _) = bench.deploy("a", 0);
    bench.process(starting);
    let new = started(&bench.fact(starting, Fact::Ready)).expect("the gate is open again");
    let (third, actions) = bench.deploy("a", 0);
    assert_eq!(actions, [], "it came after the start, and two trees are there");
    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(answer(&actions, first), Some(&Outcome::Tenant(new)));
    assert_eq!(answer(&actions, second), Some(&Outcome::Tenant(new)));
    assert_eq!(answer(&actions, third), None);

    let (fourth, _) = bench.deploy("a", 0);
    let newest = started(&bench.exit(old)).expect("the second place is free");
    bench.process(newest);
    let actions = bench.fact(newest, Fact::Ready);
    assert_eq!(answer(&actions, third), Some(&Outcome::Tenant(newest)));
    assert_eq!(answer(&actions, fourth), Some(&Outcome::Tenant(newest)));
}

#[test]
fn where_nothing_runs_it_is_a_start_that_ignores_the_window() {
    let mut bench = Bench::new(config());
    let failing = started(&bench.ensure("a").1).expect("it starts");
    bench.fact(failing, Fact::StartFailed(unwilling()));
    let (deploy, actions) = bench.deploy("a", 0);
    let new = started(&actions).expect("it starts");
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(actions, [], "it joins the new release");
    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(answer(&actions, deploy), Some(&Outcome::Tenant(new)));
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(new)));
}

#[test]
fn one_that_still_starts_is_replaced_with_its_callers_when_the_next_is_ready_first() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let old = started(&actions).expect("it starts");
    bench.process(old);
    let new = started(&bench.deploy("a", 30_000).1).expect("beside it");
    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(new)));
    assert!(asks_to_stop(&actions, old), "nothing uses it");
    assert_eq!(exit_reason(&bench.exit(old)), Some(ExitReason::Replaced));
}

#[test]
fn a_release_that_comes_takes_over_from_one_that_crashes() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let new = started(&bench.deploy("a", 0).1).expect("beside it");
    bench.exit(old);
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(actions, [], "it joins what starts");
    bench.process(new);
    assert_eq!(answer(&bench.fact(new, Fact::Ready), ensure), Some(&Outcome::Tenant(new)));
}

#[test]
fn after_taking_over_its_failure_is_the_keys() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let new = started(&bench.deploy("a", 0).1).expect("beside it");
    bench.exit(old);
    bench.fact(new, Fact::StartFailed(unwilling()));
    assert_eq!(bench.pool.stats(bench.now).backoff, 1);
}

#[test]
fn failures_and_history_begin_anew_with_the_release_that_serves() {
    let backoff = Backoff { min_uptime_ms: 5_000, ..config().backoff };
    let mut bench = Bench::new(Config { backoff, ..config() });
    let crashed = bench.running("a");
    bench.exit(crashed);
    bench.pass(1_000);
    let old = bench.running("a");
    let status = bench.pool.status("a", bench.now).expect("it is there");
    assert_eq!(
        (status.history.crashes, status.failures.map(|failures| failures.count)),
        (1, Some(1))
    );
    bench.deployed("a", 30_000);
    let new = bench.pool.status("a", bench.now).expect("it is there");
    let history = History { starts: 1, crashes: 0, last_exit: None };
    assert_eq!((new.history.clone(), new.failures.clone()), (history, None));
    bench.exit(old);
    let after = bench.pool.status("a", bench.now);
    assert_eq!(
        after,
        Some(Status { beside: None, ..new }),
        "how the old release ends is not of the new one"
    );
}

#[test]
fn while_draining_it_is_refused_and_what_was_accepted_goes_on() {
    let mut bench = Bench::new(config());
    bench.running("a");
    let (accepted, actions) = bench.deploy("a", 0);
    let new = started(&actions).expect("it starts");
    bench.handle(Input::Drain);
    let (refused, actions) = bench.deploy("a", 0);
    assert_eq!(refusal(&actions, refused), Some(&Refusal::Draining));
    bench.process(new);
    assert_eq!(answer(&bench.fact(new, Fact::Ready), accepted), Some(&Outcome::Tenant(new)));
}

fn release(bench: &Bench, key: &str) -> Release {
    bench.pool.status(key, bench.now).expect("it is there").release
}
