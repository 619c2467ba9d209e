//! Between the pool and the world: every input goes through [`Driver::feed`], every action is
//! carried out here, in order. Decides nothing.
//!
//! The pool is behind a lock and takes its steps on whichever thread has something to say, so that
//! what a call changes can be seen as soon as the call returns. Nothing done under the lock blocks.

#![deny(unsafe_code)]
#![allow(missing_docs, reason = "the addon is its one user; what is not plain from its name is documented")]

pub mod board;
pub mod callers;
mod core;
mod deadlines;
pub mod directory;
mod ending;
mod engine_use;
mod foreign;
pub mod leases;
pub mod machine;
mod port_book;
mod readiness;
pub mod recipe;
mod reports;
mod run_handle;
mod starts;
mod stopping;
mod supervision;
pub mod uplink;

use crate::board::Board;
use crate::callers::Callers;
use crate::core::Core;
use crate::directory::Directory;
use crate::engine_use::EngineUse;
use crate::leases::LeaseTable;
use crate::machine::{Linux, Machine};
use crate::port_book::PortBook;
use crate::recipe::{Host, Recipe};
use crate::reports::SAMPLED_AT_ONCE;
use crate::uplink::Uplink;
use linux::process::accounting::Sampler;
use pool::{CallId, Config, Input, Key, Now, Pool, RunId, RunMap, Stats, Status};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What one runtime is made of, besides the pool's rules.
pub struct Settings {
    pub pool: Config,
    /// What tenants of ours are started with.
    pub recipe: Recipe,
    /// The helper program beside the addon.
    pub warden_path: PathBuf,
    /// Somebody wants the log lines.
    pub has_log: bool,
    /// The user's `readiness` is asked instead of the port.
    pub custom_readiness: bool,
    /// How long the port is asked.
    pub readiness_timeout: Duration,
}

/// See the module. `M` is what it drives.
pub struct Driver<M: Machine = Linux> {
    machine: Arc<M>,
    settings: Settings,
    pub uplink: Uplink,
    pub board: Arc<Board>,
    pub directory: Directory,
    core: Mutex<Core<M>>,
    deadline_moved: Notify,
}

impl Driver {
    /// One that drives this machine.
    pub fn new(settings: Settings, ring: impl Fn() + Send + Sync + 'static) -> Arc<Driver> {
        let machine = Linux { warden_path: settings.warden_path.clone() };
        Driver::with(Arc::new(machine), settings, ring)
    }
}

impl<M: Machine> Driver<M> {
    /// One that drives that machine.
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
            runs: RunMap::default(),
            ports: PortBook::default(),
            host: Host::default(),
            engine: EngineUse::NotYet,
            root_claim: None,
            armed_ms: None,
            dispose_calls: BTreeSet::new(),
            foreign: HashMap::new(),
            abandoned: false,
            absences: machine.last_absence().0,
            sampler: Some(Sampler::default()),
            to_sample: None,
        };
        let board: Arc<Board> = Arc::default();
        Arc::new(Driver {
            machine,
            settings,
            uplink: Uplink::new(board.clone(), ring),
            board,
            directory: Directory::default(),
            core: Mutex::new(core),
            deadline_moved: Notify::new(),
        })
    }

    /// Takes a step of the pool and carries out what comes of it. Records for JavaScript are
    /// queued, not announced.
    pub fn feed_quietly(self: &Arc<Self>, input: Input) {
        self.feed_locked(&mut self.lock(), input);
    }

    /// The same, and JavaScript is told.
    pub fn feed(self: &Arc<Self>, input: Input) {
        self.feed_quietly(input);
        self.uplink.ring();
    }

    pub fn stats(&self) -> Stats {
        self.lock().pool.stats(self.now())
    }

    /// With figures from the first moment on.
    pub fn status(self: &Arc<Self>, key: &str) -> Option<Status> {
        let mut status = self.lock().pool.status(key, self.now())?;
        self.complete(&mut status);
        Some(status)
    }

    pub fn statuses(self: &Arc<Self>) -> Vec<Status> {
        let mut statuses = self.lock().pool.statuses(self.now());
        let unknown = statuses.iter_mut().filter(|status| status.run.is_some() && status.usage.is_none());
        unknown.take(SAMPLED_AT_ONCE).for_each(|status| self.complete(status));
        statuses
    }

    /// Whether an `ensure` of the key could lead to a start that no call before it has asked for.
    pub fn may_start(&self, key: &str) -> bool {
        self.lock().pool.may_start(key, self.now())
    }

    /// Whether the run is still to be started.
    pub fn is_starting(&self, run: RunId) -> bool {
        self.lock().pool.is_starting(run)
    }

    /// Whether the key's image is to be dropped: after `close`, when no record can say so.
    pub fn is_dropping_image(&self, key: &str) -> bool {
        self.lock().pool.is_dropping_image(key)
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

    /// The moment, as the pool counts time.
    fn now(&self) -> Now {
        Now { steady_ms: self.machine.steady_ms(), wall_ms: self.machine.wall_ms() }
    }

    fn lock(&self) -> MutexGuard<'_, Core<M>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
