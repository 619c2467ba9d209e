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

#[test]
fn connections_are_looked_for_before_a_tenant_is_stopped() {
    let mut bench = Bench::new(Config { heeds_connections: true, ..config() });
    let (older, newer) = (bench.running("a"), bench.running("b"));
    bench.pass(10);
    assert_eq!(short(&mut bench), [Action::LookForConnections]);
    assert_eq!(events(&bench.look(&[older])), [Event::LruEvict { run: newer }]);
}

#[test]
fn the_costliest_is_stopped_first_where_tenants_leave_by_cost() {
    let mut bench = Bench::new(Config { evicts_by_cost: true, ..config() });
    let (small, large) = (bench.running("a"), bench.running("b"));
    for (run, rss_bytes) in [(small, 1_000), (large, 9_000)] {
        bench.fact(run, Fact::Sampled { cpu_ms: 1, rss_bytes, regular: false });
    }
    bench.pass(10);
    assert_eq!(events(&short(&mut bench)), [Event::LruEvict { run: large }]);
}

#[test]
fn a_sleeper_that_could_not_be_paged_out_does_not_keep_the_next_from_being_tried() {
    let mut bench = Bench::new(sleepy());
    let one = bench.asleep("a");
    assert!(rests(&bench.tick_when_due(), one, Depth::PagedOut));
    bench.fact(one, frozen());
    let other = bench.asleep("b");
    assert!(rests(&bench.tick_when_due(), other, Depth::PagedOut));
    bench.fact(other, paged_out());
    let third = bench.asleep("c");
    assert!(rests(&short(&mut bench), third, Depth::PagedOut));
}
