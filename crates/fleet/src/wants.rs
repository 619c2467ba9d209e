//! Where a key is served: what is answered to whoever wants it.

use crate::claims::as_read;
use crate::keys::{Claiming, Stage, Waiter};
use crate::orders::Purpose;
use crate::picture::Life;
use crate::placement::{Candidate, place};
use crate::records::{Held, Seen, claim_key};
use crate::transaction::Answer;
use crate::{CallId, Fleet, Key, Owner, Want, Where, Why};

/// What is done about a want.
enum Verdict {
    Answer(Where),
    Refuse(Why),
    /// This host is to have it.
    Claim,
    /// Its owner is gone, or has passed it on or given it up.
    AskTheStore,
}

impl Fleet {
    pub(crate) fn want(&mut self, call: CallId, key: Key, want: Want) {
        if self.is_leaving() {
            return self.want_of_one_that_leaves(call, &key, &want);
        }
        let waiter = Waiter { call, want };
        let Some(entry) = self.keys.get_mut(&key) else {
            return self.look_for(&key, waiter, None);
        };
        match &entry.stage {
            Stage::Mine(mine) => {
                let epoch = mine.epoch;
                self.answer(call, Where::Here { epoch });
            }
            Stage::Giving(mine, giving) if giving.is_still_served() => {
                let epoch = mine.epoch;
                self.answer(call, Where::Here { epoch });
            }
            // It is another's by now; only if it is nobody's this one must have ended first.
            Stage::Ending(None) => self.look_for(&key, waiter, None),
            Stage::Taking(taking) => {
                let (hops, doubts) = (waiter.want.hops, waiter.want.doubts);
                // The host that passes it on still serves it. Who comes from there may know better.
                let was_there = hops > 0 || doubts || waiter.want.is_told_of(&self.config.id);
                if was_there && (taking.is_ready() || hops > 0) {
                    entry.waiters.push(waiter);
                    self.check_taking(&key);
                } else {
                    self.look_for(&key, waiter, None);
                }
            }
            _ => entry.waiters.push(waiter),
        }
    }

    /// What has passed to another host is served there: whoever asks here may not know that yet.
    fn want_of_one_that_leaves(&mut self, call: CallId, key: &Key, want: &Want) {
        let has_passed =
            |held: &Held| *held.host != *self.config.id && self.picture.life(held) == Life::Lives;
        let seen = self.picture.claim(key);
        let place = seen.held().filter(|held| has_passed(held)).map(|held| self.there(want, held));
        match place {
            Some(Verdict::Answer(place)) => self.answer(call, place),
            _ => self.refuse(call, Why::Closing),
        }
    }

