//! Whether this host is a member, in which session, and until when it serves.
//!
//! A session is the revision at which `hosts/ID` was created. A beat is a transaction that compares
//! it: one that was carried out shows that the session stood after the beat was sent, so the host
//! serves for `Terms::serve_for_ms` from then. Nothing else lets it serve. When the time is over, or
//! the session is found gone, everything here is killed, and the host joins anew.

use crate::orders::{Purpose, RETRY_MS, created, delete, new_record, put};
use crate::planted::{Bug, planted};
use crate::records::{BeatRecord, HostRecord, HostState, beat_key, decode, encode, host_key};
use crate::transaction::{Answer, Record, Transaction};
use crate::{Action, Event, Fleet, OrderId};

/// Where this host stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    /// It has no record, and joins when it has a listing.
    Apart {
        retry_at_ms: u64,
    },
    /// The store has been asked.
    Joining,
    /// Another process has this host's id, with this session: it is observed until it is gone.
    Taken {
        session: u64,
    },
    Member(Member),
    /// What lives here is being killed, as the session may not hold any more.
    Fencing {
        session: u64,
    },
    /// Nothing lives here; the record of the session is to go, so that others may have its keys.
    Clearing {
        session: u64,
        order: Option<OrderId>,
        retry_at_ms: u64,
    },
    /// Nothing lives here; the records of the session go, as the host leaves.
    Leaving {
        session: u64,
        order: Option<OrderId>,
        retry_at_ms: u64,
    },
    Left,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    pub session: u64,
    /// 0 before the first beat.
    pub serve_until_ms: u64,
    next_beat_ms: u64,
    beats: u64,
    /// Whether the record in the store is to be rewritten, and when.
    rewrite_at_ms: Option<u64>,
    /// Everything ends in order, as the host leaves.
    pub is_stopping: bool,
}

impl Member {
    /// When everything is to be killed, unless a beat is carried out before.
    fn fence_at_ms(&self) -> Option<u64> {
        let late_ms = if planted(Bug::FencesLate) { 2_000 } else { 0 };
        Some(self.serve_until_ms + late_ms).filter(|_| self.serve_until_ms > 0)
    }
}

impl Fleet {
    /// The session in which this host serves right now.
    pub(crate) fn serving(&self) -> Option<u64> {
        let member = self.member()?;
        (member.serve_until_ms > 0).then_some(member.session)
    }

    pub(crate) fn member(&self) -> Option<&Member> {
        match &self.standing {
            Standing::Member(member) => Some(member),
            _ => None,
        }
    }

    /// Whether this is the host of the session that it has now.
    pub(crate) fn is_own(&self, host: &str, session: u64) -> bool {
        *host == *self.config.id && self.member().is_some_and(|member| member.session == session)
    }

    fn own_key(&self) -> String {
        host_key(&self.config.id)
    }

    fn own_record(&self) -> HostRecord {
        let is_draining = self.shedding.is_draining();
        HostRecord {
            address: self.config.address.clone(),
            zone: self.config.zone.clone(),
            weight: self.config.weight,
            state: if is_draining { HostState::Draining } else { HostState::Live },
            gone_after_ms: Some(self.config.terms.gone_after_ms),
            run: self.config.run.clone(),
            attempt: self.attempt,
        }
    }

    pub(crate) fn session_due_ms(&self) -> Option<u64> {
        match &self.standing {
            Standing::Apart { retry_at_ms } => self.picture.at.map(|_| *retry_at_ms),
            Standing::Member(member) => {
                let due = [Some(member.next_beat_ms), member.fence_at_ms(), member.rewrite_at_ms];
                due.into_iter().flatten().min()
            }
            Standing::Clearing { order: None, retry_at_ms, .. } => Some(*retry_at_ms),
            _ => None,
        }
    }

    /// What is due of the session: to join, to beat, or to clear away what is left of the last one.
    pub(crate) fn keep_session(&mut self, now_ms: u64) {
        match &mut self.standing {
            Standing::Apart { retry_at_ms } if *retry_at_ms <= now_ms => self.join(),
            Standing::Member(member) => {
                let is_rewrite_due = member.rewrite_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
                if member.next_beat_ms <= now_ms {
                    self.beat(now_ms);
                }
                if is_rewrite_due {
                    self.rewrite();
                }
            }
            Standing::Clearing { session, order: None, retry_at_ms } if *retry_at_ms <= now_ms => {
                let session = *session;
                let transaction = self.removal_of_own(session);
                let order = self.commit(Purpose::Clear, transaction);
                self.standing =
                    Standing::Clearing { session, order: Some(order), retry_at_ms: u64::MAX };
            }
            _ => {}
        }
    }

