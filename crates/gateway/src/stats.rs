//! Counters: what there is now, and what there was in all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper bounds of the buckets into which waits for a start are counted, in milliseconds. The last
/// bucket has no bound.
pub const WAKE_BUCKETS_MS: [u64; 12] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// How many buckets the times until an answer are counted into.
pub const ANSWER_BUCKETS: usize = 40;
/// The first bucket is up to 2 to this power, in microseconds. Each power of two has two buckets.
const FIRST_ANSWER_BITS: u32 = 7;

/// The upper bound of each bucket of the times until an answer, in microseconds: 128, 192, 256, 384
/// and so on up to 67 s. The last bucket, after these, has no bound.
pub fn answer_bounds_us() -> [u64; ANSWER_BUCKETS - 1] {
    std::array::from_fn(|bucket| {
        let power = 1 << (FIRST_ANSWER_BITS + bucket as u32 / 2);
        if bucket % 2 == 0 { power } else { power + power / 2 }
    })
}

/// The bucket of a time, found by the position of its first bits.
fn answer_bucket(us: u64) -> usize {
    let before = us.saturating_sub(1).max(1);
    let bits = before.ilog2();
    if bits < FIRST_ANSWER_BITS {
        return 0;
    }
    let upper_half = (before >> (bits - 1)) & 1;
    let bucket = (bits - FIRST_ANSWER_BITS) as usize * 2 + upper_half as usize + 1;
    bucket.min(ANSWER_BUCKETS - 1)
}

/// A gateway's figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections of clients.
    pub connections: u64,
    /// Requests that are not over, those that wait included.
    pub in_flight: u64,
    /// Requests that wait for their tenant's start.
    pub waiting: u64,
    /// Requests that are over, by the first digit of their status, from 1xx to 5xx.
    pub requests: [u64; 5],
    /// Requests that waited for a start and got their tenant.
    pub wakes: u64,
    /// How long they waited: how many up to each bound, without those of the bounds before.
    pub wake_buckets: [u64; WAKE_BUCKETS_MS.len() + 1],
    /// How long they waited in all, in microseconds.
    pub wake_us: u64,
    /// Bytes of requests' bodies.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
}

/// The figures of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStats {
    /// Requests that are not over, those that wait included.
    pub in_flight: u64,
    /// Requests that wait for the tenant's start.
    pub waiting: u64,
    /// Requests that are over, by the first digit of their status, from 1xx to 5xx.
    pub requests: [u64; 5],
    /// How many answers began within each of [`answer_bounds_us`], without those of the bounds
    /// before.
    pub answers: [u64; ANSWER_BUCKETS],
}

impl Default for KeyStats {
    fn default() -> KeyStats {
        KeyStats { in_flight: 0, waiting: 0, requests: [0; 5], answers: [0; ANSWER_BUCKETS] }
    }
}

/// What is counted for a gateway.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub connections: AtomicUsize,
    pub waiting: AtomicU64,
    pub in_flight: AtomicU64,
    requests: [AtomicU64; 5],
    wakes: [AtomicU64; WAKE_BUCKETS_MS.len() + 1],
    wake_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    times_answers: AtomicBool,
    /// Only keys that exist are counted by themselves, so that visitors cannot fill the map.
    keys: RwLock<HashMap<Box<str>, Arc<KeyCounters>>>,
}

/// What is counted for a key.
#[derive(Debug)]
pub(crate) struct KeyCounters {
    pub key: Box<str>,
    /// Requests that are not over, refused ones whose answer is on its way included.
    pub in_flight: AtomicU32,
    /// Those of them that the tenant has to bear.
    pub admitted: AtomicU32,
    pub waiting: AtomicU32,
    requests: [AtomicU64; 5],
    answers: [AtomicU64; ANSWER_BUCKETS],
}

impl Counters {
    pub fn of(&self, key: &str) -> Arc<KeyCounters> {
        if let Some(known) = self.known(key) {
            return known;
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let counters = keys.entry(key.into()).or_insert_with(|| {
            Arc::new(KeyCounters {
                key: key.into(),
                in_flight: AtomicU32::new(0),
                admitted: AtomicU32::new(0),
                waiting: AtomicU32::new(0),
                requests: Default::default(),
                answers: [const { AtomicU64::new(0) }; ANSWER_BUCKETS],
            })
        });
        counters.clone()
    }

    pub fn known(&self, key: &str) -> Option<Arc<KeyCounters>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether it is counted how soon answers begin: that takes two looks at the clock a request,
    /// and most gateways are never asked for it.
    pub fn times_answers(&self) -> bool {
        self.times_answers.load(Relaxed)
    }

    /// The figures of keys are asked for: from now on it is counted.
    pub fn time_answers(&self) {
        self.times_answers.store(true, Relaxed);
    }

    /// The figures of all keys that have had requests.
    pub fn all(&self) -> Vec<Arc<KeyCounters>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().cloned().collect()
    }

    pub fn begins(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub fn ends(&self, status: u16, key: Option<&KeyCounters>, bytes_in: u64, bytes_out: u64) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.in_flight.fetch_sub(1, Relaxed);
        self.requests[class].fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
        if let Some(key) = key {
            key.in_flight.fetch_sub(1, Relaxed);
            key.requests[class].fetch_add(1, Relaxed);
        }
    }

    pub fn woke(&self, waited: Duration) {
        let waited_us = waited.as_micros() as u64;
        let bucket = WAKE_BUCKETS_MS.partition_point(|bound| bound * 1_000 < waited_us);
        self.wakes[bucket].fetch_add(1, Relaxed);
        self.wake_us.fetch_add(waited_us, Relaxed);
    }

    pub fn stats(&self) -> Stats {
        let wake_buckets = std::array::from_fn(|bucket| self.wakes[bucket].load(Relaxed));
        Stats {
            connections: self.connections.load(Relaxed) as u64,
            in_flight: self.in_flight.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            requests: loaded(&self.requests),
            wakes: wake_buckets.iter().sum(),
            wake_buckets,
            wake_us: self.wake_us.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}

impl KeyCounters {
    /// An answer has begun, so long after its request came.
    pub fn answered(&self, after: Duration) {
        self.answers[answer_bucket(after.as_micros() as u64)].fetch_add(1, Relaxed);
    }

    pub fn stats(&self) -> KeyStats {
        KeyStats {
            in_flight: self.in_flight.load(Relaxed).into(),
            waiting: self.waiting.load(Relaxed).into(),
            requests: loaded(&self.requests),
            answers: loaded(&self.answers),
        }
    }
}

fn loaded<const N: usize>(counters: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|class| counters[class].load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it() {
        let bounds = answer_bounds_us();
        for us in (0..100_000).chain([1_000_000, 67_000_000, 68_000_000, u64::MAX]) {
            let expected = bounds.iter().position(|bound| us <= *bound);
            assert_eq!(answer_bucket(us), expected.unwrap_or(ANSWER_BUCKETS - 1), "{us} us");
        }
    }
}
