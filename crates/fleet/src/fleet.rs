//! The value itself: its parts, the one way in, and what every step ends with.

use crate::era::Renewal;
use crate::keys::Keys;
use crate::leave::Leave;
use crate::membership::Standing;
use crate::observers::Observing;
use crate::orders::Orders;
use crate::picture::{Life, Picture, Touched};
use crate::planted::{Bug, planted};
use crate::records::{Held, HostState, Seen};
use crate::shedding::Shedding;
use crate::transaction::{Record, Stamp};
use crate::{Action, Change, ClaimView, Event, HostIs, HostView, Input, Key, Terms};
use std::sync::Arc;

/// What a host brings along.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each field says what it is")]
pub struct Config {
    /// Its name in the fleet, which no two live hosts may have.
    pub id: Arc<str>,
    /// Where its peer listener is reached.
    pub address: Arc<str>,
    /// For people: placement does not look at it.
    pub zone: Option<Arc<str>>,
    /// How many tenants it is to have, in proportion to others.
    pub weight: f64,
    /// Chance that no other process of this id has had: by it a host recognises its own record.
    pub run: Arc<str>,
    pub terms: Terms,
    /// The claim of a key whose tenant does not run is given up after so long.
    pub keep_ms: u64,
    /// A tenant that was prepared for a key that does not come is ended after so long.
    pub reserve_ms: u64,
    /// So many keys pass to other hosts at once while this one drains.
    pub moves_at_once: usize,
    /// While this host has more than its share, one key leaves it so often.
    pub rebalance_every_ms: u64,
}

/// One host's part of the fleet. The crate's page says how to drive it.
///
/// Who is a member, and until when it serves, is in `membership.rs` and `leave.rs`; who is gone in
/// `observers.rs`; which store counts in `era.rs`; who is asked for a key in `wants.rs`, which has
/// it claimed in `claims.rs`; keys pass in `giving.rs` and `taking.rs`, and are given up in
/// `shedding.rs`. What the store says is in `picture.rs`, what it was asked in `orders.rs`.
#[derive(Debug)]
pub struct Fleet {
    pub(crate) config: Config,
    pub(crate) picture: Picture,
    /// The store that counts, and the highest revision that was seen of it.
    pub(crate) store: Option<Stamp>,
    pub(crate) standing: Standing,
    /// How often this host has begun to join: each session is of another attempt.
    pub(crate) attempt: u64,
    pub(crate) keys: Keys,
    pub(crate) orders: Orders,
    pub(crate) observing: Observing,
    pub(crate) renewal: Renewal,
    pub(crate) shedding: Shedding,
    pub(crate) leave: Option<Leave>,
    pub(crate) actions: Vec<Action>,
}

impl Fleet {
    /// A host that has not heard of its store yet, and begins with `Input::Listed`.
    pub fn new(config: Config) -> Fleet {
        Fleet {
            config,
            picture: Picture::default(),
            store: None,
            standing: Standing::Apart { retry_at_ms: 0 },
            attempt: 0,
            keys: Keys::default(),
            orders: Orders::default(),
            observing: Observing::default(),
            renewal: Renewal::default(),
            shedding: Shedding::default(),
            leave: None,
            actions: Vec::new(),
        }
    }

    /// Takes one step: `input` happened at `now_ms`. The actions are to be carried out in order.
    pub fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Action> {
        // First of all: a host that was stopped for a while hears late what was said to it before.
        self.fence_if_over(now_ms);
        match input {
            Input::Listed { at, records } => self.listed(now_ms, at, records),
            Input::Changed { at, changes } => self.changed(now_ms, at, changes),
            Input::Answered { order, answer } => self.answered(now_ms, order, answer),
            Input::Want { call, key, want } => self.want(call, key, want),
            Input::Abort { call, key } => self.abort(call, &key),
            Input::Tenant { key, is } => self.tenant_is(now_ms, &key, is),
            Input::Prepared { key } => self.prepared(&key),
            Input::NotPrepared { key } => self.not_prepared(&key),
            Input::Quiet { key } => self.quiet(&key),
            Input::Withdrawn { key } => self.withdrawn(&key),
            Input::Stopped => self.stopped(now_ms),
            Input::Asked { ask, from, question } => self.asked(ask, &from, question),
            Input::Replied { ask, reply } => self.replied(now_ms, ask, reply),
            Input::Drain { call } => self.drain(call),
            Input::Close { call } => self.close(now_ms, call),
            Input::Tick => {}
        }
        self.keep_session(now_ms);
        self.go_on_leaving(now_ms);
        self.observe(now_ms);
        self.renew_era(now_ms);
        self.key_timers(now_ms);
        self.shed(now_ms);
        std::mem::take(&mut self.actions)
    }

