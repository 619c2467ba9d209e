//! A connection to a tenant, or to another host's gateway: made by hand, so that it is known of each
//! to which process it leads, whether it is fresh, and what has gone over it.
//!
//! It has no task, and no queue between it and its request: who waits for the answer writes and
//! reads the socket itself. So a request costs no switch between tasks, and dropping its future, or
//! its answer's body, ends it at the tenant.

use super::BodyError;
use super::answer_body::Polled;
use super::head::RequestHead;
use super::line::Line;
use super::receiving::{Rest, take_head};
use super::request_body::Source;
use super::sending::{Cut, Framing, Sending};
use crate::peer::{self, Peer};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, response};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A tenant whose queue of connections is full does not answer: the kernel tries again after 1, 3
/// and 7 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a host's kernel has room for.
const TAKEN_AT_ONCE_BYTES: u64 = 16 << 10;
/// How much a tenant may send before the head of its answer is whole, interim ones (`100 Continue`)
/// included: without an end they would keep a thread of the gateway busy for as long as it sends.
const BEFORE_HEAD_BYTES_MAX: usize = 1 << 20;
/// How much there is room for in a read at first, and at most: it is doubled when a read fills it.
const READ_BYTES: usize = 8 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// A connection to a tenant, or to another host. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Upstream {
    line: Arc<Line>,
    run: u64,
    is_reused: bool,
    sending: Sending,
    /// What came, and was not taken yet.
    received: BytesMut,
    read_bytes: usize,
    /// How many bytes have come since the request began.
    answered_bytes: usize,
    /// What is to come of the answer's body.
    rest: Rest,
    /// The last exchange leaves it fit for another one.
    is_kept: bool,
    /// How long it waits for another host; none of a tenant's.
    bearing: Option<Bearing>,
}

/// For how long another host may take nothing of what was sent to it.
#[derive(Clone, Copy, Debug)]
struct Bearing {
    now: Duration,
    /// While its tenant may be what takes nothing.
    longest: Duration,
}

