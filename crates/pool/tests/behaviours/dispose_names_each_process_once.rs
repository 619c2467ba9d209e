//! `dispose` that cannot end a process rejects with that process, and can be called again.

use crate::support::*;
use pool::*;

#[test]
fn a_process_that_refuses_again_is_named_once() {
    let mut bench = Bench::new(external());
    let (one, other) = (bench.running("a"), bench.running("b"));
    let (first, _) = bench.dispose();
    bench.refuse_stop(one, StopStage::Ask);
    let (second, actions) = bench.dispose();
    assert!(asks_to_stop(&actions, one), "it is asked again");
    bench.refuse_stop(one, StopStage::Ask);

    let actions = bench.exit(other);
    let expected = Refusal::StillTracked { refused: vec![(one, unwilling())] };
    assert_eq!(refusal(&actions, first), Some(&expected));
    assert_eq!(refusal(&actions, second), Some(&expected));

    let (third, _) = bench.dispose();
    assert_eq!(answer(&bench.exit(one), third), Some(&Outcome::Done));
}
