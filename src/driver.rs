//! Between the pool and the world: every input goes through [`Driver::feed`], every action is carried out here, in
//! order. Decides nothing.
//!
//! The pool is behind a lock and takes its steps on whichever thread has something to say, so that what a call
//! changes can be seen as soon as the call returns. Nothing done under the lock blocks.

use crate::board::Board;
use crate::leases::LeaseTable;
use crate::os::accounting::{Root, Sampler};
use crate::os::clock;
use crate::os::engine::Engine;
use crate::os::logs::Tail;
use crate::os::ports::{HeldPort, PortSet};
use crate::os::readiness::TimedOut;
use crate::os::run::{Program, supervise};
use crate::supervision::Supervision;
use crate::uplink::{Record, Uplink};
use pool::{
    Action, CallId, Config, Event, Fact, Failure, Input, Key, Outcome, Pool, Processes, Refusal, RunId,
};
use pool::{RunMap, Stats, StopStage};
use std::collections::HashSet;
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
    abandoned: bool,
    /// `None` while it takes a sample.
    sampler: Option<Sampler>,
}

/// What is held for a run from its start to its release.
struct RunHandle {
    /// 0 until it is prepared.
    port: u16,
    /// The one it was told, if it has not said that it uses another.
    told_port: Option<u16>,
    held_port: Option<HeldPort>,
    /// Of a process of ours.
    tail: Option<Arc<Mutex<Tail>>>,
    launched: bool,
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
            abandoned: false,
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
        self.feed_locked(&mut core, Input::Abandon);
    }

    /// Lets go of everything after `dispose`; ends the engine's thread if nobody else uses it.
    pub fn close(&self) {
        self.uplink.close();
        let engine = self.lock().engine.take();
        drop(engine);
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
            Action::Start { run, key } => self.start(core, run, key),
            Action::Probe { run } => self.probe(core, run),
            Action::Stop { run, stage } => self.stop(core, run, stage),
            Action::Observe => self.observe(core),
            Action::Emit(event) => self.emit(core, event),
            Action::Settle { call, outcome } => self.settle(core, call, outcome),
            Action::Release { run } => self.release(core, run),
        }
    }

    fn start(self: &Arc<Self>, core: &mut Core, run: RunId, key: Key) -> Option<Input> {
        if let Err(error) = self.ensure_engine(core) {
            return not_started(run, format!("the runtime's thread could not be started: {error}"));
        }
        let handle = RunHandle {
            port: 0,
            told_port: None,
            held_port: None,
            tail: (self.settings.pool.processes == Processes::Own).then(Arc::default),
            launched: false,
            number: None,
            root: None,
            probe: None,
        };
        core.runs.insert(run, handle);
        self.uplink.push(Record::Prepare { run, key, port: 0, started_at_ms: 0 });
        None
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
        if !core.runs.contains_key(&run) {
            return false;
        }
        if !core.pool.is_starting(run) {
            self.feed_locked(core, Input::Fact(run, called_off()));
            return false;
        }
        match self.reserve_port(core) {
            Ok(held_port) => {
                let handle = core.runs.get_mut(&run).expect("looked up above");
                // From here on the user's `spawn` will be called; a program of ours is launched in a call of its own.
                handle.launched = self.settings.pool.processes == Processes::External;
                handle.port = held_port.port();
                handle.told_port = Some(handle.port);
                core.ports.insert(handle.port);
                (*port, *started_at_ms) = (handle.port, clock::now().wall_ms);
                handle.held_port = Some(held_port);
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
        if self.settings.pool.processes == Processes::External {
            self.uplink.push(Record::AskKill { run, force: stage == StopStage::Force });
            return None;
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
                if self.settings.pool.processes == Processes::External {
                    handle.held_port = None;
                }
                Record::Ready { run, duration_ms, lease: core.leases.address(run)? }
            }
            Event::IdleKill { run, idle_ms } => Record::IdleKill { run, idle_ms },
            Event::LruEvict { run } => Record::LruEvict { run },
            Event::Observation { run, cpu_ms, rss_bytes } => {
                Record::Observation { run, cpu_ms, rss_bytes, at_ms: clock::now().wall_ms }
            }
            Event::Exit { run, exit_code, reason } => Record::Exit { run, exit_code, reason },
            Event::Backoff { key, attempt, retry_after_ms } => {
                Record::Backoff { key, attempt, retry_after_ms }
            }
            Event::Drain => Record::Drain,
        };
        self.uplink.push(record);
        None
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
        }
        let lease = core.leases.retire(run);
        self.uplink.push(Record::Release { run, lease });
        None
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
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
