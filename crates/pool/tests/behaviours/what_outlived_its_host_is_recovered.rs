//! Processes that were found after their host has gone are tenants again, by the part that they had.

use crate::support::*;
use pool::*;

/// What is told first.
fn first_event(actions: &[Action]) -> Option<&Event> {
    actions.iter().find_map(|action| match action {
        Action::Emit(event) => Some(event),
        _ => None,
    })
}

#[test]
fn what_served_serves_at_once() {
    let mut bench = Bench::new(config());
    let (run, actions) = bench.recover("a", FOUND);
    let recovered = Action::Recover { run, key: "a".into(), process: Box::new(FOUND) };
    assert_eq!(actions[0], recovered, "before all else of the run");
    let told = Event::Recover { run, pid: FOUND.pid, port: FOUND.port, cpu_ms: FOUND.cpu_ms };
    assert_eq!(first_event(&actions), Some(&told));
    assert!(actions.contains(&Action::Sample { run }));
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    assert_eq!(started(&actions), None);
    assert_eq!(bench.pool.figures().running, 1);
}

#[test]
fn its_exit_is_told_like_any() {
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", FOUND);
    bench.kill("a");
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert!(actions.contains(&Action::Release { run, keeps_port: false }));
    assert!(bench.pool.is_empty());
}

#[test]
fn a_signal_of_others_is_told_of_it_like_of_any() {
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", FOUND);
    bench.kill("a");
    let actions = bench.fact(run, Fact::Exited(Exit { signal: Some(9), ..Exit::default() }));
    let told = actions.iter().find_map(|action| match action {
        Action::Emit(Event::Exit { signal, .. }) => *signal,
        _ => None,
    });
    assert_eq!(told, Some(9), "it was asked, and not forced");
}

#[test]
fn its_cpu_time_never_falls() {
    let observed = Config { observe_interval_ms: Some(100), ..config() };
    let mut bench = Bench::new(observed);
    let (run, _) = bench.recover("a", FOUND);
    assert_eq!(bench.tick_when_due(), [Action::Observe]);
    let actions = bench.fact(run, Fact::Sampled { cpu_ms: 1, rss_bytes: 7, regular: true });
    let expected = Event::Observation { run, cpu_ms: FOUND.cpu_ms, rss_bytes: 7 };
    assert_eq!(first_event(&actions), Some(&expected));
}

#[test]
fn idleness_counts_on_from_the_last_touch() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let touched_at_ms = bench.now.wall_ms - 400;
    let (run, _) = bench.recover("a", Recovered { touched_at_ms, ..FOUND });
    bench.pass(599);
    assert_eq!(bench.handle(Input::Tick), []);
    bench.pass(1);
    assert!(
        bench.handle(Input::Tick).contains(&Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }))
    );
}

#[test]
fn the_time_without_a_host_can_be_left_out_of_idleness() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    let (from_ms, to_ms) = (bench.now.wall_ms - 5_000, bench.now.wall_ms);
    bench.handle(Input::Absent { from_ms, to_ms });
    let (run, _) = bench.recover("a", Recovered { touched_at_ms: from_ms - 400, ..FOUND });
    assert_eq!(bench.pool.next_deadline(), Some(600));
    bench.pass(600);
    assert!(asks_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn what_the_host_before_still_uses_is_not_idle() {
    let mut bench = Bench::new(Config { idle_after_ms: Some(1_000), ..config() });
    bench.leases.used_when_opened = true;
    let (run, _) = bench.recover("a", FOUND);
    bench.pass(5_000);
    assert!(!asks_to_stop(&bench.handle(Input::Tick), run));
    bench.leases.end_use(run, bench.now.wall_ms);
    bench.pass(1_000);
    assert!(asks_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn its_own_rules_hold_on() {
    let rules =
        RunRules { idle_after_ms: Some(Some(50)), stop_timeout_ms: Some(7), is_warm: false };
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", Recovered { rules, ..FOUND });
    assert_eq!(bench.pool.next_deadline(), Some(50));
    bench.kill("a");
    bench.pass(7);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
}

#[test]
fn what_has_been_ready_for_long_is_no_failed_start_when_it_crashes() {
    let backoff = Backoff { min_uptime_ms: 1_000, ..config().backoff };
    let crash = || Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() });
    for (ready_for_ms, failing) in [(1_000, 0), (999, 1)] {
        let mut bench = Bench::new(Config { backoff, ..config() });
        let ready_for_ms = Some(ready_for_ms);
        let (run, _) = bench.recover("a", Recovered { ready_for_ms, ..FOUND });
        assert_eq!(exit_reason(&bench.fact(run, crash())), Some(ExitReason::Crashed));
        assert_eq!(bench.pool.figures().failing, failing, "ready for {ready_for_ms:?}");
    }
}

#[test]
fn a_key_that_has_failed_here_is_forgiven_when_it_is_found_ready() {
    let mut bench = Bench::new(config());
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.exit(run);
    assert_eq!(bench.pool.figures().failing, 1);
    bench.recover("a", FOUND);
    assert_eq!(bench.pool.figures().failing, 0);
}

#[test]
fn calls_that_wait_for_the_key_get_it() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    bench.running("b");
    let (call, _) = bench.ensure("a");
    let (run, actions) = bench.recover("a", FOUND);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}

