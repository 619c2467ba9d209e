//! The tenants of this host, as a member knows them: what it has done with a key and, by
//! `standing.rs`, hears of it.

use driver::Driver;
use driver::holds::Hold;
use pool::Refusal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two tries to end what refuses to: only a process that the user's `spawn` has started can.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The tenants of this host. Each method begins its work at once; its future resolves when it is done.
/// The futures are for a tokio runtime with timers.
#[derive(Clone)]
pub struct Local {
    driver: Arc<Driver>,
    /// How long uses of a key that passes to another host may go on.
    drain: Duration,
    /// The keys that are handed out to nobody.
    holds: Arc<Mutex<HashMap<Arc<str>, Arc<Hold>>>>,
}

impl Local {
    pub fn new(driver: &Arc<Driver>, drain: Duration) -> Local {
        Local { driver: driver.clone(), drain, holds: Arc::default() }
    }

    /// The key may be started and used here. One that was prepared is handed out from now on.
    pub fn admit(&self, key: &Arc<str>, epoch: u64) {
        self.driver.admit(key, &epoch.to_string());
        self.resume(key);
    }

    /// Admits the key, and starts its tenant for nobody yet. Whether it is ready.
    pub fn prepare(&self, key: &Arc<str>, epoch: u64) -> impl Future<Output = bool> + Send + use<> {
        let hold = self.hold_of(key);
        self.driver.admit(key, &epoch.to_string());
        let started = hold.start();
        async move { started.await.is_ok() }
    }

    /// Hands the key out to nobody until [`resume`](Local::resume) or [`withdraw`](Local::withdraw).
    /// Resolves when nobody uses it: who uses it for too long is cut off.
    pub fn hold(&self, key: &Arc<str>) -> impl Future<Output = ()> + Send + use<> {
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

    /// The held key may be handed out again.
    pub fn resume(&self, key: &str) {
        let hold = self.holds().remove(key);
        // Not under the lock: those who have waited go on.
        drop(hold);
    }

    /// The key is not admitted any more, held or not: its tenant is ended, in order or `at_once`.
    /// Resolves when nothing of it lives.
    pub fn withdraw(
        &self,
        key: &Arc<str>,
        at_once: bool,
    ) -> impl Future<Output = ()> + Send + use<> {
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

    /// No key is admitted any more: kills all tenants. Resolves when none lives.
    pub fn fence(&self) -> impl Future<Output = ()> + Send + use<> {
        self.withdraw_all(true)
    }

    /// No key is admitted any more: ends all tenants in order. Resolves when none lives.
    pub fn stop_all(&self) -> impl Future<Output = ()> + Send + use<> {
        self.withdraw_all(false)
    }

    fn withdraw_all(&self, at_once: bool) -> impl Future<Output = ()> + Send + use<> {
        let withdrawn = self.driver.withdraw_all(at_once);
        let held = std::mem::take(&mut *self.holds());
        drop(held);
        async move {
            // What refuses to end is told by its transition, and handed out to nobody.
            let _ = withdrawn.await;
        }
    }

    /// The hold of the key, from now on.
    fn hold_of(&self, key: &Arc<str>) -> Arc<Hold> {
        let mut holds = self.holds();
        let hold = holds.entry(key.clone()).or_insert_with(|| {
            let hold = self.driver.hold(key);
            Arc::new(hold.expect("a runtime is in one fleet, which holds a key once"))
        });
        hold.clone()
    }

    fn holds(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_refused(ended: Result<(), Refusal>) -> bool {
    !matches!(ended, Ok(()) | Err(Refusal::Disposed))
}