    fn join(&mut self) {
        if self.picture.at.is_none() || self.is_leaving() {
            return;
        }
        if self.attempt == 0 {
            self.attempt = 1;
        }
        let key = self.own_key();
        let transaction = Transaction {
            if_all: vec![created(key.clone(), 0)],
            then: vec![put(key.clone(), encode(&self.own_record()))],
            else_read: vec![key],
        };
        self.commit(Purpose::Join, transaction);
        self.standing = Standing::Joining;
    }

    pub(crate) fn join_answered(&mut self, now_ms: u64, answer: Answer) {
        match answer {
            Answer::Committed { at } => {
                let record = new_record(self.own_key(), encode(&self.own_record()), at);
                self.picture.learn_host(record);
                self.begin_session(now_ms, at.revision);
            }
            Answer::Refused { read, .. } => match read.into_iter().next().flatten() {
                Some(record) => self.found_own_record(now_ms, &record),
                None => self.standing = Standing::Apart { retry_at_ms: now_ms + RETRY_MS },
            },
            _ => self.standing = Standing::Apart { retry_at_ms: now_ms + RETRY_MS },
        }
    }

    fn begin_session(&mut self, now_ms: u64, session: u64) {
        // It may have begun to drain since it asked.
        self.standing = Standing::Member(Member {
            session,
            serve_until_ms: 0,
            next_beat_ms: now_ms,
            beats: 0,
            rewrite_at_ms: self.shedding.is_draining().then_some(now_ms),
            is_stopping: false,
        });
        self.choose_subjects();
    }

    /// There is a record already: of this attempt, whose answer was lost; of an earlier one, in
    /// which nothing lives any more; or of another process.
    fn found_own_record(&mut self, now_ms: u64, record: &Record) {
        let session = record.created;
        match decode::<HostRecord>(&record.value) {
            Some(host)
                if host.run == self.config.run && host.attempt == self.attempt
                    || planted(Bug::AnothersIdIsOwn) =>
            {
                self.picture.learn_host(record.clone());
                self.begin_session(now_ms, session);
            }
            Some(host) if host.run == self.config.run => {
                self.standing = Standing::Clearing { session, order: None, retry_at_ms: now_ms };
            }
            host => {
                self.standing = Standing::Taken { session };
                let address = host.map_or_else(|| "".into(), |host| host.address);
                self.actions.push(Action::Emit(Event::IdTaken { address }));
                self.choose_subjects();
                // The answer may have been slower than the watch.
                self.look_at_own_record(now_ms);
            }
        }
    }

    fn beat(&mut self, now_ms: u64) {
        let own_key = self.own_key();
        let own_beat = beat_key(&self.config.id);
        let every_ms = self.config.terms.beat_every_ms;
        let Standing::Member(member) = &mut self.standing else { return };
        member.beats += 1;
        member.next_beat_ms = now_ms + every_ms;
        let record = BeatRecord { session: member.session, n: member.beats };
        let transaction = Transaction {
            if_all: vec![created(own_key.clone(), member.session)],
            then: vec![put(own_beat, encode(&record))],
            else_read: vec![own_key],
        };
        self.commit(Purpose::Beat { sent_at_ms: now_ms }, transaction);
    }

    pub(crate) fn beat_answered(&mut self, now_ms: u64, sent_at_ms: u64, answer: Answer) {
        let serve_for_ms = self.config.terms.serve_for_ms;
        let Standing::Member(member) = &mut self.standing else { return };
        match answer {
            Answer::Committed { .. } => {
                let from_ms = if planted(Bug::ServesFromTheAnswer) { now_ms } else { sent_at_ms };
                let until_ms = from_ms + serve_for_ms;
                // An answer that is so late lets nobody serve.
                if until_ms > now_ms.max(member.serve_until_ms) {
                    member.serve_until_ms = until_ms;
                    self.actions.push(Action::ServeUntil { at_ms: until_ms });
                }
            }
            Answer::Refused { .. } => self.fence(),
            _ => member.next_beat_ms = member.next_beat_ms.min(now_ms + RETRY_MS),
        }
    }

    /// Has the own record say that this host drains.
    pub(crate) fn rewrite_own_record(&mut self) {
        if let Standing::Member(member) = &mut self.standing {
            member.rewrite_at_ms = Some(0);
        }
    }

