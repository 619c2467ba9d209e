//! From the decision to start a run until its process is known.

use super::{Core, Driver, RunHandle, called_off, not_started};
use crate::os::accounting::Root;
use crate::os::clock;
use crate::os::ports::HeldPort;
use crate::os::readiness::TimedOut;
use crate::os::run::{Program, supervise};
use crate::supervision::Supervision;
use crate::uplink::Record;
use pool::{Adopted, CallId, Fact, Failure, Input, Key, Processes, RunId};
use std::io;
use std::sync::Arc;
use warden::planted::{Bug, planted, planted_once_in};

/// How often a port that another live run was told is exchanged for another one.
const PORT_TRIES: usize = 8;

impl Driver {
    /// The next batch of records for JavaScript, which may still have lines of the one before.
    pub fn take_records(self: &Arc<Self>, has_lines: bool) -> Vec<Record> {
        let (mut records, recycled) = self.uplink.take(has_lines);
        let mut core = self.lock();
        recycled.into_iter().for_each(|lease| core.leases.recycle(lease));
        records.retain_mut(|record| match record {
            Record::Prepare { run, port, started_at_ms, .. } => {
                self.prepare(&mut core, *run, port, started_at_ms)
            }
            _ => true,
        });
        records
    }

    /// Runs the program for a run that JavaScript was asked to prepare, unless it was called off meanwhile.
    pub fn launch(self: &Arc<Self>, run: RunId, program: Program) {
        let mut core = self.lock();
        let wanted = core.pool.is_starting(run);
        let Some(handle) = core.runs.get_mut(&run) else { return };
        handle.launched = wanted;
        if !wanted {
            return self.feed_locked(&mut core, Input::Fact(run, called_off()));
        }
        let Some((engine, tail)) =
            core.engine.engine().cloned().zip(core.runs.get(&run).and_then(|handle| handle.tail.clone()))
        else {
            return;
        };
        let log_room = self.settings.has_log.then(|| self.uplink.log_room());
        let supervision = Supervision::new(self.clone(), run, tail, log_room);
        let shared = engine.clone();
        engine.spawn(async move { supervise(&shared.warden, program, &supervision).await });
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
    pub fn started_external(self: &Arc<Self>, run: RunId, pid: u32, port: Option<u16>) {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return };
        handle.root = Some(Root::Process(pid));
        if let Some(port) = port.filter(|port| *port != handle.port) {
            if let Some(told) = handle.told_port.take() {
                ports.remove(told);
            }
            if let Some((engine, unused)) = engine.engine().zip(handle.held_port.take()) {
                engine.unused_port(unused);
            }
            handle.port = port;
        }
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid, port }));
    }

    /// A run was brought back from a snapshot: it is the user's process. False if it listens on a port that another live
    /// run was told, and so cannot be taken.
    pub fn restored(self: &Arc<Self>, run: RunId, pid: u32, port: u16) -> bool {
        let mut core = self.lock();
        let Core { runs, ports, engine, .. } = &mut *core;
        let Some(handle) = runs.get_mut(&run) else { return true };
        if port != handle.port {
            if ports.contains(port) {
                return false;
            }
            if let Some(told) = handle.told_port.replace(port) {
                ports.remove(told);
            }
            ports.insert(port);
            if let Some((engine, unused)) = engine.engine().zip(handle.held_port.take()) {
                engine.unused_port(unused);
            }
            handle.port = port;
        }
        handle.processes = Processes::External;
        handle.root = Some(Root::Process(pid));
        self.feed_locked(&mut core, Input::Fact(run, Fact::Restored { pid, port }));
        true
    }

    pub(super) fn start(
        self: &Arc<Self>,
        core: &mut Core,
        run: RunId,
        key: Key,
        fresh: bool,
    ) -> Option<Input> {
        if let Err(error) = self.ensure_engine(core) {
            return not_started(run, format!("the runtime's thread could not be started: {error}"));
        }
        let handle = RunHandle::new(key.clone(), self.settings.pool.processes);
        core.runs.insert(run, Box::new(handle));
        self.tell(Record::Prepare { run, key, port: 0, started_at_ms: 0, fresh })
    }

    /// The user's process is a tenant now.
    pub(super) fn adopt(
        self: &Arc<Self>,
        core: &mut Core,
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
            ..RunHandle::new(key.clone(), Processes::External)
        };
        core.runs.insert(run, Box::new(handle));
        self.tell(Record::Adopted { run, call, key })
    }

    /// JavaScript is about to prepare the run: it gets its port now, so that a crowd of starts in one tick does not hold
    /// one each. False if nobody wants it any more, or it cannot be.
    pub(super) fn prepare(
        self: &Arc<Self>,
        core: &mut Core,
        run: RunId,
        port: &mut u16,
        started_at_ms: &mut u64,
    ) -> bool {
        let Some(key) = core.runs.get(&run).map(|handle| handle.key.clone()) else { return false };
        if !core.pool.is_starting(run) {
            self.feed_locked(core, Input::Fact(run, called_off()));
            return false;
        }
        // A snapshot listens where it did when it was taken.
        let saved = core.saved_ports.remove(&key).filter(|(port, _)| !core.ports.contains(*port));
        let has_saved_port = saved.is_some();
        let reserved =
            saved.map_or_else(|| self.reserve_port(core).map(|held| (held.port(), Some(held))), Ok);
        match reserved {
            Ok((reserved_port, held_port)) => {
                let reserved_port = match planted_once_in(50, Bug::SamePort) {
                    true => core.runs.values().map(|run| run.port).max().unwrap_or(reserved_port),
                    false => reserved_port,
                };
                let handle = core.runs.get_mut(&run).expect("looked up above");
                // From here on the user's `spawn` will be called; a program of ours is launched in a call of its own.
                handle.launched = self.settings.pool.processes == Processes::External;
                handle.port = reserved_port;
                handle.has_saved_port = has_saved_port;
                handle.told_port = Some(handle.port);
                core.ports.insert(handle.port);
                (*port, *started_at_ms) = (handle.port, clock::wall_ms());
                handle.held_port = held_port;
                true
            }
            Err(error) => {
                let failed = not_started(run, format!("no port could be reserved for it: {error}"));
                failed.into_iter().for_each(|input| self.feed_locked(core, input));
                false
            }
        }
    }

    /// The port of a user's process is not held once it is ready, so the kernel may offer it again: ask for another.
    pub(super) fn reserve_port(&self, core: &Core) -> io::Result<HeldPort> {
        let mut taken = Vec::new();
        // Next to a start of ours a reservation costs nothing; a user's may be a matter of microseconds.
        let stock = core.engine.engine().filter(|_| self.settings.pool.processes == Processes::External);
        let reserve = || stock.map_or_else(HeldPort::reserve, |engine| engine.port());
        for _ in 1..PORT_TRIES {
            let port = reserve()?;
            if !core.ports.contains(port.port()) {
                return Ok(port);
            }
            taken.push(port);
        }
        reserve()
    }

    pub(super) fn probe(self: &Arc<Self>, core: &mut Core, run: RunId) -> Option<Input> {
        if self.settings.custom_readiness {
            self.uplink.push(Record::AskReadiness { run });
            return None;
        }
        let (engine, handle) = (core.engine.engine().cloned()?, core.runs.get_mut(&run)?);
        let (driver, port, shared) = (self.clone(), handle.port, engine.clone());
        if planted(Bug::ReadyTooSoon) {
            return Some(Input::Fact(run, Fact::Ready));
        }
        let probe = engine.spawn(async move {
            let fact = match shared.readiness.until_answered(port).await {
                Ok(()) => Fact::Ready,
                Err(TimedOut) => Fact::NotReady(Failure::ReadinessTimedOut),
            };
            driver.feed(Input::Fact(run, fact));
        });
        handle.probe = Some(probe.abort_handle());
        None
    }
}
