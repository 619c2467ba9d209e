//! Connections to tenants and to other hosts' gateways: made by hand, so that it is known of each to which process it leads,
//! whether it is fresh, and what has gone over it. Idle ones are kept for a few seconds.
//!
//! A connection has no task of its own: who waits for an answer on it drives it. So a request costs
//! no switch between tasks, and dropping its future, or its answer's body, ends it at the tenant.

use super::bell::{Bell, Muted};
use super::line::Line;
use super::request_body::RequestBody;
use super::watched::{Progress, Watched};
use crate::peer::Peer;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};

/// The time between two looks for connections that have been idle for too long.
const TICK: Duration = Duration::from_secs(1);
/// A connection that was idle for this many looks is dropped, so after 3 to 4 seconds: Node closes
/// idle connections after 5 s, Bun after 10 s, and a request that meets the end is lost.
const IDLE_TICKS: u32 = 4;
/// The same for connections to other hosts, whose gateways keep them for 75 s. It is well below the
/// minutes after which what may stand between two hosts forgets a connection.
const PEERS_IDLE_TICKS: u32 = 50;
/// Idle connections to one run. More are in use at once where more requests are.
const IDLE_PER_RUN_MAX: usize = 32;
/// The same to one host, which has many tenants.
const IDLE_PER_PEER_MAX: usize = 128;
/// A tenant whose queue of connections is full does not answer: the kernel tries again after 1, 3
/// and 7 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A gateway takes connections at once, and within a data centre a lost packet is sent again after
/// 200 ms: a host that has not answered by then is gone, and another one may have its tenants.
const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After so long without a word a host is asked whether it is still there.
const PEER_VANISHED: Duration = Duration::from_secs(15);

/// A connection to a tenant. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Upstream {
    bell: Arc<Bell>,
    /// The bell's.
    waker: Waker,
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Watched>, RequestBody>,
    progress: Arc<Progress>,
    run: u64,
    is_reused: bool,
    is_over: bool,
}

impl Upstream {
    /// Connects to the tenant of this run.
    pub async fn connect(address: SocketAddr, run: u64) -> io::Result<Box<Upstream>> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Upstream::over(Line::Plain(stream), run).await
    }

    /// Connects to the gateway of another host. One that takes nothing for `patience` ends the
    /// connection: a host that is cut off does not say so.
    pub async fn connect_to_peer(
        address: SocketAddr,
        run: u64,
        peer: &Peer,
        patience: Duration,
    ) -> io::Result<Box<Upstream>> {
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let keep_alive =
                TcpKeepalive::new().with_time(PEER_VANISHED).with_interval(PEER_VANISHED / 3);
            let socket = SockRef::from(&stream);
            socket.set_tcp_keepalive(&keep_alive)?;
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(Some(patience))?;
            io::Result::Ok(match &peer.encryption {
                None => Line::Plain(stream),
                Some(encryption) => Line::Tls(Box::new(encryption.begin(stream).await?)),
            })
        };
        let connected = timeout(PEER_CONNECT_TIMEOUT, connecting).await;
        let line = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Upstream::over(line, run).await
    }

    async fn over(line: Line, run: u64) -> io::Result<Box<Upstream>> {
        let (progress, bell) = (Arc::<Progress>::default(), Arc::<Bell>::default());
        let watched = Watched::new(line, bell.clone(), progress.clone());
        let (sender, connection) =
            Builder::new().handshake(TokioIo::new(watched)).await.map_err(io::Error::other)?;
        let waker = Waker::from(bell.clone());
        let (is_reused, is_over) = (false, false);
        Ok(Box::new(Upstream {
            bell,
            waker,
            sender,
            connection,
            progress,
            run,
            is_reused,
            is_over,
        }))
    }

    /// A request has gone over it before.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, ()> {
        self.progress.begin();
        // It is completed by the connection alone, which has just been polled each time that it is:
        // its own wakes would only repeat that. Unconstrained, as a wake for its budget counts.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let (connection, is_over) = (&mut self.connection, &mut self.is_over);
        let (progress, bell, waker) = (&self.progress, &self.bell, &self.waker);
        poll_fn(|context| {
            bell.is_for(context.waker());
            bell.reset();
            let mut own = Context::from_waker(waker);
            *is_over = *is_over || connection.poll_without_shutdown(&mut own).is_ready();
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => {
                    progress.has_head();
                    Poll::Ready(answer.map_err(drop))
                }
                Poll::Pending if *is_over => Poll::Ready(Err(())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Lets the connection go on. It is ready when nothing more comes of it.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.bell.is_for(context.waker());
        self.poll_own()
    }

    fn poll_own(&mut self) -> Poll<()> {
        if !self.is_over {
            if !self.bell.is_poll_due() {
                return Poll::Pending;
            }
            self.bell.reset();
            let mut own = Context::from_waker(&self.waker);
            // The error is told by the answer or its body.
            ready!(self.connection.poll_without_shutdown(&mut own)).ok();
            self.is_over = true;
        }
        Poll::Ready(())
    }

    /// Keeps the connection from waking the task that drives it, which polls it next by itself.
    pub fn mute(&self) -> Muted<'_> {
        self.bell.mute()
    }

    /// Lets the connection go on until both bodies have ended, or it is over.
    pub async fn finish(&mut self) {
        poll_fn(|context| match self.poll(context) {
            Poll::Pending if self.sender.is_ready() => Poll::Ready(()),
            over => over,
        })
        .await;
    }

    /// Whether another request may be sent on it: the last exchange is over, nothing came after it,
    /// and the tenant has not closed it, as far as that is known.
    fn is_idle(&mut self) -> bool {
        // It has room for more of a body that has ended: of that alone nothing would come.
        let is_unchanged = !self.is_over && !self.bell.has_rung() && self.sender.is_ready();
        is_unchanged || (self.poll_own().is_pending() && self.sender.is_ready())
    }

    /// Takes the socket after the tenant's agreement to another protocol, and what came after that.
    pub fn into_line(self) -> (Line, bytes::Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner().into_line(), parts.read_buf)
    }
}

