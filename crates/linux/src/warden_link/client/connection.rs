//! One warden: how it is started and connected, and how its end is seen to.

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use warden::host;

use super::errand::{Errand, Order, Packet};
use super::link::Link;
use crate::confine::Traces;
use crate::process::orphans;
use crate::threads::off_thread::OffThread;
use crate::threads::watched::watch_shared;
use crate::warden_link::program::Program;
use crate::warden_link::surroundings::Surroundings;

/// How long an idle warden has to exit after its socket was closed, before it is killed.
const EXIT_GRACE_MS: u64 = 2_000;

pub struct Connection {
    pub surroundings: Surroundings,
    pub pid: Pid,
    pub process: Arc<OwnedFd>,
    /// The link owns the socket and alone decides when it is closed.
    pub socket: Weak<OwnedFd>,
    pub errands: mpsc::UnboundedSender<Errand>,
    /// Ends when the warden's end has been seen, and what was left of its tenants is cleared.
    pub closed: tokio::task::JoinHandle<()>,
}

impl Connection {
    /// Sends a packet from this thread if the socket has room: on a busy machine the engine's thread
    /// may wait long for a processor. It may overtake an order.
    pub fn send_now(&self, number: u64, packet: Packet) {
        let is_sent =
            self.socket.upgrade().is_some_and(|socket| packet.send(&socket, number).is_ok());
        if !is_sent {
            // If the link is gone the warden is lost, and its keepers end the tenants by
            // themselves.
            self.send_in_turn(number, packet);
        }
    }

    /// Sends a packet after all orders that were given before.
    pub fn send_in_turn(&self, number: u64, packet: Packet) {
        let order = Order { number, packet, pending: None };
        let _ = self.errands.send(Errand::Order(order));
    }
}

/// Continues a warden that may have been stopped, so that it reads what it is sent. If the host
/// ends, the kernel continues it (see `set_parent_process_death_signal` in the warden).
pub fn continue_stopped(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::CONT);
}

/// Starts a warden. std starts it with `posix_spawn`, so the size of the host does not matter; the
/// warden resets the other things that it inherits.
#[allow(clippy::disallowed_methods, reason = "this is the module that the ban points to")]
pub fn open(
    program: &Program,
    surroundings: Surroundings,
    off_thread: OffThread,
    lost: Arc<Mutex<Traces>>,
) -> io::Result<Connection> {
    let (ours, theirs) = host::connection()?;
    let mut command = std::process::Command::new(program.executable()?);
    command
        .arg0(program.path())
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // The kernel sends the warden's death signal when the thread that started it ends: the
    // engine's thread, which outlives the warden.
    let mut warden = command.spawn()?;
    // The command holds a descriptor, which `pidfd_open` below may need.
    drop(command);
    let pid = Pid::from_child(&warden);
    tracing::debug!(pid = pid.as_raw_nonzero().get(), "warden started");
    let connected = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
    let ours = Arc::new(ours);
    let socket = Arc::downgrade(&ours);
    let (process, watched) =
        connected.and_then(|process| Ok((process, watch_shared(ours)?))).inspect_err(|_| {
            // The warden has no tenants yet, so it ends at once.
            let _ = warden.kill().and_then(|()| warden.wait());
        })?;
    let process = Arc::new(process);
    let (errands, receiver) = mpsc::unbounded_channel();
    let link = Link::new(watched, pid, receiver);
    let ending = process.clone();
    let closed = tokio::spawn(async move {
        let (pending, traces) = link.run().await;
        let is_gone = end(&ending).await;
        // The warden was lost: what is left of its tenants is cleared before their ends are
        // reported.
        if !pending.is_empty() {
            let keepers =
                pending.values().filter_map(|pending| Pid::from_raw(pending.keeper_pid as i32));
            orphans::clear(keepers.chain([pid]).collect(), off_thread.clone()).await;
        }
        if is_gone {
            // Also without a tenant: a spare had groups. A warden that was not lost left none.
            traces.clear(pid, &off_thread).await;
            lost.lock().unwrap_or_else(PoisonError::into_inner).extend(traces);
            reap_ended(&ending);
        }
        for lost in pending.into_values() {
            lost.tell_lost();
        }
    });
    Ok(Connection { surroundings, pid, process, socket, errands, closed })
}

/// Waits until the warden has ended, and returns whether it has. It is still to be reaped.
pub(super) async fn end(process: &Arc<OwnedFd>) -> bool {
    continue_stopped(process);
    let Ok(watched) = watch_shared(process.clone()) else { return false };
    let exit = tokio::time::timeout(Duration::from_millis(EXIT_GRACE_MS), watched.readable());
    if exit.await.is_err() {
        tracing::warn!("the warden did not exit when its socket was closed; killing it");
        if let Err(error) = pidfd_send_signal(process, Signal::KILL)
            && error != Errno::SRCH
        {
            // It runs as the user that the host was before. It exits when its tenants are gone,
            // which is not waited for.
            tracing::error!(%error, "the warden cannot be killed");
            return false;
        }
        let _ = watched.readable().await;
    }
    true
}

/// Reaps a child that has ended, without waiting.
pub fn reap_ended(process: &OwnedFd) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    // ECHILD means that the child is reaped already: the host ignores SIGCHLD, or reaps all
    // children itself.
    let _ = waitid(WaitId::PidFd(process.as_fd()), options);
}
