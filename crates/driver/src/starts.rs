//! Starts: from the decision to start a run until its process is known. How a run gets its port is
//! in `port_assignment.rs`.

use crate::Driver;
use crate::core::{Core, called_off, not_started};
use crate::machine::{Engine, Machine};
use crate::port_assignment::use_port;
use crate::recipe::{OwnVariables, Variables};
use crate::run_handle::RunHandle;
use crate::supervision::Supervision;
use crate::tenant_settings::TenantSettings;
use crate::uplink::Record;
use linux::process::accounting::Root;
use linux::warden_link::client::Started;
use linux::warden_link::surroundings::Noted;
use pool::{Adopted, CallId, Custody, Epoch, Fact, Failure, ImageAnswer, Input, Key, RunId};
use std::sync::Arc;
use std::time::Duration;

impl<M: Machine> Driver<M> {
    /// The next batch of records for JavaScript. With `has_lines` it has lines left of the batch
    /// before, and this one has none.
    ///
    /// A run gets its port when its record is taken, so that a burst of starts in one turn does
    /// not hold a port each. Records of runs that were called off are left out.
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

    /// Launches a run that JavaScript has prepared, with these variables (`KEY=value`), unless it
    /// was called off meanwhile.
    pub fn launch(self: &Arc<Self>, run: RunId, variables: Vec<String>) {
        let noted = Noted::here();
        let mut core = self.lock();
        let Some(engine) = core.engine.engine().cloned() else { return };
        let Some(begun) = self.begin_launch(&mut core, run) else { return };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let turn = shared.turn().await;
            driver.supervise(&shared, begun, &variables, noted, turn).await;
        });
    }

    /// Launches a run without asking JavaScript, which gets a record of it. The run gets its port
    /// at its turn, so that a burst of starts does not hold a port each.
    fn start_without_asking(
        self: &Arc<Self>,
        engine: &Arc<M::Engine>,
        run: RunId,
        variables: Variables,
    ) {
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let turn = shared.turn().await;
            match driver.begin_launch_with_port(&shared, run).await {
                // No ring: JavaScript reads the record together with that of the outcome. To wake
                // it now would take a core from the process that starts.
                Some((begun, noted)) => {
                    driver.supervise(&shared, begun, &variables, noted, turn).await
                }
                None => driver.uplink.ring(),
            }
        });
    }

    /// Begins a launch, with a port. `None` if the run was called off meanwhile, or if there is no
    /// port for it: either is reported to the pool.
    async fn begin_launch_with_port(
        self: &Arc<Self>,
        engine: &Arc<M::Engine>,
        run: RunId,
    ) -> Option<(Launching<M>, Noted)> {
        let has_port = {
            let mut core = self.lock();
            if !self.check_wanted(&mut core, run) {
                return None;
            }
            self.try_reserve_port(&mut core, run)
        };
        if !has_port && !self.look_for_port(engine, run).await {
            return None;
        }
        let mut core = self.lock();
        if !self.check_wanted(&mut core, run) {
            return None;
        }
        // Between the locks another run may have reported that it uses the port.
        if !self.try_reserve_port(&mut core, run) {
            let failure = Fact::StartFailed(Failure::NoPort);
            self.feed_locked(&mut core, Input::Fact(run, failure));
            return None;
        }
        let mut begun = self.begin_launch(&mut core, run)?;
        let started_at_ms = self.assign_port(&mut core, run);
        begun.started_at_ms = started_at_ms;
        let Launching { key, port, .. } = &begun;
        self.tell(Record::Starting { run, key: key.clone(), port: *port, started_at_ms });
        let noted = core.host.noted.as_ref().map_or_else(Noted::here, Noted::again);
        Some((begun, noted))
    }

    /// Marks the run as launched, after which a stop waits for its process. `None` if it was
    /// called off meanwhile.
    fn begin_launch(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> Option<Launching<M>> {
        if !self.check_wanted(core, run) {
            return None;
        }
        let handle = core.runs.get_mut(&run)?;
        handle.launched = true;
        let forced = handle.forced.insert(Arc::default()).clone();
        let log_room = self.hears_logs().then(|| self.uplink.log_room());
        let supervision =
            Supervision::new(self.clone(), run, handle.tail.clone()?, log_room, forced);
        let (key, settings) = (handle.key.clone(), handle.settings.clone());
        let patience = self.readiness_timeout(handle);
        let (port, epoch) = (handle.port, core.pool.epoch_of(&key).cloned());
        let started_at_ms = self.machine.wall_ms();
        Some(Launching { run, key, port, epoch, settings, patience, supervision, started_at_ms })
    }

    /// Spawns the run's program and supervises it until its tree is reaped.
    async fn supervise(
        self: &Arc<Self>,
        engine: &M::Engine,
        begun: Launching<M>,
        variables: &[String],
        noted: Noted,
        turn: <M::Engine as Engine>::Turn,
    ) {
        let Launching { run, key, settings, patience, mut supervision, started_at_ms, .. } = begun;
        let (port, epoch) = (begun.port, begun.epoch);
        let its = settings.as_deref();
        let confined = async {
            let own = OwnVariables { port, epoch: epoch.as_deref() };
            let program = self.program(engine, &key, own, variables, its).await?;
            let mut program = match self.asked(its) {
                None => program,
                Some(asked) => self.confine(engine, run, program, asked, port, its).await?,
            };
            if let Some(surviving) = self.keep(run, &mut program, started_at_ms)? {
                supervision.survives(&surviving);
            }
            Ok(program)
        };
        match confined.await {
            Ok(program) => {
                engine.supervise(program, noted, turn, patience, &supervision).await;
            }
            Err(failure) => self.feed(Input::Fact(run, Fact::StartFailed(failure))),
        }
    }

    /// Whether the run is still wanted. If it was called off, this reports to the pool that it
    /// never began.
    pub(super) fn check_wanted(self: &Arc<Self>, core: &mut Core<M>, run: RunId) -> bool {
        if !core.runs.contains_key(&run) {
            return false;
        }
        let is_wanted = core.pool.is_starting(run);
        if !is_wanted {
            self.feed_locked(core, Input::Fact(run, called_off()));
        }
        is_wanted
    }

    /// Reports that the warden has spawned the run's process.
    pub fn started(self: &Arc<Self>, run: RunId, number: u64, started: Started) {
        let mut core = self.lock();
        let Some(handle) = core.runs.get_mut(&run) else { return };
        handle.number = Some(number);
        let groups = handle.confined.as_ref().map_or(&[][..], |confined| &confined.groups);
        handle.root = Some(Root::of_tenant(started.keeper_pid, groups, started.group));
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid: started.pid, port }));
        drop(core);
        self.uplink.ring();
    }

    /// Reports that the user's `spawn` has returned a process. A `port` of its own replaces the
    /// one that it was offered. With `is_remote` the process itself need not listen on it.
    pub fn started_external(
        self: &Arc<Self>,
        run: RunId,
        pid: u32,
        port: Option<u16>,
        is_remote: bool,
    ) {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return };
        handle.root = Some(Root::Process(pid));
        handle.is_remote = is_remote;
        let port = port.unwrap_or(handle.port);
        use_port(handle, port, None, ports, engine.engine());
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid, port }));
    }

    /// Reports that the run was restored from a snapshot; its process is the user's. Returns false
    /// if it cannot be accepted: the run is over, or its port is assigned to another run.
    pub fn restored(self: &Arc<Self>, run: RunId, pid: u32, port: u16) -> bool {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return false };
        if port != handle.port && !ports.is_free(port) {
            return false;
        }
        use_port(handle, port, Some(port), ports, engine.engine());
        handle.custody = Custody::USERS;
        handle.root = Some(Root::Process(pid));
        self.feed_locked(&mut core, Input::Fact(run, Fact::Restored { pid, port }));
        true
    }

    /// Carries out `Action::Start`. An error: the engine could not be started.
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
                return not_started(
                    run,
                    format!("the runtime's thread could not be started: {error}"),
                );
            }
        };
        let handle = RunHandle::new(key, self.settings.pool.custody);
        core.runs.insert(run, Box::new(RunHandle { may_take_kept_port: !cold, ..handle }));
        if cold { self.start_cold(core, &engine, run) } else { None }
    }

    /// Starts the run with its program, not from an image.
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

    /// Takes in a process that the user has handed over with `adopt`.
    pub(super) fn adopt(
        self: &Arc<Self>,
        core: &mut Core<M>,
        run: RunId,
        key: Key,
        call: CallId,
        process: Adopted,
    ) -> Option<Input> {
        // This may be the first use of the runtime, and the engine keeps its deadlines.
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
}

/// A launch that has begun: the run can no longer be called off without a stop.
struct Launching<M: Machine> {
    run: RunId,
    key: Key,
    port: u16,
    /// Of the key's admission, as it is at this moment.
    epoch: Option<Epoch>,
    settings: Option<Arc<TenantSettings>>,
    /// How long it has until its program runs.
    patience: Duration,
    supervision: Supervision<M>,
    /// In milliseconds since the epoch.
    started_at_ms: u64,
}
