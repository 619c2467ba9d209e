//! Starts queue at the gate first come, first served, and a start that waits for something else
//! than a processor does not hold the others up.

use crate::support::*;
use pool::*;

#[test]
fn first_come_first_served() {
    let mut bench =
        Bench::new(Config { gate: GateConfig { width: Some(1), patience_ms: None }, ..config() });
    let mut run = started(&bench.ensure("a").1).expect("it starts");
    for key in ["c", "b", "d"] {
        assert_eq!(bench.ensure(key).1, []);
    }
    for key in ["c", "b", "d"] {
        bench.process(run);
        let actions = bench.fact(run, Fact::Ready);
        assert!(starts(&actions, key), "it is the turn of {key}");
        run = started(&actions).expect("just seen");
    }
}

#[test]
fn a_start_beyond_its_patience_lets_the_next_one_in() {
    let gate = GateConfig { width: Some(1), patience_ms: Some(2_000) };
    let mut bench = Bench::new(Config { gate, ..config() });
    let slow = started(&bench.ensure("slow").1).expect("it starts");
    bench.ensure("next");
    assert!(starts(&bench.tick_when_due(), "next"));
    assert_eq!(bench.now.steady_ms, 2_000);
    bench.process(slow);
    assert!(!bench.fact(slow, Fact::Ready).is_empty(), "it goes on coming up");
}

#[test]
fn a_start_that_is_called_off_gives_its_place_back() {
    let mut bench =
        Bench::new(Config { gate: GateConfig { width: Some(1), patience_ms: None }, ..config() });
    bench.ensure("a");
    bench.ensure("b");
    assert!(starts(&bench.kill("a").1, "b"));
}
