//! Measures what a read of `/proc` costs by hand and through `procfs`, in CPU time, which a busy
//! machine distorts little. Run with `cargo test --release --lib what_a_read_costs -- --ignored
//! --nocapture --test-threads=1`.

use rustix::time::{ClockId, clock_gettime};

const READS: u32 = 2_000;
const ROUNDS: usize = 10;

/// Prints the CPU time of one read, in the fastest of the rounds.
pub fn print<T, U>(what: &str, by_hand: impl Fn() -> T, with_procfs: impl Fn() -> U) {
    println!("{what}: {} ns by hand, {} ns with procfs", least_ns(by_hand), least_ns(with_procfs));
}

#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn least_ns<T>(read: impl Fn() -> T) -> u64 {
    let used_ns = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        used.tv_sec.cast_unsigned() * 1_000_000_000 + used.tv_nsec.cast_unsigned()
    };
    let rounds = (0..ROUNDS).map(|_| {
        let before_ns = used_ns();
        (0..READS).for_each(|_| drop(std::hint::black_box(read())));
        (used_ns() - before_ns) / u64::from(READS)
    });
    rounds.min().unwrap_or(0)
}
