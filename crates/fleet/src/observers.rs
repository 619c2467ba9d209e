//! Who is gone: each host is observed by a few others, which look whether its beat changes.
//!
//! An observer counts from the moment it has got an answer with the beat, which is later than the
//! beat was sent; a host serves from the moment it sent it. So when the observer has counted
//! `Terms::gone_after_ms`, the host has not served for `Terms::fence_ms`, whatever their clocks say.
//! The removal compares the beat, so it fails if the host has beaten since, however late the
//! observer acts.

use crate::membership::Standing;
use crate::orders::{Purpose, created, delete, modified};
use crate::placement::is_among_first;
use crate::planted::{Bug, planted};
use crate::records::{beat_key, host_key};
use crate::transaction::{Answer, Transaction};
use crate::{Fleet, OrderId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Each host is observed by so many: all of them must be gone with it for its end to be seen later.
pub const OBSERVERS: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Observing {
    subjects: BTreeMap<Arc<str>, Subject>,
    /// Which subjects were asked for, in this order.
    asked: Vec<Arc<str>>,
    order: Option<OrderId>,
    next_read_ms: u64,
}

#[derive(Debug)]
struct Subject {
    session: u64,
    /// The revision of its beat, 0 if there is none, and when it was first got.
    beat: Option<(u64, u64)>,
    is_being_removed: bool,
}

impl Fleet {
    /// The subjects follow from who is there.
    pub(crate) fn choose_subjects(&mut self) {
        let me = &self.config.id;
        let mut before = std::mem::take(&mut self.observing.subjects);
        let of =
            |observes: bool| if observes { self.picture.hosts.iter() } else { Default::default() };
        let observes = self.member().is_some_and(|member| !member.is_stopping)
            && !planted(Bug::NobodyObserves);
        let mut chosen: Vec<(&Arc<str>, u64)> = Vec::new();
        for (id, host) in of(observes) {
            let others = self.picture.hosts.keys().map(|other| &**other);
            let others = others.filter(|other| *other != &**id && *other != &**me);
            if id != me && is_among_first(OBSERVERS, me, id, others) {
                chosen.push((id, host.session));
            }
        }
        if let Standing::Taken { session } = self.standing {
            chosen.push((me, session));
        }
        let subjects = chosen.into_iter().map(|(id, session)| {
            let known = before.remove(id).filter(|subject| subject.session == session);
            let new = Subject { session, beat: None, is_being_removed: false };
            (id.clone(), known.unwrap_or(new))
        });
        self.observing.subjects = subjects.collect();
        // Orders may have been forgotten along with the session.
        let read = self.observing.order;
        self.observing.order =
            read.filter(|read| self.orders.is_waiting(*read, &Purpose::ReadBeats));
    }

    pub(crate) fn observation_due_ms(&self) -> Option<u64> {
        let observing = &self.observing;
        let is_idle = observing.order.is_none() && !observing.subjects.is_empty();
        is_idle.then_some(observing.next_read_ms)
    }

    pub(crate) fn observe(&mut self, now_ms: u64) {
        if self.observation_due_ms().is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        let asked: Vec<_> = self.observing.subjects.keys().cloned().collect();
        let order = self.read(Purpose::ReadBeats, asked.iter().map(|id| beat_key(id)).collect());
        self.observing.asked = asked;
        self.observing.order = Some(order);
        self.observing.next_read_ms = now_ms + self.config.terms.observe_every_ms;
    }

    pub(crate) fn beats_answered(&mut self, now_ms: u64, answer: Answer) {
        self.observing.order = None;
        let Answer::Read { records, .. } = answer else { return };
        let mut silent = Vec::new();
        let mut next_ms = u64::MAX;
        let asked = std::mem::take(&mut self.observing.asked);
        for (id, record) in asked.iter().zip(records) {
            let gone_after_ms = self.gone_after_ms(id);
            let Some(subject) = self.observing.subjects.get_mut(id) else { continue };
            let gone_at_ms = |since_ms: u64| since_ms.saturating_add(gone_after_ms);
            let revision = record.map_or(0, |record| record.modified);
            let since_ms = match subject.beat {
                Some((known, since_ms)) if known == revision => since_ms,
                _ => now_ms,
            };
            subject.beat = Some((revision, since_ms));
            if gone_at_ms(since_ms) > now_ms {
                next_ms = next_ms.min(gone_at_ms(since_ms));
            } else if !std::mem::replace(&mut subject.is_being_removed, true) {
                silent.push((id.clone(), subject.session, revision));
            }
        }
        // One that falls silent is removed as soon as it may be.
        self.observing.next_read_ms = self.observing.next_read_ms.min(next_ms).max(now_ms + 1);
        for (id, session, revision) in silent {
            self.remove(id, session, revision);
        }
    }

    fn gone_after_ms(&self, host: &str) -> u64 {
        let record = self.picture.hosts.get(host).and_then(|host| host.record.as_ref());
        let said = record.and_then(|record| record.gone_after_ms);
        let gone_after_ms = said.unwrap_or(self.config.terms.gone_after_ms);
        if planted(Bug::GoneTooSoon) { gone_after_ms / 2 } else { gone_after_ms }
    }

    fn remove(&mut self, host: Arc<str>, session: u64, revision: u64) {
        let mut if_all = vec![created(host_key(&host), session)];
        if !planted(Bug::RemovesBlindly) {
            if_all.push(modified(beat_key(&host), revision));
        }
        let then = vec![delete(host_key(&host)), delete(beat_key(&host))];
        let transaction = Transaction { if_all, then, else_read: vec![] };
        self.commit(Purpose::Remove { host, session }, transaction);
    }

    pub(crate) fn remove_answered(
        &mut self,
        now_ms: u64,
        host: &str,
        session: u64,
        answer: Answer,
    ) {
        if let Answer::Committed { .. } = answer {
            let touched = self.picture.forget_host(host, session);
            self.picture_changed(now_ms, touched);
        }
        // The next look at its beat shows what is to be done.
        if let Some(subject) = self.observing.subjects.get_mut(host)
            && subject.session == session
        {
            subject.is_being_removed = false;
        }
        let is_known = !matches!(answer, Answer::Unknown | Answer::Unreachable);
        if let Standing::Taken { session: taken } = self.standing
            && (taken == session && *host == *self.config.id && is_known)
        {
            self.standing = Standing::Apart { retry_at_ms: now_ms };
            self.choose_subjects();
        }
    }
}
