//! Concurrent restarts share one respawn; each gets a process that was started after the first of
//! them.

use crate::support::*;
use pool::*;

#[test]
fn during_the_stop_and_during_the_start() {
    let mut bench = Bench::new(config());
    let old = bench.running("a");
    let (first, actions) = bench.restart("a");
    assert!(asks_to_stop(&actions, old));
    let (second, actions) = bench.restart("a");
    assert_eq!(actions, []);
    let actions = bench.exit(old);
    assert_eq!(exit_reason(&actions), Some(ExitReason::Restarted));
    let new = started(&actions).expect("the respawn");
    let (third, actions) = bench.restart("a");
    assert_eq!(actions, [], "it joins the fresh start");

    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    for call in [first, second, third] {
        assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(new)));
    }
}

#[test]
fn a_start_that_is_older_than_the_call_is_not_fresh_enough() {
    let mut bench = Bench::new(config());
    let (ensure, actions) = bench.ensure("a");
    let old = started(&actions).expect("it starts");
    bench.process(old);
    let (restart, actions) = bench.restart("a");
    assert!(asks_to_stop(&actions, old));
    let new = started(&bench.exit(old)).expect("the respawn");
    bench.process(new);
    let actions = bench.fact(new, Fact::Ready);
    assert_eq!(
        answer(&actions, ensure),
        Some(&Outcome::Tenant(new)),
        "the earlier call goes on waiting"
    );
    assert_eq!(answer(&actions, restart), Some(&Outcome::Tenant(new)));
}

#[test]
fn it_takes_its_own_room_over() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("a");
    bench.restart("a");
    bench.ensure("b");
    assert!(starts(&bench.exit(run), "a"));
}
