//! A tenant that a caller is counted in use of is not idle, and makes room only when there is no
//! other.

use crate::support::*;
use pool::*;

fn idle_after_a_second() -> Bench {
    Bench::new(Config { idle_after_ms: Some(1_000), ..config() })
}

fn full_with(max_concurrent: usize) -> Bench {
    Bench::new(Config { max_concurrent, ..external() })
}

/// Ready tenants with these keys, each used later than the one before, and their tenures over.
fn ready<const N: usize>(bench: &mut Bench, keys: [&str; N]) -> [RunId; N] {
    keys.map(|key| {
        let run = bench.running(key);
        bench.pass(10);
        run
    })
}

fn victim(actions: &[Action]) -> Option<RunId> {
    actions.iter().find_map(|action| match action {
        Action::Emit(Event::LruEvict { run }) => Some(*run),
        _ => None,
    })
}

#[test]
fn a_use_longer_than_the_idle_time_is_no_idleness_and_its_end_is_activity() {
    let mut bench = idle_after_a_second();
    let run = bench.running("a");
    bench.leases.begin_use(run);
    assert_eq!(bench.tick_when_due(), []);
    bench.pass(700);
    bench.leases.end_use(run, bench.now.wall_ms);
    assert_eq!(bench.tick_when_due(), [], "it was in use 300 ms ago");
    let stopped = bench.tick_when_due();
    assert_eq!(stopped[0], Action::Emit(Event::IdleKill { run, idle_ms: 1_000 }));
}

#[test]
fn a_use_that_begins_in_the_moment_of_the_claim_keeps_the_tenant_from_an_idle_stop() {
    let mut bench = idle_after_a_second();
    let run = bench.running("a");
    bench.leases.used_at_claim.push(run);
    assert_eq!(bench.tick_when_due(), []);
    assert_eq!(bench.pool.next_deadline(), Some(2_000));
}

#[test]
fn the_least_recently_touched_stays_while_it_is_in_use() {
    let mut bench = full_with(2);
    let [used, unused] = ready(&mut bench, ["used", "unused"]);
    bench.leases.begin_use(used);
    assert_eq!(victim(&bench.ensure("third").1), Some(unused));
}

#[test]
fn a_use_that_begins_in_the_moment_of_the_claim_makes_another_one_leave() {
    let mut bench = full_with(2);
    let [first, second] = ready(&mut bench, ["a", "b"]);
    bench.leases.used_at_claim.push(first);
    assert_eq!(victim(&bench.ensure("c").1), Some(second));
}

#[test]
fn where_all_are_in_use_the_least_recently_touched_leaves() {
    let mut bench = full_with(2);
    let [first, second] = ready(&mut bench, ["a", "b"]);
    bench.leases.begin_use(first);
    bench.leases.begin_use(second);
    assert_eq!(victim(&bench.ensure("c").1), Some(first));
}

#[test]
fn a_tenant_with_an_open_connection_leaves_before_one_in_use() {
    let mut bench = Bench::new(Config { max_concurrent: 2, heeds_connections: true, ..external() });
    let [used, connected] = ready(&mut bench, ["used", "connected"]);
    bench.leases.begin_use(used);
    assert_eq!(bench.ensure("third").1, [Action::LookForConnections]);
    let seen = Input::Connections { open: vec![connected], seen: true };
    assert_eq!(victim(&bench.handle(seen)), Some(connected));
}

#[test]
fn a_kill_does_not_wait_for_uses() {
    let mut bench = full_with(1);
    let run = bench.running("a");
    bench.leases.begin_use(run);
    assert!(asks_to_stop(&bench.kill("a").1, run));
}
