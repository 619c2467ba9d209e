//! Whether stories find bugs that are there on purpose.

use crate::teller::quietly;
use crate::{Log, Teller};
use std::fmt::Debug;

impl Teller {
    /// Plants one bug after the other, and prints in which story each was found. Panics when one is
    /// in none of `stories`. `<of>_BUG=<name>` in the environment plants that one alone.
    pub fn every_planted_bug_is_found<Bug: Copy + Debug>(
        &self,
        stories: u64,
        bugs: &[Bug],
        plant: fn(Option<Bug>),
    ) {
        let stories = self.stories_told(stories);
        let mut missed = Vec::new();
        for bug in bugs.iter().filter(|bug| self.is_asked_for(bug)) {
            plant(Some(*bug));
            // A panic is one way of being found.
            let found = quietly(|| {
                (0..stories)
                    .find_map(|seed| Some((seed, self.told(seed, &mut Log::default()).err()?)))
            });
            plant(None);
            match found {
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
