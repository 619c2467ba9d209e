//! Warm keys: those that are kept up without a caller.
//!
//! A key is warm if the rules of its last start say so ([`RunRules`](crate::RunRules)), or if
//! `Input::Warm` has asked for it and no start of it has been ruled yet. `kill` and `dispose`
//! forget that, and so does a start that is not warm.
//!
//! * A warm tenant is never idle, and makes room only when every other victim is warm, too
//!   (`eviction.rs`).
//! * A start of a warm key is not called off with its last caller. At the gate and for room it
//!   queues like any other.
//! * When its run has ended by itself or its start has failed, it is started again: at once the
//!   first time, then after the waits of the back-off, one longer than the other, until a run has
//!   lasted for longer than the longest of them. And never inside the window of its failures.
//!   After too many failures it is given up until it is asked for anew, or they are cleared.
//! * A start that no caller waits for makes no warm tenant leave. Where only warm ones are left to
//!   leave, it *stands aside*: it gets a place that is free and that no other key waits for, or its
//!   place in the queue when a caller comes. A warm tenant that was evicted stands aside, too. So
//!   warm tenants never evict each other in turns, and none evicts what it had to leave for.
//! * While draining nothing is started that no caller waits for.

use crate::backoff::Hold;
use crate::planted::{Bug, planted};
use crate::pool::{Pool, Step};
use crate::tenant::{Cause, Run, State, Tenant};
use crate::{Backoff, Key, KeyMap, Release};
use std::collections::BTreeSet;

/// What keeps a key up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Warm {
    basis: Basis,
    /// Its runs in a row that have ended soon.
    early_ends: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// It was asked for, or was warm before, and the next start has not been ruled yet.
    Wanted,
    /// The start that was asked for is not warm: it goes on without a caller, and that is all.
    Once,
    /// The rules of its run say so.
    Ruled,
}

impl Warm {
    /// The next start is wanted, whatever there was before.
    fn wanted(before: Option<Warm>) -> Warm {
        Warm { basis: Basis::Wanted, early_ends: before.map_or(0, |warm| warm.early_ends) }
    }

    /// It was asked for while its run is being ended. If that was warm, it is so to its end.
    fn wanted_again(before: Option<Warm>) -> Warm {
        Warm::when_ready(before).unwrap_or_else(|| Warm::wanted(before))
    }

    /// What a start is after its rules have come, or have not and its process has.
    pub fn ruled(before: Option<Warm>, is_warm: bool) -> Option<Warm> {
        let early_ends = before.map_or(0, |warm| warm.early_ends);
        match before {
            _ if is_warm => Some(Warm { basis: Basis::Ruled, early_ends }),
            Some(_) => Some(Warm { basis: Basis::Once, early_ends }),
            None => None,
        }
    }

    /// What is left of it when the run is ready, or ready again.
    pub fn when_ready(before: Option<Warm>) -> Option<Warm> {
        before.filter(|warm| warm.basis == Basis::Ruled)
    }

    /// What the next start inherits when this one is over.
    pub fn inherited(before: Option<Warm>) -> Option<Warm> {
        before.filter(|warm| warm.basis != Basis::Once).map(|warm| Warm::wanted(Some(warm)))
    }

    /// One more run has ended by itself. Returns how long the next start waits.
    fn run_ended(&mut self, run: &Run, now_ms: u64, rules: &Backoff) -> u64 {
        let lived_ms = now_ms.saturating_sub(run.started_steady_ms) + run.ready_before_ms;
        let has_lasted = run.was_ready && lived_ms >= rules.max_ms;
        self.early_ends = if has_lasted { 1 } else { self.early_ends.saturating_add(1) };
        match self.early_ends {
            1 => 0,
            ends => rules.delay_ms(ends - 1),
        }
    }
}

impl Tenant {
    /// The tree of a key that was warm is gone, and this one is in its place. Its own rules count if
    /// they are known.
    pub fn inherit_warmth(&mut self, warm: Option<Warm>) {
        let is_ruled = self.state.run().is_some_and(|run| run.rules.is_some() || run.pid.is_some());
        if !is_ruled {
            self.warm = self.warm.or(warm);
        }
    }
}

/// How a warm key comes back when its run is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comeback {
    pub warm: Warm,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    /// When the steady clock says so.
    At(u64),
    /// When a place is free that no other key waits for.
    WithFreeRoom,
    /// When it is asked for anew, or its failures are cleared.
    OnceAsked,
}

