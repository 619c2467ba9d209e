//! A warm tenant makes room only when every other victim is warm, too, and only for a key that a
//! call waits for. Afterwards it waits for a place that no other key wants.

use crate::support::*;
use pool::*;

fn room_for(max_concurrent: usize) -> Bench {
    Bench::new(Config { max_concurrent, ..config() })
}

#[test]
fn the_others_leave_first_however_much_they_are_used() {
    let mut bench = room_for(3);
    let warm = bench.warmed("a");
    bench.pass(10);
    let (used, free) = (bench.running("b"), bench.running("c"));
    bench.leases.begin_use(used);
    bench.pass(1_000);
    let (_, actions) = bench.ensure("d");
    assert!(asks_to_stop(&actions, free));
    let run = started(&bench.exit(free)).expect("there is room");
    bench.process(run);
    bench.fact(run, Fact::Ready);
    bench.leases.begin_use(run);
    bench.pass(1_000);
    let (_, actions) = bench.ensure("e");
    assert!(asks_to_stop(&actions, used) && !asks_to_stop(&actions, warm));
}

#[test]
fn of_warm_ones_the_least_recently_active_leaves() {
    for is_touched in [false, true] {
        let mut bench = room_for(2);
        let first = bench.warmed("a");
        bench.pass(10);
        let second = bench.warmed("b");
        bench.pass(1_000);
        if is_touched {
            bench.ensure("a");
        }
        let (_, actions) = bench.ensure("c");
        let (leaves, stays) = if is_touched { (second, first) } else { (first, second) };
        assert!(asks_to_stop(&actions, leaves) && !asks_to_stop(&actions, stays));
    }
}

#[test]
fn a_retired_one_is_warm_no_longer() {
    let mut bench = room_for(3);
    let before = bench.warmed("a");
    let next = started(&bench.deploy("a", 60_000).1).expect("it starts");
    bench.comes_up(next, WARM);
    let used = bench.running("b");
    bench.leases.begin_use(used);
    bench.pass(1_000);
    let (_, actions) = bench.ensure("c");
    assert!(asks_to_stop(&actions, before) && !asks_to_stop(&actions, used));
}

#[test]
fn asked_for_once_more_while_it_leaves_it_still_drives_nothing_out() {
    let mut bench = room_for(1);
    let warm = bench.warmed("a");
    bench.pass(1_000);
    bench.ensure("b");
    bench.warm("a");
    let guest = started(&bench.exit(warm)).expect("b has the place");
    bench.process(guest);
    bench.fact(guest, Fact::Ready);
    bench.pass(1_000);
    assert_eq!(bench.handle(Input::Tick), []);
}

#[test]
fn it_comes_back_when_a_place_is_free() {
    let mut bench = room_for(1);
    let warm = bench.warmed("a");
    bench.pass(1_000);
    bench.ensure("b");
    let guest = started(&bench.exit(warm)).expect("b has the place");
    bench.process(guest);
    bench.fact(guest, Fact::Ready);
    assert_eq!(bench.phase("a"), Some(Phase::Queued));
    bench.pass(1_000);
    assert_eq!(bench.handle(Input::Tick), [], "it drives nothing out");
    let other = bench.ensure("c").1;
    assert!(asks_to_stop(&other, guest));
    let other = started(&bench.exit(guest)).expect("a caller comes first");
    bench.process(other);
    bench.fact(other, Fact::Ready);
    bench.kill("c");
    assert!(starts(&bench.exit(other), "a"));
}

#[test]
fn a_caller_brings_it_back_like_any_other() {
    let mut bench = room_for(1);
    let warm = bench.warmed("a");
    bench.pass(1_000);
    bench.ensure("b");
    let guest = started(&bench.exit(warm)).expect("b has the place");
    bench.process(guest);
    bench.fact(guest, Fact::Ready);
    bench.pass(1_000);
    let (call, actions) = bench.ensure("a");
    assert!(asks_to_stop(&actions, guest));
    bench.abort("a", call);
    assert!(starts(&bench.exit(guest), "a"), "it has given its place in the queue up to no one");
}

#[test]
fn warm_keys_do_not_drive_each_other_out() {
    let mut bench = room_for(1);
    let first = bench.warmed("a");
    bench.pass(1_000);
    assert_eq!(bench.warm("b"), []);
    assert_eq!(bench.phase("b"), Some(Phase::Queued));
    bench.pass(1_000);
    assert_eq!(bench.handle(Input::Tick), []);
    let second = started(&bench.exit(first)).expect("one of them has the place");
    bench.comes_up(second, WARM);
    bench.pass(60_000);
    assert_eq!(bench.handle(Input::Tick), []);
}

#[test]
fn one_that_stands_aside_is_forgotten_by_a_kill_and_a_drain() {
    for end in [Input::Kill { key: "b".into(), call: 77 }, Input::Drain] {
        let mut bench = room_for(1);
        bench.warmed("a");
        bench.warm("b");
        bench.handle(end.clone());
        assert_eq!(bench.phase("b"), None, "{end:?}");
    }
}

#[test]
fn one_for_which_no_tenant_leaves_stands_aside() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..external() });
    let run = bench.running("a");
    bench.pass(1_000);
    assert!(asks_to_stop(&bench.warm("b"), run));
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(bench.phase("b"), Some(Phase::Queued));
    let (call, actions) = bench.ensure("b");
    assert!(asks_to_stop(&actions, run), "for a call that came after the refusal");
    let actions = bench.refuse_stop(run, StopStage::Ask);
    assert!(matches!(refusal(&actions, call), Some(Refusal::StopRefused { .. })));
    assert!(starts(&bench.exit(run), "b"), "it is warm all the same");
}

#[test]
fn one_whose_call_has_ignored_its_failures_heeds_them_when_that_is_turned_away() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..external() });
    let failed = started(&bench.warm("b")).expect("it starts");
    bench.fact(failed, Fact::StartFailed(unwilling()));
    let run = bench.running("a");
    bench.pass(400);
    assert!(asks_to_stop(&bench.restart("b").1, run));
    bench.refuse_stop(run, StopStage::Ask);
    assert_eq!(started(&bench.exit(run)), None);
    assert_eq!(bench.pool.next_deadline(), Some(1_000));
    assert!(starts(&bench.tick_when_due(), "b"));
}
