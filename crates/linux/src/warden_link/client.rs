//! The host's connection to its warden: one process that starts tenants, reaps them and clears their trees (see
//! `crates/warden`). Started with the first launch, and again with the next one after it was lost.
//!
//! What a warden starts has the rights and limits that the host had when it started the warden. A host that has others by
//! now (it has dropped its privileges, say) gets another warden; the one before goes when its last tenant has ended, and
//! until then stops these as ever.

mod heirs;
mod link;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use warden::{LaunchSpec, LaunchStep, StopStage, host};

use self::heirs::Heirs;
use self::link::Link;
use crate::host::proc_check;
use crate::process::orphans;
use crate::threads::off_thread::OffThread;
use crate::threads::watched::watch_shared;
use crate::warden_link::program::Program;
use crate::warden_link::surroundings::Surroundings;

/// What an idle warden gets to exit after its socket was closed, before it is killed.
const EXIT_GRACE_MS: u64 = 2_000;

/// Launches that are in hand at once: each has its port, the ends of its pipes and a memory file, and gives most of them
/// up when the warden has them. A thousand starts in one tick would need some six thousand descriptors otherwise.
const LAUNCHES_IN_HAND: usize = 64;

/// After so long an answer that takes milliseconds is late.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// A tenant to start.
pub struct Launch {
    pub spec: LaunchSpec,
    /// Those that `spec` speaks of, in its order.
    pub descriptors: Vec<OwnedFd>,
    /// Given back when the warden has the descriptors, and the host has closed them.
    pub turn: Option<Turn>,
}

/// The right to make the descriptors of one launch: see [`WardenClient::turn`].
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
}

#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub pid: u32,
    pub keeper_pid: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// `None` when a signal ended the process, or when nobody knows because the warden was lost.
    pub exit_code: Option<i32>,
    /// The one that ended it, where that is known.
    pub signal: Option<i32>,
    pub cpu_us: Option<u64>,
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
    /// Nothing can be started on this machine as it is set up.
    #[error("{0}")]
    Unsupported(String),
}

impl LaunchError {
    /// Whether another try, with what the host is by then, may well succeed.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            LaunchError::WardenLost
                | LaunchError::Surroundings(_)
                | LaunchError::Step { step: LaunchStep::CheckUser, .. }
        )
    }
}

/// What the warden's link is told.
enum Errand {
    Order(Order),
    /// There is another warden for what comes. A launch all the same calls this off.
    LeaveWhenIdle,
}

struct Order {
    number: u64,
    packet: Packet,
    /// Who waits for what comes of a launch.
    pending: Option<Pending>,
}

enum Packet {
    Launch { launch: Launch, memory_file: OwnedFd },
    Stop(StopStage),
    Continue,
}

impl Packet {
    fn send(&self, socket: &OwnedFd, number: u64) -> io::Result<()> {
        match self {
            Packet::Launch { launch, memory_file } => {
                let descriptors: Vec<_> = launch.descriptors.iter().map(AsFd::as_fd).collect();
                host::send_launch(socket, number, memory_file.as_fd(), &descriptors)
            }
            Packet::Stop(stage) => host::send_stop(socket, number, *stage),
            Packet::Continue => host::send_continue(socket),
        }
    }
}

struct Pending {
    started: Option<oneshot::Sender<Result<Started, LaunchError>>>,
    ended: oneshot::Sender<Ended>,
    /// 0 until it is known.
    keeper_pid: u32,
}

/// See the module. Must be used on the engine's runtime.
pub struct WardenClient {
    path: PathBuf,
    off_thread: OffThread,
    /// One, unless the host has changed its rights or limits. Those that are closed stay until their end has been seen.
    connections: Mutex<Vec<Connection>>,
    heirs: Heirs,
    next_number: std::sync::atomic::AtomicU64,
    in_hand: Arc<Semaphore>,
}

struct Connection {
    surroundings: Surroundings,
    pid: Pid,
    process: Arc<OwnedFd>,
    /// Of the link, which alone decides when it is closed.
    socket: Weak<OwnedFd>,
    errands: mpsc::UnboundedSender<Errand>,
    closed: tokio::task::JoinHandle<()>,
}

