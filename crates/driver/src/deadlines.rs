//! The timers of one runtime: the pool's next deadline, and the sweep that continues the warden
//! and its keepers if they were stopped.

use crate::Driver;
use crate::machine::{Engine, Machine};
use linux::threads::clock::Sleep;
use pool::Input;
use std::sync::Arc;
use std::time::Duration;

/// The sweep makes a system call for each keeper, so it comes no more often than this. A shorter
/// `sweepIntervalMs` is meant for idle tenants.
const SWEEP_INTERVAL_MIN_MS: u64 = 100;

impl<M: Machine> Driver<M> {
    /// Ticks the pool at each of its deadlines. Never returns.
    pub(crate) async fn keep_deadlines(self: &Arc<Self>) {
        loop {
            let (deadline_ms, is_busy) = {
                let mut core = self.lock();
                core.armed_ms = core.pool.next_deadline();
                (core.armed_ms, core.pool.is_busy())
            };
            let Some(deadline_ms) = deadline_ms else {
                self.deadline_moved.notified().await;
                continue;
            };
            let how = if is_busy { Sleep::Attentive } else { Sleep::Sound };
            tokio::select! {
                is_due = self.machine.sleep_until(deadline_ms, how) => {
                    self.notice_absence();
                    if is_due {
                        self.feed(Input::Tick);
                    }
                }
                () = self.deadline_moved.notified() => {}
            }
        }
    }

    /// Continues the warden and its keepers at intervals: one of them may have been stopped
    /// (SIGSTOP) while no order is sent that would continue it. Never returns.
    pub(crate) async fn sweep(&self) {
        let interval_ms = self.settings.pool.sweep_interval_ms.max(SWEEP_INTERVAL_MIN_MS);
        loop {
            tokio::time::sleep(Duration::from_millis(interval_ms)).await;
            let core = self.lock();
            if let Some(engine) = core.engine.engine().filter(|_| !core.runs.is_empty()) {
                engine.continue_helpers();
            }
            if core.survival.is_some() {
                self.store_touches(&core);
            }
        }
    }

    /// Tells the pool if the host did not run for a while (suspended, or stopped).
    pub(crate) fn notice_absence(self: &Arc<Self>) {
        let mut core = self.lock();
        let (absences, (from_ms, to_ms)) = self.machine.last_absence();
        if std::mem::replace(&mut core.absences, absences) != absences {
            self.feed_locked(&mut core, Input::Absent { from_ms, to_ms });
            drop(core);
            self.uplink.ring();
        }
    }
}
