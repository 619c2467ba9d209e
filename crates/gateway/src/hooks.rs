//! What only the gateway's user can say. The methods are called on the gateway's threads.

use crate::refusal::Refusal;
use crate::settings::CertifiedPem;
use bytes::Bytes;
use std::net::IpAddr;

/// What only the gateway's user can say.
pub trait Hooks: Send + Sync + 'static {
    /// The key that a request is for; `None` if there is none. An error is answered with 502.
    fn ask(&self, request: Asked) -> impl Future<Output = Result<Option<String>, ()>> + Send;

    /// The page of a refusal; `None`: the built-in one, which is sent after a second, too.
    fn page(&self, refusal: RefusedRequest) -> impl Future<Output = Option<Page>> + Send;

    /// The certificate for a name; `None` ends the handshake.
    fn certificate(
        &self,
        server_name: Option<String>,
    ) -> impl Future<Output = Option<CertifiedPem>> + Send;

    /// A request begins to wait for its tenant's start. Called only with
    /// [`Settings::trace`](crate::Settings::trace); what it says replaces the request's trace
    /// context, if it says it soon enough: it is awaited beside the wait.
    fn woken(&self, request: WokenRequest) -> impl Future<Output = Option<String>> + Send;

    /// A request that [`Hooks::woken`] was told of is over.
    fn woken_over(&self, over: WokenOver);

    /// A request is over. Called by the thread that served it, and so has to be cheap.
    fn access(&self, event: AccessEvent);
}

/// For a gateway that asks and tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct NoHooks;

impl Hooks for NoHooks {
    async fn ask(&self, _: Asked) -> Result<Option<String>, ()> {
        Err(())
    }

    async fn page(&self, _: RefusedRequest) -> Option<Page> {
        None
    }

    async fn certificate(&self, _: Option<String>) -> Option<CertifiedPem> {
        None
    }

    async fn woken(&self, _: WokenRequest) -> Option<String> {
        None
    }

    fn woken_over(&self, _: WokenOver) {}

    fn access(&self, _: AccessEvent) {}
}

/// A request that is to be routed.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its host in lower case, without port and without a dot at its end.
    pub host: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The client's address.
    pub address: IpAddr,
}

/// A request that is refused.
#[derive(Clone, Debug)]
pub struct RefusedRequest {
    /// The status, the cause, and when another try may succeed.
    pub refusal: Refusal,
    /// Whom it was for, where that is known.
    pub key: Option<String>,
}

/// A page of the user's, for a refusal.
#[derive(Clone, Debug)]
pub struct Page {
    /// Fields of its head, in their order.
    pub headers: Vec<(String, String)>,
    /// Its content.
    pub body: Bytes,
}

/// A request that begins to wait for its tenant's start.
#[derive(Clone, Debug)]
pub struct WokenRequest {
    /// Its number, which no other request of this process has.
    pub id: u64,
    /// Whom it is for.
    pub key: String,
    /// Its host, as sent.
    pub host: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The client's address.
    pub address: IpAddr,
    /// The trace context that it came with, if that can be read.
    pub traceparent: Option<String>,
}

/// A request that waited for its tenant's start, and is over.
#[derive(Clone, Copy, Debug)]
pub struct WokenOver {
    /// Its number.
    pub id: u64,
    /// The status of its answer; 499 if the client left before it had one.
    pub status: u16,
    /// How long it waited; `None` if it did not get its tenant.
    pub woke_ms: Option<f64>,
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct AccessEvent {
    /// Whom it was for; `None` if nobody.
    pub key: Option<String>,
    /// Its host, as sent.
    pub host: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The status of its answer; 499 if the client left before it had one.
    pub status: u16,
    /// From its head to the last byte of its answer, or to the end of its tunnel.
    pub duration_ms: f64,
    /// How long it waited for its tenant's start; `None` if it did not.
    pub woke_ms: Option<f64>,
    /// Bytes of its body, or from the client through a tunnel.
    pub bytes_in: u64,
    /// Bytes of its answer's body, or to the client through a tunnel.
    pub bytes_out: u64,
    /// The client's address.
    pub address: IpAddr,
    /// The host that it was passed on to; `None` if its tenant is here.
    pub peer: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
    /// The trace context that its tenant got; `None` unless the gateway was asked to see to that.
    pub traceparent: Option<String>,
}
