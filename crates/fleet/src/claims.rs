//! How a key becomes this host's, and stops being so.

use crate::keys::{Claiming, Mine, Stage};
use crate::orders::{RETRY_MS, created, delete, modified, new_record, put};
use crate::planted::{Bug, planted};
use crate::records::{ClaimRecord, ERA, Seen, claim_key, encode, host_key};
use crate::transaction::{Answer, Compare, Record, Stamp, Transaction};
use crate::{Action, Event, Fleet, Key, Local, Where, Why};

/// A key that others get so often while it is claimed is given up on, for this time.
const TRIES: u32 = 5;

impl Fleet {
    /// Asks the store for the key: it must be as it was seen, and whoever had it gone.
    pub(crate) fn drive_claim(&mut self, key: &Key) {
        let (Some(session), Some(base)) = (self.serving(), self.era_base()) else { return };
        let Some(Stage::Claiming(claiming)) = self.keys.stage(key) else { return };
        let transaction = self.claim_transaction(key, &claiming.seen, session, base);
        let order = self.order_for(key, transaction);
        if let Some(entry) = self.keys.get_mut(key)
            && let Stage::Claiming(claiming) = &mut entry.stage
        {
            claiming.order = Some(order);
            claiming.base = base;
        }
    }

    fn claim_transaction(&self, key: &Key, seen: &Seen, session: u64, base: u64) -> Transaction {
        let me = host_key(&self.config.id);
        let claim = claim_key(key);
        let mut if_all = vec![
            created(me.clone(), session),
            modified(ERA.into(), self.picture.era.modified),
            modified(claim.clone(), seen.held().map_or(0, |held| held.modified)),
        ];
        if let Seen::Held(held) = seen
            && !self.is_own(&held.host, held.session)
        {
            if_all.push(Compare::CreatedIsNot { key: host_key(&held.host), not: held.session });
        }
        let (then, else_read) =
            (self.own_claim(session, base), vec![claim.clone(), me, ERA.into()]);
        Transaction { if_all, then: vec![put(claim, then)], else_read }
    }

    fn own_claim(&self, session: u64, base: u64) -> Vec<u8> {
        encode(&ClaimRecord { host: self.config.id.clone(), session, epoch: None, base })
    }

    /// Keys may be claimed again.
    pub(crate) fn claim_what_waits(&mut self) {
        let waiting = self.keys.claiming().filter(|(_, claiming)| claiming.order.is_none());
        let waiting: Vec<Key> = waiting.map(|(key, _)| key.clone()).collect();
        for key in waiting {
            self.keys.set_timer(&key, None);
            self.drive_claim(&key);
        }
    }