    pub(crate) fn abort(&mut self, call: CallId, key: &Key) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.waiters.retain(|waiter| waiter.call != call);
        }
    }

    /// Answers where the key is, or has it claimed. `seen` is its claim if the store has just said
    /// so; otherwise it is looked up in the picture. Nothing goes on with the key here but, at most,
    /// that it is being claimed or taken.
    pub(crate) fn look_for(&mut self, key: &Key, waiter: Waiter, seen: Option<Seen>) {
        let is_told = seen.is_some();
        let seen = seen.unwrap_or_else(|| self.picture.claim(key));
        match self.verdict(key, &waiter.want, &seen, is_told) {
            Verdict::Answer(place) => self.answer(waiter.call, place),
            Verdict::Refuse(why) => self.refuse(waiter.call, why),
            Verdict::Claim => match self.keys.get_mut(key) {
                Some(entry) => entry.waiters.push(waiter),
                None => {
                    let claiming = Claiming { order: None, seen, tries: 0, base: 0 };
                    self.keys.set(key, Stage::Claiming(claiming)).waiters.push(waiter);
                    self.drive_claim(key);
                }
            },
            Verdict::AskTheStore if self.keys.get(key).is_none() => {
                let order = self.read(Purpose::Key(key.clone()), vec![claim_key(key)]);
                self.keys.set(key, Stage::Asking(order)).waiters.push(waiter);
            }
            Verdict::AskTheStore => self.refuse(waiter.call, Why::OwnerUnreachable),
        }
    }

    pub(crate) fn owner_answered(&mut self, key: &Key, answer: Answer) {
        let Answer::Read { records, .. } = answer else {
            return self.give_claim_up(key, Why::OwnerUnreachable);
        };
        let [claim] = as_read(records);
        let seen = self.learn_claim(key, claim);
        self.claim_for_waiters(key, seen, 0);
    }

    /// The store has said what the claim of the key is: answers those that wait, but for those for
    /// whom the key is to be claimed all the same. Returns whether there are any.
    pub(crate) fn answer_waiters(&mut self, key: &Key, seen: &Seen) -> bool {
        let Some(entry) = self.keys.get_mut(key) else { return false };
        for waiter in std::mem::take(&mut entry.waiters) {
            match self.verdict(key, &waiter.want, seen, true) {
                Verdict::Answer(place) => self.answer(waiter.call, place),
                Verdict::Refuse(why) => self.refuse(waiter.call, why),
                Verdict::AskTheStore => self.refuse(waiter.call, Why::OwnerUnreachable),
                Verdict::Claim => {
                    if let Some(entry) = self.keys.get_mut(key) {
                        entry.waiters.push(waiter);
                    }
                }
            }
        }
        self.keys.get(key).is_some_and(|entry| !entry.waiters.is_empty())
    }

    fn verdict(&self, key: &Key, want: &Want, seen: &Seen, is_told: bool) -> Verdict {
        if self.picture.at.is_none() {
            return Verdict::Refuse(Why::Apart);
        }
        if let Some(told) = want.told.as_ref().filter(|_| !is_told)
            && let Some(verdict) = self.follow(told, want, seen)
        {
            return verdict;
        }
        match seen {
            Seen::Unreadable => Verdict::Refuse(Why::NewerVersion),
            Seen::Absent => self.place(key, want),
            Seen::Held(held) if self.is_own(&held.host, held.session) => match self.may_claim() {
                true => Verdict::Claim,
                // It is being given up.
                false => Verdict::Refuse(Why::Unsettled),
            },
            Seen::Held(held) => match self.picture.life(held) {
                Life::Gone => self.place(key, want),
                Life::TooNew => Verdict::Refuse(Why::Unsettled),
                Life::Lives if self.is_doubted(want, held) && !is_told => Verdict::AskTheStore,
                Life::Lives => self.there(want, held),
            },
        }
    }

    /// Whoever was asked knows more than the picture, if its epoch is later, or if it says that the
    /// key is nobody's. (That the picture says otherwise will be seen when the key is claimed.)
    fn follow(&self, told: &Owner, want: &Want, seen: &Seen) -> Option<Verdict> {
        let known_epoch = seen.held().map_or(0, |held| held.epoch);
        let is_news = told.epoch == 0 || told.epoch > known_epoch;
        if !is_news || want.excluding.contains(&told.host) {
            return None;
        }
        if *told.host == *self.config.id {
            return (told.epoch == 0 && self.may_claim()).then_some(Verdict::Claim);
        }
        let address = self.picture.address(&told.host).unwrap_or(&told.address).clone();
        let (host, epoch) = (told.host.clone(), Some(told.epoch).filter(|epoch| *epoch > 0));
        Some(Verdict::Answer(Where::There { host, address, epoch }))
    }

    /// Whether it may be that the picture is behind. Only a host that may serve keeps keys, and those
    /// who wait for them.
    fn is_doubted(&self, want: &Want, held: &Held) -> bool {
        let is_gone = want.doubts && want.excluding.contains(&held.host);
        // Whoever passed it on has chosen this host: it may have given the key up itself.
        self.serving().is_some() && (is_gone || want.hops > 0)
    }

    fn there(&self, want: &Want, held: &Held) -> Verdict {
        // By a session of this host's that is over, which others cannot know yet.
        if *held.host == *self.config.id {
            return Verdict::Refuse(Why::Apart);
        }
        if want.excluding.contains(&held.host) {
            return Verdict::Refuse(Why::OwnerUnreachable);
        }
        match self.picture.address(&held.host) {
            Some(address) => {
                let (host, address) = (held.host.clone(), address.clone());
                Verdict::Answer(Where::There { host, address, epoch: Some(held.epoch) })
            }
            None => Verdict::Refuse(Why::NewerVersion),
        }
    }

    /// Who is to have a key that is nobody's.
    fn place(&self, key: &Key, want: &Want) -> Verdict {
        let may_claim = self.may_claim();
        // Whoever passed it on has chosen this host; passing it on again could go round.
        if may_claim && want.hops > 0 {
            return Verdict::Claim;
        }
        let me = &*self.config.id;
        let is_possible = |host: &Candidate| {
            let is_excluded = want.excluding.iter().any(|id| **id == *host.id);
            if host.id == me { may_claim } else { !is_excluded }
        };
        let candidates = self.candidates().filter(is_possible);
        let Some(host) = place(key, candidates) else {
            let why = if self.serving().is_some() { Why::NoHost } else { Why::Apart };
            return Verdict::Refuse(why);
        };
        if host == me {
            return Verdict::Claim;
        }
        match self.picture.hosts.get_key_value(host) {
            Some((host, _)) => {
                let address = self.picture.address(host).cloned().unwrap_or_else(|| "".into());
                Verdict::Answer(Where::There { host: host.clone(), address, epoch: None })
            }
            None => Verdict::Refuse(Why::NoHost),
        }
    }

    /// Of its own keys this host knows more than the picture.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        let me = &*self.config.id;
        let mine = self.keys.counts().mine;
        self.picture.candidates().map(move |host| {
            let load = if host.id == me { mine } else { host.load };
            Candidate { load, ..host }
        })
    }

    pub(crate) fn may_claim(&self) -> bool {
        self.serving().is_some() && !self.shedding.is_draining() && !self.is_leaving()
    }

    /// A request for the key has come from the host that passes it on: it may have passed already.
    fn check_taking(&mut self, key: &Key) {
        let Some(Stage::Taking(taking)) = self.keys.stage(key) else { return };
        if taking.check.is_some() || !taking.is_ready() {
            return;
        }
        let read = self.read(Purpose::Key(key.clone()), vec![claim_key(key)]);
        if let Some(entry) = self.keys.get_mut(key)
            && let Stage::Taking(taking) = &mut entry.stage
        {
            taking.check = Some(read);
        }
    }
}