#[test]
fn a_restart_that_waits_for_the_key_replaces_it() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    bench.running("b");
    let (call, _) = bench.restart("a");
    let (run, actions) = bench.recover("a", FOUND);
    assert!(answer(&actions, call).is_none() && asks_to_stop(&actions, run));
}

#[test]
fn a_start_of_the_key_that_is_under_way_gives_way_to_it() {
    let mut bench = Bench::new(config());
    let (call, actions) = bench.ensure("a");
    let starting = started(&actions).expect("it starts");
    bench.process(starting);
    let (run, actions) = bench.recover("a", FOUND);
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
    assert!(asks_to_stop(&actions, starting));
    assert_eq!(exit_reason(&bench.exit(starting)), Some(ExitReason::Replaced));
}

#[test]
fn a_warm_key_that_is_found_alive_is_kept_up() {
    let warm = Recovered { rules: WARM, ..FOUND };
    let mut bench = Bench::new(Config { idle_after_ms: Some(10), ..config() });
    let (run, _) = bench.recover("a", warm);
    assert_eq!(bench.pool.next_deadline(), None, "it is never idle");
    assert!(bench.warm("a").is_empty(), "it is up");
    let actions = bench.fact(run, Fact::Exited(Exit { exit_code: Some(1), ..Exit::default() }));
    assert!(starts(&actions, "a"), "and comes back");
}

#[test]
fn a_warm_key_that_died_without_a_host_comes_back() {
    let part = Part::HasEnded { reason: None };
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", Recovered { rules: WARM, part, ..FOUND });
    assert!(starts(&bench.exit(run), "a"));
    let part = Part::HasEnded { reason: Some(ExitReason::Killed) };
    let (run, _) = bench.recover("b", Recovered { rules: WARM, part, ..FOUND });
    assert!(!starts(&bench.exit(run), "b"), "it was to end");
}

#[test]
fn one_that_has_ended_holds_neither_its_key_nor_room() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let (run, actions) =
        bench.recover("a", Recovered { part: Part::HasEnded { reason: None }, ..FOUND });
    assert!(matches!(first_event(&actions), Some(Event::Recover { .. })));
    assert_eq!(bench.pool.figures(), Figures::default());
    let other = bench.running("a");
    let crash = Exit { exit_code: Some(3), signal: None, cpu_ms: Some(9), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(crash));
    let reason = ExitReason::Crashed;
    let exit = Event::Exit { run, exit_code: Some(3), signal: None, reason, out_of_memory: None };
    let release = Action::Release { run, keeps_port: false };
    assert_eq!(actions, [Action::Emit(exit), release]);
    assert_eq!(bench.ensure("a").1, [Action::Settle { call: 2, outcome: Outcome::Tenant(other) }]);
}

#[test]
fn an_end_without_a_host_is_remembered_with_its_true_reason() {
    let mut bench = Bench::new(Config { observe_interval_ms: Some(100), ..config() });
    let part = Part::HasEnded { reason: Some(ExitReason::IdleKilled) };
    let (run, _) = bench.recover("a", Recovered { part, ..FOUND });
    let exit = Exit { signal: Some(15), cpu_ms: Some(3), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(exit));
    let (cpu_ms, rss_bytes) = (FOUND.cpu_ms, 0);
    assert_eq!(first_event(&actions), Some(&Event::Observation { run, cpu_ms, rss_bytes }));
    assert_eq!(exit_reason(&actions), Some(ExitReason::IdleKilled));
    let exit = bench.pool.status("a", bench.now).and_then(|status| status.history.last_exit);
    let exit = exit.expect("it is remembered");
    assert_eq!((exit.reason, exit.signal), (ExitReason::IdleKilled, None), "our own SIGTERM");
}

#[test]
fn dispose_waits_for_ends_that_are_to_be_told() {
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", Recovered { part: Part::HasEnded { reason: None }, ..FOUND });
    let (call, actions) = bench.dispose();
    assert_eq!(answer(&actions, call), None);
    assert!(!bench.pool.is_empty());
    assert_eq!(answer(&bench.exit(run), call), Some(&Outcome::Done));
    assert!(bench.pool.is_empty());
}

