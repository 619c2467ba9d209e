//! Between the pool and the machine: every input goes through [`Driver::feed`], and every action
//! that the pool returns is carried out here, in order. The driver decides nothing.
//!
//! The pool is behind a lock and takes its steps on the thread that has the input, so that what a
//! call changes can be seen as soon as the call returns. Nothing done under the lock blocks.

#![deny(unsafe_code)]
#![allow(
    missing_docs,
    reason = "the addon is its one user; what is not plain from its name is documented"
)]

mod admission;
pub mod board;
pub mod callers;
pub mod confinement;
mod core;
mod deadlines;
pub mod directory;
mod ending;
mod engine_use;
mod foreign;
pub mod holds;
pub mod leases;
pub mod machine;
mod port_assignment;
mod port_book;
mod readiness;
pub mod recipe;
pub mod reports;
mod run_handle;
mod shortage;
mod sleep;
mod starts;
mod stopping;
mod supervision;
mod survival;
pub mod tenant_facts;
pub mod tenant_settings;
pub mod uplink;
pub mod users;

use crate::board::Board;
use crate::callers::Callers;
use crate::core::Core;
use crate::directory::Directory;
use crate::engine_use::EngineUse;
use crate::holds::Holds;
use crate::leases::LeaseTable;
use crate::machine::{Linux, Machine};
use crate::port_book::PortBook;
use crate::recipe::{Host, Recipe};
use crate::reports::SAMPLED_AT_ONCE;
pub use crate::survival::DetachReason;
use crate::survival::Survival;
use crate::uplink::Uplink;
use linux::process::accounting::Sampler;
use linux::warden_link::surviving::Survive;
use pool::{CallId, Config, Input, Key, Now, Pool, RunId, RunMap, Stats, Status};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The options of one runtime, validated and complete.
pub struct Settings {
    pub pool: Config,
    /// What the runtime's own processes are started with.
    pub recipe: Recipe,
    /// The helper program beside the addon.
    pub warden_path: PathBuf,
    /// The user has given `onLog`. Without it, log lines are read and dropped, until
    /// [`Driver::hear_logs`].
    pub has_log: bool,
    /// The user's `readiness` is called instead of asking the port.
    pub custom_readiness: bool,
    /// Functions of the user's say what each start is like: JavaScript calls [`Driver::rule`]
    /// before it launches a run.
    pub asks_for_settings: bool,
    /// How long a start waits for its port to answer, unless it has a setting of its own.
    pub readiness_timeout: Duration,
    /// Tenants may outlive their host.
    pub survive: Option<Survive>,
    /// Memory is short when less than this is free; `None`: it is not looked at.
    pub keep_free_bytes: Option<u64>,
}

/// The handle of one runtime. `M` is the machine that it drives.
///
/// **Methods by section.** Inputs and queries: this file. Starts, and batches of records:
/// `starts.rs`; their ports: `port_assignment.rs`. Readiness: `readiness.rs`. Stops:
/// `stopping.rs`. Sleep: `sleep.rs`. Short memory: `shortage.rs`. Tenants that outlive their host: `survival.rs`. Usage, events and answers: `reports.rs`. Callers in Rust: `callers.rs`. What
/// a fleet asks: `admission.rs`, `holds.rs`, `tenant_facts.rs`. The
/// directory: `directory.rs`. Processes that the runtime did not start: `foreign.rs`. Variables
/// and programs: `recipe.rs`. Deadlines: `deadlines.rs`. The engine: `engine_use.rs`. The end:
/// `ending.rs`.
///
/// **Dropping.** Tasks of the engine hold the driver, so it lives until [`close`](Self::close) or
/// until all processes have ended after [`abandon`](Self::abandon). Dropping a reference ends
/// nothing.
///
/// **A panic** in a task of the engine ends this task alone, and one under the lock leaves the
/// state as it stands: the lock is taken all the same, so that `dispose` can still end the
/// processes.
///
/// **Closing.** [`dispose`](Self::dispose) stops all processes and is answered by a record when
/// nothing is left; `close` comes after that answer, and joins the engine's thread if this runtime
/// was the last to use it. `abandon` is the end without JavaScript: processes are stopped, and no
/// record is queued any more.
pub struct Driver<M: Machine = Linux> {
    machine: Arc<M>,
    settings: Settings,
    pub uplink: Uplink,
    pub board: Arc<Board>,
    pub directory: Directory,
    hears_logs: AtomicBool,
    core: Mutex<Core<M>>,
    deadline_moved: Notify,
}

impl Driver {
    /// A driver of this machine. `ring` is called when records wait; see [`Uplink::new`].
    pub fn new(settings: Settings, ring: impl Fn() + Send + Sync + 'static) -> Arc<Driver> {
        let machine = Linux::new(settings.warden_path.clone(), settings.survive.clone());
        Driver::with(Arc::new(machine), settings, ring)
    }
}

