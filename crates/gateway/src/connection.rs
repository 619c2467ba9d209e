//! One client's connection, from its first byte to its end.
//!
//! While nothing is asked of it, a connection of HTTP/1 is a task and a socket: the library, with
//! its buffers, is there only from the first byte of a request until a moment after the last
//! answer.

mod http2;
mod opening;

use crate::answer;
use crate::beside::Beside;
use crate::clock;
use crate::exchange::{Client, Site, Visit, Worker, exchange};
use crate::forward::AnswerBody;
use crate::forwarded;
use crate::guarded::{Guarded, Patience, Returned, Shared};
use crate::hooks::Hooks;
use crate::refusal::{Refusal, Why};
use crate::stream::{Accepted, Socket, Stream};
use crate::strict::{Inspector, Verdict};
use crate::tenants::Tenants;
use crate::tls::Certificates;
use bytes::BytesMut;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use opening::{Unopened, opening};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{oneshot, watch};

/// How long the library is kept after an answer. To have it again takes some microseconds, which
/// requests that follow one another closely are spared; and when many connections come at once,
/// few of them have it at a time.
const REST_AFTER: Duration = Duration::from_millis(200);
/// When so many connections of a thread have the library, others keep it for less. It takes 20 KB,
/// which the allocator does not return to the system when it is given back: where thousands of
/// connections come within a second, that would be as much again as the connections take.
const CROWD: usize = 128;
const REST_AFTER_IN_A_CROWD: Duration = Duration::from_millis(20);
/// What an ended connection may still send, and for how long, so that the client gets to read why
/// it ended: the kernel resets a connection that is closed with bytes unread.
const LINGER_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(1);

/// How long a request takes before it is looked whether its client has left. Most are over by then,
/// and most clients are seen to leave at once: but not while there are bytes that the library does
/// not read yet, those of another request or of a body that the tenant does not take.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How long a gateway that leaves waits for the last request of a connection. Clients that ask all
/// the time do so by then.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// The library's buffer for one direction of a connection of HTTP/1.
const BUFFER_BYTES: usize = 64 << 10;
/// As many header fields as the library has room for without another allocation.
const FIELDS_FOR_FREE: usize = 100;

/// What the gateway does, as its connections are told. In the end all that is left of them is cut
/// off with their threads' runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// No further request is taken.
    Draining,
    /// Another gateway goes on with the sockets. Each connection may have one more request, whose
    /// answer says that it is the last: its client may have sent one before it can know of this, and
    /// not every client sends a request again.
    Leaving,
}

/// Serves a connection to its end.
pub(crate) async fn serve<T: Tenants, H: Hooks>(
    worker: Arc<Worker<T, H>>,
    accepted: Accepted,
    tls: Option<Tls>,
    mut phase: watch::Receiver<Phase>,
) {
    let served = async move {
        let socket = accepted.into_socket()?;
        let peer = socket.peer();
        let told = forwarded::Client::new(peer, tls.is_some(), socket.port());
        let client = Arc::new(Client { peer, told, socket: socket.clone() });
        let mut connection = Connection { worker, client, phase: &mut phase };
        match tls {
            Some(tls) => connection.encrypted(socket, tls).await,
            None => connection.plain(socket).await,
        }
    };
    // A client that breaks off breaks nothing here.
    let _: io::Result<()> = served.await;
}

/// Resolves when the gateway takes no further request, and says whether another one goes on.
async fn is_closing(phase: &mut watch::Receiver<Phase>) -> Phase {
    let closing = phase.wait_for(|phase| *phase != Phase::Open).await;
    closing.map_or(Phase::Draining, |phase| *phase)
}

/// How connections are encrypted.
#[derive(Clone)]
pub(crate) struct Tls {
    pub certificates: Arc<Certificates>,
    /// The user's function gives them.
    pub asks: bool,
}

/// What answers the requests of a connection.
trait Answers:
    Service<
        Request<Incoming>,
        Response = Response<AnswerBody>,
        Error = Infallible,
        Future: Send + 'static,
    >
{
}

impl<S> Answers for S where
    S: Service<
            Request<Incoming>,
            Response = Response<AnswerBody>,
            Error = Infallible,
            Future: Send + 'static,
        >
{
}

struct Connection<'a, T, H> {
    worker: Arc<Worker<T, H>>,
    client: Arc<Client>,
    phase: &'a mut watch::Receiver<Phase>,
}

