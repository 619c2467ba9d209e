//! Since which store keys are claimed, and above which epoch.
//!
//! A store that is new, or came back with an older state, does not know who serves what. So nobody
//! claims anything in it before `era` says that it is the store that counts, and that is said only
//! `Terms::gone_after_ms` after it was found out: whoever served by the earlier state does not any
//! more. Every claim compares `era`. Revisions may begin anew, so each such era adds [`RAISE`] to
//! what epochs are made of.
//!
//! What this cannot know: when no host that has seen the later state lives any more, a store that is
//! restored from before its first era, or twice from the same backup, gives epochs again.

use crate::orders::{Purpose, RETRY_MS, created, modified, new_record, put};
use crate::planted::{Bug, planted};
use crate::records::{ERA, EraRecord, encode, host_key};
use crate::transaction::{Answer, Record, Transaction};
use crate::{Fleet, OrderId};

/// More revisions than a store makes in its life: 10,000 a second for three years.
const RAISE: u64 = 1 << 40;

#[derive(Debug, Default)]
pub(crate) struct Renewal {
    /// The base that the era must have at least, as this host has seen another store before.
    owed_base: u64,
    /// The highest base that was seen.
    known_base: u64,
    /// The revision of an era that is not this store's, and since when it is known.
    closed: Option<(u64, u64)>,
    order: Option<(OrderId, EraRecord)>,
    retry_at_ms: u64,
}

impl Renewal {
    pub fn order_is_forgotten(&mut self) {
        self.order = None;
    }
}

impl Fleet {
    /// What is added to revisions to make epochs, if keys may be claimed.
    pub(crate) fn era_base(&self) -> Option<u64> {
        let era = self.picture.era.record?;
        let is_of_this_store = Some(era.cluster) == self.cluster();
        let is_enough = era.base >= self.renewal.owed_base || planted(Bug::EpochsBeginAnew);
        let is_open = era.open && is_of_this_store && is_enough;
        is_open.then_some(era.base)
    }

    fn cluster(&self) -> Option<u64> {
        self.store.map(|store| store.cluster)
    }

    pub(crate) fn owe_a_new_era(&mut self) {
        let renewal = &mut self.renewal;
        renewal.owed_base = renewal.owed_base.max(renewal.known_base + RAISE);
        renewal.closed = None;
    }

    pub(crate) fn era_changed(&mut self, now_ms: u64) {
        if let Some(era) = self.picture.era.record {
            self.renewal.known_base = self.renewal.known_base.max(era.base);
            if self.cluster().is_some_and(|cluster| cluster != era.cluster) {
                self.renewal.owed_base = self.renewal.owed_base.max(era.base + RAISE);
            }
        }
        if self.era_base().is_some() {
            self.renewal.closed = None;
            self.claim_what_waits();
            return;
        }
        let revision = self.picture.era.modified;
        if self.renewal.closed.is_none_or(|(known, _)| known != revision) {
            self.renewal.closed = Some((revision, now_ms));
        }
    }

    /// What is to be written next, and when.
    fn next_era(&self) -> Option<(EraRecord, u64)> {
        let (_, since_ms) = self.renewal.closed?;
        let cluster = self.cluster()?;
        let era = self.picture.era;
        if era.modified > 0 && era.record.is_none() {
            return None; // Of a newer version, which knows what it does.
        }
        let base = era.record.map_or(0, |era| era.base);
        let owed = self.renewal.owed_base;
        if base < owed && !planted(Bug::EpochsBeginAnew) {
            return Some((EraRecord { base: owed, cluster, open: false }, 0));
        }
        let wait_ms = if planted(Bug::OpensAtOnce) { 0 } else { self.config.terms.gone_after_ms };
        Some((EraRecord { base, cluster, open: true }, since_ms + wait_ms))
    }

    pub(crate) fn renewal_due_ms(&self) -> Option<u64> {
        let is_idle = self.renewal.order.is_none() && self.serving().is_some();
        let (_, at_ms) = self.next_era().filter(|_| is_idle)?;
        Some(at_ms.max(self.renewal.retry_at_ms))
    }

    pub(crate) fn renew_era(&mut self, now_ms: u64) {
        if self.renewal_due_ms().is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        let (Some((era, _)), Some(session)) = (self.next_era(), self.serving()) else { return };
        let revision = modified(ERA.into(), self.picture.era.modified);
        let transaction = Transaction {
            if_all: vec![revision, created(host_key(&self.config.id), session)],
            then: vec![put(ERA.into(), encode(&era))],
            else_read: vec![ERA.into()],
        };
        let order = self.commit(Purpose::Era, transaction);
        self.renewal.order = Some((order, era));
    }

    pub(crate) fn era_answered(&mut self, now_ms: u64, answer: Answer) {
        let Some((_, era)) = self.renewal.order.take() else { return };
        self.renewal.retry_at_ms = now_ms + RETRY_MS;
        match answer {
            Answer::Committed { at } => {
                self.renewal.retry_at_ms = 0;
                let record: Record = new_record(ERA.into(), encode(&era), at);
                self.picture.learn_era(Some(&record), at);
            }
            Answer::Refused { at, read } => {
                self.picture.learn_era(read.first().and_then(Option::as_ref), at);
            }
            _ => {}
        }
        self.era_changed(now_ms);
    }
}