impl WardenClient {
    pub fn new(path: PathBuf, off_thread: OffThread) -> Self {
        WardenClient {
            path,
            off_thread,
            connections: Mutex::default(),
            heirs: Heirs::default(),
            next_number: 1.into(),
            in_hand: Arc::new(Semaphore::new(LAUNCHES_IN_HAND)),
        }
    }

    /// Waits, first come first served, until no more than a few launches hold descriptors that the warden does not have.
    pub async fn turn(&self) -> Turn {
        // It is never closed.
        Turn { _permit: self.in_hand.clone().acquire_owned().await.ok() }
    }

    /// Starts a tenant. What comes of it is in the result's channels.
    pub fn launch(&self, launch: Launch, surroundings: &Surroundings) -> Result<Launched, LaunchError> {
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let memory_file = host::memory_file(&launch.spec).map_err(LaunchError::HandOver)?;
        let (started, started_receiver) = oneshot::channel();
        let (ended, ended_receiver) = oneshot::channel();
        let pending = Pending { started: Some(started), ended, keeper_pid: 0 };
        let packet = Packet::Launch { launch, memory_file };
        self.order(Order { number, packet, pending: Some(pending) }, surroundings)?;
        Ok(Launched { number, started: started_receiver, ended: ended_receiver })
    }

    /// Asks a tenant to end, or ends it. Nothing happens if it has ended.
    pub fn stop(&self, number: u64, stage: StopStage) {
        // Only one of them knows the number; to the others it means nothing.
        for connection in &*self.lock() {
            let packet = Packet::Stop(stage);
            // From this thread if there is room: on a busy machine the engine's may wait long for a processor. That it overtakes
            // an order does no harm: a run is stopped once it is known to have started, and of two stops the later stage counts.
            let is_sent =
                connection.socket.upgrade().is_some_and(|socket| packet.send(&socket, number).is_ok());
            if !is_sent {
                // A lost warden ends its tenants by itself.
                let order = Order { number, packet, pending: None };
                let _ = connection.errands.send(Errand::Order(order));
            }
            wake(&connection.process);
        }
    }

    /// Continues the wardens and their keepers, in case they were stopped.
    pub fn continue_helpers(&self) {
        for connection in &*self.lock() {
            wake(&connection.process);
            let order = Order { number: 0, packet: Packet::Continue, pending: None };
            let _ = connection.errands.send(Errand::Order(order));
        }
    }

    /// Waits until it is known whether the program runs, but for no longer than a second: if it is not known then, whoever
    /// should have said it may have been stopped, and is continued.
    pub async fn outcome(
        &self,
        started: &mut oneshot::Receiver<Result<Started, LaunchError>>,
    ) -> Option<Result<Started, LaunchError>> {
        if let Ok(outcome) = tokio::time::timeout(LATE_AFTER, started).await {
            return Some(outcome.unwrap_or(Err(LaunchError::WardenLost)));
        }
        self.lock().iter().for_each(|connection| wake(&connection.process));
        None
    }

    /// Only the engine's thread gives launches, so there is never another warden being started at the same time.
    fn order(&self, order: Order, surroundings: &Surroundings) -> Result<(), LaunchError> {
        let Some(errand) = self.order_of_open(Errand::Order(order), surroundings) else { return Ok(()) };
        // Not under the lock: JavaScript's thread takes it for each stop, and a start lasts until the program is executed.
        let opened = self.open(surroundings)?;
        let mut connections = self.lock();
        for other in &*connections {
            let _ = other.errands.send(Errand::LeaveWhenIdle);
        }
        let sent = opened.errands.send(errand);
        connections.push(opened);
        sent.map_err(|_| LaunchError::WardenLost)
    }

