//! Does one operation of the pool a number of times and nothing else, for a tool that counts
//! instructions: `instructions <operation> <tenants> <times>`. `npm run bench -- instructions` runs
//! it with two numbers of times and compares the difference with the budgets.

#[path = "../benches/support/mod.rs"]
mod support;

use std::hint::black_box;
use support::World;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [operation, tenants, times] = arguments.as_slice() else {
        panic!("usage: instructions <operation> <tenants> <times>");
    };
    let tenants = tenants.parse().expect("tenants is a number");
    let times: usize = times.parse().expect("times is a number");
    match operation.as_str() {
        "ensure-of-a-ready-key" => {
            let mut world = World::roomy(tenants);
            let key: pool::Key = "tenant-1".into();
            repeat(times, || drop(black_box(world.ensure(key.clone()))));
        }
        "ensure-start-ready-exit" => {
            let mut world = World::roomy(tenants);
            repeat(times, || drop(black_box(world.start_and_end_another())));
        }
        "ensure-with-an-eviction" => {
            let mut world = World::full(tenants);
            repeat(times, || {
                black_box(world.evict_for_another());
            });
        }
        "tick-with-nothing-due" => {
            let mut world = World::roomy(tenants);
            repeat(times, || drop(black_box(world.tick())));
        }
        "stats" => {
            let world = World::roomy(tenants);
            repeat(times, || {
                black_box(black_box(&world).stats());
            });
        }
        unknown => panic!("no operation is called {unknown}"),
    }
}

fn repeat(times: usize, mut operation: impl FnMut()) {
    for _ in 0..times {
        operation();
    }
}