#[test]
fn one_that_was_being_ended_keeps_its_keys_place_until_it_has() {
    let part = Part::Ends { reason: ExitReason::Killed, within_ms: 600 };
    let mut bench = Bench::new(config());
    let (run, actions) = bench.recover("a", Recovered { part, ..FOUND });
    assert!(!asks_to_stop(&actions, run), "it was asked already");
    let (call, actions) = bench.ensure("a");
    assert!(!starts(&actions, "a"));
    bench.pass(600);
    assert!(forces_to_stop(&bench.handle(Input::Tick), run));
    let exit = Exit { signal: Some(9), ..Exit::default() };
    let actions = bench.fact(run, Fact::Exited(exit));
    assert_eq!(exit_reason(&actions), Some(ExitReason::Killed));
    assert!(starts(&actions, "a") && answer(&actions, call).is_none());
}

#[test]
fn one_that_was_killed_as_it_had_not_woken_has_crashed_and_the_signal_was_the_hosts() {
    let part = Part::Ends { reason: ExitReason::Crashed, within_ms: 600 };
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", Recovered { part, ..FOUND });
    let exit = Exit { signal: Some(9), ..Exit::default() };
    let told = events(&bench.fact(run, Fact::Exited(exit)));
    let expected = Event::Exit {
        run,
        exit_code: None,
        signal: None,
        reason: ExitReason::Crashed,
        out_of_memory: None,
    };
    assert_eq!(told.last(), Some(&expected));
}

#[test]
fn one_that_never_was_ready_does_not_count_as_running() {
    let part = Part::Ends { reason: ExitReason::Killed, within_ms: 600 };
    let mut bench = Bench::new(config());
    let (run, _) = bench.recover("a", Recovered { part, ready_for_ms: None, ..FOUND });
    let Figures { running, total, .. } = bench.pool.figures();
    assert_eq!((running, total), (0, 1));
    bench.exit(run);
    assert_eq!(bench.pool.figures().failing, 0, "it did not fail by itself");
}

const NEWER: Recovered = Recovered { found: 2, pid: 5_001, release: Release(4), ..FOUND };
const OLDER: Recovered = Recovered { found: 1, release: Release(3), ..FOUND };

#[test]
fn a_release_that_had_retired_goes_on_retiring_in_either_order() {
    let retires = Recovered { part: Part::Retires { for_ms: 900 }, ..OLDER };
    for retired_first in [true, false] {
        let mut bench = Bench::new(config());
        let found = [("a", retires), ("a", NEWER)];
        let order = if retired_first { [0, 1] } else { [1, 0] };
        let runs = order.map(|index| (index, bench.recover(found[index].0, found[index].1).0));
        let run_of = |part| runs.iter().find(|(index, _)| *index == part).expect("both").1;
        let (retired, serving) = (run_of(0), run_of(1));
        let (call, actions) = bench.ensure("a");
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(serving)));
        bench.pass(900);
        assert!(asks_to_stop(&bench.handle(Input::Tick), retired));
        assert_eq!(exit_reason(&bench.exit(retired)), Some(ExitReason::Replaced));
        assert_eq!(bench.phase("a"), Some(Phase::Ready));
    }
}

#[test]
fn a_release_that_had_retired_does_not_serve_again() {
    let retires = Recovered { part: Part::Retires { for_ms: 900 }, ..OLDER };
    let mut bench = Bench::new(config());
    bench.recover("a", retires);
    let (_, actions) = bench.ensure("a");
    assert!(starts(&actions, "a"), "beside what retires");
}

#[test]
fn of_two_that_serve_the_later_release_does() {
    for found in [[OLDER, NEWER], [NEWER, OLDER]] {
        let mut bench = Bench::new(config());
        bench.handle(Input::DrainTime { ms: 50 });
        let runs = found.map(|process| (process.found, bench.recover("a", process)));
        let run_of = |found| &runs.iter().find(|(number, _)| *number == found).expect("both").1;
        let ((older, _), (newer, _)) = (run_of(1), run_of(2));
        let retires = Action::Retire { run: *older, for_ms: 50 };
        assert!(runs.iter().any(|(_, (_, actions))| actions.contains(&retires)));
        let (call, actions) = bench.ensure("a");
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(*newer)));
        bench.pass(50);
        assert!(asks_to_stop(&bench.handle(Input::Tick), *older));
    }
}

#[test]
fn the_next_release_is_later_than_any_that_was_found() {
    let mut bench = Bench::new(config());
    bench.recover("a", NEWER);
    let actions = bench.deploy("a", 0).1;
    let release = actions.iter().find_map(|action| match action {
        Action::Start { release, .. } => Some(*release),
        _ => None,
    });
    assert_eq!(release, Some(Release(5)));
}

