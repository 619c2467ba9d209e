//! Whether the simulation finds bugs that are there on purpose (`src/planted.rs`), and in how many
//! stories.
//!
//! `cargo test -p fleet --features planted --test simulation planted -- --nocapture` says so of
//! each. `FLEET_STORIES=<n>` tells more of them, or fewer.

use fleet::{BUGS, Bug, plant};

/// The rarest takes some ten thousand.
const STORIES: u64 = 40_000;

#[test]
fn every_planted_bug_is_found() {
    let stories = crate::number_from_environment("FLEET_STORIES").unwrap_or(STORIES);
    // A panic is one way of being found.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<(Bug, Option<(u64, String)>)> = BUGS
        .iter()
        .filter(is_asked_for)
        .map(|bug| (*bug, first_story_with(*bug, stories)))
        .collect();
    std::panic::set_hook(hook);
    for (bug, story) in &found {
        match story {
            Some((told, error)) => println!("{bug:?}: found in story {told}: {}", shortened(error)),
            None => println!("{bug:?}: NOT FOUND in {stories} stories"),
        }
    }
    let missed: Vec<&Bug> =
        found.iter().filter(|(_, story)| story.is_none()).map(|(bug, _)| bug).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// `FLEET_BUG=<name>` plants that one alone.
fn is_asked_for(bug: &&Bug) -> bool {
    std::env::var("FLEET_BUG").map_or(true, |name| name == format!("{bug:?}"))
}

/// How many stories were told until one showed it, and what was wrong there.
fn first_story_with(bug: Bug, stories: u64) -> Option<(u64, String)> {
    plant(Some(bug));
    let found = (0..stories).find_map(|seed| {
        let error = crate::tell(seed, &mut super::log::Log::default()).err()?;
        Some((seed + 1, error))
    });
    plant(None);
    found
}

fn shortened(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(120).collect()
}
