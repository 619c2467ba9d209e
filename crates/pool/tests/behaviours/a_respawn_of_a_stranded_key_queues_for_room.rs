//! A restart takes its own room over. Once that restart has been refused, a later `ensure` of the
//! key does not: it queues behind those that wait for room already.

use crate::support::*;
use pool::*;

#[test]
fn keys_that_waited_for_room_before_are_served_first() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..external() });
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    let (restart, _) = bench.restart("a");
    let actions = bench.refuse_stop(run, StopStage::Ask);
    assert!(matches!(refusal(&actions, restart), Some(Refusal::StopRefused { .. })));

    let (_, actions) = bench.ensure("b");
    assert!(asks_to_stop(&actions, run), "room is wanted");
    bench.ensure("a");
    let actions = bench.exit(run);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Restarted));
    assert!(starts(&actions, "b") && !starts(&actions, "a"));
}

#[test]
fn its_room_counts_as_about_to_become_free() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..external() });
    let bystander = bench.running("b");
    let run = started(&bench.ensure("a").1).expect("it starts");
    bench.process(run);
    bench.restart("a");
    bench.refuse_stop(run, StopStage::Ask);

    bench.ensure("a");
    let (_, actions) = bench.ensure("c");
    assert!(!asks_to_stop(&actions, bystander), "no other tenant has to leave");
}