    /// Gives it to a warden that there is, or back.
    fn order_of_open(&self, mut errand: Errand, surroundings: &Surroundings) -> Option<Errand> {
        let mut connections = self.lock();
        connections.retain(|connection| !connection.closed.is_finished());
        for connection in connections.iter().filter(|open| open.surroundings.are_those_of(surroundings)) {
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
        self.heirs.reap_except(&known);
        let opened = Program::held(&self.path)
            .and_then(|program| open(&program, surroundings.clone(), self.off_thread.clone()));
        opened.map_err(|error| LaunchError::Warden { path: self.path.clone(), error })
    }

    /// Ends every warden and waits until it is gone.
    pub async fn close(&self) {
        let connections = std::mem::take(&mut *self.lock());
        let closed: Vec<_> = connections.into_iter().map(|connection| connection.closed).collect();
        for closed in closed {
            let _ = closed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Continues a warden that somebody has stopped, so that it sees what it is sent. If the host ends, the kernel does this.
fn wake(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::CONT);
}

/// Starts a warden. Its address space is small and std starts it without forking, so the size of the host does not
/// matter; what else it inherits it puts right itself.
#[allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]
fn open(program: &Program, surroundings: Surroundings, off_thread: OffThread) -> io::Result<Connection> {
    let (ours, theirs) = host::connection()?;
    let mut command = std::process::Command::new(program.executable()?);
    command
        .arg0(program.path())
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its death signal is sent when the thread ends that starts it: the engine's, which is there as long as it is.
    let mut warden = command.spawn()?;
    // It holds a descriptor, and there may be no other to be had.
    drop(command);
    let pid = Pid::from_child(&warden);
    tracing::debug!(pid = pid.as_raw_nonzero().get(), "warden started");
    let connected = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
    let ours = Arc::new(ours);
    let socket = Arc::downgrade(&ours);
    let (process, watched) =
        connected.and_then(|process| Ok((process, watch_shared(ours)?))).inspect_err(|_| {
            // It has not done anything yet, so this takes no time.
            let _ = warden.kill().and_then(|()| warden.wait());
        })?;
    let process = Arc::new(process);
    let (errands, receiver) = mpsc::unbounded_channel();
    let link = Link::new(watched, pid, receiver);
    let ending = process.clone();
    let closed = tokio::spawn(async move {
        let pending = link.run().await;
        reap(ending).await;
        // Only with a lost warden: what is left of its tenants goes before anybody is told that it has.
        if !pending.is_empty() {
            let keepers = pending.values().filter_map(|pending| Pid::from_raw(pending.keeper_pid as i32));
            orphans::clear(keepers.chain([pid]).collect(), off_thread).await;
        }
        for lost in pending.into_values() {
            lost.tell_lost();
        }
    });
    Ok(Connection { surroundings, pid, process, socket, errands, closed })
}

async fn reap(process: Arc<OwnedFd>) {
    wake(&process);
    let Ok(watched) = watch_shared(process.clone()) else { return };
    let exit = tokio::time::timeout(Duration::from_millis(EXIT_GRACE_MS), watched.readable());
    if exit.await.is_err() {
        tracing::warn!("the warden did not exit when its socket was closed; killing it");
        if let Err(error) = pidfd_send_signal(&process, Signal::KILL)
            && error != Errno::SRCH
        {
            // It runs as somebody whom the host was before. It goes when its tenants are gone, and nobody waits for that.
            return tracing::error!(%error, "the warden cannot be killed");
        }
        let _ = watched.readable().await;
    }
    forget(&process);
}

/// Reaps a child that has ended.
fn forget(process: &OwnedFd) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    // ECHILD if the host ignores SIGCHLD or reaps everything itself: then it is reaped.
    let _ = waitid(WaitId::PidFd(process.as_fd()), options);
}

impl Pending {
    fn tell_lost(mut self) {
        match self.started.take() {
            Some(started) => {
                let _ = started.send(Err(LaunchError::WardenLost));
            }
            None => {
                let _ = self.ended.send(Ended { exit_code: None, signal: None, cpu_us: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test(flavor = "current_thread")]
    async fn a_crowd_of_launches_takes_turns_in_holding_descriptors() {
        let warden = WardenClient::new("/no/such/program".into(), OffThread::default());
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
