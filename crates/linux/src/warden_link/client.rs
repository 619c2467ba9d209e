//! The host's connection to its warden, the process that starts tenants, reaps them and clears
//! their trees (see `crates/warden`). The first launch starts it, and so does the first launch
//! after it was lost.
//!
//! Tenants have the rights and limits that the host had when it started their warden. A host whose
//! rights or limits have changed (it has dropped its privileges, say) starts another warden. The
//! former one exits when its last tenant has ended, and until then stops its tenants as before.

mod connection;
mod errand;
mod inherited;
mod link;
mod outliving;

use rustix::process::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use warden::{Depth, LaunchSpec, LaunchStep, StopStage, host};

use self::connection::{Connection, continue_stopped, open};
use self::errand::{Errand, Order, Packet, Pending};
use self::inherited::InheritedWardens;
use self::outliving::Outliving;
use crate::confine::{self, Traces};
use crate::host::proc_check;
use crate::threads::off_thread::OffThread;
use crate::warden_link::program::Program;
use crate::warden_link::run::Kept;
use crate::warden_link::surroundings::Surroundings;
use crate::warden_link::surviving::Survive;

/// The most launches that hold descriptors which the warden does not have yet: a port, the ends of
/// the pipes and a memory file. Without this bound a thousand starts in one tick would need some
/// six thousand descriptors.
const LAUNCHES_IN_HAND: usize = 64;

/// An answer, which takes milliseconds, is late after this time.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// A tenant to start.
pub struct Launch {
    pub spec: LaunchSpec,
    /// The descriptors of `spec.descriptors`, in that order.
    pub descriptors: Vec<OwnedFd>,
    /// What a surviving warden keeps, with the read ends of the output.
    pub kept: Option<(Kept, [OwnedFd; 2])>,
    /// Dropped when the warden has the descriptors and the host has closed its copies.
    pub turn: Option<Turn>,
}

/// The right to make the descriptors of one launch, from [`WardenClient::turn`]. Dropping it lets
/// the next launch have its turn.
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A start under way.
pub struct Launched {
    /// The number by which [`WardenClient::stop`] knows it.
    pub number: u64,
    /// Whether the program runs.
    pub started: oneshot::Receiver<Result<Started, LaunchError>>,
    /// The end of the whole tree; always comes after a start.
    pub ended: oneshot::Receiver<Ended>,
    /// What comes of [`WardenClient::sleep`] and [`WardenClient::wake`]. Its end means nothing.
    pub rests: mpsc::UnboundedReceiver<Rest>,
}

/// What has come of an order to sleep or to wake, or has become of a tree that slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// No process of the tree runs any more.
    Slept {
        /// Not as deep as was ordered where its memory cannot be handed to swap.
        depth: Depth,
        /// The memory that it has in RAM.
        rss_bytes: u64,
    },
    /// It could not be made to stand, or to stand on, and runs; the number is the operating system's.
    Failed { errno: i32 },
    /// It runs.
    Awake,
    /// It runs without an order, after it has slept. Answers none.
    Stirred,
}

#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub pid: u32,
    pub keeper_pid: u32,
    /// The name of its control group below each parent; 0 if it has none.
    pub group: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// `None` if a signal ended the process, or if the warden was lost and its exit code with it.
    pub exit_code: Option<i32>,
    /// The signal that ended the process, where that is known.
    pub signal: Option<i32>,
    pub cpu_us: Option<u64>,
    /// The tree was killed because it needed more memory than its control group may have.
    pub out_of_memory: bool,
}

/// Why a tenant's program does not run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("its launch could not be prepared: {0}")]
    Prepare(io::Error),
    #[error("{step:?} failed: {error}")]
    Step { step: LaunchStep, error: io::Error },
    #[error("the warden {path:?} could not be started: {error}")]
    Warden { path: PathBuf, error: io::Error },
    #[error("the launch could not be handed to the warden: {0}")]
    HandOver(io::Error),
    #[error("the warden was lost while the process was being started")]
    WardenLost,
    #[error("its program was not reached in time")]
    NoAnswer,
    #[error("{0}")]
    Surroundings(String),
    /// No tenant can be started on this machine as it is set up.
    #[error("{0}")]
    Unsupported(String),
}

