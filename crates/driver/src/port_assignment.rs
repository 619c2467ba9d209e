//! How a run gets its port: the one that is kept for its key, one of the engine's stock, or one
//! that is reserved for it. From then on the port is assigned to the run (`port_book.rs`).

use crate::Driver;
use crate::core::Core;
use crate::machine::{Engine, Machine, Port};
use crate::port_book::PortBook;
use crate::run_handle::RunHandle;
use crate::uplink::Record;
use pool::{Fact, Failure, Input, Owner, RunId};
use std::io;
use std::sync::Arc;
use warden::planted::{Bug, planted_once_in};

/// How many ports are tried on JavaScript's thread, at 1 µs each: most are free on nearly every
/// host.
const QUICK_PORT_TRIES: usize = 8;

impl<M: Machine> Driver<M> {
    /// Assigns a port to a run that JavaScript is about to prepare, and fills in `port` and
    /// `started_at_ms` (milliseconds since the epoch). Returns false if the record is to be left
    /// out: the run was called off, or a port has to be looked for first, which queues the record
    /// again.
    pub(super) fn prepare(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        port: &mut u16,
        started_at_ms: &mut u64,
    ) -> bool {
        if !self.check_wanted(core, run) {
            return false;
        }
        // A run that could not be restored from its image has a port already.
        let is_assigned = core.runs.get(&run).is_some_and(|handle| handle.assigned_port.is_some());
        if !is_assigned && !self.try_reserve_port(core, run) {
            self.prepare_with_port(core, run);
            return false;
        }
        *started_at_ms = self.assign_port(core, run);
        let handle = core.runs.get_mut(&run).expect("it is wanted");
        // JavaScript calls the user's `spawn` next. A program is launched by `Driver::launch`.
        handle.launched = self.settings.pool.custody.owner == Owner::User;
        *port = handle.port;
        if self.settings.asks_for_settings {
            core.asked.insert(run);
        }
        true
    }

    /// Assigns a port to a run that JavaScript is about to restore: the port that its image
    /// listens on, where that is known. If no port is free, the restored process is asked where it
    /// listens. Returns false if the run was called off.
    pub(super) fn prepare_restore(
        &self,
        core: &mut Core<M>,
        run: RunId,
        port: &mut u16,
        started_at_ms: &mut u64,
    ) -> bool {
        if !core.pool.is_starting(run) {
            return false;
        }
        *started_at_ms = self.machine.wall_ms();
        if self.try_reserve_port(core, run) {
            *started_at_ms = self.assign_port(core, run);
            *port = core.runs.get(&run).map_or(0, |handle| handle.port);
        }
        true
    }

    /// Assigns the run the port that is reserved for it. Returns the time, in milliseconds since
    /// the epoch, as the begin of the run.
    pub(super) fn assign_port(&self, core: &mut Core<M>, run: RunId) -> u64 {
        let Core { runs, ports, .. } = core;
        if planted_once_in(50, Bug::SamePort) {
            let anothers = runs.values().map(|run| run.port).max();
            runs.get_mut(&run).expect("it is wanted").port = anothers.unwrap_or_default();
        }
        let handle = runs.get_mut(&run).expect("it is wanted");
        handle.assigned_port = Some(handle.port);
        handle.prepared_since_boot_ms = self.machine.since_boot_ms();
        ports.assign(handle.port);
        self.machine.wall_ms()
    }

    /// Reserves a port for the run, unless it has one, without waiting. Returns false if none was
    /// found.
    pub(super) fn try_reserve_port(&self, core: &mut Core<M>, run: RunId) -> bool {
        let Core { runs, ports, engine, .. } = core;
        let handle = runs.get_mut(&run).expect("it is being prepared");
        if handle.held_port.as_ref().is_some_and(|held| ports.is_free(held.number())) {
            return true;
        }
        // A process that is restored listens where it did when its snapshot was taken.
        let kept = if handle.may_take_kept_port { ports.take_kept(&handle.key) } else { None };
        if let Some((port, held_port)) = kept {
            (handle.port, handle.held_port) = (port, held_port);
            return true;
        }
        // A reservation takes microseconds. Next to a spawn by the warden that is nothing; a
        // `spawn` of the user's may be as fast, so it gets a port from the stock.
        let stock = engine.engine().filter(|_| self.settings.pool.custody.owner == Owner::User);
        let is_free = |port| ports.is_free(port);
        let from_stock = stock.and_then(|engine| engine.port_in_stock(is_free));
        let held = from_stock.or_else(|| self.machine.reserve_port(QUICK_PORT_TRIES, is_free));
        handle.port = held.as_ref().map_or(0, Port::number);
        handle.held_port = held;
        handle.held_port.is_some()
    }

    /// Looks for a port on the engine's thread, where ports are rare, and queues the record of the
    /// preparation when it has one.
    fn prepare_with_port(self: &Arc<Self>, core: &Core<M>, run: RunId) {
        let Some(engine) = core.engine.engine().cloned() else { return };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            if driver.look_for_port(&shared, run).await
                && let Some(handle) = driver.lock().runs.get(&run)
            {
                let key = handle.key.clone();
                driver.tell(Record::Prepare { run, key, port: 0, started_at_ms: 0 });
            }
            driver.uplink.ring();
        });
    }

    /// Looks for a port for the run. Returns false if there is none, after reporting that the
    /// start has failed.
    pub(super) async fn look_for_port(
        self: &Arc<Self>,
        engine: &Arc<M::Engine>,
        run: RunId,
    ) -> bool {
        let found = engine.look_for_port(|port| self.lock().ports.is_free(port)).await;
        let mut core = self.lock();
        let Some(handle) = core.runs.get_mut(&run) else { return false };
        let failure = match found {
            Ok(held) => {
                (handle.port, handle.held_port) = (held.number(), Some(held));
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Failure::NoPort,
            Err(error) => {
                Failure::NotStarted { reason: format!("no port could be reserved for it: {error}") }
            }
        };
        self.feed_locked(&mut core, Input::Fact(run, Fact::StartFailed(failure)));
        false
    }
}

/// Has the run use `port`. If it was given another one, that goes back unused, and `assigned` is
/// assigned to the run in its place.
pub(super) fn use_port<E: Engine>(
    handle: &mut RunHandle<E::Port>,
    port: u16,
    assigned: Option<u16>,
    ports: &mut PortBook<E::Port>,
    engine: Option<&Arc<E>>,
) {
    if port == handle.port {
        return;
    }
    handle.port = port;
    if let Some(before) = std::mem::replace(&mut handle.assigned_port, assigned) {
        ports.unassign(before);
    }
    if let Some(port) = assigned {
        ports.assign(port);
    }
    if let Some((engine, unused)) = engine.zip(handle.held_port.take()) {
        engine.unused_port(unused);
    }
}
