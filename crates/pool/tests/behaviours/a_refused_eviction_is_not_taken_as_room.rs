//! A tenant that refuses to be evicted goes on holding room. The next victim is asked for the key
//! that waits; when all have refused, its call is answered with the refusal.

use crate::support::*;
use pool::*;

#[test]
fn the_next_victim_is_asked_and_then_the_caller_hears_of_the_refusal() {
    let mut bench = Bench::new(Config { max_concurrent: 2, ..external() });
    let oldest = bench.running("a");
    bench.pass(1);
    let newer = bench.running("b");
    bench.pass(1);
    let (waiting, actions) = bench.ensure("c");
    assert!(asks_to_stop(&actions, oldest));

    let actions = bench.refuse_stop(oldest, StopStage::Ask);
    assert_eq!(started(&actions), None);
    assert!(asks_to_stop(&actions, newer), "it is the next one's turn");

    let actions = bench.refuse_stop(newer, StopStage::Ask);
    let expected = Refusal::StopRefused { run: newer, failure: unwilling() };
    assert_eq!(refusal(&actions, waiting), Some(&expected));
    assert_eq!(bench.pool.stats(bench.now).running, 2);

    let (call, actions) = bench.ensure("a");
    assert_eq!(answer(&actions, call), Some(&Outcome::Tenant(oldest)), "it is a tenant as before");
}
