//! A connection to a tenant: made by hand, so that it is known of each to which process it leads,
//! whether it is fresh, and what has gone over it.
//!
//! It has no task, and no queue between it and its request: who waits for the answer writes and
//! reads the socket itself. So a request costs no switch between tasks, and dropping its future, or
//! its answer's body, ends it at the tenant.

use super::BodyError;
use super::answer_body::Polled;
use super::head::RequestHead;
use super::receiving::{Rest, take_head};
use super::request_body::Source;
use super::sending::{Cut, Framing, Sending};
use bytes::{Bytes, BytesMut};
use http::{Method, response};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A tenant whose queue of connections is full does not answer: the kernel tries again after 1, 3
/// and 7 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much a tenant may send before the head of its answer is whole, interim ones (`100 Continue`)
/// included: without an end they would keep a thread of the gateway busy for as long as it sends.
const BEFORE_HEAD_BYTES_MAX: usize = 1 << 20;
/// How much there is room for in a read at first, and at most: it is doubled when a read fills it.
const READ_BYTES: usize = 8 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// A connection to a tenant. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Upstream {
    stream: Arc<TcpStream>,
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
}

impl Upstream {
    /// Connects to the tenant of this run.
    pub async fn connect(address: SocketAddr, run: u64) -> io::Result<Box<Upstream>> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(Box::new(Upstream {
            stream: Arc::new(stream),
            run,
            is_reused: false,
            sending: Sending::default(),
            received: BytesMut::new(),
            read_bytes: READ_BYTES,
            answered_bytes: 0,
            rest: Rest::Nothing,
            is_kept: true,
        }))
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

    /// Sends a request, and waits for the head of its answer.
    pub async fn send(
        &mut self,
        head: &mut RequestHead<'_>,
        body: Option<(Source, Framing)>,
    ) -> Result<response::Parts, ()> {
        self.answered_bytes = 0;
        self.sending.begin(head, body);
        let mut searched = 0;
        poll_fn(|context| self.poll_head(head, &mut searched, context)).await
    }

    fn poll_head(
        &mut self,
        head: &mut RequestHead<'_>,
        searched: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<response::Parts, ()>> {
        match self.sending.poll(&self.stream, context) {
            Poll::Ready(Err(Cut::Body)) => return Poll::Ready(Err(())),
            // It may have answered before it closed.
            Poll::Ready(Err(Cut::Tenant)) => self.is_kept = false,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            let is_for_head = head.method() == Method::HEAD;
            let taken = take_head(&mut self.received, searched, is_for_head, || head.spent());
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
    pub fn take_sending(&mut self) -> (Sending, Arc<TcpStream>) {
        self.is_kept = false;
        (std::mem::take(&mut self.sending), self.stream.clone())
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
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            // Here, and not sooner: a head that is passed on is in it until the answer is written.
            self.received.reserve(self.read_bytes);
            let room = self.received.capacity() - self.received.len();
            let count = match self.stream.try_read_buf(&mut self.received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                count => count?,
            };
            self.answered_bytes = self.answered_bytes.saturating_add(count);
            if count == room {
                self.read_bytes = READ_BYTES_MAX.min(2 * self.read_bytes);
            } else if count > 0 {
                // That was all. To say so spares the next look, a system call for each request.
                // Events come in on this thread alone, so that none has come since.
                let nothing = || Err(io::Error::from(io::ErrorKind::WouldBlock));
                let _: io::Result<()> = self.stream.try_io(Interest::READABLE, nothing);
            }
            return Poll::Ready(Ok(count));
        }
    }

    /// Whether another request may be sent on it: the last exchange is over, nothing came after it,
    /// and the tenant has not closed it, as far as that is known.
    pub fn is_idle(&self) -> bool {
        let is_over = self.is_kept && self.sending.is_over() && self.rest.is_over();
        // Without an event since the last look this is no system call.
        let is_silent = || {
            let read = self.stream.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        is_over && self.received.is_empty() && is_silent()
    }

    /// Gives back what a large answer needed.
    pub fn give_back_room(&mut self) {
        if self.read_bytes > READ_BYTES {
            (self.received, self.read_bytes) = (BytesMut::new(), READ_BYTES);
        }
    }

    /// Takes the socket after the tenant's agreement to another protocol, and what came after that.
    /// `None` while something of the request is sent.
    pub fn into_socket(self) -> Option<(TcpStream, Bytes)> {
        Some((Arc::into_inner(self.stream)?, self.received.freeze()))
    }
}
