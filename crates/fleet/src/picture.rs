//! What one host knows of the store: hosts, claims and the era, from listings and the watch. It may
//! be behind; whoever acts on it has the store compare.

use crate::placement::Candidate;
use crate::records::{
    CLAIMS, ERA, EraRecord, HOSTS, Held, HostRecord, HostState, Seen, decode, name_below, shared,
};
use crate::transaction::{Record, Stamp};
use crate::{Change, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// Of the last listing or change; none before the first listing.
    pub at: Option<Stamp>,
    pub hosts: BTreeMap<Arc<str>, Host>,
    claims: BTreeMap<Key, Claim>,
    holders: Holders,
    pub era: Era,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Host {
    pub session: u64,
    modified: u64,
    /// None for a record of another version: nothing is placed there, but its claims hold.
    pub record: Option<HostRecord>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Era {
    /// 0 if there is no such record.
    pub modified: u64,
    /// None if there is none that can be read.
    pub record: Option<EraRecord>,
}

/// 24 bytes, since there may be a million.
#[derive(Clone, Copy, Debug)]
struct Claim {
    modified: u64,
    epoch: u64,
    /// None for a claim of another version.
    holder: Option<HolderId>,
}

/// What a change was about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub claims: BTreeSet<Key>,
    pub joined: Vec<Arc<str>>,
    pub gone: Vec<Arc<str>>,
}

/// What is known of the holder of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Lives,
    Gone,
    /// It has joined later than this picture was taken.
    TooNew,
}

impl Picture {
    /// Takes the listing in place of all that was known.
    pub fn list(&mut self, at: Stamp, records: Vec<Record>) -> Touched {
        let before = std::mem::take(self);
        self.at = Some(at);
        for record in records {
            self.put(record);
        }
        let mut touched = Touched::default();
        for (id, host) in &self.hosts {
            if before.hosts.get(id).is_none_or(|earlier| earlier.session != host.session) {
                touched.joined.push(id.clone());
            }
        }
        for (id, host) in &before.hosts {
            if self.hosts.get(id).is_none_or(|later| later.session != host.session) {
                touched.gone.push(id.clone());
            }
        }
        let is_other = |key: &Key| self.claim(key) != before.claim(key);
        let differs =
            |key: &&Key| is_other(key) || self.life_of_claim(key) != before.life_of_claim(key);
        touched.claims.extend(before.claims.keys().filter(differs).cloned());
        touched.claims.extend(self.claims.keys().filter(differs).cloned());
        touched
    }

    /// Takes changes in, but for those that are older than what is known.
    pub fn change(&mut self, at: Stamp, changes: Vec<Change>) -> Touched {
        let mut touched = Touched::default();
        let mut sessions = BTreeSet::new();
        for change in changes {
            if let Some(id) = name_below(HOSTS, &change.key) {
                self.change_host(&mut touched, &mut sessions, id, change.record, change.revision);
            } else if let Some(key) = name_below(CLAIMS, &change.key) {
                let is_news =
                    self.claims.get(key).is_none_or(|claim| claim.modified < change.revision);
                if is_news {
                    touched.claims.insert(shared(key));
                    self.put_claim(key, change.record.as_ref());
                }
            } else if change.key == ERA && self.era.modified < change.revision {
                self.put_era(change.record.as_ref());
            }
        }
        self.at = Some(at);
        self.touch_claims_of(&mut touched, &sessions);
        touched
    }

    /// An answer of the store is known before the watch tells it.
    pub fn learn_claim(&mut self, key: &Key, record: &Record) -> bool {
        let is_known = self.claims.get(key).is_some_and(|claim| claim.modified >= record.modified);
        let is_news = !is_known && self.is_later(record.modified);
        if is_news {
            self.put_claim(key, Some(record));
        }
        is_news
    }

    /// The claim was given up. (A watch that is behind may bring it back for a while.)
    pub fn forget_claim(&mut self, key: &str, modified: u64) {
        if self.claims.get(key).is_some_and(|claim| claim.modified == modified) {
            self.put_claim(key, None);
        }
    }

    /// As with claims; of this host's own record, so that it is a candidate at once.
    pub fn learn_host(&mut self, record: Record) {
        if self.is_later(record.modified) {
            self.put(record);
        }
    }

