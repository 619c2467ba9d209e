//! A connection of HTTP/2.

use super::{Connection, is_closing, unused};
use crate::guarded::{Guarded, Patience};
use crate::hooks::Hooks;
use crate::stream::Stream;
use crate::streams::Streams;
use crate::strict::Inspector;
use crate::tenants::Tenants;
use bytes::BytesMut;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::time::Duration;

/// How often a connection of HTTP/2 is asked for a sign of life, and how long it may take for one.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a connection of HTTP/2 without requests stays after it was told to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// Requests at once on one connection of HTTP/2. Browsers want a hundred.
const STREAMS: u32 = 128;
/// How much of requests' bodies is on its way at once: for one stream, and for all of one
/// connection. With 50 ms to the client the first is 5 MB a second.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How much of an answer is kept for a stream that the client does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Streams that the client has reset, and that nothing was done about yet. More end the connection.
const RESET_STREAMS: usize = 32;
/// Faults of streams that are the client's. More end the connection.
const FAULTY_STREAMS: usize = 64;
impl<T: Tenants, H: Hooks> Connection<'_, T, H> {
    pub(super) async fn http2(&mut self, stream: Stream, received: BytesMut) -> io::Result<()> {
        let limits = self.site().limits;
        let mut inspector = Inspector::http1(self.site().head_limits());
        inspector.allow_other_protocol();
        let patience = Patience {
            head: limits.headers_timeout,
            idle: limits.keep_alive,
            stall: limits.body_idle,
        };
        let (guarded, _returned) = Guarded::new(stream, inspector, patience, received);
        let shared = guarded.shared();
        let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(Streams { patience: limits.body_idle })
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(header_bytes)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(FAULTY_STREAMS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY)
            .serve_connection(TokioIo::new(guarded), self.service(shared.clone()));
        let mut connection = Box::pin(connection);
        let unused = unused(&shared, limits.headers_timeout, limits.keep_alive);
        tokio::select! {
            _ = connection.as_mut() => return Ok(()),
            () = unused => {}
            _ = is_closing(self.phase) => {}
        }
        connection.as_mut().graceful_shutdown();
        // The client has to confirm that it has heard of it. One that does not is not waited for
        // when its requests are over.
        while tokio::time::timeout(FAREWELL, connection.as_mut()).await.is_err() {
            if !shared.is_busy() {
                break;
            }
        }
        Ok(())
    }
}
