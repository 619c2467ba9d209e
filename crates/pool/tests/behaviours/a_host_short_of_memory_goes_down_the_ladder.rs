//! While the host is short of memory, one step down each second.

use crate::support::*;
use pool::*;

fn short(bench: &mut Bench) -> Vec<Action> {
    bench.handle(Input::Pressure { is_short: true })
}

fn relieved(bench: &mut Bench) {
    bench.handle(Input::Pressure { is_short: false });
}

#[test]
fn sleepers_are_paged_out_then_tenants_fall_asleep_then_one_is_stopped() {
    let sleep = Some(Sleep { after_ms: 100_000, page_out_after_ms: None, ..SLEEP });
    let mut bench = Bench::new(Config { sleep, ..config() });
    let sleeper = bench.asleep("a");
    let awake = bench.running("b");
    bench.pass(600);
    assert!(rests(&short(&mut bench), sleeper, Depth::PagedOut));
    bench.fact(sleeper, paged_out());
    assert_eq!(bench.tick_when_due(), [Action::LookForConnections]);
    bench.falls_asleep(awake);
    let actions = bench.tick_when_due();
    assert!(rests(&actions, awake, Depth::PagedOut), "{actions:?}");
    bench.fact(awake, paged_out());
    assert!(rouses(&bench.tick_when_due(), sleeper), "the least recently active leaves");
    relieved(&mut bench);
    bench.fact(sleeper, Fact::Roused);
    bench.exit(sleeper);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn without_sleep_the_least_recently_active_that_nothing_uses_is_stopped() {
    let mut bench = Bench::new(config());
    let (older, newer) = (bench.running("a"), bench.running("b"));
    bench.pass(10);
    bench.leases.touch(newer, bench.now.wall_ms);
    bench.leases.begin_use(older);
    let actions = short(&mut bench);
    assert_eq!(events(&actions), [Event::LruEvict { run: newer }]);
    assert!(asks_to_stop(&actions, newer));
    bench.exit(newer);
    assert_eq!(events(&bench.tick_when_due()), [], "what is in use stays");
    relieved(&mut bench);
    assert_eq!(bench.pool.next_deadline(), None);
}

#[test]
fn where_nothing_can_be_paged_out_tenants_are_stopped() {
    let mut bench = Bench::new(sleepy());
    let sleeper = bench.asleep("a");
    bench.tick_when_due();
    bench.fact(sleeper, frozen());
    assert!(rouses(&short(&mut bench), sleeper));
}
