//! Which keys may have processes here, as a fleet says it: what it tells the pool, and the ends that
//! it waits for. The rules are the pool's (`crates/pool/src/admission.rs`).

use crate::Driver;
use crate::callers::Ended;
use crate::machine::Machine;
use pool::{CallId, Input, Key, Refusal};
use std::sync::Arc;
use tokio::sync::oneshot;

impl<M: Machine> Driver<M> {
    /// Only keys that are admitted may have processes from now on, and none is yet: what there is of
    /// others ends.
    pub fn admit_only(self: &Arc<Self>) {
        self.feed(Input::AdmitOnly);
    }

    /// The key may have processes, which find this epoch in `ABSOLUTE_EPOCH`.
    pub fn admit(self: &Arc<Self>, key: &str, epoch: &str) {
        self.feed(Input::Admit { key: key.into(), epoch: epoch.into() });
    }

    /// The epoch of the key's admission.
    pub fn epoch_of(&self, key: &str) -> Option<String> {
        self.lock().pool.epoch_of(key).map(|epoch| epoch.to_string())
    }

    /// The key may have no process any more: its tenant is stopped or, `at_once`, killed; a start is
    /// called off, and those who wait for it are refused. Done before this returns; resolves when no
    /// process of it is left. An error: one that JavaScript has started refuses to end.
    pub fn withdraw(
        self: &Arc<Self>,
        key: &str,
        at_once: bool,
    ) -> impl Future<Output = Ended> + Send + use<M> {
        let key = Key::from(key);
        answered(self.end(|call| Input::Withdraw { key, call, at_once }))
    }

    /// The same of all keys. Resolves when all tenants have ended, but for those that JavaScript has
    /// started and that refuse to.
    pub fn withdraw_all(
        self: &Arc<Self>,
        at_once: bool,
    ) -> impl Future<Output = Ended> + Send + use<M> {
        answered(self.end(|call| Input::WithdrawAll { call, at_once }))
    }

    /// Makes a call that is answered when something has ended. It goes on when nobody waits for that.
    fn end(self: &Arc<Self>, input: impl FnOnce(CallId) -> Input) -> oneshot::Receiver<Ended> {
        let mut core = self.lock();
        let (call, ended) = core.callers.open_end();
        self.feed_locked(&mut core, input(call));
        drop(core);
        self.uplink.ring();
        ended
    }
}

pub(crate) async fn answered(ended: oneshot::Receiver<Ended>) -> Ended {
    // The driver, which has the sender, has gone with all of its tenants.
    ended.await.unwrap_or(Err(Refusal::Disposed))
}
