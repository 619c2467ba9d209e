//! A key passes from another host to this one, which reserves it and gets its tenant ready, for
//! nobody to use before the claim has passed.
//!
//! The reservation's revision is what the transaction that passes the claim compares, and what the
//! new tenant's epoch is made of. Deleting it makes sure that the claim does not pass any more.

use crate::claims::as_read;
use crate::keys::Stage;
use crate::orders::{RETRY_MS, created, delete, modified, put};
use crate::planted::{Bug, planted};
use crate::records::{ClaimRecord, ERA, Seen, claim_key, encode, host_key, move_key};
use crate::transaction::{Answer, Compare, Stamp, Transaction};
use crate::{Action, AskId, Fleet, Key, Local, OrderId, Question, Reply, Why};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Taking {
    /// The question that is to be answered.
    ask: Option<AskId>,
    giver: Arc<str>,
    giver_session: u64,
    /// The revision of the giver's claim.
    claim: u64,
    step: Step,
    /// The claim is being read, as somebody has come from the giver.
    pub check: Option<OrderId>,
}

#[derive(Debug)]
enum Step {
    /// The record in `moves/` is being put; `seen` is the one that it replaces.
    Reserving {
        order: Option<OrderId>,
        seen: Seen,
        base: u64,
    },
    /// The tenant is being started.
    Preparing(Reserved),
    Ready(Reserved),
    /// The tenant is being ended, as the key does not come.
    Ending(Reserved),
    /// It has ended; the reservation is being deleted.
    Cancelling(Reserved, Option<OrderId>),
}

#[derive(Clone, Copy, Debug)]
struct Reserved {
    revision: u64,
    epoch: u64,
}

impl Taking {
    pub fn order(&self) -> Option<OrderId> {
        match self.step {
            Step::Reserving { order, .. } | Step::Cancelling(_, order) => order,
            _ => None,
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.step, Step::Ready(_))
    }

    fn is_of(&self, giver: &str, claim: u64) -> bool {
        *self.giver == *giver && self.claim == claim
    }

    fn reserved(&self) -> Option<Reserved> {
        match self.step {
            Step::Reserving { .. } => None,
            Step::Preparing(reserved)
            | Step::Ready(reserved)
            | Step::Ending(reserved)
            | Step::Cancelling(reserved, _) => Some(reserved),
        }
    }
}

impl Fleet {
    pub(crate) fn asked(&mut self, ask: AskId, from: &Arc<str>, question: Question) {
        let Question::Prepare { key, claim } = question;
        let may_claim = self.may_claim();
        match self.keys.get_mut(&key).map(|entry| &mut entry.stage) {
            None if may_claim => self.begin_to_take(ask, from, &key, claim),
            Some(Stage::Taking(taking)) if taking.is_of(from, claim) => {
                let earlier = taking.ask.replace(ask);
                if let Some(earlier) = earlier {
                    self.actions.push(Action::Reply { ask: earlier, reply: Reply::Refused });
                }
                self.answer_ask(&key);
            }
            _ => self.actions.push(Action::Reply { ask, reply: Reply::Refused }),
        }
    }

    fn begin_to_take(&mut self, ask: AskId, from: &Arc<str>, key: &Key, claim: u64) {
        let Some(giver_session) = self.picture.session(from) else {
            return self.actions.push(Action::Reply { ask, reply: Reply::Refused });
        };
        let step = Step::Reserving { order: None, seen: Seen::Absent, base: 0 };
        let (ask, giver, check) = (Some(ask), from.clone(), None);
        let taking = Taking { ask, giver, giver_session, claim, step, check };
        self.keys.set(key, Stage::Taking(taking));
        self.drive_reservation(key);
    }

    fn taking_mut(&mut self, key: &str) -> Option<&mut Taking> {
        match &mut self.keys.get_mut(key)?.stage {
            Stage::Taking(taking) => Some(taking),
            _ => None,
        }
    }

    fn taking(&self, key: &str) -> Option<&Taking> {
        match self.keys.stage(key)? {
            Stage::Taking(taking) => Some(taking),
            _ => None,
        }
    }

    /// The giver's claim must be the one that it told of, so that the reservation is later.
    fn drive_reservation(&mut self, key: &Key) {
        let Some(taking) = self.taking(key) else { return };
        let Step::Reserving { seen, .. } = &taking.step else { return };
        let (Some(session), Some(base)) = (self.serving(), self.era_base()) else {
            return self.refuse_to_take(key);
        };
        let me = host_key(&self.config.id);
        let place = move_key(key);
        let mut if_all = vec![
            created(me.clone(), session),
            created(host_key(&taking.giver), taking.giver_session),
            modified(claim_key(key), taking.claim),
            modified(ERA.into(), self.picture.era.modified),
            modified(place.clone(), seen.held().map_or(0, |held| held.modified)),
        ];
        if let Seen::Held(held) = seen
            && !self.is_own(&held.host, held.session)
        {
            if_all.push(Compare::CreatedIsNot { key: host_key(&held.host), not: held.session });
        }
        let record = ClaimRecord { host: self.config.id.clone(), session, epoch: None, base };
        let then = vec![put(place.clone(), encode(&record))];
        let else_read = vec![claim_key(key), place, me];
        let sent = self.order_for(key, Transaction { if_all, then, else_read });
        if let Some(taking) = self.taking_mut(key)
            && let Step::Reserving { order, base: sent_base, .. } = &mut taking.step
        {
            *order = Some(sent);
            *sent_base = base;
        }
    }

