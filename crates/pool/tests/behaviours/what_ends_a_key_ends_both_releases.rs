//! `kill`, `restart` and `dispose` mean the key with all that runs of it.

use crate::support::*;
use pool::*;

/// The serving run of a key, and one that comes up beside it for the call.
fn with_one_coming(bench: &mut Bench) -> (RunId, RunId, CallId) {
    let old = bench.running("a");
    let (deploy, actions) = bench.deploy("a", 0);
    let new = started(&actions).expect("it starts");
    bench.process(new);
    (old, new, deploy)
}

#[test]
fn a_kill_is_answered_when_both_have_ended() {
    for new_ends_first in [true, false] {
        let mut bench = Bench::new(config());
        let (old, new, deploy) = with_one_coming(&mut bench);
        let (kill, actions) = bench.kill("a");
        assert!(asks_to_stop(&actions, old) && asks_to_stop(&actions, new));
        let (first, last) = if new_ends_first { (new, old) } else { (old, new) };
        let mut actions = bench.exit(first);
        assert_eq!(answer(&actions, kill), None);
        actions.extend(bench.exit(last));
        assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
        assert!(matches!(refusal(&actions, deploy), Some(Refusal::StartFailed { .. })));
        assert_eq!(bench.pool.stats(bench.now), Stats::default());
    }
}

#[test]
fn a_kill_ends_what_has_retired() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let new = bench.deployed("a", 30_000);
    let (kill, actions) = bench.kill("a");
    assert!(asks_to_stop(&actions, old) && asks_to_stop(&actions, new));
    bench.exit(new);
    let actions = bench.exit(old);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert_eq!(answer(&actions, kill), Some(&Outcome::Done));
}

#[test]
fn a_kill_hears_that_the_second_has_refused() {
    let mut bench = Bench::new(external());
    let old = bench.running("a");
    let new = bench.deployed("a", 30_000);
    let (kill, _) = bench.kill("a");
    let actions = bench.refuse_stop(old, StopStage::Ask);
    let expected = Refusal::StopRefused { run: old, failure: unwilling() };
    assert_eq!(refusal(&actions, kill), Some(&expected));
    assert_eq!(answer(&bench.exit(new), kill), None);
}

#[test]
fn a_kill_calls_off_a_deploy_that_waits_for_room() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..config() });
    bench.running("a");
    bench.running("b");
    let (deploy, _) = bench.deploy("a", 0);
    let (_, actions) = bench.kill("a");
    assert!(matches!(refusal(&actions, deploy), Some(Refusal::StartFailed { run: None, .. })));
}

#[test]
fn after_a_restart_one_new_process_serves_all_waiting_calls() {
    let mut bench = Bench::new(config());
    let (old, new, deploy) = with_one_coming(&mut bench);
    let (later, _) = bench.deploy("a", 0);
    let (restart, actions) = bench.restart("a");
    assert!(asks_to_stop(&actions, old) && asks_to_stop(&actions, new));
    assert_eq!(started(&bench.exit(new)), None);
    let fresh = started(&bench.exit(old)).expect("the respawn");
    bench.process(fresh);
    let actions = bench.fact(fresh, Fact::Ready);
    for call in [deploy, later, restart] {
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(fresh)));
    }
    let release = bench.pool.status("a", bench.now).map(|status| status.release);
    assert_eq!(release, Some(Release(2)), "it is what the deploys asked for");
}

#[test]
fn dispose_refuses_deploys_and_ends_both() {
    let mut bench = Bench::new(config());
    let (old, new, deploy) = with_one_coming(&mut bench);
    let (later, _) = bench.deploy("a", 0);
    let (dispose, actions) = bench.dispose();
    assert_eq!(refusal(&actions, deploy), Some(&Refusal::Disposed));
    assert_eq!(refusal(&actions, later), Some(&Refusal::Disposed));
    assert!(asks_to_stop(&actions, old) && asks_to_stop(&actions, new));
    assert_eq!(answer(&bench.exit(old), dispose), None);
    assert_eq!(answer(&bench.exit(new), dispose), Some(&Outcome::Done));
}

#[test]
fn an_abort_of_the_last_deploy_calls_the_new_release_off() {
    let mut bench = Bench::new(config());
    let (old, new, deploy) = with_one_coming(&mut bench);
    assert!(bench.pool.is_waiting("a", deploy));
    let actions = bench.abort("a", deploy);
    assert!(asks_to_stop(&actions, new) && !asks_to_stop(&actions, old));
    assert_eq!(exit_reason(&bench.exit(new)), Some(ExitReason::Killed));
    let (ensure, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, ensure), Some(&Outcome::Tenant(old)));
}
