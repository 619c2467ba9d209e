//! Back-off: which keys are refused for earlier failures, and for how long.
//!
//! After `n` failures in a row a key waits `min(max_ms, base_ms * 2^(n-1))`; from `max_failures` on
//! it waits for `clear`. Becoming ready forgets them; with `min_uptime_ms`, having been ready for
//! that long, and a crash before that is one more.
//!
//! What is not the key's own failure does not count: the next start gets another port. But each
//! such start costs a process, so where a thief takes one port after the other, the key waits from
//! the fourth on as if it had failed itself.

use crate::{Failure, Key, KeyMap, RunId};

/// Failing keys remembered at most. A router that passes every host name on would otherwise let
/// strangers fill the memory with names that never existed. At the cap, keys whose window is over
/// are forgotten; if that is not enough, further keys are not remembered, and `ensure` tries them
/// again at once.
const REMEMBERED_KEYS: usize = 100_000;
/// A pass over all of them takes a few milliseconds.
const FORGETTING_INTERVAL_MS: u64 = 1_000;

/// Starts in a row that may fail for what others have done, before they count as failures of the
/// key.
const PARDONED_IN_A_ROW: u64 = 3;

/// How long a failing key waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub base_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
    /// Failures in a row after which only clearing helps.
    pub max_failures: u64,
    /// A crash sooner than this after becoming ready is a failure, too.
    pub min_uptime_ms: u64,
}

