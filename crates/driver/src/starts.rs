//! From the decision to start a run until its process is known.

use crate::Driver;
use crate::core::{Core, called_off, not_started};
use crate::machine::{Engine, Machine, Port};
use crate::recipe::Variables;
use crate::run_handle::RunHandle;
use crate::supervision::Supervision;
use crate::uplink::Record;
use linux::process::accounting::Root;
use linux::warden_link::surroundings::Noted;
use pool::{Adopted, CallId, Custody, Fact, Failure, ImageAnswer, Input, Key, Owner, RunId};
use std::io;
use std::sync::Arc;
use warden::planted::{Bug, planted_once_in};

/// Ports that are tried on JavaScript's thread, at 1 µs each: all but a few are free on nearly every host.
const QUICK_PORT_TRIES: usize = 8;

impl<M: Machine> Driver<M> {
    /// The next batch of records for JavaScript, which may still have lines of the one before.
    pub fn take_records(self: &Arc<Self>, has_lines: bool) -> Vec<Record> {
        let (mut records, recycled) = self.uplink.take(has_lines);
        let mut core = self.lock();
        recycled.into_iter().for_each(|lease| core.leases.recycle(lease));
        records.retain_mut(|record| match record {
            Record::Prepare { run, port, started_at_ms, .. } => {
                self.prepare(&mut core, *run, port, started_at_ms)
            }
            Record::RestoreImage { run, key, port, started_at_ms, .. } => {
                let is_wanted = self.prepare_restore(&mut core, *run, port, started_at_ms);
                if !is_wanted {
                    let answer = ImageAnswer::No;
                    self.feed_locked(&mut core, Input::Image { key: key.clone(), answer });
                }
                is_wanted
            }
            _ => true,
        });
        records
    }