/// The idle connections of a worker: to tenants, or to other hosts.
#[derive(Debug)]
pub(super) struct Upstreams {
    shelf: Mutex<Shelf>,
    /// For how many looks an idle one is kept.
    idle_ticks: u32,
    /// How many of them are kept to the same.
    idle_max: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    idle: BTreeMap<u64, Vec<Idle>>,
    tick: u32,
    /// A task looks for connections that are idle for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    upstream: Box<Upstream>,
    since_tick: u32,
}

impl Upstreams {
    pub fn to_tenants() -> Arc<Upstreams> {
        Upstreams::new(IDLE_TICKS, IDLE_PER_RUN_MAX)
    }

    pub fn to_peers() -> Arc<Upstreams> {
        Upstreams::new(PEERS_IDLE_TICKS, IDLE_PER_PEER_MAX)
    }

    fn new(idle_ticks: u32, idle_max: usize) -> Arc<Upstreams> {
        Arc::new(Upstreams { shelf: Mutex::default(), idle_ticks, idle_max })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection to a run that was used last.
    pub fn take(&self, run: u64) -> Option<Box<Upstream>> {
        loop {
            let mut upstream = self.shelf().idle.get_mut(&run)?.pop()?.upstream;
            if upstream.is_idle() {
                upstream.is_reused = true;
                return Some(upstream);
            }
        }
    }

    /// Keeps a connection after an exchange, if another request may be sent on it.
    pub fn put(self: &Arc<Self>, mut upstream: Box<Upstream>) {
        upstream.bell.is_for_none();
        if !upstream.is_idle() {
            return;
        }
        let mut shelf = self.shelf();
        if !shelf.is_swept {
            // Without a runtime the worker is ending.
            let Ok(runtime) = Handle::try_current() else { return };
            runtime.spawn(sweep(Arc::downgrade(self)));
            shelf.is_swept = true;
        }
        let since_tick = shelf.tick;
        let idle = shelf.idle.entry(upstream.run).or_default();
        if idle.len() < self.idle_max {
            idle.push(Idle { upstream, since_tick });
        }
    }

    /// Drops the connections to a run.
    pub fn forget(&self, run: u64) {
        let idle = self.shelf().idle.remove(&run);
        drop(idle);
    }

    /// Drops what is idle for too long. Returns whether anything is left.
    fn sweep(&self) -> bool {
        let mut shelf = self.shelf();
        shelf.tick = shelf.tick.wrapping_add(1);
        let tick = shelf.tick;
        shelf.idle.retain(|_, idle| {
            idle.retain(|idle| tick.wrapping_sub(idle.since_tick) < self.idle_ticks);
            !idle.is_empty()
        });
        shelf.is_swept = !shelf.idle.is_empty();
        shelf.is_swept
    }
}

async fn sweep(upstreams: Weak<Upstreams>) {
    loop {
        sleep(TICK).await;
        if !upstreams.upgrade().is_some_and(|upstreams| upstreams.sweep()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use socket2::{Domain, Socket, Type};

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_given_up_after_a_second() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("an address");
        socket.listen(0).expect("to listen");
        let address = socket.local_addr().ok().and_then(|at| at.as_socket()).expect("an address");
        // It has room for this one alone: the kernel drops what others say.
        let _taken = std::net::TcpStream::connect(address).expect("a connection");
        let credentials = HeaderValue::from_static("a b");
        let peer = Peer { host: "b".to_owned(), credentials, encryption: None };
        let now = || sleep(Duration::ZERO).deadline();
        let began = now();
        let connected = Upstream::connect_to_peer(address, 1, &peer, TICK).await;
        assert_eq!(connected.map_err(|error| error.kind()).err(), Some(io::ErrorKind::TimedOut));
        assert!(now() - began < 2 * PEER_CONNECT_TIMEOUT, "{:?}", now() - began);
    }
}
