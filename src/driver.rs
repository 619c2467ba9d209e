//! Between the pool and the world: every input goes through [`Driver::feed`], every action is carried out here, in
//! order. Decides nothing.
//!
//! The pool is behind a lock and takes its steps on whichever thread has something to say, so that what a call
//! changes can be seen as soon as the call returns. Nothing done under the lock blocks.

use crate::board::Board;
use crate::leases::LeaseTable;
use crate::os::accounting::{Root, Sampler};
use crate::os::clock;
use crate::os::connections;
use crate::os::engine::Engine;
use crate::os::foreign::Foreign;
use crate::os::logs::Tail;
use crate::os::ports::{HeldPort, PortSet};
use crate::os::readiness::TimedOut;
use crate::os::run::{Program, supervise};
use crate::supervision::Supervision;
use crate::uplink::{Record, Uplink};
use pool::{
    Action, Adopted, CallId, Config, Event, ExitReason, Fact, Failure, Input, Key, Outcome, Pool, Processes,
    Refusal, RunId, RunMap, Stats, Status, StopStage,
};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How often a port that another live run was told is exchanged for another one.
const PORT_TRIES: usize = 8;
/// Observations that are passed on at once, and the time until the next ones: what JavaScript handles in a fraction of
/// a millisecond, and time for its other work.
const OBSERVATIONS_AT_ONCE: usize = 512;
const OBSERVATIONS_PAUSE: Duration = Duration::from_millis(1);

/// What one runtime is made of, besides the pool's rules.
pub struct Settings {
    pub pool: Config,
    /// The helper program beside the addon.
    pub warden_path: PathBuf,
    /// Somebody wants the log lines.
    pub has_log: bool,
    /// The user's `readiness` is asked instead of the port.
    pub custom_readiness: bool,
}

/// See the module.
pub struct Driver {
    settings: Settings,
    pub uplink: Uplink,
    pub board: Arc<Board>,
    core: Mutex<Core>,
    deadline_moved: Notify,
}

struct Core {
    pool: Pool,
    leases: LeaseTable,
    runs: RunMap<RunHandle>,
    /// Ports that live runs were told.
    ports: PortSet,
    engine: Option<Arc<Engine>>,
    timer: Option<AbortHandle>,
    /// The deadline that the timer sleeps until.
    armed_ms: Option<u64>,
    dispose_calls: HashSet<CallId>,
    /// Processes of somebody else, by the ticket that their end is the answer to. Nobody watches for it any more when the
    /// runtime is closed.
    foreign: HashMap<u64, (Arc<Foreign>, Option<AbortHandle>)>,
    /// Where tenants listened that were saved: they will again.
    saved_ports: HashMap<Key, (u16, Option<HeldPort>)>,
    abandoned: bool,
    closed: bool,
    /// `None` while it takes a sample.
    sampler: Option<Sampler>,
}

/// What is held for a run from its start to its release.
struct RunHandle {
    key: Key,
    processes: Processes,
    /// 0 until it is prepared.
    port: u16,
    /// The one it was told, if it has not said that it uses another.
    told_port: Option<u16>,
    held_port: Option<HeldPort>,
    /// Of a process of ours.
    tail: Option<Arc<Mutex<Tail>>>,
    launched: bool,
    /// Its port is the one that its key was saved with.
    has_saved_port: bool,
    /// How the warden knows it.
    number: Option<u64>,
    root: Option<Root>,
    probe: Option<AbortHandle>,
}

impl Driver {
    pub fn new(settings: Settings, ring: impl Fn() + Send + Sync + 'static) -> Arc<Driver> {
        let core = Core {
            pool: Pool::new(settings.pool.clone()),
            leases: LeaseTable::default(),
            runs: RunMap::default(),
            ports: PortSet::default(),
            engine: None,
            timer: None,
            armed_ms: None,
            dispose_calls: HashSet::new(),
            foreign: HashMap::new(),
            saved_ports: HashMap::new(),
            abandoned: false,
            closed: false,
            sampler: Some(Sampler::default()),
        };
        let board: Arc<Board> = Arc::default();
        Arc::new(Driver {
            settings,
            uplink: Uplink::new(board.clone(), ring),
            board,
            core: Mutex::new(core),
            deadline_moved: Notify::new(),
        })
    }

    /// Takes a step of the pool and carries out what comes of it. Records for JavaScript are queued, not announced.
    pub fn feed_quietly(self: &Arc<Self>, input: Input) {
        self.feed_locked(&mut self.lock(), input);
    }

