//! A key passes from this host to another, without a gap: the other one gets its tenant ready; this
//! one lets what is in flight end, hands the claim over in one transaction, and sends on who waits.
//!
//! Until the transaction is sent, giving up changes nothing. From then on only the store knows whose
//! the key is, so nobody is served here before it has said so.

use crate::keys::{Mine, Stage};
use crate::orders::{RETRY_MS, created, delete, modified, put};
use crate::planted::{Bug, planted};
use crate::records::{ClaimRecord, Held, Seen, claim_key, encode, host_key, move_key};
use crate::transaction::{Answer, Record, Transaction};
use crate::{Action, AskId, Event, Fleet, Key, Local, OrderId, Question, Reply};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Giving {
    to: Arc<str>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The other host is asked to get the tenant ready.
    Asking(AskId),
    /// It is; what is in flight here ends.
    Quieting(Reserved),
    /// The store is asked to pass the claim. `in_doubt`: it may have done so, or may still.
    Passing { reserved: Reserved, order: Option<OrderId>, in_doubt: bool },
}

/// What the other host has reserved.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    session: u64,
    revision: u64,
    epoch: u64,
}

impl Giving {
    pub fn is_still_served(&self) -> bool {
        matches!(self.step, Step::Asking(_)) || planted(Bug::HeldIsHandedOut)
    }

    pub fn is_passing(&self) -> bool {
        matches!(self.step, Step::Passing { .. })
    }

    pub fn order(&self) -> Option<OrderId> {
        match self.step {
            Step::Passing { order, .. } => order,
            _ => None,
        }
    }
}

impl Fleet {
    /// Begins to pass the key to the host.
    pub(crate) fn give(&mut self, key: &Key, to: &Arc<str>) {
        let Some(Stage::Mine(mine)) = self.keys.stage(key) else { return };
        let Some(address) = self.picture.address(to).cloned() else { return };
        let mine = *mine;
        let ask = self.shedding.new_ask(key);
        let question = Question::Prepare { key: key.clone(), claim: mine.modified };
        let giving = Giving { to: to.clone(), step: Step::Asking(ask) };
        self.keys.set(key, Stage::Giving(mine, giving));
        self.actions.push(Action::Ask { ask, host: to.clone(), address, question });
    }

    pub(crate) fn replied(&mut self, now_ms: u64, ask: AskId, reply: Reply) {
        let Some(key) = self.shedding.take_ask(ask) else { return };
        let Some(Stage::Giving(mine, giving)) = self.keys.stage(&key) else { return };
        if !matches!(giving.step, Step::Asking(asked) if asked == ask) {
            return;
        }
        let (mine, to) = (*mine, giving.to.clone());
        match reply {
            Reply::Prepared { session, reservation, epoch }
                if reservation > mine.modified && epoch > mine.epoch =>
            {
                let step = Step::Quieting(Reserved { session, revision: reservation, epoch });
                self.keys.set(&key, Stage::Giving(mine, Giving { to, step }));
                self.actions.push(Action::Hold { key: key.clone() });
                if planted(Bug::PassesWhatIsInFlight) {
                    self.quiet(&key);
                }
            }
            _ => self.keep(now_ms, &key, mine),
        }
    }

    /// It stays here for now.
    fn keep(&mut self, now_ms: u64, key: &Key, mine: Mine) {
        self.keys.set(key, Stage::Mine(mine));
        if mine.local == Local::Cold {
            self.tenant_is(now_ms, key, Local::Cold);
        }
        self.shedding.failed(now_ms, key);
    }

