//! Accepts connections, hands each to a thread that serves, and closes the gateway.

use crate::connection::Phase;
use crate::listeners::{Listener, ListenerSocket};
use crate::stats::Totals;
use crate::stream::Accepted;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// After an error of the system, such as too many open files, accepting rests for so long.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// WebSockets end within a second of their farewell; this is for threads that are busy.
const FAREWELL: Duration = Duration::from_secs(2);

/// A thread that serves, as the accepting one sees it.
#[derive(Clone)]
pub(super) struct Seat {
    pub inbox: mpsc::UnboundedSender<(Accepted, Permit)>,
    pub connections: Arc<AtomicUsize>,
}

/// The count of one connection.
pub(super) struct Permit {
    all: Arc<Totals>,
    seat: Arc<AtomicUsize>,
    gone: Arc<Notify>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.seat.fetch_sub(1, Relaxed);
        if self.all.connections.fetch_sub(1, Relaxed) == 1 {
            self.gone.notify_one();
        }
    }
}

/// What the accepting thread needs.
pub(super) struct Door {
    pub seats: Vec<Seat>,
    pub all: Arc<Totals>,
    pub most: usize,
    /// No connection is left.
    pub gone: Arc<Notify>,
    pub phase: watch::Sender<Phase>,
    /// Another gateway goes on with the sockets.
    pub stays: Arc<AtomicBool>,
    pub farewell: Arc<watch::Sender<bool>>,
}

/// Accepts connections until the gateway closes, and closes it.
pub(super) async fn accept(
    door: Door,
    listeners: Vec<Listener>,
    mut closed: mpsc::UnboundedReceiver<Duration>,
) {
    let door = Arc::new(door);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let door = door.clone();
        accepting.spawn(async move {
            if let Err(error) = door.accept(listener).await {
                tracing::error!(%error, "a gateway cannot listen");
            }
        });
    }
    let mut grace = closed.recv().await.unwrap_or_default();
    accepting.shutdown().await;
    let is_leaving = door.stays.load(Relaxed);
    let _ = door.phase.send(if is_leaving { Phase::Leaving } else { Phase::Draining });
    while !door.is_empty() {
        tokio::select! {
            () = door.gone.notified() => {}
            () = tokio::time::sleep(grace) => break,
            shorter = closed.recv() => grace = grace.min(shorter.unwrap_or_default()),
        }
    }
    door.farewell.send_replace(true);
    // It has no receiver when no WebSocket is left.
    let _ = tokio::time::timeout(FAREWELL, door.farewell.closed()).await;
    // With the door the threads end, and with them what goes on.
}

impl Door {
    fn is_empty(&self) -> bool {
        self.all.connections.load(Relaxed) == 0
    }

    async fn accept(&self, listener: Listener) -> io::Result<()> {
        let socket = match &listener.socket {
            ListenerSocket::Tcp(socket) => {
                let socket = TcpListener::from_std(socket.try_clone()?)?;
                AsyncListener::Tcp(socket)
            }
            ListenerSocket::Unix(socket) => {
                let socket = UnixListener::from_std(socket.try_clone()?)?;
                AsyncListener::Unix(socket)
            }
        };
        loop {
            match socket.accept().await {
                Ok(accepted) => self.seat(accepted),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a gateway cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Hands the connection to the thread with the fewest, or closes it.
    fn seat(&self, accepted: Accepted) {
        if self.all.connections.load(Relaxed) >= self.most {
            return;
        }
        let fewest = |seat: &&Seat| seat.connections.load(Relaxed);
        let Some(seat) = self.seats.iter().min_by_key(fewest) else { return };
        self.all.connections.fetch_add(1, Relaxed);
        seat.connections.fetch_add(1, Relaxed);
        let permit = Permit {
            all: self.all.clone(),
            seat: seat.connections.clone(),
            gone: self.gone.clone(),
        };
        let _ = seat.inbox.send((accepted, permit));
    }
}

enum AsyncListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsyncListener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            AsyncListener::Tcp(socket) => Ok(Accepted::Tcp(socket.accept().await?.0.into_std()?)),
            AsyncListener::Unix(socket) => Ok(Accepted::Unix(socket.accept().await?.0.into_std()?)),
        }
    }
}
