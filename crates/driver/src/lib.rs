//! Between the pool and the world: every input goes through [`Driver::feed`], every action is carried out here, in
//! order. Decides nothing.
//!
//! The pool is behind a lock and takes its steps on whichever thread has something to say, so that what a call
//! changes can be seen as soon as the call returns. Nothing done under the lock blocks.

#![deny(unsafe_code)]
#![allow(missing_docs, reason = "the addon is its one user; what is not plain from its name is documented")]

pub mod board;
mod ending;
mod foreign;
pub mod leases;
mod port_book;
mod readiness;
mod reports;
mod starts;
mod supervision;
pub mod uplink;

use crate::board::Board;
use crate::leases::LeaseTable;
use crate::uplink::{Record, Uplink};
use ending::EngineUse;
use foreign::Watched;
use linux::engine::Engine;
use linux::net::ports::HeldPort;
use linux::output::lines::Tail;
use linux::process::accounting::{Root, Sampler};
use linux::process::root_claim::{Claimed, RootClaim};
use linux::threads::clock::{self, Sleep};
use pool::{
    Action, CallId, Config, Fact, Failure, Input, Key, Now, Pool, Processes, RunId, RunMap, Stats, Status,
    StopStage,
};
use port_book::PortBook;
use reports::SAMPLED_AT_ONCE;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Continuing all keepers costs a system call each; a shorter interval of the user's is for idle tenants.
const SWEEP_INTERVAL_MIN_MS: u64 = 100;

/// What one runtime is made of, besides the pool's rules.
pub struct Settings {
    pub pool: Config,
    /// The tenants' directories are below it.
    pub root: PathBuf,
    /// The helper program beside the addon.
    pub warden_path: PathBuf,
    /// Somebody wants the log lines.
    pub has_log: bool,
    /// The user's `readiness` is asked instead of the port.
    pub custom_readiness: bool,
    /// How long the port is asked.
    pub readiness_timeout: Duration,
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
    /// In boxes, as in the pool.
    runs: RunMap<Box<RunHandle>>,
    ports: PortBook<HeldPort>,
    engine: EngineUse,
    /// Held while the engine is used, if no other runtime had the root first.
    root_claim: Option<RootClaim>,
    /// The deadline that the timer sleeps until.
    armed_ms: Option<u64>,
    /// A tree, as below: nearly always empty, and to look into one that is costs nothing.
    dispose_calls: BTreeSet<CallId>,
    /// Processes of somebody else, by the ticket that their end is the answer to. Nobody watches for it any more when the
    /// runtime is closed.
    foreign: HashMap<u64, Watched>,
    abandoned: bool,
    /// Times in which the host did not run that the pool knows of.
    absences: u64,
    /// `None` while it takes a sample.
    sampler: Option<Sampler>,
    /// Runs that are to be sampled alone; `None` while nobody does.
    to_sample: Option<Vec<RunId>>,
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
    /// Told of a forced stop of a process of ours.
    forced: Option<Arc<Notify>>,
    /// Its port is the one that its key was saved with.
    has_saved_port: bool,
    /// How the warden knows it.
    number: Option<u64>,
    root: Option<Root>,
    /// When it was prepared, in milliseconds since the machine was started.
    prepared_since_boot_ms: u64,
    /// The user's process stands for something elsewhere, which has the port.
    is_elsewhere: bool,
    was_ready: bool,
    /// It answers at `::1`, and not at 127.0.0.1.
    at_ipv6: bool,
    probe: Option<AbortHandle>,
}