impl Upstream {
    /// Connects to the tenant of this run.
    pub async fn connect(address: SocketAddr, run: u64) -> io::Result<Box<Upstream>> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(Upstream::over(Line::Plain(stream), run))
    }

    /// Connects to the gateway of another host. A tenant there may take nothing of what is sent to it
    /// for `stall`.
    pub async fn connect_to_peer(
        address: SocketAddr,
        run: u64,
        peer: &Peer,
        stall: Duration,
    ) -> io::Result<Box<Upstream>> {
        let connecting = async {
            let stream = peer.connect(address).await?;
            io::Result::Ok(match &peer.encryption {
                None => Line::Plain(stream),
                Some(encryption) => Line::encrypted(encryption.begin(stream).await?),
            })
        };
        let connected = timeout(peer::CONNECT_TIMEOUT, connecting).await;
        let line = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let bearing = Some(Bearing { now: peer.patience, longest: stall.max(peer.patience) });
        Ok(Box::new(Upstream { bearing, ..*Upstream::over(line, run) }))
    }

    fn over(line: Line, run: u64) -> Box<Upstream> {
        Box::new(Upstream {
            line: Arc::new(line),
            run,
            is_reused: false,
            sending: Sending::default(),
            received: BytesMut::new(),
            read_bytes: READ_BYTES,
            answered_bytes: 0,
            rest: Rest::Nothing,
            is_kept: true,
            bearing: None,
        })
    }

    pub fn run(&self) -> u64 {
        self.run
    }

    /// A request has gone over it before.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub fn is_used_again(&mut self) {
        self.is_reused = true;
    }

    /// The kernel has taken at least a byte of the request.
    pub fn has_sent(&self) -> bool {
        self.sending.has_sent()
    }

    /// At least a byte of an answer has come.
    pub fn has_received(&self) -> bool {
        self.answered_bytes > 0
    }

    /// Sends a request to the tenant, and waits for the head of its answer. Its own head is not
    /// needed after that.
    pub async fn send(
        &mut self,
        head: &mut RequestHead<'_>,
        body: Option<(Source, Framing)>,
    ) -> Result<response::Parts, ()> {
        self.begin(head, None, body);
        let is_for_head = head.method() == Method::HEAD;
        let mut searched = 0;
        poll_fn(|context| self.poll_head(is_for_head, &mut searched, &mut || head.spent(), context))
            .await
    }

    /// The same to another host, which may say that the request is to be sent elsewhere.
    pub async fn send_to_peer(
        &mut self,
        head: &RequestHead<'_>,
        peer: &Peer,
        body: Option<(Source, Framing)>,
    ) -> Result<response::Parts, ()> {
        let framing = body.as_ref().map(|(_, framing)| *framing);
        self.bear(is_taken_at_once(framing).then_some(peer.patience));
        self.begin(head, Some(peer), body);
        let is_for_head = head.method() == Method::HEAD;
        let mut searched = 0;
        poll_fn(|context| self.poll_head(is_for_head, &mut searched, &mut HeaderMap::new, context))
            .await
    }

    /// `None`: as long as it may be a tenant that takes nothing.
    fn bear(&mut self, patience: Option<Duration>) {
        let Some(bearing) = &mut self.bearing else { return };
        let next = patience.unwrap_or(bearing.longest);
        if next != bearing.now {
            bearing.now = next;
            self.line.bear(next);
        }
    }

    fn begin(
        &mut self,
        head: &RequestHead<'_>,
        peer: Option<&Peer>,
        body: Option<(Source, Framing)>,
    ) {
        self.answered_bytes = 0;
        self.sending.begin(head, peer, body);
    }

    fn poll_head(
        &mut self,
        is_for_head: bool,
        searched: &mut usize,
        fields: &mut impl FnMut() -> HeaderMap,
        context: &mut Context<'_>,
    ) -> Poll<Result<response::Parts, ()>> {
        match self.sending.poll(&self.line, context) {
            Poll::Ready(Err(Cut::Body)) => return Poll::Ready(Err(())),
            // It may have answered before it closed.
            Poll::Ready(Err(Cut::Tenant)) => self.is_kept = false,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            let taken = take_head(&mut self.received, searched, is_for_head, &mut *fields);
            if let Some(answer) = taken.map_err(drop)? {
                self.rest = answer.rest;
                self.is_kept &= answer.is_kept;
                return Poll::Ready(Ok(answer.parts));
            }
            if self.answered_bytes > BEFORE_HEAD_BYTES_MAX {
                return Poll::Ready(Err(()));
            }
            if ready!(self.poll_receive(context)).map_err(drop)? == 0 {
                return Poll::Ready(Err(()));
            }
        }
    }

    /// Something of the request is to be sent.
    pub fn is_sending(&self) -> bool {
        !self.sending.is_over()
    }

    /// Takes what is to be sent of the request, with the socket that it goes to. The connection is
    /// not used again.
    pub fn take_sending(&mut self) -> (Sending, Arc<Line>) {
        self.is_kept = false;
        (std::mem::take(&mut self.sending), self.line.clone())
    }

    /// The next part of the answer's body.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Polled {
        loop {
            match self.rest.take(&mut self.received) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.rest.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(_) => {
                    return Poll::Ready(Some(Err("the tenant's chunks are malformed".into())));
                }
            }
            match ready!(self.poll_receive(context)) {
                Ok(1..) => {}
                Ok(0) if matches!(self.rest, Rest::ToEnd) => {
                    (self.rest, self.is_kept) = (Rest::Nothing, false);
                }
                // A body ends only by its own end.
                Ok(0) => {
                    let error: BodyError = "the tenant's connection is over".into();
                    return Poll::Ready(Some(Err(error)));
                }
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// What is to come of the answer's body.
    pub fn body(&self) -> &Rest {
        &self.rest
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let received = &mut self.received;
        let count = ready!(self.line.poll_receive(context, received, self.read_bytes))?;
        self.answered_bytes = self.answered_bytes.saturating_add(count);
        if received.len() == received.capacity() {
            self.read_bytes = READ_BYTES_MAX.min(2 * self.read_bytes);
        }
        Poll::Ready(Ok(count))
    }

    /// Whether another request may be sent on it: the last exchange is over, nothing came after it,
    /// and the tenant has not closed it, as far as that is known.
    pub fn is_idle(&self) -> bool {
        let is_over = self.is_kept && self.sending.is_over() && self.rest.is_over();
        is_over && self.received.is_empty() && self.line.is_silent()
    }

    /// Gives back what a large answer needed.
    pub fn give_back_room(&mut self) {
        if self.read_bytes > READ_BYTES {
            (self.received, self.read_bytes) = (BytesMut::new(), READ_BYTES);
        }
    }

    /// Takes the line after the tenant's agreement to another protocol, and what came after that.
    /// `None` while something of the request is sent.
    pub fn into_line(mut self) -> Option<(Line, Bytes)> {
        self.bear(None);
        Some((Arc::into_inner(self.line)?, self.received.freeze()))
    }
}

