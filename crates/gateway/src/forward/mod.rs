//! One request to a tenant, and its answer.

use crate::forwarded::Cidr;
use crate::guarded;
use crate::record::Record;
use crate::refusal::{Refusal, Why};
use crate::tenants::InUse;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Sends requests to tenants.
#[derive(Debug)]
pub struct Forwarder {
    settings: ForwardSettings,
}

/// What requests to tenants are sent with.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// Bytes of a request's body.
    pub body_bytes: Option<u64>,
    /// How long a body may make no progress.
    pub body_idle: Duration,
    /// Proxies whose words on the client are believed.
    pub trusted: Arc<[Cidr]>,
}

/// What is known of a request's client.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The connection is encrypted.
    pub is_tls: bool,
    /// The port that it came in at; `None` for a socket without one.
    pub port: Option<u16>,
    /// What was taken off the path.
    pub prefix: Option<String>,
}

/// A request that is checked, routed and admitted.
#[derive(Debug)]
pub struct Outgoing {
    /// As the client sent it.
    pub request: http::Request<Incoming>,
    /// Path and query for the tenant, the prefix taken off.
    pub target: PathAndQuery,
    /// What is known of its client.
    pub client: ClientInfo,
    /// The one host that was agreed on.
    pub host: String,
    /// The stream it came by; `None`: HTTP/2.
    pub guard: Option<Arc<guarded::Shared>>,
    /// What is known of it.
    pub record: Arc<Record>,
}

impl Forwarder {
    /// A forwarder without connections.
    pub fn new(settings: ForwardSettings) -> Forwarder {
        Forwarder { settings }
    }

    /// Sends a request to its tenant and returns the answer.
    pub async fn forward<T: InUse, F>(
        &self,
        tenant: T,
        next: impl FnMut() -> F + Send,
        outgoing: Outgoing,
    ) -> Result<http::Response<AnswerBody>, Refusal>
    where
        F: Future<Output = Result<T, Refusal>> + Send,
    {
        let _ = (&self.settings, tenant, next, outgoing);
        Err(Refusal::new(502, Why::BrokeOff))
    }

    /// Drops the idle connections of a run that is over.
    pub fn forget(&self, run: u64) {
        let _ = run;
    }
}

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every answer that the gateway gives.
#[derive(Debug)]
pub struct AnswerBody {
    full: Option<Bytes>,
}

impl AnswerBody {
    /// A body that is here already.
    pub fn full(bytes: Bytes) -> AnswerBody {
        AnswerBody { full: Some(bytes).filter(|bytes| !bytes.is_empty()) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.full.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.full.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.full.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