impl<T: Tenants, H: Hooks> Connection<'_, T, H> {
    fn site(&self) -> &Arc<Site<T, H>> {
        &self.worker.site
    }

    async fn encrypted(&mut self, socket: Socket, tls: Tls) -> io::Result<()> {
        let patience = self.site().limits.headers_timeout;
        let handshake = Box::pin(handshake(self.site().clone(), socket, tls));
        let stream = tokio::time::timeout(patience, handshake).await??;
        let Stream::Tls(tls) = &stream else { return self.refuse_clear(stream).await };
        if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            return Box::pin(self.http2(stream, BytesMut::new())).await;
        }
        let inspector = Inspector::http1(self.site().head_limits());
        // The request may have come with the end of the handshake.
        self.http1(stream, inspector, BytesMut::new(), true).await
    }

    /// Tells a client that speaks HTTP in clear what to do. Nothing that it sent is looked at.
    async fn refuse_clear(&self, stream: Stream) -> io::Result<()> {
        let inspector = Inspector::http1(self.site().head_limits());
        let refusal = Some(Refusal::new(400, Why::Unencrypted));
        let mut returned = Returned { stream, inspector, refusal, is_idle: false };
        Box::pin(self.end(&mut returned)).await
    }

    /// Waits for the first bytes, which say what is spoken.
    async fn plain(&mut self, socket: Socket) -> io::Result<()> {
        let mut inspector = Inspector::new(self.site().head_limits());
        let mut received = BytesMut::new();
        let until = clock::now() + self.site().limits.headers_timeout;
        while inspector.is_http2().is_none() {
            if !self.is_asked(&socket, until).await {
                return Ok(());
            }
            let mut room = [0; 24];
            match socket.try_read(&mut room) {
                Ok(0) => return Ok(()),
                Ok(count) => received.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            // What can only be refused is refused by the guarded stream.
            if let Verdict::Refuse(_) = inspector.inspect(&received) {
                break;
            }
        }
        match inspector.is_http2() {
            Some(true) if self.site().by.is_peers() => Ok(()),
            Some(true) => Box::pin(self.http2(Stream::Plain(socket), received)).await,
            _ => {
                let inspector = Inspector::http1(self.site().head_limits());
                self.http1(Stream::Plain(socket), inspector, received, true).await
            }
        }
    }

    async fn http1(
        &mut self,
        mut stream: Stream,
        mut inspector: Inspector,
        mut received: BytesMut,
        mut is_asked: bool,
    ) -> io::Result<()> {
        let mut rested = Duration::ZERO;
        loop {
            let until = clock::now() + self.site().limits.keep_alive - rested;
            if !is_asked && !self.is_asked(stream.socket(), until).await {
                return tokio::time::timeout(LINGER, stream.shutdown()).await.unwrap_or(Ok(()));
            }
            is_asked = false;
            let patience = self.patience();
            rested = patience.idle;
            let (guarded, returned) = Guarded::new(stream, inspector, patience, received);
            // On the heap: the task of an idle connection is small without it.
            let mut returned = Box::pin(self.requests(guarded, returned)).await?;
            if !returned.is_idle || *self.phase.borrow() == Phase::Draining {
                return Box::pin(self.end(&mut returned)).await;
            }
            Returned { stream, inspector, .. } = returned;
            received = BytesMut::new();
        }
    }

    /// How patient the library is for the next requests.
    fn patience(&self) -> Patience {
        let limits = &self.site().limits;
        Patience {
            head: limits.headers_timeout,
            idle: rest_after(self.worker.libraries.load(Relaxed)).min(limits.keep_alive),
            stall: limits.body_idle,
        }
    }

    /// Waits for bytes of a request; `false` if the connection ends without one.
    async fn is_asked(&mut self, socket: &Socket, until: Instant) -> bool {
        let mut deadline = pin!(tokio::time::sleep_until(until.into()));
        let mut is_left = false;
        loop {
            tokio::select! {
                readable = socket.readable() => return readable.is_ok(),
                () = &mut deadline => return false,
                phase = is_closing(self.phase), if !is_left => {
                    if phase != Phase::Leaving {
                        return false;
                    }
                    is_left = true;
                    let last = until.min(clock::now() + LAST_REQUEST);
                    deadline.set(tokio::time::sleep_until(last.into()));
                }
            }
        }
    }

    /// Has the library serve requests, until it is done or has none, and returns the stream.
    async fn requests(
        &mut self,
        guarded: Guarded<Stream>,
        returned: oneshot::Receiver<Returned<Stream>>,
    ) -> io::Result<Returned<Stream>> {
        let limits = self.site().limits;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER_BYTES.max(2 * limits.header_bytes));
        if limits.headers > FIELDS_FOR_FREE {
            builder.max_headers(limits.headers);
        }
        // To see a client leave the library would read, and for that it would need another buffer for
        // each request: the fields of the request are in the one that it has.
        builder.half_close(guarded.sees_leaving());
        let shared = guarded.shared();
        let service = self.service(shared.clone());
        {
            let _lent = Lent::of(&self.worker.libraries);
            let connection = builder.serve_connection(TokioIo::new(guarded), service);
            let mut connection = pin!(connection.with_upgrades());
            let mut called_off = pin!(async {
                tokio::select! {
                    () = is_left(&shared, &self.client.socket) => CalledOff::Left,
                    phase = is_closing(self.phase) => CalledOff::Closing(phase),
                }
            });
            let mut called_off = Beside::new(called_off.as_mut());
            let called_off = poll_fn(|context| match connection.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => called_off.poll(context).map(Some),
            });
            match called_off.await {
                // Dropping the connection drops its request.
                None | Some(CalledOff::Left) => {}
                Some(CalledOff::Closing(phase)) => {
                    // The answer to the next request says that it is the last one.
                    let is_over = phase == Phase::Leaving
                        && tokio::select! {
                            _ = connection.as_mut() => true,
                            () = unused(&shared, LAST_REQUEST, LAST_REQUEST) => false,
                        };
                    if !is_over {
                        connection.as_mut().graceful_shutdown();
                        let _ = connection.await;
                    }
                }
            }
        }
        // After an upgrade this is the end of the tunnel.
        returned.await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))
    }

    /// Answers requests. The library has room for the future of one, so that none is allocated.
    fn service(&self, connection: Arc<Shared>) -> impl Answers + use<T, H> {
        let (worker, client) = (self.worker.clone(), self.client.clone());
        let visit = Arc::new(Visit { worker, client, connection });
        service_fn(move |request| exchange(visit.clone(), request))
    }

    /// Says why the connection ends, if that is not said, and ends it so that the client can read
    /// it.
    async fn end(&self, returned: &mut Returned<Stream>) -> io::Result<()> {
        let is_whole = returned.inspector.is_between_requests() && returned.refusal.is_none();
        let stream = &mut returned.stream;
        let refusal = returned.refusal.take();
        if let Some(refusal) = &refusal {
            self.site().count_refused(&self.worker.tally, refusal, self.client.peer);
        }
        let ended = async {
            if let Some(refusal) = &refusal {
                stream.write_all(&answer::bare(refusal)).await?;
            }
            stream.shutdown().await?;
            let mut unread = if is_whole { 0 } else { LINGER_BYTES };
            let mut room = BytesMut::new();
            while unread > 0 {
                room.clear();
                match stream.read_buf(&mut room).await? {
                    0 => break,
                    count => unread = unread.saturating_sub(count),
                }
            }
            Ok(())
        };
        tokio::time::timeout(LINGER, ended).await.unwrap_or(Ok(()))
    }
}

