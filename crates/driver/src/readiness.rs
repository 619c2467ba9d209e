//! Readiness: whether a started process answers, and whether it is the owner of the listener on
//! its port.

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine};
use crate::run_handle::RunHandle;
use crate::uplink::Record;
use linux::net::ownership::{Owner, Stranger};
use linux::net::readiness::NotReady;
use pool::{Exit, Fact, Failure, Input, RunId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use warden::planted::{Bug, planted};

/// The kernel tells the start times of processes in these steps, rounded down.
const CLOCK_TICK_MS: u64 = 10;

impl<M: Machine> Driver<M> {
    /// Finds out whether the run is ready, and reports it to the pool.
    pub(super) fn probe(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Input> {
        if self.settings.custom_readiness {
            self.uplink.push(Record::AskReadiness { run });
            return None;
        }
        if planted(Bug::ReadyTooSoon) {
            return Some(Input::Fact(run, Fact::Ready));
        }
        let (engine, handle) = (core.engine.engine().cloned()?, core.runs.get_mut(&run)?);
        let (driver, port, owner, shared) =
            (self.clone(), handle.port, handle.owner()?, engine.clone());
        let limit = self.readiness_timeout(handle);
        let path = handle.readiness_path().to_owned();
        let probe = engine.spawn(async move {
            let answered = shared.until_answered(port, &path, owner, limit).await;
            driver.probed(run, answered);
        });
        handle.probe = Some(probe);
        None
    }

    /// Reports the outcome of a probe to the pool.
    fn probed(self: &Arc<Self>, run: RunId, answered: Result<IpAddr, NotReady>) {
        let mut core = self.lock();
        let Some(handle) = core.runs.get_mut(&run) else { return };
        let fact = match answered {
            Ok(address) => {
                handle.at_ipv6 = address.is_ipv6();
                Fact::Ready
            }
            Err(NotReady::Taken(stranger)) => taken(handle.port, &stranger),
            Err(NotReady::TimedOut { found }) => {
                Fact::NotReady(timed_out(handle, self.readiness_timeout(handle), &found))
            }
        };
        self.feed_locked(&mut core, Input::Fact(run, fact));
        drop(core);
        self.uplink.ring();
    }

    /// Reports the exit of a process that the warden spawned. If it ended before it was ready, and
    /// its port has a listener of another process, that is reported first: the port that was taken
    /// is the likely cause.
    pub fn ended(self: &Arc<Self>, run: RunId, exit: Exit) {
        if self.ended_late(run) {
            return;
        }
        let core = self.lock();
        let handle = core.runs.get(&run).filter(|handle| !handle.was_ready);
        let suspicion = handle.zip(core.engine.engine().cloned()).and_then(|(handle, engine)| {
            Some((engine.listening_address(handle.port)?, handle.port, handle.owner()?, engine))
        });
        drop(core);
        let Some((address, port, owner, engine)) = suspicion else {
            return self.feed(Input::Fact(run, Fact::Exited(exit)));
        };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            if let Err(stranger) = shared.is_owned(owner, address, port).await {
                driver.feed_quietly(Input::Fact(run, taken(port, &stranger)));
            }
            driver.feed(Input::Fact(run, Fact::Exited(exit)));
        });
    }

    /// Reports the answer of the user's `readiness`. If it is positive, and the port has a
    /// listener, the run must be the owner of that listener.
    pub fn readiness_answered(self: &Arc<Self>, run: RunId, is_ready: bool) {
        let mut core = self.lock();
        if !is_ready {
            let fact = Fact::NotReady(Failure::ReadinessDenied);
            return self.feed_locked(&mut core, Input::Fact(run, fact));
        }
        let Core { runs, engine, .. } = &mut *core;
        let Some((engine, handle)) = engine.engine().cloned().zip(runs.get_mut(&run)) else {
            return;
        };
        let (Some(owner), Some(address)) = (handle.owner(), engine.listening_address(handle.port))
        else {
            return self.feed_locked(&mut core, Input::Fact(run, Fact::Ready));
        };
        let (driver, port, shared) = (self.clone(), handle.port, engine.clone());
        let probe = engine.spawn(async move {
            let answered = match shared.is_owned(owner, address, port).await {
                Ok(_) => Ok(address),
                Err(stranger) => Err(NotReady::Taken(stranger)),
            };
            driver.probed(run, answered);
        });
        handle.probe = Some(probe);
    }
}

impl<P> RunHandle<P> {
    /// The owner that a listener on the run's port must have; `None` while its process is unknown.
    fn owner(&self) -> Option<Owner> {
        let since_boot_ms = (!self.is_remote)
            .then_some(self.prepared_since_boot_ms / CLOCK_TICK_MS * CLOCK_TICK_MS);
        Some(Owner { root: self.root?, since_boot_ms })
    }
}

/// The fact that the port's listener belongs to another process.
fn taken(port: u16, stranger: &Stranger) -> Fact {
    Fact::NotReady(Failure::PortTaken { by: format!("{stranger} listens on port {port}") })
}

/// The failure of a readiness that timed out. Its text follows "Tenant readiness timed out".
fn timed_out<P>(handle: &RunHandle<P>, after: Duration, found: &str) -> Failure {
    let (key, port, seconds) = (&handle.key, handle.port, after.as_secs_f64());
    let path = handle.readiness_path();
    let found = format!(
        "after {seconds}s: tenant {key:?} has not answered GET {path} on its port {port}: {found}"
    );
    Failure::ReadinessTimedOut { found }
}
