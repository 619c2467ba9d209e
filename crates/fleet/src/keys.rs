//! The keys that something is going on with here: those that are this host's, and those that come
//! or go. All others are in the picture alone.

use crate::orders::Purpose;
use crate::planted::{Bug, planted};
use crate::records::{Held, Seen};
use crate::transaction::Answer;
use crate::{Action, CallId, Fleet, Key, Local, OrderId, Owner, Want, Where, Why};
use std::collections::{BTreeMap, BTreeSet};

use crate::giving::Giving;
use crate::taking::Taking;

#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: BTreeMap<Key, Entry>,
    /// Those that are being claimed: few, and looked through at each change in the fleet.
    claiming: BTreeSet<Key>,
    timers: BTreeSet<(u64, Key)>,
    counts: Counts,
}

/// How many keys are in which stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// This host's, by an answer of the store.
    pub mine: usize,
    /// Of these, those that stay.
    pub settled: usize,
    /// Those that are on their way out.
    pub leaving: usize,
}

impl Counts {
    fn of(stage: &Stage) -> Counts {
        let is_leaving =
            matches!(stage, Stage::Giving(..) | Stage::Ending(_) | Stage::Releasing(..));
        Counts {
            mine: usize::from(stage.mine().is_some()),
            settled: usize::from(matches!(stage, Stage::Mine(_))),
            leaving: usize::from(is_leaving),
        }
    }

    fn add(&mut self, other: Counts) {
        self.mine += other.mine;
        self.settled += other.settled;
        self.leaving += other.leaving;
    }

    fn subtract(&mut self, other: Counts) {
        self.mine -= other.mine;
        self.settled -= other.settled;
        self.leaving -= other.leaving;
    }
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub stage: Stage,
    /// Calls that are answered when it is known where the key is.
    pub waiters: Vec<Waiter>,
    timer_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub call: CallId,
    pub want: Want,
}

/// What is going on with a key.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The store is asked for it, or will be when keys may be claimed.
    Claiming(Claiming),
    /// The store is asked who has it, as who had it cannot be reached.
    Asking(OrderId),
    /// It is admitted here.
    Mine(Mine),
    /// It is admitted here, and passes to another host.
    Giving(Mine, Giving),
    /// Its tenant is being ended; then its claim is given up, if it has one.
    Ending(Option<Mine>),
    /// Nothing of it lives here, and its claim is being given up. Until the store has answered that
    /// it is gone, nobody knows, so nothing else is done with the key.
    Releasing(Mine, Option<OrderId>),
    /// Another host passes it to this one.
    Taking(Taking),
}

/// A key of which the store has answered that it is this host's. Only this host can change that
/// while its session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mine {
    pub modified: u64,
    pub epoch: u64,
    pub local: Local,
}

#[derive(Debug)]
pub(crate) struct Claiming {
    pub order: Option<OrderId>,
    /// The claim that is to be replaced.
    pub seen: Seen,
    pub tries: u32,
    /// What the epoch begins from, by the era that the order compares.
    pub base: u64,
}

impl Stage {
    pub fn mine(&self) -> Option<&Mine> {
        match self {
            Stage::Mine(mine)
            | Stage::Giving(mine, _)
            | Stage::Ending(Some(mine))
            | Stage::Releasing(mine, _) => Some(mine),
            _ => None,
        }
    }
}

impl Keys {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub fn stage(&self, key: &str) -> Option<&Stage> {
        self.entries.get(key).map(|entry| &entry.stage)
    }