    /// JavaScript has prepared the run, which is started with these variables unless it was called off meanwhile.
    pub fn launch(self: &Arc<Self>, run: RunId, variables: Vec<String>) {
        let noted = Noted::here();
        let mut core = self.lock();
        let Some(engine) = core.engine.engine().cloned() else { return };
        let Some(begun) = self.begin(&mut core, run) else { return };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let turn = shared.turn().await;
            driver.supervise(&shared, begun, &variables, noted, turn).await;
        });
    }

    /// Starts the run with no word from JavaScript, which is told. It gets its port when it is its turn, so that a crowd of
    /// starts in one tick does not hold one each.
    fn start_without_asking(self: &Arc<Self>, engine: &Arc<M::Engine>, run: RunId, variables: Variables) {
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let turn = shared.turn().await;
            match driver.begin_with_port(&shared, run).await {
                // JavaScript is told with what comes of it: to wake it for this alone would cost the start a processor.
                Some((begun, noted)) => driver.supervise(&shared, begun, &variables, noted, turn).await,
                None => driver.uplink.ring(),
            }
        });
    }

    /// `None` if the run has been called off meanwhile, or there is no port for it.
    async fn begin_with_port(
        self: &Arc<Self>,
        engine: &Arc<M::Engine>,
        run: RunId,
    ) -> Option<(Begun<M>, Noted)> {
        let has_port = {
            let mut core = self.lock();
            if !self.is_wanted(&mut core, run) {
                return None;
            }
            self.has_port(&mut core, run)
        };
        if !has_port && !self.look_for_port(engine, run).await {
            return None;
        }
        let mut core = self.lock();
        let begun = self.begin(&mut core, run)?;
        let started_at_ms = self.tell_port(&mut core, run);
        let Begun { key, port, .. } = &begun;
        self.tell(Record::Starting { run, key: key.clone(), port: *port, started_at_ms });
        let noted = core.host.noted.as_ref().map_or_else(Noted::here, Noted::again);
        Some((begun, noted))
    }

    /// Takes the run out of what can be called off at once, unless it has been called off.
    fn begin(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Begun<M>> {
        if !self.is_wanted(core, run) {
            return None;
        }
        let handle = core.runs.get_mut(&run)?;
        handle.launched = true;
        let forced = handle.forced.insert(Arc::default()).clone();
        let log_room = self.settings.has_log.then(|| self.uplink.log_room());
        let supervision = Supervision::new(self.clone(), run, handle.tail.clone()?, log_room, forced);
        Some(Begun { run, key: handle.key.clone(), port: handle.port, supervision })
    }

    async fn supervise(
        self: &Arc<Self>,
        engine: &M::Engine,
        begun: Begun<M>,
        variables: &[String],
        noted: Noted,
        turn: <M::Engine as Engine>::Turn,
    ) {
        let Begun { run, key, port, supervision } = begun;
        match self.program(engine, &key, port, variables).await {
            Ok(program) => {
                let patience = self.settings.readiness_timeout;
                engine.supervise(program, noted, turn, patience, &supervision).await;
            }
            Err(failure) => self.feed(Input::Fact(run, Fact::StartFailed(failure))),
        }
    }

    /// Whether the run is still to be started. If it was called off, it is over with that.
    fn is_wanted(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> bool {
        if !core.runs.contains_key(&run) {
            return false;
        }
        let is_wanted = core.pool.is_starting(run);
        if !is_wanted {
            self.feed_locked(core, Input::Fact(run, called_off()));
        }
        is_wanted
    }

    /// A process of ours exists.
    pub fn started(self: &Arc<Self>, run: RunId, number: u64, pid: u32, keeper_pid: u32) {
        let mut core = self.lock();
        let Some(handle) = core.runs.get_mut(&run) else { return };
        handle.number = Some(number);
        handle.root = Some(Root::Keeper(keeper_pid));
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid, port }));
        drop(core);
        self.uplink.ring();
    }

    /// A process of the user's exists. A port of its own replaces the one it was offered.
    pub fn started_external(self: &Arc<Self>, run: RunId, pid: u32, port: Option<u16>, is_elsewhere: bool) {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return };
        handle.root = Some(Root::Process(pid));
        handle.is_elsewhere = is_elsewhere;
        if let Some(port) = port.filter(|port| *port != handle.port) {
            if let Some(told) = handle.told_port.take() {
                ports.forget(told);
            }
            if let Some((engine, unused)) = engine.engine().zip(handle.held_port.take()) {
                engine.unused_port(unused);
            }
            handle.port = port;
        }
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid, port }));
    }

    /// A run was brought back from a snapshot: it is the user's process. False if it cannot be taken: the run is over, or
    /// another live run was told the port that it listens on.
    pub fn restored(self: &Arc<Self>, run: RunId, pid: u32, port: u16) -> bool {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return false };
        if port != handle.port {
            if !ports.is_free(port) {
                return false;
            }
            if let Some(told) = handle.told_port.replace(port) {
                ports.forget(told);
            }
            ports.tell(port);
            if let Some((engine, unused)) = engine.engine().zip(handle.held_port.take()) {
                engine.unused_port(unused);
            }
            handle.port = port;
        }
        handle.custody = Custody::USERS;
        handle.root = Some(Root::Process(pid));
        self.feed_locked(&mut core, Input::Fact(run, Fact::Restored { pid, port }));
        true
    }

    pub(super) fn start(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        key: Key,
        cold: bool,
    ) -> Option<Input> {
        let engine = match self.ensure_engine(core) {
            Ok(engine) => engine,
            Err(error) => {
                return not_started(run, format!("the runtime's thread could not be started: {error}"));
            }
        };
        let handle = RunHandle::new(key, self.settings.pool.custody);
        core.runs.insert(run, Box::new(RunHandle { may_take_kept_port: !cold, ..handle }));
        if cold { self.start_cold(core, &engine, run) } else { None }
    }

    /// Starts the run with its program, and not from an image.
    pub(super) fn start_cold(
        self: &Arc<Self>,
        core: &mut Core<M>,
        engine: &Arc<M::Engine>,
        run: RunId,
    ) -> Option<Input> {
        let key = core.runs.get(&run)?.key.clone();
        match core.host.variables.clone() {
            Some(variables) => self.start_without_asking(engine, run, variables),
            None => return self.tell(Record::Prepare { run, key, port: 0, started_at_ms: 0 }),
        }
        None
    }

    /// The user's process is a tenant now.
    pub(super) fn adopt(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        key: Key,
        call: CallId,
        process: Adopted,
    ) -> Option<Input> {
        // It may be the first thing that happens, and its deadlines must be kept.
        if let Err(error) = self.ensure_engine(core) {
            tracing::error!(%error, "the runtime's thread could not be started");
        }
        let handle = RunHandle {
            port: process.port,
            launched: true,
            root: Some(Root::Process(process.pid)),
            ..RunHandle::new(key.clone(), process.custody)
        };
        core.runs.insert(run, Box::new(handle));
        self.tell(Record::Adopted { run, call, key })
    }

    /// JavaScript is about to prepare the run: it gets its port now, so that a crowd of starts in one tick does not hold
    /// one each. False if nobody wants it any more, it cannot be, or a port has to be looked for first.
    fn prepare(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        port: &mut u16,
        started_at_ms: &mut u64,
    ) -> bool {
        if !self.is_wanted(core, run) {
            return false;
        }
        // It has a port already if it could not be restored from its image.
        let is_told = core.runs.get(&run).is_some_and(|handle| handle.told_port.is_some());
        if !is_told && !self.has_port(core, run) {
            self.prepare_with_port(core, run);
            return false;
        }
        *started_at_ms = self.tell_port(core, run);
        let handle = core.runs.get_mut(&run).expect("it is wanted");
        // From here on the user's `spawn` will be called; a program of ours is launched in a call of its own.
        handle.launched = self.settings.pool.custody.owner == Owner::User;
        *port = handle.port;
        true
    }

    /// JavaScript is about to have the run restored: it gets the port that its image listens at, where that is known. Where no
    /// port is left it gets none, and the restored process is asked for its own. False if the run is not wanted any more.
    fn prepare_restore(
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
        if self.has_port(core, run) {
            *started_at_ms = self.tell_port(core, run);
            *port = core.runs.get(&run).map_or(0, |handle| handle.port);
        }
        true
    }

    /// From now on the run's port is no other run's. Returns the time, which is when the run was begun.
    fn tell_port(&self, core: &mut Core<M>, run: RunId) -> u64 {
        let Core { runs, ports, .. } = core;
        if planted_once_in(50, Bug::SamePort) {
            let anothers = runs.values().map(|run| run.port).max();
            runs.get_mut(&run).expect("it is wanted").port = anothers.unwrap_or_default();
        }
        let handle = runs.get_mut(&run).expect("it is wanted");
        handle.told_port = Some(handle.port);
        handle.prepared_since_boot_ms = self.machine.since_boot_ms();
        ports.tell(handle.port);
        self.machine.wall_ms()
    }

    /// Whether the run has a port, or can be given one without looking for it.
    fn has_port(&self, core: &mut Core<M>, run: RunId) -> bool {
        let Core { runs, ports, engine, .. } = core;
        let handle = runs.get_mut(&run).expect("it is being prepared");
        if handle.held_port.as_ref().is_some_and(|held| ports.is_free(held.number())) {
            return true;
        }
        // A snapshot listens where it did when it was taken.
        let kept = if handle.may_take_kept_port { ports.take_kept(&handle.key) } else { None };
        if let Some((port, held_port)) = kept {
            (handle.port, handle.held_port) = (port, held_port);
            return true;
        }
        // Next to a start of ours a reservation costs nothing; a user's may be a matter of microseconds.
        let stock = engine.engine().filter(|_| self.settings.pool.custody.owner == Owner::User);
        let is_free = |port| ports.is_free(port);
        let from_stock = stock.and_then(|engine| engine.port_in_stock(is_free));
        let held = from_stock.or_else(|| self.machine.reserve_port(QUICK_PORT_TRIES, is_free));
        handle.port = held.as_ref().map_or(0, Port::number);
        handle.held_port = held;
        handle.held_port.is_some()
    }

    /// Looks for a port where one is hard to find, and not on JavaScript's thread. The run is prepared when there is one.
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

    /// Whether there is a port for the run. If there is none, its start has failed with that.
    async fn look_for_port(self: &Arc<Self>, engine: &Arc<M::Engine>, run: RunId) -> bool {
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

/// A start that is under way.
struct Begun<M: Machine> {
    run: RunId,
    key: Key,
    port: u16,
    supervision: Supervision<M>,
}
