//! Where another host owns the tenants, or it cannot be found out what there is, every call is
//! refused with that.

use crate::support::*;
use pool::*;

fn in_use() -> Refusal {
    Refusal::InUse { pid: 77, version: None }
}

fn refusing() -> Bench {
    let mut bench = Bench::new(config());
    assert_eq!(bench.handle(Input::Refuse { refusal: in_use() }), []);
    bench
}

#[test]
fn every_call_for_a_key_is_refused() {
    let mut bench = refusing();
    let calls = [bench.ensure("a"), bench.restart("a"), bench.deploy("a", 0), bench.adopt("a")];
    for (call, actions) in calls {
        assert_eq!(refusal(&actions, call), Some(&in_use()));
    }
    let (call, actions) = bench.kill("a");
    assert_eq!(refusal(&actions, call), Some(&in_use()), "the tenant is another's");
}

#[test]
fn those_that_wait_are_refused_too() {
    let mut bench = Bench::new(Config { max_concurrent: 1, ..config() });
    let (starting, actions) = bench.ensure("a");
    let run = started(&actions).expect("it starts");
    let (queued, _) = bench.ensure("b");
    let actions = bench.handle(Input::Refuse { refusal: in_use() });
    for call in [starting, queued] {
        assert_eq!(refusal(&actions, call), Some(&in_use()));
    }
    assert_eq!(bench.fact(run, Fact::StartFailed(Failure::CalledOff)).len(), 1, "its release");
}

#[test]
fn nothing_is_started_without_a_call() {
    let mut bench = refusing();
    assert_eq!(bench.warm("a"), []);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn dispose_and_detach_have_nothing_to_do() {
    let mut bench = refusing();
    for (call, actions) in [bench.detach(), bench.dispose()] {
        assert_eq!(actions, [Action::Settle { call, outcome: Outcome::Done }]);
    }
    let (call, actions) = bench.ensure("a");
    assert_eq!(refusal(&actions, call), Some(&in_use()), "still the first reason");
}

#[test]
fn a_pool_that_was_disposed_of_says_so() {
    let mut bench = Bench::new(config());
    bench.dispose();
    bench.handle(Input::Refuse { refusal: in_use() });
    let (call, actions) = bench.ensure("a");
    assert_eq!(refusal(&actions, call), Some(&Refusal::Disposed));
}