impl Driver {
    pub fn new(settings: Settings, ring: impl Fn() + Send + Sync + 'static) -> Arc<Driver> {
        let core = Core {
            pool: Pool::new(settings.pool.clone()),
            leases: LeaseTable::default(),
            runs: RunMap::default(),
            ports: PortBook::default(),
            engine: EngineUse::NotYet,
            root_claim: None,
            armed_ms: None,
            dispose_calls: BTreeSet::new(),
            foreign: HashMap::new(),
            abandoned: false,
            absences: clock::last_absence().0,
            sampler: Some(Sampler::default()),
            to_sample: None,
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
        self.lock().pool.stats(now())
    }

    /// With figures from the first moment on.
    pub fn status(self: &Arc<Self>, key: &str) -> Option<Status> {
        let mut status = self.lock().pool.status(key, now())?;
        self.complete(&mut status);
        Some(status)
    }

    pub fn statuses(self: &Arc<Self>) -> Vec<Status> {
        let mut statuses = self.lock().pool.statuses(now());
        let unknown = statuses.iter_mut().filter(|status| status.run.is_some() && status.usage.is_none());
        unknown.take(SAMPLED_AT_ONCE).for_each(|status| self.complete(status));
        statuses
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

    pub fn lease_chunk(&self, index: usize) -> Option<Arc<leases::Chunk>> {
        self.lock().leases.chunk(index)
    }

    fn feed_locked(self: &Arc<Self>, core: &mut Core, input: Input) {
        let mut next = Some(input);
        // What follows from a step comes before what follows from those before it, in its order.
        let mut following = Vec::new();
        while let Some(input) = next {
            let first = following.len();
            for action in core.pool.handle(now(), input, &mut core.leases) {
                following.extend(self.carry_out(core, action));
            }
            following[first..].reverse();
            next = following.pop();
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
            Action::Start { run, key, fresh, .. } => self.start(core, run, key, fresh),
            Action::Adopt { run, key, call, process } => self.adopt(core, run, key, call, process),
            Action::AskIdle { run, idle_ms } => self.tell(Record::AskIdle { run, idle_ms }),
            Action::Checkpoint { run } => self.tell(Record::Checkpoint { run }),
            Action::LookForConnections => self.look_for_connections(core),
            Action::Probe { run } => self.probe(core, run),
            Action::Stop { run, stage } => self.stop(core, run, stage),
            Action::Clear { run } => self.clear(core, run),
            Action::Observe => self.observe(core),
            Action::Sample { run } => self.sample(core, run),
            Action::Emit(event) => self.emit(core, event),
            Action::Settle { call, outcome } => self.settle(core, call, outcome),
            Action::Release { run } => self.release(core, run),
        }
    }

    fn tell(&self, record: Record) -> Option<Input> {
        self.uplink.push(record);
        None
    }

    fn ensure_engine(self: &Arc<Self>, core: &mut Core) -> io::Result<Arc<Engine>> {
        match &core.engine {
            EngineUse::InUse { engine, .. } => Ok(engine.clone()),
            EngineUse::Ending { .. } | EngineUse::Over(_) => Err(io::Error::other("the runtime is closed")),
            EngineUse::NotYet => {
                let engine = Engine::share(self.settings.warden_path.clone())?;
                let driver = self.clone();
                let timer = engine.spawn(async move {
                    tokio::join!(driver.keep_deadlines(), driver.sweep());
                });
                let timer = timer.abort_handle();
                core.engine = EngineUse::InUse { engine: engine.clone(), timer };
                self.claim_root(&engine);
                Ok(engine)
            }
        }
    }

    /// Finds out, off all threads that have something else to do, whether another runtime starts the same tenants.
    fn claim_root(self: &Arc<Self>, engine: &Arc<Engine>) {
        let (driver, off_thread) = (self.clone(), engine.off_thread.clone());
        engine.spawn(async move {
            let root = driver.settings.root.clone();
            match off_thread.run(move || RootClaim::try_new(&root)).await.and_then(|claimed| claimed) {
                Ok(Claimed::First(claim)) => {
                    let mut core = driver.lock();
                    core.root_claim = core.engine.engine().map(|_| claim);
                }
                Ok(Claimed::Taken(pid)) => {
                    driver.uplink.push(Record::SharedRoot { pid });
                    driver.uplink.ring();
                }
                Err(error) => tracing::debug!(%error, "whether the root is shared cannot be found out"),
            }
        });
    }

    async fn keep_deadlines(self: &Arc<Self>) {
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
                is_due = clock::sleep_until(deadline_ms, how) => {
                    self.notice_absence();
                    if is_due {
                        self.feed(Input::Tick);
                    }
                }
                () = self.deadline_moved.notified() => {}
            }
        }
    }

    /// The warden, or a keeper, may have been stopped while nobody asks anything of it.
    async fn sweep(&self) {
        let interval_ms = self.settings.pool.sweep_interval_ms.max(SWEEP_INTERVAL_MIN_MS);
        loop {
            tokio::time::sleep(Duration::from_millis(interval_ms)).await;
            let core = self.lock();
            if let Some(engine) = core.engine.engine().filter(|_| !core.runs.is_empty()) {
                engine.warden.continue_helpers();
            }
        }
    }

    /// Tells the pool if the host did not run for a while.
    fn notice_absence(self: &Arc<Self>) {
        let mut core = self.lock();
        let (absences, (from_ms, to_ms)) = clock::last_absence();
        if std::mem::replace(&mut core.absences, absences) != absences {
            self.feed_locked(&mut core, Input::Absent { from_ms, to_ms });
            drop(core);
            self.uplink.ring();
        }
    }

    fn stop(self: &Arc<Self>, core: &mut Core, run: RunId, stage: StopStage) -> Option<Input> {
        let handle = core.runs.get_mut(&run)?;
        handle.stop_probing();
        if handle.processes == Processes::External {
            return self.tell(Record::AskKill { run, force: stage == StopStage::Force });
        }
        let stage = match stage {
            StopStage::Ask => warden::StopStage::Terminate,
            StopStage::Force => {
                handle.forced.iter().for_each(|forced| forced.notify_one());
                warden::StopStage::Kill
            }
        };
        match (handle.number, handle.launched) {
            (Some(number), _) => core.engine.engine()?.warden.stop(number, stage),
            // Abandoned before JavaScript had prepared it.
            (None, false) => return Some(Input::Fact(run, called_off())),
            // Its start is under way: the pool stops it when it has come up.
            (None, true) => {}
        }
        None
    }

    /// Its keeper does this by itself, unless it was stopped: an order continues it.
    fn clear(&self, core: &mut Core, run: RunId) -> Option<Input> {
        let number = core.runs.get(&run)?.number?;
        core.engine.engine()?.warden.stop(number, warden::StopStage::Kill);
        None
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunHandle {
    /// Nothing has been done for it yet.
    fn new(key: Key, processes: Processes) -> RunHandle {
        RunHandle {
            key,
            processes,
            port: 0,
            told_port: None,
            held_port: None,
            tail: (processes == Processes::Own).then(Arc::default),
            launched: false,
            forced: None,
            has_saved_port: false,
            number: None,
            root: None,
            prepared_since_boot_ms: 0,
            is_elsewhere: false,
            was_ready: false,
            at_ipv6: false,
            probe: None,
        }
    }

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
    Fact::StartFailed(Failure::CalledOff)
}

/// The moment, as the pool counts time.
fn now() -> Now {
    Now { steady_ms: clock::steady_ms(), wall_ms: clock::wall_ms() }
}
