//! Whether a tree that was woken runs and answers, within a second.
//!
//! The pool is told that it is awake as soon as its keeper says so, since a visitor waits. That it
//! answers is seen after that: it has to take a connection in. This is no request, so its program
//! sees none. One that does not may be busy with the page of a visitor, whose connection it has taken
//! in then. Else it is killed, which is a crash like any other, and its visitors' requests go to the
//! next process as after one.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use linux::threads::clock::Sleep;
use pool::{Fact, RunId};
use std::net::SocketAddr;
use std::sync::Arc;

/// How long a tree has until it runs, and then until it answers.
const WAKE_LIMIT_MS: u64 = 1_000;
/// When it is seen whether it answers: not while the visitor for whom it was woken waits.
const SEEN_AFTER_MS: u64 = 50;

impl<M: Machine> Driver<M> {
    /// Gives the order to wake of this number up when its time is over.
    pub(super) fn time_wake(self: &Arc<Self>, engine: &Arc<M::Engine>, run: RunId, wake: u64) {
        let driver = self.clone();
        let late_at_ms = self.machine.steady_ms() + WAKE_LIMIT_MS;
        engine.spawn(async move {
            while !driver.machine.sleep_until(late_at_ms, Sleep::Attentive).await {}
            let mut core = driver.lock();
            // Of two orders to wake, the one before is late, too.
            while core.sleeping.as_ref().is_some_and(|sleeping| sleeping.awaits_rouse(run, wake)) {
                driver.is_awake(&mut core, run, Fact::RouseFailed);
            }
            drop(core);
            driver.uplink.ring();
        });
    }

    /// Kills the run if it does not take a connection in within its time.
    pub(super) fn see_that_it_answers(self: &Arc<Self>, core: &Core<M>, run: RunId) {
        let Some((engine, handle)) = core.engine.engine().cloned().zip(core.runs.get(&run)) else {
            return;
        };
        let Some(tenant) = handle.tenant.as_ref().filter(|tenant| tenant.port != 0) else { return };
        let server = SocketAddr::new(tenant.host, tenant.port);
        let (driver, shared) = (self.clone(), engine.clone());
        let awake_ms = self.machine.steady_ms();
        let (seen_at_ms, late_at_ms) = (awake_ms + SEEN_AFTER_MS, awake_ms + WAKE_LIMIT_MS);
        let of_tree = (handle.port, handle.root);
        // One that sleeps again, or is being stopped, takes none in.
        let is_up = move |core: &Core<M>| !core.is_resting(run) && core.pool.is_ready(run);
        engine.spawn(async move {
            while !driver.machine.sleep_until(seen_at_ms, Sleep::Attentive).await {}
            if !is_up(&driver.lock()) {
                return;
            }
            let late =
                async { while !driver.machine.sleep_until(late_at_ms, Sleep::Attentive).await {} };
            tokio::select! {
                biased;
                () = shared.takes_a_connection(server) => return,
                () = late => {}
            }
            if shared.has_taken_in(of_tree).await.unwrap_or(true) {
                return;
            }
            let core = driver.lock();
            if !is_up(&core) {
                return;
            }
            tracing::warn!(?run, "it was woken, does not answer, and is killed");
            if let Some(number) = core.runs.get(&run).and_then(|handle| handle.number) {
                shared.stop(number, warden::StopStage::Kill);
            }
        });
    }
}
