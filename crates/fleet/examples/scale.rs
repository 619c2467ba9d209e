//! A thousand hosts and a million tenants, as far as the fleet's value is concerned: who gets what,
//! how many requests that costs the store, and how long it takes by a stated model of the rest.
//! `docs/scale.md` has the numbers, and what they mean.
//!
//! `cargo run -p fleet --release --example scale`
#![allow(clippy::disallowed_methods, reason = "an example measures itself")]

use fleet::placement::{Bounds, Candidate, is_among_first, place};
use fleet::{Action, CallId, Change, Config, Fleet, Input, OBSERVERS, Record, Stamp, Terms, Want};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

const HOSTS: usize = 1_000;
const KEYS: usize = 1_000_000;
const RACK: usize = 40;
const LEASE_MS: u64 = 5_000;

/// The model: what the store carries out in a second, how long a tenant takes to start, how many a
/// host starts at once, how long a request to the store or a peer takes, and how many keys a host
/// that drains passes on at once.
const STORE_PER_SECOND: f64 = 10_000.0;
const START_MS: f64 = 15.0;
const STARTS_AT_ONCE: f64 = 4.0;
const ROUND_TRIP_MS: f64 = 2.0;
const MOVES_AT_ONCE: f64 = 8.0;

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Hosts {
    ids: Vec<String>,
    loads: Vec<usize>,
    lives: Vec<bool>,
    /// The host of each key.
    places: Vec<u32>,
}

impl Hosts {
    fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        let live = (0..self.ids.len()).filter(|n| self.lives[*n]);
        live.map(|n| Candidate { id: &self.ids[n], weight: 1.0, load: self.loads[n] })
    }

    fn place(&mut self, key: usize) {
        let name = format!("tenant-{key}");
        let chosen = place(&name, self.candidates()).expect("a host below its bound");
        let host: usize = chosen[5..].parse().expect("host-N");
        self.loads[host] += 1;
        self.places[key] = u32::try_from(host).expect("few hosts");
    }

    /// Ends the hosts, and places their keys anew. Returns how many.
    fn lose(&mut self, lost: &[usize]) -> usize {
        for host in lost {
            self.lives[*host] = false;
            self.loads[*host] = 0;
        }
        let is_lost = |key: &usize| lost.contains(&(self.places[*key] as usize));
        let keys: Vec<usize> = (0..KEYS).filter(is_lost).collect();
        keys.iter().for_each(|key| self.place(*key));
        keys.len()
    }

    fn spread(&self) -> String {
        let live: Vec<usize> = self.candidates().map(|host| host.load).collect();
        let (least, most) = (live.iter().min().unwrap_or(&0), live.iter().max().unwrap_or(&0));
        let mean = live.iter().sum::<usize>() / live.len();
        let bound = Bounds::of(self.candidates()).of_weight(1.0);
        format!("{least} to {most} keys a host (mean {mean}, bound {bound})")
    }
}

fn main() {
    let terms = Terms::of(LEASE_MS).expect("long enough");
    let (mut hosts, a_placement_us) = place_all();
    println!("{HOSTS} hosts, {KEYS} keys, lease {LEASE_MS} ms");
    println!("placed: {}; {a_placement_us:.1} µs each", hosts.spread());
    steady(terms);
    join(&mut hosts);
    loss(&mut hosts, terms, &[17], "a host is lost");
    let rack: Vec<usize> = (100..100 + RACK).collect();
    loss(&mut hosts, terms, &rack, "a rack of 40 is lost");
    drain(&mut hosts);
    picture(terms);
}

fn place_all() -> (Hosts, f64) {
    let mut hosts = Hosts {
        ids: (0..=HOSTS).map(|n| format!("host-{n}")).collect(),
        loads: vec![0; HOSTS + 1],
        lives: (0..=HOSTS).map(|n| n < HOSTS).collect(),
        places: vec![0; KEYS],
    };
    let begin = Instant::now();
    (0..KEYS).for_each(|key| hosts.place(key));
    let us = begin.elapsed().as_secs_f64() * 1e6 / KEYS as f64;
    (hosts, us)
}

/// What the store has to do when nothing happens.
fn steady(terms: Terms) {
    let beats = HOSTS as f64 * 1_000.0 / terms.beat_every_ms as f64;
    let reads = HOSTS as f64 * 1_000.0 / terms.observe_every_ms as f64;
    println!("idle: {beats:.0} beats and {reads:.0} reads of {OBSERVERS} beats a second");
}

fn join(hosts: &mut Hosts) {
    hosts.lives[HOSTS] = true;
    let bound = Bounds::of(hosts.candidates()).of_weight(1.0);
    let over: usize = hosts.loads.iter().map(|load| load.saturating_sub(bound)).sum();
    // Of those that are wanted anew, it gets as many as anybody.
    let first = (0..10_000)
        .filter(|n| place(&format!("new-{n}"), hosts.candidates()) == Some(&*hosts.ids[HOSTS]));
    println!("a host joins: {over} keys move; of 10,000 new ones it gets {}", first.count());
}

