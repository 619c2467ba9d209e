//! With `heeds_connections` a tenant with an open connection makes room only when no other can,
//! and connections are looked for before a tenant is asked to leave.

use crate::support::*;
use pool::*;

fn full_with(max_concurrent: usize) -> Bench {
    Bench::new(Config { max_concurrent, heeds_connections: true, ..external() })
}

/// Ready tenants with these keys, each used later than the one before, and their tenures over.
fn ready<const N: usize>(bench: &mut Bench, keys: [&str; N]) -> [RunId; N] {
    keys.map(|key| {
        let run = bench.running(key);
        bench.pass(10);
        run
    })
}

fn seen(open: &[RunId]) -> Input {
    Input::Connections { open: open.to_vec(), seen: true }
}

fn evicts(actions: &[Action], run: RunId) -> bool {
    actions == [Action::Emit(Event::LruEvict { run }), Action::Stop { run, stage: StopStage::Ask }]
}

#[test]
fn one_without_connections_leaves_although_it_was_touched_later() {
    let mut bench = full_with(2);
    let [download, unused] = ready(&mut bench, ["download", "unused"]);
    assert_eq!(bench.ensure("third").1, [Action::LookForConnections]);
    assert!(evicts(&bench.handle(seen(&[download])), unused));
}

#[test]
fn among_those_that_are_connected_the_least_recently_touched_leaves() {
    let mut bench = full_with(2);
    let runs = ready(&mut bench, ["a", "b"]);
    bench.leases.touch(runs[0], bench.now.wall_ms);
    bench.ensure("third");
    assert!(evicts(&bench.handle(seen(&runs)), runs[1]));
}

#[test]
fn a_connection_that_has_closed_was_activity_until_then() {
    let mut bench = full_with(3);
    let [closed, unused, other] = ready(&mut bench, ["closed", "unused", "other"]);
    bench.ensure("fourth");
    bench.handle(seen(&[closed]));
    bench.exit(unused);
    bench.pass(1_000);
    bench.ensure("fifth");
    assert!(evicts(&bench.handle(seen(&[])), other), "it was used before the connection closed");
}

#[test]
fn one_look_is_for_all_that_are_to_leave() {
    let mut bench = full_with(3);
    let [first, second, third] = ready(&mut bench, ["a", "b", "c"]);
    assert_eq!(bench.ensure("d").1, [Action::LookForConnections]);
    assert_eq!(bench.ensure("e").1, []);
    let actions = bench.handle(seen(&[first]));
    assert!(asks_to_stop(&actions, second) && asks_to_stop(&actions, third));
    assert_eq!(actions.len(), 4);
}

#[test]
fn a_look_that_began_before_room_was_wanted_does_not_count() {
    let mut bench = Bench::new(Config {
        max_concurrent: 1,
        idle_after_ms: Some(100_000),
        heeds_connections: true,
        ..external()
    });
    let run = bench.running("a");
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections], "the regular one");
    assert_eq!(bench.ensure("b").1, []);
    assert_eq!(bench.handle(seen(&[])), [Action::LookForConnections]);
    assert!(evicts(&bench.handle(seen(&[run])), run), "there is no other tenant");
}

#[test]
fn there_is_no_look_while_the_victim_is_in_its_tenure() {
    let mut bench = full_with(1);
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.pass(50);
    bench.fact(run, Fact::Ready);
    assert_eq!(bench.ensure("b").1, []);
    assert_eq!(bench.pool.next_deadline(), Some(100));
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections]);
    assert!(evicts(&bench.handle(seen(&[])), run));
}

#[test]
fn where_connections_cannot_be_seen_room_is_made_all_the_same() {
    let mut bench = full_with(2);
    let [first, _] = ready(&mut bench, ["a", "b"]);
    bench.ensure("c");
    assert!(evicts(&bench.handle(Input::Connections { open: Vec::new(), seen: false }), first));
}

#[test]
fn no_tenant_leaves_when_the_call_that_waited_was_aborted() {
    let mut bench = full_with(1);
    bench.running("a");
    bench.pass(10);
    let (call, _) = bench.ensure("b");
    bench.abort("b", call);
    assert_eq!(bench.handle(seen(&[])), []);
}