    pub(crate) fn taking_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        match self.taking(key).map(|taking| &taking.step) {
            Some(Step::Reserving { .. }) => self.reservation_answered(now_ms, key, answer),
            Some(Step::Cancelling(..)) => self.cancel_answered(now_ms, key, answer),
            _ => {}
        }
    }

    fn reservation_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        match answer {
            Answer::Committed { at } => self.reserved(now_ms, key, at),
            Answer::Refused { read, .. } => {
                let [claim, place, me] = as_read(read);
                if me.map(|record| record.created) != self.serving() {
                    return self.fence();
                }
                let told = self.taking(key).map(|taking| taking.claim);
                let found = Seen::of(place.as_ref());
                if claim.map(|record| record.modified) == told && self.may_be_replaced(key, &found)
                {
                    self.reserve_in_place_of(key, found);
                } else {
                    self.refuse_to_take(key);
                }
            }
            Answer::Unknown => {
                if let Some(taking) = self.taking_mut(key)
                    && let Step::Reserving { order, .. } = &mut taking.step
                {
                    *order = None;
                }
                self.keys.set_timer(key, Some(now_ms + RETRY_MS));
            }
            _ => self.refuse_to_take(key),
        }
    }

    /// A reservation of this host's, or of one that is gone; and not the one that was compared.
    fn may_be_replaced(&self, key: &Key, found: &Seen) -> bool {
        let Some(Taking { step: Step::Reserving { seen, .. }, .. }) = self.taking(key) else {
            return false;
        };
        let Seen::Held(held) = found else { return false };
        let is_gone = self.picture.life(held) == crate::picture::Life::Gone;
        seen != found && (is_gone || self.is_own(&held.host, held.session))
    }

    fn reserve_in_place_of(&mut self, key: &Key, found: Seen) {
        if let Some(taking) = self.taking_mut(key) {
            taking.step = Step::Reserving { order: None, seen: found, base: 0 };
        }
        self.drive_reservation(key);
    }

    fn reserved(&mut self, now_ms: u64, key: &Key, at: Stamp) {
        let reserve_ms = self.config.reserve_ms;
        let Some(taking) = self.taking_mut(key) else { return };
        let Step::Reserving { base, .. } = taking.step else { return };
        let mut epoch = base + at.revision;
        if planted(Bug::PassedKeepsItsEpoch) {
            epoch = base + taking.claim;
        }
        taking.step = Step::Preparing(Reserved { revision: at.revision, epoch });
        self.keys.set_timer(key, Some(now_ms.saturating_add(reserve_ms)));
        self.actions.push(Action::Prepare { key: key.clone(), epoch });
        self.givers_changed();
    }

    pub(crate) fn prepared(&mut self, key: &Key) {
        let Some(taking) = self.taking_mut(key) else { return };
        if let Step::Preparing(reserved) = taking.step {
            taking.step = Step::Ready(reserved);
            self.answer_ask(key);
        }
    }

    pub(crate) fn not_prepared(&mut self, key: &Key) {
        self.stop_taking(key);
    }

    fn answer_ask(&mut self, key: &Key) {
        let Some(session) = self.serving() else { return };
        let Some(taking) = self.taking_mut(key) else { return };
        let reply = match taking.step {
            Step::Ready(Reserved { revision, epoch }) => {
                Reply::Prepared { session, reservation: revision, epoch }
            }
            Step::Ending(_) | Step::Cancelling(..) => Reply::Refused,
            Step::Reserving { .. } | Step::Preparing(_) => return,
        };
        if let Some(ask) = taking.ask.take() {
            self.actions.push(Action::Reply { ask, reply });
        }
    }

    pub(crate) fn refuse_ask(&mut self, taking: &Taking) {
        if let Some(ask) = taking.ask {
            self.actions.push(Action::Reply { ask, reply: Reply::Refused });
        }
    }

    /// Nothing was reserved, by all that is known.
    fn refuse_to_take(&mut self, key: &Key) {
        if let Some(ask) = self.taking_mut(key).and_then(|taking| taking.ask.take()) {
            self.actions.push(Action::Reply { ask, reply: Reply::Refused });
        }
        self.vacate(key);
    }

    /// The key does not come: its tenant is ended, and then the reservation goes.
    pub(crate) fn stop_taking(&mut self, key: &Key) {
        let Some(taking) = self.taking_mut(key) else { return };
        let (Step::Preparing(reserved) | Step::Ready(reserved)) = taking.step else { return };
        taking.step = Step::Ending(reserved);
        self.keys.set_timer(key, None);
        self.actions.push(Action::Withdraw { key: key.clone(), at_once: false });
        self.answer_ask(key);
    }

    /// Those whose keys were to come may be gone.
    pub(crate) fn givers_changed(&mut self) {
        let is_gone = |taking: &Taking| {
            taking.reserved().is_some()
                && self.picture.session(&taking.giver) != Some(taking.giver_session)
        };
        let of_the_gone = self.keys.iter().filter_map(|(key, entry)| match &entry.stage {
            Stage::Taking(taking) if is_gone(taking) => Some(key.clone()),
            _ => None,
        });
        for key in of_the_gone.collect::<Vec<_>>() {
            self.stop_taking(&key);
        }
    }

    /// The picture of the claim has changed. One that says that it has passed is true whenever it
    /// is from: only this host could have changed it since.
    pub(crate) fn taken_changed(&mut self, now_ms: u64, key: &Key, seen: &Seen, known: u64) {
        let Some(taking) = self.taking(key) else { return };
        let Some(reserved) = taking.reserved() else { return };
        if self.take_if_passed(now_ms, key, seen) {
            return;
        }
        let Some(taking) = self.taking(key) else { return };
        let is_as_it_was = seen.held().is_some_and(|held| held.modified == taking.claim);
        if known >= reserved.revision && !is_as_it_was {
            self.stop_taking(key);
        }
    }

    /// Returns whether the claim is this host's; while its tenant is being ended, that is for the
    /// answer to the deletion of the reservation to say.
    fn take_if_passed(&mut self, now_ms: u64, key: &Key, seen: &Seen) -> bool {
        let (Some(taking), Seen::Held(held)) = (self.taking(key), seen) else { return false };
        let is_it = taking.reserved().is_some_and(|reserved| reserved.epoch == held.epoch);
        let is_early = planted(Bug::ServesBeforeItPasses) && taking.is_ready();
        if !is_early && (!is_it || !self.is_own(&held.host, held.session)) {
            return false;
        }
        if matches!(taking.step, Step::Preparing(_) | Step::Ready(_)) {
            let (modified, epoch) = (held.modified, held.epoch);
            self.becomes_mine(now_ms, key, modified, epoch);
            self.tenant_is(now_ms, key, Local::Busy);
        }
        true
    }

    pub(crate) fn taking_checked(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        if let Some(taking) = self.taking_mut(key) {
            taking.check = None;
        }
        let Answer::Read { records, .. } = answer else {
            let Some(entry) = self.keys.get_mut(key) else { return };
            for waiter in std::mem::take(&mut entry.waiters) {
                self.refuse(waiter.call, Why::StoreUnreachable);
            }
            return;
        };
        let [claim] = as_read(records);
        let seen = self.learn_claim(key, claim);
        if !self.take_if_passed(now_ms, key, &seen) {
            self.answer_waiters(key, &seen);
        }
    }

    pub(crate) fn taking_withdrawn(&mut self, key: &Key) {
        let Some(taking) = self.taking_mut(key) else { return };
        let Step::Ending(reserved) = taking.step else { return };
        taking.step = Step::Cancelling(reserved, None);
        self.drive_cancel(key);
    }

    fn drive_cancel(&mut self, key: &Key) {
        let Some(taking) = self.taking(key) else { return };
        let Step::Cancelling(reserved, None) = taking.step else { return };
        let transaction = Transaction {
            if_all: vec![modified(move_key(key), reserved.revision)],
            then: vec![delete(move_key(key))],
            else_read: vec![],
        };
        let order = self.order_for(key, transaction);
        if let Some(taking) = self.taking_mut(key) {
            taking.step = Step::Cancelling(reserved, Some(order));
        }
    }

    fn cancel_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        let Some(taking) = self.taking_mut(key) else { return };
        let Step::Cancelling(reserved, _) = taking.step else { return };
        match answer {
            Answer::Unknown | Answer::Unreachable => {
                taking.step = Step::Cancelling(reserved, None);
                self.keys.set_timer(key, Some(now_ms + RETRY_MS));
            }
            // If the key has passed before, its claim is one that nothing is known of any more.
            _ => self.vacate(key),
        }
    }

    pub(crate) fn taking_is_due(&mut self, key: &Key) {
        match self.taking(key).map(|taking| &taking.step) {
            Some(Step::Reserving { order: None, .. }) => self.drive_reservation(key),
            Some(Step::Preparing(_) | Step::Ready(_)) => self.stop_taking(key),
            Some(Step::Cancelling(_, None)) => self.drive_cancel(key),
            _ => {}
        }
    }
}