    pub(crate) fn claim_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        match answer {
            Answer::Committed { at } => self.claimed(now_ms, key, at),
            Answer::Refused { at, read } => {
                let [claim, me, era] = as_read(read);
                if me.map(|record| record.created) != self.serving() {
                    return self.fence();
                }
                self.picture.learn_era(era.as_ref(), at);
                let seen = self.learn_claim(key, claim);
                self.try_claim_again(key, seen);
            }
            // It may be carried out, or have been: it is asked again, and what the store says then
            // is what holds.
            Answer::Unknown => {
                let Some(entry) = self.keys.get_mut(key) else { return };
                if let Stage::Claiming(claiming) = &mut entry.stage {
                    claiming.order = None;
                }
                self.keys.set_timer(key, Some(now_ms + RETRY_MS));
            }
            _ => self.give_claim_up(key, Why::StoreUnreachable),
        }
    }

    fn claimed(&mut self, now_ms: u64, key: &Key, at: Stamp) {
        let Some(Stage::Claiming(Claiming { base, .. })) = self.keys.stage(key) else { return };
        let Some(session) = self.serving() else { return };
        let base = *base;
        let value = self.own_claim(session, base);
        self.picture.learn_claim(key, &new_record(claim_key(key), value, at));
        self.becomes_mine(now_ms, key, at.revision, base + at.revision);
    }

    /// The store has said so.
    pub(crate) fn becomes_mine(&mut self, now_ms: u64, key: &Key, modified: u64, epoch: u64) {
        self.actions.push(Action::Admit { key: key.clone(), epoch });
        let mine = Mine { modified, epoch, local: Local::Cold };
        let entry = self.keys.set(key, Stage::Mine(mine));
        let waiters = std::mem::take(&mut entry.waiters);
        self.keys.set_timer(key, Some(now_ms.saturating_add(self.config.keep_ms)));
        self.route(key);
        self.actions.push(Action::Emit(Event::Claim { key: key.clone(), epoch }));
        for waiter in waiters {
            self.answer(waiter.call, Where::Here { epoch });
        }
        self.shedding.has_a_new_key(key);
    }

    fn try_claim_again(&mut self, key: &Key, seen: Seen) {
        let Some(Stage::Claiming(claiming)) = self.keys.stage(key) else { return };
        let tries = claiming.tries + 1;
        if tries > TRIES {
            return self.give_claim_up(key, Why::Unsettled);
        }
        self.claim_for_waiters(key, seen, tries);
    }

    /// The store has just said what the claim of the key is.
    pub(crate) fn learn_claim(&mut self, key: &Key, claim: Option<Record>) -> Seen {
        if let Some(claim) = &claim
            && self.picture.learn_claim(key, claim)
        {
            self.route(key);
        }
        Seen::of(claim.as_ref())
    }

    /// Answers who waits for the key by what the store has just said, and claims it for the others.
    pub(crate) fn claim_for_waiters(&mut self, key: &Key, seen: Seen, tries: u32) {
        if self.answer_waiters(key, &seen) {
            self.keys.set(key, Stage::Claiming(Claiming { order: None, seen, tries, base: 0 }));
            self.drive_claim(key);
        } else {
            self.vacate(key);
        }
    }

    pub(crate) fn give_claim_up(&mut self, key: &Key, why: Why) {
        for waiter in self.keys.remove(key) {
            self.refuse(waiter.call, why);
        }
        self.vacate(key);
    }

    pub(crate) fn tenant_is(&mut self, now_ms: u64, key: &Key, is: Local) {
        let keep_until_ms = now_ms.saturating_add(self.config.keep_ms);
        let Some(entry) = self.keys.get_mut(key) else { return };
        match &mut entry.stage {
            Stage::Mine(mine) => {
                mine.local = is;
                let timer_ms = (is == Local::Cold).then_some(keep_until_ms);
                self.keys.set_timer(key, timer_ms);
            }
            Stage::Giving(mine, _) => mine.local = is,
            _ => {}
        }
    }

    /// Ends the tenant here, and then gives the claim up.
    pub(crate) fn end(&mut self, key: &Key) {
        let Some(Stage::Mine(mine)) = self.keys.stage(key) else { return };
        let mine = *mine;
        self.keys.set(key, Stage::Ending(Some(mine)));
        self.actions.push(Action::Withdraw { key: key.clone(), at_once: false });
        self.route(key);
        if planted(Bug::ReleasesBeforeTheEnd) {
            self.release(key, mine);
        }
    }

    /// The claim is not this host's any more, and it has not given it away.
    pub(crate) fn lost(&mut self, key: &Key) {
        let Some(mine) = self.keys.stage(key).and_then(Stage::mine) else { return };
        let epoch = mine.epoch;
        self.keys.set(key, Stage::Ending(None));
        self.actions.push(Action::Withdraw { key: key.clone(), at_once: true });
        self.actions.push(Action::Emit(Event::Lost { key: key.clone(), epoch }));
        self.route(key);
    }

    pub(crate) fn withdrawn(&mut self, key: &Key) {
        match self.keys.stage(key) {
            Some(Stage::Ending(Some(mine))) => {
                let mine = *mine;
                self.release(key, mine);
            }
            Some(Stage::Ending(None)) => self.vacate(key),
            Some(Stage::Taking(_)) => self.taking_withdrawn(key),
            _ => {}
        }
    }

    /// Nothing of the key lives here.
    pub(crate) fn release(&mut self, key: &Key, mine: Mine) {
        let claim = claim_key(key);
        let transaction = Transaction {
            if_all: vec![modified(claim.clone(), mine.modified)],
            then: vec![delete(claim)],
            else_read: vec![],
        };
        let order = self.order_for(key, transaction);
        self.keys.set(key, Stage::Releasing(mine, Some(order)));
    }

    pub(crate) fn release_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        let Some(Stage::Releasing(mine, _)) = self.keys.stage(key) else { return };
        let mine = *mine;
        match answer {
            Answer::Unknown | Answer::Unreachable => {
                self.keys.set(key, Stage::Releasing(mine, None));
                self.keys.set_timer(key, Some(now_ms + RETRY_MS));
            }
            // Whichever it was, it is not this host's any more.
            _ => {
                self.picture.forget_claim(key, mine.modified);
                self.vacate(key);
            }
        }
    }
}

/// What was asked for by `else_read`, which a store answers in full.
pub(crate) fn as_read<T, const N: usize>(read: Vec<Option<T>>) -> [Option<T>; N] {
    let mut read = read.into_iter();
    std::array::from_fn(|_| read.next().flatten())
}
