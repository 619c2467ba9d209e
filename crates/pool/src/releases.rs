//! Releases: which tree of a key serves, which is to serve, and which retires.
//!
//! A key has one tree for each of its releases that lives. The *serving* tree, in `Pool::tenants`,
//! is the one that calls of the key mean. At most one more stands *beside* it, in [`Releases`], and
//! is either *coming* or *leaving*:
//!
//! ```text
//!   deploy ──► coming: AwaitingRoom, AwaitingGate, Starting, Probing
//!                 │ ready: it serves from that step on        │ it fails, or is called off:
//!                 ▼                                           ▼ the serving tree is as before
//!   serving ──► leaving: Retired, Stopping, Stranded ───────► gone
//! ```
//!
//! * A release comes up only beside a tree that starts or is ready. Where there is none, a deploy
//!   is a start in the serving place (`deploys.rs`).
//! * When the serving tree begins to end, the coming release takes its place at once, as a start
//!   that callers join.
//! * Failures and history are those of the serving release. Another release that begins to serve
//!   begins them anew, and a release that never serves leaves nothing in them.
//! * `max_concurrent` counts both trees, since both take memory. The second waits for room like any
//!   start, and other tenants leave for it. While a release is coming, its serving tree is neither
//!   idle nor a victim, since the deploy is there to keep it. So deploys could wait for each
//!   other's tenants, or one of them for its own; then the last one is refused
//!   ([`Refusal::NoRoomBeside`](crate::Refusal::NoRoomBeside)), and nothing is lost.
//!
//! Most keys never have a second tree, and then all of this costs one look at an empty map.

use crate::ends::Next;
use crate::messages::Outcome;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, State, Tenant, Waiter};
use crate::warm::Warm;
use crate::{CallId, Key, KeyMap, Release, RunId};
use std::mem::{swap, take};

/// The second tree of a key.
#[derive(Debug)]
pub(crate) struct Beside {
    pub tree: Box<Tenant>,
    /// Deploys that wait until this tree is gone.
    pub later: Vec<Waiter>,
}

#[derive(Debug, Default)]
pub(crate) struct Releases {
    beside: KeyMap<Beside>,
    last: u64,
}

impl Beside {
    pub fn is_coming(&self) -> bool {
        self.tree.state.is_queued()
            || matches!(self.tree.state, State::Starting(_) | State::Probing(_))
    }

    /// Every call that waits for this tree or for the next one.
    pub fn take_calls(&mut self) -> Vec<CallId> {
        let mut calls = match &mut self.tree.state {
            State::Stopping(_, stop) => take(&mut stop.failed_waiters),
            _ => Vec::new(),
        };
        calls.extend(self.take_deploys().iter().map(|waiter| waiter.call));
        calls
    }

    pub fn take_deploys(&mut self) -> Vec<Waiter> {
        let mut deploys = take(&mut self.tree.waiters);
        deploys.append(&mut self.later);
        deploys
    }
}

