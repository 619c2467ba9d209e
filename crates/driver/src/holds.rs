//! Holds: callers of a key wait while it is passed on to another host.
//!
//! A hold is between the callers and the pool, which knows nothing of it: calls for the key are put
//! aside, and its tenants are not handed out, beside whatever claims of the pool's. Uses that are open
//! go on; when they have ended, the key is quiet. Then either it is withdrawn, and those who have waited
//! are refused as all others are, or nothing has changed for them but the time.

use crate::Driver;
use crate::admission::answered;
use crate::callers::Ended;
use crate::core::Core;
use crate::leases::Lease;
use crate::machine::{Linux, Machine};
use pool::{CallId, Input, Key, KeyMap};
use std::sync::Arc;

/// The calls of each held key, in their order. Behind the driver's lock.
#[derive(Default)]
pub(crate) struct Holds(KeyMap<Vec<Input>>);

impl Holds {
    /// Puts the input aside if it is a call for a held key.
    pub fn keep(&mut self, input: Input) -> Option<Input> {
        if self.0.is_empty() {
            return Some(input);
        }
        match &input {
            Input::Ensure { key, .. }
            | Input::Restart { key, .. }
            | Input::Deploy { key, .. }
            | Input::Adopt { key, .. }
            | Input::Warm { key } => match self.0.get_mut(key) {
                Some(kept) => kept.push(input),
                None => return Some(input),
            },
            Input::Abort { key, call } => {
                let Some(kept) = self.0.get_mut(key) else { return Some(input) };
                let before = kept.len();
                kept.retain(|one| call_of(one) != Some(*call));
                return (kept.len() == before).then_some(input);
            }
            _ => return Some(input),
        }
        None
    }

    pub fn has(&self, key: &str) -> bool {
        !self.0.is_empty() && self.0.contains_key(key)
    }

    pub fn has_call(&self, call: CallId) -> bool {
        self.0.values().flatten().any(|input| call_of(input) == Some(call))
    }
}

fn call_of(input: &Input) -> Option<CallId> {
    match input {
        Input::Ensure { call, .. }
        | Input::Restart { call, .. }
        | Input::Deploy { call, .. }
        | Input::Adopt { call, .. } => Some(*call),
        _ => None,
    }
}

/// A key is held while this lives. Dropping it lets its callers go on: with the tenant, or, if the key
/// was withdrawn meanwhile, with a refusal. Not to be dropped under the driver's lock.
pub struct Hold<M: Machine = Linux> {
    driver: Arc<Driver<M>>,
    key: Key,
}

impl<M: Machine> Driver<M> {
    /// Holds the key. `None`: it is held already.
    ///
    /// Calls of JavaScript that wait for a start which is under way are answered all the same: what
    /// they do with the tenant is not counted, held or not.
    pub fn hold(self: &Arc<Self>, key: &str) -> Option<Hold<M>> {
        let mut core = self.lock();
        if core.holds.has(key) {
            return None;
        }
        let key = Key::from(key);
        core.holds.0.insert(key.clone(), Vec::new());
        core.leases_of(&key).iter().for_each(|lease| lease.hold());
        Some(Hold { driver: self.clone(), key })
    }

    /// The runtime ends: nobody waits for a key to be passed on.
    pub(crate) fn end_holds(self: &Arc<Self>, core: &mut Core<M>) {
        for key in core.holds.0.keys().cloned().collect::<Vec<_>>() {
            self.end_hold(core, &key);
        }
    }

    fn end_hold(self: &Arc<Self>, core: &mut Core<M>, key: &str) {
        let Some(kept) = core.holds.0.remove(key) else { return };
        core.leases_of(key).iter().for_each(|lease| lease.unhold());
        kept.into_iter().for_each(|input| self.feed_locked(core, input));
    }
}

impl<M: Machine> Core<M> {
    /// The leases of the key's tenants: of what serves, and of what retires.
    fn leases_of(&self, key: &str) -> Vec<Arc<Lease>> {
        let tenant = |run| Some(self.runs.get(&run)?.tenant.as_ref()?.lease.clone());
        self.pool.runs_of(key).filter_map(tenant).collect()
    }
}

impl<M: Machine> Hold<M> {
    /// Resolves when no use of the key's tenants is open.
    pub fn quiet(&self) -> impl Future<Output = ()> + Send + use<M> {
        let leases = self.driver.lock().leases_of(&self.key);
        // What becomes ready later is held from its first moment.
        async move {
            for lease in leases {
                lease.until_unused().await;
            }
        }
    }

    /// Starts the key's tenant, for nobody yet. Resolves when it is ready. An error: it is not.
    pub fn start(&self) -> impl Future<Output = Ended> + Send + use<M> {
        let mut core = self.driver.lock();
        let (call, ended) = core.callers.open_end();
        self.driver.step(&mut core, Input::Ensure { key: self.key.clone(), call });
        drop(core);
        self.driver.uplink.ring();
        answered(ended)
    }

    /// Uses that are open are to end now: `InUse::revoked` resolves.
    pub fn cut(&self) {
        self.driver.lock().leases_of(&self.key).iter().for_each(|lease| lease.revoke());
    }
}

impl<M: Machine> Drop for Hold<M> {
    fn drop(&mut self) {
        let mut core = self.driver.lock();
        self.driver.end_hold(&mut core, &self.key);
        drop(core);
        self.driver.uplink.ring();
    }
}
