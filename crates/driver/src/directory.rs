//! The directory: which tenant serves a key, for any thread, without the driver's lock.
//!
//! The driver enters a tenant when it becomes ready, and removes it when its run is over. While
//! the tenant is claimed for a stop, or sleeps, [`Directory::acquire`] does not hand it out. A stop
//! that is given up, and a wake, open its lease again, and `acquire` finds it again.
//!
//! The map is a number of shards, each behind a reader-writer lock. A reader holds one for a
//! look-up, the clone of a reference and the count, some 50 ns; a writer (a start, or the end of a
//! tenant) for an insertion into one shard. A lock-free map would be one more dependency, with a
//! reclamation scheme of its own, and hardly faster: most of the time goes into counting the use
//! in and out, and into reading the clock for its two touches (94 ns in all, from one thread and
//! from four: `benches/directory.rs`).

use crate::Driver;
use crate::core::Core;
use crate::leases::Lease;
use crate::machine::{Engine, Machine};
use foldhash::fast::RandomState;
use pool::{Fact, Input, Key, KeyMap, Release, RunId};
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

/// How many locks the map has. Each is on cache lines of its own, so that readers of different
/// keys seldom share one.
const SHARDS: usize = 64;

/// A tenant that is ready or was: where it is reached, and its lease.
pub struct Tenant {
    pub key: Key,
    /// Its run, which no other tenant has had: a pool of connections may be kept by it.
    pub run: RunId,
    /// Which of the key's releases it is.
    pub release: Release,
    /// The address that it listens at: 127.0.0.1 or `::1`.
    pub host: IpAddr,
    /// 0 for an adopted tenant that is routed by other means.
    pub port: u16,
    pub(crate) lease: Arc<Lease>,
}

impl Tenant {
    /// The loopback address of one family.
    pub(crate) fn loopback(at_ipv6: bool) -> IpAddr {
        if at_ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// Counts a use, unless the tenant is being stopped.
    pub(crate) fn take_into_use(self: &Arc<Self>) -> Option<InUse> {
        self.lease.begin_use().then(|| InUse { tenant: self.clone() })
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} of {} at {}:{}", self.run, self.key, self.host, self.port)
    }
}

/// The handle of one use of a tenant. While it lives the tenant is not idle, and is evicted only
/// if all others are in use too. An eviction, a kill, a restart and a replacement wait for its end,
/// for as long as [`Driver::set_drain_ms`] or the replacement says; `dispose` does not.
///
/// Dropping it, in a panic too, ends the use and touches the tenant. May be dropped on any thread:
/// that takes no lock, but for the last use of a tenant that is to end, whose task is woken.
#[derive(Debug)]
pub struct InUse {
    tenant: Arc<Tenant>,
}

impl InUse {
    /// Resolves when the tenant is asked to end although this use is open. It does not end the use,
    /// and outlives it. Pending for ever if the tenant ends by itself.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let tenant = self.tenant.clone();
        async move { tenant.lease.until_revoked().await }
    }
}

impl Deref for InUse {
    type Target = Tenant;

    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.tenant.lease.end_use();
    }
}

/// The tenants by key: see the module.
pub struct Directory {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<KeyMap<Arc<Tenant>>>);

impl Default for Directory {
    fn default() -> Self {
        Directory {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Directory {
    /// The key's tenant, in use from now on. `None` if there is no ready tenant, or if it is
    /// claimed: [`Driver::ensure`](crate::Driver::ensure) starts one and waits for it.
    pub fn acquire(&self, key: &str) -> Option<InUse> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(key)?.take_into_use()
    }

    /// Whether the key has a tenant, although it may be claimed: while it sleeps, say.
    pub fn has(&self, key: &str) -> bool {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Enters the tenant under its key, in place of the one before.
    pub(crate) fn insert(&self, tenant: Arc<Tenant>) {
        let mut tenants = self.shard(&tenant.key).write().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant.key.clone(), tenant);
    }

    /// Removes the tenant of a run that is over. Another run's tenant under this key stays.
    pub(crate) fn remove(&self, key: &str, run: RunId) {
        let mut tenants = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        if tenants.get(key).is_some_and(|tenant| tenant.run == run) {
            tenants.remove(key);
        }
    }

    fn shard(&self, key: &str) -> &RwLock<KeyMap<Arc<Tenant>>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[hash as usize % SHARDS].0
    }
}

impl<M: Machine> Driver<M> {
    /// Enters the run's tenant in the directory.
    pub(crate) fn enter_directory(&self, core: &mut Core<M>, run: RunId) {
        let release = core.pool.release_of(run).unwrap_or_default();
        let Some((lease, handle)) = core.leases.lease(run).zip(core.runs.get_mut(&run)) else {
            return;
        };
        if core.holds.has(&handle.key) {
            lease.hold();
        }
        let tenant = Arc::new(Tenant {
            key: handle.key.clone(),
            run,
            release,
            host: Tenant::loopback(handle.at_ipv6),
            port: handle.port,
            lease,
        });
        handle.tenant = Some(tenant.clone());
        self.directory.insert(tenant);
    }

    /// Tells the pool when no use of the run is open any more. A task, since a use may end on any
    /// thread, and under the driver's lock, too.
    pub(crate) fn watch_uses(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Input> {
        let (lease, engine) = core.leases.lease(run).zip(core.engine.engine())?;
        let driver = self.clone();
        engine.spawn(async move {
            lease.until_unused().await;
            drop(lease);
            driver.feed(Input::Fact(run, Fact::Unused));
        });
        None
    }

    /// Looks up at which address a run listens that the driver has not probed: an adopted process,
    /// or one that was restored from a snapshot.
    pub(crate) fn find_address(&self, core: &mut Core<M>, run: RunId) {
        let handle = core.runs.get_mut(&run).filter(|handle| handle.port != 0);
        if let Some((engine, handle)) = core.engine.engine().zip(handle) {
            handle.at_ipv6 =
                engine.listening_address(handle.port).is_some_and(|address| address.is_ipv6());
        }
    }
}
