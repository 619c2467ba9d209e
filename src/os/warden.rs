//! The host's connection to its warden: one process that starts tenants, reaps them and clears their trees (see
//! `crates/warden`). Started with the first launch, and again with the next one after it was lost.

mod link;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use warden::{LaunchSpec, LaunchStep, StopStage, host};

use self::link::Link;
use super::off_thread::OffThread;
use super::orphans;
use super::watched::watch_shared;

/// What an idle warden gets to exit after its socket was closed, before it is killed.
const EXIT_GRACE_MS: u64 = 2_000;

/// After so long an answer that takes milliseconds is late.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// A tenant to start.
pub struct Launch {
    pub spec: LaunchSpec,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
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
    pub cpu_us: Option<u64>,
}

/// Why a tenant's program does not run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{step:?} failed: {error}")]
    Step { step: LaunchStep, error: io::Error },
    #[error("the warden {path:?} could not be started: {error}")]
    Warden { path: PathBuf, error: io::Error },
    #[error("the launch could not be handed to the warden: {0}")]
    HandOver(io::Error),
    #[error("the warden was lost while the process was being started")]
    WardenLost,
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
                let (stdout, stderr) = (launch.stdout.as_fd(), launch.stderr.as_fd());
                host::send_launch(socket, number, memory_file.as_fd(), stdout, stderr)
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
    connection: Mutex<Option<Connection>>,
    next_number: std::sync::atomic::AtomicU64,
}

struct Connection {
    process: Arc<OwnedFd>,
    /// Of the link, which alone decides when it is closed.
    socket: Weak<OwnedFd>,
    orders: mpsc::UnboundedSender<Order>,
    closed: tokio::task::JoinHandle<()>,
}

impl WardenClient {
    pub fn new(path: PathBuf, off_thread: OffThread) -> Self {
        WardenClient { path, off_thread, connection: Mutex::new(None), next_number: 1.into() }
    }

    /// Starts a tenant. What comes of it is in the result's channels.
    pub fn launch(&self, launch: Launch) -> Result<Launched, LaunchError> {
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let memory_file = host::memory_file(&launch.spec).map_err(LaunchError::HandOver)?;
        let (started, started_receiver) = oneshot::channel();
        let (ended, ended_receiver) = oneshot::channel();
        let pending = Pending { started: Some(started), ended, keeper_pid: 0 };
        self.order(Order { number, packet: Packet::Launch { launch, memory_file }, pending: Some(pending) })?;
        Ok(Launched { number, started: started_receiver, ended: ended_receiver })
    }

    /// Asks a tenant to end, or ends it. Nothing happens if it has ended.
    pub fn stop(&self, number: u64, stage: StopStage) {
        if let Some(connection) = &*self.lock() {
            let packet = Packet::Stop(stage);
            // From this thread if there is room: on a busy machine the engine's may wait long for a processor. That it overtakes
            // an order does no harm: a run is stopped once it is known to have started, and of two stops the later stage counts.
            let is_sent =
                connection.socket.upgrade().is_some_and(|socket| packet.send(&socket, number).is_ok());
            if !is_sent {
                // A lost warden ends its tenants by itself.
                let _ = connection.orders.send(Order { number, packet, pending: None });
            }
            wake(&connection.process);
        }
    }

    /// Continues the warden and its keepers, in case somebody has stopped them.
    pub fn continue_helpers(&self) {
        if let Some(connection) = &*self.lock() {
            wake(&connection.process);
            let _ = connection.orders.send(Order { number: 0, packet: Packet::Continue, pending: None });
        }
    }

    /// Waits until it is known whether the program runs.
    pub async fn outcome(
        &self,
        mut started: oneshot::Receiver<Result<Started, LaunchError>>,
    ) -> Result<Started, LaunchError> {
        loop {
            if let Ok(outcome) = tokio::time::timeout(LATE_AFTER, &mut started).await {
                return outcome.unwrap_or(Err(LaunchError::WardenLost));
            }
            if let Some(connection) = &*self.lock() {
                wake(&connection.process);
            }
        }
    }

    fn order(&self, order: Order) -> Result<(), LaunchError> {
        let mut connection = self.lock();
        let order = match &*connection {
            None => order,
            Some(open) => match open.orders.send(order) {
                Ok(()) => return Ok(()),
                Err(refused) => refused.0,
            },
        };
        let opened = open(&self.path, self.off_thread.clone())
            .map_err(|error| LaunchError::Warden { path: self.path.clone(), error })?;
        let sent = opened.orders.send(order);
        *connection = Some(opened);
        sent.map_err(|_| LaunchError::WardenLost)
    }

    /// Ends the warden and waits until it is gone.
    pub async fn close(&self) {
        let connection = self.lock().take();
        if let Some(Connection { orders, closed, .. }) = connection {
            drop(orders);
            let _ = closed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Continues a warden that somebody has stopped, so that it sees what it is sent. If the host ends, the kernel does this.
fn wake(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::CONT);
}

/// Starts a warden. Its address space is small and std starts it without forking, so the size of the host does not
/// matter; what else it inherits it puts right itself.
#[allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]
fn open(path: &Path, off_thread: OffThread) -> io::Result<Connection> {
    let (ours, theirs) = host::connection()?;
    let mut command = std::process::Command::new(path);
    command.env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
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
    let (orders, receiver) = mpsc::unbounded_channel();
    let link = Link::new(watched, receiver);
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
    Ok(Connection { process, socket, orders, closed })
}

async fn reap(process: Arc<OwnedFd>) {
    wake(&process);
    let Ok(watched) = watch_shared(process.clone()) else { return };
    let exit = tokio::time::timeout(Duration::from_millis(EXIT_GRACE_MS), watched.readable());
    if exit.await.is_err() {
        tracing::warn!("the warden did not exit when its socket was closed; killing it");
        let _ = pidfd_send_signal(&process, Signal::KILL);
        let _ = watched.readable().await;
    }
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
                let _ = self.ended.send(Ended { exit_code: None, cpu_us: None });
            }
        }
    }
}
