//! With `evicts_by_cost` who holds most memory for longest, for each millisecond of its own start,
//! makes room.

use crate::support::*;
use pool::*;

/// A tenant that took so long to start, and uses so much memory.
fn costing(bench: &mut Bench, key: &str, start_ms: u64, rss_bytes: u64) -> RunId {
    let run = started(&bench.ensure(key).1).expect("there is room");
    bench.process(run);
    bench.pass(start_ms);
    bench.fact(run, Fact::Ready);
    bench.fact(run, Fact::Sampled { cpu_ms: 1, rss_bytes, regular: false });
    run
}

fn bench() -> Bench {
    Bench::new(Config { max_concurrent: 2, evicts_by_cost: true, ..config() })
}

fn victim(bench: &mut Bench) -> RunId {
    bench.pass(10_000);
    let told = events(&bench.ensure("c").1);
    let [Event::LruEvict { run }] = told[..] else { panic!("{told:?}") };
    run
}

#[test]
fn of_two_starts_alike_the_larger_leaves() {
    let mut bench = bench();
    costing(&mut bench, "a", 100, 1_000_000);
    let large = costing(&mut bench, "b", 100, 9_000_000);
    assert_eq!(victim(&mut bench), large);
}

#[test]
fn of_two_sizes_alike_the_one_that_is_started_sooner_leaves() {
    let mut bench = bench();
    costing(&mut bench, "a", 900, 1_000_000);
    let quick = costing(&mut bench, "b", 100, 1_000_000);
    assert_eq!(victim(&mut bench), quick);
}

#[test]
fn of_all_else_alike_the_one_that_was_not_used_for_longer_leaves() {
    let mut bench = bench();
    let older = costing(&mut bench, "a", 100, 1_000_000);
    costing(&mut bench, "b", 100, 1_000_000);
    assert_eq!(victim(&mut bench), older);
}

#[test]
fn what_is_in_use_leaves_last_whatever_it_costs() {
    let mut bench = bench();
    let large = costing(&mut bench, "a", 100, 9_000_000);
    let small = costing(&mut bench, "b", 100, 1_000);
    bench.leases.begin_use(large);
    assert_eq!(victim(&mut bench), small);
}