impl Backoff {
    /// The wait after `failures` in a row, at least one of them.
    pub fn delay_ms(&self, failures: u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(63) as u32;
        self.base_ms.saturating_mul(1u64 << doublings).min(self.max_ms)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Failures {
    pub count: u64,
    pub retry_at_ms: u64,
    pub last: Failure,
    /// The run that failed last.
    pub run: RunId,
}

/// Why a key is refused right now.
pub(crate) enum Hold<'a> {
    Window { failures: &'a Failures, retry_after_ms: u64 },
    Exhausted { failures: &'a Failures },
}

#[derive(Debug)]
pub(crate) struct FailureBook {
    rules: Backoff,
    by_key: KeyMap<Failures>,
    /// How many failures in a row have been pardoned, by key; bounded as `by_key` is.
    pardoned: KeyMap<u64>,
    /// Failures so far, forgotten ones included.
    recorded: u64,
    /// Forgetting looks at every key, so not more often than this allows.
    next_forgetting_ms: u64,
}

impl FailureBook {
    pub fn new(rules: Backoff) -> Self {
        FailureBook {
            rules,
            by_key: KeyMap::default(),
            pardoned: KeyMap::default(),
            recorded: 0,
            next_forgetting_ms: 0,
        }
    }

    pub fn record(&mut self, key: &Key, now_ms: u64, run: RunId, last: Failure) {
        if !last.is_the_keys_own() && self.pardons(key, &last) {
            return;
        }
        self.recorded += 1;
        if self.by_key.len() >= REMEMBERED_KEYS && !self.by_key.contains_key(key) {
            self.forget_the_retried(now_ms);
            if self.by_key.len() >= REMEMBERED_KEYS {
                return;
            }
        }
        let count = self.by_key.get(key).map_or(0, |failures| failures.count) + 1;
        let retry_at_ms = now_ms.saturating_add(self.rules.delay_ms(count));
        self.by_key.insert(key.clone(), Failures { count, retry_at_ms, last, run });
    }

    /// A start without a free port is always pardoned: no process was started.
    fn pardons(&mut self, key: &Key, failure: &Failure) -> bool {
        if *failure == Failure::NoPort {
            return true;
        }
        if self.pardoned.len() >= REMEMBERED_KEYS {
            self.pardoned.clear();
        }
        let pardoned = self.pardoned.entry(key.clone()).or_default();
        *pardoned += 1;
        *pardoned <= PARDONED_IN_A_ROW
    }

    fn forget_the_retried(&mut self, now_ms: u64) {
        if now_ms >= self.next_forgetting_ms {
            self.next_forgetting_ms = now_ms + FORGETTING_INTERVAL_MS;
            let max_failures = self.rules.max_failures;
            self.by_key.retain(|_, failures| {
                failures.retry_at_ms > now_ms || failures.count >= max_failures
            });
        }
    }

    pub fn clear(&mut self, key: &str) {
        // Mostly no key has failed; `remove` would hash this one only to find that out.
        if !self.by_key.is_empty() {
            self.by_key.remove(key);
        }
        if !self.pardoned.is_empty() {
            self.pardoned.remove(key);
        }
    }

    /// Whether `key` is refused at `now_ms`, and why.
    pub fn hold(&self, key: &str, now_ms: u64) -> Option<Hold<'_>> {
        let failures = self.by_key.get(key)?;
        if failures.count >= self.rules.max_failures {
            return Some(Hold::Exhausted { failures });
        }
        let retry_after_ms = failures.retry_at_ms.checked_sub(now_ms).filter(|wait| *wait > 0)?;
        Some(Hold::Window { failures, retry_after_ms })
    }

    /// The keys that are refused at `now_ms`.
    pub fn held(&self, now_ms: u64) -> impl Iterator<Item = &Key> {
        let refused = move |failures: &Failures| {
            failures.count >= self.rules.max_failures || failures.retry_at_ms > now_ms
        };
        self.by_key.iter().filter(move |(_, failures)| refused(failures)).map(|(key, _)| key)
    }

    /// What is remembered of a key.
    pub fn of(&self, key: &str) -> Option<&Failures> {
        self.by_key.get(key)
    }

    /// Every key that has failed and not been ready since.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    pub fn remembered(&self) -> usize {
        self.by_key.len()
    }

    pub fn rules(&self) -> Backoff {
        self.rules
    }

    pub fn max_failures(&self) -> u64 {
        self.rules.max_failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Backoff =
        Backoff { base_ms: 1_000, max_ms: 60_000, max_failures: 10, min_uptime_ms: 0 };

    #[test]
    fn the_wait_doubles_up_to_the_cap() {
        let waits: Vec<u64> = (1..=8).map(|n| RULES.delay_ms(n)).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn the_wait_never_overflows() {
        let rules =
            Backoff { base_ms: u64::MAX / 2, max_ms: u64::MAX, max_failures: u64::MAX, ..RULES };
        assert_eq!(rules.delay_ms(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_key_is_held_until_its_window_is_over() {
        let mut book = FailureBook::new(RULES);
        let key: Key = "a".into();
        book.record(&key, 100, RunId(1), Failure::StopTimedOut);
        assert!(matches!(book.hold("a", 1_099), Some(Hold::Window { retry_after_ms: 1, .. })));
        assert!(book.hold("a", 1_100).is_none());
        assert_eq!((book.held(1_099).count(), book.held(1_100).count()), (1, 0));
    }

    #[test]
    fn after_max_failures_only_clearing_helps() {
        let mut book = FailureBook::new(Backoff { max_failures: 2, ..RULES });
        let key: Key = "a".into();
        book.record(&key, 0, RunId(1), Failure::StopTimedOut);
        book.record(&key, 0, RunId(1), Failure::StopTimedOut);
        assert!(matches!(book.hold("a", u64::MAX), Some(Hold::Exhausted { .. })));
        book.clear("a");
        assert!(book.hold("a", 0).is_none());
    }

    #[test]
    fn what_others_have_done_counts_only_when_it_goes_on() {
        let mut book = FailureBook::new(RULES);
        let key: Key = "a".into();
        let taken = || Failure::PortTaken { by: "process 7".into() };
        for _ in 0..PARDONED_IN_A_ROW {
            book.record(&key, 0, RunId(1), taken());
        }
        assert!(book.of("a").is_none() && book.recorded() == 0);
        book.record(&key, 0, RunId(1), taken());
        assert!(matches!(book.hold("a", 0), Some(Hold::Window { retry_after_ms: 1_000, .. })));
        book.record(&key, 0, RunId(1), taken());
        assert!(matches!(book.hold("a", 0), Some(Hold::Window { retry_after_ms: 2_000, .. })));
        book.clear("a");
        book.record(&key, 0, RunId(1), taken());
        assert!(book.hold("a", 0).is_none(), "forgotten with the failures");
        for _ in 0..100 {
            book.record(&key, 0, RunId(1), Failure::NoPort);
        }
        assert!(book.hold("a", 0).is_none());
    }

    #[test]
    fn strangers_cannot_fill_the_memory_with_names() {
        let mut book = FailureBook::new(RULES);
        for n in 0..REMEMBERED_KEYS + 10 {
            book.record(
                &Key::from(n.to_string()),
                n as u64 * 2_000,
                RunId(1),
                Failure::StopTimedOut,
            );
        }
        assert!(book.by_key.len() <= 11, "{} keys remembered", book.by_key.len());
    }
}