    /// The host's record was removed: a session that is gone does not come back.
    pub fn forget_host(&mut self, id: &str, session: u64) -> Touched {
        let mut touched = Touched::default();
        if self.hosts.get(id).is_some_and(|host| host.session == session) {
            let mut sessions = BTreeSet::new();
            self.change_host(&mut touched, &mut sessions, id, None, u64::MAX);
            self.touch_claims_of(&mut touched, &sessions);
        }
        touched
    }

    pub fn learn_era(&mut self, record: Option<&Record>, at: Stamp) {
        if self.is_later(at.revision) && record.is_none_or(|era| era.modified > self.era.modified) {
            self.put_era(record);
        }
    }

    fn is_later(&self, revision: u64) -> bool {
        self.at.is_some_and(|at| at.revision < revision)
    }

    fn change_host(
        &mut self,
        touched: &mut Touched,
        sessions: &mut BTreeSet<HolderId>,
        id: &str,
        record: Option<Record>,
        revision: u64,
    ) {
        let before = self.hosts.get(id).cloned();
        if before.as_ref().is_some_and(|host| host.modified >= revision) {
            return;
        }
        let session_before = before.map(|host| host.session);
        let session = record.as_ref().map(|record| record.created);
        match record {
            Some(record) => self.put(record),
            None => _ = self.hosts.remove(id),
        }
        if session == session_before {
            return;
        }
        let id = self.hosts.get_key_value(id).map_or_else(|| shared(id), |(id, _)| id.clone());
        sessions.extend(session_before.and_then(|session| self.holders.find(&id, session)));
        sessions.extend(session.and_then(|session| self.holders.find(&id, session)));
        if session_before.is_some() {
            touched.gone.push(id.clone());
        }
        if session.is_some() {
            touched.joined.push(id);
        }
    }

    /// All claims are looked at once, however many hosts have come or gone.
    fn touch_claims_of(&self, touched: &mut Touched, sessions: &BTreeSet<HolderId>) {
        if sessions.is_empty() {
            return;
        }
        let is_theirs = |claim: &Claim| claim.holder.is_some_and(|id| sessions.contains(&id));
        let theirs = self.claims.iter().filter(|(_, claim)| is_theirs(claim));
        touched.claims.extend(theirs.map(|(key, _)| key.clone()));
    }

    fn put(&mut self, record: Record) {
        if let Some(id) = name_below(HOSTS, &record.key) {
            let (session, modified) = (record.created, record.modified);
            let is_sound = |host: &HostRecord| host.weight.is_finite() && host.weight >= 0.0;
            let host = decode(&record.value).filter(is_sound);
            self.hosts.insert(shared(id), Host { session, modified, record: host });
        } else if let Some(key) = name_below(CLAIMS, &record.key) {
            self.put_claim(key, Some(&record));
        } else if record.key == ERA {
            self.put_era(Some(&record));
        }
    }

    fn put_era(&mut self, record: Option<&Record>) {
        self.era = record.map_or(Era::default(), |record| Era {
            modified: record.modified,
            record: decode(&record.value),
        });
    }

    fn put_claim(&mut self, key: &str, record: Option<&Record>) {
        let before = self.claims.get(key).and_then(|claim| claim.holder);
        match record {
            None => _ = self.claims.remove(key),
            Some(record) => {
                let held = match Seen::of(Some(record)) {
                    Seen::Held(held) => Some(held),
                    _ => None,
                };
                let claim = Claim {
                    modified: record.modified,
                    epoch: held.as_ref().map_or(0, |held| held.epoch),
                    holder: held.map(|held| self.holders.take(&held.host, held.session)),
                };
                match self.claims.get_mut(key) {
                    Some(known) => *known = claim,
                    None => _ = self.claims.insert(shared(key), claim),
                }
            }
        }
        if let Some(before) = before {
            self.holders.give_back(before);
        }
    }

    pub fn claim(&self, key: &str) -> Seen {
        let Some(claim) = self.claims.get(key) else { return Seen::Absent };
        let Some(holder) = claim.holder else { return Seen::Unreadable };
        let (host, session) = self.holders.get(holder);
        let host = host.clone();
        Seen::Held(Held { host, session, epoch: claim.epoch, modified: claim.modified })
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.claims.keys()
    }

