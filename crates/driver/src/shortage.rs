//! Whether the host is short of memory: looked at once a second, where the user asked for it, and told
//! to the pool when it changes.

use crate::Driver;
use crate::machine::Machine;
use linux::threads::clock::Sleep;
use pool::Input;
use std::sync::Arc;

/// The time between two looks.
const LOOK_INTERVAL_MS: u64 = 1_000;

impl<M: Machine> Driver<M> {
    /// Returns at once if it was not asked for; else never.
    pub(crate) async fn watch_memory(self: &Arc<Self>) {
        let Some(keep_free_bytes) = self.settings.keep_free_bytes else { return };
        let mut was_short = false;
        loop {
            let next_ms = self.machine.steady_ms() + LOOK_INTERVAL_MS;
            while !self.machine.sleep_until(next_ms, Sleep::Sound).await {}
            let Some(engine) = self.lock().engine.engine().cloned() else { continue };
            let is_short = self.machine.is_memory_short(&engine, keep_free_bytes).await;
            if std::mem::replace(&mut was_short, is_short) != is_short {
                self.feed(Input::Pressure { is_short });
            }
        }
    }
}
