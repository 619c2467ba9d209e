//! Idle connections to tenants and to other hosts' gateways, which are kept for a while.

use super::upstream::Upstream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The time between two looks for connections that have been idle for too long.
const TICK: Duration = Duration::from_secs(1);
/// A connection that was idle for this many looks is dropped, so after 3 to 4 seconds: Node closes
/// idle connections after 5 s, Bun after 10 s, and a request that meets the end is lost.
const IDLE_TICKS: u32 = 4;
/// The same for connections to other hosts, whose gateways keep them for 75 s. It is well below the
/// minutes after which what may stand between two hosts forgets a connection.
const PEERS_IDLE_TICKS: u32 = 50;
/// Idle connections to one run. More are in use at once where more requests are.
const IDLE_PER_RUN_MAX: usize = 32;
/// The same to one host, which has many tenants.
const IDLE_PER_PEER_MAX: usize = 128;
/// The idle connections of a worker: to tenants, or to other hosts.
#[derive(Debug)]
pub(super) struct Upstreams {
    shelf: Mutex<Shelf>,
    /// For how many looks an idle one is kept.
    idle_ticks: u32,
    /// How many of them are kept to the same.
    idle_max: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    idle: BTreeMap<u64, Vec<Idle>>,
    tick: u32,
    /// A task looks for connections that are idle for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    upstream: Box<Upstream>,
    since_tick: u32,
}

impl Upstreams {
    pub fn to_tenants() -> Arc<Upstreams> {
        Upstreams::new(IDLE_TICKS, IDLE_PER_RUN_MAX)
    }

    pub fn to_peers() -> Arc<Upstreams> {
        Upstreams::new(PEERS_IDLE_TICKS, IDLE_PER_PEER_MAX)
    }

    fn new(idle_ticks: u32, idle_max: usize) -> Arc<Upstreams> {
        Arc::new(Upstreams { shelf: Mutex::default(), idle_ticks, idle_max })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection to a run that was used last.
    pub fn take(&self, run: u64) -> Option<Box<Upstream>> {
        loop {
            let mut upstream = self.shelf().idle.get_mut(&run)?.pop()?.upstream;
            if upstream.is_idle() {
                upstream.is_used_again();
                return Some(upstream);
            }
        }
    }

    /// Keeps a connection after an exchange, if another request may be sent on it.
    pub fn put(self: &Arc<Self>, mut upstream: Box<Upstream>) {
        if !upstream.is_idle() {
            return;
        }
        upstream.give_back_room();
        let mut shelf = self.shelf();
        if !shelf.is_swept {
            // Without a runtime the worker is ending.
            let Ok(runtime) = Handle::try_current() else { return };
            runtime.spawn(sweep(Arc::downgrade(self)));
            shelf.is_swept = true;
        }
        let since_tick = shelf.tick;
        let idle = shelf.idle.entry(upstream.run()).or_default();
        if idle.len() < self.idle_max {
            idle.push(Idle { upstream, since_tick });
        }
    }

    /// Drops the connections to a run.
    pub fn forget(&self, run: u64) {
        let idle = self.shelf().idle.remove(&run);
        drop(idle);
    }

    /// Drops what is idle for too long. Returns whether anything is left.
    fn sweep(&self) -> bool {
        let mut shelf = self.shelf();
        shelf.tick = shelf.tick.wrapping_add(1);
        let tick = shelf.tick;
        shelf.idle.retain(|_, idle| {
            idle.retain(|idle| tick.wrapping_sub(idle.since_tick) < self.idle_ticks);
            !idle.is_empty()
        });
        shelf.is_swept = !shelf.idle.is_empty();
        shelf.is_swept
    }
}

async fn sweep(upstreams: Weak<Upstreams>) {
    loop {
        sleep(TICK).await;
        if !upstreams.upgrade().is_some_and(|upstreams| upstreams.sweep()) {
            return;
        }
    }
}