impl LaunchError {
    /// Whether another try, with the rights that the host has then, may well succeed.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            LaunchError::WardenLost
                | LaunchError::Surroundings(_)
                | LaunchError::Step { step: LaunchStep::CheckUser, .. }
        )
    }
}

/// The client of the warden, to be used on the engine's runtime.
///
/// Dropping it closes the sockets to the wardens, which then end their tenants and exit;
/// [`close`](Self::close) also waits for that. The tasks of its links end with the runtime.
pub struct WardenClient {
    path: PathBuf,
    off_thread: OffThread,
    /// One connection, unless the host's rights or limits have changed. A closed one stays until
    /// its warden's end has been seen.
    connections: Mutex<Vec<Connection>>,
    inherited: InheritedWardens,
    /// Where wardens that are gone have made something for tenants.
    lost: Arc<Mutex<Traces>>,
    next_number: std::sync::atomic::AtomicU64,
    in_hand: Arc<Semaphore>,
    /// `None`: the wardens end with this host.
    outliving: Option<Outliving>,
}

impl WardenClient {
    /// With `survive` there is one warden, which may outlive this host.
    pub fn new(path: PathBuf, survive: Option<Survive>, off_thread: OffThread) -> Self {
        WardenClient {
            path,
            off_thread,
            connections: Mutex::default(),
            inherited: InheritedWardens::default(),
            lost: Arc::default(),
            next_number: 1.into(),
            in_hand: Arc::new(Semaphore::new(LAUNCHES_IN_HAND)),
            outliving: survive.map(Outliving::new),
        }
    }

