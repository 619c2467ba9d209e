//! Which host is to have a key that is nobody's: weighted rendezvous hashing, bounded.
//!
//! Each host has a score for each key, which follows from their names alone and grows with the
//! host's weight; the highest has the key. So all hosts choose alike without asking each other, and
//! when a host comes or goes, only keys that it gets or had change their places. A host that has
//! [`BOUND`] times its share is passed over, so that chance does not overload anybody.
//!
//! Zones have no say: hashing spreads keys over all hosts, and so over zones by their weight, and
//! scores have no ties in which a zone could be preferred.

use std::cmp::Ordering;

/// A host takes keys up to so many times the share that its weight gives it.
pub const BOUND: f64 = 1.25;

/// A host that may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its name.
    pub id: &'a str,
    /// How many keys it is to have, in proportion to others.
    pub weight: f64,
    /// How many it has.
    pub load: usize,
}

/// The host for the key, among those that may have it; `keys` is how many keys all of them have.
/// None without a host, or if all that have a weight are at their bounds (which they cannot all be
/// by keys of theirs).
pub fn place<'a>(
    key: &str,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
) -> Option<&'a str> {
    let bounds = Bounds::of(candidates.clone());
    let key = hash(key);
    let by_score = |one: &(f64, &str), other: &(f64, &str)| {
        one.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal).then(one.1.cmp(other.1))
    };
    candidates
        .filter(|host| host.weight > 0.0 && host.load < bounds.of_weight(host.weight))
        .map(|host| (score(key, hash(host.id), host.weight), host.id))
        .max_by(by_score)
        .map(|(_, id)| id)
}

/// How many keys each host may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    per_weight: f64,
}

impl Bounds {
    /// With one key more than there are: the one that is to be placed.
    pub fn of<'a>(candidates: impl Iterator<Item = Candidate<'a>>) -> Bounds {
        let (weight, keys) = candidates
            .fold((0.0, 0), |(weight, keys), host| (weight + host.weight, keys + host.load));
        Bounds { per_weight: BOUND * (keys + 1) as f64 / weight }
    }

    /// Rounded up, so that there is always somebody below it.
    pub fn of_weight(self, weight: f64) -> usize {
        (self.per_weight * weight).ceil() as usize
    }
}

/// Whether the host is among the `count` that stand highest for this name, with equal weights.
/// `others` are all hosts but this one.
pub fn is_among_first<'a>(
    count: usize,
    host: &str,
    name: &str,
    others: impl Iterator<Item = &'a str>,
) -> bool {
    let name = hash(name);
    let rank = |id: &str| mix(hash(id) ^ name.rotate_left(32));
    let own = (rank(host), host);
    others.filter(|id| (rank(id), *id) > own).take(count).count() < count
}

/// The weight over the logarithm of a number between 0 and 1 that the two names give.
fn score(key: u64, host: u64, weight: f64) -> f64 {
    let chance = mix(host ^ key.rotate_left(32));
    // 53 bits, and never 0 or 1.
    let chance = ((chance >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    weight / -chance.ln()
}

/// FNV-1a. All hosts of a fleet must hash alike, whatever their versions, so this stays as it is.
fn hash(name: &str) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The end of splitmix64: every bit of what goes in changes half of those that come out.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Hosts(Vec<(String, f64, usize)>);

    impl Hosts {
        fn new(count: usize) -> Hosts {
            Hosts((0..count).map(|n| (format!("host-{n}"), 1.0, 0)).collect())
        }

        fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
            self.0.iter().map(|(id, weight, load)| Candidate { id, weight: *weight, load: *load })
        }

        /// Places keys without counting them, as if no bound were reached.
        fn place_unbounded(&self, keys: usize) -> BTreeMap<String, String> {
            let placed = |n| {
                let key = format!("key-{n}");
                let host = place(&key, self.candidates()).expect("a host").to_string();
                (key, host)
            };
            (0..keys).map(placed).collect()
        }

        fn place_counted(&mut self, keys: usize) {
            for n in 0..keys {
                let chosen = place(&format!("key-{n}"), self.candidates()).expect("a host");
                let chosen = self.0.iter().position(|(id, ..)| id == chosen).expect("it is there");
                self.0[chosen].2 += 1;
            }
        }
    }

    #[test]
    fn only_the_keys_of_a_host_that_goes_change_their_places() {
        let all = Hosts::new(10).place_unbounded(2_000);
        let mut fewer = Hosts::new(10);
        fewer.0.remove(3);
        for (key, host) in fewer.place_unbounded(2_000) {
            assert!(all[&key] == host || all[&key] == "host-3", "{key}: {} → {host}", all[&key]);
        }
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let mut hosts = Hosts::new(4);
        hosts.0[0].1 = 3.0;
        let placed = hosts.place_unbounded(12_000);
        let of = |id: &str| placed.values().filter(|host| *host == id).count();
        assert!((5_700..6_300).contains(&of("host-0")), "{}", of("host-0"));
        assert!((1_800..2_200).contains(&of("host-1")), "{}", of("host-1"));
    }

    #[test]
    fn nobody_gets_more_than_the_bound() {
        for (count, keys) in [(2, 1), (2, 100), (7, 100), (10, 1_000), (100, 120)] {
            let mut hosts = Hosts::new(count);
            hosts.place_counted(keys);
            let bound = (BOUND * keys as f64 / count as f64).ceil() as usize;
            let most = hosts.0.iter().map(|(.., load)| *load).max();
            assert!(most <= Some(bound), "{keys} keys on {count} hosts: {most:?} above {bound}");
        }
    }

    #[test]
    fn a_host_without_weight_gets_nothing_and_without_hosts_nobody_does() {
        let mut hosts = Hosts::new(2);
        hosts.0[0].1 = 0.0;
        assert!(hosts.place_unbounded(100).values().all(|host| host == "host-1"));
        assert_eq!(place("key", Hosts::new(0).candidates()), None);
        hosts.0[1].1 = 0.0;
        assert_eq!(place("key", hosts.candidates()), None);
    }

    /// Hosts of different versions must agree.
    #[test]
    fn placement_is_the_same_in_all_versions() {
        let placed: Vec<String> = Hosts::new(5).place_unbounded(6).into_values().collect();
        assert_eq!(placed.join(" "), "host-3 host-4 host-2 host-0 host-2 host-4");
    }

    #[test]
    fn as_many_hosts_are_among_the_first_as_were_asked_for() {
        let hosts = Hosts::new(20);
        for subject in 0..50 {
            let name = format!("subject-{subject}");
            let all = || hosts.0.iter().map(|(id, ..)| id.as_str());
            let is_first = |id: &&str| is_among_first(3, id, &name, all().filter(|o| o != id));
            assert_eq!(all().filter(is_first).count(), 3);
        }
    }
}
