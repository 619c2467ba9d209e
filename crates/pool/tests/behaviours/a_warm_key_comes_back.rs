//! A warm key is started again when its run has ended by itself or its start has failed, with its
//! back-off in between; and not when it was to end.

use crate::support::*;
use pool::*;

fn crash(bench: &mut Bench, run: RunId) -> Vec<Action> {
    bench.fact(run, Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() }))
}

/// Moves the clock to when the key is started again, which is so much later.
fn back_after(bench: &mut Bench, wait_ms: u64) -> RunId {
    let due_ms = bench.pool.next_deadline().expect("it comes back");
    assert_eq!(due_ms - bench.now.steady_ms, wait_ms);
    started(&bench.tick_when_due()).expect("it is started again")
}

#[test]
fn after_a_crash_a_clean_exit_and_running_out_of_memory() {
    for exit in [
        Exit { exit_code: Some(1), ..Exit::default() },
        Exit { exit_code: Some(0), ..Exit::default() },
        Exit { signal: Some(9), out_of_memory: Some(7), ..Exit::default() },
    ] {
        let mut bench = Bench::new(config());
        let run = bench.warmed("a");
        let run = started(&bench.fact(run, Fact::Exited(exit))).expect("at once");
        bench.comes_up(run, WARM);
        assert_eq!(bench.phase("a"), Some(Phase::Ready));
    }
}

#[test]
fn one_that_dies_again_and_again_waits_longer_and_longer_until_it_lasts() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let mut run = started(&crash(&mut bench, run)).expect("at once");
    for wait_ms in [1_000, 2_000, 4_000] {
        bench.comes_up(run, WARM);
        assert_eq!(started(&crash(&mut bench, run)), None);
        assert_eq!(bench.phase("a"), Some(Phase::Stopped));
        run = back_after(&mut bench, wait_ms);
    }
    bench.comes_up(run, WARM);
    bench.pass(60_000);
    assert!(starts(&crash(&mut bench, run), "a"), "it has lasted");
}

#[test]
fn until_then_its_status_says_when() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let run = started(&crash(&mut bench, run)).expect("at once");
    bench.comes_up(run, WARM);
    crash(&mut bench, run);
    let comes_back_at_ms =
        |bench: &Bench| bench.pool.status("a", bench.now).expect("known").comes_back_at_ms;
    assert_eq!(comes_back_at_ms(&bench), Some(bench.now.wall_ms + 1_000));
    let run = back_after(&mut bench, 1_000);
    assert_eq!(comes_back_at_ms(&bench), None, "it is on its way");

    bench.fact(run, Fact::StartFailed(unwilling()));
    let status = bench.pool.status("a", bench.now).expect("known");
    let retry_at_ms = status.failures.and_then(|failures| failures.retry_at_ms);
    assert_eq!((status.phase, status.comes_back_at_ms), (Phase::BackingOff, None));
    assert_eq!(retry_at_ms, Some(bench.now.wall_ms + 1_000), "until then it is refused");
    bench.pass(1_000);
    let wait_ms = bench.pool.next_deadline().expect("it comes back") - bench.now.steady_ms;
    assert_eq!(comes_back_at_ms(&bench), Some(bench.now.wall_ms + wait_ms));
}

#[test]
fn after_a_failed_start_when_its_window_ends() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    assert_eq!(bench.phase("a"), Some(Phase::BackingOff));
    let run = back_after(&mut bench, 1_000);
    bench.fact(run, Fact::Ruled(WARM));
    bench.process(run);
    bench.fact(run, Fact::NotReady(Failure::ReadinessDenied));
    bench.exit(run);
    let run = back_after(&mut bench, 2_000);
    bench.comes_up(run, WARM);
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
}

#[test]
fn not_after_a_failed_start_that_is_not_warm() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.fact(run, Fact::Ruled(RunRules::default()));
    bench.fact(run, Fact::StartFailed(unwilling()));
    assert_eq!(bench.pool.next_deadline(), None);

    let run = started(&bench.warm("b")).expect("it starts");
    bench.process(run);
    bench.exit(run);
    assert_eq!(bench.pool.next_deadline(), None, "its process has come without rules");
}

