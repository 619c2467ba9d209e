//! One story: visitors and faults, then peace, in which everything must be served again.

use super::host::Follower;
use super::store::Store;
use super::visitors::Visit;
use super::world::{Event, World};
use fleet::{CallId, Input, Key, Terms};
use stories::Log;
use stories::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Drain,
    Kill,
    Restart,
    Stop,
    Deafen,
    Cut,
    Heal,
    StoreGoes,
    Restore,
    Close,
    WatchBreaks,
}

const KINDS: &[Kind] = &[
    Kind::Drain,
    Kind::Kill,
    Kind::Restart,
    Kind::Stop,
    Kind::Deafen,
    Kind::Cut,
    Kind::StoreGoes,
    Kind::Restore,
    Kind::Close,
    Kind::WatchBreaks,
];

struct Story<'a> {
    world: World<'a>,
    keys: Vec<Key>,
    backups: Vec<Store>,
    clusters: u64,
    /// What goes wrong in this story: a few things often, so that they meet.
    kinds: Vec<Kind>,
}

pub fn tell(seed: u64, log: &mut Log) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let lease_ms = rng.pick(&[1_000, 2_000, 5_000]);
    let terms = Terms::of(lease_ms).expect("long enough");
    let hosts = rng.between(1, 4) as usize;
    let keys = (0..rng.between(1, 4)).map(|n| format!("k{n}").into()).collect();
    let mut world = World::new(rng, hosts, terms, log);
    world.trouble = world.rng.pick(&[0, 0, 3, 15, 40]);
    for host in 0..hosts {
        world.start(host);
    }
    world.fates = vec![world.rng.below(5), world.rng.below(5), world.rng.below(5)];
    if world.rng.chance(20) {
        world.watch_lag_ms = world.rng.between(100, 4_000);
    }
    let mut kinds = vec![Kind::Heal];
    kinds.extend(KINDS.iter().filter(|_| world.rng.chance(35)));
    let backups = Vec::new();
    let mut story = Story { world, keys, backups, clusters: 1, kinds };
    // Without the era's first wait most stories would be about nothing else.
    if story.world.rng.chance(90) {
        story.pass(terms.gone_after_ms * 2)?;
    }
    for _ in 0..story.world.rng.between(10, 60) {
        if story.world.rng.below(1_000) < 4 {
            story.the_same_comes_back()?;
        }
        story.step();
        let pause_ms = match story.world.rng.below(4) {
            0 => 0,
            1..=2 => story.world.rng.between(1, 300),
            _ => story.world.rng.between(1, terms.serve_for_ms),
        };
        story.pass(pause_ms)?;
    }
    story.ends_well()
}