    /// The same, and JavaScript is told.
    pub fn feed(self: &Arc<Self>, input: Input) {
        self.feed_quietly(input);
        self.uplink.ring();
    }

    pub fn stats(&self) -> Stats {
        self.lock().pool.stats(clock::now())
    }

    pub fn status(&self, key: &str) -> Option<Status> {
        self.lock().pool.status(key, clock::now())
    }

    pub fn statuses(&self) -> Vec<Status> {
        self.lock().pool.statuses(clock::now())
    }

    /// Whether the run is still to be started.
    pub fn is_starting(&self, run: RunId) -> bool {
        self.lock().pool.is_starting(run)
    }

    /// A caller no longer waits. False if it did not any more: its answer is on the way.
    pub fn abort(self: &Arc<Self>, key: Key, call: CallId) -> bool {
        let mut core = self.lock();
        let was_waiting = core.pool.is_waiting(&key, call);
        self.feed_locked(&mut core, Input::Abort { key, call });
        was_waiting
    }

    pub fn dispose(self: &Arc<Self>, call: CallId) {
        let mut core = self.lock();
        core.dispose_calls.insert(call);
        self.feed_locked(&mut core, Input::Dispose { call });
    }

    /// JavaScript is gone (a terminated worker, say): everything ends at once, and nobody is told.
    pub fn abandon(self: &Arc<Self>) {
        self.uplink.close();
        let mut core = self.lock();
        core.abandoned = true;
        core.let_go_of_foreign();
        self.feed_locked(&mut core, Input::Abandon);
    }

    /// Lets go of everything after `dispose`; ends the engine's thread if nobody else uses it.
    pub fn close(&self) {
        self.uplink.close();
        let mut core = self.lock();
        core.closed = true;
        core.let_go_of_foreign();
        core.saved_ports.clear();
        let engine = core.engine.take();
        drop(core);
        drop(engine);
    }

    /// Holds on to somebody else's process that was started within these times; its end is the answer to the ticket.
    /// Why it is not taken, if it is not.
    pub fn watch(self: &Arc<Self>, ticket: u64, pid: u32, born: (u64, u64)) -> Result<(), String> {
        let mut core = self.lock();
        let foreign = Arc::new(Foreign::open(pid, born)?);
        if core.closed {
            // It can still be signalled, which is all that may be wanted of one that came too late.
            core.foreign.insert(ticket, (foreign, None));
            return Ok(());
        }
        self.ensure_engine(&mut core).map_err(|error| error.to_string())?;
        let (driver, watched) = (self.clone(), foreign.clone());
        let watching = core.engine.as_ref().expect("ensured above").spawn(async move {
            let gone = watched.gone().await;
            if let Err(error) = &gone {
                tracing::warn!(%error, pid, "the end of a process cannot be seen");
            }
            driver.lock().foreign.remove(&ticket);
            driver.answer(ticket, gone.ok().flatten());
        });
        core.foreign.insert(ticket, (foreign, Some(watching.abort_handle())));
        Ok(())
    }

    /// Lets go of a process that is watched; nothing will be answered.
    pub fn unwatch(&self, ticket: u64) {
        if let Some((_, Some(watching))) = self.lock().foreign.remove(&ticket) {
            watching.abort();
        }
    }

    /// Asks a process that is watched to end. Why it cannot be, if it cannot.
    pub fn signal(&self, ticket: u64, force: bool) -> Result<(), String> {
        let foreign = self.lock().foreign.get(&ticket).map(|(foreign, _)| foreign.clone());
        foreign.map_or(Ok(()), |foreign| foreign.signal(force)).map_err(|error| error.to_string())
    }

    /// Finds out whether the port answers within this time: 1 or 0 is the answer to the ticket.
    pub fn ask_ready(self: &Arc<Self>, ticket: u64, port: u16, timeout: Duration) {
        let Some(engine) = self.lock().engine.clone() else { return self.answer(ticket, Some(0)) };
        let (driver, shared) = (self.clone(), engine.clone());
        engine.spawn(async move {
            let answered = tokio::time::timeout(timeout, shared.readiness.until_answered(port)).await;
            driver.answer(ticket, Some(i32::from(matches!(answered, Ok(Ok(()))))));
        });
    }

    fn answer(&self, ticket: u64, answer: Option<i32>) {
        self.uplink.push(Record::Answer { ticket, answer });
        self.uplink.ring();
    }

