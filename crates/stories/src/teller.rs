use crate::Log;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Small enough to stop soon after a failure.
const STORIES_AT_ONCE: u64 = 64;

/// Tells the stories of a simulation.
///
/// `<of>_SEED=<seed>` in the environment tells one story alone, and `<of>_STORIES=<n>` more, or
/// fewer, than usual.
pub struct Teller {
    /// What the variables of the environment begin with.
    pub of: &'static str,
    /// How many are usual.
    pub stories: u64,
    /// Tells the story of a seed: what was wrong in it, if anything was.
    pub tell: fn(u64, &mut Log) -> Result<(), String>,
}

impl Teller {
    /// Tells all of them, on all processors. Panics with the first that fails, and its seed.
    pub fn every_story_ends_well(&self) {
        if let Some(seed) = self.number_from_environment("SEED") {
            return self.assert_ends_well(seed);
        }
        let Some(seed) = quietly(|| self.first_failure(self.stories_told(self.stories))) else {
            return;
        };
        self.assert_ends_well(seed);
        panic!(
            "seed {seed} failed, and not when it was told again: something is not deterministic"
        );
    }

    /// Tells so many stories twice. Panics when one differs: what is simulated depends on something
    /// besides its inputs, and no story could be told again.
    pub fn a_seed_is_a_story(&self, seeds: u64) {
        for seed in 0..seeds {
            let [one, other] = [0, 1].map(|_| {
                let mut log = Log::to_be_read();
                _ = self.told(seed, &mut log);
                log.lines
            });
            let differs = one.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differs, None, "seed {seed}");
            assert_eq!(one.len(), other.len(), "seed {seed}");
        }
    }

    pub(crate) fn told(&self, seed: u64, log: &mut Log) -> Result<(), String> {
        caught(|| (self.tell)(seed, log))
    }

    pub(crate) fn stories_told(&self, usual: u64) -> u64 {
        self.number_from_environment("STORIES").unwrap_or(usual)
    }

    fn first_failure(&self, stories: u64) -> Option<u64> {
        let (next, first_failure) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let tell_some = || loop {
            let from = next.fetch_add(STORIES_AT_ONCE, Ordering::Relaxed);
            if from >= stories.min(first_failure.load(Ordering::Relaxed)) {
                return;
            }
            let mut seeds = from..(from + STORIES_AT_ONCE).min(stories);
            if let Some(seed) = seeds.find(|&seed| self.told(seed, &mut Log::default()).is_err()) {
                first_failure.fetch_min(seed, Ordering::Relaxed);
                return;
            }
        };
        on_all_processors(tell_some);
        Some(first_failure.into_inner()).filter(|&seed| seed != u64::MAX)
    }

    fn assert_ends_well(&self, seed: u64) {
        let mut log = Log::to_be_read();
        if let Err(error) = self.told(seed, &mut log) {
            panic!("{}\n\n{}_SEED={seed}: {error}", log.lines.join("\n"), self.of);
        }
    }

    fn number_from_environment(&self, what: &str) -> Option<u64> {
        let name = format!("{}_{what}", self.of);
        let text = std::env::var(&name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, got {text:?}")))
    }
}

/// A story in which something panics has not ended well either.
pub fn caught(tell: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(tell)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

pub(crate) fn on_all_processors(work: impl Fn() + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&work);
        }
    });
}

/// Panics are told with their story; the hook would print each on its own.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(hook);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    const FAILING: Teller = Teller {
        of: "NOBODY",
        stories: 1_000,
        tell: |seed, log| {
            log.note(seed, || "it begins".to_string());
            match seed {
                130 => Err("this one fails".to_string()),
                700 => panic!("this one panics"),
                _ => Ok(()),
            }
        },
    };

    #[test]
    fn the_first_story_that_fails_is_found_and_told_again() {
        assert_eq!(FAILING.first_failure(1_000), Some(130));
        assert_eq!(FAILING.first_failure(130), None);
        let panic = catch_unwind(|| FAILING.every_story_ends_well()).unwrap_err();
        let text = panic.downcast_ref::<String>().expect("what it panicked with");
        assert_eq!(text, "    130 ms  it begins\n\nNOBODY_SEED=130: this one fails");
    }

    #[test]
    fn a_story_that_panics_has_failed() {
        let told = FAILING.told(700, &mut Log::default());
        assert_eq!(told, Err("panicked: this one panics".to_string()));
    }

    #[test]
    fn a_story_that_differs_is_not_one() {
        static TOLD: AtomicU64 = AtomicU64::new(0);
        let restless = Teller {
            of: "NOBODY",
            stories: 1,
            tell: |_, log| {
                let drawn = Rng::new(TOLD.fetch_add(1, Ordering::Relaxed)).next();
                log.note(0, || format!("{drawn} is drawn"));
                Ok(())
            },
        };
        assert!(catch_unwind(|| restless.a_seed_is_a_story(1)).is_err());
    }
}
