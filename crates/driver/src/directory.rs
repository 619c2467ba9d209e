//! Which tenant serves a key, for any thread, without the driver's lock.
//!
//! The driver writes a tenant in when it becomes ready, and takes it out when its run is over. In
//! between the tenant may be claimed, and then [`Directory::acquire`] does not hand it out; a stop
//! that is given up opens its lease again, and with it this entry.
//!
//! The map is a number of shards, each behind a lock for many readers. A reader holds one for a
//! look-up, the clone of a reference and the count, some 50 ns, and a writer, a start or the end of a
//! tenant, for an insertion into one shard. A lock-free map would be one dependency more, with a
//! scheme of its own for when memory is freed, and hardly faster: most of the time goes into
//! counting in and out, and into looking at the clock for the touch that each is (94 ns in all, from
//! one thread and from four: `benches/directory.rs`).

use crate::Driver;
use crate::core::Core;
use crate::leases::Lease;
use crate::machine::{Engine, Machine};
use foldhash::fast::RandomState;
use pool::{Key, KeyMap, Release, RunId};
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

/// Locks of the map. Each is on cache lines of its own, so that readers of different keys seldom
/// share one.
const SHARDS: usize = 64;

/// Where a tenant is reached, from when it became ready.
pub struct Tenant {
    pub key: Key,
    /// Its process, which no other tenant has had: connections are kept for this one only.
    pub run: RunId,
    /// Which of the key's releases it is.
    pub release: Release,
    /// Where it listens: 127.0.0.1 or `::1`.
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

/// A tenant in use. While this lives the tenant is not idle, and is evicted only if there is no
/// other. A kill, a restart and `dispose` end it all the same. Dropping it is the end of the use,
/// and touches the tenant.
#[derive(Debug)]
pub struct InUse {
    tenant: Arc<Tenant>,
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

/// See the module.
pub struct Directory {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<KeyMap<Arc<Tenant>>>);

impl Default for Directory {
    fn default() -> Self {
        Directory { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::default() }
    }
}

impl Directory {
    /// The key's tenant, in use from now on; `None` if it has none that may be handed out: ask
    /// [`Driver::ensure`](crate::Driver::ensure) then.
    pub fn acquire(&self, key: &str) -> Option<InUse> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(key)?.take_into_use()
    }

    /// From now on the tenant is its key's, in place of the one before.
    pub(crate) fn insert(&self, tenant: Arc<Tenant>) {
        let mut tenants = self.shard(&tenant.key).write().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant.key.clone(), tenant);
    }

    /// The run is over. Its key may have another tenant by now, which stays.
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
    /// The run is its key's tenant from now on.
    pub(crate) fn enter_directory(&self, core: &mut Core<M>, run: RunId) {
        let release = core.pool.release_of(run).unwrap_or_default();
        let Some((lease, handle)) = core.leases.lease(run).zip(core.runs.get_mut(&run)) else { return };
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

    /// Sees at which address a tenant listens that has not been asked by us whether it is ready.
    pub(crate) fn find_address(&self, core: &mut Core<M>, run: RunId) {
        let handle = core.runs.get_mut(&run).filter(|handle| handle.port != 0);
        if let Some((engine, handle)) = core.engine.engine().zip(handle) {
            handle.at_ipv6 = engine.place(handle.port).is_some_and(|address| address.is_ipv6());
        }
    }
}
