//! The pool in a simulated world: random stories with faults, and after each step every property.
//!
//! A story follows from its seed. When one fails, the seed and the story are printed, and
//! `POOL_SEED=<seed> cargo test -p pool --test simulation` tells just that one again.
//! `POOL_STORIES=<n>` tells more (or fewer) than usual. The workspace builds this package's tests,
//! this file included, with `opt-level = 3`.

mod simulation {
    pub mod answers;
    pub mod book;
    pub mod delays;
    pub mod effects;
    pub mod evictions;
    pub mod idleness;
    pub mod images;
    pub mod inputs;
    pub mod last_uses;
    pub mod leases;
    pub mod lives;
    pub mod origins;
    pub mod processes;
    pub mod properties;
    pub mod questions;
    pub mod records;
    pub mod recovery;
    pub mod releases;
    pub mod rules;
    pub mod sleep;
    pub mod snapshot_driver;
    pub mod statuses;
    pub mod story;
    pub mod warm;
    pub mod world;
}

use simulation::story;
use stories::{Log, Teller, caught};

const SIMULATION: Teller =
    Teller { of: "POOL", stories: 100_000, tell: |seed, log| story::tell(seed, None, log) };

/// Stories in which the host is lost after each of so many steps.
const SEEDS_OF_LOSSES: u64 = 60;
const STEPS_WITH_A_LOSS: u64 = 80;

#[test]
fn every_story_ends_well() {
    SIMULATION.every_story_ends_well();
}

/// The pool depends on nothing but its inputs.
#[test]
fn a_seed_is_a_story() {
    SIMULATION.a_seed_is_a_story(500);
}

/// The same stories, each with a host that is lost or leaves after one step more.
#[test]
fn a_host_may_be_lost_at_every_step() {
    for seed in 0..SEEDS_OF_LOSSES {
        for step in 1..=STEPS_WITH_A_LOSS {
            let tell = |log: &mut Log| caught(|| story::tell(seed, Some(step), log));
            let mut log = Log::default();
            if tell(&mut log).is_err() {
                log.wanted = true;
                let error = tell(&mut log).expect_err("it failed");
                panic!("{}\n\nseed {seed}, lost at step {step}: {error}", log.lines.join("\n"));
            }
        }
    }
}

/// Bugs that are there on purpose (`src/planted.rs`); the rarest takes some ten thousand stories.
///
/// `cargo test -p pool --features planted --test simulation planted -- --nocapture` says in how
/// many each is found.
#[cfg(feature = "planted")]
#[test]
fn every_planted_bug_is_found() {
    SIMULATION.every_planted_bug_is_found(100_000, pool::BUGS, pool::plant);
}