/// The warm keys that have no tree and wait for their next start, or were given up.
#[derive(Debug, Default)]
pub(crate) struct WarmBook {
    waiting: KeyMap<(Warm, Option<u64>)>,
    due: BTreeSet<(u64, Key)>,
    /// Some run was warm, so that victims may be.
    pub has_any: bool,
}

impl WarmBook {
    fn wait(&mut self, key: &Key, warm: Warm, due_ms: Option<u64>) {
        self.take(key);
        self.due.extend(due_ms.map(|due_ms| (due_ms, key.clone())));
        self.waiting.insert(key.clone(), (warm, due_ms));
    }

    /// The key does not wait any more, if it did.
    pub fn take(&mut self, key: &Key) -> Option<Warm> {
        // Mostly no key waits; `remove` would hash this one only to find that out.
        if self.waiting.is_empty() {
            return None;
        }
        let (warm, due_ms) = self.waiting.remove(key)?;
        if let Some(due_ms) = due_ms {
            self.due.remove(&(due_ms, key.clone()));
        }
        Some(warm)
    }

    pub fn forget_all(&mut self) {
        self.waiting.clear();
        self.due.clear();
    }

    /// When the key is to be started, if it waits for that.
    pub fn due_ms_of(&self, key: &str) -> Option<u64> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting.get(key)?.1
    }

    /// When the first of them is to be started.
    pub fn first_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.waiting.keys()
    }
}

impl Pool {
    /// The key is to be up without a caller.
    pub(crate) fn warm_up(&mut self, step: &mut Step, key: Key) {
        if self.draining || self.disposal.is_some() || !self.is_admitted(&key) {
            return;
        }
        let Some(tenant) = self.tenants.get_mut(&key) else {
            return self.warm_up_new(step, key);
        };
        match &tenant.state {
            State::AwaitingRoom { .. } | State::AwaitingGate { .. } => {
                tenant.warm.get_or_insert(Warm::wanted(None));
            }
            State::Starting(run) if run.rules.is_none() => {
                tenant.warm.get_or_insert(Warm::wanted(None));
            }
            State::Starting(_)
            | State::Probing(_)
            | State::Ready(_)
            | State::Asleep(..)
            | State::Retired(..) => {}
            State::Stopping(..) => tenant.warm = Some(Warm::wanted_again(tenant.warm)),
            State::Stranded(run) => {
                let run = run.id;
                tenant.warm = Some(Warm::wanted_again(tenant.warm));
                self.stop_again(step, run);
            }
        }
    }

    /// One that was given up is tried once more, no sooner than the window of its last failure
    /// allows. One that waits already goes on to.
    fn warm_up_new(&mut self, step: &Step, key: Key) {
        if self.warm.waiting.get(&key).is_some_and(|(_, due_ms)| due_ms.is_some()) {
            return;
        }
        let warm = Warm::wanted(self.warm.take(&key));
        let retry_at_ms = self.failures.of(&key).map_or(0, |failures| failures.retry_at_ms);
        if retry_at_ms > step.now.steady_ms {
            self.warm.wait(&key, warm, Some(retry_at_ms));
        } else {
            self.start_warm(step, key, warm);
        }
    }

    /// The failures of the key are forgotten, so that nothing holds its next start up.
    pub(crate) fn clear_backoff(&mut self, step: &Step, key: Key) {
        self.failures.clear(&key);
        if self.warm.take(&key).is_some() {
            self.start_warm(step, key, Warm::wanted(None));
        }
    }

    /// Starts the warm keys that have waited for long enough.
    pub(crate) fn start_due_warm_keys(&mut self, step: &Step) {
        while let Some((due_ms, key)) = self.warm.due.first().cloned()
            && due_ms <= step.now.steady_ms
        {
            let warm = self.warm.take(&key).expect("what is due waits");
            self.start_warm(step, key, warm);
        }
    }

    fn start_warm(&mut self, step: &Step, key: Key, warm: Warm) {
        if self.overload().is_some() {
            let later_ms = step.now.steady_ms.saturating_add(self.config.sweep_interval_ms.max(1));
            return self.warm.wait(&key, warm, Some(later_ms));
        }
        self.queue_new(key.clone(), Vec::new(), None);
        self.tenant_at(&key).warm = Some(warm);
    }