impl<M: Machine> Driver<M> {
    /// A driver of the given machine.
    pub fn with(
        machine: Arc<M>,
        settings: Settings,
        ring: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Driver<M>> {
        let clock = machine.clone();
        let core = Core {
            pool: Pool::new(settings.pool.clone()),
            leases: LeaseTable::new(Arc::new(move || clock.wall_ms())),
            callers: Callers::default(),
            holds: Holds::default(),
            hears_of_tenants: None,
            runs: RunMap::default(),
            ports: PortBook::default(),
            host: Host::default(),
            engine: EngineUse::NotYet,
            root_claim: None,
            armed_ms: None,
            asked: BTreeSet::new(),
            dispose_calls: BTreeSet::new(),
            foreign: HashMap::new(),
            abandoned: false,
            absences: machine.last_absence().0,
            sampler: Some(Sampler::default()),
            looking_sampler: Some(Sampler::default()),
            to_sample: None,
            survival: settings.survive.is_some().then(|| Box::new(Survival::default())),
            sleeping: settings.pool.sleep.is_some().then(Box::default),
        };
        let board: Arc<Board> = Arc::default();
        Arc::new(Driver {
            machine,
            hears_logs: AtomicBool::new(settings.has_log),
            settings,
            uplink: Uplink::new(board.clone(), ring),
            board,
            directory: Directory::default(),
            core: Mutex::new(core),
            deadline_moved: Notify::new(),
        })
    }

    /// Takes one step of the pool and carries out its actions. Records for JavaScript are queued,
    /// and the bell is not rung.
    pub fn feed_quietly(self: &Arc<Self>, input: Input) {
        self.feed_locked(&mut self.lock(), input);
    }

    /// Takes one step of the pool, as `feed_quietly` does, and rings for JavaScript.
    pub fn feed(self: &Arc<Self>, input: Input) {
        self.feed_quietly(input);
        self.uplink.ring();
    }

    /// From now on a tenant that is in use when it is to end has so long for its uses to end before
    /// it is asked; 0 (the default) none. Whoever serves tenants to others sets it.
    pub fn set_drain_ms(self: &Arc<Self>, ms: u64) {
        self.feed_quietly(Input::DrainTime { ms });
    }

    /// Whether the lines of processes that are started from now on go to JavaScript.
    fn hears_logs(&self) -> bool {
        self.hears_logs.load(Relaxed)
    }

    /// From now on JavaScript takes the lines of processes that are started, with or without
    /// `onLog`.
    pub fn hear_logs(&self) {
        self.hears_logs.store(true, Relaxed);
    }

    pub fn stats(&self) -> Stats {
        self.lock().pool.stats(self.now())
    }

    /// The status of the key. A tenant that has just become ready is sampled in this call, so that
    /// its usage is never missing.
    pub fn status(self: &Arc<Self>, key: &str) -> Option<Status> {
        let mut status = self.lock().pool.status(key, self.now())?;
        self.fill_usage(&mut status);
        Some(status)
    }

    /// The statuses of all keys. Of the tenants that have not been sampled yet, as many as
    /// [`SAMPLED_AT_ONCE`] are sampled in this call.
    pub fn statuses(self: &Arc<Self>) -> Vec<Status> {
        let mut statuses = self.lock().pool.statuses(self.now());
        let unknown =
            statuses.iter_mut().filter(|status| status.run.is_some() && status.usage.is_none());
        unknown.take(SAMPLED_AT_ONCE).for_each(|status| self.fill_usage(status));
        statuses
    }

    /// Whether an `ensure` of the key could lead to a start that no call before it has asked for.
    pub fn may_start(&self, key: &str) -> bool {
        self.lock().pool.may_start(key, self.now())
    }

    /// Whether the run is being started and has not been called off.
    pub fn is_starting(&self, run: RunId) -> bool {
        self.lock().pool.is_starting(run)
    }

    /// Whether the key's image is to be dropped. JavaScript asks after `close`, when no record can
    /// say so.
    pub fn is_dropping_image(&self, key: &str) -> bool {
        self.lock().pool.is_dropping_image(key)
    }

    /// Ends the waiting of a call. Returns false if the call was answered already, and its answer
    /// is on the way.
    pub fn abort(self: &Arc<Self>, key: Key, call: CallId) -> bool {
        let mut core = self.lock();
        let was_waiting =
            core.is_held(call) || core.holds.has_call(call) || core.pool.is_waiting(&key, call);
        self.feed_locked(&mut core, Input::Abort { key, call });
        was_waiting
    }

    /// The memory of the leases in this chunk; `None` if there is no such chunk.
    pub fn lease_chunk(&self, index: usize) -> Option<Arc<leases::Chunk>> {
        self.lock().leases.chunk(index)
    }

    /// The current time on both clocks that the pool uses.
    fn now(&self) -> Now {
        Now { steady_ms: self.machine.steady_ms(), wall_ms: self.machine.wall_ms() }
    }

    fn lock(&self) -> MutexGuard<'_, Core<M>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
