//! Keys that leave this host although it lives: all of them while it drains, and one at a time
//! while it has more than its share.
//!
//! Those without a process go first: their claims are given up, and whoever wants one has it placed
//! anew. Then come those that nobody has used for a while, and those in use last.

use crate::keys::Stage;
use crate::placement::{Bounds, place};
use crate::planted::{Bug, planted};
use crate::{Action, AskId, CallId, Fleet, Key, Local};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// After a key that no host would take, so long.
const PAUSE_MS: u64 = 500;

#[derive(Debug, Default)]
pub(crate) struct Shedding {
    is_draining: bool,
    calls: Vec<CallId>,
    /// Keys that are to go, while this host drains. Some may have gone by themselves.
    queue: VecDeque<Key>,
    asks: BTreeMap<AskId, Key>,
    last_ask: u64,
    not_before_ms: u64,
    rebalance_at_ms: u64,
}

impl Shedding {
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    pub fn take_calls(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.calls)
    }

    /// There are no keys any more.
    pub fn reset(&mut self) {
        self.queue.clear();
        self.asks.clear();
    }

    pub fn new_ask(&mut self, key: &Key) -> AskId {
        self.last_ask += 1;
        self.asks.insert(AskId(self.last_ask), key.clone());
        AskId(self.last_ask)
    }

    pub fn take_ask(&mut self, ask: AskId) -> Option<Key> {
        self.asks.remove(&ask)
    }

    pub fn has_a_new_key(&mut self, key: &Key) {
        if self.is_draining {
            self.queue.push_back(key.clone());
        }
    }

    /// The key could not be passed on.
    pub fn failed(&mut self, now_ms: u64, key: &Key) {
        self.not_before_ms = now_ms + PAUSE_MS;
        self.has_a_new_key(key);
    }
}

impl Fleet {
    pub(crate) fn drain(&mut self, call: CallId) {
        if self.is_leaving() {
            self.actions.push(Action::Done { call });
            return;
        }
        self.shedding.calls.push(call);
        if std::mem::replace(&mut self.shedding.is_draining, true) {
            return;
        }
        self.rewrite_own_record();
        let is_taken = |stage: &Stage| matches!(stage, Stage::Taking(_));
        let taken = self.keys.iter().filter(|(_, entry)| is_taken(&entry.stage));
        for key in taken.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.stop_taking(&key);
        }
        for local in [Local::Cold, Local::Idle, Local::Busy] {
            let keys: Vec<_> = self.settled(local).collect();
            self.shedding.queue.extend(keys);
        }
    }

    fn settled(&self, local: Local) -> impl Iterator<Item = Key> {
        let is_such =
            move |stage: &Stage| matches!(stage, Stage::Mine(mine) if mine.local == local);
        let keys = self.keys.iter().filter(move |(_, entry)| is_such(&entry.stage));
        keys.map(|(key, _)| key.clone())
    }

    pub(crate) fn shedding_due_ms(&self) -> Option<u64> {
        self.serving()?;
        if self.is_leaving() {
            return None;
        }
        if self.shedding.is_draining {
            return self.has_room_to_shed().then_some(self.shedding.not_before_ms);
        }
        (self.keys.counts().settled > 0).then_some(self.shedding.rebalance_at_ms)
    }

    fn has_room_to_shed(&self) -> bool {
        let counts = self.keys.counts();
        counts.settled > 0 && counts.leaving < self.config.moves_at_once
    }

    pub(crate) fn shed(&mut self, now_ms: u64) {
        if self.shedding.is_draining && self.keys.is_empty() {
            for call in self.shedding.take_calls() {
                self.actions.push(Action::Done { call });
            }
        }
        if self.shedding_due_ms().is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        if !self.shedding.is_draining {
            return self.rebalance(now_ms);
        }
        while self.has_room_to_shed() && self.shedding.not_before_ms <= now_ms {
            match self.shedding.queue.pop_front() {
                Some(key) => self.shed_one(now_ms, &key),
                None => self.shedding.not_before_ms = now_ms + PAUSE_MS,
            }
        }
    }

    fn shed_one(&mut self, now_ms: u64, key: &Key) {
        let Some(Stage::Mine(mine)) = self.keys.stage(key) else { return };
        if mine.local == Local::Cold {
            return self.end(key);
        }
        match self.another_host(key) {
            Some(_) if planted(Bug::DrainLeavesTheBusy) => {}
            Some(to) => self.give(key, &to),
            None => self.shedding.failed(now_ms, key),
        }
    }

    fn another_host(&self, key: &Key) -> Option<Arc<str>> {
        let me = &*self.config.id;
        let is_draining = self.shedding.is_draining;
        let candidates = self.candidates().filter(move |host| !is_draining || host.id != me);
        let host = place(key, candidates).filter(|host| *host != me)?;
        self.picture.hosts.get_key_value(host).map(|(host, _)| host.clone())
    }

    fn rebalance(&mut self, now_ms: u64) {
        self.shedding.rebalance_at_ms = now_ms + self.config.rebalance_every_ms.max(1);
        let counts = self.keys.counts();
        let bound = Bounds::of(self.candidates()).of_weight(self.config.weight);
        if counts.leaving > 0 || counts.mine <= bound {
            return;
        }
        let locals = [Local::Cold, Local::Idle, Local::Busy];
        let first = locals.into_iter().find_map(|local| self.settled(local).next());
        if let Some(key) = first {
            self.shed_one(now_ms, &key);
        }
    }
}