impl Story<'_> {
    fn pass(&mut self, ms: u64) -> Result<(), String> {
        let until_ms = self.world.now + ms;
        self.world.run_until(until_ms)
    }

    fn step(&mut self) {
        let host = self.world.rng.below(self.world.hosts.len() as u64) as usize;
        if self.world.rng.chance(50) {
            return self.visit(host);
        }
        match self.world.rng.pick(&self.kinds) {
            Kind::Drain => self.drain(host),
            Kind::Kill => self.kill(host),
            Kind::Restart => self.restart(host),
            Kind::Stop => self.stop(host),
            Kind::Deafen => self.deafen(host),
            Kind::Cut => self.cut(host),
            Kind::Heal => self.heal(),
            Kind::StoreGoes => self.store_goes_or_comes(),
            Kind::Restore => self.back_up_or_restore(),
            Kind::Close => self.close(host),
            Kind::WatchBreaks => self.watch_breaks(host),
        }
    }

    fn visit(&mut self, home: usize) {
        if self.world.hosts[home].is_up() {
            let key = self.world.rng.below(self.keys.len() as u64) as usize;
            self.world.send(Visit::new(self.keys[key].clone(), home, false));
        }
    }

    fn call(&mut self, host: usize) -> CallId {
        self.world.last_call += 1;
        let call = CallId(self.world.last_call);
        self.world.hosts[host].owed.push(call);
        call
    }

    fn drain(&mut self, host: usize) {
        let is_able = |h: &super::host::Host| h.is_up() && !h.is_draining && !h.is_closing;
        let able = self.world.hosts.iter().filter(|h| is_able(h)).count();
        if able < 2 || !is_able(&self.world.hosts[host]) {
            return;
        }
        self.world.hosts[host].is_draining = true;
        let call = self.call(host);
        self.world.handle(host, Input::Drain { call });
    }

    fn close(&mut self, host: usize) {
        if self.world.hosts[host].is_up() && !self.world.hosts[host].is_closing {
            self.world.hosts[host].is_closing = true;
            let call = self.call(host);
            self.world.handle(host, Input::Close { call });
        }
    }

    fn faults(&mut self, what: &str) {
        self.world.note(|_| format!("— {what}"));
    }

    fn kill(&mut self, host: usize) {
        self.faults(&format!("h{host} is killed"));
        self.world.kill(host);
    }

    fn restart(&mut self, host: usize) {
        if self.world.hosts[host].fleet.is_none() || self.world.rng.chance(30) {
            self.kill(host);
            self.world.start(host);
        }
    }

    fn stop(&mut self, host: usize) {
        if !self.world.hosts[host].is_up() {
            return;
        }
        let longest_ms = self.world.terms.gone_after_ms * 2;
        let for_ms = self.world.rng.between(1, longest_ms);
        self.faults(&format!("h{host} is stopped for {for_ms} ms"));
        self.world.hosts[host].stopped_until = Some(self.world.now + for_ms);
        self.world.hosts[host].is_punctual = false;
        let life = self.world.hosts[host].life;
        self.world.after(for_ms, Event::Resumes { host, life });
    }

    fn deafen(&mut self, host: usize) {
        let ways = self.world.rng.pick(&[[true, false], [false, true], [true, true]]);
        self.faults(&format!("h{host} and the store: {ways:?}"));
        self.world.hosts[host].is_deaf = ways;
    }

    fn cut(&mut self, host: usize) {
        let other = self.world.rng.below(self.world.hosts.len() as u64) as usize;
        self.faults(&format!("nothing comes from h{host} to h{other}"));
        self.world.cuts.insert((host, other));
    }

    fn heal(&mut self) {
        self.world.note(|_| "— networks heal".to_string());
        self.world.cuts.clear();
        for host in &mut self.world.hosts {
            host.is_deaf = [false; 2];
        }
        if !self.world.is_store_up {
            self.world.is_store_up = true;
        }
    }

    fn store_goes_or_comes(&mut self) {
        self.faults("the store goes, or comes");
        self.world.is_store_up = !self.world.is_store_up;
        self.world.store_life += 1;
    }

    /// Of a store in which keys were claimed: one from before is as good as none.
    fn back_up(&mut self) {
        let backup = self.world.store.clone();
        if backup.list().iter().any(|record| record.key == fleet::ERA) {
            self.backups.push(backup);
        }
    }

    /// Restored as documented: it is another cluster. The same backup is not restored twice, since
    /// hosts that are restarted in between could not know of the first time.
    fn back_up_or_restore(&mut self) {
        let count = self.backups.len() as u64;
        if count == 0 || self.world.rng.chance(40) {
            self.back_up();
        } else {
            let index = self.world.rng.below(count) as usize;
            let backup = self.backups[index].clone();
            self.clusters += 1;
            self.comes_back(&backup);
        }
    }

    fn comes_back(&mut self, backup: &Store) {
        self.backups.clear();
        let cluster = self.clusters;
        self.faults(&format!("the store comes back older, as cluster {cluster}"));
        self.world.store = Store::restored(backup, cluster);
        self.world.store_life += 1;
        self.all_watches_break();
    }

    /// A store that comes back older as the same cluster is noticed by its revision: by hosts that
    /// have seen a later one, which all have after a while without faults.
    fn the_same_comes_back(&mut self) -> Result<(), String> {
        let (trouble, was_calm) = (self.world.trouble, self.world.is_calm);
        self.all_is_well();
        let while_ms = self.world.terms.gone_after_ms * 4;
        self.pass(while_ms)?;
        let backup = self.world.store.clone();
        for _ in 0..6 {
            let host = self.world.rng.below(self.world.hosts.len() as u64) as usize;
            self.visit(host);
            self.pass(while_ms / 8)?;
        }
        let is_useful = backup.list().iter().any(|record| record.key == fleet::ERA);
        if is_useful {
            self.comes_back(&backup);
        }
        for _ in 0..10 {
            let host = self.world.rng.below(self.world.hosts.len() as u64) as usize;
            self.visit(host);
            self.pass(while_ms / 10)?;
        }
        self.world.trouble = trouble;
        self.world.is_calm = was_calm;
        Ok(())
    }

    fn no_more_faults(&mut self) {
        self.heal();
        self.world.trouble = 0;
        self.world.is_calm = true;
        self.world.watch_lag_ms = 0;
    }

    fn all_is_well(&mut self) {
        self.no_more_faults();
        for host in 0..self.world.hosts.len() {
            if self.world.hosts[host].fleet.is_none() || self.world.hosts[host].is_closing {
                self.kill(host);
                self.world.start(host);
            }
        }
    }

    fn all_watches_break(&mut self) {
        for host in 0..self.world.hosts.len() {
            if let Follower::Watching(_) = self.world.hosts[host].follower {
                self.world.watch_breaks(host);
            }
        }
    }

    fn watch_breaks(&mut self, host: usize) {
        if let Follower::Watching(_) = self.world.hosts[host].follower {
            self.world.watch_breaks(host);
        }
    }

    /// All faults end. Within a promised time every key is served, wherever it is asked for, and
    /// nothing waits any more.
    fn ends_well(&mut self) -> Result<(), String> {
        self.faults("all faults end");
        let is_able = |host: &super::host::Host| {
            host.fleet.is_some() && !host.is_draining && !host.is_closing
        };
        // Those that are gone may stay so, as long as there is one that can have all.
        if self.world.hosts.iter().any(is_able) && self.world.rng.chance(50) {
            self.no_more_faults();
        } else {
            self.all_is_well();
        }
        if !self.world.hosts.iter().any(is_able) {
            self.kill(0);
            self.world.start(0);
        }
        let terms = self.world.terms;
        self.pass(terms.gone_after_ms * 5 + 12_000)?;
        let is_up =
            |host: &usize| self.world.hosts[*host].is_up() && !self.world.hosts[*host].is_closing;
        let up: Vec<usize> = (0..self.world.hosts.len()).filter(is_up).collect();
        for host in &up {
            for key in self.keys.clone() {
                self.world.send(Visit::new(key, *host, true));
            }
        }
        self.pass(3_000)?;
        let promised = std::mem::take(&mut self.world.promised);
        for (visit, served) in &promised {
            if served.is_none() {
                return Err(format!("{} is not served by way of h{}", visit.key, visit.home));
            }
            let other = promised.iter().find(|(v, s)| v.key == visit.key && s != served);
            if let Some((_, other)) = other {
                return Err(format!("{} is served at {served:?} and {other:?}", visit.key));
            }
        }
        if promised.len() != self.keys.len() * up.len() {
            return Err(format!("{} visits are not answered", self.world.visits));
        }
        self.pass(15_000)?;
        self.nothing_waits()
    }

    fn nothing_waits(&self) -> Result<(), String> {
        if self.world.visits > 0 {
            return Err(format!("{} visits are not answered", self.world.visits));
        }
        for host in &self.world.hosts {
            if !host.owed.is_empty() {
                return Err(format!("{} has not said that it is done", host.id));
            }
            let unsettled = host.fleet.as_ref().map_or(0, |fleet| fleet.unsettled());
            if unsettled > 0 {
                return Err(format!("{unsettled} keys are unsettled on {}", host.id));
            }
        }
        Ok(())
    }
}
