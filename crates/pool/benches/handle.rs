//! The pool's hot operations: `cargo bench -p pool`.
//!
//! Times depend on the machine; `examples/instructions.rs` counts what does not.
#![allow(missing_docs, reason = "divan's main")]

mod support;

use divan::{Bencher, black_box};
use support::World;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn ensure_of_a_ready_key(bencher: Bencher, tenants: usize) {
    let mut world = World::roomy(tenants);
    let key: pool::Key = format!("tenant-{}", tenants / 2).into();
    bencher.bench_local(|| world.ensure(black_box(key.clone())));
}

#[divan::bench(args = SIZES)]
fn ensure_start_ready_exit(bencher: Bencher, tenants: usize) {
    let mut world = World::roomy(tenants);
    bencher.bench_local(|| world.start_and_end_another());
}

#[divan::bench(args = SIZES)]
fn ensure_with_an_eviction(bencher: Bencher, tenants: usize) {
    let mut world = World::full(tenants);
    bencher.bench_local(|| world.evict_for_another());
}

#[divan::bench(args = SIZES)]
fn tick_with_nothing_due(bencher: Bencher, tenants: usize) {
    let mut world = World::roomy(tenants);
    bencher.bench_local(|| world.tick());
}

#[divan::bench(args = SIZES)]
fn stats(bencher: Bencher, tenants: usize) {
    let world = World::roomy(tenants);
    bencher.bench_local(|| black_box(&world).stats());
}
