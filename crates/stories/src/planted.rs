//! Whether stories find bugs that are there on purpose.

use crate::teller::{on_all_processors, quietly};
use crate::{Log, Teller};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A bug, and in which story it was found by which error.
type Found<Bug> = (Bug, Option<(u64, String)>);

impl Teller {
    /// Plants one bug after the other, on all processors, and prints in which story each was found.
    /// `plant` does so for the values of its thread. Panics when one is in none of `stories`.
    /// `<of>_BUG=<name>` in the environment plants that one alone.
    pub fn every_planted_bug_is_found<Bug: Copy + Debug + Send + Sync>(
        &self,
        stories: u64,
        bugs: &[Bug],
        plant: fn(Option<Bug>),
    ) {
        let stories = self.stories_told(stories);
        let bugs: Vec<Bug> = bugs.iter().copied().filter(|bug| self.is_asked_for(bug)).collect();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::<Found<Bug>>::new());
        let plant_some = || {
            while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                plant(Some(*bug));
                // A panic is one way of being found.
                let story = (0..stories)
                    .find_map(|seed| Some((seed, self.told(seed, &mut Log::default()).err()?)));
                found.lock().unwrap_or_else(PoisonError::into_inner).push((*bug, story));
            }
            plant(None);
        };
        quietly(|| on_all_processors(plant_some));
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut missed = Vec::new();
        for (bug, story) in found {
            match story {
                Some((seed, error)) => {
                    println!("{bug:?}: found in story {}: {}", seed + 1, shortened(&error));
                }
                None => {
                    println!("{bug:?}: NOT FOUND in {stories} stories");
                    missed.push(bug);
                }
            }
        }
        assert!(missed.is_empty(), "not found: {missed:?}");
    }

    fn is_asked_for(&self, bug: &impl Debug) -> bool {
        std::env::var(format!("{}_BUG", self.of)).map_or(true, |name| name == format!("{bug:?}"))
    }
}

fn shortened(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::catch_unwind;

    thread_local! {
        static PLANTED: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// A bug is found in the story of its number.
    const FINDS: Teller = Teller {
        of: "NOBODY",
        stories: 10,
        tell: |seed, _| match PLANTED.get() {
            Some(bug) if bug == seed => Err(format!("bug {bug}")),
            _ => Ok(()),
        },
    };

    #[test]
    fn a_bug_that_no_story_finds_is_told() {
        let plant =
            |bugs: &[u64]| FINDS.every_planted_bug_is_found(10, bugs, |bug| PLANTED.set(bug));
        plant(&[3, 9]);
        let panic = catch_unwind(|| plant(&[3, 10])).unwrap_err();
        let text = panic.downcast_ref::<String>().expect("what it panicked with");
        assert_eq!(text, "not found: [10]");
    }
}
