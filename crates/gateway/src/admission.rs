//! Who asks for too much: requests a second from one address.

use crate::clock;
use crate::refusal::{Refusal, Why};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many addresses a generation of the table has. There are two, a few megabytes in all.
const ADDRESSES: usize = 32_768;

/// Requests a second, by address. The table is bounded: when it is full, the addresses that have
/// not been seen for longest are forgotten, all at once.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<IpAddr, Bucket>,
    old: HashMap<IpAddr, Bucket>,
}

/// A token for each request that may come now.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    pub fn new(per_second: f64) -> Rates {
        Rates { per_second, generations: Mutex::default() }
    }

    /// Counts a request of this address, or refuses it.
    pub fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.admit_at(address, clock::now())
    }

    fn admit_at(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        // As many as a second has may come at once.
        let most = self.per_second.max(1.0);
        let address = network_of(address);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = generations.young.get(&address).or_else(|| generations.old.get(&address));
        let mut bucket = known.copied().unwrap_or(Bucket { tokens: most, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(most);
        bucket.at = now;
        let is_admitted = bucket.tokens >= 1.0;
        if is_admitted {
            bucket.tokens -= 1.0;
        }
        if generations.young.len() >= ADDRESSES {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(address, bucket);
        if is_admitted {
            return Ok(());
        }
        let wait_ms = (1.0 - bucket.tokens) / self.per_second * 1_000.0;
        Err(Refusal::new(429, Why::TooManyRequests).retry_after(wait_ms.ceil() as u64))
    }
}

/// One client may have as many IPv6 addresses as it likes within its network of 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_so_many_requests_a_second() {
        let (rates, now) = (Rates::new(2.0), clock::now());
        let admit = |address, ms| rates.admit_at(ip(address), now + Duration::from_millis(ms));
        assert_eq!(admit("1.1.1.1", 0), Ok(()));
        assert_eq!(admit("1.1.1.1", 0), Ok(()));
        let refusal = admit("1.1.1.1", 0).expect_err("the third");
        assert_eq!((refusal.status, refusal.retry_after_ms), (429, Some(500)));
        assert_eq!(admit("::ffff:1.1.1.2", 0), Ok(()));
        assert!(admit("1.1.1.1", 499).is_err());
        assert_eq!(admit("1.1.1.1", 500), Ok(()));
        assert!(admit("1.1.1.1", 500).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (rates, now) = (Rates::new(1.0), clock::now());
        assert!(rates.admit_at(ip("fd00::1"), now).is_ok());
        assert!(rates.admit_at(ip("fd00::2"), now).is_err());
        assert!(rates.admit_at(ip("fd00:0:0:1::2"), now).is_ok());
    }

    #[test]
    fn the_table_is_bounded() {
        let (rates, now) = (Rates::new(1.0), clock::now());
        for number in 0..3 * ADDRESSES as u32 {
            assert!(rates.admit_at(IpAddr::V4(number.into()), now).is_ok());
        }
        let generations = rates.generations.lock().expect("no panic");
        assert!(generations.young.len() + generations.old.len() <= 2 * ADDRESSES);
    }
}
