//! Who serves each key, for any thread: what the fleet knows, without its lock.
//!
//! A gateway looks here at each request, so it is a map of many locks, each held for one look; only
//! a change in the fleet writes. Until when this host may answer at all is one number beside it.

use foldhash::fast::RandomState;
use linux::threads::clock::since_boot_ms;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// How many locks the map has.
const SHARDS: usize = 64;

/// Who serves a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The host.
    pub host: Arc<Host>,
    /// The claim: it grows with each owner of the key.
    pub epoch: u64,
}

/// A host of the fleet, as it is reached.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name in the fleet.
    pub id: String,
    /// Where it listens for other hosts: `http://10.0.0.5:7070`.
    pub address: String,
}

/// Who serves each key.
#[derive(Debug)]
pub struct Routes {
    /// Of this host: its name in the fleet.
    pub me: String,
    shards: Vec<RwLock<HashMap<Arc<str>, Owner, RandomState>>>,
    hasher: RandomState,
    /// Milliseconds of the clock that counts suspension; 0: not at all.
    serve_until_ms: AtomicU64,
    /// Whether it has ever been set.
    has_joined: watch::Sender<bool>,
}

impl Routes {
    /// Nobody serves anything, and this host may not answer.
    pub fn new(me: &str) -> Routes {
        Routes {
            me: me.to_owned(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::default(),
            serve_until_ms: AtomicU64::new(0),
            has_joined: watch::Sender::new(false),
        }
    }

    /// Who serves the key, as far as is known here.
    pub fn owner(&self, key: &str) -> Option<Owner> {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).cloned()
    }

    /// Whether this host serves the key.
    pub fn is_mine(&self, key: &str) -> bool {
        let shard = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).is_some_and(|owner| owner.host.id == self.me)
    }

    /// Whether this host may answer for its tenants at this moment. It is to be asked when a
    /// request is taken and before each part of an answer: a host that was stopped for longer than
    /// its lease finds out here, before anything else of it has run.
    pub fn may_answer(&self) -> bool {
        since_boot_ms() < self.serve_until_ms.load(Ordering::Acquire)
    }

    /// Until when this host may answer.
    pub(crate) fn set_serve_until(&self, at_ms: u64) {
        self.serve_until_ms.store(at_ms, Ordering::Release);
        if at_ms > 0 {
            self.has_joined.send_if_modified(|joined| !std::mem::replace(joined, true));
        }
    }

    /// Resolves when this host has joined.
    pub(crate) async fn until_answering(&self) {
        // The sender lives as long as this.
        let _ = self.has_joined.subscribe().wait_for(|joined| *joined).await;
    }

    /// Enters who serves a key, or that nobody does.
    pub(crate) fn set(&self, key: Arc<str>, owner: Option<Owner>) {
        let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        match owner {
            Some(owner) => shard.insert(key, owner),
            None => shard.remove(&key),
        };
    }

    fn shard(&self, key: &str) -> &RwLock<HashMap<Arc<str>, Owner, RandomState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: &str, epoch: u64) -> Owner {
        let host = Host { id: id.to_owned(), address: format!("http://{id}:7070") };
        Owner { host: Arc::new(host), epoch }
    }

    #[test]
    fn a_key_is_served_by_whom_was_entered_last() {
        let routes = Routes::new("a");
        assert_eq!(routes.owner("key"), None);
        routes.set("key".into(), Some(owner("b", 3)));
        assert_eq!(routes.owner("key"), Some(owner("b", 3)));
        assert!(!routes.is_mine("key"));
        routes.set("key".into(), Some(owner("a", 7)));
        assert!(routes.is_mine("key"));
        assert!(!routes.is_mine("other"));
        routes.set("key".into(), None);
        assert_eq!(routes.owner("key"), None);
    }

    #[test]
    fn nothing_is_answered_before_a_lease_and_after_its_end() {
        let routes = Routes::new("a");
        assert!(!routes.may_answer());
        routes.set_serve_until(since_boot_ms() + 60_000);
        assert!(routes.may_answer());
        routes.set_serve_until(since_boot_ms());
        assert!(!routes.may_answer());
    }
}