impl Releases {
    /// The tree of a live run, which is the key's.
    pub fn tree_mut<'a>(
        &'a mut self,
        tenants: &'a mut KeyMap<Box<Tenant>>,
        key: &str,
        run: RunId,
    ) -> &'a mut Tenant {
        if let Some(beside) = self.get_mut(key)
            && beside.tree.state.is_of(run)
        {
            return &mut beside.tree;
        }
        tenants.get_mut(key).expect("a live run has a tree")
    }

    /// The tree of a live run, read-only.
    pub fn tree<'a>(
        &'a self,
        tenants: &'a KeyMap<Box<Tenant>>,
        key: &str,
        run: RunId,
    ) -> &'a Tenant {
        let beside = self.get(key).filter(|beside| beside.tree.state.is_of(run));
        beside.map_or_else(|| &tenants[key], |beside| &beside.tree)
    }

    /// The tree of a key that waits for room or at the gate: there is never more than one.
    pub fn queued_mut<'a>(
        &'a mut self,
        tenants: &'a mut KeyMap<Box<Tenant>>,
        key: &str,
    ) -> &'a mut Tenant {
        match self.get_mut(key) {
            Some(beside) if beside.tree.state.is_queued() => &mut beside.tree,
            _ => tenants.get_mut(key).expect("a queued key has a tree"),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Beside> {
        if self.beside.is_empty() { None } else { self.beside.get(key) }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Beside> {
        if self.beside.is_empty() { None } else { self.beside.get_mut(key) }
    }

    pub fn is_empty(&self) -> bool {
        self.beside.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Beside)> {
        self.beside.iter()
    }

    pub fn insert(&mut self, key: Key, tree: Tenant) {
        self.beside.insert(key, Beside { tree: Box::new(tree), later: Vec::new() });
    }

    pub fn remove(&mut self, key: &str) -> Option<Beside> {
        self.beside.remove(key)
    }

    /// Whether the next release of the key is on its way.
    pub fn has_coming(&self, key: &str) -> bool {
        self.get(key).is_some_and(Beside::is_coming)
    }

    pub fn any_begun(&self) -> bool {
        self.last > 0
    }

    /// A release of an earlier host was found: the next one of this host is later.
    pub fn heed(&mut self, release: Release) {
        self.last = self.last.max(release.0);
    }

    pub fn next(&mut self) -> Release {
        self.last += 1;
        Release(self.last)
    }

    /// Of the releases that wait for room, the one that came last.
    pub fn last_waiting_for_room(&self) -> Option<Key> {
        let waiting = self.iter().filter_map(|(key, beside)| match beside.tree.state {
            State::AwaitingRoom { ticket } => Some((ticket, key)),
            _ => None,
        });
        waiting.max().map(|(_, key)| key.clone())
    }
}

impl Pool {
    /// A run has become ready. If it came up beside the serving tree, it serves from now on, and
    /// that tree retires.
    pub(crate) fn take_over(&mut self, step: &mut Step, id: RunId, retire_ms: u64) {
        let Pool { tenants, runs, releases, .. } = self;
        let key = runs[&id].clone();
        let Some(beside) = releases.get_mut(&key).filter(|beside| beside.tree.state.is_of(id))
        else {
            return;
        };
        let tenant = tenants.get_mut(&key).expect("a release comes up beside one that serves");
        if !planted(Bug::OldReleaseServes) {
            swap(tenant, &mut beside.tree);
        }
        let waiters = take(&mut beside.tree.waiters);
        waiters.into_iter().for_each(|waiter| self.settle(waiter.call, Outcome::Tenant(id)));
        self.begin_failures_and_history(&key);
        self.hands_image_over(&key, true);
        let before = &self.releases.get(&key).expect("it has just been exchanged").tree;
        match &before.state {
            State::Ready(run) => {
                let run = run.id;
                self.retire(step, run, retire_ms);
            }
            State::Starting(run) | State::Probing(run) | State::Asleep(run, _) => {
                let run = run.id;
                self.begin_stop(step, run, Cause::Replaced);
            }
            other => unreachable!("{other:?} does not serve beside a release that comes up"),
        }
    }

    /// The serving tree has begun to end, or has ended: the coming release takes its place. Every
    /// way out of service ends here.
    pub(crate) fn let_coming_release_take_over(&mut self, key: &Key) {
        let Pool { tenants, releases, .. } = self;
        let Some(beside) = releases.get_mut(key).filter(|beside| beside.is_coming()) else {
            return;
        };
        match tenants.get_mut(key) {
            Some(tenant) if tenant.state.is_up() => return,
            Some(tenant) => {
                swap(tenant, &mut beside.tree);
                // Calls that waited for it to wake.
                tenant.waiters.append(&mut beside.tree.waiters);
                tenant.inherit_warmth(Warm::inherited(beside.tree.warm.take()));
            }
            None => {
                let Beside { tree, later } = releases.remove(key).expect("just seen");
                debug_assert!(later.is_empty(), "`after_serving` has taken them");
                tenants.insert(key.clone(), tree);
            }
        }
        let begun = !tenants[key].state.is_queued();
        if begun {
            self.begin_failures_and_history(key);
        }
        self.hands_image_over(key, begun);
    }

    /// The serving tree is gone: the coming release serves, or the key is started once more for the
    /// calls that wait.
    pub(crate) fn after_serving(&mut self, step: &mut Step, key: Key, mut next: Next) {
        let later =
            self.releases.get_mut(&key).map(|beside| take(&mut beside.later)).unwrap_or_default();
        if !self.releases.has_coming(&key) {
            next.waiters.extend(later);
            return self.respawn_or_forget(key, next);
        }
        self.room.gives_up_place(next.held_room);
        self.let_coming_release_take_over(&key);
        let tenant = self.tenant_at(&key);
        tenant.waiters.extend(next.waiters);
        tenant.inherit_warmth(next.comeback.map(|comeback| comeback.warm));
        if !later.is_empty() {
            self.begin_deploys(step, key, later);
        }
    }

    /// A tree is started for a deploy, so as a new release. In the serving place it serves at once.
    pub(crate) fn begin_release(&mut self, key: &Key, id: RunId) -> Release {
        let release = self.releases.next();
        self.tenant_of(id).release = release;
        if self.tenants.get(key).is_some_and(|tenant| tenant.state.is_of(id)) {
            self.begin_failures_and_history(key);
        }
        release
    }

    /// Another release begins to serve: failures and history are its own from now on.
    fn begin_failures_and_history(&mut self, key: &Key) {
        let tenant = &self.tenants[key];
        let starts = u64::from(tenant.state.run().is_some_and(|run| run.pid.is_some()));
        if !planted(Bug::FailuresOfAnotherRelease) {
            self.failures.clear(key);
        }
        self.histories.begin_release(key, tenant.release, starts);
    }

    /// Whether the run is of the serving tree of its key.
    pub(crate) fn serves(&self, id: RunId) -> bool {
        let beside =
            if self.releases.is_empty() { None } else { self.releases.get(&self.runs[&id]) };
        beside.is_none_or(|beside| !beside.tree.state.is_of(id))
    }

    /// Whether the key's failures and history are those of this run, which is the key's.
    pub(crate) fn owns_failures_and_history(&self, key: &str, run: RunId) -> bool {
        let Some(beside) = self.releases.get(key).filter(|beside| beside.tree.state.is_of(run))
        else {
            return true;
        };
        let serving = self.tenants.get(key).map(|tenant| tenant.release);
        let serving = serving.unwrap_or_else(|| self.histories.release_of(key));
        serving == beside.tree.release || planted(Bug::FailuresOfAnotherRelease)
    }
}