    /// Waits, in the order of the calls, until few enough launches hold descriptors that the
    /// warden does not have yet.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed, so this never fails.
        Turn { _permit: self.in_hand.clone().acquire_owned().await.ok() }
    }

    /// Starts a tenant. The result's channels tell whether its program runs, and how it ends.
    pub fn launch(
        &self,
        launch: Launch,
        surroundings: &Surroundings,
    ) -> Result<Launched, LaunchError> {
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let memory_file = host::memory_file(&launch.spec).map_err(LaunchError::HandOver)?;
        let (started, started_receiver) = oneshot::channel();
        let (ended, ended_receiver) = oneshot::channel();
        let (rest, rests) = mpsc::unbounded_channel();
        let pending = Pending { started: Some(started), ended, rest, keeper_pid: 0 };
        let packet = Packet::Launch { launch: Box::new(launch), memory_file };
        self.order(Order { number, packet, pending: Some(pending) }, surroundings)?;
        Ok(Launched { number, started: started_receiver, ended: ended_receiver, rests })
    }

    /// Asks a tenant to end, or kills its tree. Does nothing if it has ended.
    pub fn stop(&self, number: u64, stage: StopStage) {
        // It may overtake an order without harm: a run is stopped only once it has started, and of
        // two stops the later stage counts.
        self.command(number, || Packet::Stop(stage));
    }

    /// Lets a tenant fall asleep, or sleep deeper. Answered by [`Rest::Slept`] or [`Rest::Failed`],
    /// unless it is woken before that, or ends or is asked to.
    pub fn sleep(&self, number: u64, depth: Depth) {
        self.command(number, || Packet::Sleep(depth));
    }

    /// Wakes a tenant. Answered by [`Rest::Awake`], unless it ends or is asked to. May overtake an order
    /// to sleep, which is answered after that then.
    pub fn wake(&self, number: u64) {
        self.command(number, || Packet::Wake);
    }

    /// Only one warden knows the number; the others ignore it.
    fn command(&self, number: u64, packet: impl Fn() -> Packet) {
        for connection in &*self.lock() {
            connection.send_now(number, packet());
            continue_stopped(&connection.process);
        }
    }

    /// Continues the wardens and their keepers, in case they were stopped.
    pub fn continue_helpers(&self) {
        for connection in &*self.lock() {
            continue_stopped(&connection.process);
            let order = Order { number: 0, packet: Packet::Continue, pending: None };
            let _ = connection.errands.send(Errand::Order(order));
        }
    }

    /// Waits until it is known whether the program runs, but at most a second. After that the
    /// warden may have been stopped; it is continued, and `None` is returned.
    pub async fn outcome(
        &self,
        started: &mut oneshot::Receiver<Result<Started, LaunchError>>,
    ) -> Option<Result<Started, LaunchError>> {
        if let Ok(outcome) = tokio::time::timeout(LATE_AFTER, started).await {
            return Some(outcome.unwrap_or(Err(LaunchError::WardenLost)));
        }
        self.lock().iter().for_each(|connection| continue_stopped(&connection.process));
        None
    }

    /// Launches are ordered only on the engine's thread, so two wardens are never started at the
    /// same time.
    fn order(&self, order: Order, surroundings: &Surroundings) -> Result<(), LaunchError> {
        let Some(errand) = self.order_of_open(Errand::Order(order), surroundings) else {
            return Ok(());
        };
        if self.outliving.is_some() {
            // It was lost between `until_met` and this.
            return Err(LaunchError::WardenLost);
        }
        // Without the lock: JavaScript's thread takes it for each stop, and starting a warden
        // lasts until its program is executed.
        let opened = self.open(surroundings)?;
        let mut connections = self.lock();
        for other in &*connections {
            let _ = other.errands.send(Errand::LeaveWhenIdle);
        }
        let sent = opened.errands.send(errand);
        connections.push(opened);
        sent.map_err(|_| LaunchError::WardenLost)
    }

    /// Sends an errand to a warden that runs with these surroundings; returns the errand if there
    /// is none.
    fn order_of_open(&self, mut errand: Errand, surroundings: &Surroundings) -> Option<Errand> {
        let mut connections = self.lock();
        connections.retain(|connection| !connection.closed.is_finished());
        // A surviving warden goes on with what its first host was.
        let is_any = self.outliving.is_some();
        for connection in
            connections.iter().filter(|open| is_any || open.surroundings.are_those_of(surroundings))
        {
            match connection.errands.send(errand) {
                Ok(()) => return None,
                Err(refused) => errand = refused.0,
            }
        }
        Some(errand)
    }

    fn open(&self, surroundings: &Surroundings) -> Result<Connection, LaunchError> {
        proc_check::require_own().map_err(LaunchError::Unsupported)?;
        surroundings.assume().map_err(LaunchError::Surroundings)?;
        let known: Vec<Pid> = self.lock().iter().map(|connection| connection.pid).collect();
        self.inherited.reap_except(&known);
        let opened = Program::held(&self.path).and_then(|program| {
            open(&program, surroundings.clone(), self.off_thread.clone(), self.lost.clone())
        });
        opened.map_err(|error| {
            // No warden will undo what this start has done to the host's own group.
            confine::give_back_place();
            LaunchError::Warden { path: self.path.clone(), error }
        })
    }

    /// Ends every warden, and waits until all are gone.
    pub async fn close(&self) {
        self.leave().await;
        let connections = std::mem::take(&mut *self.lock());
        let closed: Vec<_> = connections.into_iter().map(|connection| connection.closed).collect();
        for closed in closed {
            let _ = closed.await;
        }
        // Not sooner: another warden of this host may be about to use them.
        if self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove_parents() {
            confine::give_back_place();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test(flavor = "current_thread")]
    async fn a_crowd_of_launches_takes_turns_in_holding_descriptors() {
        let warden = WardenClient::new("/no/such/program".into(), None, OffThread::default());
        let mut turns = Vec::new();
        for _ in 0..LAUNCHES_IN_HAND {
            turns.push(warden.turn().await);
        }
        assert!(timeout(SOON, warden.turn()).await.is_err());
        turns.pop();
        turns.push(warden.turn().await);
        assert!(timeout(SOON, warden.turn()).await.is_err());
    }
}