    pub fn names(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Those that are being claimed.
    pub fn claiming(&self) -> impl Iterator<Item = (&Key, &Claiming)> {
        self.claiming.iter().filter_map(|key| match self.stage(key) {
            Some(Stage::Claiming(claiming)) => Some((key, claiming)),
            _ => None,
        })
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The claims of this host, with their revisions.
    pub fn claims(&self) -> Vec<(Key, u64)> {
        let claim =
            |(key, entry): (&Key, &Entry)| Some((key.clone(), entry.stage.mine()?.modified));
        self.entries.iter().filter_map(claim).collect()
    }

    /// Puts the key into this stage, without a timer; those that wait for it go on waiting.
    pub fn set(&mut self, key: &Key, stage: Stage) -> &mut Entry {
        self.set_timer(key, None);
        self.counts.add(Counts::of(&stage));
        match stage {
            Stage::Claiming(_) => self.claiming.insert(key.clone()),
            _ => self.claiming.remove(key),
        };
        if !self.entries.contains_key(key) {
            let entry = Entry { stage, waiters: Vec::new(), timer_ms: None };
            return self.entries.entry(key.clone()).or_insert(entry);
        }
        let entry = self.entries.get_mut(key).expect("it is there");
        self.counts.subtract(Counts::of(&entry.stage));
        entry.stage = stage;
        entry
    }

    /// Nothing is going on with the key any more. Returns who still waits for it.
    pub fn remove(&mut self, key: &str) -> Vec<Waiter> {
        self.set_timer(key, None);
        self.claiming.remove(key);
        let Some(entry) = self.entries.remove(key) else { return Vec::new() };
        self.counts.subtract(Counts::of(&entry.stage));
        entry.waiters
    }

    pub fn set_timer(&mut self, key: &str, at_ms: Option<u64>) {
        let Some((key, _)) = self.entries.get_key_value(key) else { return };
        let key = key.clone();
        let entry = self.entries.get_mut(&key).expect("it is there");
        if let Some(before_ms) = std::mem::replace(&mut entry.timer_ms, at_ms) {
            self.timers.remove(&(before_ms, key.clone()));
        }
        if let Some(at_ms) = at_ms {
            self.timers.insert((at_ms, key));
        }
    }

    pub fn first_timer_ms(&self) -> Option<u64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    fn due(&mut self, now_ms: u64) -> Option<Key> {
        let (_, key) = self.timers.first().filter(|(at_ms, _)| *at_ms <= now_ms)?;
        let key = key.clone();
        self.set_timer(&key, None);
        Some(key)
    }

    pub fn check(&self) -> Result<(), String> {
        let mut counts = Counts::default();
        self.entries.values().for_each(|entry| counts.add(Counts::of(&entry.stage)));
        if counts != self.counts {
            return Err(format!("{counts:?} of keys, and {:?} are counted", self.counts));
        }
        let is_claimed = |entry: &Entry| matches!(entry.stage, Stage::Claiming(_));
        let claiming = self.entries.iter().filter(|(_, entry)| is_claimed(entry));
        if !claiming.map(|(key, _)| key).eq(&self.claiming) {
            return Err(format!("{:?} are listed as being claimed", self.claiming));
        }
        let timer = |(key, entry): (&Key, &Entry)| Some((entry.timer_ms?, key.clone()));
        let timers: BTreeSet<_> = self.entries.iter().filter_map(timer).collect();
        if timers != self.timers {
            return Err(format!("timers of keys: {timers:?} and {:?}", self.timers));
        }
        Ok(())
    }
}

impl Fleet {
    pub(crate) fn answer(&mut self, call: CallId, place: Where) {
        self.actions.push(Action::Answer { call, place });
    }

    pub(crate) fn refuse(&mut self, call: CallId, why: Why) {
        let retry_after_ms = self.retry_after_ms(why);
        self.answer(call, Where::Refused { why, retry_after_ms });
    }

    /// About how long it takes until another answer can be expected.
    fn retry_after_ms(&self, why: Why) -> u64 {
        match why {
            Why::Unsettled => 100,
            Why::OwnerUnreachable | Why::StoreIsNew => self.config.terms.gone_after_ms,
            _ => 1_000,
        }
    }

    /// The session is over, or the host leaves: nothing of any key goes on here.
    pub(crate) fn drop_keys(&mut self) {
        let why = if self.is_leaving() { Why::Closing } else { Why::Apart };
        let keys = std::mem::take(&mut self.keys);
        self.shedding.reset();
        for (key, entry) in keys.entries {
            for waiter in entry.waiters {
                self.refuse(waiter.call, why);
            }
            if let Stage::Taking(taking) = &entry.stage {
                self.refuse_ask(taking);
            }
            if entry.stage.mine().is_some() {
                self.route(&key);
            }
        }
    }

    /// Tells who owns the key.
    pub(crate) fn route(&mut self, key: &Key) {
        let owner = self.owner(key);
        self.actions.push(Action::Route { key: key.clone(), owner });
    }

    fn owner(&self, key: &Key) -> Option<Owner> {
        if let Some(Stage::Mine(mine) | Stage::Giving(mine, _)) = self.keys.stage(key) {
            let (host, address) = (self.config.id.clone(), self.config.address.clone());
            return Some(Owner { host, address, epoch: mine.epoch });
        }
        let Seen::Held(held) = self.picture.claim(key) else { return None };
        if *held.host == *self.config.id {
            return None;
        }
        let lives = self.picture.session(&held.host) == Some(held.session);
        let address = self.picture.address(&held.host).filter(|_| lives)?;
        Some(held.owner(address))
    }

    /// Nothing is going on with the key here any more: who waits is told where it is by now.
    pub(crate) fn vacate(&mut self, key: &Key) {
        for waiter in self.keys.remove(key) {
            self.look_for(key, waiter, None);
        }
        self.route(key);
        if self.keys.get(key).is_none() {
            self.give_up_unknown(key, &self.picture.claim(key));
        }
    }

    /// The picture of the key's claim, or of its owner, has changed.
    pub(crate) fn claim_changed(&mut self, now_ms: u64, key: &Key) {
        self.route(key);
        let seen = self.picture.claim(key);
        let known = self.picture.at.map_or(0, |at| at.revision);
        match self.keys.stage(key) {
            None => self.give_up_unknown(key, &seen),
            Some(Stage::Mine(mine)) if is_lost(mine, &seen, known) => self.lost(key),
            Some(Stage::Giving(mine, giving))
                if !giving.is_passing() && is_lost(mine, &seen, known) =>
            {
                self.lost(key);
            }
            Some(Stage::Taking(_)) => self.taken_changed(now_ms, key, &seen, known),
            _ => {}
        }
    }

    /// A claim of this session that nothing is known of: its answer was lost, or it was passed on
    /// when it was not expected any more. It is given up, by a transaction that compares it: the
    /// picture may be of the past.
    fn give_up_unknown(&mut self, key: &Key, seen: &Seen) {
        let Some(Held { host, session, epoch, modified }) = seen.held().cloned() else { return };
        if self.is_own(&host, session) && !self.is_leaving() {
            if planted(Bug::WatchIsBelieved) {
                return self.becomes_mine(0, key, modified, epoch);
            }
            if planted(Bug::UnknownIsLeft) {
                return;
            }
            self.release(key, Mine { modified, epoch, local: Local::Cold });
        }
    }

    pub(crate) fn key_timers(&mut self, now_ms: u64) {
        while let Some(key) = self.keys.due(now_ms) {
            match self.keys.stage(&key) {
                Some(Stage::Claiming(_)) => self.drive_claim(&key),
                Some(Stage::Mine(mine)) if mine.local == Local::Cold => self.end(&key),
                Some(Stage::Giving(..)) => self.drive_pass(&key),
                Some(Stage::Releasing(mine, _)) => {
                    let mine = *mine;
                    self.release(&key, mine);
                }
                Some(Stage::Taking(_)) => self.taking_is_due(&key),
                _ => {}
            }
        }
    }

    pub(crate) fn key_answered(&mut self, now_ms: u64, key: &Key, order: OrderId, answer: Answer) {
        match self.keys.stage(key) {
            Some(Stage::Claiming(claiming)) if claiming.order == Some(order) => {
                self.claim_answered(now_ms, key, answer);
            }
            Some(Stage::Asking(asked)) if *asked == order => {
                self.owner_answered(key, answer);
            }
            Some(Stage::Giving(_, giving)) if giving.order() == Some(order) => {
                self.pass_answered(now_ms, key, answer);
            }
            Some(Stage::Releasing(_, waits)) if *waits == Some(order) => {
                self.release_answered(now_ms, key, answer);
            }
            Some(Stage::Taking(taking)) if taking.order() == Some(order) => {
                self.taking_answered(now_ms, key, answer);
            }
            Some(Stage::Taking(taking)) if taking.check == Some(order) => {
                self.taking_checked(now_ms, key, answer);
            }
            _ => {}
        }
    }

    pub(crate) fn order_for(&mut self, key: &Key, transaction: crate::Transaction) -> OrderId {
        self.commit(Purpose::Key(key.clone()), transaction)
    }
}

/// Whether the claim is not what this host knows it to be, by a picture that is not older.
fn is_lost(mine: &Mine, seen: &Seen, known: u64) -> bool {
    known >= mine.modified && seen.held().is_none_or(|held| held.modified != mine.modified)
}
