//! A fleet in a simulated world: random stories with faults, and after each step what must hold.
//!
//! A story follows from its seed. When one fails, the seed and the story are printed, and
//! `FLEET_SEED=<seed> cargo test -p fleet --test simulation` tells just that one again.
//! `FLEET_STORIES=<n>` tells more (or fewer) than usual. The workspace builds this package's tests,
//! this file included, with `opt-level = 3`.

mod simulation {
    pub mod delays;
    pub mod host;
    pub mod store;
    pub mod story;
    pub mod visitors;
    pub mod world;
}

use simulation::story;
use stories::Teller;

const SIMULATION: Teller = Teller { of: "FLEET", stories: 10_000, tell: story::tell };

#[test]
fn every_story_ends_well() {
    SIMULATION.every_story_ends_well();
}

/// The value depends on nothing but its inputs.
#[test]
fn a_seed_is_a_story() {
    SIMULATION.a_seed_is_a_story(100);
}

/// Bugs that are there on purpose (`src/planted.rs`); the rarest takes some ten thousand stories.
///
/// `cargo test -p fleet --features planted --test simulation planted -- --nocapture` says in how
/// many each is found.
#[cfg(feature = "planted")]
#[test]
fn every_planted_bug_is_found() {
    SIMULATION.every_planted_bug_is_found(40_000, fleet::BUGS, fleet::plant);
}
