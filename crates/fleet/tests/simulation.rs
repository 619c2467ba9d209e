//! A fleet in a simulated world: random stories with faults, and after each step what must hold.
//!
//! A story follows from its seed. When one fails, the seed and the story are printed, and
//! `FLEET_SEED=<seed> cargo test -p fleet --test simulation` tells just that one again.
//! `FLEET_STORIES=<n>` tells more (or fewer) than usual. The workspace builds this package's tests,
//! this file included, with `opt-level = 3`.

mod simulation {
    pub mod host;
    pub mod log;
    #[cfg(feature = "planted")]
    pub mod planted;
    pub mod rng;
    pub mod store;
    pub mod story;
    pub mod visitors;
    pub mod world;
}

use simulation::log::Log;
use simulation::story;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

const STORIES: u64 = 10_000;

/// The order in which threads take stories; small enough to stop soon after a failure.
const STORIES_AT_ONCE: u64 = 64;

#[test]
fn every_story_ends_well() {
    if let Some(seed) = number_from_environment("FLEET_SEED") {
        return assert_ends_well(seed);
    }
    let stories = number_from_environment("FLEET_STORIES").unwrap_or(STORIES);
    let (next, first_failure) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    // Panics are caught and told with their story; the hook would print each on its own.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(STORIES_AT_ONCE, Ordering::Relaxed);
                    if from >= stories.min(first_failure.load(Ordering::Relaxed)) {
                        return;
                    }
                    for seed in from..(from + STORIES_AT_ONCE).min(stories) {
                        if tell(seed, &mut Log::default()).is_err() {
                            first_failure.fetch_min(seed, Ordering::Relaxed);
                            return;
                        }
                    }
                }
            });
        }
    });
    std::panic::set_hook(hook);
    let seed = first_failure.into_inner();
    if seed != u64::MAX {
        assert_ends_well(seed);
        panic!(
            "seed {seed} failed, and not when it was told again: something is not deterministic"
        );
    }
}

/// The value depends on nothing but its inputs; otherwise no seed could be told again.
#[test]
fn a_seed_is_a_story() {
    for seed in 0..100 {
        let mut logs = [0, 1].map(|_| Log { wanted: true, ..Log::default() });
        for log in &mut logs {
            _ = tell(seed, log);
        }
        let [one, other] = logs;
        let differs = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.lines.len(), other.lines.len(), "seed {seed}");
    }
}

fn assert_ends_well(seed: u64) {
    let mut log = Log { wanted: true, ..Log::default() };
    if let Err(error) = tell(seed, &mut log) {
        let story = log.lines.join("\n");
        panic!("{story}\n\nFLEET_SEED={seed}: {error}");
    }
}

/// A story in which something panics has not ended well either.
fn tell(seed: u64, log: &mut Log) -> Result<(), String> {
    let telling = AssertUnwindSafe(|| story::tell(seed, log));
    catch_unwind(telling).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, got {text:?}")))
}