    pub(crate) fn quiet(&mut self, key: &Key) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let Stage::Giving(_, giving) = &mut entry.stage else { return };
        let Step::Quieting(reserved) = giving.step else { return };
        giving.step = Step::Passing { reserved, order: None, in_doubt: false };
        self.drive_pass(key);
    }

    pub(crate) fn drive_pass(&mut self, key: &Key) {
        let Some(Stage::Giving(mine, giving)) = self.keys.stage(key) else { return };
        let Step::Passing { reserved, order: None, .. } = giving.step else { return };
        let Some(session) = self.serving() else { return };
        let me = host_key(&self.config.id);
        let if_all = vec![
            modified(claim_key(key), mine.modified),
            modified(move_key(key), reserved.revision),
            created(me.clone(), session),
            created(host_key(&giving.to), reserved.session),
        ];
        let claim = passed_claim(&giving.to, reserved);
        let then = vec![put(claim_key(key), claim), delete(move_key(key))];
        let else_read = vec![claim_key(key), me];
        let sent = self.order_for(key, Transaction { if_all, then, else_read });
        if let Some(entry) = self.keys.get_mut(key)
            && let Stage::Giving(_, giving) = &mut entry.stage
            && let Step::Passing { order, .. } = &mut giving.step
        {
            *order = Some(sent);
        }
    }

    pub(crate) fn pass_answered(&mut self, now_ms: u64, key: &Key, answer: Answer) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let Stage::Giving(mine, giving) = &mut entry.stage else { return };
        let Step::Passing { reserved, order, in_doubt } = &mut giving.step else { return };
        let (mine, reserved, to) = (*mine, *reserved, giving.to.clone());
        *order = None;
        match answer {
            Answer::Committed { at } => {
                let value = passed_claim(&to, reserved);
                let (created, modified) = (mine.modified, at.revision);
                let record = Record { key: claim_key(key), value, created, modified };
                self.passed(key, &to, &record);
            }
            Answer::Refused { read, .. } => {
                let [claim, me] = crate::claims::as_read(read);
                if me.map(|record| record.created) != self.serving() {
                    return self.fence();
                }
                self.pass_refused(now_ms, key, mine, &to, reserved, claim);
            }
            Answer::Unreachable if !*in_doubt || planted(Bug::DoubtIsForgotten) => {
                self.resume(now_ms, key, mine);
            }
            Answer::Unknown if planted(Bug::DoubtIsForgotten) => self.resume(now_ms, key, mine),
            Answer::Unknown => {
                *in_doubt = true;
                self.keys.set_timer(key, Some(now_ms + RETRY_MS));
            }
            _ => self.keys.set_timer(key, Some(now_ms + RETRY_MS)),
        }
    }

    /// What the transaction compares besides this host's claim and session never becomes true again
    /// once it is not: so a claim that is as it was stays so.
    fn pass_refused(
        &mut self,
        now_ms: u64,
        key: &Key,
        mine: Mine,
        to: &Arc<str>,
        reserved: Reserved,
        claim: Option<Record>,
    ) {
        let has_passed =
            |held: &Held| held.is_of(to, reserved.session) && held.epoch == reserved.epoch;
        match (Seen::of(claim.as_ref()), claim) {
            (Seen::Held(held), Some(record)) if has_passed(&held) => self.passed(key, to, &record),
            (Seen::Held(held), _) if held.modified == mine.modified => {
                self.resume(now_ms, key, mine);
            }
            // Somebody has deleted it, or the other host has had it and given it up already.
            _ => self.lost(key),
        }
    }

    fn resume(&mut self, now_ms: u64, key: &Key, mine: Mine) {
        self.actions.push(Action::Resume { key: key.clone() });
        self.keep(now_ms, key, mine);
        let waiters = self.keys.get_mut(key).map(|entry| std::mem::take(&mut entry.waiters));
        for waiter in waiters.into_iter().flatten() {
            self.answer(waiter.call, crate::Where::Here { epoch: mine.epoch });
        }
    }

    fn passed(&mut self, key: &Key, to: &Arc<str>, record: &Record) {
        let seen = Seen::of(Some(record));
        let epoch = seen.held().map_or(0, |held| held.epoch);
        self.picture.learn_claim(key, record);
        self.keys.set(key, Stage::Ending(None));
        self.actions.push(Action::Withdraw { key: key.clone(), at_once: false });
        self.route(key);
        self.actions.push(Action::Emit(Event::Moved { key: key.clone(), to: to.clone(), epoch }));
        self.answer_waiters(key, &seen);
    }
}

fn passed_claim(to: &Arc<str>, reserved: Reserved) -> Vec<u8> {
    let Reserved { session, epoch, .. } = reserved;
    encode(&ClaimRecord { host: to.clone(), session, epoch: Some(epoch), base: 0 })
}
