//! What becomes of tenants, for one listener in Rust; and what each of them is doing.

use crate::Driver;
use crate::core::Core;
use crate::machine::Machine;
use crate::run_handle::RunHandle;
use pool::{Key, RunId};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What has become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantFact {
    /// It has a tenant that may be used.
    Ready { key: Key },
    /// No process of it is left, and none is to come.
    Ended { key: Key },
}

/// What a tenant is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantLoad {
    pub key: Key,
    /// Uses that are open.
    pub uses: u32,
    /// Since its last touch.
    pub idle_ms: u64,
    pub is_asleep: bool,
    /// When it was last looked at.
    pub rss_bytes: Option<u64>,
}

impl<M: Machine> Driver<M> {
    /// What becomes of tenants from now on, in its order. There is one listener: the last one.
    pub fn hear_of_tenants(&self) -> UnboundedReceiver<TenantFact> {
        let (tell, heard) = unbounded_channel();
        self.lock().hears_of_tenants = Some(tell);
        heard
    }

    /// What each tenant is doing that serves its key.
    pub fn loads(&self) -> Vec<TenantLoad> {
        let core = self.lock();
        let now_ms = self.now().wall_ms;
        let load = |(run, handle): (&RunId, &Box<_>)| core.load(*run, handle, now_ms);
        core.runs.iter().filter_map(load).collect()
    }
}

impl<M: Machine> Core<M> {
    fn load(&self, run: RunId, handle: &RunHandle<M::Port>, now_ms: u64) -> Option<TenantLoad> {
        let tenant = handle.tenant.as_ref()?;
        let (is_ready, is_asleep) = (self.pool.is_ready(run), self.pool.is_asleep(run));
        (is_ready || is_asleep).then(|| TenantLoad {
            key: handle.key.clone(),
            uses: tenant.lease.uses(),
            idle_ms: now_ms.saturating_sub(tenant.lease.touched_at_ms()),
            is_asleep,
            rss_bytes: self.pool.usage_of(run).map(|usage| usage.rss_bytes),
        })
    }

    /// The run, which is ready, may be used.
    pub(crate) fn tell_ready(&self, run: RunId) {
        if let Some((hears, handle)) = self.hears_of_tenants.as_ref().zip(self.runs.get(&run)) {
            // An error: the listener has gone.
            let _ = hears.send(TenantFact::Ready { key: handle.key.clone() });
        }
    }

    /// A run of the key is over.
    pub(crate) fn tell_ended(&self, key: &Key) {
        if let Some(hears) = self.hears_of_tenants.as_ref().filter(|_| !self.pool.has(key)) {
            let _ = hears.send(TenantFact::Ended { key: key.clone() });
        }
    }
}
