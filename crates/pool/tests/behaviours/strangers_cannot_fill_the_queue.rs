//! So many keys wait to be started, and no more: further ones are refused, and those that wait
//! already are not.

use crate::support::*;
use pool::*;

const WAITING_KEYS: usize = 100_000;

/// The bench would check every invariant after each call.
fn call(bench: &mut Bench, input: Input) -> Vec<Action> {
    bench.pool.handle(bench.now, input, &mut bench.leases)
}

#[test]
fn further_keys_are_refused() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let run = bench.running("running");
    for number in 0..WAITING_KEYS {
        let key = number.to_string().into();
        assert_eq!(refusal(&call(&mut bench, Input::Ensure { key, call: 100 }), 100), None);
    }
    let overloaded = Refusal::Overloaded { waiting: WAITING_KEYS };
    let key = Key::from("another");
    let process = HANDED_OVER;
    for input in [
        Input::Ensure { key: key.clone(), call: 1 },
        Input::Restart { key: key.clone(), call: 1 },
        Input::Adopt { key: key.clone(), call: 1, process },
    ] {
        assert_eq!(refusal(&call(&mut bench, input), 1), Some(&overloaded));
    }
    assert_eq!(call(&mut bench, Input::Warm { key: key.clone() }), []);
    assert_ne!(bench.phase(&key), Some(Phase::Queued), "a warm one waits until it may queue");
    assert_eq!(
        call(&mut bench, Input::Ensure { key: "7".into(), call: 2 }),
        [],
        "it waits with the other call"
    );

    let exit = Fact::Exited(Exit { exit_code: Some(0), ..Exit::default() });
    assert!(starts(&call(&mut bench, Input::Fact(run, exit)), "0"));
    assert_eq!(
        refusal(&call(&mut bench, Input::Ensure { key, call: 3 }), 3),
        None,
        "there is a place again"
    );
}
