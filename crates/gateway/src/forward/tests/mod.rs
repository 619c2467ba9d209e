//! Forwarding between real sockets: a client that writes its bytes itself, a small server before the
//! forwarder, and a tenant that is scripted byte by byte.
#![allow(clippy::disallowed_methods, reason = "tests may look at the clock")]

mod answers;
mod bodies;
mod heads;
mod http2;
mod reuse;
mod tries;
mod websockets;

use super::*;
use crate::stats::Counters;
use bytes::Bytes;
use http::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// A tenant as the forwarder knows it.
#[derive(Clone, Debug)]
struct Lent {
    address: SocketAddr,
    run: u64,
    revoked: watch::Receiver<bool>,
    uses: Arc<AtomicU32>,
    _in_use: Option<Arc<Use>>,
}

#[derive(Debug)]
struct Use(Arc<AtomicU32>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Lent {
    /// A use of it.
    fn lend(&self) -> Lent {
        self.uses.fetch_add(1, Relaxed);
        Lent { _in_use: Some(Arc::new(Use(self.uses.clone()))), ..self.clone() }
    }
}

impl InUse for Lent {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn run(&self) -> u64 {
        self.run
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut revoked = self.revoked.clone();
        async move {
            if revoked.wait_for(|is_revoked| *is_revoked).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// A tenant that listens, and does what its test says.
struct Tenant {
    listener: TcpListener,
    lent: Lent,
    revoke: watch::Sender<bool>,
}

impl Tenant {
    async fn new() -> Tenant {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (revoke, revoked) = watch::channel(false);
        let run = RUNS.fetch_add(1, Relaxed).into();
        let lent = Lent { address, run, revoked, uses: Arc::default(), _in_use: None };
        Tenant { listener, lent, revoke }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.expect("a connection").0
    }

    /// Takes a connection and the head of a request on it.
    async fn take(&self) -> (TcpStream, String) {
        let mut stream = self.accept().await;
        let head = head(&mut stream).await;
        (stream, head)
    }

    fn uses(&self) -> u32 {
        self.lent.uses.load(Relaxed)
    }

    async fn is_unused(&self) {
        while self.uses() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A server that passes every request on.
struct Gate {
    address: SocketAddr,
    forwarder: Arc<Forwarder>,
    counters: Arc<Counters>,
    /// What `next` gives.
    next: mpsc::UnboundedSender<Lent>,
    next_asked: Arc<AtomicU32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl Gate {
    async fn new(tenant: &Tenant) -> Gate {
        Gate::with(tenant, Version::Http1, |_| {}).await
    }

    async fn http2(tenant: &Tenant) -> Gate {
        Gate::with(tenant, Version::Http2, |_| {}).await
    }

    async fn with(
        tenant: &Tenant,
        version: Version,
        change: impl Fn(&mut ForwardSettings),
    ) -> Gate {
        let mut settings = ForwardSettings {
            body_bytes: None,
            body_idle: Duration::from_secs(60),
            trusted: Arc::new([]),
            farewell: Arc::default(),
        };
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (next, nexts) = mpsc::unbounded_channel();
        let gate = Gate {
            address,
            forwarder: Arc::new(Forwarder::new(settings)),
            counters: Arc::new(Counters::new(1)),
            next,
            next_asked: Arc::default(),
        };
        let served = Served {
            forwarder: gate.forwarder.clone(),
            counters: gate.counters.clone(),
            tenant: tenant.lent.clone(),
            nexts: Arc::new(tokio::sync::Mutex::new(nexts)),
            next_asked: gate.next_asked.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(served.clone().connection(stream, version));
            }
        });
        gate
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends a request on a connection of its own.
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("to write");
        stream
    }

    /// Sends a request and returns all that comes until the connection ends.
    async fn whole(&self, request: &str) -> String {
        to_end(&mut self.send(request).await).await
    }

    async fn is_idle(&self) {
        while self.counters.stats().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A gate, and a connection to the tenant that has been used.
async fn used(tenant: &Tenant) -> (Gate, TcpStream) {
    let gate = Gate::new(tenant).await;
    let mut client = gate.send(LAST_GET).await;
    let (mut stream, _) = tenant.take().await;
    write(&mut stream, OK).await;
    assert!(to_end(&mut client).await.ends_with("ok"));
    gate.is_idle().await;
    (gate, stream)
}

#[derive(Clone)]
struct Served {
    forwarder: Arc<Forwarder>,
    counters: Arc<Counters>,
    tenant: Lent,
    nexts: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Lent>>>,
    next_asked: Arc<AtomicU32>,
}

impl Served {
    async fn connection(self, stream: TcpStream, version: Version) {
        let io = TokioIo::new(stream);
        let service = service_fn(move |request| self.clone().request(request));
        match version {
            Version::Http1 => {
                let connection = hyper::server::conn::http1::Builder::new()
                    .half_close(false)
                    .serve_connection(io, service);
                connection.with_upgrades().await.ok();
            }
            Version::Http2 => {
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .enable_connect_protocol()
                    .serve_connection(io, service)
                    .await
                    .ok();
            }
        }
    }

    async fn request(self, request: Request<Incoming>) -> Result<Response<AnswerBody>, BodyError> {
        let record = Arc::new(Record::begin(self.counters.tallies()[0].clone(), None, None));
        let client = Client::new("10.1.2.3".parse()?, false, Some(80));
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or(PathAndQuery::from_static("/"));
        let host = HeaderValue::from_static("a.example");
        let mut request = request.map(Some);
        let outgoing = Outgoing {
            request: &mut request,
            key: "a",
            hops: 0,
            target,
            client: &client,
            prefix: None,
            host,
            guard: None,
            record: record.clone(),
        };
        let next = |_| {
            self.next_asked.fetch_add(1, Relaxed);
            let nexts = self.nexts.clone();
            async move {
                let next = nexts.lock().await.recv().await;
                next.map(|next| next.lend()).ok_or(Refusal::new(503, Why::CalledOff))
            }
        };
        let answer = self.forwarder.forward(self.tenant.lend(), next, outgoing).await;
        let answer = answer.unwrap_or_else(|refusal| {
            let mut page = Response::new(AnswerBody::full(Bytes::from_static(b"refused")));
            *page.status_mut() = StatusCode::from_u16(refusal.status).expect("a status");
            page
        });
        record.answered(answer.status().as_u16());
        Ok(answer)
    }
}

/// Reads up to the end of a head.
async fn head(stream: &mut TcpStream) -> String {
    until(stream, "\r\n\r\n").await
}

/// Reads up to these bytes, and not further.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = stream.read_u8().await;
        let so_far = String::from_utf8_lossy(&bytes).into_owned();
        bytes.push(byte.unwrap_or_else(|error| panic!("{error} before {end:?} in {so_far:?}")));
    }
    String::from_utf8(bytes).expect("text")
}

/// Reads until the connection ends, in whatever way.
async fn to_end(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("to write");
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n";
/// A request after which the client's connection ends.
const LAST_GET: &str = "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