/// Why a connection takes no further request before its client ends it.
enum CalledOff {
    /// The client has left.
    Left,
    /// The gateway closes.
    Closing(Phase),
}

/// How long the library is kept after an answer, when so many connections have it.
fn rest_after(libraries: usize) -> Duration {
    if libraries < CROWD { REST_AFTER } else { REST_AFTER_IN_A_CROWD }
}

/// Counts one connection that has the library.
struct Lent<'a>(&'a AtomicUsize);

impl Lent<'_> {
    fn of(libraries: &AtomicUsize) -> Lent<'_> {
        libraries.fetch_add(1, Relaxed);
        Lent(libraries)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Resolves when the client has left while a request of its takes long.
async fn is_left(shared: &Shared, socket: &Socket) {
    loop {
        let begun = shared.begun();
        tokio::time::sleep(LOOK_AFTER).await;
        if shared.is_busy() && shared.begun() == begun {
            socket.left().await;
            if shared.is_busy() {
                return;
            }
        }
    }
}

/// Resolves when a connection has had no request for so long.
async fn unused(shared: &Shared, first: Duration, later: Duration) {
    let mut begun = shared.begun();
    let mut patience = first;
    loop {
        tokio::time::sleep(patience).await;
        let now = shared.begun();
        if now == begun && !shared.is_busy() {
            return;
        }
        (begun, patience) = (now, later);
    }
}

/// The encrypted stream; the plain one of a client that does not ask for a handshake.
async fn handshake<T: Tenants, H: Hooks>(
    site: Arc<Site<T, H>>,
    socket: Socket,
    tls: Tls,
) -> io::Result<Stream> {
    let start = match opening(socket).await {
        Ok(start) => start,
        Err(Unopened::Clear(socket)) => return Ok(Stream::Plain(socket)),
        Err(Unopened::Failed(error)) => return Err(error),
    };
    let config = match tls.asks {
        false => tls.certificates.shared(),
        true => {
            let name = start.client_hello().server_name().map(str::to_owned);
            let given = site.hooks.certificate(name.clone()).await;
            tls.certificates.config_of(given).unwrap_or_else(|error| {
                tracing::warn!(?name, %error, "a certificate cannot be used");
                tls.certificates.none()
            })
        }
    };
    Ok(Stream::Tls(Box::new(start.into_stream(config).await?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_crowd_the_library_is_kept_for_less() {
        let libraries = AtomicUsize::default();
        let crowd: Vec<_> = (0..CROWD).map(|_| Lent::of(&libraries)).collect();
        assert_eq!(rest_after(libraries.load(Relaxed)), REST_AFTER_IN_A_CROWD);
        drop(crowd);
        assert_eq!(rest_after(libraries.load(Relaxed)), REST_AFTER);
    }
}
