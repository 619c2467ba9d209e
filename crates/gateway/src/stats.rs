//! Counters: what there is now, and what there was in all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
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
    /// Of those of 5xx: which the gateway refused, and the tenant has no part in.
    pub refused: u64,
    /// How many of the tenant's answers began within each of [`answer_bounds_us`], without those of the bounds
    /// before.
    pub answers: [u64; ANSWER_BUCKETS],
}

impl Default for KeyStats {
    fn default() -> KeyStats {
        KeyStats {
            in_flight: 0,
            waiting: 0,
            requests: [0; 5],
            refused: 0,
            answers: [0; ANSWER_BUCKETS],
        }
    }
}

/// What is counted for a gateway. Each of its threads counts requests in a [`Tally`] of its own: what
/// two threads write to goes to and fro between their processors, which takes longer than a request
/// needs for all else.
#[derive(Debug)]
pub(crate) struct Counters {
    pub all: Arc<Totals>,
    tallies: Box<[Arc<Tally>]>,
}

/// What is counted by all threads together, which is not done for each request.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub connections: AtomicUsize,
    pub waiting: AtomicU64,
    wakes: [AtomicU64; WAKE_BUCKETS_MS.len() + 1],
    wake_us: AtomicU64,
    times_answers: AtomicBool,
    /// Only keys that exist are counted by themselves, so that visitors cannot fill the map.
    keys: RwLock<HashMap<Box<str>, Arc<KeyCounters>>>,
}

/// What is counted for a key by all threads together.
#[derive(Debug)]
pub(crate) struct KeyCounters {
    pub key: Box<str>,
    /// Requests that the tenant has to bear, where their number has a bound.
    pub admitted: AtomicU32,
    pub waiting: AtomicU32,
}

/// The requests of one thread. Two cache lines are its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Tally {
    pub all: Arc<Totals>,
    in_flight: AtomicU64,
    requests: [AtomicU64; 5],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    keys: RwLock<HashMap<Box<str>, Arc<KeyTally>>>,
}

/// What is counted of a request that is over.
#[derive(Debug, Default)]
pub(crate) struct Over<'a> {
    pub status: u16,
    /// By the gateway: its tenant has no part in the answer.
    pub is_refused: bool,
    pub key: Option<&'a KeyTally>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// The requests for a key on one thread.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct KeyTally {
    pub all: Arc<KeyCounters>,
    /// Requests that are not over, refused ones whose answer is on its way included.
    in_flight: AtomicU32,
    requests: [AtomicU64; 5],
    refused: AtomicU64,
    answers: [AtomicU64; ANSWER_BUCKETS],
}

impl Counters {
    /// Counters with a tally for each of so many threads.
    pub fn new(threads: usize) -> Counters {
        let all = Arc::<Totals>::default();
        let tallies = (0..threads).map(|_| Arc::new(Tally::new(&all))).collect();
        Counters { all, tallies }
    }

    pub fn tallies(&self) -> &[Arc<Tally>] {
        &self.tallies
    }

    /// Requests that are not over.
    pub fn in_flight(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.in_flight.load(Relaxed)).sum()
    }

    /// The figures of a key, if requests have been for it.
    pub fn stats_of(&self, key: &str) -> Option<KeyStats> {
        let known = self.all.keys().get(key).cloned()?;
        Some(self.key_stats(&known))
    }

    /// The figures of all keys that have had requests.
    pub fn stats_of_all(&self) -> Vec<(String, KeyStats)> {
        let known: Vec<_> = self.all.keys().values().cloned().collect();
        known.iter().map(|known| (known.key.to_string(), self.key_stats(known))).collect()
    }

    fn key_stats(&self, known: &KeyCounters) -> KeyStats {
        let waiting = known.waiting.load(Relaxed).into();
        let mut stats = KeyStats { waiting, ..KeyStats::default() };
        for tally in self.tallies.iter().filter_map(|tally| tally.known(&known.key)) {
            stats.in_flight += u64::from(tally.in_flight.load(Relaxed));
            add(&mut stats.requests, &tally.requests);
            stats.refused += tally.refused.load(Relaxed);
            add(&mut stats.answers, &tally.answers);
        }
        stats
    }

    pub fn stats(&self) -> Stats {
        let wake_buckets = std::array::from_fn(|bucket| self.all.wakes[bucket].load(Relaxed));
        let mut stats = Stats {
            connections: self.all.connections.load(Relaxed) as u64,
            in_flight: self.in_flight(),
            waiting: self.all.waiting.load(Relaxed),
            wakes: wake_buckets.iter().sum(),
            wake_buckets,
            wake_us: self.all.wake_us.load(Relaxed),
            ..Stats::default()
        };
        for tally in &self.tallies {
            add(&mut stats.requests, &tally.requests);
            stats.bytes_in += tally.bytes_in.load(Relaxed);
            stats.bytes_out += tally.bytes_out.load(Relaxed);
        }
        stats
    }
}