    /// When the next `Input::Tick` is due. May change with every step.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines().into_iter().flatten().min()
    }

    pub(crate) fn deadlines(&self) -> [Option<u64>; 6] {
        [
            self.session_due_ms(),
            self.leave_due_ms(),
            self.observation_due_ms(),
            self.renewal_due_ms(),
            self.keys.first_timer_ms(),
            self.shedding_due_ms(),
        ]
    }

    /// The hosts that are known, this one included once it has joined, by their ids; those that are
    /// gone for as long as somebody's key is still said to be theirs.
    pub fn hosts(&self) -> Vec<HostView> {
        let view = |(id, host): (&Arc<str>, &crate::picture::Host)| {
            let record = host.record.as_ref()?;
            Some(HostView {
                id: id.clone(),
                address: record.address.clone(),
                zone: record.zone.clone(),
                weight: record.weight,
                is: match record.state {
                    HostState::Live => HostIs::Live,
                    HostState::Draining => HostIs::Draining,
                },
                tenants: self.picture.load(id),
            })
        };
        let gone = self.picture.gone().map(|(id, tenants)| HostView {
            id: id.clone(),
            address: "".into(),
            zone: None,
            weight: 0.0,
            is: HostIs::Gone,
            tenants,
        });
        let mut hosts: Vec<_> = self.picture.hosts.iter().filter_map(view).chain(gone).collect();
        hosts.sort_by(|one, other| one.id.cmp(&other.id));
        hosts
    }

    /// Whose these keys are, by the picture, or all keys if none is named. Left out are those that
    /// nobody has claimed, and claims of a newer version.
    pub fn claims(&self, keys: &[Key]) -> Vec<ClaimView> {
        let view = |key: &Key| {
            let Seen::Held(held) = self.picture.claim(key) else { return None };
            let is_void = self.picture.life(&held) == Life::Gone;
            let Held { host, epoch, .. } = held;
            Some(ClaimView { key: key.clone(), host, epoch, is_void })
        };
        match keys {
            [] => self.picture.keys().filter_map(view).collect(),
            _ => keys.iter().filter_map(view).collect(),
        }
    }

    fn listed(&mut self, now_ms: u64, at: Stamp, records: Vec<Record>) {
        let floor = self.picture.at.map_or(0, |at| at.revision);
        if !self.is_same_store(now_ms, at, floor) {
            return;
        }
        let mut touched = self.picture.list(at, records);
        touched.claims.extend(self.keys.names().cloned());
        self.picture_changed(now_ms, touched);
    }

    fn changed(&mut self, now_ms: u64, at: Stamp, changes: Vec<Change>) {
        // What comes of a watch of the store as it was before is not heard.
        let Some(before) = self.picture.at else { return };
        if self.is_same_store(now_ms, at, before.revision) {
            let touched = self.picture.change(at, changes);
            self.picture_changed(now_ms, touched);
        }
    }

    pub(crate) fn picture_changed(&mut self, now_ms: u64, touched: Touched) {
        for id in &touched.gone {
            if **id != *self.config.id {
                self.actions.push(Action::Emit(Event::HostGone { host: id.clone() }));
            }
        }
        for id in &touched.joined {
            if **id != *self.config.id
                && let Some(address) = self.picture.address(id).cloned()
            {
                self.actions.push(Action::Emit(Event::HostJoined { host: id.clone(), address }));
            }
        }
        self.look_at_own_record(now_ms);
        if !touched.gone.is_empty() || !touched.joined.is_empty() {
            self.choose_subjects();
            self.givers_changed();
        }
        for key in &touched.claims {
            self.claim_changed(now_ms, key);
        }
        self.era_changed(now_ms);
    }

    /// Takes the revision of an answer in. Returns whether the store is the one that counts;
    /// otherwise everything of it is void.
    pub(crate) fn is_same_store(&mut self, now_ms: u64, at: Stamp, floor: u64) -> bool {
        let store = self.store.get_or_insert(at);
        let is_believed = planted(Bug::OldStoreCounts);
        if at.cluster == store.cluster && at.revision >= floor || is_believed {
            store.revision = store.revision.max(at.revision);
            return true;
        }
        self.roll_back(now_ms);
        false
    }

    /// The store came back with an older state: what it says of this host's session and claims may
    /// have been said to others, too.
    fn roll_back(&mut self, now_ms: u64) {
        self.actions.push(Action::Emit(Event::RolledBack));
        self.owe_a_new_era();
        self.fence();
        self.orders.forget_all();
        self.orders_are_forgotten(now_ms);
        let known: Vec<_> = self.picture.keys().cloned().collect();
        self.picture = Picture::default();
        self.store = None;
        for key in known {
            self.actions.push(Action::Route { key, owner: None });
        }
        self.choose_subjects();
        self.actions.push(Action::List);
    }
}