/// Whether a host takes such a body though its tenant reads nothing.
fn is_taken_at_once(framing: Option<Framing>) -> bool {
    match framing {
        None => true,
        Some(Framing::Length(bytes)) => bytes <= TAKEN_AT_ONCE_BYTES,
        Some(Framing::Chunks) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use socket2::SockRef;
    use socket2::{Domain, Socket, Type};
    use tokio::time::sleep;

    const PATIENCE: Duration = Duration::from_secs(1);
    const STALL: Duration = Duration::from_secs(60);

    fn peer() -> Peer {
        let credentials = HeaderValue::from_static("a b");
        Peer { host: "b".to_owned(), credentials, encryption: None, patience: PATIENCE }
    }

    /// The kernel ends the connection when nothing was taken for so long.
    fn borne(line: &Line) -> Duration {
        let Line::Plain(stream) = line else { panic!("it is not encrypted") };
        SockRef::from(stream).tcp_user_timeout().expect("an option").expect("a time")
    }

    #[tokio::test]
    async fn a_tenant_that_reads_slowly_is_not_taken_for_a_host_that_is_cut_off() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connected = Upstream::connect_to_peer(address, 1, &peer(), STALL).await;
        let mut upstream = connected.expect("a connection");
        assert_eq!(borne(&upstream.line), PATIENCE);
        upstream.bear(None);
        assert_eq!(borne(&upstream.line), STALL);
        upstream.bear(Some(PATIENCE));
        assert_eq!(borne(&upstream.line), PATIENCE);
        let (tunnel, _) = upstream.into_line().expect("nothing is sent");
        assert_eq!(borne(&tunnel), STALL);
        assert!(is_taken_at_once(None) && is_taken_at_once(Some(Framing::Length(500))));
        assert!(!is_taken_at_once(Some(Framing::Length(1 << 20))));
        assert!(!is_taken_at_once(Some(Framing::Chunks)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_answer_is_given_up_after_a_second() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("an address");
        socket.listen(0).expect("to listen");
        let address = socket.local_addr().ok().and_then(|at| at.as_socket()).expect("an address");
        // It has room for this one alone: the kernel drops what others say.
        let _taken = std::net::TcpStream::connect(address).expect("a connection");
        let peer = peer();
        let now = || sleep(Duration::ZERO).deadline();
        let began = now();
        let connected = Upstream::connect_to_peer(address, 1, &peer, STALL).await;
        assert_eq!(connected.map_err(|error| error.kind()).err(), Some(io::ErrorKind::TimedOut));
        assert!(now() - began < 2 * peer::CONNECT_TIMEOUT, "{:?}", now() - began);
    }
}