    /// The next batch of records for JavaScript.
    pub fn take_records(self: &Arc<Self>) -> Vec<Record> {
        let (mut records, recycled) = self.uplink.take();
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

    pub fn lease_chunk(&self, index: usize) -> Option<Arc<crate::leases::Chunk>> {
        self.lock().leases.chunk(index)
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
            core.engine.clone().zip(core.runs.get(&run).and_then(|handle| handle.tail.clone()))
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
            handle.told_port.take().inspect(|port| ports.remove(*port));
            if let Some((engine, unused)) = engine.as_ref().zip(handle.held_port.take()) {
                engine.unused_port(unused);
            }
            handle.port = port;
        }
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Started { pid, port }));
    }

    /// A run was brought back from a snapshot: it is the user's process, and listens where it was told to.
    pub fn restored(self: &Arc<Self>, run: RunId, pid: u32) {
        let mut core = self.lock();
        let Some(handle) = core.runs.get_mut(&run) else { return };
        handle.processes = Processes::External;
        handle.root = Some(Root::Process(pid));
        let port = handle.port;
        self.feed_locked(&mut core, Input::Fact(run, Fact::Restored { pid, port }));
    }

    fn feed_locked(self: &Arc<Self>, core: &mut Core, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut followed = Vec::new();
            for action in core.pool.handle(clock::now(), input, &mut core.leases) {
                followed.extend(self.carry_out(core, action));
            }
            inputs.extend(followed.into_iter().rev());
        }
        self.board.show(core.pool.figures());
        let next_ms = core.pool.next_deadline();
        if next_ms.is_some_and(|next_ms| core.armed_ms.is_none_or(|armed_ms| next_ms < armed_ms)) {
            self.deadline_moved.notify_one();
        }
        if core.abandoned && core.pool.is_empty() {
            self.leave_engine(core, None);
        }
    }

    /// What follows at once, if anything does, is a fact about the same run.
    fn carry_out(self: &Arc<Self>, core: &mut Core, action: Action) -> Option<Input> {
        tracing::trace!(?action);
        match action {
            Action::Start { run, key, fresh } => self.start(core, run, key, fresh),
            Action::Adopt { run, key, call, process } => self.adopt(core, run, key, call, process),
            Action::AskIdle { run, idle_ms } => self.tell(Record::AskIdle { run, idle_ms }),
            Action::Checkpoint { run } => self.tell(Record::Checkpoint { run }),
            Action::LookForConnections => self.look_for_connections(core),
            Action::Probe { run } => self.probe(core, run),
            Action::Stop { run, stage } => self.stop(core, run, stage),
            Action::Observe => self.observe(core),
            Action::Emit(event) => self.emit(core, event),
            Action::Settle { call, outcome } => self.settle(core, call, outcome),
            Action::Release { run } => self.release(core, run),
        }
    }

    fn tell(&self, record: Record) -> Option<Input> {
        self.uplink.push(record);
        None
    }

    fn start(self: &Arc<Self>, core: &mut Core, run: RunId, key: Key, fresh: bool) -> Option<Input> {
        if let Err(error) = self.ensure_engine(core) {
            return not_started(run, format!("the runtime's thread could not be started: {error}"));
        }
        let processes = self.settings.pool.processes;
        let handle = RunHandle {
            key: key.clone(),
            processes,
            port: 0,
            told_port: None,
            held_port: None,
            tail: (processes == Processes::Own).then(Arc::default),
            launched: false,
            has_saved_port: false,
            number: None,
            root: None,
            probe: None,
        };
        core.runs.insert(run, handle);
        self.tell(Record::Prepare { run, key, port: 0, started_at_ms: 0, fresh })
    }

    /// The user's process is a tenant now.
    fn adopt(
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
            key: key.clone(),
            processes: Processes::External,
            port: process.port,
            told_port: None,
            held_port: None,
            tail: None,
            launched: true,
            has_saved_port: false,
            number: None,
            root: Some(Root::Process(process.pid)),
            probe: None,
        };
        core.runs.insert(run, handle);
        self.tell(Record::Adopted { run, call, key })
    }

    /// JavaScript is about to prepare the run: it gets its port now, so that a crowd of starts in one tick does not hold
    /// one each. False if nobody wants it any more, or it cannot be.
    fn prepare(
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
                let handle = core.runs.get_mut(&run).expect("looked up above");
                // From here on the user's `spawn` will be called; a program of ours is launched in a call of its own.
                handle.launched = self.settings.pool.processes == Processes::External;
                handle.port = reserved_port;
                handle.has_saved_port = has_saved_port;
                handle.told_port = Some(handle.port);
                core.ports.insert(handle.port);
                (*port, *started_at_ms) = (handle.port, clock::now().wall_ms);
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
    fn reserve_port(&self, core: &Core) -> std::io::Result<HeldPort> {
        let mut taken = Vec::new();
        // Next to a start of ours a reservation costs nothing; a user's may be a matter of microseconds.
        let stock = core.engine.as_ref().filter(|_| self.settings.pool.processes == Processes::External);
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

    fn ensure_engine(self: &Arc<Self>, core: &mut Core) -> std::io::Result<()> {
        if core.engine.is_none() {
            let engine = Engine::share(self.settings.warden_path.clone())?;
            let driver = self.clone();
            core.timer = Some(engine.spawn(async move { driver.keep_deadlines().await }).abort_handle());
            core.engine = Some(engine);
        }
        Ok(())
    }

    async fn keep_deadlines(self: Arc<Self>) {
        loop {
            let deadline_ms = {
                let mut core = self.lock();
                core.armed_ms = core.pool.next_deadline();
                core.armed_ms
            };
            let Some(deadline_ms) = deadline_ms else {
                self.deadline_moved.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(clock::instant_of(deadline_ms)) => self.feed(Input::Tick),
                () = self.deadline_moved.notified() => {}
            }
        }
    }

    fn probe(self: &Arc<Self>, core: &mut Core, run: RunId) -> Option<Input> {
        if self.settings.custom_readiness {
            self.uplink.push(Record::AskReadiness { run });
            return None;
        }
        let (engine, handle) = (core.engine.clone()?, core.runs.get_mut(&run)?);
        let (driver, port, shared) = (self.clone(), handle.port, engine.clone());
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

    fn stop(self: &Arc<Self>, core: &mut Core, run: RunId, stage: StopStage) -> Option<Input> {
        let handle = core.runs.get_mut(&run)?;
        handle.stop_probing();
        if handle.processes == Processes::External {
            return self.tell(Record::AskKill { run, force: stage == StopStage::Force });
        }
        let stage = match stage {
            StopStage::Ask => warden::StopStage::Terminate,
            StopStage::Force => warden::StopStage::Kill,
        };
        match (handle.number, handle.launched) {
            (Some(number), _) => core.engine.as_ref()?.warden.stop(number, stage),
            // Abandoned before JavaScript had prepared it.
            (None, false) => return Some(Input::Fact(run, called_off())),
            // Its start is under way: the pool stops it when it has come up.
            (None, true) => {}
        }
        None
    }

    fn look_for_connections(self: &Arc<Self>, core: &mut Core) -> Option<Input> {
        let Some(engine) = core.engine.clone() else {
            return Some(Input::Connections { open: Vec::new(), seen: false });
        };
        let ports_of: Vec<(RunId, u16)> = core.runs.iter().map(|(run, handle)| (*run, handle.port)).collect();
        let driver = self.clone();
        engine.spawn(async move {
            let connected = Engine::off_thread(connections::ports).await.and_then(|looked| {
                looked.inspect_err(|error| tracing::warn!(%error, "connections cannot be seen")).ok()
            });
            let seen = connected.is_some();
            let connected = connected.unwrap_or_default();
            let open = ports_of.into_iter().filter(|(_, port)| connected.contains(port));
            driver.feed(Input::Connections { open: open.map(|(run, _)| run).collect(), seen });
        });
        None
    }

    fn observe(self: &Arc<Self>, core: &mut Core) -> Option<Input> {
        let engine = core.engine.clone()?;
        let mut sampler = core.sampler.take()?;
        let (runs, roots): (Vec<RunId>, Vec<Root>) =
            core.runs.iter().filter_map(|(run, handle)| Some((*run, handle.root?))).unzip();
        let driver = self.clone();
        engine.spawn(async move {
            let sampling = Engine::off_thread(move || (sampler.sample(&roots), sampler));
            let (usages, sampler) = sampling.await.unwrap_or_default();
            let observed: Vec<_> =
                runs.into_iter().zip(usages).filter_map(|(run, usage)| Some((run, usage?))).collect();
            for (index, portion) in observed.chunks(OBSERVATIONS_AT_ONCE).enumerate() {
                if index > 0 {
                    tokio::time::sleep(OBSERVATIONS_PAUSE).await;
                }
                let mut core = driver.lock();
                for (run, usage) in portion {
                    let fact = Fact::Sampled { cpu_ms: usage.cpu_ms, rss_bytes: usage.rss_bytes };
                    driver.feed_locked(&mut core, Input::Fact(*run, fact));
                }
                drop(core);
                driver.uplink.ring();
            }
            driver.lock().sampler = Some(sampler);
        });
        None
    }

    fn emit(&self, core: &mut Core, event: Event) -> Option<Input> {
        let record = match event {
            Event::Spawn { run, pid, port } => Record::Spawn { run, pid, port },
            Event::Ready { run, duration_ms } => {
                let handle = core.runs.get_mut(&run)?;
                handle.tail.take().inspect(|tail| lock_tail(tail).forget());
                if handle.processes == Processes::External {
                    handle.held_port = None;
                }
                Record::Ready { run, duration_ms, lease: core.leases.address(run)? }
            }
            Event::Adopt { run, .. } => Record::Adopt { run, lease: core.leases.address(run)? },
            Event::Restored { run, pid, port, duration_ms } => {
                Record::Restored { run, pid, port, duration_ms, lease: core.leases.address(run)? }
            }
            Event::IdleKill { run, idle_ms } => Record::IdleKill { run, idle_ms },
            Event::LruEvict { run } => Record::LruEvict { run },
            Event::Observation { run, cpu_ms, rss_bytes } => {
                Record::Observation { run, cpu_ms, rss_bytes, at_ms: clock::now().wall_ms }
            }
            Event::Exit { run, exit_code, reason } => {
                if reason == ExitReason::Checkpointed {
                    let handle = core.runs.get_mut(&run)?;
                    // The port of a user's process is not held while it runs.
                    let held_port = handle.held_port.take().or_else(|| HeldPort::hold(handle.port).ok());
                    core.saved_ports.insert(handle.key.clone(), (handle.port, held_port));
                }
                Record::Exit { run, exit_code, reason }
            }
            Event::Backoff { key, attempt, retry_after_ms } => {
                Record::Backoff { key, attempt, retry_after_ms }
            }
            Event::Drain => Record::Drain,
        };
        self.tell(record)
    }

    fn settle(self: &Arc<Self>, core: &mut Core, call: CallId, outcome: Outcome) -> Option<Input> {
        let disposing = core.dispose_calls.remove(&call);
        if disposing && outcome == Outcome::Done {
            self.leave_engine(core, Some(call));
            return None;
        }
        if let Outcome::Refused(Refusal::StillTracked { refused }) = &outcome {
            for (run, failure) in refused.iter().cloned() {
                self.uplink.push(Record::NotStopped { run, failure });
            }
        }
        let output = match &outcome {
            Outcome::Refused(Refusal::StartFailed { run: Some(run), .. }) => {
                core.runs.get(run).map(RunHandle::output)
            }
            _ => None,
        };
        self.uplink.push(Record::Settle { call, outcome, output: output.unwrap_or_default() });
        None
    }

    /// Gives the engine back; for the last user its warden is gone before the call is answered.
    fn leave_engine(self: &Arc<Self>, core: &mut Core, call: Option<CallId>) {
        if let Some(timer) = core.timer.take() {
            timer.abort();
            let engine = core.engine.clone().expect("a timer runs on an engine");
            if core.abandoned {
                core.engine = None;
            }
            let driver = self.clone();
            let shared = engine.clone();
            engine.spawn(async move {
                shared.release().await;
                if let Some(call) = call {
                    driver.uplink.push(Record::Disposed { call });
                    driver.uplink.ring();
                }
            });
        } else if let Some(call) = call {
            self.uplink.push(Record::Disposed { call });
        }
    }

    fn release(&self, core: &mut Core, run: RunId) -> Option<Input> {
        if let Some(mut handle) = core.runs.remove(&run) {
            handle.stop_probing();
            handle.told_port.inspect(|port| core.ports.remove(*port));
            if handle.has_saved_port && handle.root.is_none() {
                // Called off before anything came of it: what was saved still listens there.
                core.saved_ports.insert(handle.key, (handle.port, handle.held_port));
            }
        }
        let lease = core.leases.retire(run);
        self.uplink.push(Record::Release { run, lease });
        None
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn let_go_of_foreign(&mut self) {
        self.foreign.drain().filter_map(|(_, (_, watching))| watching).for_each(|watching| watching.abort());
    }
}

impl RunHandle {
    fn stop_probing(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }

    fn output(&self) -> String {
        self.tail.as_ref().map(|tail| lock_tail(tail).text()).unwrap_or_default()
    }
}

fn lock_tail(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_started(run: RunId, reason: String) -> Option<Input> {
    Some(Input::Fact(run, Fact::StartFailed(Failure::NotStarted { reason })))
}

/// A start that nobody wants any more never began.
fn called_off() -> Fact {
    Fact::StartFailed(Failure::NotStarted { reason: "it was stopped before it was started".into() })
}
