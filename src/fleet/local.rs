//! The tenants of this host, as a member knows them: what it has done with a key and, by
//! `standing.rs`, hears of it.

use super::standing;
use driver::Driver;
use driver::holds::Hold;
use fleet::Key;
use pool::Refusal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two tries to end what refuses to: only a process that the user's `spawn` has started can.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The tenants of this host.
pub struct Local {
    driver: Arc<Driver>,
    /// How long uses of a key that passes to another host may go on.
    drain: Duration,
    /// The keys that are handed out to nobody.
    holds: Arc<Mutex<HashMap<Key, Arc<Hold>>>>,
}

impl Local {
    pub fn new(driver: &Arc<Driver>, drain: Duration) -> Local {
        Local { driver: driver.clone(), drain, holds: Arc::default() }
    }

    fn withdraw_all(&self, at_once: bool) -> impl Future<Output = ()> + Send + 'static {
        let withdrawn = self.driver.withdraw_all(at_once);
        let held = std::mem::take(&mut *self.holds());
        drop(held);
        async move {
            // What refuses to end is told by its transition, and handed out to nobody.
            let _ = withdrawn.await;
        }
    }

    /// The hold of the key, from now on.
    fn hold_of(&self, key: &Key) -> Arc<Hold> {
        let mut holds = self.holds();
        let hold = holds.entry(key.clone()).or_insert_with(|| {
            let hold = self.driver.hold(key);
            Arc::new(hold.expect("a runtime is in one fleet, which holds a key once"))
        });
        hold.clone()
    }

    fn holds(&self) -> MutexGuard<'_, HashMap<Key, Arc<Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl member::Local for Local {
    fn watch(
        &self,
        tell: impl Fn(Key, fleet::Local) + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        standing::follow(self.driver.clone(), tell)
    }

    fn admit(&self, key: &Key, epoch: u64) {
        self.driver.admit(key, &epoch.to_string());
        self.resume(key);
    }

    fn prepare(&self, key: &Key, epoch: u64) -> impl Future<Output = bool> + Send + 'static {
        let hold = self.hold_of(key);
        self.driver.admit(key, &epoch.to_string());
        let started = hold.start();
        async move { started.await.is_ok() }
    }

    fn hold(&self, key: &Key) -> impl Future<Output = ()> + Send + 'static {
        let (hold, drain) = (self.hold_of(key), self.drain);
        let (quiet, held) = (hold.quiet(), Arc::downgrade(&hold));
        async move {
            let mut quiet = std::pin::pin!(quiet);
            if tokio::time::timeout(drain, quiet.as_mut()).await.is_err() {
                held.upgrade().iter().for_each(|hold| hold.cut());
                // Whoever looks after a use lets go of it now.
                quiet.await;
            }
        }
    }

    fn resume(&self, key: &Key) {
        let hold = self.holds().remove(key);
        // Not under the lock: those who have waited go on.
        drop(hold);
    }

    fn withdraw(&self, key: &Key, at_once: bool) -> impl Future<Output = ()> + Send + 'static {
        let mut withdrawn = Box::pin(self.driver.withdraw(key, at_once));
        self.resume(key);
        let (driver, key) = (self.driver.clone(), key.clone());
        async move {
            while is_refused(withdrawn.await) {
                tokio::time::sleep(TRY_AGAIN).await;
                // It may have been admitted anew meanwhile.
                if driver.epoch_of(&key).is_some() {
                    return;
                }
                withdrawn = Box::pin(driver.withdraw(&key, at_once));
            }
        }
    }

    fn fence(&self) -> impl Future<Output = ()> + Send + 'static {
        self.withdraw_all(true)
    }

    fn stop_all(&self) -> impl Future<Output = ()> + Send + 'static {
        self.withdraw_all(false)
    }
}

fn is_refused(ended: Result<(), Refusal>) -> bool {
    !matches!(ended, Ok(()) | Err(Refusal::Disposed))
}
