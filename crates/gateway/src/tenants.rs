//! What the gateway has to know of tenants, and nothing else of them.

use crate::refusal::Refusal;
use std::net::SocketAddr;

/// The tenants behind the gateway. Its methods are called on the gateway's threads.
pub trait Tenants: Send + Sync + 'static {
    /// A tenant that is ready, in use. While it is not dropped the tenant is not idle, and is
    /// evicted only if all others are in use too.
    type InUse: InUse;

    /// The key's tenant, if one is ready and takes requests. Neither waits nor takes a lock that a
    /// start or a stop holds: every request to a running tenant begins here.
    fn acquire(&self, key: &str) -> Option<Self::InUse>;

    /// Whether the key has a tenant that runs, which may not be had just now: one that sleeps. Then
    /// `exists` is not asked. As quick as `acquire`.
    fn is_there(&self, _key: &str) -> bool {
        false
    }

    /// Whether there is such a tenant, running or not. May read the file system: it is asked before
    /// a start, on a thread for such work.
    fn exists(&self, key: &str) -> bool;

    /// The key's tenant, which is started if it does not run. Callers share one start; dropping the
    /// future gives the wait up.
    fn wake(&self, key: &str) -> impl Future<Output = Result<Self::InUse, Refusal>> + Send;
}

/// A tenant in use.
pub trait InUse: Send + Sync + 'static {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// The number of its process, which no other has had: connections to it are kept by it.
    fn run(&self) -> u64;
    /// Resolves when the tenant is about to be asked to end although it is in use.
    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static;
}
