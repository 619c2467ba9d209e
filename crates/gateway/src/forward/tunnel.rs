//! Bytes both ways after the tenant's agreement to another protocol.
//!
//! A tunnel that has nothing to pass on holds no buffer: what is read goes through one of the
//! thread's, and only what the other end does not take at once is kept.

use super::frames::{Frames, GOING_AWAY, GOING_AWAY_MASKED};
use super::line::Line;
use crate::record::Record;
use crate::tenants::InUse;
use bytes::{Buf, Bytes};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

/// What is read at a time.
const READ_BYTES: usize = 32 << 10;
/// How long the ends of a WebSocket have to say goodbye after the gateway has.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the other end of a WebSocket has when one has gone.
const HALF_CLOSED: Duration = Duration::from_secs(30);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A tunnel between a client and a tenant.
pub(super) struct Tunnel<T> {
    pub client: OnUpgrade,
    pub tenant: Line,
    /// What the tenant has sent right after its agreement.
    pub first: Bytes,
    /// Of a WebSocket: is told when the gateway ends it.
    pub farewell: Option<watch::Receiver<bool>>,
    pub record: Arc<Record>,
    pub in_use: T,
}

impl<T: InUse> Tunnel<T> {
    /// Passes bytes on until both ends are done, or one has broken off. A WebSocket is closed when
    /// its tenant's time is over, or the gateway's.
    pub async fn run(self) {
        let Tunnel { client, mut tenant, first, mut farewell, record, in_use } = self;
        let is_websocket = farewell.is_some();
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        let mut revoked = pin!(in_use.revoked());
        let mut farewell = pin!(farewell.as_mut().map(|farewell| farewell.changed()));
        let mut is_time = |context: &mut Context<'_>| {
            // Without its sender the gateway is gone.
            let farewell = farewell.as_mut().as_pin_mut().map(|said| said.poll(context));
            farewell.is_some_and(|said| said.is_ready())
                || revoked.as_mut().poll(context).is_ready()
        };
        let (mut down, mut up) = (Way::new(&GOING_AWAY), Way::new(&GOING_AWAY_MASKED));
        if is_websocket {
            (down.frames, up.frames) = (Some(Frames::default()), Some(Frames::default()));
        }
        record.count_out(first.len() as u64);
        down.take(first);
        let (mut is_leaving, mut end) = (false, None::<Pin<Box<Sleep>>>);
        poll_fn(|context| {
            // Nor is what was read before written.
            if !in_use.may_answer() {
                return Poll::Ready(());
            }
            if is_websocket && !is_leaving && is_time(context) {
                is_leaving = true;
                (down.is_leaving, up.is_leaving) = (true, true);
                end = Some(Box::pin(sleep(GOODBYE)));
            }
            let passes = |count: u64, counts: fn(&Record, u64)| {
                if !in_use.may_answer() {
                    return Err(io::Error::from(io::ErrorKind::PermissionDenied));
                }
                counts(&record, count);
                Ok(())
            };
            let count_out = |count| passes(count, Record::count_out);
            let count_in = |count| passes(count, Record::count_in);
            let downwards = down.poll(context, &mut tenant, &mut client, count_out);
            let upwards = up.poll(context, &mut client, &mut tenant, count_in);
            match (downwards, upwards) {
                (Poll::Pending, Poll::Pending) => {}
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
                _ if is_websocket && end.is_none() => end = Some(Box::pin(sleep(HALF_CLOSED))),
                _ => {}
            }
            end.as_mut().map_or(Poll::Pending, |end| end.as_mut().poll(context))
        })
        .await;
    }
}

/// One direction.
struct Way {
    /// What was read and is not written yet.
    held: Bytes,
    needs_flush: bool,
    state: State,
    frames: Option<Frames>,
    is_leaving: bool,
    goodbye: &'static [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The last bytes are to be written.
    Ending,
    /// The last bytes are written, and what still comes is dropped: bytes that are left unread at
    /// the end of a connection take away what was sent last.
    Draining,
    Over,
}

impl Way {
    fn new(goodbye: &'static [u8]) -> Way {
        let (state, held) = (State::Open, Bytes::new());
        Way { held, needs_flush: false, state, frames: None, is_leaving: false, goodbye }
    }

    /// Takes bytes that were read before.
    fn take(&mut self, bytes: Bytes) {
        if let Some(frames) = &mut self.frames {
            frames.follow(&bytes);
        }
        self.held = bytes;
    }

    /// Ready when nothing more comes this way.
    fn poll<F, T>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
        count: impl Fn(u64) -> io::Result<()>,
    ) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_write_held(context, to))?;
            if self.state == State::Open && self.leaves() {
                continue;
            }
            match self.state {
                State::Open | State::Draining => {}
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.state = if self.is_leaving { State::Draining } else { State::Over };
                }
                State::Over => return Poll::Ready(Ok(())),
            }
            if self.state != State::Over {
                let passed = BUFFER.with_borrow_mut(|buffer| {
                    let mut buffer = ReadBuf::new(buffer);
                    ready!(Pin::new(&mut *from).poll_read(context, &mut buffer))?;
                    Poll::Ready(self.pass_on(context, buffer.filled(), to, &count))
                });
                ready!(passed)?;
            }
        }
    }

    fn poll_write_held<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let count = ready!(Pin::new(&mut *to).poll_write(context, &self.held))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(count);
            self.needs_flush = true;
        }
        self.held = Bytes::new();
        if self.needs_flush {
            ready!(Pin::new(to).poll_flush(context))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye between two frames, if it is time to. Returns whether it did.
    fn leaves(&mut self) -> bool {
        let is_between = self.frames.as_ref().is_some_and(Frames::is_between_frames);
        if !self.is_leaving || !is_between {
            return false;
        }
        if !self.frames.as_ref().is_some_and(Frames::is_closing) {
            self.held = Bytes::from_static(self.goodbye);
        }
        self.state = State::Ending;
        true
    }

    /// Writes what was read, and keeps what is not taken at once.
    fn pass_on<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        to: &mut T,
        count: &impl Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        match (self.state, bytes.is_empty()) {
            (State::Open, true) => self.state = State::Ending,
            (_, true) => self.state = State::Over,
            (State::Open, false) => {
                let bytes = match &mut self.frames {
                    Some(frames) if self.is_leaving => &bytes[..frames.follow_to_end(bytes)],
                    Some(frames) => {
                        frames.follow(bytes);
                        bytes
                    }
                    None => bytes,
                };
                count(bytes.len() as u64)?;
                let written = match Pin::new(to).poll_write(context, bytes) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                self.needs_flush = true;
                self.held = Bytes::copy_from_slice(&bytes[written..]);
            }
            (_, false) => {}
        }
        Ok(())
    }
}