#[test]
fn a_failure_that_is_no_key_s_own_does_not_make_it_spin() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.pass(60_000);
    let actions = bench.fact(run, Fact::StartFailed(Failure::NoPort));
    let run = started(&actions).expect("at once");
    bench.pass(60_000);
    assert_eq!(started(&bench.fact(run, Fact::StartFailed(Failure::NoPort))), None);
    let run = back_after(&mut bench, 1_000);
    bench.fact(run, Fact::Ruled(WARM));
    bench.process(run);
    bench.fact(run, Fact::NotReady(Failure::PortTaken { by: "a thief".into() }));
    assert_eq!(started(&bench.exit(run)), None);
    back_after(&mut bench, 2_000);
}

fn given_up() -> Bench {
    let backoff = Backoff { max_failures: 2, ..config().backoff };
    let mut bench = Bench::new(Config { backoff, ..config() });
    let run = started(&bench.warm("a")).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    let run = back_after(&mut bench, 1_000);
    bench.fact(run, Fact::StartFailed(unwilling()));
    assert_eq!((bench.phase("a"), bench.pool.next_deadline()), (Some(Phase::Failed), None));
    bench
}

#[test]
fn it_is_given_up_until_its_failures_are_cleared() {
    let mut bench = given_up();
    let run = started(&bench.handle(Input::ClearBackoff { key: "a".into() })).expect("at once");
    bench.comes_up(run, WARM);
    assert!(starts(&crash(&mut bench, run), "a"));
}

#[test]
fn it_is_given_up_until_it_is_asked_for_anew() {
    let mut bench = given_up();
    assert_eq!(bench.warm("a"), []);
    let run = back_after(&mut bench, 2_000);
    bench.fact(run, Fact::StartFailed(unwilling()));
    assert_eq!((bench.phase("a"), bench.pool.next_deadline()), (Some(Phase::Failed), None));

    let mut bench = given_up();
    bench.warm("a");
    let run = back_after(&mut bench, 2_000);
    bench.comes_up(run, WARM);
    assert_eq!(started(&crash(&mut bench, run)), None, "that it was given up is not forgotten");
    back_after(&mut bench, 2_000);
}

#[test]
fn one_that_waits_already_goes_on_to() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let run = started(&crash(&mut bench, run)).expect("at once");
    bench.comes_up(run, WARM);
    assert_eq!(started(&crash(&mut bench, run)), None);
    assert_eq!(bench.warm("a"), []);
    back_after(&mut bench, 1_000);
}

#[test]
fn a_call_that_comes_before_finds_it_as_it_was() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let run = started(&crash(&mut bench, run)).expect("at once");
    bench.comes_up(run, WARM);
    crash(&mut bench, run);
    let (call, actions) = bench.ensure("a");
    let run = started(&actions).expect("no failure holds it back");
    assert_eq!(bench.abort("a", call), []);
    bench.comes_up(run, WARM);
    assert_eq!(started(&crash(&mut bench, run)), None);
    back_after(&mut bench, 2_000);
}

#[test]
fn a_call_inside_the_window_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    let (call, actions) = bench.ensure("a");
    assert!(matches!(refusal(&actions, call), Some(Refusal::BackingOff { .. })));
    assert_eq!(bench.warm("a"), []);
    back_after(&mut bench, 1_000);
}

#[test]
fn not_after_a_kill() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    bench.kill("a");
    assert_eq!(started(&bench.exit(run)), None);
    assert_eq!(bench.pool.next_deadline(), None);

    let run = started(&bench.warm("b")).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    bench.kill("b");
    assert_eq!(bench.pool.next_deadline(), None, "nor if it waited for its next start");

    let run = started(&bench.warm("c")).expect("it starts");
    bench.kill("c");
    bench.fact(run, Fact::Ruled(WARM));
    bench.process(run);
    assert_eq!(started(&bench.exit(run)), None, "nor if its rules come only then");
}

