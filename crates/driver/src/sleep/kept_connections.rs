//! Connections to tenants that gateways keep without a request. They keep nobody awake, so they are
//! dropped before it is looked whether a tenant is connected. And none is used again over a sleep: a
//! server that finds it older than its patience resets it, with the request inside.

use super::Sleeping;
use crate::Driver;
use crate::core::Core;
use crate::machine::Machine;
use pool::RunId;

/// How long a tenant must have been unused until connections to it are dropped for a look: a busy
/// one is between two requests.
const UNUSED_FOR_MS: u64 = 100;

/// Drops the connections to these runs. Returns false when its gateway has ended.
pub(super) type Dropper = Box<dyn Fn(&[RunId]) -> bool + Send>;

impl Sleeping {
    pub(super) fn drop_kept_connections(&mut self, runs: &[RunId]) {
        if !runs.is_empty() {
            self.droppers.retain(|drop_connections| drop_connections(runs));
        }
    }
}

impl<M: Machine> Driver<M> {
    /// Calls a gateway when it is to drop the connections that it keeps to these runs, under the
    /// driver's lock. It returns false when it is to be called no more. Not called if tenants do not
    /// sleep.
    pub fn when_tenants_rest(&self, drop_connections: impl Fn(&[RunId]) -> bool + Send + 'static) {
        if let Some(sleeping) = &mut self.lock().sleeping {
            sleeping.droppers.push(Box::new(drop_connections));
        }
    }

    /// Has the connections to all tenants dropped that nobody uses.
    pub(crate) fn drop_unused_connections(&self, core: &mut Core<M>) {
        let now_ms = self.machine.wall_ms();
        let Core { runs, leases, sleeping, .. } = core;
        let Some(sleeping) = sleeping.as_mut().filter(|sleeping| !sleeping.droppers.is_empty())
        else {
            return;
        };
        let is_unused = |run: &RunId| {
            leases.lease(*run).is_some_and(|lease| {
                lease.uses() == 0 && lease.touched_at_ms() + UNUSED_FOR_MS <= now_ms
            })
        };
        // Of those that rest they were dropped.
        let up = runs.keys().copied().filter(|run| !sleeping.resting.contains_key(run));
        let unused: Vec<RunId> = up.filter(is_unused).collect();
        sleeping.drop_kept_connections(&unused);
    }
}