#[test]
fn a_found_tenant_takes_the_place_of_one_that_was_being_ended() {
    let ends = Part::Ends { reason: ExitReason::Replaced, within_ms: 600 };
    let mut bench = Bench::new(config());
    let (ending, _) = bench.recover("a", Recovered { part: ends, ..OLDER });
    let (serving, _) = bench.recover("a", NEWER);
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(serving)));
    assert_eq!(exit_reason(&bench.exit(ending)), Some(ExitReason::Replaced));
    assert_eq!(bench.phase("a"), Some(Phase::Ready));
}

#[test]
fn a_third_process_of_a_key_is_forced_and_its_exit_told() {
    let mut bench = Bench::new(config());
    bench.recover("a", NEWER);
    bench.recover("a", Recovered { part: Part::Retires { for_ms: 900 }, ..OLDER });
    let (third, actions) = bench.recover("a", Recovered { release: Release(9), ..FOUND });
    assert!(forces_to_stop(&actions, third));
    assert_eq!(exit_reason(&bench.exit(third)), Some(ExitReason::Replaced));
    assert_eq!(bench.pool.figures().total, 2);
}

#[test]
fn of_too_many_the_least_recently_active_leave() {
    let touched = |touched_at_ms| Recovered { touched_at_ms, ..FOUND };
    for order in [[30, 20, 10], [10, 20, 30], [20, 30, 10]] {
        let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
        let found = order.map(|touched_at_ms| {
            let key = touched_at_ms.to_string();
            (touched_at_ms, bench.recover(&key, touched(touched_at_ms)))
        });
        let stopped: Vec<RunId> = found
            .iter()
            .flat_map(|(_, (_, actions))| actions)
            .filter_map(|action| match action {
                Action::Emit(Event::LruEvict { run }) => Some(*run),
                _ => None,
            })
            .collect();
        let mut left = found.iter().filter(|(_, (run, _))| !stopped.contains(run));
        assert_eq!((stopped.len(), left.next().map(|(at_ms, _)| *at_ms)), (2, Some(30)));
        assert!(!starts(&bench.ensure("d").1, "d"), "too many are alive");
        assert_eq!(exit_reason(&bench.exit(stopped[0])), Some(ExitReason::LruEvicted));
    }
}

#[test]
fn of_too_many_a_warm_one_stays() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let warm = Recovered { rules: WARM, touched_at_ms: 1, ..FOUND };
    bench.recover("a", warm);
    let (run, actions) = bench.recover("b", Recovered { touched_at_ms: 9, ..FOUND });
    assert!(asks_to_stop(&actions, run));
}

#[test]
fn of_too_many_warm_ones_some_leave() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let warm = |touched_at_ms| Recovered { rules: WARM, touched_at_ms, ..FOUND };
    let (first, _) = bench.recover("a", warm(1));
    let (_, actions) = bench.recover("b", warm(2));
    assert!(asks_to_stop(&actions, first));
    assert!(!starts(&bench.exit(first), "a"), "it stands aside");
}

#[test]
fn connections_are_looked_for_before_one_of_too_many_leaves() {
    let connected = Config { max_concurrent: 1, heeds_connections: true, ..config() };
    let mut bench = Bench::new(connected);
    let (first, _) = bench.recover("a", Recovered { touched_at_ms: 1, ..FOUND });
    let (second, actions) = bench.recover("b", Recovered { touched_at_ms: 2, ..FOUND });
    assert!(actions.contains(&Action::LookForConnections));
    let actions = bench.handle(Input::Connections { open: vec![first], seen: true });
    assert!(asks_to_stop(&actions, second));
}

#[test]
fn a_tenant_that_is_found_has_no_tenure() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let (run, _) = bench.recover("a", FOUND);
    assert!(asks_to_stop(&bench.ensure("b").1, run));
}

#[test]
fn one_that_ends_is_not_found_too_many() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let ends = Part::Ends { reason: ExitReason::Killed, within_ms: 600 };
    bench.recover("a", Recovered { part: ends, ..FOUND });
    let (run, actions) = bench.recover("b", FOUND);
    assert!(!asks_to_stop(&actions, run), "its place comes free");
}

#[test]
fn what_is_found_after_dispose_is_stopped() {
    let mut bench = Bench::new(config());
    bench.dispose();
    let (run, actions) = bench.recover("a", FOUND);
    assert!(asks_to_stop(&actions, run));
    assert_eq!(exit_reason(&bench.exit(run)), Some(ExitReason::Disposed));
}

#[test]
fn what_is_found_while_draining_goes_on() {
    let mut bench = Bench::new(config());
    bench.handle(Input::Drain);
    let (run, _) = bench.recover("a", FOUND);
    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(run)));
}
