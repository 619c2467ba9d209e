//! What goes into the fleet's value and what comes out of it.
#![allow(missing_docs, reason = "each variant says what its fields mean")]

use crate::transaction::{Answer, Record, Stamp, Transaction};
use std::sync::Arc;

/// A tenant's key.
pub type Key = Arc<str>;

/// A request to the store that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// A call of this host's: whoever asked is known by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A question of one host to another. Numbers of questions that are asked here and of those that
/// are asked elsewhere have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// Everything that a host's part of the fleet can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// All records below `hosts/`, `claims/` and `era`, as the store had them at one revision: at
    /// the beginning, and after each watch that broke. (Of `moves/` and `beats/` nobody need be
    /// told.)
    Listed { at: Stamp, records: Vec<Record> },
    /// What has changed since the last `Listed` or `Changed`, in the store's order.
    Changed { at: Stamp, changes: Vec<Change> },
    /// The one answer to an `Action::Commit` or `Action::Read`.
    Answered { order: OrderId, answer: Answer },
    /// Somebody wants to know where the key is served: a visitor's request, or a call. Is answered
    /// by one `Action::Answer`, unless it is aborted.
    Want { call: CallId, key: Key, want: Want },
    /// Whoever wanted the key has gone, and needs no answer. (One may cross this.)
    Abort { call: CallId, key: Key },
    /// What the tenant of a key that is admitted here does now. A key is `Cold` when it is admitted,
    /// unless its tenant was prepared.
    Tenant { key: Key, is: Local },
    /// The tenant that `Action::Prepare` asked for is ready.
    Prepared { key: Key },
    /// The tenant that `Action::Prepare` asked for did not become ready, or has ended.
    NotPrepared { key: Key },
    /// Nothing of the held key is in flight any more: what was there has ended, or has been cut when
    /// its time was over. The one answer to an `Action::Hold`, unless `Withdraw` or `Fence` follows.
    Quiet { key: Key },
    /// Nothing of the key lives here any more. The one answer to an `Action::Withdraw`; nothing that
    /// is told afterwards is about the time before.
    Withdrawn { key: Key },
    /// Nothing of any key lives here any more. The one answer to an `Action::Fence` or
    /// `Action::StopAll`; nothing that is told afterwards is about the time before.
    Stopped,
    /// Another host, which has shown that it is one, asks.
    Asked { ask: AskId, from: Arc<str>, question: Question },
    /// The one answer to an `Action::Ask`.
    Replied { ask: AskId, reply: Reply },
    /// No new keys from now on, and those that are here go elsewhere. `Action::Done` when none is
    /// left.
    Drain { call: CallId },
    /// This host leaves in order. `Action::Done` when nothing of it is left in the store, or the
    /// store does not answer.
    Close { call: CallId },
    /// A deadline may have passed.
    Tick,
}

/// One record that was put or deleted.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: String,
    /// The revision of the change.
    pub revision: u64,
    /// None if it was deleted.
    pub record: Option<Record>,
}

/// How a key is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// How many hosts have passed the request on: 0 for a visitor's. One that was passed on is
    /// served here if the key is nobody's, whatever placement says.
    pub hops: u32,
    /// A host that was asked has said that this one owns the key, or is to have it (421 and
    /// `absolute-owner`; the epoch is 0 for a key that is nobody's yet).
    pub told: Option<Owner>,
    /// Hosts that could not be reached just now, or refuse the key.
    pub excluding: Vec<Arc<str>>,
    /// One of them was found so by this request: if it has the key, by what is known here, the store
    /// is asked, since a host that has passed its keys on may be gone before that is seen here.
    pub doubts: bool,
}

impl Want {
    /// The host could not be reached by this request.
    pub fn doubt(&mut self, host: Arc<str>) {
        self.excluding.push(host);
        self.doubts = true;
    }

    pub(crate) fn is_told_of(&self, host: &str) -> bool {
        self.told.as_ref().is_some_and(|told| *told.host == *host)
    }
}

/// Who serves a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub host: Arc<str>,
    pub address: Arc<str>,
    pub epoch: u64,
}

/// What the tenant of an admitted key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// There is no process.
    Cold,
    /// There is one, which has not been used for a while.
    Idle,
    /// There is one, in use.
    Busy,
}

/// What one host asks another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// "You are to have my key: get its tenant ready beside mine." `claim` is the revision of the
    /// asker's claim.
    Prepare { key: Key, claim: u64 },
}

/// What is answered to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The tenant is ready; `reservation` is the revision of the record in `moves/`, and `session`
    /// that of the host that has put it.
    Prepared { session: u64, reservation: u64, epoch: u64 },
    /// It will not have it, or could not start it.
    Refused,
    /// Nobody knows: it could not be reached, or did not answer in time. (Of those that ask only.)
    Failed,
}