    fn rewrite(&mut self) {
        let key = self.own_key();
        let value = encode(&self.own_record());
        let Standing::Member(member) = &mut self.standing else { return };
        member.rewrite_at_ms = None;
        let transaction = Transaction {
            if_all: vec![created(key.clone(), member.session)],
            then: vec![put(key, value)],
            else_read: vec![],
        };
        self.commit(Purpose::Rewrite, transaction);
    }

    pub(crate) fn rewrite_answered(&mut self, now_ms: u64, answer: Answer) {
        let Standing::Member(member) = &mut self.standing else { return };
        match answer {
            Answer::Refused { .. } => self.fence(),
            Answer::Unknown | Answer::Unreachable => {
                member.rewrite_at_ms = Some(now_ms + RETRY_MS);
            }
            _ => {}
        }
    }

    /// The picture says who has this host's id.
    pub(crate) fn look_at_own_record(&mut self, now_ms: u64) {
        let Some(at) = self.picture.at else { return };
        let found = self.picture.session(&self.config.id);
        match &self.standing {
            Standing::Member(member)
                if at.revision >= member.session && found != Some(member.session) =>
            {
                self.fence();
            }
            Standing::Taken { session } if found != Some(*session) && at.revision >= *session => {
                self.standing = Standing::Apart { retry_at_ms: now_ms };
            }
            _ => {}
        }
    }

    pub(crate) fn fence_if_over(&mut self, now_ms: u64) {
        if self.member().and_then(Member::fence_at_ms).is_some_and(|at_ms| at_ms <= now_ms) {
            self.fence();
        }
    }

    /// Nothing here may be served any more: what was asked in this session is void, and all that
    /// lives is killed.
    pub(crate) fn fence(&mut self) {
        let Standing::Member(member) = &self.standing else { return };
        self.standing = Standing::Fencing { session: member.session };
        self.actions.push(Action::ServeUntil { at_ms: 0 });
        self.actions.push(Action::Fence);
        if planted(Bug::KillsNothing) {
            let Standing::Fencing { session } = self.standing else { return };
            self.standing = Standing::Clearing { session, order: None, retry_at_ms: 0 };
        }
        let keys = self.keys.counts().mine;
        self.actions.push(Action::Emit(Event::Fenced { keys }));
        self.orders.forget_all();
        self.drop_keys();
        self.renewal.order_is_forgotten();
        self.choose_subjects();
    }

    /// Orders were forgotten: whoever waited for one begins anew.
    pub(crate) fn orders_are_forgotten(&mut self, now_ms: u64) {
        self.renewal.order_is_forgotten();
        match &mut self.standing {
            Standing::Joining | Standing::Taken { .. } => {
                self.standing = Standing::Apart { retry_at_ms: now_ms };
            }
            Standing::Clearing { order, retry_at_ms, .. }
            | Standing::Leaving { order, retry_at_ms, .. } => {
                *order = None;
                *retry_at_ms = now_ms + RETRY_MS;
            }
            _ => {}
        }
    }

    pub(crate) fn stopped(&mut self, now_ms: u64) {
        match &self.standing {
            Standing::Fencing { session } => {
                let session = *session;
                self.standing = Standing::Clearing { session, order: None, retry_at_ms: now_ms };
            }
            Standing::Member(member) if member.is_stopping => {
                let session = member.session;
                self.actions.push(Action::ServeUntil { at_ms: 0 });
                self.standing = Standing::Leaving { session, order: None, retry_at_ms: now_ms };
                self.orders.forget_all();
                self.choose_subjects();
            }
            _ => {}
        }
    }

    pub(crate) fn removal_of_own(&self, session: u64) -> Transaction {
        Transaction {
            if_all: vec![created(self.own_key(), session)],
            then: vec![delete(self.own_key()), delete(beat_key(&self.config.id))],
            else_read: vec![],
        }
    }

    pub(crate) fn clear_answered(&mut self, now_ms: u64, answer: Answer) {
        let Standing::Clearing { session, .. } = self.standing else { return };
        match answer {
            Answer::Unknown | Answer::Unreachable => {
                let retry_at_ms = now_ms + RETRY_MS;
                self.standing = Standing::Clearing { session, order: None, retry_at_ms };
            }
            _ => {
                let touched = self.picture.forget_host(&self.config.id.clone(), session);
                self.attempt += 1;
                self.standing = Standing::Apart { retry_at_ms: now_ms };
                self.picture_changed(now_ms, touched);
            }
        }
    }
}
