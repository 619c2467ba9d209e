//! Visitors of sleepers who come around the gateway: the kernel takes their connections in, and they
//! wait in the backlog of the listener.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use linux::net::activity::Backlogs;
use linux::threads::clock::Sleep;
use pool::{Fact, Input, RunId};
use std::sync::Arc;

/// The time between two looks. A visitor is to be served within a second.
const LOOK_INTERVAL_MS: u64 = 750;

impl<M: Machine> Driver<M> {
    /// Carries out `Action::WatchBacklogs`.
    pub(crate) fn watch_backlogs(self: &Arc<Self>, core: &mut Core<M>, on: bool) -> Option<Input> {
        let engine = core.engine.engine()?.clone();
        let sleeping = core.sleeping.as_mut()?;
        if let Some(watch) = sleeping.watch.take() {
            watch.abort();
        }
        if on {
            let (driver, shared) = (self.clone(), engine.clone());
            let watch = engine.spawn(async move { driver.look_for_visitors(&shared).await });
            sleeping.watch = Some(watch);
        }
        None
    }

    /// Never returns.
    async fn look_for_visitors(self: Arc<Self>, engine: &M::Engine) {
        let mut backlogs = Backlogs::default();
        loop {
            let next_ms = self.machine.steady_ms() + LOOK_INTERVAL_MS;
            while !self.machine.sleep_until(next_ms, Sleep::Sound).await {}
            match engine.look_at_backlogs(std::mem::take(&mut backlogs)).await {
                Ok((looked, waiting)) => {
                    backlogs = looked;
                    self.knock(&waiting);
                }
                Err(error) => tracing::warn!(%error, "visitors of sleepers cannot be seen"),
            }
        }
    }

    fn knock(self: &Arc<Self>, waiting: &[(u16, u32)]) {
        if waiting.is_empty() {
            return;
        }
        let mut core = self.lock();
        let Some(sleeping) = &core.sleeping else { return };
        let visited: Vec<RunId> =
            waiting.iter().filter_map(|(port, _)| sleeping.run_at.get(port).copied()).collect();
        for run in visited {
            self.feed_locked(&mut core, Input::Fact(run, Fact::Knocked));
        }
        drop(core);
        self.uplink.ring();
    }
}