    fn life_of_claim(&self, key: &str) -> Option<Life> {
        self.claim(key).held().map(|held| self.life(held))
    }

    pub fn life(&self, held: &Held) -> Life {
        if self.session(&held.host) == Some(held.session) {
            Life::Lives
        } else if self.is_later(held.session) {
            Life::TooNew
        } else {
            Life::Gone
        }
    }

    pub fn session(&self, host: &str) -> Option<u64> {
        self.hosts.get(host).map(|host| host.session)
    }

    pub fn address(&self, host: &str) -> Option<&Arc<str>> {
        self.hosts.get(host)?.record.as_ref().map(|record| &record.address)
    }

    /// How many keys the host has in its present session.
    pub fn load(&self, host: &str) -> usize {
        let session = self.session(host);
        session.map_or(0, |session| self.holders.keys_of(host, session))
    }

    /// Hosts without a record that have claims nevertheless, and how many. One that has joined later
    /// than this picture was taken is not gone.
    pub fn gone(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let keys_of = |sessions: &[HolderId]| -> usize {
            let slots = sessions.iter().map(|id| &self.holders.slots[id.index()]);
            slots.filter(|slot| !self.is_later(slot.session)).map(|slot| slot.keys).sum()
        };
        let absent = self.holders.ids.iter().filter(|(id, _)| !self.hosts.contains_key(*id));
        absent.map(move |(id, sessions)| (id, keys_of(sessions))).filter(|(_, keys)| *keys > 0)
    }

    /// The hosts that may be given keys.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        self.hosts.iter().filter_map(|(id, host)| {
            let record = host.record.as_ref().filter(|record| record.state == HostState::Live)?;
            let load = self.holders.keys_of(id, host.session);
            Some(Candidate { id, weight: record.weight, load })
        })
    }
}

/// Sessions that have claims, by number: a claim names one in four bytes.
#[derive(Debug, Default)]
struct Holders {
    ids: BTreeMap<Arc<str>, Vec<HolderId>>,
    slots: Vec<Slot>,
    free: Vec<HolderId>,
}

#[derive(Debug)]
struct Slot {
    host: Arc<str>,
    session: u64,
    keys: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HolderId(std::num::NonZeroU32);

impl HolderId {
    fn of(index: usize) -> HolderId {
        let number = u32::try_from(index + 1).expect("fewer sessions than claims");
        HolderId(std::num::NonZeroU32::new(number).expect("it is one more than an index"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Holders {
    fn get(&self, id: HolderId) -> (&Arc<str>, u64) {
        let slot = &self.slots[id.index()];
        (&slot.host, slot.session)
    }

    fn find(&self, host: &str, session: u64) -> Option<HolderId> {
        let ids = self.ids.get(host)?;
        ids.iter().copied().find(|id| self.slots[id.index()].session == session)
    }

    fn keys_of(&self, host: &str, session: u64) -> usize {
        self.find(host, session).map_or(0, |id| self.slots[id.index()].keys)
    }

    fn take(&mut self, host: &Arc<str>, session: u64) -> HolderId {
        let id = self.find(host, session).unwrap_or_else(|| self.add(host, session));
        self.slots[id.index()].keys += 1;
        id
    }

    fn add(&mut self, host: &Arc<str>, session: u64) -> HolderId {
        let host = self.ids.get_key_value(host).map_or_else(|| host.clone(), |(id, _)| id.clone());
        let slot = Slot { host: host.clone(), session, keys: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id.index()] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                HolderId::of(self.slots.len() - 1)
            }
        };
        self.ids.entry(host).or_default().push(id);
        id
    }

    fn give_back(&mut self, id: HolderId) {
        let slot = &mut self.slots[id.index()];
        slot.keys -= 1;
        if slot.keys > 0 {
            return;
        }
        let host = slot.host.clone();
        self.free.push(id);
        let ids = self.ids.get_mut(&host).expect("a holder is listed below its host");
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            self.ids.remove(&host);
        }
    }
}