impl Totals {
    fn keys(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Arc<KeyCounters>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: &str) -> Arc<KeyCounters> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let counters = keys.entry(key.into()).or_insert_with(|| {
            let (admitted, waiting) = (AtomicU32::new(0), AtomicU32::new(0));
            Arc::new(KeyCounters { key: key.into(), admitted, waiting })
        });
        counters.clone()
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

    pub fn woke(&self, waited: Duration) {
        let waited_us = waited.as_micros() as u64;
        let bucket = WAKE_BUCKETS_MS.partition_point(|bound| bound * 1_000 < waited_us);
        self.wakes[bucket].fetch_add(1, Relaxed);
        self.wake_us.fetch_add(waited_us, Relaxed);
    }
}

impl Tally {
    fn new(all: &Arc<Totals>) -> Tally {
        Tally {
            all: all.clone(),
            in_flight: AtomicU64::new(0),
            requests: Default::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            keys: RwLock::default(),
        }
    }

    pub fn of(&self, key: &str) -> Arc<KeyTally> {
        if let Some(known) = self.known(key) {
            return known;
        }
        let all = self.all.of(key);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let tally = keys.entry(key.into()).or_insert_with(|| {
            Arc::new(KeyTally {
                all,
                in_flight: AtomicU32::new(0),
                requests: Default::default(),
                refused: AtomicU64::new(0),
                answers: [const { AtomicU64::new(0) }; ANSWER_BUCKETS],
            })
        });
        tally.clone()
    }

    fn known(&self, key: &str) -> Option<Arc<KeyTally>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub fn begins(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub fn ends(&self, over: Over<'_>) {
        let Over { status, is_refused, key, bytes_in, bytes_out } = over;
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.in_flight.fetch_sub(1, Relaxed);
        self.requests[class].fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
        if let Some(key) = key {
            key.in_flight.fetch_sub(1, Relaxed);
            key.requests[class].fetch_add(1, Relaxed);
            if is_refused && status >= 500 {
                key.refused.fetch_add(1, Relaxed);
            }
        }
    }
}

impl KeyTally {
    /// A request is for the key.
    pub fn begins(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// An answer of the tenant's has begun, so long after its request came.
    pub fn answered(&self, after: Duration) {
        self.answers[answer_bucket(after.as_micros() as u64)].fetch_add(1, Relaxed);
    }
}

fn add<const N: usize>(sums: &mut [u64; N], counters: &[AtomicU64; N]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.load(Relaxed);
    }
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

    #[test]
    fn what_threads_count_is_one_figure() {
        let counters = Counters::new(3);
        for (tally, status) in counters.tallies().iter().zip([200, 404, 503]) {
            let key = tally.of("a");
            tally.begins();
            key.begins();
            assert_eq!(counters.in_flight(), 1);
            assert_eq!(counters.stats_of("a").map(|stats| stats.in_flight), Some(1));
            key.answered(Duration::from_micros(1));
            let over =
                Over { status, is_refused: status == 503, key: Some(&key), ..Over::default() };
            tally.ends(Over { bytes_in: 1, bytes_out: 2, ..over });
        }
        counters.tallies()[1].begins();
        counters.tallies()[1].ends(Over { status: 502, is_refused: true, ..Over::default() });
        let stats = counters.stats();
        assert_eq!((stats.in_flight, stats.requests), (0, [0, 1, 0, 1, 2]));
        assert_eq!((stats.bytes_in, stats.bytes_out), (3, 6));
        let [(name, of_key)] = &counters.stats_of_all()[..] else { panic!("one key") };
        assert_eq!((name.as_str(), of_key.requests, of_key.answers[0]), ("a", [0, 1, 0, 1, 1], 3));
        assert_eq!(of_key.refused, 1);
        assert_eq!(counters.stats_of("b"), None);
    }
}
