//! A host that leaves: everything here ends in order, then its claims go, and its record last, so
//! that nobody ever has to find out that it is gone.

use crate::membership::Standing;
use crate::orders::{Purpose, RETRY_MS, created, delete, modified};
use crate::records::{claim_key, host_key};
use crate::transaction::{Answer, Transaction};
use crate::{Action, CallId, Fleet, Key};

/// Records that go in one transaction: etcd takes 128 operations by default.
const AT_ONCE: usize = 100;

#[derive(Debug)]
pub(crate) struct Leave {
    calls: Vec<CallId>,
    /// The claims that are to go, with their revisions.
    claims: Vec<(Key, u64)>,
    /// So many were asked for in the order that waits; none of them for the host's own record.
    asked: usize,
    /// When a store that does not answer is waited for no longer. Set when nothing lives any more.
    give_up_at_ms: Option<u64>,
}

impl Fleet {
    pub(crate) fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    pub(crate) fn close(&mut self, now_ms: u64, call: CallId) {
        if self.standing == Standing::Left {
            self.actions.push(Action::Done { call });
            return;
        }
        if let Some(leave) = &mut self.leave {
            leave.calls.push(call);
            return;
        }
        let mut calls = self.shedding.take_calls();
        calls.push(call);
        let claims = self.keys.claims();
        self.leave = Some(Leave { calls, claims, asked: 0, give_up_at_ms: None });
        self.orders.forget_keys();
        self.drop_keys();
        match &mut self.standing {
            Standing::Member(member) => {
                member.is_stopping = true;
                self.actions.push(Action::StopAll);
            }
            Standing::Fencing { .. } | Standing::Clearing { .. } => {}
            _ => self.left(),
        }
        self.go_on_leaving(now_ms);
    }

    pub(crate) fn leave_due_ms(&self) -> Option<u64> {
        let leave = self.leave.as_ref()?;
        let retry_ms = match self.standing {
            Standing::Leaving { order: None, retry_at_ms, .. } => Some(retry_at_ms),
            _ => None,
        };
        [retry_ms, leave.give_up_at_ms].into_iter().flatten().min()
    }

    pub(crate) fn go_on_leaving(&mut self, now_ms: u64) {
        let give_up_after_ms = self.config.terms.serve_for_ms;
        let Some(leave) = &mut self.leave else { return };
        match self.standing {
            // What was fenced while it left has been cleared away.
            Standing::Apart { .. } => self.left(),
            Standing::Clearing { .. } | Standing::Leaving { .. } => {
                let give_up_at_ms = *leave.give_up_at_ms.get_or_insert(now_ms + give_up_after_ms);
                if give_up_at_ms <= now_ms {
                    self.left();
                } else if let Standing::Leaving { session, order: None, retry_at_ms } =
                    self.standing
                    && retry_at_ms <= now_ms
                {
                    self.remove_own_records(session);
                }
            }
            _ => {}
        }
    }

    fn remove_own_records(&mut self, session: u64) {
        let own_key = host_key(&self.config.id);
        let Some(leave) = &mut self.leave else { return };
        let from = leave.claims.len().saturating_sub(AT_ONCE);
        let chunk = &leave.claims[from..];
        leave.asked = chunk.len();
        let transaction = if chunk.is_empty() {
            self.removal_of_own(session)
        } else {
            let compare = |(key, revision): &(Key, u64)| modified(claim_key(key), *revision);
            let mut if_all: Vec<_> = chunk.iter().map(compare).collect();
            if_all.push(created(own_key, session));
            let then = chunk.iter().map(|(key, _)| delete(claim_key(key))).collect();
            Transaction { if_all, then, else_read: vec![] }
        };
        let order = self.commit(Purpose::Leave, transaction);
        self.standing = Standing::Leaving { session, order: Some(order), retry_at_ms: u64::MAX };
    }

    /// A chunk that was refused is left behind: without the host's record its claims are void.
    pub(crate) fn leave_answered(&mut self, now_ms: u64, answer: Answer) {
        let Standing::Leaving { session, .. } = self.standing else { return };
        let Some(leave) = &mut self.leave else { return };
        let retry_at_ms = match answer {
            Answer::Unknown | Answer::Unreachable => now_ms + RETRY_MS,
            _ if leave.asked == 0 => return self.left(),
            _ => {
                leave.claims.truncate(leave.claims.len() - leave.asked);
                now_ms
            }
        };
        self.standing = Standing::Leaving { session, order: None, retry_at_ms };
        self.go_on_leaving(now_ms);
    }

    fn left(&mut self) {
        self.standing = Standing::Left;
        self.orders.forget_all();
        self.renewal.order_is_forgotten();
        self.choose_subjects();
        let calls = self.leave.as_mut().map(|leave| {
            leave.give_up_at_ms = None;
            std::mem::take(&mut leave.calls)
        });
        for call in calls.into_iter().flatten() {
            self.actions.push(Action::Done { call });
        }
    }
}
