//! What a gateway is started with: plain values, which were checked where they came from.

use crate::forwarded::Cidr;
use crate::peer::Entry;
use crate::route::Route;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// What a gateway is started with.
#[derive(Debug)]
pub struct Settings {
    /// How a request leads to a key.
    pub routing: Routing,
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// Encrypts every connection.
    pub tls: Option<Tls>,
    /// Proxies whose words on the client are believed.
    pub trust: Vec<Cidr>,
    /// How long a request waits for its tenant.
    pub wake: Wake,
    /// What is too much.
    pub limits: Limits,
    /// [`Hooks::access`](crate::Hooks::access) is called.
    pub access: bool,
    /// [`Hooks::page`](crate::Hooks::page) is asked for the page of a refusal.
    pub pages: bool,
    /// A request without a trace context gets one, and access events say which.
    pub trace: bool,
    /// Threads that serve; `None`: one for each core, four at most.
    pub threads: Option<usize>,
}

/// How a request leads to a key.
#[derive(Debug)]
pub enum Routing {
    /// By a rule.
    Rule(Route),
    /// [`Hooks::ask`](crate::Hooks::ask) says the key, once for each host.
    Ask {
        /// How long an answer is remembered.
        cache: Duration,
    },
    /// Other hosts' gateways say the key, of requests that they pass on. Those are served as visitors'
    /// are. What tenants are told of visitors, and pages of refusals, are the first gateway's to write,
    /// and requests are counted and told as a visitor's there alone: here `tls`, `trust`, `pages` and
    /// a limit by address do not count, and heads may be larger by what that gateway adds. HTTP/2 is
    /// not spoken.
    Peers(
        /// Who may.
        Entry,
    ),
}

/// One address to listen at.
#[derive(Debug)]
pub enum Listen {
    /// A TCP port.
    Tcp {
        /// A name or an address.
        hostname: String,
        /// 0: one that is free.
        port: u16,
    },
    /// A unix socket, whose file is removed at the end.
    Unix(
        /// Its path.
        PathBuf,
    ),
    /// A socket that listens already.
    Descriptor(
        /// A TCP or a unix socket.
        OwnedFd,
    ),
    /// A socket that listens already, of a gateway before this one, whose place it takes.
    Inherited(
        /// A TCP or a unix socket. Of the latter the file is removed at the end.
        OwnedFd,
    ),
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Tls {
    /// They are given; the first is for clients that name none of them.
    Certificates(
        /// At least one.
        Vec<CertifiedPem>,
    ),
    /// [`Hooks::certificate`](crate::Hooks::certificate) is asked for each handshake.
    Ask,
}

/// A chain of certificates and its key, as PEM text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CertifiedPem {
    /// The chain, the server's own certificate first.
    pub cert: String,
    /// The private key.
    pub key: String,
    /// For which names it is; none: for those in the certificate.
    pub names: Vec<String>,
}

impl std::fmt::Debug for CertifiedPem {
    /// Without the key, which no log may have.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertifiedPem").field("names", &self.names).finish_non_exhaustive()
    }
}

/// How requests wait for a tenant that is started for them.
#[derive(Clone, Copy, Debug)]
pub struct Wake {
    /// How long a request waits.
    pub timeout: Duration,
    /// How many requests wait for one tenant.
    pub queue: u32,
}

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Fields of a request's head.
    pub headers: usize,
    /// How long a head may take.
    pub headers_timeout: Duration,
    /// How long a body, in either direction, may make no progress.
    pub body_idle: Duration,
    /// Bytes of a request's body.
    pub body_bytes: Option<u64>,
    /// How long a connection is kept without a request.
    pub keep_alive: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once to one tenant.
    pub requests_per_tenant: Option<u32>,
    /// Requests a second from one address.
    pub requests_per_second_per_address: Option<f64>,
}

impl Default for Wake {
    fn default() -> Wake {
        Wake { timeout: Duration::from_secs(30), queue: 1_000 }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_bytes: 16 << 10,
            headers: 100,
            headers_timeout: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            body_bytes: None,
            // Longer than browsers leave between a page and what it loads, and than the 60 s for
            // which load balancers keep a connection.
            keep_alive: Duration::from_secs(75),
            connections: 10_000,
            requests_per_tenant: None,
            requests_per_second_per_address: None,
        }
    }
}