fn loss(hosts: &mut Hosts, terms: Terms, lost: &[usize], what: &str) {
    let unobserved = lost.iter().filter(|host| {
        let is_first = |other: &usize| {
            let others = (0..HOSTS).filter(|n| n != *host && n != other && hosts.lives[*n]);
            is_among_first(
                OBSERVERS,
                &hosts.ids[*other],
                &hosts.ids[**host],
                others.map(|n| &*hosts.ids[n]),
            )
        };
        let mut live = (0..HOSTS).filter(|n| hosts.lives[*n] && !lost.contains(n));
        !live.any(|other| is_first(&other))
    });
    let unobserved = unobserved.count();
    let before = hosts.loads.clone();
    let keys = hosts.lose(lost);
    let gained =
        hosts.loads.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before));
    let most = gained.max().unwrap_or(0);
    // The last beat was sent up to `beat_every_ms` before; it is looked at every `observe_every_ms`.
    let latest_s = (terms.gone_after_ms + terms.observe_every_ms) as f64 / 1_000.0;
    let claims_s = (keys + lost.len()) as f64 / STORE_PER_SECOND;
    let starts_s = most as f64 * START_MS / STARTS_AT_ONCE / 1_000.0;
    let all_s = latest_s + claims_s.max(starts_s);
    println!(
        "{what}: {keys} keys move, at most {most} to one host; {} transactions, {claims_s:.1} s of \
         the store; seen after {latest_s:.1} s at most ({unobserved} later, as their observers \
         are lost, too), all served after {all_s:.1} s; then {}",
        keys + lost.len(),
        hosts.spread(),
    );
}

fn drain(hosts: &mut Hosts) {
    let keys = hosts.lose(&[500]);
    // A question and two transactions each, and a start: what is in flight ends beside others.
    let each_ms = START_MS + 3.0 * ROUND_TRIP_MS;
    let s = keys as f64 * each_ms / MOVES_AT_ONCE / 1_000.0;
    println!(
        "a host drains: {keys} running keys move, {} transactions, {s:.1} s and what requests in \
         flight take",
        2 * keys
    );
}

/// One host's picture of it all, in the value itself.
fn picture(terms: Terms) {
    let config = Config {
        id: "host-0".into(),
        address: "http://10.0.0.1:7070".into(),
        zone: None,
        weight: 1.0,
        run: "r".into(),
        terms,
        keep_ms: 3_600_000,
        reserve_ms: 60_000,
        moves_at_once: 8,
        rebalance_every_ms: 1_000,
    };
    let mut fleet = Fleet::new(config);
    let record = |key: String, text: String, revision: usize| Record {
        key,
        value: text.into(),
        created: revision as u64,
        modified: revision as u64,
    };
    let mut records = Vec::new();
    for n in 1..HOSTS {
        let text = format!(
            r#"{{"v":1,"address":"http://10.0.{}.{}:7070","weight":1.0,"state":"live","run":"x","attempt":1}}"#,
            n / 250,
            n % 250
        );
        records.push(record(format!("hosts/host-{n}"), text, n));
    }
    for n in 0..KEYS {
        let host = 1 + n % (HOSTS - 1);
        let text = format!(r#"{{"v":1,"host":"host-{host}","session":{host},"base":0}}"#);
        records.push(record(format!("claims/tenant-{n}"), text, HOSTS + n));
    }
    let bytes: usize = records.iter().map(|record| record.key.len() + record.value.len()).sum();
    let at = Stamp { cluster: 1, revision: (HOSTS + KEYS) as u64 };
    let count = records.len();
    // What the listing itself takes is freed when it has been taken in.
    let before = ALLOCATED.load(Relaxed);
    let listing = records.clone();
    let listing_bytes = ALLOCATED.load(Relaxed) - before;
    drop(records);
    let before = ALLOCATED.load(Relaxed);
    let begin = Instant::now();
    let actions = fleet.handle(1, Input::Listed { at, records: listing });
    let listed_ms = begin.elapsed().as_millis();
    let routes = actions.iter().filter(|action| matches!(action, Action::Route { .. })).count();
    drop(actions);
    let kept = ALLOCATED.load(Relaxed) + listing_bytes - before;
    println!(
        "a picture: {count} records of {:.0} MB, taken in within {listed_ms} ms ({routes} routes), \
         {:.0} MB in memory",
        bytes as f64 / 1e6,
        kept as f64 / 1e6,
    );
    let change = Change { key: "hosts/host-7".into(), revision: at.revision + 1, record: None };
    let at = Stamp { revision: at.revision + 1, ..at };
    let begin = Instant::now();
    let actions = fleet.handle(2, Input::Changed { at, changes: vec![change] });
    let lost_ms = begin.elapsed().as_secs_f64() * 1e3;
    let want = Input::Want { call: CallId(1), key: "nobodys".into(), want: Want::default() };
    let begin = Instant::now();
    fleet.handle(3, want);
    let want_us = begin.elapsed().as_secs_f64() * 1e6;
    println!(
        "a host that goes: {lost_ms:.1} ms, {} routes; a key that is nobody's: {want_us:.0} µs",
        actions.len() - 1
    );
}