#[test]
fn a_kill_that_fails_leaves_a_tenant_like_any_other() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..external() });
    let run = bench.warmed("a");
    bench.kill("a");
    bench.refuse_stop(run, StopStage::Ask);
    assert!(bench.pool.next_deadline().is_some(), "it can be idle");
    assert_eq!(started(&bench.exit(run)), None);
}

#[test]
fn not_while_draining_or_disposed() {
    for end in [Input::Drain, Input::Dispose { call: 77 }] {
        let mut bench = Bench::new(config());
        let run = bench.warmed("a");
        bench.handle(end.clone());
        assert_eq!(started(&crash(&mut bench, run)), None, "{end:?}");
        assert_eq!(bench.pool.next_deadline(), None, "{end:?}");

        let mut bench = Bench::new(config());
        let run = started(&bench.warm("a")).expect("it starts");
        bench.fact(run, Fact::StartFailed(unwilling()));
        bench.handle(end.clone());
        assert_eq!(bench.pool.next_deadline(), None, "{end:?}");
    }
}

#[test]
fn a_restart_starts_it_once() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let (call, _) = bench.restart("a");
    let actions = bench.exit(run);
    let starts = actions.iter().filter(|action| matches!(action, Action::Start { .. }));
    assert_eq!(starts.count(), 1);
    let next = started(&actions).expect("it is restarted");
    bench.comes_up(next, WARM);
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
    assert!(!bench.pool.is_waiting("a", call));
}

#[test]
fn a_restart_whose_caller_has_gone_leaves_it_up() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    let (call, _) = bench.restart("a");
    bench.abort("a", call);
    assert!(starts(&bench.exit(run), "a"));
}

#[test]
fn the_last_start_says_whether_it_is_warm() {
    let mut bench = Bench::new(config());
    let run = bench.warmed("a");
    bench.restart("a");
    let run = started(&bench.exit(run)).expect("it is restarted");
    bench.comes_up(run, RunRules::default());
    assert_eq!(started(&crash(&mut bench, run)), None);

    let run = bench.warmed("b");
    let next = started(&bench.deploy("b", 0).1).expect("it starts");
    bench.comes_up(next, RunRules::default());
    bench.exit(run);
    assert_eq!(started(&crash(&mut bench, next)), None);

    bench.running("c");
    let next = started(&bench.deploy("c", 0).1).expect("it starts");
    bench.comes_up(next, WARM);
    assert!(starts(&crash(&mut bench, next), "c"));

    let mut bench = Bench::new(config());
    let run = bench.warmed("d");
    let next = started(&bench.deploy("d", 0).1).expect("it starts");
    bench.fact(next, Fact::Ruled(RunRules::default()));
    crash(&mut bench, run);
    bench.fact(next, Fact::StartFailed(unwilling()));
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn a_release_that_comes_up_when_it_crashes_is_its_next_start() {
    // That the main process has ended may be known before the rest of its tree has.
    for before in [None, Some(Fact::MainEnded)] {
        let mut bench = Bench::new(config());
        let run = bench.warmed("a");
        let (call, actions) = bench.deploy("a", 0);
        let next = started(&actions).expect("it starts");
        before.into_iter().for_each(|fact| drop(bench.fact(run, fact)));
        assert_eq!(started(&crash(&mut bench, run)), None);
        bench.abort("a", call);
        assert!(bench.pool.is_starting(next), "it is kept up");
        bench.fact(next, Fact::StartFailed(unwilling()));
        back_after(&mut bench, 1_000);
    }
}

#[test]
fn what_was_adopted_meanwhile_is_its_owner_s() {
    let mut bench = Bench::new(config());
    let run = started(&bench.warm("a")).expect("it starts");
    bench.fact(run, Fact::StartFailed(unwilling()));
    let run = bench.adopted("a");
    assert_eq!(bench.pool.next_deadline(), None);
    assert_eq!(started(&crash(&mut bench, run)), None);
}
