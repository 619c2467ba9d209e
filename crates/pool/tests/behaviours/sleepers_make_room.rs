//! Sleepers hold no room; whoever needs some has the least recently active fall asleep.

use crate::support::*;
use pool::*;

fn for_one() -> Config {
    Config { max_concurrent: 1, ..sleepy() }
}

#[test]
fn a_sleeper_holds_no_room_and_is_counted_all_the_same() {
    let mut bench = Bench::new(for_one());
    bench.asleep("a");
    bench.running("b");
    let Stats { running, total, .. } = bench.pool.stats(bench.now);
    assert_eq!((running, total), (2, 2));
    let Figures { total, asleep, .. } = bench.pool.figures();
    assert_eq!((total, asleep), (2, 1));
}

#[test]
fn a_start_has_the_least_recently_active_fall_asleep_before_its_time() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..sleepy() });
    let (older, newer) = (bench.running("a"), bench.running("b"));
    bench.pass(500);
    bench.leases.touch(newer, bench.now.wall_ms);
    let (_, actions) = bench.ensure("c");
    assert_eq!(actions, [Action::LookForConnections]);
    assert_eq!(bench.look(&[]), [Action::LookAtActivity { run: older }]);
    assert!(rests(&bench.fact(older, QUIET), older, Depth::Frozen));
    assert_eq!(started(&bench.fact(older, frozen())), None, "it holds its room until it sleeps");
    assert!(started(&bench.look(&[])).is_some());
}

#[test]
fn one_that_is_kept_awake_leaves_the_next_one_to_be_asked_and_then_a_tenant_is_evicted() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..sleepy() });
    let (older, newer) = (bench.running("a"), bench.running("b"));
    bench.pass(500);
    bench.leases.touch(newer, bench.now.wall_ms);
    bench.ensure("c");
    assert_eq!(bench.look(&[older]), [Action::LookForConnections]);
    assert_eq!(bench.look(&[]), [Action::LookAtActivity { run: newer }]);
    let busy = Fact::Activity { outgoing: 0, serves_beside: false, is_busy: true, seen: true };
    let actions = bench.fact(newer, busy);
    assert_eq!(events(&actions), [Event::LruEvict { run: older }]);
}

#[test]
fn one_that_has_just_become_ready_does_not_fall_asleep_for_room() {
    let mut bench = Bench::new(for_one());
    let run = bench.running("a");
    bench.pass(1);
    let (_, actions) = bench.ensure("b");
    assert_eq!(events(&actions), [Event::LruEvict { run }]);
}

#[test]
fn one_that_is_touched_while_it_is_asked_stays() {
    let mut bench = Bench::new(for_one());
    let run = bench.running("a");
    bench.pass(500);
    bench.ensure("b");
    bench.leases.touch(run, bench.now.wall_ms);
    let actions = bench.look(&[]);
    assert!(!rests(&actions, run, Depth::Frozen));
    assert_eq!(actions, [Action::LookForConnections], "it is chosen once more");
}

#[test]
fn a_say_that_takes_its_time_holds_no_start_up() {
    let sleep = Some(Sleep { asks: true, ..SLEEP });
    let mut bench = Bench::new(Config { max_concurrent: 1, sleep, ..config() });
    let run = bench.running("a");
    bench.pass(500);
    bench.ensure("b");
    bench.look(&[]);
    bench.fact(run, QUIET);
    let actions = bench.tick_when_due();
    assert_eq!(bench.now.steady_ms, 1_500);
    assert_eq!(events(&actions), [Event::LruEvict { run }]);
}

#[test]
fn a_sleeper_that_wakes_waits_for_room_before_all_starts() {
    let mut bench = Bench::new(for_one());
    let sleeper = bench.asleep("a");
    let other = bench.running("b");
    bench.pass(1);
    bench.leases.begin_use(other);
    bench.pass(500);
    let (start, _) = bench.ensure("c");
    let (wake, actions) = bench.ensure("a");
    assert!(!wakes(&actions, sleeper), "there is no room: {actions:?}");
    let actions = bench.exit(other);
    assert!(wakes(&actions, sleeper) && started(&actions).is_none(), "{actions:?}");
    let actions = bench.fact(sleeper, Fact::Roused);
    assert_eq!(answer(&actions, wake), Some(&Outcome::Tenant(sleeper)));
    assert_eq!(answer(&actions, start), None);
}

#[test]
fn waking_into_a_full_pool_puts_another_to_sleep() {
    let mut bench = Bench::new(for_one());
    let sleeper = bench.asleep("a");
    let other = bench.running("b");
    bench.pass(500);
    bench.ensure("a");
    bench.look(&[]);
    bench.fact(other, QUIET);
    bench.fact(other, frozen());
    let actions = bench.look(&[]);
    assert!(wakes(&actions, sleeper), "{actions:?}");
    assert_eq!(bench.phase("b"), Some(Phase::Asleep));
}

#[test]
fn beyond_the_most_that_may_sleep_the_least_recently_active_is_stopped() {
    let sleep = Some(Sleep { max_asleep: 1, page_out_after_ms: None, ..SLEEP });
    let mut bench = Bench::new(Config { sleep, ..config() });
    let older = bench.asleep("a");
    let run = bench.running("b");
    bench.tick_when_due();
    let actions = bench.falls_asleep(run);
    assert!(rouses(&actions, older), "{actions:?}");
    let told = events(&bench.fact(older, Fact::Roused));
    let wake = Event::Wake { run: older, depth: Depth::Frozen, by_itself: false };
    assert_eq!(told, [wake, Event::LruEvict { run: older }]);
    assert_eq!(exit_reason(&bench.exit(older)), Some(ExitReason::LruEvicted));
}

#[test]
fn a_stop_of_a_sleeper_takes_no_room() {
    let mut bench = Bench::new(for_one());
    let sleeper = bench.asleep("a");
    bench.running("b");
    bench.kill("a");
    assert!(asks_to_stop(&bench.fact(sleeper, Fact::Roused), sleeper));
    bench.exit(sleeper);
    assert_eq!(bench.pool.stats(bench.now).total, 1);
}