    /// How the key comes back when the run of its serving tree is over, if it is warm.
    pub(crate) fn comeback(&self, step: &Step, tree: &Tenant) -> Option<Comeback> {
        let is_ruled = tree.warm?.basis == Basis::Ruled;
        let (mut warm, run) = (Warm::inherited(tree.warm)?, tree.state.run()?);
        let drains = self.draining && !planted(Bug::WarmthOutlastsDrain);
        if drains || self.disposal.is_some() {
            return None;
        }
        let now_ms = step.now.steady_ms;
        let pause_ms = match run.cause {
            None if planted(Bug::WarmStaysDown) => return None,
            None | Some(Cause::NotReady | Cause::NotWoken) => {
                warm.run_ended(run, now_ms, &self.failures.rules())
            }
            Some(_) => 0,
        };
        let yields = run.cause == Some(Cause::Evicted) && is_ruled;
        let at_once = match yields && !planted(Bug::EvictedWarmPushes) {
            true => When::WithFreeRoom,
            false => When::Now,
        };
        Some(Comeback { warm, when: self.when(step, &tree.key, pause_ms, at_once) })
    }

    /// When the key is started again: `at_once`, unless a pause or its failures hold it back.
    fn when(&self, step: &Step, key: &str, pause_ms: u64, at_once: When) -> When {
        let now_ms = step.now.steady_ms;
        let window_ms = match self.failures.hold(key, now_ms) {
            Some(Hold::Exhausted { .. }) => return When::OnceAsked,
            Some(Hold::Window { retry_after_ms, .. }) => retry_after_ms,
            None => 0,
        };
        let window_ms = if planted(Bug::WarmIgnoresTheWindow) { 0 } else { window_ms };
        match pause_ms.max(window_ms) {
            0 => at_once,
            wait_ms => When::At(now_ms.saturating_add(wait_ms)),
        }
    }

    /// No tenant leaves for the key, which waits for a place that is free; if calls waited that have
    /// heard so, and that may have ignored its failures, not before those allow it.
    pub(crate) fn stand_aside(&mut self, step: &Step, key: Key, had_calls: bool) {
        let Tenant { warm, release, .. } = *self.tenant_at(&key);
        let starts_none = self.draining || self.disposal.is_some();
        let Some(warm) = Warm::inherited(warm).filter(|_| !starts_none) else {
            return self.forget_queued(&key);
        };
        let at_once = When::WithFreeRoom;
        let when = if had_calls { self.when(step, &key, 0, at_once) } else { at_once };
        self.forget_queued(&key);
        self.come_back_later(key, release, Comeback { warm, when });
    }

    /// The run of a warm key is over, and no call waits for the next one, which is not due yet.
    pub(crate) fn come_back_later(&mut self, key: Key, release: Release, comeback: Comeback) {
        let warm = comeback.warm;
        match comeback.when {
            When::Now => unreachable!("it would have been started"),
            When::At(due_ms) => self.warm.wait(&key, warm, Some(due_ms)),
            When::OnceAsked => self.warm.wait(&key, warm, None),
            When::WithFreeRoom => {
                let ticket = self.next_ticket();
                self.room.stand_aside(ticket, key.clone());
                let (state, waiters) = (State::AwaitingRoom { ticket }, Vec::new());
                let (adoption, warm) = (None, Some(warm));
                let tenant = Tenant { key: key.clone(), state, waiters, adoption, release, warm };
                self.tenants.insert(key, Box::new(tenant));
            }
        }
    }

    /// Whether the key that has waited for room the longest has no caller.
    pub(crate) fn first_has_no_caller(&self) -> bool {
        if self.room.first_waking().is_some() {
            return false;
        }
        let first = self.room.first_waiting().and_then(|key| self.tenants.get(key));
        let tenant = first.filter(|tenant| matches!(tenant.state, State::AwaitingRoom { .. }));
        tenant.is_some_and(|tenant| tenant.waiters.is_empty())
    }

    /// A caller has come for a key that waits for room: it queues like any other.
    pub(crate) fn come_forward(&mut self, key: &Key) {
        let State::AwaitingRoom { ticket } = self.tenant_at(key).state else { return };
        if self.room.is_aside(ticket) {
            self.room.cancel(ticket);
            self.tenant_at(key).state = self.queue_for_room(key);
        }
    }

    /// No key is started without a caller from now on.
    pub(crate) fn drain_warm_keys(&mut self) {
        self.warm.forget_all();
        let mut without_caller = Vec::new();
        for tenant in self.tenants.values_mut().filter(|tenant| !tenant.state.is_up()) {
            tenant.warm = None;
            if tenant.state.is_queued() && tenant.waiters.is_empty() {
                without_caller.push(tenant.key.clone());
            }
        }
        without_caller.into_iter().for_each(|key| self.forget_queued(&key));
    }
}