/// Everything that can be wanted done, in the order in which it must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Have the store carry this out, once. `Input::Answered` is its answer.
    Commit { order: OrderId, transaction: Transaction },
    /// Read these records at one revision. `Input::Answered` is its answer.
    Read { order: OrderId, keys: Vec<String> },
    /// List everything again, and tell by `Input::Listed`: the store came back with an older state.
    /// What comes of the watch before that is not heard.
    List,
    /// From now on the key's tenant may be started and used here, with this epoch.
    Admit { key: Key, epoch: u64 },
    /// Have a tenant of the key ready with this epoch, for nobody to use yet: `Admit` with the same
    /// epoch or `Withdraw` follows. `Input::Prepared` or `NotPrepared` answers.
    Prepare { key: Key, epoch: u64 },
    /// Hand the admitted key to nobody any more, and tell by `Input::Quiet` when nobody uses it.
    Hold { key: Key },
    /// The held key may be handed out again: it does not pass.
    Resume { key: Key },
    /// The key, admitted or being prepared, is not to be here: hand it to nobody, and end its
    /// tenant. `Input::Withdrawn` answers. `at_once`: what is in flight must not be answered.
    Withdraw { key: Key, at_once: bool },
    /// For routing: who owns the key now. None: nobody that lives.
    Route { key: Key, owner: Option<Owner> },
    /// Until when (on the clock of this value's inputs) answers of tenants may be passed on. 0: not
    /// at all.
    ServeUntil { at_ms: u64 },
    /// Kill everything, at once. `Input::Stopped` answers.
    Fence,
    /// End everything in order: requests are answered as long as `ServeUntil` says.
    /// `Input::Stopped` answers. A `Fence` may follow, and then one `Stopped` answers both.
    StopAll,
    /// Ask the host.
    Ask { ask: AskId, host: Arc<str>, address: Arc<str>, question: Question },
    /// Answer what was asked.
    Reply { ask: AskId, reply: Reply },
    /// Answer who wanted a key.
    Answer { call: CallId, place: Where },
    /// What was asked for by `Drain` or `Close` is done.
    Done { call: CallId },
    /// Tell the user.
    Emit(Event),
}

/// Where a wanted key is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// Here: it is admitted.
    Here { epoch: u64 },
    /// There, by what is known here; `epoch` is None for a key that is nobody's yet and that this
    /// host is to have. Who was passed on already is told so (421), and goes there itself.
    There { host: Arc<str>, address: Arc<str>, epoch: Option<u64> },
    /// Nowhere just now.
    Refused { why: Why, retry_after_ms: u64 },
}

/// Why a key is not served just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// This host is not (or no longer, or not yet) a member: it has no session that holds.
    Apart,
    /// The store does not answer, and the key is not known to be anybody's.
    StoreUnreachable,
    /// The store is new, or came back with an older state: nobody claims until everyone knows it.
    StoreIsNew,
    /// Its record is of a newer version of this package than this host's.
    NewerVersion,
    /// Its owner is among those that could not be reached, and has not been gone for long enough.
    OwnerUnreachable,
    /// No host may have it: all drain, or were excluded.
    NoHost,
    /// It changed hands too often while it was looked for.
    Unsettled,
    /// This host is closing.
    Closing,
}

/// What users are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key is this host's now.
    Claim { key: Key, epoch: u64 },
    /// The key is not this host's any more, and this host has not given it away.
    Lost { key: Key, epoch: u64 },
    /// This host has passed the key on.
    Moved { key: Key, to: Arc<str>, epoch: u64 },
    /// This host could not renew its session, or has lost it: all its tenants are killed.
    Fenced { keys: usize },
    /// Another host is there.
    HostJoined { host: Arc<str>, address: Arc<str> },
    /// Another host is gone: it left, or its beat stopped.
    HostGone { host: Arc<str> },
    /// A record says that a live host has this host's id. This one waits until that one is gone.
    IdTaken { address: Arc<str> },
    /// The store came back with an older state, or is another one.
    RolledBack,
}

/// A host, as users see it. One that is gone has no address, no zone and no weight any more.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    pub id: Arc<str>,
    pub address: Arc<str>,
    pub zone: Option<Arc<str>>,
    pub weight: f64,
    pub is: HostIs,
    pub tenants: usize,
}

/// How it is with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostIs {
    Live,
    Draining,
    /// It left, or its lease is over, and there are keys of its that nobody has taken yet.
    Gone,
}

/// Whose a key is, as users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimView {
    pub key: Key,
    pub host: Arc<str>,
    pub epoch: u64,
    /// The host's session is over: the key is whose who asks for it next.
    pub is_void: bool,
}
